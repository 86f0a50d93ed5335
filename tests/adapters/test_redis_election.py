from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import pytest
from redis import Redis

from jobctl.adapters.redis_election import Election
from jobctl.errors import ServiceUnavailable

Candidate = Callable[..., Election]


@pytest.fixture
def candidate(redis: Redis) -> Candidate:
    return partial(Election, redis, "jobctl:test", ttl_s=10.0)


def test_the_first_of_equals_is_elected_and_stays_so(candidate: Candidate) -> None:
    one, other = candidate(rank=1), candidate(rank=1)

    assert [one.take(), other.take(), one.take(), other.take()] == [True, False, True, False]


def test_whoever_leaves_makes_room(candidate: Candidate) -> None:
    one, other = candidate(rank=1), candidate(rank=1)
    one.take()
    other.leave()  # which was not elected, and so changes nothing
    assert not other.take()

    one.leave()

    assert other.take()


def test_a_higher_rank_takes_over_and_a_lower_one_never_does(candidate: Candidate) -> None:
    worker, exporter = candidate(rank=1), candidate(rank=2)

    assert [worker.take(), exporter.take(), worker.take(), exporter.take()] == [True, True, False, True]


def test_an_election_that_is_not_renewed_lapses(candidate: Candidate) -> None:
    one, other = candidate(rank=2, ttl_s=0.05), candidate(rank=1)
    one.take()
    assert not other.take()

    time.sleep(0.08)

    assert other.take()


def test_renewing_prolongs_it(candidate: Candidate, redis: Redis) -> None:
    one = candidate(rank=1, ttl_s=5.0)
    one.take()
    redis.pexpire("jobctl:test", 100)

    one.take()

    assert redis.pttl("jobctl:test") > 4000


def test_whoever_is_elected_stays_so_while_the_memory_is_full(candidate: Candidate, redis: Redis) -> None:
    one, other = candidate(rank=1), candidate(rank=2)
    one.take()
    redis.config_set("maxmemory", 1)
    try:
        assert one.take()
        with pytest.raises(ServiceUnavailable, match="maxmemory"):
            other.take()
    finally:
        redis.config_set("maxmemory", 0)


def test_a_key_that_somebody_else_wrote_is_no_obstacle(candidate: Candidate, redis: Redis) -> None:
    redis.set("jobctl:test", "nonsense")

    assert candidate(rank=1).take()

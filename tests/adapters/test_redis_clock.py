from __future__ import annotations

import time

import pytest
from redis import Redis

from jobctl.adapters.redis_clock import ClockWatch
from jobctl.adapters.rq_desk import Desk
from jobctl.adapters.rq_queue import RqCompletions
from jobctl.core.clocks import ClockOffset


@pytest.mark.parametrize("wrong_s", [-5.0, 0.0, 3600.0])
def test_a_clock_that_is_wrong_is_told_by_as_much(redis: Redis, wrong_s: float) -> None:
    found = ClockWatch(redis, lambda: time.time() + wrong_s).ask()

    assert found is not None
    assert abs(found.offset_s + wrong_s) <= found.uncertainty_s + 1e-3


def test_a_watch_goes_by_its_latest_answers(redis: Redis) -> None:
    wrong_s = [0.0]
    watch = ClockWatch(redis, lambda: time.time() + wrong_s[0])
    watch.ask()
    wrong_s[0] = 60.0
    found = [watch.ask() for _ in range(8)][-1]

    assert found is not None
    assert found.offset_s == pytest.approx(-60.0, abs=1.0)


def test_a_worker_tells_its_clock_with_its_pulse(redis: Redis) -> None:
    redis.sadd("rq:workers:q", "rq:worker:w", "rq:worker:stock")
    redis.hset("rq:worker:w", "birth", "now")
    redis.hset("rq:worker:stock", "birth", "now")
    Desk(redis, "w", ["q"], beat_s=30).pulse([], ClockOffset(5.25, 0.001))

    assert RqCompletions(redis, ["q"]).clock_offsets() == {"w": ClockOffset(5.25, 0.001)}


def test_a_pulse_leaves_nothing_of_a_worker_that_redis_has_forgotten(redis: Redis) -> None:
    Desk(redis, "w", ["q"], beat_s=30).pulse([], ClockOffset(5.25, 0.001))

    assert not redis.exists("rq:worker:w")


def test_what_somebody_else_wrote_there_is_no_offset(redis: Redis) -> None:
    redis.sadd("rq:workers:q", "rq:worker:w")
    redis.hset("rq:worker:w", "jobctl_clock", "soon")

    assert RqCompletions(redis, ["q"]).clock_offsets() == {}


def test_jobs_of_a_worker_whose_clock_is_behind_are_seen_to_end_as_soon_as_the_others(redis: Redis) -> None:
    """RQ's registries are sorted by when a job's result is dropped, by the clock of its worker."""
    redis.sadd("rq:workers:q", "rq:worker:slow", "rq:worker:right")
    redis.hset("rq:worker:slow", "jobctl_clock", str(ClockOffset(60.0, 0.0)))
    redis.hset("rq:worker:right", "jobctl_clock", str(ClockOffset(0.0, 0.0)))
    completions = RqCompletions(redis, ["q"])
    completions.clock_offsets()
    redis.zadd("rq:finished:q", {"first": 1000})
    assert completions.newly_ended() == ["first"]
    redis.zadd("rq:finished:q", {"of the slow one": 941})

    assert "of the slow one" in completions.newly_ended()

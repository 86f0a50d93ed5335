from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from redis import Redis

from jobctl.adapters.memory import MemoryLimiter
from jobctl.adapters.redis_limiter import RedisLimiter, fingerprint
from jobctl.core.limiting import Limit, Limits, Outcome, Report, Tuning
from support.servers import SocketServer, silent

MODEL = "openai/gpt-4o-mini"
LIMITS = Limits(Limit(rpm=60))
KEY = "sk-or-v1-0123456789abcdef"


@pytest.fixture
def limiter(redis: Redis) -> Iterator[RedisLimiter]:
    limiter = RedisLimiter(redis, fingerprint(KEY), LIMITS)
    yield limiter
    limiter.close()


def test_the_servers_clock_counts(limiter: RedisLimiter) -> None:
    assert limiter.acquire(MODEL, calls=10).granted == 2
    denied = limiter.acquire(MODEL)
    assert 0.5 < denied.delay_s < 1.1
    time.sleep(denied.delay_s)

    assert limiter.acquire(MODEL).granted == 1


def test_processes_and_threads_share_one_limit(redis: Redis) -> None:
    limits = Limits(Limit(rpm=6000))  # 117 at once, then 97/s
    limiters = [RedisLimiter(redis, "account", limits) for _ in range(4)]
    started_s = time.monotonic()
    with ThreadPoolExecutor(40) as pool:
        granted = sum(grant.granted for grant in pool.map(lambda n: limiters[n % 4].acquire(MODEL), range(400)))
    elapsed_s = time.monotonic() - started_s
    for limiter in limiters:
        limiter.close()

    assert 117 <= granted <= 117 + 98 * elapsed_s + 1


def test_keys_name_no_api_key_and_are_forgotten_by_themselves(limiter: RedisLimiter, redis: Redis) -> None:
    limiter.acquire(MODEL, calls=5)
    limiter.acquire("other/model", permits="")
    limiter.report(MODEL, Report(Outcome.THROTTLED, wait_s=500))

    keys = redis.keys("*")
    assert len(keys) == 3  # two models and the account
    for key in keys:
        assert KEY.encode() not in key
        assert KEY[-8:].encode() not in key + (redis.get(key) or b"")
        assert 3590 < redis.ttl(key) <= 3600 + 500 + 5
    assert redis.ttl(f"jobctl:limiter:{{{fingerprint(KEY)}}}:{MODEL}") > 4000  # no pause is forgotten before its end


def test_fingerprints_tell_keys_apart() -> None:
    assert fingerprint(KEY) == fingerprint(KEY) != fingerprint(KEY + "0")


def test_a_redis_that_lost_its_scripts_and_its_data_is_served_again(limiter: RedisLimiter, redis: Redis) -> None:
    place = [limiter.acquire(MODEL, permits="") for _ in range(200)][-1]
    redis.script_flush()
    redis.flushall()

    assert limiter.acquire(MODEL, permits=place.permits).granted == 1  # its line is gone with the rest
    assert [status.model for status in limiter.status()] == [MODEL]


def test_the_users_own_connection_keeps_its_patience(limiter: RedisLimiter, redis: Redis) -> None:
    assert redis.connection_pool.connection_kwargs["socket_timeout"] is None
    assert redis.ping()


# ------------------------------------------------------------------------------------------- a Redis that is not there


@contextmanager
def unreachable() -> Iterator[Redis]:
    """Nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    yield Redis(port=port)


@contextmanager
def mute() -> Iterator[Redis]:
    """It accepts, reads and says nothing."""
    with SocketServer(silent) as server:
        yield Redis(port=server.port)


@pytest.mark.parametrize("dead", [unreachable, mute], ids=["unreachable", "mute"])
def test_open_lets_calls_go_ahead_as_far_as_this_process_alone_may(
    dead: object, caplog: pytest.LogCaptureFixture
) -> None:
    with dead() as connection:  # type: ignore[operator]
        local = MemoryLimiter(LIMITS, clock=time.time)
        limiter = RedisLimiter(connection, "account", LIMITS, local=local)
        started_s = time.monotonic()
        grants = [limiter.acquire(MODEL, permits="") for _ in range(5)]
        told = limiter.report(MODEL, Report(Outcome.THROTTLED, wait_s=5))
        limiter.release(MODEL, 1)
        elapsed_s = time.monotonic() - started_s
        limiter.close()

    assert elapsed_s < 1.3  # its patience once, not with each call
    assert [grant.granted for grant in grants] == [1, 1, 0, 0, 0]
    assert told.delay_s >= 5
    assert local.status()[0].paused_s > 4
    assert limiter.status() == []
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "are limited in this process alone" in caplog.text


def test_closed_puts_every_call_off_and_keeps_its_place(caplog: pytest.LogCaptureFixture) -> None:
    with unreachable() as connection:
        limiter = RedisLimiter(connection, "account", LIMITS)
        grants = [limiter.acquire(MODEL, permits=f"place {MODEL} 1.000000") for _ in range(20)]
        told = limiter.report(MODEL, Report(Outcome.THROTTLED, wait_s=5))

    assert {(grant.granted, grant.reason, grant.permits) for grant in grants} == {
        (0, "limiter_unavailable", f"place {MODEL} 1.000000")
    }
    assert all(1 <= grant.delay_s <= 2 for grant in grants)
    assert len({grant.delay_s for grant in grants}) > 10  # not all at once
    assert 6 <= told.delay_s <= 7
    assert caplog.text.count("are put off") == 1


def test_once_it_answers_again_it_is_asked_again(redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    limiter = RedisLimiter(redis, "account", LIMITS, Tuning())
    redis.execute_command("CLIENT", "PAUSE", "900", "ALL")
    assert limiter.acquire(MODEL).reason == "limiter_unavailable"
    time.sleep(1.1)

    assert limiter.acquire(MODEL).granted == 1
    limiter.close()
    assert [record.message.split(" (")[0] for record in caplog.records] == [
        "The limiter's Redis does not answer",
        "The limiter's Redis answers again.",
    ]

from __future__ import annotations

import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue
from rq.job import Job
from rq.rate_limit import RateLimit
from rq.registry import ScheduledJobRegistry
from rq.scheduler import RQScheduler

from jobctl.adapters import embedded_redis
from jobctl.adapters.processes import ProcessGroup
from jobctl.adapters.redis_connection import connect
from jobctl.adapters.rq_scheduler import ThreadScheduler
from support.waiting import wait_until

LOCK = "rq:scheduler-lock:q"


def schedule(redis: Redis, scores: Sequence[float], **fields: object) -> list[str]:
    """Put a job at each of these instants, as the worker does for a retry; its ids."""
    ids = []
    for number, score in enumerate(scores):
        job = Queue("q", connection=redis).create_job("app.task", job_id=f"job-{number}")
        job.save()
        redis.hset(job.key, mapping={"status": "scheduled", **fields})  # type: ignore[dict-item]
        redis.zadd("rq:scheduled:q", {job.id: score})
        ids.append(job.id)
    return ids


@contextmanager
def running(redis: Redis, **options: object) -> Iterator[ThreadScheduler]:
    scheduler = ThreadScheduler(["q"], connection=redis, logging_level="ERROR", **options)
    scheduler.start()
    try:
        yield scheduler
    finally:
        scheduler.request_stop()
        scheduler.join(5)


def once(redis: Redis) -> float | None:
    """One look at what is due."""
    scheduler = ThreadScheduler(["q"], connection=redis, logging_level="ERROR")
    scheduler.acquire_locks()
    try:
        return scheduler.enqueue_scheduled_jobs()
    finally:
        scheduler.release_locks()


def queued(redis: Redis) -> list[str]:
    return [job_id.decode() for job_id in redis.lrange("rq:queue:q", 0, -1)]


def arrivals(redis: Redis, count: int, timeout_s: float) -> dict[str, float]:
    """When each of the next jobs entered its queue."""
    seen: dict[str, float] = {}
    until_s = time.monotonic() + timeout_s
    while len(seen) < count and time.monotonic() < until_s:
        popped = redis.blpop(["rq:queue:q"], timeout=0.5)
        if popped is not None:
            seen[popped[1].decode()] = time.time()
    return seen


def fire(redis: Redis, count: int, within_s: float) -> list[float]:
    """By how much each job of some random instants was late, sorted; negative is early."""
    rng = random.Random(1)
    start_s = time.time()
    scores = [start_s + rng.uniform(0, within_s) for _ in range(count)]
    with running(redis):
        ids = schedule(redis, scores)
        seen = arrivals(redis, count, within_s + 5)
    return sorted(seen[job_id] - max(score, start_s) for job_id, score in zip(ids, scores, strict=True))


def test_a_job_enters_its_queue_when_its_fraction_of_a_second_comes_and_never_before(redis: Redis) -> None:
    late_s = fire(redis, 60, 1.5)

    assert late_s[0] >= 0
    assert redis.zcard("rq:scheduled:q") == 0


@pytest.mark.serial
def test_ninety_five_of_a_hundred_jobs_are_less_than_three_tenths_of_a_second_late(redis: Redis) -> None:
    late_s = fire(redis, 200, 2.0)

    assert late_s[0] >= 0
    assert late_s[round(0.95 * len(late_s)) - 1] < 0.3


def test_what_rq_itself_scheduled_fires_not_before_its_whole_second(redis: Redis) -> None:
    job = Queue("q", connection=redis).enqueue_in(timedelta(seconds=1.2), "app.task")
    score = redis.zscore("rq:scheduled:q", job.id)
    with running(redis):
        seen = arrivals(redis, 1, 5)

    assert seen[job.id] >= score
    job.refresh()
    assert job.get_status() == "queued"
    assert job.enqueued_at is not None
    assert abs(job.enqueued_at.timestamp() - seen[job.id]) < 1


def test_the_next_due_instant_is_told_so_that_nobody_looks_in_vain(redis: Redis) -> None:
    assert once(redis) is None

    schedule(redis, [time.time() + 100, time.time() + 50])

    assert once(redis) == pytest.approx(50, abs=1)
    assert queued(redis) == []


@pytest.mark.parametrize(
    ("fields", "front"),
    [
        ({}, False),
        ({"enqueue_at_front": 1}, True),
        ({"enqueue_at_front": 0}, False),
        ({"enqueue_at_front_on_retry": 1}, False),
        ({"enqueue_at_front_on_retry": 1, "ended_at": ""}, False),
        ({"enqueue_at_front_on_retry": 1, "ended_at": "2026-01-01T00:00:00.000000Z"}, True),
    ],
)
def test_a_job_goes_to_the_end_of_its_queue_that_rq_would_choose(
    fields: dict[str, object], front: bool, redis: Redis
) -> None:
    redis.rpush("rq:queue:q", "first")
    (job_id,) = schedule(redis, [1.0], **fields)
    assert Job.fetch(job_id, connection=redis).should_enqueue_at_front() == front

    once(redis)

    assert queued(redis) == ([job_id, "first"] if front else ["first", job_id])
    assert redis.smembers("rq:queues") == {b"rq:queue:q"}


@pytest.mark.parametrize("instead", [None, "no hash"])
def test_a_job_that_is_gone_is_forgotten_and_holds_up_no_other(instead: str | None, redis: Redis) -> None:
    gone, there = schedule(redis, [1.0, 2.0])
    redis.delete(Job.key_for(gone))
    if instead is not None:
        redis.set(Job.key_for(gone), instead)

    once(redis)

    assert queued(redis) == [there]
    assert redis.zcard("rq:scheduled:q") == 0
    assert redis.exists(Job.key_for(gone)) == (instead is not None)


def test_a_jobs_own_lifetime_begins_anew_and_another_job_gets_none(redis: Redis) -> None:
    mortal, immortal = schedule(redis, [1.0, 2.0])
    redis.hset(Job.key_for(mortal), "ttl", 100)

    once(redis)

    assert redis.ttl(Job.key_for(mortal)) == 100
    assert redis.ttl(Job.key_for(immortal)) == -1


def test_jobs_with_a_rate_limit_of_rq_enter_only_while_there_is_room(redis: Redis) -> None:
    queue = Queue("q", connection=redis)
    jobs = [
        queue.enqueue_in(timedelta(seconds=-1), "app.task", rate_limit=RateLimit("api", 1), job_id=f"limited-{number}")
        for number in range(2)
    ]

    once(redis)

    assert len(queued(redis)) == 1
    assert sorted(str(job.get_status(refresh=True).value) for job in jobs) == ["queued", "rate_limited"]
    assert ScheduledJobRegistry("q", connection=redis).get_job_ids() == []


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self._path,)


def test_nothing_that_is_pickled_is_unpickled(redis: Redis, tmp_path: Path) -> None:
    planted = pickle.dumps(Bomb(tmp_path / "ran"))
    fields = {"data": planted, "meta": planted, "result": planted, "rate_limit_key": "x", "rate_limit_concurrency": 1}
    (job_id,) = schedule(redis, [1.0], **fields)

    once(redis)

    assert queued(redis) == [job_id]
    assert not (tmp_path / "ran").exists()


def test_two_schedulers_that_both_think_they_hold_the_lock_lose_and_double_nothing(redis: Redis) -> None:
    ids = schedule(redis, [float(number) for number in range(1, 1301)])
    schedulers = [ThreadScheduler(["q"], connection=redis, logging_level="ERROR") for _ in range(2)]
    for scheduler in schedulers:
        redis.delete(LOCK)
        assert scheduler.acquire_locks() == {"q"}

    threads = [threading.Thread(target=scheduler.enqueue_scheduled_jobs) for scheduler in schedulers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(queued(redis)) == sorted(ids)
    assert redis.zcard("rq:scheduled:q") == 0


def test_a_stock_scheduler_that_holds_the_lock_is_left_alone_and_followed_once_it_stops(redis: Redis) -> None:
    stock = RQScheduler(["q"], connection=redis, logging_level="ERROR")
    stock.acquire_locks()
    (job_id,) = schedule(redis, [1.0])
    with running(redis, acquire_s=0.1) as scheduler:
        time.sleep(0.4)
        assert (scheduler.acquired_locks, queued(redis)) == (set(), [])
        assert redis.get(LOCK) == stock.name.encode()

        stock.release_locks()
        wait_until(lambda: queued(redis) == [job_id])
        assert RQScheduler(["q"], connection=redis, logging_level="ERROR").acquire_locks() == set()


def test_a_scheduler_that_stops_leaves_its_lock_and_its_entry_at_once(redis: Redis) -> None:
    with running(redis) as scheduler:
        wait_until(lambda: redis.exists(LOCK) and redis.exists(scheduler.key))
        assert redis.get(LOCK) == scheduler.name.encode()
        assert 0 < redis.ttl(LOCK) <= 15
        assert RQScheduler.fetch(scheduler.name, redis).pid == os.getpid()

    assert redis.exists(LOCK, scheduler.key) == 0


def test_a_lock_outlives_its_time_to_live_while_its_holder_lives(redis: Redis) -> None:
    with running(redis, lock_ttl_s=1) as scheduler:
        wait_until(lambda: redis.exists(LOCK))
        for _ in range(15):
            time.sleep(0.1)
            assert redis.get(LOCK) == scheduler.name.encode()


HOLDER = """
import sys, time
from redis import Redis
from jobctl.adapters.rq_scheduler import ThreadScheduler
scheduler = ThreadScheduler(["q"], connection=Redis.from_url(sys.argv[1]), lock_ttl_s=2)
scheduler.start()
time.sleep(60)
"""


def test_after_kill_nine_another_scheduler_takes_over_within_the_life_of_a_lock(redis: Redis, redis_url: str) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, redis_url]) as holder:
        try:
            wait_until(lambda: redis.exists(LOCK))
            with running(redis, lock_ttl_s=2, acquire_s=0.2):
                holder.send_signal(signal.SIGKILL)
                holder.wait()
                killed_s = time.monotonic()
                (job_id,) = schedule(redis, [time.time()])
                wait_until(lambda: queued(redis) == [job_id])
                assert time.monotonic() - killed_s < 2 + 1.5  # the lock's life, a try, and a busy machine
        finally:
            holder.kill()


def test_a_redis_that_goes_and_returns_is_told_once_each_and_delayed_jobs_fire_then() -> None:
    told: list[str] = []
    with ProcessGroup() as group:
        server = embedded_redis.start(group)
        client = connect(server.url)
        options = {
            "on_outage": lambda error: told.append(type(error).__name__),
            "on_recovery": lambda: told.append("back"),
        }
        with running(client, **options) as scheduler:
            wait_until(lambda: scheduler.acquired_locks)
            server.process.kill()
            server.process.wait()
            wait_until(lambda: told)
            time.sleep(0.7)  # more than one try
            restarted = embedded_redis.start(group)
            with connect(restarted.url) as second:
                (job_id,) = schedule(second, [time.time() + 0.2])
                wait_until(lambda: queued(second) == [job_id])
                wait_until(lambda: second.exists(scheduler.key))
        client.close()

    assert told == ["ConnectionError", "back"]


def test_an_outage_that_nobody_asked_to_hear_of_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    nowhere = Redis(unix_socket_path="/nowhere", retry=Retry(NoBackoff(), 0))
    scheduler = ThreadScheduler(["q"], connection=nowhere)
    with caplog.at_level("WARNING", "rq.scheduler"):
        scheduler.start()
        time.sleep(0.8)
        scheduler.request_stop()
        scheduler.join(5)

    assert ["cannot schedule" in record.message for record in caplog.records] == [True]

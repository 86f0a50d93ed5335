from __future__ import annotations

import pickle
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue
from rq.group import Group
from rq.job import Job
from rq.rate_limit import RateLimit
from rq.results import Result

from jobctl.adapters.redis_dead_set import RedisDeadSet
from jobctl.errors import ServiceUnavailable
from jobctl.ports import DeadJob
from support.rq_workers import work_off


def fail(*args: object) -> None:
    raise RuntimeError("on purpose")


def refuse_or_succeed(path: str) -> str:
    if not Path(path).exists():
        raise RuntimeError("not yet")
    return "done"


def let_fail(redis: Redis, function: Callable[..., object] = fail, *args: object, **options: object) -> Job:
    """A job that RQ's own worker ran and that failed."""
    job = Queue("q", connection=redis).enqueue(function, *args, **options)
    work(redis)
    assert job.get_status(refresh=True) == "failed"
    return job


def work(redis: Redis) -> None:
    work_off(redis, "q")


def bury(redis: Redis, count: int, **fields: object) -> list[DeadJob]:
    """Dead jobs as a worker leaves them, written directly."""
    with redis.pipeline(transaction=False) as pipeline:
        pipeline.sadd("rq:queues", "rq:queue:q")
        for number in range(count):
            data = zlib.compress(pickle.dumps(("app.task", None, (), {})))
            basic = {"data": data, "status": "failed", "origin": "q", "ended_at": "2026-01-01T00:00:00.000000Z"}
            pipeline.hset(Job.key_for(f"dead-{number}"), mapping={**basic, **fields})
            pipeline.zadd("rq:failed:q", {f"dead-{number}": number})
        pipeline.execute()
    return [job for job in RedisDeadSet(redis).find([f"dead-{number}" for number in range(count)]) if job is not None]


def only(redis: Redis) -> DeadJob:
    (job,) = RedisDeadSet(redis).jobs("q")
    return job


def test_a_job_that_rq_gave_up_runs_again_after_a_retry_and_keeps_no_trace_of_its_death(
    redis: Redis, tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    job = let_fail(redis, refuse_or_succeed, str(ready), failure_ttl=1000)
    redis.hset(job.key, mapping={"jobctl_attempts": 5, "jobctl_abandoned": 2, "jobctl_reason": "timeout"})
    assert (only(redis).attempts, only(redis).reason) == (5, "timeout")
    redis.rpush("rq:queue:q", "before")

    assert RedisDeadSet(redis).retry([only(redis)]) == 1

    job.refresh()
    assert job.get_status() == "queued"
    assert job.enqueued_at is not None
    assert (job.started_at, job.ended_at) == (None, None)
    assert redis.lrange("rq:queue:q", 0, -1) == [b"before", job.id.encode()]
    assert redis.ttl(job.key) == -1
    assert redis.hmget(job.key, "jobctl_attempts", "jobctl_abandoned", "jobctl_reason") == [None, None, None]
    redis.lrem("rq:queue:q", 1, "before")
    ready.touch()
    work(redis)
    assert job.get_status(refresh=True) == "finished"


def test_a_retried_jobs_own_lifetime_begins_anew(redis: Redis) -> None:
    let_fail(redis, ttl=500, failure_ttl=1000)
    dead = only(redis)

    RedisDeadSet(redis).retry([dead])

    assert redis.ttl(Job.key_for(dead.job_id)) == 500


def test_a_retried_job_with_a_rate_limit_of_rq_waits_for_room(redis: Redis) -> None:
    limit = RateLimit("api", 1)
    job = let_fail(redis, rate_limit=limit)
    running = Queue("q", connection=redis).enqueue(fail, rate_limit=limit)

    RedisDeadSet(redis).retry([only(redis)])

    assert job.get_status(refresh=True) == "rate_limited"
    assert redis.lrange("rq:queue:q", 0, -1) == [running.id.encode()]


def test_two_that_retry_the_same_jobs_at_once_queue_each_once(redis: Redis) -> None:
    jobs = bury(redis, 1200)
    counts: list[int] = []
    threads = [threading.Thread(target=lambda: counts.append(RedisDeadSet(redis).retry(jobs))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(counts) == 1200
    assert redis.llen("rq:queue:q") == 1200
    assert len(set(redis.lrange("rq:queue:q", 0, -1))) == 1200


def test_nothing_of_a_purged_job_stays(redis: Redis) -> None:
    group = Group.create(redis)
    (job,) = group.enqueue_many(Queue("q", connection=redis), [Queue.prepare_data("tests.nowhere.f")])
    work(redis)
    redis.zadd(f"rq:executions:{job.id}", {"left": 1})  # as a worker that was killed leaves it
    redis.hset(f"rq:execution:{job.id}:left", "id", "left")
    assert redis.exists(job.key, Result.get_key(job.id)) == 2

    assert RedisDeadSet(redis).purge([only(redis)]) == 1

    assert [key for key in redis.scan_iter() if job.id in key.decode()] == []
    assert redis.smembers(Group.get_key(group.name)) == set()
    assert redis.zcard("rq:failed:q") == 0


def test_what_lives_is_neither_retried_nor_purged(redis: Redis) -> None:
    alive = Queue("q", connection=redis).enqueue(fail)
    claimed = DeadJob(alive.id, "q", "", None, 1, "", "")

    assert RedisDeadSet(redis).retry([claimed]) == 0
    assert RedisDeadSet(redis).purge([claimed]) == 0
    assert redis.llen("rq:queue:q") == 1
    assert redis.exists(alive.key)


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self._path,)


@pytest.mark.parametrize("deflated", [True, False])
def test_a_planted_pickle_is_listed_shown_retried_and_purged_and_never_opened(
    deflated: bool, redis: Redis, tmp_path: Path
) -> None:
    planted = pickle.dumps(Bomb(tmp_path / "ran"))
    data = pickle.dumps(("app.task", None, (Bomb(tmp_path / "ran"),), {}))
    fields = {"data": zlib.compress(data) if deflated else data, "meta": planted, "result": planted}
    bury(redis, 2, **fields)
    redis.xadd("rq:results:dead-0", {"type": 2, "return_value": planted, "exc_string": planted})
    dead = RedisDeadSet(redis)

    jobs = list(dead.jobs("q"))
    details = [dead.details(job) for job in jobs]
    assert dead.retry(jobs[:1]) == dead.purge(jobs[1:]) == 1

    assert [job.job_type for job in jobs] == ["app.task", "app.task"]
    assert [detail and (detail.encoding, detail.args, detail.meta) for detail in details] == [
        ("pickle", None, None)
    ] * 2
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "fields",
    [
        {"data": b"\xff\x00garbage"},
        {"data": b""},
        {"ended_at": "yesterday", "jobctl_attempts": "many", "number_of_retries": "-"},
        {"exc_info": b"\xff"},
        {"jobctl_reason": b"\xff\xfe"},
    ],
)
def test_a_corrupt_job_is_shown_as_far_as_it_can_be(fields: dict[str, object], redis: Redis) -> None:
    bury(redis, 1, **fields)
    job = only(redis)

    details = RedisDeadSet(redis).details(job)

    assert (job.job_id, job.attempts) == ("dead-0", 1)
    assert details is not None
    assert details.job == job


def test_something_else_in_the_place_of_a_job_or_its_results_hides_no_other(redis: Redis) -> None:
    bury(redis, 3)
    redis.set(Job.key_for("dead-0"), "no hash")  # replaces it
    redis.set("rq:results:dead-1", "no stream")
    redis.sadd("rq:queues", b"rq:queue:\xff")
    redis.zadd("rq:failed:q", {b"\xff": -1})
    dead = RedisDeadSet(redis)
    jobs = list(dead.jobs("q"))

    assert [(job.job_id, job.job_type) for job in jobs] == [
        ("dead-2", "app.task"),
        ("dead-1", "app.task"),
        ("dead-0", ""),
        ("\N{REPLACEMENT CHARACTER}", ""),
    ]
    assert dead.queues() == ["q", "\N{REPLACEMENT CHARACTER}"]
    assert all(dead.details(job) is not None for job in jobs[:3])
    assert dead.find(["dead-0", "dead-1"]) == [None, jobs[1]]
    assert dead.retry(jobs) == 2
    assert dead.count("q") == 1


def test_a_job_whose_hash_has_expired_is_listed_without_details_and_can_be_purged(redis: Redis) -> None:
    bury(redis, 1)
    redis.delete(Job.key_for("dead-0"))

    assert (only(redis).job_type, only(redis).died_s) == ("", None)
    assert RedisDeadSet(redis).purge([only(redis)]) == 1
    assert RedisDeadSet(redis).count("q") == 0


def test_jobs_that_die_while_the_list_is_read_repeat_none(redis: Redis) -> None:
    bury(redis, 900)
    listing = RedisDeadSet(redis).jobs("q")
    first = next(listing)
    redis.zadd("rq:failed:q", {f"late-{number}": 5000 + number for number in range(100)})
    ids = [first.job_id, *(job.job_id for job in listing)]

    assert len(ids) == len(set(ids))
    assert set(ids) >= {f"dead-{number}" for number in range(900)}


def test_a_death_that_is_not_dated_is_dated_by_its_result(redis: Redis) -> None:
    bury(redis, 1, ended_at="")
    redis.xadd("rq:results:dead-0", {"type": 2}, id="1700000000500-0")

    assert only(redis).died_s == 1_700_000_000.5


def test_ten_thousand_dead_jobs_are_read_in_few_round_trips(redis: Redis) -> None:
    bury(redis, 10_000)
    before = redis.info("stats")["total_reads_processed"]

    count = sum(1 for _ in RedisDeadSet(redis).jobs("q"))

    assert count == 10_000
    assert redis.info("stats")["total_reads_processed"] - before < 1000  # 20 pages, each read in pieces


def test_a_redis_that_cannot_be_reached_raises_our_error() -> None:
    dead = RedisDeadSet(Redis(unix_socket_path="/nowhere", retry=Retry(NoBackoff(), 0)))
    job = DeadJob("x", "q", "", None, 1, "", "")

    for ask in (
        dead.queues,
        lambda: dead.count("q"),
        lambda: list(dead.jobs("q")),
        lambda: dead.find(["x"]),
        lambda: dead.details(job),
        lambda: dead.retry([job]),
        lambda: dead.purge([job]),
    ):
        with pytest.raises(ServiceUnavailable):
            ask()

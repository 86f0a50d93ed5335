"""Jobs that are read only when somebody looks."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import DefaultSerializer

from jobctl.adapters.rq_jobs import is_untouched, lazy_job, restored_job, run_coroutine


class Reads:
    """Reads a job's hash, and counts how often."""

    def __init__(self, redis: Redis, job: Job) -> None:
        self.count = 0
        self._redis = redis
        self._key = job.key

    def __call__(self) -> Mapping[bytes, bytes]:
        self.count += 1
        return self._redis.hgetall(self._key)  # type: ignore[return-value]


@pytest.fixture
def job(redis: Redis) -> Job:
    return Queue("q", connection=redis).enqueue("operator.add", 1, 2, meta={"colour": "red"}, description="a sum")


@pytest.fixture
def reads(redis: Redis, job: Job) -> Reads:
    return Reads(redis, job)


@pytest.fixture
def lazy(redis: Redis, job: Job, reads: Reads) -> Job:
    return lazy_job(Job, job.id, redis, DefaultSerializer, reads)


def test_a_job_that_nobody_looks_at_is_not_read(lazy: Job, job: Job, reads: Reads) -> None:
    assert (lazy.id, lazy.key) == (job.id, job.key)
    assert is_untouched(lazy)
    assert reads.count == 0


def test_the_first_look_reads_all_of_it_once(lazy: Job, job: Job, reads: Reads) -> None:
    assert (lazy.meta, lazy.description, lazy.args, lazy.func_name) == (job.meta, "a sum", (1, 2), "operator.add")
    assert lazy.to_dict() == job.to_dict()
    assert not is_untouched(lazy)
    assert reads.count == 1


def test_what_was_set_before_the_first_look_stays(lazy: Job) -> None:
    lazy.description = "changed"
    assert not is_untouched(lazy)
    assert (lazy.meta, lazy.description) == ({"colour": "red"}, "changed")


def test_it_is_a_job_of_rqs_class_and_equal_to_it(lazy: Job, job: Job) -> None:
    assert isinstance(lazy, Job)
    assert (type(lazy).__module__, type(lazy).__qualname__) == ("rq.job", "Job")
    assert lazy == job
    assert hash(lazy) == hash(job)
    assert is_untouched(lazy)


def test_what_a_job_does_not_have_is_missing_as_elsewhere(lazy: Job) -> None:
    with pytest.raises(AttributeError, match="no_such_thing"):
        lazy.no_such_thing  # noqa: B018


def test_threads_of_a_job_may_look_at_once(redis: Redis, job: Job) -> None:
    """One of them reads; the others wait for it and see the same."""
    going, go = threading.Event(), threading.Event()

    def slowly() -> Mapping[bytes, bytes]:
        going.set()
        assert go.wait(10)
        return redis.hgetall(job.key)  # type: ignore[return-value]

    lazy, found = lazy_job(Job, job.id, redis, DefaultSerializer, slowly), []
    threads = [threading.Thread(target=lambda: found.append(lazy.meta)) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert going.wait(10)
    go.set()
    for thread in threads:
        thread.join()
    assert found == [{"colour": "red"}] * 4


def test_a_job_that_cannot_be_read_stays_untouched(redis: Redis, job: Job, reads: Reads) -> None:
    redis.hset(job.key, "retries_left", "many")
    lazy = lazy_job(Job, job.id, redis, DefaultSerializer, reads)
    with pytest.raises(ValueError, match="many"):
        lazy.meta  # noqa: B018
    assert is_untouched(lazy)
    redis.hset(job.key, "retries_left", "10")
    assert lazy.retries_left == 10


def test_a_coroutine_runs_where_the_worker_says_and_else_as_rq_has_it(redis: Redis) -> None:
    job = Queue("q", connection=redis).enqueue("support.workers.double_later", 4)
    restored = restored_job(Job, job.id, redis, DefaultSerializer, redis.hgetall(job.key))  # type: ignore[arg-type]
    assert restored.perform() == 8

    def elsewhere(coroutine: object) -> str:
        coroutine.close()  # type: ignore[attr-defined]
        return "elsewhere"

    token = run_coroutine.set(elsewhere)
    try:
        assert restored.perform() == "elsewhere"
    finally:
        run_coroutine.reset(token)

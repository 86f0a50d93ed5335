"""One suite for every dead set: the in-memory double and RQ's registries on a real Redis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from jobctl.adapters.memory import MemoryDeadSet
from jobctl.adapters.redis_dead_set import RedisDeadSet
from jobctl.ports import DeadJob, DeadJobDetails, DeadSet
from support.rq_workers import work_off

TASK = f"{__name__}.fail"


def fail(*args: object, **kwargs: object) -> None:
    raise RuntimeError("on purpose")


@dataclass
class Place:
    dead: DeadSet
    queued: Callable[[str], list[str]]


@pytest.fixture(params=["memory", "redis"])
def place(request: pytest.FixtureRequest) -> Place:
    """Dead jobs a-0, a-1 and a-2 in queue a, the last one the latest, and b-0 in queue b."""
    jobs = [("a", "a-0"), ("a", "a-1"), ("a", "a-2"), ("b", "b-0")]
    if request.param == "memory":
        details = [
            DeadJobDetails(
                DeadJob(job_id, queue, TASK, 1000.0 + number, 1, "", "RuntimeError: on purpose"),
                *("json", 50, [number], {"x": 1}, {"trace": "t"}, "its name", "Traceback\nRuntimeError: on purpose"),
                *(900.0, 950.0, 990.0),
            )
            for number, (queue, job_id) in enumerate(jobs)
        ]
        memory = MemoryDeadSet(details, ["a", "b"])
        return Place(memory, lambda queue: memory.queued[queue])
    redis: Redis = request.getfixturevalue("redis")
    for number, (queue, job_id) in enumerate(jobs):
        Queue(queue, connection=redis, serializer=JSONSerializer).enqueue(
            fail, number, x=1, job_id=job_id, meta={"trace": "t"}, description="its name"
        )
    work_off(redis, "a", "b", serializer=JSONSerializer)
    for number, (queue, job_id) in enumerate(jobs):
        redis.zincrby(f"rq:failed:{queue}", number, job_id)  # as if a second lay between two deaths
    return Place(
        RedisDeadSet(redis), lambda queue: [entry.decode() for entry in redis.lrange(f"rq:queue:{queue}", 0, -1)]
    )


def test_all_queues_and_their_numbers_of_dead_jobs_are_told(place: Place) -> None:
    assert place.dead.queues() == ["a", "b"]
    assert [place.dead.count(queue) for queue in ("a", "b", "nobody")] == [3, 1, 0]


def test_dead_jobs_come_the_latest_first_with_what_they_died_of(place: Place) -> None:
    jobs = list(place.dead.jobs("a"))

    assert [job.job_id for job in jobs] == ["a-2", "a-1", "a-0"]
    assert {(job.queue, job.job_type, job.attempts, job.error) for job in jobs} == {
        ("a", TASK, 1, "RuntimeError: on purpose")
    }
    assert all(job.died_s is not None for job in jobs)
    assert list(place.dead.jobs("nobody")) == []


def test_jobs_are_found_by_id_in_the_order_asked_for(place: Place) -> None:
    found = place.dead.find(["b-0", "nobody", "a-1"])

    assert [job and (job.queue, job.job_id) for job in found] == [("b", "b-0"), None, ("a", "a-1")]


def test_all_about_a_job_includes_its_json_arguments_and_its_traceback(place: Place) -> None:
    (job,) = place.dead.find(["a-1"])
    assert job is not None
    details = place.dead.details(job)

    assert details is not None
    assert details.job == job
    assert (details.encoding, details.args, details.kwargs) == ("json", [1], {"x": 1})
    assert (details.meta, details.description) == ({"trace": "t"}, "its name")
    assert details.traceback.startswith("Traceback")
    assert details.traceback.strip().endswith(job.error)
    assert details.size > 0
    assert details.created_s is not None
    assert details.enqueued_s is not None
    assert details.started_s is not None
    assert details.created_s <= details.enqueued_s <= details.started_s


def test_a_retried_job_is_queued_once_and_dead_no_more(place: Place) -> None:
    jobs = [job for job in place.dead.find(["a-0", "b-0"]) if job is not None]

    assert place.dead.retry(jobs) == 2
    assert place.dead.retry(jobs) == 0
    assert (place.queued("a"), place.queued("b")) == (["a-0"], ["b-0"])
    assert [job.job_id for job in place.dead.jobs("a")] == ["a-2", "a-1"]
    assert place.dead.details(jobs[0]) is None


def test_a_purged_job_is_gone(place: Place) -> None:
    jobs = [job for job in place.dead.find(["a-0", "b-0"]) if job is not None]

    assert place.dead.purge(jobs) == 2
    assert place.dead.purge(jobs) == 0
    assert place.dead.retry(jobs) == 0
    assert place.dead.find(["a-0", "b-0"]) == [None, None]
    assert (place.queued("a"), place.queued("b")) == ([], [])
    assert [job.job_id for job in place.dead.jobs("a")] == ["a-2", "a-1"]

"""One suite for every job queue with a fleet behind it: the in-memory double and RQ on a real Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from redis import Redis
from rq.serializers import JSONSerializer

from jobctl.adapters.memory import MemoryFleet, VirtualClock
from jobctl.adapters.rq_queue import RqCompletions, RqQueue
from jobctl.errors import ServiceUnavailable
from jobctl.ports import Completions, JobQueue, JobRequest
from support.rq_workers import work_off

FAILING = f"{__name__}.fail"
WORKING = f"{__name__}.work"


def work() -> str:
    return "done"


def fail() -> None:
    raise RuntimeError("on purpose")


@dataclass
class Fleet:
    queue: JobQueue
    completions: Completions
    run_all: Callable[[], object]
    break_down: Callable[[], object]


@pytest.fixture(params=["memory", "rq"])
def fleet(request: pytest.FixtureRequest) -> Iterator[Fleet]:
    if request.param == "memory":
        clock = VirtualClock(1000.0)
        memory = MemoryFleet(clock, slots=2, service_s=lambda _: 1.0, fails=lambda job: job.function == FAILING)
        memory_queue = _NotYet(memory)
        yield Fleet(
            memory_queue,
            memory,
            lambda: (memory_queue.let_in(), clock.sleep(60)),
            lambda: setattr(memory, "refusing", True),
        )
        return
    redis: Redis = request.getfixturevalue("redis")
    fleet = Fleet(
        RqQueue(redis, "q", result_ttl_s=600, failure_ttl_s=600),
        RqCompletions(redis, ["q"]),
        lambda: work_off(redis, "q", serializer=JSONSerializer),
        lambda: setattr(fleet, "queue", RqQueue(Redis(unix_socket_path="/nowhere"), "q")),
    )
    yield fleet


class _NotYet:
    """Keeps jobs waiting until the fleet is let loose: the double would start them at once."""

    def __init__(self, fleet: MemoryFleet) -> None:
        self._fleet = fleet
        self._waiting: list[JobRequest] = []

    def enqueue_many(self, requests: list[JobRequest]) -> None:
        if self._fleet.refusing:
            self._fleet.enqueue_many(requests)
        self._waiting.extend(requests)

    def backlog(self) -> int:
        return len(self._waiting) + self._fleet.backlog()

    def let_in(self) -> None:
        self._fleet.enqueue_many(self._waiting)
        self._waiting = []


def requests(count: int, function: str = WORKING, prefix: str = "job") -> list[JobRequest]:
    return [JobRequest(f"{prefix}-{number}", function) for number in range(count)]


def test_jobs_that_were_enqueued_wait(fleet: Fleet) -> None:
    fleet.queue.enqueue_many(requests(3))

    assert fleet.queue.backlog() == 3
    assert fleet.completions.newly_ended() == []


def test_jobs_that_ran_are_told_once_they_ended(fleet: Fleet) -> None:
    fleet.queue.enqueue_many(requests(3))
    fleet.run_all()

    assert fleet.queue.backlog() == 0
    assert set(fleet.completions.newly_ended()) == {"job-0", "job-1", "job-2"}


def test_the_worker_of_a_job_is_still_told_after_the_job_has_ended(fleet: Fleet) -> None:
    fleet.queue.enqueue_many([*requests(1), JobRequest("bad", FAILING)])
    fleet.run_all()

    ended = fleet.completions.look_up(["job-0", "bad"])
    assert [completion.status for completion in ended] == ["finished", "failed"]
    assert len({completion.worker for completion in ended}) == 1
    assert ended[0].worker


def test_a_job_that_succeeded_has_its_instants_in_order_and_one_success(fleet: Fleet) -> None:
    fleet.queue.enqueue_many(requests(1))
    fleet.run_all()

    (completion,) = fleet.completions.look_up(["job-0"])
    assert completion.status == "finished"
    assert completion.started_s is not None
    assert completion.finished_s is not None
    assert completion.started_s <= completion.finished_s
    assert (completion.successes, completion.retries) == (1, 0)


def test_a_job_that_failed_says_so_and_has_no_success(fleet: Fleet) -> None:
    fleet.queue.enqueue_many(requests(1, FAILING))
    fleet.run_all()

    (completion,) = fleet.completions.look_up(["job-0"])
    assert (completion.status, completion.successes) == ("failed", 0)
    assert completion.finished_s is not None
    assert fleet.completions.newly_ended() == ["job-0"]


def test_completions_come_in_the_order_asked_for_and_unknown_jobs_have_no_status(fleet: Fleet) -> None:
    fleet.queue.enqueue_many(requests(2))
    fleet.run_all()

    found = fleet.completions.look_up(["job-1", "nobody", "job-0"])
    assert [completion.job_id for completion in found] == ["job-1", "nobody", "job-0"]
    assert [completion.status for completion in found] == ["finished", None, "finished"]


def test_a_job_that_is_nowhere_is_not_known(fleet: Fleet) -> None:
    assert fleet.completions.still_known(["nobody"]) == set()


def test_a_queue_that_cannot_be_reached_raises_our_error_not_the_drivers(fleet: Fleet) -> None:
    fleet.break_down()

    with pytest.raises(ServiceUnavailable):
        fleet.queue.enqueue_many(requests(1))


def test_jobs_wait_in_the_queue_they_ask_for_and_in_the_first_one_otherwise(redis: Redis) -> None:
    queue = RqQueue(redis, "urgent", others=["bulk"])
    queue.enqueue_many(
        [JobRequest("j-1", WORKING), JobRequest("j-2", WORKING, queue="bulk"), JobRequest("j-3", WORKING)]
    )

    waiting = {name: redis.lrange(f"rq:queue:{name}", 0, -1) for name in ("urgent", "bulk")}
    assert waiting == {"urgent": [b"j-1", b"j-3"], "bulk": [b"j-2"]}
    assert queue.backlog() == 3

    work_off(redis, "bulk", serializer=JSONSerializer)
    assert queue.backlog() == 2
    assert RqCompletions(redis, ["urgent", "bulk"]).newly_ended() == ["j-2"]

"""What is left in Redis of a job that our worker ran, beside what RQ's own SimpleWorker leaves of the same job."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from redis import Redis
from rq import Callback, Queue, Repeat, Retry, SimpleWorker, get_current_job
from rq.group import Group
from rq.rate_limit import RateLimit
from rq.worker import BaseWorker

from jobctl.adapters.rq_worker import Worker
from support import workers
from support.workers import add, fail, forget, note, save_meta

fresh = pytest.fixture(autouse=True)(forget)

#: What ours writes besides: which attempt it was, and how far the worker's clock is from Redis'.
OURS: Final = {"jobctl_attempts", "jobctl_clock"}
#: Values that differ from run to run: instants, and ids of executions.
INSTANTS: Final = re.compile(
    rb"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z|\d{10}\.\d{1,7}|0\.\d{1,7}|[0-9a-f]{32}|\d+e-\d+)$"
)


class Stock(SimpleWorker):
    """RQ's, without its command channel, which takes a second to leave."""

    def subscribe(self) -> None: ...

    def unsubscribe(self) -> None: ...


def on_success(job: Any, connection: Redis, result: Any) -> None:
    note(result)


def on_failure(job: Any, connection: Redis, *error: Any) -> None:
    note("failed")


def return_a_retry() -> Retry:
    return Retry(max=2, interval=100)


def delete_itself() -> None:
    job = get_current_job()
    assert job is not None
    job.delete()


def cancel_itself() -> None:
    job = get_current_job()
    assert job is not None
    job.cancel()


def return_what_cannot_be_packed() -> Iterator[int]:
    return (number for number in range(3))


def plain(queue: Queue) -> None:
    queue.enqueue(add, 1, 2, job_id="j", meta={"a": 1})


def chain(queue: Queue) -> None:
    first = queue.enqueue(add, 1, 2, job_id="j")
    queue.enqueue(add, 3, 4, job_id="k", depends_on=first)


def group(queue: Queue) -> None:
    data = [Queue.prepare_data(add, args=(number, 1), job_id=f"j{number}") for number in range(2)]
    Group.create(connection=queue.connection, name="g").enqueue_many(queue, data)


SCENARIOS: Final[dict[str, Callable[[Queue], object]]] = {
    "a plain success": plain,
    "nothing returned": lambda queue: queue.enqueue(note, 1, job_id="j"),
    "a result kept for ever": lambda queue: queue.enqueue(add, 1, 2, job_id="j", result_ttl=-1),
    "a result not kept": lambda queue: queue.enqueue(add, 1, 2, job_id="j", result_ttl=0),
    "a result that cannot be packed": lambda queue: queue.enqueue(return_what_cannot_be_packed, job_id="j"),
    "a job that would have expired": lambda queue: queue.enqueue(add, 1, 2, job_id="j", ttl=50),
    "a coroutine": lambda queue: queue.enqueue(workers.double_later, 4, job_id="j"),
    "a failure": lambda queue: queue.enqueue(fail, job_id="j", failure_ttl=77),
    "a failure that is retried at once": lambda queue: queue.enqueue(fail, job_id="j", retry=Retry(max=1)),
    "a failure with a callback": lambda queue: queue.enqueue(fail, job_id="j", on_failure=Callback(on_failure)),
    "a success with a callback": lambda queue: queue.enqueue(add, 1, 2, job_id="j", on_success=Callback(on_success)),
    "a job that returns a retry": lambda queue: queue.enqueue(return_a_retry, job_id="j"),
    "a repeated job": lambda queue: queue.enqueue(add, 1, 2, job_id="j", repeat=Repeat(times=1, interval=90)),
    "a job with a dependent": chain,
    "a group": group,
    "a rate limited job": lambda queue: queue.enqueue(add, 1, 2, job_id="j", rate_limit=RateLimit("k", 1)),
    "meta saved inside": lambda queue: queue.enqueue(save_meta, "a", "b", job_id="j"),
    "a job that cancels itself": lambda queue: queue.enqueue(cancel_itself, job_id="j"),
}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_both_workers_leave_the_same_keys_fields_and_lifetimes(redis: Redis, scenario: str) -> None:
    stock, ours = (run(kind, redis, SCENARIOS[scenario]) for kind in (Stock, Worker))
    assert sorted(ours) == sorted(stock)
    for key in stock:
        assert ours[key] == stock[key], key


def test_of_a_job_that_deletes_itself_ours_leaves_nothing_where_rqs_leaves_a_finished_one(redis: Redis) -> None:
    def enqueue(queue: Queue) -> object:
        return queue.enqueue(delete_itself, job_id="j")

    assert {"rq:job:j", "rq:results:j", "rq:finished:q"} <= run(Stock, redis, enqueue).keys()
    assert [key for key in run(Worker, redis, enqueue) if key.endswith((":j", ":q"))] == []


def run(kind: type[BaseWorker], redis: Redis, enqueue: Callable[[Queue], object]) -> dict[str, Any]:
    """Run jobs by a worker; what is left then."""
    redis.flushall()
    queue = Queue("q", connection=redis)
    enqueue(queue)
    kind([queue], connection=redis, name="w").work(burst=True, logging_level="CRITICAL")
    return {key.decode(): left(redis, key) for key in redis.scan_iter() if b":scheduler" not in key}


def left(redis: Redis, key: bytes) -> tuple[str, int, Any]:
    """A key's type, its lifetime in tens of seconds, and its value without what differs from run to run."""
    kind = redis.type(key).decode()
    lifetime = round(redis.ttl(key) / 10)
    match kind:
        case "hash":
            return kind, lifetime, fields(redis.hgetall(key))  # type: ignore[arg-type]
        case "zset":
            members = redis.zrange(key, 0, -1, withscores=True)
            return kind, lifetime, {member: since_now(score, redis) for member, score in members}
        case "stream":
            return kind, lifetime, [fields(entry) for _, entry in redis.xrange(key)]
        case "set":
            return kind, lifetime, redis.smembers(key)
        case "list":
            return kind, lifetime, redis.lrange(key, 0, -1)
    return kind, lifetime, redis.get(key)


def fields(values: dict[bytes, bytes]) -> dict[str, bytes]:
    kept = {name.decode(): value for name, value in values.items() if name.decode() not in OURS}
    if "exc_string" in kept:  # its lines name other frames
        kept["exc_string"] = b"some"
    return {name: b"..." if INSTANTS.match(value) else value for name, value in kept.items()}


def since_now(score: float, redis: Redis) -> float:
    """A score of tens of seconds from now."""
    return score if score == float("inf") else round((score - redis.time()[0]) / 10)

"""What RQ still knows of the jobs that ran: when they came, when they began and how long they took.

RQ forgets a finished job after its ``result_ttl`` (500 s unless told otherwise) and a failed one after a year, so the
books are complete only from some instant on: now less the shortest time for which any job was kept, or where reading
stopped. What ended before it says nothing about rates and mixes, for others like it are gone, and is left out.

Everything is read in pages, newest first, up to a number of jobs and of bytes. Nothing is unpickled: the type of a job
is read from the first opcodes of its data, and of results only their instants are looked at.
"""

# mypy: allow-untyped-calls

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.job import Job
from rq.registry import BaseRegistry, FailedJobRegistry, FinishedJobRegistry, StartedJobRegistry
from rq.results import Result
from rq.worker_registration import WORKERS_BY_QUEUE_KEY

from jobctl.adapters.redis_connection import translated
from jobctl.adapters.rq_time import epoch_s
from jobctl.core.evidence import SeenJob
from jobctl.core.job_data import job_type
from jobctl.core.units import format_duration
from jobctl.errors import ServiceUnavailable

__all__ = ["History", "RqHistory"]

#: Jobs in one round trip.
_PAGE: Final = 200
#: Where reading stops, bytes: arguments and results travel with the jobs.
_MOST_BYTES: Final = 256 << 20
#: Data of a job beyond this is not fetched for the sake of its type, bytes.
_LARGEST_DATA: Final = 64 << 10
_FIELDS: Final = (
    "created_at",
    "enqueued_at",
    "started_at",
    "ended_at",
    "number_of_retries",
    "retries_left",
    "jobctl_attempts",
    "jobctl_failed_s",
)
_OPTION: Final = "--from"
#: The stream of a job's results, as redis-py gives it.
_Results = Sequence[tuple[bytes, dict[bytes, bytes]]]


@dataclass(frozen=True, slots=True)
class History:
    """The jobs of some queues.

    Attributes:
        jobs: Those that ended while the books are complete, and those that wait or run.
        complete_from_s: Since when the books hold every arrival, seconds since the epoch; infinite for never, and then
            ``jobs`` are some that succeeded.
        workers: Workers that listen to the queues now.
        notes: What somebody should know who relies on it, one sentence each.
    """

    jobs: tuple[SeenJob, ...]
    complete_from_s: float
    workers: int
    notes: tuple[str, ...]


class _Entry(NamedTuple):
    """A job in a registry, with the instant at which it is forgotten; infinite for never."""

    job_id: str
    forgotten_s: float


class _Registry(NamedTuple):
    """The newest jobs of a registry of all queues, and how many there are."""

    entries: list[_Entry]
    in_all: int


class _Ended(NamedTuple):
    """A job, when it ended, for how long it is kept, and whether retries of it may be untold."""

    job: SeenJob
    ended_s: float
    kept_s: float
    is_vague: bool


class RqHistory:
    """The past of RQ's queues on one Redis.

    Args:
        connection: Redis; answers undecoded.
        most: Jobs of each kind (finished, failed, open) that are read at most, the newest.
    """

    def __init__(self, connection: Redis, *, most: int = 20_000) -> None:
        self._connection = connection
        self._most = most
        self._bytes = 0

    def read(self, queue: str | None = None) -> History:
        """Read what is known.

        Args:
            queue: The name of one queue; None for all.

        Raises:
            ServiceUnavailable: Redis did not answer, or RQ knows no finished job.
        """
        with translated(_OPTION):
            queues = [queue] if queue is not None else self._queue_names()
            now_s = self._now_s()
            registry = self._registry(FinishedJobRegistry, queues)
            finished, is_whole = self._read(registry, succeeded=True)
            if not finished:
                raise _nothing(queue)
            since_s = _complete_from_s(finished, is_whole, now_s)
            failed: list[_Ended] = []
            if since_s < math.inf:
                failed, is_whole = self._read(
                    self._registry(FailedJobRegistry, queues), succeeded=False, since_s=since_s
                )
                since_s = max(since_s, _complete_from_s(failed, is_whole, now_s))
            waiting = self._open(queues)
            workers = self._workers(queues)
        recent = [ended for ended in (*finished, *failed) if ended.ended_s >= since_s]
        if not recent:
            since_s, recent = math.inf, finished
        return History(
            jobs=(*(ended.job for ended in recent), *waiting),
            complete_from_s=since_s,
            workers=workers,
            notes=_notes(len(finished), registry.in_all, recent, now_s - since_s),
        )

    def _queue_names(self) -> list[str]:
        keys = cast(set[bytes], self._connection.smembers(Queue.redis_queues_keys))
        return sorted(_text(key).removeprefix(Queue.redis_queue_namespace_prefix) for key in keys)

    def _now_s(self) -> float:
        seconds, microseconds = self._connection.time()
        return seconds + microseconds / 1e6

    def _registry(self, kind: type[BaseRegistry], queues: Sequence[str]) -> _Registry:
        with self._connection.pipeline(transaction=False) as pipeline:
            for queue in queues:
                key = kind(queue, connection=self._connection).key
                pipeline.zcard(key)
                pipeline.zrevrange(key, 0, self._most - 1, withscores=True)
            answers = pipeline.execute()
        entries = [_Entry(_text(member), score) for members in answers[1::2] for member, score in members]
        entries.sort(key=lambda entry: entry.forgotten_s, reverse=True)
        return _Registry(entries[: self._most], sum(answers[::2]))

    def _read(self, registry: _Registry, *, succeeded: bool, since_s: float = -math.inf) -> tuple[list[_Ended], bool]:
        """The jobs of a registry that still exist, page by page, and whether they are all that ended since an instant.

        A whole page of earlier ones ends the reading, and so do too many bytes.
        """
        found: list[_Ended] = []
        for first in range(0, len(registry.entries), _PAGE):
            if self._bytes > _MOST_BYTES:
                return found, False
            page = self._page(registry.entries[first : first + _PAGE], succeeded)
            found += page
            if page and all(ended.ended_s < since_s for ended in page):
                return found, True
        return found, len(registry.entries) == registry.in_all

    def _page(self, entries: Sequence[_Entry], succeeded: bool) -> list[_Ended]:
        with self._connection.pipeline(transaction=False) as pipeline:
            for entry in entries:
                pipeline.hmget(Job.key_for(entry.job_id), _FIELDS)
                pipeline.xrevrange(Result.get_key(entry.job_id), count=1)
                pipeline.hstrlen(Job.key_for(entry.job_id), "data")
            answers = [_known(answer) for answer in pipeline.execute(raise_on_error=False)]
        fields, results, lengths = answers[::3], answers[1::3], answers[2::3]
        types = self._types([entry.job_id for entry in entries], lengths)
        self._bytes += sum(len(value) for result in results for _, values in result or () for value in values.values())
        return [
            ended
            for entry, had, result, named in zip(entries, fields, results, types, strict=True)
            if had is not None and (ended := _ended(entry, had, result or (), named, succeeded)) is not None
        ]

    def _types(self, job_ids: Sequence[str], lengths: Sequence[int | None]) -> list[str]:
        """What the jobs call; empty where the data is too long to be fetched for that."""
        short = [job_id for job_id, length in zip(job_ids, lengths, strict=True) if length and length <= _LARGEST_DATA]
        with self._connection.pipeline(transaction=False) as pipeline:
            for job_id in short:
                pipeline.hget(Job.key_for(job_id), "data")
            data = [_known(answer) or b"" for answer in pipeline.execute(raise_on_error=False)]
        self._bytes += sum(map(len, data))
        named = {job_id: job_type(value) for job_id, value in zip(short, data, strict=True)}
        return [named.get(job_id, "") for job_id in job_ids]

    def _open(self, queues: Sequence[str]) -> list[SeenJob]:
        """Jobs that wait or run: they have arrived, and that is all they tell."""
        with self._connection.pipeline(transaction=False) as pipeline:
            for name in queues:
                queue = Queue(name, connection=self._connection)
                pipeline.lrange(queue.key, 0, self._most - 1)
                pipeline.lrange(queue.intermediate_queue_key, 0, self._most - 1)
                pipeline.zrange(StartedJobRegistry(name, connection=self._connection).key, 0, self._most - 1)
            answers = pipeline.execute()
            waiting = [_text(member) for members in (*answers[::3], *answers[1::3]) for member in members]
            running = [_job_of(_text(member)) for members in answers[2::3] for member in members]
            for job_id in list(dict.fromkeys([*waiting, *running]))[: self._most]:
                pipeline.hmget(Job.key_for(job_id), _FIELDS)
            fields = [_known(answer) for answer in pipeline.execute(raise_on_error=False)]
        return [SeenJob(arrival_s=_arrival_s(had), succeeded=False, attempts=0) for had in fields if had is not None]

    def _workers(self, queues: Sequence[str]) -> int:
        with self._connection.pipeline(transaction=False) as pipeline:
            for queue in queues:
                pipeline.smembers(WORKERS_BY_QUEUE_KEY % queue)
            keys = set().union(*pipeline.execute())
        return self._connection.exists(*keys) if keys else 0


def _complete_from_s(jobs: Sequence[_Ended], is_whole: bool, now_s: float) -> float:
    """Since when none that ended is missing: infinite for never, minus infinite for ever."""
    if not jobs:
        return -math.inf
    since_s = now_s - min(ended.kept_s for ended in jobs)
    if is_whole:
        return since_s
    if any(ended.kept_s == math.inf for ended in jobs):
        return math.inf  # what is kept for ever is in no order: these are some, not the newest
    return max(since_s, min(ended.ended_s for ended in jobs))


def _ended(
    entry: _Entry, fields: Sequence[bytes | None], results: _Results, named: str, succeeded: bool
) -> _Ended | None:
    """A job of a registry; None when its hash is gone or holds no end."""
    started_s, ended_s = epoch_s(fields[2]), epoch_s(fields[3])
    if ended_s is None:
        return None
    for _, result in results:  # the execution itself, where RQ 3 wrote it
        started_s = _number(result.get(b"execution_started_at"), float) or started_s
    retries, enqueued_s = _retries(fields), epoch_s(fields[1])
    seen = SeenJob(
        job_type=named,
        arrival_s=_arrival_s(fields),
        wait_s=None if retries or started_s is None or enqueued_s is None else max(0.0, started_s - enqueued_s),
        service_s=None if started_s is None else max(0.0, ended_s - started_s),
        succeeded=succeeded,
        attempts=retries + 1,
        failed_attempts=retries + (not succeeded),
        earlier_s=_number(fields[7], float) or 0.0,
    )
    is_vague = fields[6] is None and fields[5] is not None
    return _Ended(seen, ended_s, entry.forgotten_s - ended_s, is_vague)


def _retries(fields: Sequence[bytes | None]) -> int:
    """Attempts before the last one, as far as they were counted."""
    return max(_number(fields[4], int) or 0, (_number(fields[6], int) or 1) - 1, 0)


def _arrival_s(fields: Sequence[bytes | None]) -> float | None:
    """When a job first entered its queue; for one that was retried, when it was made."""
    created_s, enqueued_s = epoch_s(fields[0]), epoch_s(fields[1])
    return created_s if enqueued_s is None or (_retries(fields) and created_s is not None) else enqueued_s


def _notes(read: int, in_all: int, jobs: Sequence[_Ended], span_s: float) -> tuple[str, ...]:
    """What limits these jobs."""
    notes = [f"read {read:,} finished jobs" + (f", the newest of {in_all:,}" if read < in_all else "")]
    if span_s == -math.inf:
        notes = [f"read {read:,} finished jobs of {in_all:,}; they are in no order of time, so they tell no rates"]
    elif span_s < math.inf:
        notes.append(f"RQ forgets a job after its result_ttl: these are all of the last {format_duration(span_s)}")
    if any(ended.is_vague for ended in jobs):
        notes.append("RQ's own worker keeps no count of retries: of each job only the last attempt is counted")
    return tuple(notes)


def _nothing(queue: str | None) -> ServiceUnavailable:
    where = "any queue" if queue is None else f"queue {queue!r}"
    return ServiceUnavailable(
        _OPTION,
        f"RQ knows no finished job of {where}",
        "let some run; RQ forgets each after its result_ttl, 500 s unless told otherwise",
    )


def _job_of(member: str) -> str:
    """The job of an execution, which RQ names ``job:execution``."""
    return member.rpartition(":")[0] or member


def _number(text: bytes | None, kind: Callable[[bytes], Any]) -> Any:
    """A finite number that Redis holds as text; None when it is none."""
    try:
        value = kind(text) if text else None
    except ValueError:
        return None
    return value if value is not None and math.isfinite(value) else None


def _known(answer: Any) -> Any:
    """An answer; None where somebody has put something else in the place of a job: the others are still read."""
    return None if isinstance(answer, RedisError) else answer


def _text(data: bytes) -> str:
    return data.decode(errors="replace")

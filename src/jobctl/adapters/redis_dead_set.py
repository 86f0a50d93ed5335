"""The dead set: RQ's registries of failed jobs, which ``rq info``, ``rq requeue`` and rq-dashboard see as well.

Everything is read in pages, some hundred jobs in one round trip, and nothing is unpickled. Each change is one script
for a batch of jobs, so a job that two people retry at once enters its queue once.
"""

# mypy: allow-untyped-calls

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, cast

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.defaults import RQ_KEY_PREFIX
from rq.job import Job
from rq.registry import FailedJobRegistry
from rq.results import Result

from jobctl.adapters.redis_connection import translated
from jobctl.adapters.redis_script import ServerScript
from jobctl.adapters.rq_entry import entry_script, let_in
from jobctl.adapters.rq_time import epoch_s, rq_time
from jobctl.core.job_data import inflate, job_type, read_job_data, read_value
from jobctl.ports import DeadJob, DeadJobDetails

__all__ = ["RedisDeadSet"]

#: Jobs in one round trip.
_PAGE: Final = 500
#: Fields of a job's hash that its short form is made of.
_SHORT: Final = ("data", "ended_at", "jobctl_attempts", "number_of_retries", "jobctl_reason", "exc_info")
#: The longest error shown in short, characters.
_LONGEST_ERROR: Final = 200


class RedisDeadSet:
    """The dead jobs of all queues.

    Args:
        connection: Redis.
    """

    def __init__(self, connection: Redis) -> None:
        self._connection = connection
        self._retry = entry_script(connection, "dead_retry")
        self._purge = entry_script(connection, "dead_purge")

    def queues(self) -> list[str]:
        """The names of all queues, in order.

        Raises:
            ServiceUnavailable: Redis did not answer; so do all methods.
        """
        with translated():
            keys = cast(set[bytes], self._connection.smembers(Queue.redis_queues_keys))
        return sorted(_text(key).removeprefix(Queue.redis_queue_namespace_prefix) for key in keys)

    def count(self, queue: str) -> int:
        """How many jobs of a queue are dead."""
        with translated():
            return int(self._connection.zcard(self._registry(queue)))

    def jobs(self, queue: str) -> Iterator[DeadJob]:
        """The dead jobs of a queue, the latest first; one that dies meanwhile may be missing."""
        last_page: frozenset[str] = frozenset()
        first = 0
        while True:
            with translated():
                members = self._connection.zrevrange(self._registry(queue), first, first + _PAGE - 1)
            ids = [_text(member) for member in cast(list[bytes], members)]
            if not ids:
                return
            # Those that died since the last page have pushed its end into this one.
            yield from self._read([(queue, job_id) for job_id in ids if job_id not in last_page])
            last_page = frozenset(ids)
            first += len(ids)

    def find(self, job_ids: Sequence[str]) -> list[DeadJob | None]:
        """These jobs, in the same order; None for each that is not dead."""
        found: list[DeadJob | None] = []
        for first in range(0, len(job_ids), _PAGE):
            found += self._find(job_ids[first : first + _PAGE])
        return found

    def _find(self, job_ids: Sequence[str]) -> list[DeadJob | None]:
        with translated(), self._connection.pipeline(transaction=False) as pipeline:
            for job_id in job_ids:
                pipeline.hget(Job.key_for(job_id), "origin")
            queues = [_text(_or_empty(origin, None)) for origin in pipeline.execute(raise_on_error=False)]
            for job_id, queue in zip(job_ids, queues, strict=True):
                pipeline.zscore(self._registry(queue), job_id)
            scores = pipeline.execute()
        dead = [score is not None for score in scores]
        places = zip(queues, job_ids, dead, strict=True)
        jobs = self._read([(queue, job_id) for queue, job_id, is_dead in places if is_dead])
        return [next(jobs) if is_dead else None for is_dead in dead]

    def details(self, job: DeadJob) -> DeadJobDetails | None:
        """All about one; None when it is not dead any more."""
        with translated(), self._connection.pipeline(transaction=False) as pipeline:
            pipeline.zscore(self._registry(job.queue), job.job_id)
            pipeline.hgetall(Job.key_for(job.job_id))
            pipeline.xrevrange(Result.get_key(job.job_id), count=1)
            score, fields, results = pipeline.execute(raise_on_error=False)
        if score is None:
            return None
        fields, results = _or_empty(fields, {}), _or_empty(results, [])
        data = read_job_data(fields.get(b"data", b""))
        return DeadJobDetails(
            job=_dead_job(job.job_id, job.queue, [fields.get(name.encode()) for name in _SHORT], results),
            encoding=data.encoding,
            size=data.size,
            args=data.args,
            kwargs=data.kwargs,
            meta=read_value(fields.get(b"meta", b"")),
            description=_text(fields.get(b"description")),
            traceback=_traceback(results, fields.get(b"exc_info")),
            created_s=epoch_s(fields.get(b"created_at")),
            enqueued_s=epoch_s(fields.get(b"enqueued_at")),
            started_s=epoch_s(fields.get(b"started_at")),
        )

    def retry(self, jobs: Sequence[DeadJob]) -> int:
        """Put jobs at the end of their queues with all their attempts; how many were still dead."""
        return self._change(self._retry, jobs)

    def purge(self, jobs: Sequence[DeadJob]) -> int:
        """Remove jobs and all that is kept of them; how many were still dead."""
        return self._change(self._purge, jobs)

    def _change(self, script: ServerScript, jobs: Sequence[DeadJob]) -> int:
        changed = 0
        with translated():
            for first in range(0, len(jobs), _PAGE):
                places = [word for job in jobs[first : first + _PAGE] for word in (job.queue, job.job_id)]
                count, *limits = script([RQ_KEY_PREFIX, rq_time(time.time()), *places])
                let_in(self._connection, limits)
                changed += count
        return changed

    def _read(self, places: Sequence[tuple[str, str]]) -> Iterator[DeadJob]:
        """The jobs at these queues and ids, in one round trip."""
        with translated(), self._connection.pipeline(transaction=False) as pipeline:
            for _, job_id in places:
                pipeline.hmget(Job.key_for(job_id), _SHORT)
                pipeline.xrevrange(Result.get_key(job_id), count=1)
            answers = pipeline.execute(raise_on_error=False)
        for (queue, job_id), fields, results in zip(places, answers[::2], answers[1::2], strict=True):
            yield _dead_job(job_id, queue, _or_empty(fields, [None] * len(_SHORT)), _or_empty(results, []))

    def _registry(self, queue: str) -> str:
        return str(FailedJobRegistry(queue, connection=self._connection).key)


Results = Sequence[tuple[bytes, dict[bytes, bytes]]]


def _dead_job(job_id: str, queue: str, fields: Sequence[bytes | None], results: Results) -> DeadJob:
    data, ended_at, attempts, retries, reason, exc_info = fields
    lines = _traceback(results, exc_info).strip().splitlines()
    died_s = epoch_s(ended_at)
    if died_s is None and results:
        died_s = int(results[0][0].partition(b"-")[0]) / 1000  # RQ's clean-up writes a result and no end
    return DeadJob(
        job_id=job_id,
        queue=queue,
        job_type=job_type(data or b""),
        died_s=died_s,
        attempts=_whole(attempts) or _whole(retries) + 1,
        reason=_text(reason),
        error=lines[-1][:_LONGEST_ERROR] if lines else "",
    )


def _or_empty(answer: Any, empty: Any) -> Any:
    """An answer, or nothing where somebody has put something else in the place of a job: the others are still shown."""
    return empty if isinstance(answer, RedisError) else answer


def _traceback(results: Results, exc_info: bytes | None) -> str:
    """The last error: from its last result, or where RQ before 1.13 put it."""
    packed = results[0][1].get(b"exc_string") if results else None
    try:
        deflated = base64.b64decode(packed) if packed else exc_info or b""
    except binascii.Error:
        return ""
    return _text(inflate(deflated))


def _text(data: bytes | None) -> str:
    """What Redis holds as text; anything may be there."""
    return (data or b"").decode(errors="replace")


def _whole(text: bytes | None) -> int:
    return int(text) if text and text.isdigit() else 0

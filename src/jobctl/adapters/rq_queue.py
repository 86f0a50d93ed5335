"""RQ as a place to put jobs and to see what became of them, by RQ's own data model.

Nothing here unpickles anything, imports a job's function or triggers RQ's registry clean-up (which a mere
``registry.count`` does), so it is safe and cheap beside any worker, stock RQ's included.
"""

from __future__ import annotations

import base64
import json
import math
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, cast

from redis import Redis
from rq import Queue
from rq.defaults import RQ_KEY_PREFIX
from rq.executions import ExecutionRegistry
from rq.job import Job
from rq.registry import (
    CanceledJobRegistry,
    DeferredJobRegistry,
    FailedJobRegistry,
    FinishedJobRegistry,
    ScheduledJobRegistry,
    StartedJobRegistry,
)
from rq.results import Result
from rq.serializers import JSONSerializer
from rq.worker_registration import WORKERS_BY_QUEUE_KEY

from jobctl.adapters.redis_connection import translated
from jobctl.adapters.rq_mould import JobMould
from jobctl.adapters.rq_time import epoch_s
from jobctl.core.clocks import ClockOffset, parse_offset
from jobctl.ports import Completion, JobRequest

__all__ = ["RqCompletions", "RqQueue", "count_listeners"]

#: Registry scores are whole seconds of several clocks: look back this far for late entries, and as far as those differ.
_MARGIN_S: Final = 2
_FIELDS: Final = (
    "status",
    "started_at",
    "ended_at",
    "number_of_retries",
    "jobctl_attempts",
    "jobctl_failed_s",
    "enqueued_at",
    "worker_name",
)
_CHUNK: Final = 500
_LONGEST_ERROR: Final = 200
_REGISTRIES: Final = (
    StartedJobRegistry,
    FinishedJobRegistry,
    FailedJobRegistry,
    ScheduledJobRegistry,
    DeferredJobRegistry,
    CanceledJobRegistry,
)
_ENDED: Final = frozenset({b"finished", b"failed"})
_SUCCESSFUL: Final = str(Result.Type.SUCCESSFUL.value).encode()


#: See :class:`RqQueue`.
Publishing = Callable[[str, Sequence[str]], AbstractContextManager[Mapping[str, Any]]]


class RqQueue:
    """A queue of RQ, or several. Its jobs are JSON; RQ's own workers run them with ``--serializer json``.

    Args:
        connection: Redis.
        name: The queue's name.
        others: Names of further queues, for jobs that ask for one of them.
        result_ttl_s: How long finished jobs and their results are kept, seconds; RQ's default when None.
        failure_ttl_s: How long failed ones are, likewise.
        publishing: Put around the enqueueing of some jobs, by the queue's name and their ids; gives what to attach to
            each of them.
        counted: Where the enqueued jobs are counted by queue, a hash in Redis; nowhere when None.
    """

    def __init__(
        self,
        connection: Redis,
        name: str,
        *,
        others: Sequence[str] = (),
        result_ttl_s: int | None = None,
        failure_ttl_s: int | None = None,
        publishing: Publishing | None = None,
        counted: str | None = None,
    ) -> None:
        self._queues = {
            queue: Queue(queue, connection=connection, serializer=JSONSerializer) for queue in (name, *others)
        }
        self._name = name
        self._connection = connection
        self._result_ttl_s = result_ttl_s
        self._failure_ttl_s = failure_ttl_s
        self._publishing = publishing
        self._counted = counted
        self._moulds: dict[tuple[str, str, int], JobMould] = {}

    def enqueue_many(self, requests: Sequence[JobRequest]) -> None:
        """Enqueue all of them in one round trip.

        Raises:
            ServiceUnavailable: Redis did not take them.
            TypeError: JSON cannot express an argument.
        """
        if self._publishing is None:
            self._enqueue(requests, None)
            return
        with self._publishing(self._name, [request.job_id for request in requests]) as meta:
            self._enqueue(requests, dict(meta) or None)

    def _enqueue(self, requests: Sequence[JobRequest], meta: dict[str, Any] | None) -> None:
        now_s = time.time()
        ids: dict[str, list[str]] = {}
        with translated(), self._connection.pipeline() as pipeline:
            for request in requests:
                name = request.queue or self._name
                fields = self._mould(name, request, meta).cast(request.args, request.kwargs, now_s)
                pipeline.hset(Job.key_for(request.job_id), items=fields)
                ids.setdefault(name, []).append(request.job_id)
            for name, of_queue in ids.items():
                pipeline.sadd(Queue.redis_queues_keys, self._queues[name].key)
                pipeline.rpush(self._queues[name].key, *of_queue)
                if self._counted is not None:
                    pipeline.hincrby(self._counted, name, len(of_queue))
            pipeline.execute()

    def _mould(self, name: str, request: JobRequest, meta: dict[str, Any] | None) -> JobMould:
        """What jobs like this one are cast in; with something attached it is good for one batch only."""
        key = (name, request.function, request.timeout_s)
        mould = self._moulds.get(key)
        if mould is None or mould.meta != meta:
            mould = self._moulds[key] = JobMould(
                self._queues[name],
                request.function,
                timeout_s=request.timeout_s,
                result_ttl_s=self._result_ttl_s,
                failure_ttl_s=self._failure_ttl_s,
                meta=meta,
            )
        return mould

    def backlog(self) -> int:
        """How many jobs wait now, in all queues together.

        Raises:
            ServiceUnavailable: Redis did not answer.
        """
        with translated(), self._connection.pipeline(transaction=False) as pipeline:
            for queue in self._queues.values():
                pipeline.llen(queue.key)
            return sum(pipeline.execute())


class RqCompletions:
    """What became of the jobs of some queues.

    Args:
        connection: Redis.
        queue_names: The queues.
    """

    def __init__(self, connection: Redis, queue_names: Sequence[str]) -> None:
        self._connection = connection
        self._queues = [Queue(name, connection=connection) for name in queue_names]
        self._ended = [
            registry(name, connection=connection).key
            for name in queue_names
            for registry in (FinishedJobRegistry, FailedJobRegistry)
        ]
        self._since = dict.fromkeys(self._ended, 0.0)
        self._margin_s: float = _MARGIN_S

    def newly_ended(self) -> list[str]:
        """Ids of jobs that ended since the last call; an id may come again.

        Raises:
            ServiceUnavailable: Redis did not answer.
        """
        with translated(), self._connection.pipeline(transaction=False) as pipeline:
            for key in self._ended:
                pipeline.zrange(key, self._since[key], "+inf", byscore=True, withscores=True)
            answers = pipeline.execute()
        ids: list[str] = []
        for key, entries in zip(self._ended, answers, strict=True):
            ids.extend(entry.decode() for entry, _ in entries)
            if entries:
                self._since[key] = entries[-1][1] - self._margin_s
        return ids

    def look_up(self, job_ids: Sequence[str]) -> list[Completion]:
        """What is known of these jobs now, in the same order.

        Raises:
            ServiceUnavailable: Redis did not answer.
        """
        with translated(), self._connection.pipeline(transaction=False) as pipeline:
            for job_id in job_ids:
                pipeline.hmget(Job.key_for(job_id), _FIELDS)
                pipeline.xrange(Result.get_key(job_id))
            answers = pipeline.execute()
        return [
            _completion(job_id, hash_fields, results)
            for job_id, hash_fields, results in zip(job_ids, answers[::2], answers[1::2], strict=True)
        ]

    def still_known(self, job_ids: Sequence[str]) -> set[str]:
        """Those of these unfinished jobs that wait, run or are scheduled somewhere; the others are lost.

        Raises:
            ServiceUnavailable: Redis did not answer.
        """
        with translated(), self._connection.pipeline(transaction=False) as pipeline:
            for queue in self._queues:
                pipeline.lrange(queue.key, 0, -1)
                pipeline.lrange(queue.intermediate_queue_key, 0, -1)
                for registry in (StartedJobRegistry, ScheduledJobRegistry, DeferredJobRegistry):
                    pipeline.zrange(registry(queue.name, connection=self._connection).key, 0, -1)
            places = pipeline.execute()
        present = {member.decode().partition(":")[0] for place in places for member in place}
        return present.intersection(job_ids)

    def clock_offsets(self) -> dict[str, ClockOffset]:
        """How far Redis' clock is ahead of those of the queues' workers, by name; RQ's own workers do not say.

        Raises:
            ServiceUnavailable: Redis did not answer.
        """
        with translated(), self._connection.pipeline(transaction=False) as pipeline:
            for queue in self._queues:
                pipeline.smembers(WORKERS_BY_QUEUE_KEY % queue.name)
            keys = sorted({key.decode() for of_queue in pipeline.execute() for key in of_queue})
            for key in keys:
                pipeline.hget(key, "jobctl_clock")
            told = [parse_offset(text.decode()) if text else None for text in pipeline.execute()]
        offsets = {
            key.removeprefix(f"{RQ_KEY_PREFIX}:worker:"): offset
            for key, offset in zip(keys, told, strict=True)
            if offset is not None
        }
        apart_s = [offset.offset_s for offset in offsets.values()]
        self._margin_s = _MARGIN_S + (max(apart_s) - min(apart_s) if apart_s else 0.0)
        return offsets

    def delete(self, job_ids: Iterable[str], *, with_queues: bool) -> None:
        """Remove these jobs, so that nothing of a run stays on somebody's Redis.

        Args:
            job_ids: The jobs, whatever their state.
            with_queues: Remove the queues and their registries too, with whatever is in them.

        Raises:
            ServiceUnavailable: Redis did not answer.
        """
        ids = list(job_ids)
        with translated():
            for first in range(0, len(ids), _CHUNK):
                self._delete_jobs(ids[first : first + _CHUNK])
            for queue in self._queues:
                if with_queues:
                    self._connection.delete(*self._keys(queue))
                    self._connection.srem(Queue.redis_queues_keys, queue.key)
                else:
                    self._take_out(queue, set(ids))

    def _delete_jobs(self, job_ids: Sequence[str]) -> None:
        """Delete the jobs' own keys: the hash, the results, and the executions that a killed worker left."""
        with self._connection.pipeline(transaction=False) as pipeline:
            for job_id in job_ids:
                pipeline.zrange(ExecutionRegistry(job_id, connection=self._connection).key, 0, -1)
            executions = pipeline.execute()
            for job_id, ids in zip(job_ids, executions, strict=True):
                pipeline.delete(
                    Job.key_for(job_id),
                    Result.get_key(job_id),
                    ExecutionRegistry(job_id, connection=self._connection).key,
                    *(f"{RQ_KEY_PREFIX}:execution:{job_id}:{execution.decode()}" for execution in ids),
                )
            pipeline.execute()

    def _take_out(self, queue: Queue, job_ids: set[str]) -> None:
        """Take these jobs, and no others, out of a queue that is somebody's own."""
        lists, registries = self._keys(queue)[:2], self._keys(queue)[2:]
        with self._connection.pipeline(transaction=False) as pipeline:
            for key in lists:
                for member in cast(list[bytes], self._connection.lrange(key, 0, -1)):
                    if member.decode() in job_ids:
                        pipeline.lrem(key, 1, member.decode())
            for key in registries:
                members = cast(list[bytes], self._connection.zrange(key, 0, -1))
                mine = [member for member in members if member.decode().partition(":")[0] in job_ids]
                if mine:
                    pipeline.zrem(key, *mine)
            pipeline.execute()

    def _keys(self, queue: Queue) -> list[str]:
        """The queue's list, its intermediate list, and its registries."""
        registries = [registry(queue.name, connection=self._connection).key for registry in _REGISTRIES]
        return [queue.key, queue.intermediate_queue_key, *registries]


def count_listeners(connection: Redis, queue_name: str) -> int:
    """How many workers of any kind listen to a queue.

    Raises:
        ServiceUnavailable: Redis did not answer.
    """
    with translated():
        return int(connection.scard(WORKERS_BY_QUEUE_KEY % queue_name))


def _completion(
    job_id: str, fields: Sequence[bytes | None], results: Sequence[tuple[bytes, dict[bytes, bytes]]]
) -> Completion:
    status, started_at, ended_at, retries, attempts, failed_s, enqueued_at, worker = fields
    return Completion(
        job_id=job_id,
        status=status.decode() if status else None,
        started_s=(_on_slot_s(results) if status in _ENDED else None) or epoch_s(started_at),
        finished_s=epoch_s(ended_at),
        retries=max(int(retries or 0), int(attempts or 1) - 1),
        successes=sum(result.get(b"type") == _SUCCESSFUL for _, result in results),
        error=_last_error(results),
        failed_s=float(failed_s or 0.0),
        entered_s=epoch_s(enqueued_at),
        worker=worker.decode() if worker else None,
        cost_usd=_cost_usd(results),
    )


def _on_slot_s(results: Sequence[tuple[bytes, dict[bytes, bytes]]]) -> float | None:
    """When the last attempt began on its slot; None where its result does not say.

    The job's hash tells an earlier instant: a worker notes it before the round trip that takes the job, and on the way
    that one may carry the results of others, of any size.
    """
    text = results[-1][1].get(b"execution_started_at") if results else None
    return float(text) if text else None


def _cost_usd(results: Sequence[tuple[bytes, dict[bytes, bytes]]]) -> float | None:
    """What the last successful result says that it cost, as ``chat_completion``'s does: a number named ``cost_usd``."""
    packed = next((result[b"return_value"] for _, result in reversed(results) if b"return_value" in result), None)
    try:
        value = None if packed is None else json.loads(base64.b64decode(packed))
    except ValueError:  # it was pickled, and nothing here unpickles
        return None
    cost = value.get("cost_usd") if isinstance(value, dict) else None
    if isinstance(cost, bool) or not isinstance(cost, int | float) or not math.isfinite(cost):
        return None
    return float(cost)


def _last_error(results: Sequence[tuple[bytes, dict[bytes, bytes]]]) -> str | None:
    """The last line of the last attempt's traceback, such as ``ValueError: no such ticket``."""
    packed = next((result[b"exc_string"] for _, result in reversed(results) if b"exc_string" in result), None)
    if packed is None:
        return None
    lines = zlib.decompress(base64.b64decode(packed)).decode(errors="replace").strip().splitlines()
    return lines[-1][:_LONGEST_ERROR] if lines else None

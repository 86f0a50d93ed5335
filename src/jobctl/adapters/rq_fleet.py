"""What RQ's keys say about the whole fleet, read by cheap commands in two round trips.

Nothing is unpickled, no job's data is read, and no registry is cleaned up, which RQ's own counts would do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.job import Job
from rq.registry import FailedJobRegistry, ScheduledJobRegistry
from rq.scheduler import RQScheduler
from rq.worker_registration import REDIS_WORKER_KEYS

from jobctl.errors import ServiceUnavailable
from jobctl.ports import Readings

__all__ = ["ENQUEUED_KEY", "RqFleet"]

#: A hash: queue -> jobs that jobctl has put into it.
ENQUEUED_KEY: Final = "jobctl:enqueued"
#: Queues beyond so many are not read: a label must be bounded.
_MOST_QUEUES: Final = 200
_PER_QUEUE: Final = 6


class RqFleet:
    """The fleet behind one Redis.

    Args:
        connection: Redis.
        now_s: The time, seconds since the epoch; by the same clock as the enqueuers'.
    """

    def __init__(self, connection: Redis, now_s: Callable[[], float]) -> None:
        self._connection = connection
        self._now_s = now_s
        self._queue_prefix = Queue.redis_queue_namespace_prefix

    def readings(self) -> Readings:
        """Depth, age, scheduled and dead jobs and scheduler of each queue; workers and Redis's memory.

        Raises:
            ServiceUnavailable: Redis does not answer.
        """
        try:
            return self._read()
        except RedisError as error:
            raise ServiceUnavailable("Redis", f"does not answer ({error})", "check that it runs") from error

    def _read(self) -> Readings:
        with self._connection.pipeline(transaction=False) as pipeline:
            pipeline.smembers(Queue.redis_queues_keys)
            pipeline.smembers(REDIS_WORKER_KEYS)
            pipeline.hgetall(ENQUEUED_KEY)
            pipeline.info("memory")
            keys, workers, enqueued, memory = pipeline.execute(raise_on_error=False)
        names = sorted(key.decode().removeprefix(self._queue_prefix) for key in _known(keys, ()))[:_MOST_QUEUES]
        now_s = self._now_s()
        with self._connection.pipeline(transaction=False) as pipeline:
            for name in names:
                self._ask(pipeline, name, now_s)
            if workers := _known(workers, ()):
                pipeline.exists(*workers)
            answers = pipeline.execute(raise_on_error=False)
        by_queue = [answers[first : first + _PER_QUEUE] for first in range(0, len(names) * _PER_QUEUE, _PER_QUEUE)]
        heads = [_known(of_queue[1], None) for of_queue in by_queue]
        ages = self._ages_s([head.decode() for head in heads if head is not None], now_s)
        age_of = dict(zip((name for name, head in zip(names, heads, strict=True) if head), ages, strict=True))
        readings: dict[str, Sequence[tuple[tuple[str, ...], float]]] = {
            "queue_depth": _by_queue(names, [of_queue[0] for of_queue in by_queue]),
            "queue_oldest_age_seconds": _by_queue(
                names, [age_of[name] if head else 0.0 for name, head in zip(names, heads, strict=True)]
            ),
            "scheduled_jobs": _by_queue(names, [of_queue[2] for of_queue in by_queue]),
            "dead_jobs": _by_queue(names, [_less(of_queue[3], of_queue[4]) for of_queue in by_queue]),
            "scheduler_up": _by_queue(names, [of_queue[5] for of_queue in by_queue]),
            "jobs_enqueued_total": [
                ((queue.decode(),), float(count)) for queue, count in list(_known(enqueued, {}).items())[:_MOST_QUEUES]
            ],
        }
        if not workers or isinstance(answers[-1], int):
            readings["workers"] = [((), float(answers[-1]) if workers else 0.0)]
        if isinstance(memory, dict):
            readings["redis_memory_bytes"] = [((), float(memory["used_memory"]))]
        return readings

    def _ask(self, pipeline: Any, name: str, now_s: float) -> None:
        """The commands for one queue, :data:`_PER_QUEUE` of them."""
        dead = FailedJobRegistry(name, connection=self._connection).key
        pipeline.llen(f"{self._queue_prefix}{name}")
        pipeline.lindex(f"{self._queue_prefix}{name}", 0)
        pipeline.zcard(ScheduledJobRegistry(name, connection=self._connection).key)
        pipeline.zcard(dead)
        pipeline.zcount(dead, 0, int(now_s))  # expired, and not removed yet; a score below 0 never expires
        pipeline.exists(RQScheduler.get_locking_key(name))

    def _ages_s(self, job_ids: Sequence[str], now_s: float) -> list[float | None]:
        """How long ago these jobs were enqueued; None where a job does not say."""
        if not job_ids:
            return []
        with self._connection.pipeline(transaction=False) as pipeline:
            for job_id in job_ids:
                pipeline.hget(Job.key_for(job_id), "enqueued_at")
            answers = pipeline.execute(raise_on_error=False)
        return [_age_s(answer, now_s) for answer in answers]


def _known(answer: Any, otherwise: Any) -> Any:
    """An answer; something else in place of an error, such as a command that this user may not give."""
    return otherwise if isinstance(answer, Exception) else answer


def _less(count: Any, expired: Any) -> float | None:
    return None if isinstance(count, Exception) or isinstance(expired, Exception) else float(count - expired)


def _by_queue(names: Sequence[str], values: Sequence[Any]) -> list[tuple[tuple[str, ...], float]]:
    """Samples of those queues whose value is known."""
    return [
        ((name,), float(value)) for name, value in zip(names, values, strict=True) if isinstance(value, (int, float))
    ]


def _age_s(text: Any, now_s: float) -> float | None:
    try:
        enqueued = datetime.fromisoformat(text.decode())
    except (AttributeError, ValueError):
        return None
    return max(0.0, now_s - (enqueued if enqueued.tzinfo else enqueued.replace(tzinfo=UTC)).timestamp())

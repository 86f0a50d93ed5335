"""What RQ's keys say about the whole fleet, and Redis about itself, read by cheap commands in three round trips.

How many commands that takes depends on the number of queues, never on that of the jobs, and none of them takes longer
where there are more: lengths, cardinalities and the ends of lists. Nothing is unpickled, no job's data is read, and no
registry is cleaned up, which RQ's own counts would do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.job import Job
from rq.registry import FailedJobRegistry, ScheduledJobRegistry
from rq.scheduler import RQScheduler
from rq.worker import BaseWorker
from rq.worker_registration import REDIS_WORKER_KEYS

from jobctl.adapters.rq_desk import CLOCK_FIELD, PULSES_KEY
from jobctl.errors import ServiceUnavailable
from jobctl.ports import Readings

__all__ = ["ENQUEUED_KEY", "RqFleet", "is_alive"]

#: A hash: queue -> jobs that jobctl has put into it.
ENQUEUED_KEY: Final = "jobctl:enqueued"
#: Queues beyond so many are not read: a label must be bounded.
_MOST_QUEUES: Final = 200
_PER_QUEUE: Final = 6
#: What INFO tells of the last write of each kind: ``ok`` or ``err``.
_WRITES: Final = ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")


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
        self._worker_prefix = BaseWorker.redis_worker_namespace_prefix.encode()

    def readings(self) -> Readings:
        """Depth, age, scheduled and dead jobs and scheduler of each queue; workers; Redis' memory and persistence.

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
            pipeline.info("memory")  # one section a command: before 7.0 Redis takes no second one
            pipeline.info("persistence")
            pipeline.zrange(PULSES_KEY, 0, -1, withscores=True)
            pipeline.time()
            keys, workers, enqueued, memory, persistence, pulses, clock = pipeline.execute(raise_on_error=False)
        names = sorted(key.decode().removeprefix(self._queue_prefix) for key in _known(keys, ()))[:_MOST_QUEUES]
        now_s = self._now_s()
        with self._connection.pipeline(transaction=False) as pipeline:
            for name in names:
                self._ask(pipeline, name, now_s)
            for worker in _known(workers, ()):
                pipeline.hmget(worker, "birth", CLOCK_FIELD)
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
        if not any(isinstance(answer, Exception) for answer in (workers, pulses, clock)):
            ends_s = {self._worker_prefix + name: at_s for name, at_s in pulses}
            told = zip(workers, answers[len(names) * _PER_QUEUE :], strict=True)
            alive = [is_alive(_known(fields, (None, None)), ends_s.get(worker), clock[0]) for worker, fields in told]
            readings["workers"] = [((), float(sum(alive)))]
        readings.update(_about_redis(_known(memory, {}) | _known(persistence, {})))
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


def is_alive(fields: tuple[bytes | None, bytes | None], ends_s: float | None, now_s: float) -> bool:
    """Whether a worker of RQ's list is there.

    RQ lets a killed one stand for eight minutes. One of ours has shown its clock with its pulse, and is dead as soon as
    it fell silent; that it has no pulse any more says that another one has taken over its jobs.

    Args:
        fields: Its birth and its clock; None where its hash has none.
        ends_s: From when on it counts as dead, by the clock of Redis; None without a pulse.
        now_s: The time by the same clock.
    """
    birth, clock = fields
    return birth is not None and (clock is None if ends_s is None else now_s < ends_s)


def _about_redis(info: Mapping[str, Any]) -> Readings:
    """What Redis says of itself, as far as it does: a managed one may leave out what it does not let one change."""
    found: dict[str, float] = {}
    if "used_memory" in info:
        found["redis_memory_bytes"] = float(info["used_memory"])
    if info.get("maxmemory"):
        found["redis_maxmemory_bytes"] = float(info["maxmemory"])
    if "maxmemory_policy" in info:
        found["redis_noeviction"] = float(info["maxmemory_policy"] == "noeviction")
    if "aof_enabled" in info:
        found["redis_aof_enabled"] = float(info["aof_enabled"])
    if writes := [info[name] for name in _WRITES if name in info]:
        found["redis_persistence_ok"] = float(all(write == "ok" for write in writes))
    return {name: [((), value)] for name, value in found.items()}


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

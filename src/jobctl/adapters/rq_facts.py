"""What RQ's keys say of jobs that nobody works on, read and not changed: RQ's own counts would clean registries up.

Each queue costs a handful of commands, however many jobs it has. Of jobs that count as running at most a thousand are
looked at, of dead ones a few, to learn how much memory one takes.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import methodcaller
from typing import Any, Final

from redis import Redis
from rq import Queue
from rq.job import Job
from rq.registry import FailedJobRegistry, ScheduledJobRegistry, StartedJobRegistry
from rq.results import Result
from rq.scheduler import RQScheduler
from rq.suspension import WORKERS_SUSPENDED
from rq.worker import BaseWorker
from rq.worker_registration import REDIS_WORKER_KEYS

from jobctl.adapters.redis_connection import translated
from jobctl.adapters.rq_desk import CLOCK_FIELD, PULSES_KEY
from jobctl.adapters.rq_fleet import is_alive
from jobctl.adapters.rq_time import epoch_s
from jobctl.core.clocks import parse_offset
from jobctl.core.facts import QueueFacts, RqFacts, WorkerFacts

__all__ = ["read_rq"]

#: Executions that are looked at.
_MOST: Final = 1_000
#: Dead jobs of a queue that are measured.
_SAMPLE: Final = 5
#: A worker that was silent for so long would have been taken over by another one, seconds: twice the time that
#: ``--recover-after`` has by default.
_LEFT_S: Final = 60.0
_FIELDS: Final = ("birth", "queues", "version", CLOCK_FIELD)


def read_rq(connection: Redis, *, option: str = "--redis-url") -> RqFacts:
    """Look at queues, registries and workers.

    Args:
        connection: Redis.
        option: The setting to name in an error.

    Raises:
        ServiceUnavailable: Redis did not answer.
    """
    with translated(option):
        return _Reader(connection).read()


class _Reader:
    """One look.

    Args:
        connection: Redis.
    """

    def __init__(self, connection: Redis) -> None:
        self._connection = connection
        self._now_s = time.time()

    def read(self) -> RqFacts:
        """All of it."""
        keys, worker_keys, suspended, pulses, clock = self._ask(
            lambda to: to.smembers(Queue.redis_queues_keys),
            lambda to: to.smembers(REDIS_WORKER_KEYS),
            lambda to: to.exists(WORKERS_SUSPENDED),
            lambda to: to.zrange(PULSES_KEY, 0, -1, withscores=True),
            lambda to: to.time(),
        )
        self._now_s = clock[0] + clock[1] / 1e6
        names = sorted(_text(key).removeprefix(Queue.redis_queue_namespace_prefix) for key in keys)
        ends_s = {_text(name): at_s for name, at_s in pulses}
        left = self._left([name for name, at_s in ends_s.items() if at_s < self._now_s - _LEFT_S])
        sizes, kept_s = self._sampled(names)
        return RqFacts(
            queues=tuple(self._queue(name, left[name]) for name in names),
            workers=tuple(self._workers(sorted(map(_text, worker_keys)), ends_s)),
            suspended=bool(suspended),
            dead_bytes=_mean(sizes),
            dead_kept_s=_mean(kept_s),
        )

    def _ask(self, *questions: Callable[[Any], object], strict: bool = True) -> list[Any]:
        """The answers to some commands, in one round trip; with ``strict`` false an error is an answer too."""
        if not questions:
            return []
        with self._connection.pipeline(transaction=False) as pipeline:
            for question in questions:
                question(pipeline)
            return pipeline.execute(raise_on_error=strict)

    def _workers(self, keys: Sequence[str], ends_s: dict[str, float]) -> Iterator[WorkerFacts]:
        """Those alive."""
        hashes = self._ask(*(methodcaller("hmget", key, _FIELDS) for key in keys))
        for key, (birth, queues, version, clock) in zip(keys, hashes, strict=True):
            name = key.removeprefix(BaseWorker.redis_worker_namespace_prefix)
            if is_alive((birth, clock), ends_s.get(name), self._now_s):
                listens = tuple(filter(None, _text(queues).split(",")))
                yield WorkerFacts(name, listens, _text(version), parse_offset(_text(clock)), clock is not None)

    def _queue(self, name: str, left: set[str]) -> QueueFacts:
        now = int(self._now_s)
        scheduled, dead, running = (
            registry(name, connection=self._connection).key
            for registry in (ScheduledJobRegistry, FailedJobRegistry, StartedJobRegistry)
        )
        waiting, later, first, kept, expired, lock, lapsed = self._ask(
            lambda to: to.llen(f"{Queue.redis_queue_namespace_prefix}{name}"),
            lambda to: to.zcard(scheduled),
            lambda to: to.zrange(scheduled, 0, 0, withscores=True),
            lambda to: to.zcard(dead),
            lambda to: to.zcount(dead, 0, now),  # expired, and not removed yet; a score below 0 never expires
            lambda to: to.exists(RQScheduler.get_locking_key(name)),
            lambda to: to.zrangebyscore(running, 0, now, start=0, num=_MOST),
        )
        return QueueFacts(
            name,
            waiting=waiting,
            scheduled=later,
            overdue_s=max(0.0, self._now_s - first[0][1]) if first else 0.0,
            dead=kept - expired,
            abandoned=len(left.union(map(_text, lapsed))),
            has_scheduler=bool(lock),
        )

    def _left(self, workers: Iterable[str]) -> dict[str, set[str]]:
        """By queue, the executions of workers that fell silent and that nobody has taken over."""
        prefix = BaseWorker.redis_worker_namespace_prefix
        theirs = self._ask(*(methodcaller("smembers", f"{prefix}{name}:executions") for name in workers))
        members = [_text(member) for of_worker in theirs for member in of_worker][:_MOST]
        job_keys = (Job.key_for(member.rpartition(":")[0]) for member in members)
        origins = self._ask(*(methodcaller("hget", key, "origin") for key in job_keys))
        left: dict[str, set[str]] = defaultdict(set)
        for member, origin in zip(members, origins, strict=True):
            if origin is not None:
                left[_text(origin)].add(member)
        return left

    def _sampled(self, names: Sequence[str]) -> tuple[list[float], list[float]]:
        """Of some dead jobs: bytes of each with its results, and for how long each is kept, seconds."""
        registries = [FailedJobRegistry(name, connection=self._connection).key for name in names]
        latest = (methodcaller("zrevrange", key, 0, _SAMPLE - 1, withscores=True) for key in registries)
        found = self._ask(*latest)
        jobs = [(_text(job_id), score) for of_queue in found for job_id, score in of_queue]
        sizes, kept_s = [], []
        for job_id, score in jobs:
            job, results, ended_at = self._ask(  # MEMORY may be refused
                methodcaller("memory_usage", Job.key_for(job_id)),
                methodcaller("memory_usage", Result.get_key(job_id)),
                methodcaller("hget", Job.key_for(job_id), "ended_at"),
                strict=False,
            )
            if isinstance(job, int):
                sizes.append(float(job + (results if isinstance(results, int) else 0)))
            ended_s = epoch_s(ended_at) if isinstance(ended_at, bytes) else None
            if ended_s is not None:
                kept_s.append(score - ended_s if score >= 0 else math.inf)
        return sizes, kept_s


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")

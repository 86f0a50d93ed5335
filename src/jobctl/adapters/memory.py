"""A double of every port, for tests: ours and those of whoever builds on jobctl.

Time is virtual: sleeping moves the clock and nothing else. :class:`MemoryFleet` is a queue with workers behind it: jobs
start in order of arrival on the slot that is free first, so what a run measures is known beforehand.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, Final

from jobctl.core.clocks import ClockOffset
from jobctl.core.limiting import Account, Ask, Grant, Limits, Permits, Report, Scope, ScopeStatus, Tuning
from jobctl.errors import ServiceUnavailable
from jobctl.ports import Completion, DeadJob, DeadJobDetails, JobRequest, PoolUse

__all__ = ["MemoryDeadSet", "MemoryFleet", "MemoryLimiter", "MemoryResults", "VirtualClock"]

#: The name of the worker behind a :class:`MemoryFleet`.
_WORKER: Final = "memory"


class VirtualClock:
    """A clock that moves only when somebody sleeps.

    Args:
        now_s: Where it starts, seconds since the epoch.
    """

    def __init__(self, now_s: float = 0.0) -> None:
        self._now_s = now_s

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._now_s

    def sleep(self, seconds: float) -> None:
        """Move on by that much; however short, time passes."""
        if seconds > 0:
            self._now_s = max(self._now_s + seconds, math.nextafter(self._now_s, math.inf))


@dataclass(slots=True)
class _Job:
    start_s: float
    finish_s: float
    fails: bool
    lost: bool


class MemoryFleet:
    """A job queue and the completions of the fleet behind it.

    Args:
        clock: Time.
        slots: How many jobs run at once.
        service_s: How long a job holds its slot.
        fails: Whether a job fails.
        loses: Whether a job vanishes before it starts.
        behind_s: How far its worker's clock is behind the queue's.
        tells_clock: Whether the worker says so.

    Attributes:
        refusing: Set it to make the queue refuse jobs, as a Redis that is gone does.
        taken: Every job that was taken, in order.
    """

    def __init__(
        self,
        clock: VirtualClock,
        *,
        slots: int = 1,
        service_s: Callable[[JobRequest], float] = lambda request: 0.0,
        fails: Callable[[JobRequest], bool] = lambda request: False,
        loses: Callable[[JobRequest], bool] = lambda request: False,
        behind_s: float = 0.0,
        tells_clock: bool = True,
    ) -> None:
        self._behind_s = behind_s
        self._tells_clock = tells_clock
        self._clock = clock
        self._free_s = [0.0] * slots
        self._service_s = service_s
        self._fails = fails
        self._loses = loses
        self._jobs: dict[str, _Job] = {}
        self._told: set[str] = set()
        self.refusing = False
        self.taken: list[JobRequest] = []

    def enqueue_many(self, requests: Sequence[JobRequest]) -> None:
        """Enqueue all of them.

        Raises:
            ServiceUnavailable: It refuses.
        """
        if self.refusing:
            raise ServiceUnavailable("memory", "refuses jobs", "set refusing to False")
        for request in requests:
            lost = self._loses(request)
            start_s = finish_s = math.inf
            if not lost:
                start_s = max(self._clock.now(), heapq.heappop(self._free_s))
                finish_s = start_s + self._service_s(request)
                heapq.heappush(self._free_s, finish_s)
            self._jobs[request.job_id] = _Job(start_s, finish_s, self._fails(request), lost)
            self.taken.append(request)

    def backlog(self) -> int:
        """How many jobs wait now."""
        return sum(job.start_s > self._clock.now() and not job.lost for job in self._jobs.values())

    def newly_ended(self) -> list[str]:
        """Ids of jobs that ended since the last call."""
        now_s = self._clock.now()
        ended = [job_id for job_id, job in self._jobs.items() if job.finish_s <= now_s and job_id not in self._told]
        self._told.update(ended)
        return ended

    def look_up(self, job_ids: Sequence[str]) -> list[Completion]:
        """What is known of these jobs now, in the same order."""
        return [self._completion(job_id) for job_id in job_ids]

    def still_known(self, job_ids: Sequence[str]) -> set[str]:
        """Those of these unfinished jobs that wait or run."""
        return {job_id for job_id in job_ids if job_id in self._jobs and not self._jobs[job_id].lost}

    def clock_offsets(self) -> dict[str, ClockOffset]:
        """How far the queue's clock is ahead of the worker's."""
        return {_WORKER: ClockOffset(self._behind_s, 0.0)} if self._tells_clock else {}

    def _completion(self, job_id: str) -> Completion:
        completion = self._by_the_queue(job_id)
        return replace(
            completion,
            started_s=None if completion.started_s is None else completion.started_s - self._behind_s,
            finished_s=None if completion.finished_s is None else completion.finished_s - self._behind_s,
            worker=None if completion.started_s is None else _WORKER,
        )

    def _by_the_queue(self, job_id: str) -> Completion:
        """What is known of a job, told in the queue's clock."""
        job, now_s = self._jobs.get(job_id), self._clock.now()
        if job is None or job.lost:
            return Completion(job_id, None, None, None, 0, 0)
        if job.start_s > now_s:
            return Completion(job_id, "queued", None, None, 0, 0)
        if job.finish_s > now_s:
            return Completion(job_id, "started", job.start_s, None, 0, 0)
        status = "failed" if job.fails else "finished"
        return Completion(job_id, status, job.start_s, job.finish_s, 0, int(not job.fails))


class MemoryResults:
    """A store of results.

    Attributes:
        refusing: Set it to make the store fail, as a database that is gone does.
        kept: What was saved, by job id.
    """

    def __init__(self) -> None:
        self.refusing = False
        self.kept: dict[str, dict[str, Any]] = {}

    def save(
        self, *, job_id: str, queue: str, job_type: str, attempt: int, started_s: float, finished_s: float, result: Any
    ) -> None:
        """Keep a result; the first of a job stands.

        Raises:
            ServiceUnavailable: It refuses.
        """
        if self.refusing:
            raise ServiceUnavailable("memory", "refuses results", "set refusing to False")
        row = {"queue": queue, "job_type": job_type, "attempt": attempt}
        self.kept.setdefault(job_id, {**row, "started_s": started_s, "finished_s": finished_s, "result": result})

    def pool_use(self) -> PoolUse:
        """Memory has no connections."""
        return PoolUse(in_use=0, size=0, most=0)

    def close(self) -> None:
        """There is nothing to let go of."""


class MemoryDeadSet:
    """A dead set, with the queues that its jobs go back to.

    Args:
        jobs: The dead jobs.
        queues: Names of the queues.

    Attributes:
        queued: Ids of the jobs that were put back, by queue and in order.
    """

    def __init__(self, jobs: Sequence[DeadJobDetails], queues: Sequence[str]) -> None:
        self._dead = {details.job.job_id: details for details in jobs}
        self.queued: dict[str, list[str]] = {queue: [] for queue in queues}

    def queues(self) -> list[str]:
        """The names of all queues, in order."""
        return sorted(self.queued)

    def count(self, queue: str) -> int:
        """How many jobs of a queue are dead."""
        return sum(1 for _ in self.jobs(queue))

    def jobs(self, queue: str) -> Iterator[DeadJob]:
        """The dead jobs of a queue, the latest first."""
        jobs = [details.job for details in self._dead.values() if details.job.queue == queue]
        yield from sorted(jobs, key=lambda job: -(job.died_s or 0.0))

    def find(self, job_ids: Sequence[str]) -> list[DeadJob | None]:
        """These jobs, in the same order; None for each that is not dead."""
        return [self._dead[job_id].job if job_id in self._dead else None for job_id in job_ids]

    def details(self, job: DeadJob) -> DeadJobDetails | None:
        """All about one; None when it is not dead any more."""
        return self._dead.get(job.job_id)

    def retry(self, jobs: Sequence[DeadJob]) -> int:
        """Put jobs at the end of their queues; how many were still dead."""
        still_dead = [job for job in jobs if self._dead.pop(job.job_id, None)]
        for job in still_dead:
            self.queued[job.queue].append(job.job_id)
        return len(still_dead)

    def purge(self, jobs: Sequence[DeadJob]) -> int:
        """Remove jobs; how many were still dead."""
        return sum(self._dead.pop(job.job_id, None) is not None for job in jobs)


class MemoryLimiter:
    """A limiter for this process alone: the double of the one on Redis, and its stand-in while that does not answer.

    Args:
        limits: Of each model.
        tuning: The constants of the rules.
        clock: Seconds since the epoch.
    """

    def __init__(self, limits: Limits, tuning: Tuning | None = None, *, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._tuning = tuning or Tuning()
        self._clock = clock
        self._lock = Lock()
        self._account = Account.new(self._tuning, clock())
        self._scopes: dict[str, Scope] = {}

    def acquire(
        self,
        model: str,
        *,
        calls: int = 1,
        tokens: float | None = None,
        retry: bool = False,
        permits: str | None = None,
    ) -> Grant:
        """As :meth:`Limiter.acquire`."""
        ask = Ask(calls, tokens, retry, None if permits is None else Permits.parse(permits, model))
        with self._lock:
            now_s = self._clock()
            decision = self._scope(model, now_s).acquire(
                self._limits.of(model), self._tuning, self._account, ask, now_s
            )
        return decision.to_grant(model)

    def release(self, model: str, calls: int, tokens: float = 0.0) -> None:
        """As :meth:`Limiter.release`."""
        with self._lock:
            now_s = self._clock()
            scope = self._scope(model, now_s)
            scope.release(self._limits.of(model), self._tuning, self._account, calls, tokens, now_s)

    def report(self, model: str, report: Report) -> Grant:
        """As :meth:`Limiter.report`."""
        with self._lock:
            now_s = self._clock()
            scope = self._scope(model, now_s)
            decision = scope.report(self._limits.of(model), self._tuning, self._account, report, now_s)
        return decision.to_grant(model)

    def status(self) -> list[ScopeStatus]:
        """As :meth:`Limiter.status`."""
        with self._lock:
            now_s = self._clock()
            return [
                copy(scope).status(model, self._limits.of(model), self._tuning, copy(self._account), now_s)
                for model, scope in sorted(self._scopes.items())
                if self._is_known(model, scope, now_s)
            ]

    def _scope(self, model: str, now_s: float) -> Scope:
        """A model's state; when a new one is needed, those that nobody asked about for long are forgotten."""
        scope = self._scopes.get(model)
        if scope is None or not self._is_known(model, scope, now_s):
            self._scopes = {name: old for name, old in self._scopes.items() if self._is_known(name, old, now_s)}
            scope = self._scopes[model] = Scope.new(now_s)
        return scope

    def _is_known(self, model: str, scope: Scope, now_s: float) -> bool:
        """Whether a scope is not idle for so long that it is forgotten."""
        return scope.busy_until_s(self._limits.of(model), self._tuning) > now_s - self._tuning.ttl_s

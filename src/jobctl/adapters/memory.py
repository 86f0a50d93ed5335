"""A double of every port, for tests: ours and those of whoever builds on jobctl.

Time is virtual: sleeping moves the clock and nothing else. :class:`MemoryFleet` is a queue with workers behind it: jobs
start in order of arrival on the slot that is free first, so what a run measures is known beforehand.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jobctl.errors import ServiceUnavailable
from jobctl.ports import Completion, JobRequest

__all__ = ["MemoryFleet", "VirtualClock"]


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
    ) -> None:
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

    def _completion(self, job_id: str) -> Completion:
        job, now_s = self._jobs.get(job_id), self._clock.now()
        if job is None or job.lost:
            return Completion(job_id, None, None, None, 0, 0)
        if job.start_s > now_s:
            return Completion(job_id, "queued", None, None, 0, 0)
        if job.finish_s > now_s:
            return Completion(job_id, "started", job.start_s, None, 0, 0)
        status = "failed" if job.fails else "finished"
        return Completion(job_id, status, job.start_s, job.finish_s, 0, int(not job.fails))

"""What the apps need from the world outside, as protocols. Adapters implement them; wiring hands them over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from jobctl.core.events import JobEnded, JobsRecovered, JobStarted, SlotsChanged

__all__ = ["Clock", "Completion", "Completions", "JobQueue", "JobRequest", "LoadRun", "WorkerObserver"]


class Clock(Protocol):
    """Time, as an argument."""

    def now(self) -> float:
        """Seconds since the epoch."""

    def sleep(self, seconds: float) -> None:
        """Let that much time pass."""


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A job to enqueue.

    Attributes:
        job_id: A fresh id; letters, digits, dashes and underscores.
        function: The dotted path of the function to call.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        timeout_s: How long it may run, in whole seconds as RQ counts them.
    """

    job_id: str
    function: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    timeout_s: int = 180


class JobQueue(Protocol):
    """Where jobs are put."""

    def enqueue_many(self, requests: Sequence[JobRequest]) -> None:
        """Enqueue all of them in one round trip.

        Raises:
            ServiceUnavailable: The queue did not take them.
        """

    def backlog(self) -> int:
        """How many jobs wait in the queue now."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What the queue knows of one job now.

    Attributes:
        job_id: The job's id.
        status: RQ's word for its state (queued, started, finished, failed, ...); None when the job is nowhere.
        started_s: When its last attempt began, seconds since the epoch.
        finished_s: When its last attempt ended.
        retries: Attempts beyond the first.
        successes: How often it ran to success.
        error: The last line of its last attempt's error; None where there is none.
    """

    job_id: str
    status: str | None
    started_s: float | None
    finished_s: float | None
    retries: int
    successes: int
    error: str | None = None


class Completions(Protocol):
    """How jobs that ended are seen, without waiting for any of them."""

    def newly_ended(self) -> list[str]:
        """Ids of jobs that ended since the last call; an id may come again."""

    def look_up(self, job_ids: Sequence[str]) -> list[Completion]:
        """What is known of these jobs now, in the same order."""

    def still_known(self, job_ids: Sequence[str]) -> set[str]:
        """Those of these unfinished jobs that wait, run or are scheduled somewhere; the others are lost."""


class LoadRun(Protocol):
    """A load generator at work in a process of its own."""

    def events(self) -> Iterator[Mapping[str, Any]]:
        """What it says, message by message, until it ends."""

    def interrupt(self) -> None:
        """Ask it to stop sending, count and end; its last messages still arrive."""

    def failure(self) -> Exception:
        """Why it ended without a result."""


class WorkerObserver(Protocol):
    """Is told what happens in a worker. Called on any thread; must be quick and must not raise."""

    def running(self, started: JobStarted) -> AbstractContextManager[object]:
        """Entered on the slot's thread around the job's body."""

    def ended(self, ended: JobEnded) -> None:
        """A slot is done with a job."""

    def recovered(self, recovered: JobsRecovered) -> None:
        """Jobs of a dead worker were put back to work."""

    def slots(self, changed: SlotsChanged) -> None:
        """The use of the slots changed; told at most a few times a second."""

    def close(self, timeout_s: float) -> None:
        """The worker has drained: send what is still held, within that many seconds."""

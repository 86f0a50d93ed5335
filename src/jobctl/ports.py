"""What the apps need from the world outside, as protocols. Adapters implement them; wiring hands them over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from jobctl.core.clocks import ClockOffset
from jobctl.core.events import JobEnded, JobsRecovered, JobStarted, SlotsChanged
from jobctl.core.limiting import Grant, Report, ScopeStatus

__all__ = [
    "Clock",
    "Completion",
    "Completions",
    "DeadJob",
    "DeadJobDetails",
    "DeadSet",
    "FleetSource",
    "JobQueue",
    "JobRequest",
    "Limiter",
    "LimiterObserver",
    "LoadRun",
    "PoolObserver",
    "PoolUse",
    "Readings",
    "ResultStore",
    "UpstreamAnswer",
    "UpstreamObserver",
    "WorkerObserver",
]


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
        queue: The name of its queue; None for the first of those that it is given to.
    """

    job_id: str
    function: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    timeout_s: int = 180
    queue: str | None = None


class JobQueue(Protocol):
    """Where jobs are put: one queue, or several."""

    def enqueue_many(self, requests: Sequence[JobRequest]) -> None:
        """Enqueue all of them in one round trip.

        Raises:
            ServiceUnavailable: The queue did not take them.
        """

    def backlog(self) -> int:
        """How many jobs wait now, in all queues together."""


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
        failed_s: Seconds for which attempts before the last one held slots, as far as the worker tells.
        entered_s: When it entered its queue for its last attempt.
        worker: The name of the worker of its last attempt.
        cost_usd: What its result says that it cost; None where that is not said.
    """

    job_id: str
    status: str | None
    started_s: float | None
    finished_s: float | None
    retries: int
    successes: int
    error: str | None = None
    failed_s: float = 0.0
    entered_s: float | None = None
    worker: str | None = None
    cost_usd: float | None = None


class Completions(Protocol):
    """How jobs that ended are seen, without waiting for any of them."""

    def newly_ended(self) -> list[str]:
        """Ids of jobs that ended since the last call; an id may come again."""

    def look_up(self, job_ids: Sequence[str]) -> list[Completion]:
        """What is known of these jobs now, in the same order."""

    def still_known(self, job_ids: Sequence[str]) -> set[str]:
        """Those of these unfinished jobs that wait, run or are scheduled somewhere; the others are lost."""

    def clock_offsets(self) -> Mapping[str, ClockOffset]:
        """How far the queue's clock is ahead of those of its workers, by name; without those that do not say."""


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


@dataclass(frozen=True, slots=True)
class UpstreamAnswer:
    """How one call of the upstream ended.

    Attributes:
        status: The HTTP status as text, or a word where there was none: ``timeout`` or ``disconnected``.
        latency_s: How long the call took, seconds.
        model: The model that was asked for.
        prompt_tokens: Tokens read; 0 when unknown.
        completion_tokens: Tokens written; 0 when unknown.
        cost_usd: What it cost; 0 when unknown.
    """

    status: str
    latency_s: float
    model: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0


class UpstreamObserver(Protocol):
    """Is told how each call of the upstream ended, in the context of the job that made it; must not raise."""

    def answered(self, answer: UpstreamAnswer) -> None:
        """A call ended."""


class LimiterObserver(Protocol):
    """Is told what the limiter costs; must not raise."""

    def waited_for_limit(self, wait_s: float) -> None:
        """A call was held, or a job put off, for so many seconds; 0 when it could go at once."""


@dataclass(frozen=True, slots=True)
class PoolUse:
    """A pool of connections now.

    Attributes:
        in_use: Connections that are lent.
        size: Connections that are open.
        most: Connections that may be open at most.
    """

    in_use: int
    size: int
    most: int


class PoolObserver(Protocol):
    """Is told what the database's pool costs; must not raise."""

    def waited_for_connection(self, wait_s: float) -> None:
        """Somebody got a connection after so many seconds."""


class ResultStore(Protocol):
    """Where results of jobs are kept beside the queue. Used by all slots at once."""

    def save(
        self, *, job_id: str, queue: str, job_type: str, attempt: int, started_s: float, finished_s: float, result: Any
    ) -> None:
        """Keep the result of a job that returned, before its success is booked. The first of a job stands.

        Args:
            job_id: The job's id: the same job run twice leaves one result.
            queue: The name of its queue.
            job_type: The dotted path of its function.
            attempt: Which attempt returned, from 1.
            started_s: When it began, seconds since the epoch.
            finished_s: When it returned.
            result: What it returned; anything, and no value makes this fail.

        Raises:
            ServiceUnavailable: It could not be kept in time; the job is to run again later.
        """

    def pool_use(self) -> PoolUse:
        """The pool of connections now."""

    def close(self) -> None:
        """Let go of the connections."""


#: Metric, without the prefix -> its samples: the labels' values, and the value. What is not known has no sample.
Readings = Mapping[str, Sequence[tuple[tuple[str, ...], float]]]


class FleetSource(Protocol):
    """Something that all workers share and that one process reads for them."""

    def readings(self) -> Readings:
        """What it shows now.

        Raises:
            ServiceUnavailable: It does not answer.
        """


class Limiter(Protocol):
    """Says when a model may be called, for all callers with one key together. Serves any number of threads."""

    def acquire(
        self,
        model: str,
        *,
        calls: int = 1,
        tokens: float | None = None,
        retry: bool = False,
        permits: str | None = None,
    ) -> Grant:
        """Ask to call; what is granted is booked.

        Args:
            model: ``author/slug``.
            calls: How many calls; fewer may be granted.
            tokens: Tokens of each, estimated; None for what calls of this model took so far.
            retry: Whether they repeat calls that failed.
            permits: What a job kept from the last answer, empty at first: its place in the line. None for a caller who
                takes no place, such as a worker that asks before it fetches jobs.
        """

    def release(self, model: str, calls: int, tokens: float = 0.0) -> None:
        """Give back calls that were granted and will not be sent, each with the tokens charged for it."""

    def report(self, model: str, report: Report) -> Grant:
        """Tell how a call went; for one that was told to wait, the answer says when to come again, with what place."""

    def status(self) -> Sequence[ScopeStatus]:
        """The state of each model that was called lately; changes nothing."""


@dataclass(frozen=True, slots=True)
class DeadJob:
    """A job that failed for good.

    Attributes:
        job_id: Its id.
        queue: The queue it was in.
        job_type: The dotted path of its function; empty when it cannot be told.
        died_s: When its last attempt ended, seconds since the epoch; None when unknown.
        attempts: How often it was tried.
        reason: A short word for why it is dead; empty when another worker than jobctl's gave it up.
        error: The last line of its last error; empty when unknown.
    """

    job_id: str
    queue: str
    job_type: str
    died_s: float | None
    attempts: int
    reason: str
    error: str


@dataclass(frozen=True, slots=True)
class DeadJobDetails:
    """All that is kept of a dead job and can be shown without unpickling anything.

    Attributes:
        job: In short.
        encoding: How its data is encoded: ``json``, ``pickle`` or ``unreadable``.
        size: Bytes of its data.
        args: Its positional arguments; None unless they are JSON.
        kwargs: Its keyword arguments, likewise.
        meta: What its enqueuer attached; None when that is nothing or not JSON.
        description: What its enqueuer called it.
        traceback: Of its last error; empty when unknown.
        created_s: When it was made, seconds since the epoch; None when unknown.
        enqueued_s: When it last entered its queue.
        started_s: When its last attempt began.
    """

    job: DeadJob
    encoding: str
    size: int
    args: Sequence[Any] | None
    kwargs: Mapping[str, Any] | None
    meta: Any
    description: str
    traceback: str
    created_s: float | None
    enqueued_s: float | None
    started_s: float | None


class DeadSet(Protocol):
    """The jobs that failed for good. Nothing here runs, imports or unpickles anything of theirs."""

    def queues(self) -> list[str]:
        """The names of all queues, in order."""

    def count(self, queue: str) -> int:
        """How many jobs of a queue are dead."""

    def jobs(self, queue: str) -> Iterator[DeadJob]:
        """The dead jobs of a queue, the latest first."""

    def find(self, job_ids: Sequence[str]) -> list[DeadJob | None]:
        """These jobs, in the same order; None for each that is not dead."""

    def details(self, job: DeadJob) -> DeadJobDetails | None:
        """All about one; None when it is not dead any more."""

    def retry(self, jobs: Sequence[DeadJob]) -> int:
        """Put jobs at the end of their queues with all their attempts; how many were still dead."""

    def purge(self, jobs: Sequence[DeadJob]) -> int:
        """Remove jobs and all that is kept of them; how many were still dead."""

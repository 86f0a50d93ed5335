"""What a plan is about: the jobs that arrive, the time each holds a slot, what else is scarce, what was promised.

A :class:`Demand` is pure input. What follows from it by arithmetic alone (the rate that the fleet sees, the slots that
a replica really offers, the most it may have) is in :mod:`jobctl.core.capacity`; how long jobs wait is for
:mod:`jobctl.core.planning` to find out.

Words: a *job* arrives once and is tried up to ``attempts`` times; each *attempt* holds one slot. A *call* is one
request to the upstream; a job's attempt makes ``calls_per_job`` of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeGuard

from jobctl.core.arrivals import Arrivals
from jobctl.core.profiles import Profile
from jobctl.core.service import Law
from jobctl.core.slo import DEFAULT_OBJECTIVE, Cover, Objective, Promise, Window
from jobctl.core.traces import Trace

__all__ = [
    "CPU_LIMIT",
    "Assumption",
    "Database",
    "Demand",
    "Hold",
    "JobType",
    "Machine",
    "Retries",
    "Upstream",
]

#: One Python interpreter answers late beyond this share of a core.
CPU_LIMIT: Final = 0.7


class Hold(StrEnum):
    """For how long a job holds its database connection."""

    #: For as long as it holds its slot: a replica has no more slots than connections.
    JOB = "job"
    #: For a share of that time; where connections are few, jobs wait for one inside their slot.
    SHARE = "share"


@dataclass(frozen=True, slots=True)
class JobType:
    """One type of jobs in the mix.

    Attributes:
        name: What it is called.
        share: Of all jobs; the shares of a mix sum to 1.
        service: The law of the time that a successful attempt holds a slot.
    """

    name: str
    share: float
    service: Law


@dataclass(frozen=True, slots=True)
class Retries:
    """What becomes of attempts that fail.

    Attributes:
        attempts: Tries in all, the first included.
        failure_rate: Probability that an attempt fails, each independent of the others.
        failed_ratio: A failed attempt holds its slot for so many times a successful one's time.
        failed_s: Or for this fixed time, seconds; None to use the ratio.
        base_s: Wait before the second try, seconds; multiplied by ``factor`` for each further one.
        factor: That multiplier.
        cap_s: The longest wait, seconds.
        jitter: Share of the wait that is random: 1 is full jitter (uniform from 0), 0 none.
    """

    attempts: int = 1
    failure_rate: float = 0.0
    failed_ratio: float = 1.0
    failed_s: float | None = None
    base_s: float = 2.0
    factor: float = 2.0
    cap_s: float = 300.0
    jitter: float = 1.0


@dataclass(frozen=True, slots=True)
class Upstream:
    """The limits of what the jobs call, all replicas together.

    Attributes:
        rpm: Calls a minute; None for no limit.
        burst: Calls by which a minute may exceed that.
        tpm: Tokens a minute; None for no limit.
        tokens_per_job: Mean tokens of one attempt.
        calls_per_job: Calls of one attempt.
        waits_in_slot: Whether a job waits for the limit inside its slot; jobctl's worker keeps it outside.
    """

    rpm: float | None = None
    burst: int = 0
    tpm: float | None = None
    tokens_per_job: float | None = None
    calls_per_job: float = 1.0
    waits_in_slot: bool = False

    @property
    def attempts_per_s(self) -> float | None:
        """Attempts that it admits per second; None without a limit."""
        rates = []
        if self.rpm is not None:
            rates.append(self.rpm / 60 / self.calls_per_job)
        if self.tpm is not None and self.tokens_per_job:
            rates.append(self.tpm / 60 / self.tokens_per_job)
        return min(rates, default=None)


@dataclass(frozen=True, slots=True)
class Database:
    """The connections that the replicas share.

    Attributes:
        max_clients: The most that the database or its pooler takes; None for no limit.
        connections_per_replica: The pool of one replica; None when the jobs use no database.
        hold: For how long a job holds one.
        share: With :attr:`Hold.SHARE`: the share of its slot time.
        generations: Replicas of how many deploys exist at the same time: 2 while one replaces the other.
    """

    max_clients: int | None = None
    connections_per_replica: int | None = None
    hold: Hold = Hold.SHARE
    share: float = 0.05
    generations: int = 2


@dataclass(frozen=True, slots=True)
class Machine:
    """What one replica uses.

    Attributes:
        cpu_per_job_s: CPU seconds of one attempt, of one interpreter; None when not known.
        cpu_limit: The share of a core beyond which an interpreter answers late.
        memory_bytes: Resident memory of one replica; None when not known.
    """

    cpu_per_job_s: float | None = None
    cpu_limit: float = CPU_LIMIT
    memory_bytes: float | None = None


@dataclass(frozen=True, slots=True)
class Assumption:
    """A figure that the answer rests on, and where it came from.

    Attributes:
        name: The option's name without dashes, such as ``service-time``.
        value: As a person would write it.
        source: ``flag --service-time``, ``file jobctl.toml``, ``env JOB_CONCURRENCY``, ``default``, ``bench r.json``...
    """

    name: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class Demand:
    """What has to be carried, and how well.

    Attributes:
        profile: The rate of new jobs over one period, spikes included. With a trace: that of the trace, by the minute.
        trace: Real arrivals to replay in place of the profile and the arrival process; None for none.
        arrivals: How gaps vary about the profile's rate.
        job_types: The mix; a trace with service times ignores their laws.
        concurrency: Slots of one replica.
        promises: What must hold; at least one.
        window: The reading of objectives that name none.
        spare: Replicas that may be gone while it holds.
        retries: What becomes of failed attempts.
        job_timeout_s: An attempt that takes longer is stopped there and has failed; None for none.
        upstream: Limits of what the jobs call.
        database: Connections.
        machine: What one replica uses.
        max_replicas: The most that may be had, whoever says so; None for no bound.
        max_replicas_reason: Who says so, such as ``--max-replicas`` or ``Railway Pro``.
    """

    profile: Profile
    arrivals: Arrivals
    job_types: tuple[JobType, ...]
    concurrency: int
    promises: tuple[Promise, ...]
    window: Window = Window.BUSIEST_HOUR
    spare: int = 1
    trace: Trace | None = None
    retries: Retries = Retries()
    job_timeout_s: float | None = None
    upstream: Upstream = Upstream()
    database: Database = Database()
    machine: Machine = Machine()
    max_replicas: int | None = None
    max_replicas_reason: str = ""

    @property
    def is_steady(self) -> bool:
        """Whether every moment of the day is like any other."""
        return self.trace is None and self.profile.is_steady

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The promises that bound a statistic of a signal, the covered ones among them."""
        given = tuple(promise for promise in self.promises if isinstance(promise, Objective))
        return given + tuple(objective for objective in self.covered if objective not in given)

    @property
    def covered(self) -> tuple[Objective, ...]:
        """The objectives that a cover is about: those on the wait, or the default one; none without a cover."""
        if not any(isinstance(promise, Cover) for promise in self.promises):
            return ()
        return tuple(promise for promise in self.promises if _is_about_the_wait(promise)) or (DEFAULT_OBJECTIVE,)

    @property
    def judged(self) -> tuple[Promise, ...]:
        """What is judged by itself: where a cover stands, objectives on the wait are judged by it alone."""
        covered = self.covered
        return tuple(promise for promise in self.promises if promise not in covered)


def _is_about_the_wait(promise: Promise) -> TypeGuard[Objective]:
    return isinstance(promise, Objective) and promise.signal == "wait"

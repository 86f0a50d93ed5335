"""What the answer to a demand holds: the fleets that were looked at, and why one of them is the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from jobctl.core.demand import Demand
from jobctl.core.queueing import has_steady_state
from jobctl.core.slo import Window

__all__ = [
    "Answers",
    "Band",
    "Binding",
    "Fleet",
    "Hour",
    "Limits",
    "Plan",
    "Reading",
    "Sensitivity",
    "Waits",
]


class Binding(StrEnum):
    """The limit that decides: one that the fleet breaks, else the one that a replica fewer would break."""

    #: The slots must keep up with the offered load.
    SLOTS = "slots"
    #: Keeping up takes fewer; the objective takes these.
    OBJECTIVE = "objective"
    #: The upstream admits too few calls, however many replicas there are.
    UPSTREAM = "upstream"
    #: Connections: they cap the replicas, or the slots of each.
    DATABASE = "database"
    #: An interpreter's CPU caps what a replica runs.
    CPU = "cpu"
    #: There may be no more replicas: the platform's, or the asker's, most.
    PLATFORM = "platform"
    #: The load needs fewer; the rest are there because the spare may go. Or: what holds now breaks without it.
    REDUNDANCY = "redundancy"
    #: A replica fewer would break none.
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Band:
    """The interval in which a simulated figure lies with 95 % confidence, seconds."""

    low_s: float
    high_s: float


@dataclass(frozen=True, slots=True)
class Waits:
    """The wait of first attempts; seconds, infinite where the backlog grows without end, None where not computed."""

    p_wait: float | None = None
    mean_s: float | None = None
    p50_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What the jobs that arrive in one window of the day see.

    Attributes:
        start_s: The window's beginning, seconds after the period's.
        length_s: Its length.
        waits: Their waits.
        bands: How sure these are, by the names ``mean``, ``p50``, ``p95``, ``p99``; missing where nothing varies.
        sojourn_mean_s: Their mean sojourn, back-off included; None where not computed.
    """

    start_s: float
    length_s: float
    waits: Waits
    bands: Mapping[str, Band] = field(default_factory=dict)
    sojourn_mean_s: float | None = None


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour of a simulated day (or a twenty-fourth of a shorter trace).

    Attributes:
        start_s: Its beginning, seconds after the period's.
        arrival_rate_per_s: Mean rate of new jobs.
        utilisation: Share of the slots that was busy.
        wait_p95_s: Of the jobs that arrived in it; None where none did.
        backlog_max: The most jobs that waited at one instant.
    """

    start_s: float
    arrival_rate_per_s: float
    utilisation: float
    wait_p95_s: float | None
    backlog_max: int


@dataclass(frozen=True, slots=True)
class Fleet:
    """Some replicas under the demand.

    Attributes:
        replicas: How many run.
        slots: Slots that they really offer: connections and CPU may leave fewer than ``replicas x concurrency``.
        utilisation: Slot seconds asked for at the planned peak over those there are; 1 and above is a rising backlog.
        mean_utilisation: The same over the whole period; at 1 and above the backlog grows from day to day.
        ceiling_per_s: New jobs per second at which the fleet is full, by whatever fills first.
        headroom_x: How many times the planned peak that is.
        holds: Whether every promise is kept; None where simulation could not tell within its budget.
        wait: The waits in the window that the objectives name.
        bands: How sure these are, by name, as in :class:`Reading`; empty for closed forms.
        method: What the waits come from, such as ``M/M/c`` or ``simulation``.
        readings: The simulated windows; empty for closed forms alone.
        hours: The day hour by hour; empty unless whole days were simulated.
        backlog_max: The most jobs waiting at one instant, median over the simulated days; None where not simulated.
        drain_s: How long the largest backlog took to clear; None where not simulated.
        burst_clear_s: How long until a spike's last job had started, the longest of the profile's; None without spikes.
        broken: The promises that are not kept, as text, with what they come to: ``p95 wait <= 1 s (is 2.29 s)``.
        on_edge: Whether simulation could not tell within its budget; ``holds`` is then what a closed form says, where
            one is trusted.
    """

    replicas: int
    slots: int
    utilisation: float
    mean_utilisation: float
    ceiling_per_s: float
    headroom_x: float
    holds: bool | None
    wait: Waits
    bands: Mapping[str, Band] = field(default_factory=dict)
    method: str = ""
    readings: Mapping[Window, Reading] = field(default_factory=dict)
    hours: tuple[Hour, ...] = ()
    backlog_max: int | None = None
    drain_s: float | None = None
    burst_clear_s: float | None = None
    broken: tuple[str, ...] = ()
    on_edge: bool = False

    @property
    def headroom(self) -> float:
        """The share of the slots that the peak leaves free; negative when it asks for more than there are."""
        return 1 - self.utilisation

    @property
    def stable(self) -> bool:
        """Whether the backlog does not grow from day to day."""
        return has_steady_state(1, self.mean_utilisation)


@dataclass(frozen=True, slots=True)
class Answers:
    """Replicas for each reading of the promises; None where no number would do or it was not computed.

    Attributes:
        whole_day: Where all objectives are read over the whole period, no spare.
        busiest_hour: Where they are read over its busiest hour, no spare.
        with_spare: As asked, spare included.
    """

    whole_day: int | None
    busiest_hour: int | None
    with_spare: int | None


@dataclass(frozen=True, slots=True)
class Limits:
    """What follows from the demand without any queue.

    Attributes:
        attempts_per_job: Mean attempts of one job.
        attempt_failure_rate: Probability that an attempt fails, by itself or at the job timeout.
        job_failure_rate: Share of jobs whose last attempt fails.
        slot_seconds_per_job: Mean seconds of a slot that one job takes over all its attempts.
        slot_s: Mean time of one attempt on its slot, waits for connections and CPU inside it included.
        slot_scv: Squared coefficient of variation of that time.
        offered_load_erlangs: Slots kept busy at the planned peak if none waited.
        arrival_rate_per_s: New jobs per second, mean over the period.
        peak_arrival_rate_per_s: Their rate at the planned peak.
        effective_slots_per_replica: Slots that a replica really offers.
        capped_by: What caps them below the concurrency: ``Binding.DATABASE`` or ``Binding.CPU``; None for nothing.
        upstream_per_s: New jobs per second that the upstream admits, retries counted; None without a limit.
        max_replicas_database: Replicas that the connections allow; None without a limit.
        max_replicas_platform: Replicas that may be had; None without a limit.
    """

    attempts_per_job: float
    attempt_failure_rate: float
    job_failure_rate: float
    slot_seconds_per_job: float
    slot_s: float
    slot_scv: float
    offered_load_erlangs: float
    arrival_rate_per_s: float
    peak_arrival_rate_per_s: float
    effective_slots_per_replica: int
    capped_by: Binding | None
    upstream_per_s: float | None
    max_replicas_database: int | None
    max_replicas_platform: int | None


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What another demand would need.

    Attributes:
        change: In words, such as ``service time +20 %``.
        replicas: Replicas that it needs, spare included; None where no number would do.
        confirmed: Whether that was simulated or comes from a formula that may be trusted; else the answer was scaled
            by what closed forms say of both.
    """

    change: str
    replicas: int | None
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """An answer.

    Attributes:
        demand: What was asked.
        limits: What follows from it without any queue.
        feasible: Whether every required limit is kept; None where that could not be told.
        binding: Which limit decides.
        required: The limits that had to be kept, beside what is physically there.
        reason: Why it is not feasible, in one sentence with figures; empty when it is.
        relief: What would relieve the binding limit, in one sentence.
        all_running: The fleet with every replica, the spare included.
        spare_gone: The fleet without the spare; None when nothing would remain.
        fewer: The fleet with one replica fewer than the fewest that hold, which was simulated to show that it does not
            hold; None when there is none, or a number was given.
        around: Fleets of two fewer to three more replicas, ascending.
        holds_one_gone: For each of ``around``, whether one fewer would hold; None where not known.
        answers: The replicas for each reading.
        edge: The two numbers that simulation could not choose between within its budget; None when it could.
        backlog_growth_per_day: Jobs by which the backlog grows each day; 0 when it does not.
        max_sustainable_per_day: The largest daily volume of this shape that the fleet holds, its spare gone if that is
            required; None where not computed.
        sensitivity: What other demands would need.
        simulated_jobs: Jobs simulated in all; 0 for closed forms alone.
        seed: Of the simulation.
        helpless: Whether no number of replicas would do.
    """

    demand: Demand
    limits: Limits
    feasible: bool | None
    binding: Binding
    required: frozenset[Binding]
    reason: str
    relief: str
    all_running: Fleet
    spare_gone: Fleet | None
    fewer: Fleet | None
    around: tuple[Fleet, ...]
    holds_one_gone: tuple[bool | None, ...]
    answers: Answers
    edge: tuple[int, int] | None
    backlog_growth_per_day: float
    max_sustainable_per_day: float | None
    sensitivity: tuple[Sensitivity, ...]
    simulated_jobs: int
    seed: int
    helpless: bool = False

    @property
    def on_edge(self) -> bool:
        """Whether simulation could not tell: which of two numbers it takes, or whether a given one holds."""
        spared = Binding.REDUNDANCY in self.required and self.demand.spare > 0
        deciding = self.spare_gone if spared else self.all_running
        given = Binding.OBJECTIVE in self.required and deciding is not None and deciding.on_edge
        return given or self.edge is not None or self.feasible is None

"""What a bench measured, as the one value from which every kind of report is made.

So no two of them can disagree: :func:`statistics` lists every figure once, to the digit of the document, and what is
shown in fewer digits is shortened by the same words everywhere. None is what was not measured; it is never 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from jobctl.core.slo import Verdict

if TYPE_CHECKING:
    from jobctl.core.timeline import Spread

__all__ = [
    "STATISTICS",
    "Change",
    "Comparison",
    "Fault",
    "Gate",
    "JobType",
    "Maximum",
    "Prediction",
    "Probe",
    "Replica",
    "Report",
    "Scalars",
    "Signal",
    "Statistic",
    "Subject",
    "Timeline",
    "statistics",
]

#: The statistics of a signal beside its number of jobs, in the order in which they are shown.
STATISTICS: Final = ("mean", "p50", "p90", "p95", "p99", "max")
#: What an object of a document has of plain values, by name.
Scalars = Mapping[str, str | float | bool]


@dataclass(frozen=True, slots=True)
class Signal:
    """Durations of one kind, seconds.

    Attributes:
        name: ``wait``, ``service``, ``sojourn`` or ``enqueue``.
        jobs: How many were measured.
        values: By statistic.
        intervals: The bounds between which a quantile lies, each at 95 %, by its name.
    """

    name: str
    jobs: int
    values: Mapping[str, float | None]
    intervals: Mapping[str, tuple[float, float] | None]


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate and how it stood.

    Attributes:
        name: What it is called.
        check: What it asks, as text.
        job: The job type that it is about; None for all.
        severity: ``error``, or ``warning`` where it never fails a run.
        verdict: How it stood.
        value: What was measured.
        threshold: What was allowed.
        unit: Of both.
        samples: Jobs behind the value.
        reason: Why it was not kept.
        failed_windows: Where it did not hold, seconds since the run's start.
    """

    name: str
    check: str
    job: str | None
    severity: str
    verdict: Verdict
    value: float | None
    threshold: float | None
    unit: str
    samples: int | None
    reason: str | None
    failed_windows: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class JobType:
    """One type of a mix: its share of the jobs, its queue, where its jobs ended and how long they took."""

    job: str
    share: float | None
    queue: str | None
    jobs: Mapping[str, int]
    signals: tuple[Signal, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that was done to the system on purpose.

    Attributes:
        kind: Of fault.
        what: The same in words.
        at_s: When, seconds since the run's start.
        until_s: When it was undone; None where it was not.
    """

    kind: str
    what: str
    at_s: float
    until_s: float | None


@dataclass(frozen=True, slots=True)
class Replica:
    """One worker: jobs that it ended and the share of its slots that was busy over the window."""

    name: str
    jobs: int | None
    utilisation: float | None


@dataclass(frozen=True, slots=True)
class Prediction:
    """What theory expects of the load that was offered; seconds."""

    utilisation: float | None
    wait: Mapping[str, float | None]
    method: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """A run in steps of equal length, from its start to the end of the drain.

    Attributes:
        step_s: Length of a step.
        offered: Jobs that were to arrive in each.
        achieved: Jobs that finished in it.
        failed: Jobs that failed for good in it.
        backlog: Jobs waiting.
        in_service: Jobs on slots.
        signals: By name.
        busy: Share of the slots that each worker kept busy, by its name.
    """

    step_s: float
    offered: tuple[float | None, ...]
    achieved: tuple[float | None, ...]
    failed: tuple[float | None, ...]
    backlog: tuple[float | None, ...]
    in_service: tuple[float | None, ...]
    signals: Mapping[str, Spread]
    busy: Mapping[str, tuple[float | None, ...]]

    @property
    def steps(self) -> int:
        """How many there are."""
        return len(self.offered)


@dataclass(frozen=True, slots=True)
class Probe:
    """One rate that a search for the maximum tried."""

    rate_per_s: float
    duration_s: float | None
    phase: str
    verdict: str
    reason: str
    throughput_per_s: float | None
    wait_p95_s: float | None
    utilisation: float | None


@dataclass(frozen=True, slots=True)
class Maximum:
    """The bracket that a search found: the highest rate that held, the lowest that did not, and what binds."""

    sentence: str | None
    low_per_s: float | None
    high_per_s: float | None
    confidence: float | None
    limit: str | None
    reached: bool
    probes: tuple[Probe, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One statistic of a run beside that of its baseline.

    Attributes:
        name: Which.
        unit: Of both values and the interval.
        baseline: Its value before.
        new: Its value now.
        interval: In which the change lies.
        decides: Whether it counts for the finding of the whole.
        finding: What that amounts to.
        reason: Why nothing can be said; None where something is.
    """

    name: str
    unit: str
    baseline: float | None
    new: float | None
    interval: tuple[float, float] | None
    decides: bool
    finding: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A run against its baseline: what was found, why, and statistic by statistic."""

    finding: str
    sentence: str | None
    reasons: tuple[str, ...]
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A bench.

    Attributes:
        verdict: The verdict.
        reasons: Why, unless it was kept.
        sentence: The run in one sentence.
        interrupted: Whether somebody stopped it.
        aborted: Why it ended itself early; None where it did not.
        errors: What jobs failed with, and how many.
        started_at: When, ISO 8601.
        config: What was asked, by name, as far as it is plain values.
        asked: All of it in words.
        job: What ran.
        duration_s: Length of the schedule.
        warmup_s: Its first part, which is not judged.
        asked_per_s: The rate that was asked for.
        offered_jobs: Window jobs of the schedule.
        offered_per_s: The same per second.
        achieved_jobs: Those that finished.
        achieved_per_s: The same per second.
        goodput_per_s: Those that finished within their promise, per second.
        drain_s: From the last arrival to the last job's end.
        schedule_lag: The generator's own lateness by statistic, seconds.
        dropped: Arrivals that were never sent.
        jobs: Where the jobs of the whole run ended.
        signals: How long window jobs took.
        by_job: The same by type.
        utilisation: Share of the slots that was busy.
        usage: What workers used of the machine.
        backlog_max: Most jobs waiting.
        backlog_slope_per_s: Growth of that.
        backlog: Jobs waiting at even instants of the window.
        predicted: What theory expects.
        gates: The gates.
        faults: What was done to the system.
        replicas: The workers.
        timeline: The run over time; None in documents of earlier releases.
        spectra: Percentile (0 to 100) and seconds, by signal.
        cost: In USD.
        generator: What the load generator used.
        maximum: What a search for the highest rate found.
        comparison: Against a baseline.
        host: The machine.
        versions: Of what it was measured with.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    sentence: str
    interrupted: bool
    aborted: str | None
    errors: tuple[tuple[str, int], ...]
    started_at: str
    config: Scalars
    asked: Mapping[str, str]
    job: str
    duration_s: float
    warmup_s: float
    asked_per_s: float
    offered_jobs: int
    offered_per_s: float
    achieved_jobs: int
    achieved_per_s: float
    goodput_per_s: float | None
    drain_s: float | None
    schedule_lag: Mapping[str, float | None]
    dropped: int
    jobs: Mapping[str, int]
    signals: tuple[Signal, ...]
    by_job: tuple[JobType, ...]
    utilisation: float | None
    usage: Scalars
    backlog_max: int
    backlog_slope_per_s: float
    backlog: tuple[float, ...]
    predicted: Prediction | None
    gates: tuple[Gate, ...]
    faults: tuple[Fault, ...]
    replicas: tuple[Replica, ...]
    timeline: Timeline | None
    spectra: Mapping[str, tuple[tuple[float, float], ...]]
    cost: Scalars
    generator: Scalars
    maximum: Maximum | None
    comparison: Comparison | None
    host: Scalars
    versions: Scalars

    @property
    def finding(self) -> str | None:
        """What the comparison found; None where there was none."""
        return None if self.comparison is None else self.comparison.finding

    def signal(self, name: str) -> Signal | None:
        """The signal of that name."""
        return next((signal for signal in self.signals if signal.name == name), None)


class Subject(StrEnum):
    """What a statistic is of."""

    RUN = "run"
    JOB = "job"
    REPLICA = "replica"
    GATE = "gate"


@dataclass(frozen=True, slots=True)
class Statistic:
    """One figure.

    Attributes:
        measure: What is measured, such as ``wait``.
        statistic: What of it, such as ``p95``.
        unit: ``s``, ``jobs``, ``jobs/s``, ``bytes``, ``USD``, ``0/1`` for no and yes, or nothing for a share.
        value: None where it was not measured.
        subject: What it is of.
        name: Of that; empty for the run.
    """

    measure: str
    statistic: str
    unit: str
    value: float | None
    subject: Subject = Subject.RUN
    name: str = ""


def statistics(report: Report) -> tuple[Statistic, ...]:
    """Every figure of a report once."""
    return (
        *(Statistic("verdict", verdict.value, "0/1", float(verdict is report.verdict)) for verdict in Verdict),
        *_of_signals(report.signals, Subject.RUN, ""),
        *_of_the_load(report),
        *_of_jobs(report.jobs, Subject.RUN, ""),
        *_of_the_system(report),
        *_of_theory(report.predicted),
        *_of_job_types(report.by_job),
        *_of_replicas(report.replicas),
        *_of_gates(report.gates),
        *_of_maximum(report.maximum),
    )


def _of_signals(signals: tuple[Signal, ...], subject: Subject, name: str) -> Iterator[Statistic]:
    for signal in signals:
        yield Statistic(signal.name, "n", "jobs", signal.jobs, subject, name)
        for statistic, value in signal.values.items():
            yield Statistic(signal.name, statistic, "s", value, subject, name)
        for statistic, interval in signal.intervals.items():
            low, high = interval or (None, None)
            yield Statistic(signal.name, f"{statistic}_low", "s", low, subject, name)
            yield Statistic(signal.name, f"{statistic}_high", "s", high, subject, name)


def _of_the_load(report: Report) -> Iterator[Statistic]:
    yield Statistic("asked", "rate", "jobs/s", report.asked_per_s)
    yield Statistic("offered", "n", "jobs", report.offered_jobs)
    yield Statistic("offered", "rate", "jobs/s", report.offered_per_s)
    yield Statistic("achieved", "n", "jobs", report.achieved_jobs)
    yield Statistic("achieved", "rate", "jobs/s", report.achieved_per_s)
    yield Statistic("goodput", "rate", "jobs/s", report.goodput_per_s)
    for statistic, value in report.schedule_lag.items():
        yield Statistic("schedule_lag", statistic, "s", value)
    yield Statistic("dropped", "n", "jobs", report.dropped)
    yield Statistic("drain", "length", "s", report.drain_s)


def _of_jobs(jobs: Mapping[str, int], subject: Subject, name: str) -> Iterator[Statistic]:
    for statistic, count in jobs.items():
        yield Statistic("jobs", statistic, "jobs", count, subject, name)


def _of_the_system(report: Report) -> Iterator[Statistic]:
    yield Statistic("utilisation", "mean", "", report.utilisation)
    yield Statistic("backlog", "max", "jobs", report.backlog_max)
    yield Statistic("backlog", "slope", "jobs/s", report.backlog_slope_per_s)
    yield Statistic("cpu", "per_job", "s", _figure(report.usage, "cpu_s_per_job"))
    yield Statistic("cpu_share", "per_replica", "", _figure(report.usage, "cpu_share_per_replica"))
    yield Statistic("memory", "per_replica", "bytes", _figure(report.usage, "memory_bytes_per_replica"))
    yield Statistic("cost", "sum", "USD", _figure(report.cost, "usd"))
    yield Statistic("cost", "per_job", "USD", _figure(report.cost, "usd_per_job"))
    yield Statistic("generator_cpu", "per_job", "s", _figure(report.generator, "cpu_s_per_job"))


def _of_theory(predicted: Prediction | None) -> Iterator[Statistic]:
    if predicted is not None:
        yield Statistic("predicted_utilisation", "mean", "", predicted.utilisation)
        for statistic, value in predicted.wait.items():
            yield Statistic("predicted_wait", statistic, "s", value)


def _of_job_types(by_job: tuple[JobType, ...]) -> Iterator[Statistic]:
    for each in by_job:
        yield Statistic("share", "mean", "", each.share, Subject.JOB, each.job)
        yield from _of_jobs(each.jobs, Subject.JOB, each.job)
        yield from _of_signals(each.signals, Subject.JOB, each.job)


def _of_replicas(replicas: tuple[Replica, ...]) -> Iterator[Statistic]:
    for replica in replicas:
        yield Statistic("jobs", "ended", "jobs", replica.jobs, Subject.REPLICA, replica.name)
        yield Statistic("utilisation", "mean", "", replica.utilisation, Subject.REPLICA, replica.name)


def _of_gates(gates: tuple[Gate, ...]) -> Iterator[Statistic]:
    for gate in gates:
        yield Statistic("gate", "value", gate.unit, gate.value, Subject.GATE, gate.name)
        yield Statistic("gate", "threshold", gate.unit, gate.threshold, Subject.GATE, gate.name)
        yield Statistic("gate", "n", "jobs", gate.samples, Subject.GATE, gate.name)


def _of_maximum(maximum: Maximum | None) -> Iterator[Statistic]:
    if maximum is not None:
        yield Statistic("maximum", "low", "jobs/s", maximum.low_per_s)
        yield Statistic("maximum", "high", "jobs/s", maximum.high_per_s)
        yield Statistic("maximum", "confidence", "", maximum.confidence)


def _figure(scalars: Scalars, key: str) -> float | None:
    value = scalars.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None

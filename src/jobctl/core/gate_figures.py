"""What a gate is held to: its figure, over the jobs that it is about.

A figure is folded from what each job says of a signal, its *reading*, or, where it is about time and not about jobs one
by one (backlog, utilisation, the time of the drain), from all of them together. The figure itself is the report's, not
a bound of its interval, for that is what a person sees.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from jobctl.core.gates import Gate, Unit
from jobctl.core.quantiles import Sample
from jobctl.core.records import JobRecord, Outcome
from jobctl.core.summary import Window, backlog_over, drain_of, utilisation_over
from jobctl.core.units import format_duration

__all__ = [
    "READINGS",
    "Figure",
    "Reading",
    "RunFacts",
    "figure_of",
    "format_figure",
    "goodput_per_s",
    "reading_of",
    "within_objectives",
]

_ENDED: Final = frozenset({Outcome.FINISHED, Outcome.FAILED})

#: What a job says of a signal; None where it says nothing.
Reading = Callable[[JobRecord], float | None]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What gates are judged from.

    Attributes:
        records: One per scheduled job.
        start_s: When the schedule began, seconds since the epoch.
        window: What is judged.
        slots: Slots over all workers; None where they are not known.
        doubts: Why the load may not be the one that was asked for; empty where it is.
        cut_short: Whether the run ended before its schedule did, so that unfinished jobs say nothing.
    """

    records: Sequence[JobRecord]
    start_s: float
    window: Window
    slots: int | None
    doubts: tuple[str, ...] = ()
    cut_short: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure over a stretch, the jobs it is from, and why it is not known where it is not."""

    value: float | None
    samples: int
    reason: str | None = None
    is_idle: bool = False


def goodput_per_s(records: Iterable[JobRecord], window: Window, gates: Iterable[Gate]) -> float:
    """Window jobs that succeeded within the objective, per second of the window.

    The objective is what gates promise of a job's wait and sojourn at most: of each signal the loosest threshold of a
    percentile or maximum. Without such a gate it is to succeed. A job whose wait is not known, because it was tried
    more than once, is not within a promise on it.
    """
    within = within_objectives(gates)
    return sum(within(record) for record in records if window.holds(record.intended_s)) / window.length_s


def format_figure(value: float | None, unit: str) -> str:
    """A figure or a threshold of a gate for a person; ``-`` where it is not known."""
    if value is None:
        return "-"
    match Unit(unit):
        case Unit.SECONDS:
            return format_duration(value)
        case Unit.SHARE:
            return f"{100 * value:.3g}%"
        case Unit.JOBS:
            return f"{value:,.0f}"
        case _:
            return f"{value:.3g} {unit}"


def figure_of(gate: Gate, run: RunFacts, jobs: Sequence[JobRecord], stretch: Window, reading: Reading | None) -> Figure:
    """The figure of a gate.

    Args:
        gate: The gate.
        run: All that happened.
        jobs: The jobs that it is about.
        stretch: The stretch of the window that it is over.
        reading: What each of them says; None where it is about time.
    """
    if reading is not None:
        return _fold(gate, [value for value in map(reading, jobs) if value is not None], len(jobs), stretch.length_s)
    match gate.signal:
        case "backlog":
            backlog = backlog_over(jobs, stretch, math.inf if gate.window_s is None else stretch.end_s)
            return Figure(backlog.max if gate.statistic == "max" else backlog.slope_per_s, len(run.records))
        case "utilisation":
            if run.slots is None:
                return Figure(None, len(run.records), "the slots of the workers are not known")
            return Figure(utilisation_over(jobs, stretch, run.slots), len(run.records))
        case _:
            return _drain_time(jobs)


def _drain_time(jobs: Sequence[JobRecord]) -> Figure:
    """Seconds from the last intended arrival to the last end."""
    unfinished = sum(record.outcome in {Outcome.IN_FLIGHT, Outcome.LOST} for record in jobs)
    if unfinished:
        return Figure(None, len(jobs), f"{unfinished} jobs had not ended")
    ended = sum(record.finished_s is not None for record in jobs)
    return Figure(drain_of(jobs), ended, None if ended else "no job ended")


def _fold(gate: Gate, values: Sequence[float], jobs: int, length_s: float) -> Figure:
    """A figure from what the jobs of a stretch say; ``jobs`` of them were meant to arrive in it."""
    n, idle = len(values), gate.window_s is not None and jobs == 0
    if gate.kind.are_durations:
        return Figure(_statistic(gate, Sample(values)), n, is_idle=idle)
    if not n:
        return Figure(None, 0, "no job says what it cost" if gate.signal == "cost" and jobs else None, is_idle=idle)
    total = math.fsum(values)
    if gate.unit is Unit.RATE:
        return Figure(total / length_s, n)
    return Figure(total / n if gate.unit is Unit.SHARE or gate.statistic == "per_job" else total, n)


def _statistic(gate: Gate, sample: Sample) -> float | None:
    if gate.quantile is None:
        return sample.mean if gate.statistic == "mean" else sample.max
    exact = sample.census(gate.quantile)
    if gate.signal == "schedule_lag":
        return exact
    shown = sample.quantile(gate.quantile)
    return exact if shown is None else shown


def reading_of(gate: Gate, within: Callable[[JobRecord], bool]) -> Reading | None:
    """What a job adds to the figure; None for figures that are about time and not about jobs one by one."""
    return (lambda record: float(within(record))) if gate.signal == "goodput" else READINGS.get(gate.signal)


def _flag(predicate: Callable[[JobRecord], bool], of: Callable[[JobRecord], bool]) -> Reading:
    return lambda record: float(predicate(record)) if of(record) else None


def _is_enqueued(record: JobRecord) -> bool:
    return record.outcome is not Outcome.REJECTED


def _has_finished(record: JobRecord) -> bool:
    return record.outcome is Outcome.FINISHED


#: What a job says of each signal that is about jobs one by one.
READINGS: Final[Mapping[str, Reading]] = {
    "lost": _flag(lambda record: record.outcome is Outcome.LOST, _is_enqueued),
    "duplicated": _flag(lambda record: record.successes > 1, _is_enqueued),
    "retried": _flag(lambda record: record.retries > 0, _is_enqueued),
    "error_rate": _flag(lambda record: record.outcome is Outcome.FAILED, lambda record: record.outcome in _ENDED),
    "achieved/offered": _flag(_has_finished, lambda record: True),
    "throughput": _flag(_has_finished, lambda record: True),
    "enqueue": lambda record: record.enqueue_s,
    "wait": lambda record: record.wait_s,
    "service": lambda record: record.served_s,
    "sojourn": lambda record: record.sojourn_s,
    "schedule_lag": lambda record: record.schedule_lag_s,
    "cost": lambda record: record.cost_usd,
}


def within_objectives(gates: Iterable[Gate]) -> Callable[[JobRecord], bool]:
    """Whether a job succeeded within what gates promise of it."""
    loosest: dict[tuple[str, str | None], float] = {}
    for gate in gates:
        of_a_job = gate.statistic == "max" or gate.quantile is not None
        if gate.signal in {"wait", "sojourn"} and gate.comparison.is_upper and of_a_job:
            key = gate.signal, gate.job
            loosest[key] = max(loosest.get(key, 0.0), gate.threshold)

    def within(record: JobRecord) -> bool:
        return _has_finished(record) and all(
            (seconds := READINGS[signal](record)) is not None and seconds <= threshold_s
            for (signal, job), threshold_s in loosest.items()
            if job is None or job == record.job_type
        )

    return within

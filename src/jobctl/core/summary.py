"""From job records to the figures of a run.

Which jobs count where, the one rule for the edges:

* ``counts`` is about the whole run: every scheduled job, warm-up and drain included, stands in exactly one place, so
  ``scheduled = enqueued + rejected`` and ``enqueued = finished + failed + in_flight + lost``.
* The *window* is the schedule without its warm-up. A job belongs to it if its *intended* arrival does, whenever it
  finished. Signals, offered and achieved rates are about these jobs alone, so both rates share one denominator.
* Utilisation and backlog are about a stretch of time, so they take every job present in it, warm-up jobs too.
* Service times are those of jobs that finished: a job that failed held its slot for another reason. Waits are those of
  first attempts alone (:attr:`JobRecord.wait_s`). Sojourns are those of every job that ended.

Waits close to each other resemble each other, the more the fuller the slots, and a short run cannot see how much. So
waits and sojourns are told how long a queue under that load remembers (:attr:`Load.relaxation`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, variance
from typing import Final

from jobctl.core.quantiles import Sample
from jobctl.core.queueing import erlang_c, offered_load_erlangs
from jobctl.core.records import JobRecord, Outcome

__all__ = [
    "Backlog",
    "Counts",
    "Load",
    "Summary",
    "Window",
    "backlog_over",
    "conserved",
    "drain_of",
    "summarise",
    "utilisation_over",
]

#: Points at which the backlog is read for its trend and its picture.
_BACKLOG_POINTS: Final = 240
#: Standard deviations by which a measured load may fall short of the true one: the 0.95 quantile of the normal.
_Z: Final = 1.6448536269514722
#: The largest power of e that is a number.
_MOST_EXPONENT: Final = 700.0
#: Where fewer jobs than this share would wait, there is no queue through which jobs make each other wait.
_NO_QUEUE: Final = 0.01


@dataclass(frozen=True, slots=True)
class Window:
    """The stretch of time that is judged, in seconds since the epoch."""

    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        """Its length in seconds."""
        return self.end_s - self.start_s

    def holds(self, instant_s: float) -> bool:
        """Whether the instant lies in it; the end does not."""
        return self.start_s <= instant_s < self.end_s

    def overlap_s(self, begin_s: float, end_s: float) -> float:
        """Seconds that an interval shares with it."""
        return max(0.0, min(end_s, self.end_s) - max(begin_s, self.start_s))


@dataclass(frozen=True, slots=True)
class Counts:
    """Where every scheduled job of the run ended. ``duplicated`` and ``retried`` count jobs, not attempts.

    ``attempts`` counts those that ended, ``failed_attempts`` those of them that failed, be it for good or not.
    """

    scheduled: int
    enqueued: int
    rejected: int
    finished: int
    failed: int
    in_flight: int
    lost: int
    duplicated: int
    retried: int
    attempts: int
    failed_attempts: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """Jobs waiting (enqueued, not started).

    Attributes:
        max: The most at any instant from the window's start to the end of the run.
        slope_per_s: Least-squares growth over the window, jobs per second.
        series: The backlog at evenly spaced instants of the window.
    """

    max: int
    slope_per_s: float
    series: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Load:
    """The load that the window's jobs put on known slots, and how well a run of that length tells it.

    Attributes:
        erlangs: Jobs per second times the mean service time of those that finished.
        slots: Slots over all workers.
        jobs: Jobs it is measured from.
        variability: Squared coefficients of variation of the gaps between arrivals and of the service times, summed.
    """

    erlangs: float
    slots: int
    jobs: int
    variability: float

    @property
    def at_most_erlangs(self) -> float:
        """A bound that the load behind the measurement exceeds once in a hundred runs.

        Count and mean service time have relative variances near ca²/n and cs²/n; the bound is taken on the logarithm,
        for the measured variation is smallest just where the measured load is too small.
        """
        if not self.jobs:
            return math.inf
        return self.erlangs * math.exp(min(_MOST_EXPONENT, _Z * math.sqrt(self.variability / self.jobs)))

    @property
    def relaxation(self) -> float:
        """Arrivals in which a queue forgets where it was: 0 without a queue, infinite where the slots may be full.

        In heavy traffic the wait is a reflected Brownian motion: each arrival brings a drift of -(1 - u) and a variance
        of ca² + cs², in units of the mean service time over the slots. Its unit of time is (ca² + cs²) / (1 - u)²
        arrivals (Whitt 1989, "Planning queueing simulations"). Taken at the bound of the load, so that a run does not
        look independent because few jobs happened to come.
        """
        utilisation = self.at_most_erlangs / self.slots
        if utilisation >= 1:
            return math.inf
        if erlang_c(self.slots, self.at_most_erlangs) < _NO_QUEUE:
            return 0.0
        return self.variability / (1 - utilisation) ** 2


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of one run.

    Attributes:
        window: What is judged.
        counts: Where every job ended.
        offered_jobs: Jobs intended inside the window.
        achieved_jobs: Those of them that finished by the end of the drain.
        schedule_lag: How late the generator sent each job of the whole run.
        arrival_scv: Squared coefficient of variation of the gaps between intended arrivals, window jobs.
        load: The load on the slots; None where the slots or the service times are not known.
        wait: Enqueued to started, window jobs that were not retried.
        service: Started to finished, window jobs that finished.
        sojourn: Intended to the outcome, window jobs that ended.
        utilisation: Share of the slots that was busy over the window; None when the slots are not known.
        backlog: Jobs waiting over time.
    """

    window: Window
    counts: Counts
    offered_jobs: int
    achieved_jobs: int
    schedule_lag: Sample
    arrival_scv: float
    load: Load | None
    wait: Sample
    service: Sample
    sojourn: Sample
    utilisation: float | None
    backlog: Backlog

    @property
    def offered_per_s(self) -> float:
        """Intended arrivals per second of the window."""
        return self.offered_jobs / self.window.length_s

    @property
    def achieved_per_s(self) -> float:
        """Window jobs that finished, per second of the window."""
        return self.achieved_jobs / self.window.length_s


def summarise(
    records: Sequence[JobRecord],
    window: Window,
    slots: int | None,
    struck: Callable[[JobRecord], bool] = lambda record: False,
) -> Summary:
    """Fold the records of a run into its figures.

    Args:
        records: One per scheduled job, in the order of the schedule.
        window: What is judged.
        slots: Slots over all workers; None when they are somebody else's.
        struck: Whether an injected fault explains what became of a job. Then its service time says nothing about the
            load, unless all of them were struck.
    """
    inside = [record for record in records if window.holds(record.intended_s)]
    finished = [record for record in inside if record.outcome is Outcome.FINISHED]
    service = Sample(_known(record.served_s for record in inside))
    arrival_scv = _arrival_scv(inside)
    calm = Sample(_known(record.served_s for record in inside if not struck(record)))
    load = _load(len(inside) / window.length_s, len(inside), arrival_scv, calm if len(calm) else service, slots)
    relaxation = 0.0 if load is None else load.relaxation
    return Summary(
        window=window,
        counts=count_outcomes(records),
        offered_jobs=len(inside),
        achieved_jobs=len(finished),
        schedule_lag=Sample(_known(record.schedule_lag_s for record in records)),
        arrival_scv=arrival_scv,
        load=load,
        wait=Sample(_known(record.wait_s for record in inside), relaxation),
        service=service,
        sojourn=Sample(_known(record.sojourn_s for record in inside), relaxation),
        utilisation=utilisation_over(records, window, slots) if slots else None,
        backlog=backlog_over(records, window),
    )


def count_outcomes(records: Iterable[JobRecord]) -> Counts:
    """Count where each job ended."""
    scheduled = duplicated = retried = retries = 0
    ended: Counter[Outcome] = Counter()
    for record in records:
        scheduled += 1
        ended[record.outcome] += 1
        duplicated += record.successes > 1
        retried += record.retries > 0
        retries += record.retries
    return Counts(
        scheduled=scheduled,
        enqueued=scheduled - ended[Outcome.REJECTED],
        rejected=ended[Outcome.REJECTED],
        finished=ended[Outcome.FINISHED],
        failed=ended[Outcome.FAILED],
        in_flight=ended[Outcome.IN_FLIGHT],
        lost=ended[Outcome.LOST],
        duplicated=duplicated,
        retried=retried,
        attempts=retries + ended[Outcome.FINISHED] + ended[Outcome.FAILED],
        failed_attempts=retries + ended[Outcome.FAILED],
    )


def drain_of(records: Sequence[JobRecord]) -> float | None:
    """Seconds from the last intended arrival to the end of the last job; None while one is open, or if none ended."""
    if any(record.outcome in (Outcome.IN_FLIGHT, Outcome.LOST) for record in records):
        return None
    ends = [record.finished_s for record in records if record.finished_s is not None]
    return max(0.0, max(ends) - max(record.intended_s for record in records)) if ends else None


def conserved(counts: Counts) -> bool:
    """Whether no job vanished from the books: both conservation equations hold."""
    return (
        counts.scheduled == counts.enqueued + counts.rejected
        and counts.enqueued == counts.finished + counts.failed + counts.in_flight + counts.lost
    )


def _known(values: Iterable[float | None]) -> Iterable[float]:
    return (value for value in values if value is not None)


def _arrival_scv(records: Sequence[JobRecord]) -> float:
    """Squared coefficient of variation of the gaps between arrivals; that of Poisson arrivals where none is seen."""
    gaps = [later.intended_s - earlier.intended_s for earlier, later in pairwise(records)]
    if len(gaps) < 2 or math.fsum(gaps) == 0:
        return 1.0
    return variance(gaps) / fmean(gaps) ** 2


def _load(offered_per_s: float, jobs: int, arrival_scv: float, service: Sample, slots: int | None) -> Load | None:
    if slots is None or service.mean is None:
        return None
    service_scv = 1.0 if service.scv is None else service.scv
    return Load(offered_load_erlangs(offered_per_s, service.mean), slots, jobs, arrival_scv + service_scv)


def utilisation_over(records: Sequence[JobRecord], window: Window, slots: int) -> float:
    """Busy slot-seconds in the window over all slot-seconds.

    A job that still runs holds its slot to the end; one that was lost while it ran freed it at an unknown instant and
    counts for nothing. When earlier attempts of a job ran is not known, only for how long: they count if it arrived in
    the window.
    """
    busy_s = math.fsum(
        window.overlap_s(record.started_s, math.inf if record.finished_s is None else record.finished_s)
        for record in records
        if record.started_s is not None and (record.finished_s is not None or record.outcome is Outcome.IN_FLIGHT)
    )
    failed_s = math.fsum(record.failed_s for record in records if window.holds(record.intended_s))
    return (busy_s + failed_s) / (slots * window.length_s)


def backlog_over(records: Iterable[JobRecord], window: Window, until_s: float = math.inf) -> Backlog:
    """The jobs that waited: a walk through arrivals and starts in order of time, arrivals first.

    Args:
        records: The jobs; those that waited at no instant of the window may be left out.
        window: Over which the backlog's series and its slope are.
        until_s: Before this instant its maximum is looked for, and no sooner than the window's end.
    """
    steps: list[tuple[float, int]] = []
    for record in records:
        if record.enqueued_s is not None and record.outcome is not Outcome.REJECTED:
            left_s = record.started_s if record.started_s is not None else record.finished_s
            steps.append((record.enqueued_s, 1))
            steps.append((math.inf if left_s is None else max(left_s, record.enqueued_s), -1))
    steps.sort(key=lambda step: (step[0], -step[1]))
    grid = [window.start_s + window.length_s * point / (_BACKLOG_POINTS - 1) for point in range(_BACKLOG_POINTS)]
    series: list[int] = []
    waiting = highest = 0
    for instant_s, change in steps:
        while len(series) < len(grid) and grid[len(series)] < instant_s:
            series.append(waiting)
        if instant_s == math.inf or instant_s >= max(until_s, window.end_s):
            break
        waiting += change
        if instant_s >= window.start_s:
            highest = max(highest, waiting)
    series.extend([waiting] * (len(grid) - len(series)))
    return Backlog(max(highest, *series), _slope(grid, series), tuple(series))


def _slope(times: Sequence[float], values: Sequence[int]) -> float:
    """Least-squares slope."""
    middle_s = math.fsum(times) / len(times)
    middle = math.fsum(values) / len(values)
    spread = math.fsum((time - middle_s) ** 2 for time in times)
    return math.fsum((time - middle_s) * (value - middle) for time, value in zip(times, values, strict=True)) / spread

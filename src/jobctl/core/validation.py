"""Whether real parts behave as the queue that plans assume: a rehearsal, predicted and measured.

A :class:`Rehearsal` is a steady load on a system small enough for one machine. It begins with empty slots, as a bench
does, and its first part, the warm-up, is not judged. Two questions are asked of what was measured.

*Replay*: is the system the queue we assume? The run's own arrivals and service times are played through
:func:`jobctl.core.simulation.serve`; the mean wait must come out within 10 % and 5 ms. Nothing is left to chance: an
attempt that repeats a failed one is an arrival of its own, when it came back. The 5 ms are for what no queue has: a
start is booked, a thread woken.

*Predict*: would the plan have foreseen it? The same rehearsal is simulated many times from the law alone, and the
measured utilisation, mean wait and percentiles must lie where 95 % of those simulated runs lie. A short run at a high
utilisation may honestly come out far from the steady state; the simulated runs are as short, so the interval says how
far. It is a joint one, a global rank envelope (Myllymäki, Mrkvička, Grabarnik, Seijo & Hahn 2017, "Global envelope
tests for spatial processes", JRSS B 79): a run is as extreme as its most extreme figure, and the envelope holds the
95 % of runs that are the least so. Of four figures with an interval of 95 % each, one would be outside far more often.

The limit of jobctl's worker is what :mod:`jobctl.core.limiting` makes of it: it sends a little less than it may.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from operator import attrgetter
from statistics import fmean, median
from typing import Final

from jobctl.core.arrivals import Arrivals, Stage, draw_instants
from jobctl.core.demand import Retries, Upstream
from jobctl.core.judging import Judgement
from jobctl.core.limiting import Tuning
from jobctl.core.records import JobRecord
from jobctl.core.samples import MIN_JOBS
from jobctl.core.service import Law, clipped_moments
from jobctl.core.simulation import Served, busy_share, serve
from jobctl.core.slo import Verdict
from jobctl.core.summary import Summary

__all__ = [
    "ALLOWED_S",
    "ALLOWED_SHARE",
    "FIGURES",
    "RUNS",
    "Attempt",
    "Comparison",
    "Figures",
    "Measured",
    "Prediction",
    "Rehearsal",
    "Replay",
    "Validation",
    "as_sent",
    "measured_of",
    "predict",
    "replay",
    "validate",
]

#: By how much a replayed mean wait may differ: this share, and so many seconds.
ALLOWED_SHARE: Final = 0.10
ALLOWED_S: Final = 0.005
#: By how much a measured utilisation may lie outside its interval: booking a job takes a moment of its slot.
_ALLOWED_UTILISATION: Final = 0.005
#: Simulated runs behind a prediction, and the share of them that its interval holds.
RUNS: Final = 400
_COVERED: Final = 0.95
_ONE_ATTEMPT: Final = Retries()
_UNLIMITED: Final = Upstream()
#: What is compared, as attributes of :class:`Figures`.
FIGURES: Final = ("utilisation", "wait_mean_s", "wait_p50_s", "wait_p95_s")


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A steady load on a few workers, for a while.

    Attributes:
        arrival_rate_per_s: New jobs per second.
        arrivals: How gaps vary.
        service: The law of a successful attempt's time on its slot.
        replicas: Workers.
        concurrency: Slots of each.
        duration_s: For how long jobs arrive.
        warmup_s: Its first part that is not judged.
        retries: What becomes of failed attempts.
        job_timeout_s: A longer attempt is stopped there and has failed; None for none.
        upstream: Limits of what the jobs call, as jobctl's worker is told them.
        seed: Of the run; simulations of it take others.
    """

    arrival_rate_per_s: float
    arrivals: Arrivals
    service: Law
    replicas: int
    concurrency: int
    duration_s: float
    warmup_s: float
    retries: Retries = _ONE_ATTEMPT
    job_timeout_s: float | None = None
    upstream: Upstream = _UNLIMITED
    seed: int = 1

    @property
    def slots(self) -> int:
        """Slots over all workers."""
        return self.replicas * self.concurrency

    @property
    def job_failure_rate(self) -> float:
        """The share of jobs whose last attempt fails."""
        over = clipped_moments(self.service, self.job_timeout_s).share_over
        return float((self.retries.failure_rate * (1 - over) + over) ** self.retries.attempts)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The rate over time."""
        return (Stage.steady(self.arrival_rate_per_s, self.duration_s),)


@dataclass(frozen=True, slots=True)
class Figures:
    """What is compared; seconds and a share of the slots. Waits are those of first attempts."""

    utilisation: float
    wait_mean_s: float
    wait_p50_s: float
    wait_p95_s: float


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a run.

    Attributes:
        entered_s: When it entered the queue, seconds from the run's beginning.
        held_s: How long it held its slot.
        judged: Whether its wait is one of those that were measured: that of a job of the window that was not retried.
    """

    entered_s: float
    held_s: float
    judged: bool


@dataclass(frozen=True, slots=True)
class Measured:
    """What a rehearsal on real parts came to.

    Attributes:
        figures: Of the jobs that arrived after the warm-up.
        attempts: All attempts of the run, in order of their entry.
    """

    figures: Figures
    attempts: tuple[Attempt, ...]

    @property
    def jobs(self) -> int:
        """Jobs whose wait was measured."""
        return sum(attempt.judged for attempt in self.attempts)


@dataclass(frozen=True, slots=True)
class Replay:
    """A run's mean wait, and that of its own arrivals and services in the simulation; seconds."""

    measured_s: float
    replayed_s: float

    @property
    def allowed_s(self) -> float:
        """By how much they may differ."""
        return ALLOWED_SHARE * self.replayed_s + ALLOWED_S

    @property
    def agrees(self) -> bool:
        """Whether they differ by no more."""
        return abs(self.measured_s - self.replayed_s) <= self.allowed_s


@dataclass(frozen=True, slots=True)
class Prediction:
    """Figures of simulated runs: their medians, and the interval that holds 95 % of the runs with all of theirs."""

    middle: Figures
    low: Figures
    high: Figures


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure, predicted and measured.

    Attributes:
        name: One of ``FIGURES``.
        predicted: The median of simulated runs.
        low, high: Their interval.
        measured: What came out.
    """

    name: str
    predicted: float
    low: float
    high: float
    measured: float

    @property
    def agrees(self) -> bool:
        """Whether it was measured inside the interval, or next to it by no more than what no queue has."""
        allowed = _ALLOWED_UTILISATION if self.name == "utilisation" else ALLOWED_S
        return self.low - allowed <= self.measured <= self.high + allowed


@dataclass(frozen=True, slots=True)
class Validation:
    """Both judgements of one rehearsal, and what follows.

    Attributes:
        rehearsal: What was run.
        jobs: Jobs whose waits were measured.
        comparisons: By figure; empty where too few jobs were measured.
        replay: The replay; None likewise.
        judgement: Kept if both agree.
    """

    rehearsal: Rehearsal
    jobs: int
    comparisons: tuple[Comparison, ...]
    replay: Replay | None
    judgement: Judgement


def validate(rehearsal: Rehearsal, measured: Measured | None, books: Judgement, runs: int = RUNS) -> Validation:
    """Judge what was measured.

    Args:
        rehearsal: What was run.
        measured: What came of it; None where nothing did.
        books: Whether the run itself is in order (:func:`jobctl.core.judging.judge_books`): no figures are better than
            the run they come from.
        runs: Simulated runs behind the prediction.
    """
    jobs = 0 if measured is None else measured.jobs
    if measured is None or jobs < MIN_JOBS:
        few = f"too few jobs: {jobs} waits were measured, at least {MIN_JOBS} are needed"
        verdict = Verdict.INCONCLUSIVE if books.verdict is Verdict.KEPT else books.verdict
        return Validation(rehearsal, jobs, (), None, Judgement(verdict, (*books.reasons, few)))
    replayed, comparisons = replay(rehearsal, measured), _compare(predict(rehearsal, runs), measured.figures)
    judgement = books
    if books.verdict is Verdict.KEPT:
        reasons = tuple(_disagreements(replayed, comparisons))
        judgement = Judgement(Verdict.BROKEN, reasons) if reasons else books
    return Validation(rehearsal, jobs, comparisons, replayed, judgement)


def measured_of(records: Sequence[JobRecord], summary: Summary, start_s: float) -> Measured | None:
    """What a run measured.

    Args:
        records: One for each scheduled job, in the order of the schedule.
        summary: Its figures, with the slots known.
        start_s: When the run began.

    Returns:
        The figures; None where no wait was measured.
    """
    inside = [summary.window.holds(record.intended_s) for record in records]
    waits = sorted(
        record.wait_s for record, judged in zip(records, inside, strict=True) if judged and record.wait_s is not None
    )
    if not waits or summary.utilisation is None:
        return None
    attempts = chain.from_iterable(
        _attempts_of(record, start_s, judged) for record, judged in zip(records, inside, strict=True)
    )
    return Measured(_figures(summary.utilisation, waits), tuple(sorted(attempts, key=attrgetter("entered_s"))))


def _attempts_of(record: JobRecord, start_s: float, judged: bool) -> Iterator[Attempt]:
    """The attempts of a job that ended; where it failed more than once, they are spread evenly over its time."""
    if record.enqueued_s is None or record.service_s is None:
        return
    if not record.retries:
        yield Attempt(record.enqueued_s - start_s, record.service_s, judged)
        return
    back_s = record.started_s if record.entered_s is None else record.entered_s
    assert back_s is not None
    for failed in range(record.retries):
        entered_s = record.enqueued_s + (back_s - record.enqueued_s) * failed / record.retries
        yield Attempt(entered_s - start_s, record.failed_s / record.retries, False)
    yield Attempt(back_s - start_s, record.service_s, False)


def replay(rehearsal: Rehearsal, measured: Measured) -> Replay:
    """Play the run's own attempts through the queue that is assumed; what made them fail is no longer asked."""
    served = serve(
        [attempt.entered_s for attempt in measured.attempts],
        [attempt.held_s for attempt in measured.attempts],
        rehearsal.slots,
        upstream=as_sent(rehearsal.upstream),
        rng=random.Random(rehearsal.seed),  # asked for nothing where nothing fails
    )
    waits = [wait_s for wait_s, attempt in zip(served.waits, measured.attempts, strict=True) if attempt.judged]
    return Replay(measured.figures.wait_mean_s, fmean(waits))


def predict(rehearsal: Rehearsal, runs: int = RUNS) -> Prediction:
    """Simulate the rehearsal many times."""
    simulated = [_simulate(rehearsal, number) for number in range(runs)]
    low, high = _envelope([[getattr(figures, name) for name in FIGURES] for figures in simulated])
    middle = [median(getattr(figures, name) for figures in simulated) for name in FIGURES]
    return Prediction(Figures(*middle), Figures(*low), Figures(*high))


def as_sent(upstream: Upstream) -> Upstream:
    """The limit as jobctl's worker keeps to it, so that no window at the upstream sees more than is allowed.

    With N calls in W seconds, tolerance T and jitter J it sends N / (W + J + T) a second, and up to 1 + burst + T times
    that at once.
    """
    if upstream.rpm is None:
        return upstream
    rules = Tuning()
    per_s = upstream.rpm / rules.spread_s
    return replace(upstream, rpm=60 * per_s, burst=upstream.burst + math.floor(per_s * rules.tolerance_s))


def _simulate(rehearsal: Rehearsal, number: int) -> Figures:
    rng = random.Random(f"rehearsal:{rehearsal.seed}:{number}")
    arrivals = draw_instants(rehearsal.arrivals, rehearsal.stages, rng)
    first = bisect_left(arrivals, rehearsal.warmup_s)
    served = serve(
        arrivals,
        rehearsal.service.draw(rng, len(arrivals)),
        rehearsal.slots,
        retries=rehearsal.retries,
        timeout_s=rehearsal.job_timeout_s,
        upstream=as_sent(rehearsal.upstream),
        rng=rng,
    )
    return _figures(_utilisation(rehearsal, served), sorted(served.waits[first:]))


def _utilisation(rehearsal: Rehearsal, served: Served) -> float:
    window = (rehearsal.warmup_s, rehearsal.duration_s)
    return busy_share(served.entries, served.entry_waits, served.held, *window, rehearsal.slots)


def _figures(utilisation: float, waits: Sequence[float]) -> Figures:
    """From ascending waits; all zeros where there are none, as when no job happened to arrive."""
    if not waits:
        return Figures(utilisation, 0.0, 0.0, 0.0)
    p50_s, p95_s = (waits[math.ceil(q * len(waits)) - 1] for q in (0.50, 0.95))
    return Figures(utilisation, fmean(waits), p50_s, p95_s)


def _envelope(runs: Sequence[Sequence[float]]) -> tuple[list[float], list[float]]:
    """Bounds for each column between which the least extreme 95 % of the rows lie with all of their values."""
    columns = [sorted(column) for column in zip(*runs, strict=True)]
    depths = sorted(min(_depth(value, column) for value, column in zip(row, columns, strict=True)) for row in runs)
    depth = depths[math.floor((1 - _COVERED) * len(runs))]
    return [column[depth - 1] for column in columns], [column[-depth] for column in columns]


def _depth(value: float, ordered: Sequence[float]) -> int:
    """How many values are at least as extreme, on its nearer side; equal ones count, so that ties are not extreme."""
    below = bisect_left(ordered, math.nextafter(value, math.inf))
    return min(below, len(ordered) - bisect_left(ordered, value))


def _compare(prediction: Prediction, measured: Figures) -> tuple[Comparison, ...]:
    middle, low, high, found = (
        asdict(figures) for figures in (prediction.middle, prediction.low, prediction.high, measured)
    )
    return tuple(Comparison(name, middle[name], low[name], high[name], found[name]) for name in FIGURES)


def _disagreements(replayed: Replay, comparisons: Iterable[Comparison]) -> Iterable[str]:
    if not replayed.agrees:
        yield (
            f"replay: the mean wait was {replayed.measured_s:.3g} s, and {replayed.replayed_s:.3g} s in the simulation "
            "of the same jobs"
        )
    for figure in comparisons:
        if not figure.agrees:
            within = f"{figure.low:.3g} to {figure.high:.3g}"
            yield f"predict: {_in_words(figure.name)} was {figure.measured:.3g}, outside {within}"


def _in_words(name: str) -> str:
    """A figure's name without its unit."""
    return name.removesuffix("_s").replace("_", " ")

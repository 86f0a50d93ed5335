"""Two sides measured in rounds, as rows of short stretches, and how much chance may have made of them.

*The data.* A run is told by its stretches: its window cut into equal pieces of time, each with the jobs that were meant
to arrive in it and histograms of their durations. A *round* is one run of either side. Where both were offered the same
schedule the stretches are pairs: the same jobs, so that what chance made of them is on both sides and cancels out.

*A statistic* is of all rounds together: histograms are merged, percentiles never averaged.

*Its error.* Jobs near each other resemble each other, so jobs are no independent values, but runs of stretches nearly
are: the block bootstrap (Künsch 1989, "The jackknife and the bootstrap for general stationary observations", Annals of
Statistics 17) draws runs of consecutive stretches with replacement, here around a circle, so that each stretch is as
likely as any other (Politis & Romano 1992), and as many of them as there were. A run of n^(1/3) stretches is of the
order that is best for a variance (Hall, Horowitz & Jing 1995, Biometrika 82; Lahiri 2003, "Resampling Methods for
Dependent Data", ch. 7). Pairs are drawn as pairs, and each round within itself. The draws give a standard error only,
for which 200 are enough (Efron & Tibshirani 1993, ch. 6); an interval takes Student's t with as many degrees
of freedom as runs of stretches fit, less one.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from operator import mul
from typing import Final

__all__ = [
    "FEWEST_JOBS",
    "Measured",
    "Round",
    "Run",
    "Statistic",
    "Stretch",
    "Tally",
    "binomial_error",
    "failed_share",
    "mean_of",
    "quantile_of",
    "throughput",
]

#: Fewer jobs or stretches than this on a side tell nothing.
FEWEST_JOBS: Final = 30
_FEWEST_STRETCHES: Final = 5
_DRAWS: Final = 200

#: How often each stretch counts.
Weights = Sequence[int]
#: A statistic of weighted stretches; None where they hold no job.
Statistic = Callable[[Weights], float | None]
#: What makes it, from stretches and their lengths in seconds.
Maker = Callable[[Sequence["Stretch"], Sequence[float]], Statistic]


@dataclass(frozen=True, slots=True)
class Tally:
    """A histogram of durations.

    Attributes:
        highest_s: The highest duration that each bucket stands for, seconds, ascending.
        middle_s: The middle of each.
        counts: Jobs in each; above 0.
    """

    highest_s: tuple[float, ...] = ()
    middle_s: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()

    @classmethod
    def of(cls, buckets: Iterable[tuple[float, float, int]]) -> Tally:
        """A histogram from its buckets: the highest duration, the middle, and the count of each."""
        columns = tuple(zip(*buckets, strict=True))
        return cls(*columns) if columns else cls()


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece of a run's window.

    Attributes:
        offered: Jobs that were meant to arrive in it.
        failed: Those of them that failed.
        tallies: Their durations by signal.
    """

    offered: int
    failed: int
    tallies: Mapping[str, Tally]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one side.

    Attributes:
        length_s: Length of a stretch, seconds.
        stretches: In order of time.
        schedule: Fingerprint of what was offered; runs with the same one had the same jobs.
        lost: Jobs that vanished in the whole run.
        duplicated: Jobs that ran to success more than once.
        unsure: The durations of which this run alone does not tell how much chance moves them: slots so full that jobs
            wait behind each other for most of it.
    """

    length_s: float
    stretches: tuple[Stretch, ...]
    schedule: str
    lost: int = 0
    duplicated: int = 0
    unsure: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Round:
    """One run of the baseline and one of what is new, near each other in time."""

    baseline: Run
    new: Run

    @property
    def is_paired(self) -> bool:
        """Whether both were offered the same jobs, stretch by stretch."""
        one, other = self.baseline, self.new
        return (
            one.schedule == other.schedule
            and len(one.stretches) == len(other.stretches)
            and math.isclose(one.length_s, other.length_s, rel_tol=1e-6)
        )


def binomial_error(data: Measured) -> float:
    """The standard error of a difference of shares with one success and one failure more on each side.

    The draws see no variation where hardly any job failed (Agresti & Caffo 2000, "Simple and effective confidence
    intervals for proportions and differences of proportions", The American Statistician 54).
    """
    variance = 0.0
    for stretches in data.sides:
        jobs = sum(stretch.offered for stretch in stretches) + 2
        share = (sum(stretch.failed for stretch in stretches) + 1) / jobs
        variance += share * (1 - share) / jobs
    return math.sqrt(variance)


# --------------------------------------------------------------------------------------------------------------- data


class Measured:
    """The stretches of all rounds in one row, and how they are drawn.

    Args:
        rounds: What was measured.
        rng: Source of the draws.
    """

    def __init__(self, rounds: Sequence[Round], rng: random.Random) -> None:
        if not rounds:
            raise ValueError("nothing was measured")
        runs = [item.baseline for item in rounds], [item.new for item in rounds]
        self.sides: tuple[list[Stretch], ...] = tuple(
            [stretch for run in side for stretch in run.stretches] for side in runs
        )
        self.lengths_s = tuple([run.length_s for run in side for _ in run.stretches] for side in runs)
        self._sizes = tuple([len(run.stretches) for run in side] for side in runs)
        self._paired = all(item.is_paired for item in rounds)
        self.unsure = frozenset[str]().union(*(run.unsure for side in runs for run in side))
        self.ones = tuple([1] * len(side) for side in self.sides)
        self.draws = self._draw(rng)
        self.each_round = [self._alone(number) for number in range(len(rounds))]

    @property
    def degrees(self) -> int:
        """Degrees of freedom: runs of stretches that fit, less one, of the side with fewer."""
        return max(1, min(sum(size // _run_length(size) for size in sizes) for sizes in self._sizes) - 1)

    @property
    def obstacle(self) -> str | None:
        """Why nothing can be told; None where something can."""
        jobs = min(sum(stretch.offered for stretch in side) for side in self.sides)
        if jobs < FEWEST_JOBS:
            return f"{jobs} jobs on one side, at least {FEWEST_JOBS} are needed"
        if min(map(len, self.sides)) < _FEWEST_STRETCHES:
            return f"the window has fewer than {_FEWEST_STRETCHES} stretches"
        return None

    def jobs(self, signal: str) -> int:
        """Jobs with a duration of that kind, on the side with fewer."""
        return min(
            sum(sum(stretch.tallies[signal].counts) for stretch in side if signal in stretch.tallies)
            for side in self.sides
        )

    def both(self, make: Maker) -> tuple[Statistic, Statistic]:
        """A statistic of either side."""
        one, other = (make(side, lengths_s) for side, lengths_s in zip(self.sides, self.lengths_s, strict=True))
        return one, other

    def _draw(self, rng: random.Random) -> tuple[list[Weights], list[Weights]]:
        one = [_drawn(self._sizes[0], rng) for _ in range(_DRAWS)]
        return one, one if self._paired else [_drawn(self._sizes[1], rng) for _ in range(_DRAWS)]

    def _alone(self, number: int) -> tuple[Weights, Weights]:
        """Weights of one round alone."""
        one, other = (
            [int(position == number) for position, size in enumerate(sizes) for _ in range(size)]
            for sizes in self._sizes
        )
        return one, other


def _run_length(stretches: int) -> int:
    """Consecutive stretches that are drawn together."""
    return max(1, round(math.cbrt(stretches)))


def _drawn(sizes: Sequence[int], rng: random.Random) -> Weights:
    """How often each stretch is drawn, round by round: some at random, each with those that follow, around a circle."""
    weights: list[int] = []
    for size in sizes:
        length = _run_length(size)
        counts = [0] * size
        for nth in range(math.ceil(size / length)):
            start = rng.randrange(size)
            for step in range(min(length, size - nth * length)):
                counts[(start + step) % size] += 1
        weights += counts
    return weights


# --------------------------------------------------------------------------------------------------------- statistics


def failed_share(stretches: Sequence[Stretch], lengths_s: Sequence[float]) -> Statistic:
    """The share of jobs that failed."""
    failed, offered = [stretch.failed for stretch in stretches], [stretch.offered for stretch in stretches]

    def share(weights: Weights) -> float | None:
        jobs = _dot(weights, offered)
        return _dot(weights, failed) / jobs if jobs else None

    return share


def throughput(stretches: Sequence[Stretch], lengths_s: Sequence[float]) -> Statistic:
    """Jobs that finished, per second; those are the jobs that have a service time."""
    finished = [sum(stretch.tallies.get("service", Tally()).counts) for stretch in stretches]

    def rate(weights: Weights) -> float | None:
        seconds = _dot(weights, lengths_s)
        return _dot(weights, finished) / seconds if seconds else None

    return rate


def mean_of(signal: str) -> Maker:
    """The mean of a duration."""

    def make(stretches: Sequence[Stretch], lengths_s: Sequence[float]) -> Statistic:
        tallies = [stretch.tallies.get(signal, Tally()) for stretch in stretches]
        sums = [math.fsum(map(mul, tally.middle_s, tally.counts)) for tally in tallies]
        counts = [sum(tally.counts) for tally in tallies]

        def average(weights: Weights) -> float | None:
            jobs = _dot(weights, counts)
            return _dot(weights, sums) / jobs if jobs else None

        return average

    return make


def quantile_of(signal: str, q: float) -> Maker:
    """The smallest duration that a share q of the jobs do not exceed, found by bisection over the buckets."""

    def make(stretches: Sequence[Stretch], lengths_s: Sequence[float]) -> Statistic:
        tallies = [stretch.tallies.get(signal, Tally()) for stretch in stretches]
        values = sorted({value for tally in tallies for value in tally.highest_s})
        sums = [list(accumulate(tally.counts, initial=0)) for tally in tallies]
        counts = [before[-1] for before in sums]

        @cache
        def up_to(position: int) -> list[int]:
            """Jobs of each stretch that do not exceed a value; kept, for the same few are asked for again."""
            value = values[position]
            return [before[bisect_right(tally.highest_s, value)] for tally, before in zip(tallies, sums, strict=True)]

        def at_rank(weights: Weights) -> float | None:
            jobs = _dot(weights, counts)
            if not jobs:
                return None
            rank, low, high = math.ceil(q * jobs), 0, len(values) - 1
            while low < high:
                middle = (low + high) // 2
                low, high = (low, middle) if _dot(weights, up_to(middle)) >= rank else (middle + 1, high)
            return values[low]

        return at_rank

    return make


def _dot(weights: Weights, values: Sequence[float]) -> float:
    return float(sum(map(mul, weights, values)))

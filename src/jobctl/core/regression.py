"""Whether a new version is worse than the one before: two sides measured alike, line by line, never a bare ratio.

*A line* is a statistic of either side, such as the p95 of service times. Of durations the logarithm of new over
baseline is estimated, of shares and rates the difference. Its interval is the wider of two: that of the block bootstrap
within the rounds (:mod:`jobctl.core.resampling`), and, from three rounds on, that of the rounds' own estimates. What
differs from one run to the next (a warmer machine, a busier neighbour) shows only in the second. So does what chance
makes of a queue whose memory is as long as a run: where slots are nearly full, fewer rounds cannot tell of sojourns. Of
60 pairs of M/M/5 runs at a utilisation of 0.95 that differed by chance alone 23 would have been regressions.

*The verdict of a line.* A change counts beyond a floor, the larger of a relative and an absolute one. It is a
*regression* if the whole interval lies beyond the floor on the bad side, an *improvement* if on the good one. There is
*no change* if neither holds and the interval leaves out what is three times the floor; else the line *cannot tell*.

*Several lines.* Each looks for a regression at the level a / m, with m the lines that decide (Bonferroni), so that a
comparison of the same thing suspects any of them with probability a at most, before the floor is even counted. Which
lines decide depends on the number of jobs alone and is settled before anything is compared: the share of failed jobs,
the throughput, the means of service and sojourn, and their p95 with 50 jobs above it. All others are told and decide
nothing.

*The repeat.* A regression counts once a second measurement has found it too, on the lines that were suspected. Chance
deceives both with the probability of the product, so each is taken at the root of 5 %; one without a repeat at 5 %.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import NormalDist, stdev
from typing import Final

from jobctl.core.estimates import student_t
from jobctl.core.resampling import (
    FEWEST_JOBS,
    Measured,
    Round,
    Statistic,
    binomial_error,
    failed_share,
    mean_of,
    quantile_of,
    throughput,
)
from jobctl.core.samples import samples_needed
from jobctl.errors import InvalidValue

__all__ = [
    "FALSE_ALARMS",
    "FALSE_ALARMS_BEFORE_REPEAT",
    "SIGNALS",
    "Comparison",
    "Finding",
    "Floors",
    "Line",
    "compare",
    "conclude",
    "suspects",
]

#: Durations that are compared.
SIGNALS: Final = ("service", "sojourn", "wait")
#: Their statistics: the quantile, and None for the mean.
_STATISTICS: Final[Mapping[str, float | None]] = {"mean": None, "p50": 0.50, "p95": 0.95, "p99": 0.99}
#: Those that may decide.
_DECISIVE: Final = frozenset({"service.mean", "service.p95", "sojourn.mean", "sojourn.p95", "error_rate", "throughput"})
#: Probability that a comparison of a thing with itself finds any regression.
FALSE_ALARMS: Final = 0.05
#: The same of one measurement that a repeat has to confirm: both err with the probability of the product.
FALSE_ALARMS_BEFORE_REPEAT: Final = math.sqrt(FALSE_ALARMS)
#: Changes of so many floors must be ruled out before it is said that nothing changed.
_RULED_OUT: Final = 3.0
#: A quantile decides with so many jobs above it.
_JOBS_ABOVE: Final = 50
#: From so many rounds on their estimates tell how much runs differ.
_FEWEST_ROUNDS: Final = 3
#: Why a line says nothing where the queue remembers for as long as a run.
_UNSURE: Final = f"the slots are so full that a run does not tell how much chance did: compare {_FEWEST_ROUNDS} rounds"


@dataclass(frozen=True, slots=True)
class Floors:
    """Changes that are too small to matter, whatever the statistics say.

    Attributes:
        relative: Share of the baseline's value, of durations and rates.
        absolute_s: Of durations, seconds; the larger of the two counts.
        share: Of the share of failed jobs, as a difference.
    """

    relative: float = 0.05
    absolute_s: float = 0.005
    share: float = 0.01

    def __post_init__(self) -> None:
        for value in (self.relative, self.absolute_s, self.share):
            if not (math.isfinite(value) and value >= 0):
                raise InvalidValue(f"a floor of {value} is none", "give a number of at least 0")
        if self.relative == 0:
            raise InvalidValue("without a relative floor every change counts", "give one such as 5%")


class Finding(StrEnum):
    """What a comparison found."""

    REGRESSION = "regression"
    IMPROVEMENT = "improvement"
    NO_CHANGE = "no change"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True)
class Line:
    """One statistic of both sides.

    Attributes:
        name: Such as ``service.p95``.
        unit: ``s``, ``jobs/s``, ``jobs`` for a count, nothing for a share.
        baseline: Its value before; None where it cannot be told, like all that follow.
        new: Its value now.
        change: New less baseline.
        interval: In which the change lies; each bound holds with :attr:`confidence`. None of a count.
        floor: The smallest change that counts.
        confidence: Of each bound of the interval.
        decides: Whether it takes part in the verdict.
        finding: What it says.
        reason: Why it says nothing; None where it does.
    """

    name: str
    unit: str
    baseline: float | None
    new: float | None
    change: float | None
    interval: tuple[float, float] | None
    floor: float | None
    confidence: float | None
    decides: bool
    finding: Finding
    reason: str | None = None

    @property
    def relative(self) -> float | None:
        """The change as a share of the baseline; None of a share, of a count, and where the baseline is 0."""
        return self._share_of_baseline(self.change)

    @property
    def relative_interval(self) -> tuple[float, float] | None:
        """Its interval likewise."""
        if self.interval is None:
            return None
        low, high = map(self._share_of_baseline, self.interval)
        return None if low is None or high is None else (low, high)

    def _share_of_baseline(self, change: float | None) -> float | None:
        is_ratio = self.unit in {"s", "jobs/s"} and self.baseline
        return change / self.baseline if is_ratio and self.baseline and change is not None else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison and its verdict.

    Attributes:
        finding: Of all lines that decide; a regression only where no repeat denied it.
        reasons: Why, in words.
        lines: Of the first measurement.
        repeat: Of the second one, the suspected lines alone; empty where none was made.
        rounds: How many of the first and of the second measurement.
        confirmed: Whether a repeat found the suspected regression too; None where none was suspected.
        floors: What was too small to matter.
    """

    finding: Finding
    reasons: tuple[str, ...]
    lines: tuple[Line, ...]
    repeat: tuple[Line, ...]
    rounds: tuple[int, int]
    confirmed: bool | None
    floors: Floors


def compare(
    rounds: Sequence[Round],
    floors: Floors,
    *,
    false_alarms: float = FALSE_ALARMS,
    seed: int = 1,
    only: Collection[str] | None = None,
) -> tuple[Line, ...]:
    """Compare both sides line by line.

    Args:
        rounds: What was measured; at least one.
        floors: What is too small to matter.
        false_alarms: Probability that the same thing on both sides shows any regression.
        seed: Seed of the draws.
        only: The lines to look at, as a repeat does; None for all.
    """
    data = Measured(rounds, random.Random(f"regression:{seed}"))
    plans = [plan for plan in _plans(data, floors) if only is None or plan.name in only]
    decisive = [plan for plan in plans if plan.decides]
    confidence = 1 - false_alarms / max(1, len(decisive))
    lines = [_line(plan, data, confidence) for plan in plans]
    facts = [_fact(name, rounds) for name in ("lost", "duplicated") if only is None or name in only]
    return (*facts, *lines)


def suspects(lines: Sequence[Line]) -> tuple[str, ...]:
    """The lines on which a regression is suspected, by name."""
    return tuple(line.name for line in lines if line.decides and line.finding is Finding.REGRESSION)


def conclude(
    lines: Sequence[Line], repeat: Sequence[Line], rounds: tuple[int, int], floors: Floors, doubts: Sequence[str] = ()
) -> Comparison:
    """The verdict of all lines.

    Args:
        lines: Of the first measurement.
        repeat: Of the second one, the suspected lines alone; empty where none was made.
        rounds: How many of either.
        floors: What was too small to matter.
        doubts: Why the measurement is not to be trusted; with any of them it cannot tell.
    """
    suspected = suspects(lines)
    unsure = tuple(
        f"{line.name}: {line.reason}" for line in lines if line.decides and line.finding is Finding.CANNOT_TELL
    )

    def verdict(finding: Finding, *reasons: str, confirmed: bool | None = None) -> Comparison:
        return Comparison(finding, reasons, tuple(lines), tuple(repeat), rounds, confirmed, floors)

    if doubts:
        return verdict(Finding.CANNOT_TELL, *doubts)
    if suspected and not repeat:
        return verdict(Finding.REGRESSION, *map(_worse(lines), suspected), "not confirmed by a repeat", confirmed=False)
    confirmed = suspects(repeat)
    if confirmed:
        return verdict(Finding.REGRESSION, *map(_worse(lines), confirmed), "a repeat found it too", confirmed=True)
    denied = tuple(f"{name}: a repeat did not find the regression that was suspected" for name in suspected)
    is_confirmed = False if suspected else None
    if unsure or any(line.finding is Finding.CANNOT_TELL for line in repeat):
        return verdict(Finding.CANNOT_TELL, *unsure, *denied, confirmed=is_confirmed)
    better = any(line.decides and line.finding is Finding.IMPROVEMENT for line in lines)
    finding = Finding.IMPROVEMENT if better and not suspected else Finding.NO_CHANGE
    return verdict(finding, *denied, confirmed=is_confirmed)


def _worse(lines: Sequence[Line]) -> Callable[[str], str]:
    """What is worse about the line of a name, in words."""
    by_name = {line.name: line for line in lines}

    def tell(name: str) -> str:
        line = by_name[name]
        if line.relative is None or line.relative_interval is None:
            return f"{name} went from {line.baseline:.3g} to {line.new:.3g}"
        low, high = line.relative_interval
        return f"{name} changed by {line.relative:+.1%} ({low:+.1%} to {high:+.1%})"

    return tell


# -------------------------------------------------------------------------------------------------------------- lines


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a line is worked out.

    Attributes:
        name: The line.
        unit: Its unit.
        of: Its statistic, of the baseline and of what is new.
        floor: The smallest change that counts, given the baseline's value.
        is_log: Whether the logarithm of the ratio is estimated; else the difference.
        higher_is_worse: Its bad side.
        decides: Whether it takes part in the verdict.
        obstacle: Why it cannot be told; None where it can.
        least_error: A standard error below which that of the draws is not believed.
        is_unsure: Whether its error cannot be told, so that its values are shown and say nothing.
    """

    name: str
    unit: str
    of: tuple[Statistic, Statistic]
    floor: Callable[[float], float]
    is_log: bool
    higher_is_worse: bool
    decides: bool
    obstacle: str | None
    least_error: float = 0.0
    is_unsure: bool = False


def _plans(data: Measured, floors: Floors) -> list[_Plan]:
    obstacle = data.obstacle
    share_of, rate_of = data.both(failed_share), data.both(throughput)
    plans = [
        _Plan(
            "error_rate",
            "",
            share_of,
            lambda _: floors.share,
            is_log=False,
            higher_is_worse=True,
            decides=True,
            obstacle=obstacle,
            least_error=binomial_error(data),
        ),
        _Plan(
            "throughput",
            "jobs/s",
            rate_of,
            lambda baseline: floors.relative * baseline,
            is_log=False,
            higher_is_worse=False,
            decides=True,
            obstacle=obstacle,
        ),
    ]
    for signal in SIGNALS:
        plans += [_duration_plan(data, floors, signal, *statistic) for statistic in _STATISTICS.items()]
    return plans


def _duration_plan(data: Measured, floors: Floors, signal: str, name: str, quantile: float | None) -> _Plan:
    line = f"{signal}.{name}"
    jobs = data.jobs(signal)
    needed = FEWEST_JOBS if quantile is None else max(FEWEST_JOBS, samples_needed(quantile))
    obstacle = data.obstacle or (f"{jobs} jobs do not tell it, {needed} would" if jobs < needed else None)
    statistic = mean_of(signal) if quantile is None else quantile_of(signal, quantile)
    return _Plan(
        line,
        "s",
        data.both(statistic),
        lambda baseline: max(floors.relative * baseline, floors.absolute_s),
        is_log=True,
        higher_is_worse=True,
        decides=line in _DECISIVE and (quantile is None or jobs * (1 - quantile) >= _JOBS_ABOVE),
        obstacle=obstacle,
        is_unsure=signal in data.unsure and len(data.each_round) < _FEWEST_ROUNDS,
    )


def _line(plan: _Plan, data: Measured, confidence: float) -> Line:
    before, after = None, None
    if plan.obstacle is None:
        before, after = (of(ones) for of, ones in zip(plan.of, data.ones, strict=True))
    line = Line(
        name=plan.name,
        unit=plan.unit,
        baseline=before,
        new=after,
        change=after - before if before is not None and after is not None else None,
        interval=None,
        floor=None,
        confidence=None,
        decides=plan.decides,
        finding=Finding.CANNOT_TELL,
        reason=plan.obstacle or "one side has no such jobs",
    )
    if line.baseline is None or line.new is None or line.change is None:
        return line
    if plan.is_unsure:
        return replace(line, reason=_UNSURE)
    interval, floor = _interval(plan, data, line.baseline, line.new, confidence), plan.floor(line.baseline)
    if interval is None:
        return line
    finding, reason = _judge(interval, floor, plan.higher_is_worse)
    return replace(line, interval=interval, floor=floor, confidence=confidence, finding=finding, reason=reason)


def _judge(interval: tuple[float, float], floor: float, higher_is_worse: bool) -> tuple[Finding, str | None]:
    """What an interval of a change says, and why if it says nothing."""
    low, high = interval if higher_is_worse else (-interval[1], -interval[0])
    if low > floor:
        return Finding.REGRESSION, None
    if high < -floor:
        return Finding.IMPROVEMENT, None
    if high < _RULED_OUT * floor:
        return Finding.NO_CHANGE, None
    return Finding.CANNOT_TELL, "too few jobs, or they vary too much: the change may be large or none"


def _interval(
    plan: _Plan, data: Measured, before: float, after: float, confidence: float
) -> tuple[float, float] | None:
    """Of the change, in the line's unit; None where it cannot be drawn."""
    estimate = _gap(plan, before, after)
    drawn = [_gap(plan, *pair) for pair in zip(*(map(plan.of[side], data.draws[side]) for side in (0, 1)), strict=True)]
    seen = [gap for gap in drawn if gap is not None]
    if estimate is None or len(seen) < len(drawn) / 2:
        return None
    reach = max(
        student_t(confidence, data.degrees) * stdev(seen),
        NormalDist().inv_cdf(confidence) * plan.least_error,
        _reach_of_rounds(plan, data, confidence),
    )
    if plan.is_log:
        return before * math.expm1(estimate - reach), before * math.expm1(estimate + reach)
    return estimate - reach, estimate + reach


def _reach_of_rounds(plan: _Plan, data: Measured, confidence: float) -> float:
    """Half the interval that the rounds' own estimates give; 0 where there are too few of them."""
    gaps = [_gap(plan, plan.of[0](one), plan.of[1](other)) for one, other in data.each_round]
    told = [gap for gap in gaps if gap is not None]
    if len(told) < _FEWEST_ROUNDS:
        return 0.0
    return student_t(confidence, len(told) - 1) * stdev(told) / math.sqrt(len(told))


def _gap(plan: _Plan, before: float | None, after: float | None) -> float | None:
    if before is None or after is None:
        return None
    if not plan.is_log:
        return after - before
    return math.log(after / before) if before > 0 and after > 0 else None


def _fact(name: str, rounds: Sequence[Round]) -> Line:
    """A count that needs no statistics: jobs lost or done twice now and not before; where both have some, who knows."""
    before = sum(getattr(item.baseline, name) for item in rounds)
    after = sum(getattr(item.new, name) for item in rounds)
    finding, reason = Finding.NO_CHANGE, None
    if after > before:
        finding, reason = (
            (Finding.CANNOT_TELL, f"{before} before and {after} now") if before else (Finding.REGRESSION, None)
        )
    return Line(name, "jobs", before, after, after - before, None, None, None, name == "lost", finding, reason)

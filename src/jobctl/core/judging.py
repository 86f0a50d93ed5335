"""What a bench promises when nobody set a gate, and whether it was kept.

Facts break the promise whatever else happened: a lost job, a job that ran to success twice, more than one in a hundred
failed, jobs unfinished when the drain ended. The trend of the backlog is a measurement, and it counts only if the load
was really offered: a generator that fell behind, arrivals that never left or too few jobs make it inconclusive, which
is neither a pass nor a failure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from jobctl.core.slo import Verdict
from jobctl.core.summary import Backlog, Summary

__all__ = ["MAX_FAILED_SHARE", "MIN_JOBS", "Judgement", "judge"]

#: More failed jobs than this share break the promise.
MAX_FAILED_SHARE: Final = 0.01
#: Fewer window jobs than this tell nothing about a trend.
MIN_JOBS: Final = 20
#: A backlog that grew by less than this many jobs, or this share of the jobs offered, is noise.
_GROWTH_JOBS: Final = 10
_GROWTH_SHARE: Final = 0.02


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and, unless it was kept, why."""

    verdict: Verdict
    reasons: tuple[str, ...] = ()


def judge(
    summary: Summary, *, dropped: int, max_schedule_lag_s: float, faults_injected: bool, interrupted: bool = False
) -> Judgement:
    """Judge a run by the promises that hold without gates.

    Args:
        summary: The run's figures.
        dropped: Arrivals that were due and never sent.
        max_schedule_lag_s: The generator's own lateness (p99) beyond which it measured something else.
        faults_injected: Whether the run was told to inject faults; failures and duplicates are then expected.
        interrupted: Whether it was cut short; unfinished jobs then say nothing, and no promise can be called kept.
    """
    broken = tuple(_broken_facts(summary, faults_injected, interrupted))
    if broken:
        return Judgement(Verdict.BROKEN, broken)
    unsure = tuple(_doubts(summary, dropped, max_schedule_lag_s, interrupted))
    if unsure:
        return Judgement(Verdict.INCONCLUSIVE, unsure)
    if is_rising(summary.backlog, summary.offered_jobs):
        slope = summary.backlog.slope_per_s
        return Judgement(Verdict.BROKEN, (f"the backlog grew by {slope:.2f} jobs/s to {summary.backlog.max} jobs",))
    return Judgement(Verdict.KEPT)


def is_rising(backlog: Backlog, offered_jobs: int) -> bool:
    """Whether the backlog grew over the window and was still near its peak at the end."""
    series = backlog.series
    third = len(series) // 3
    if third == 0:
        return False
    growth = (sum(series[-third:]) - sum(series[:third])) / third
    return growth > max(_GROWTH_JOBS, _GROWTH_SHARE * offered_jobs) and series[-1] >= max(series) / 2


def _broken_facts(summary: Summary, faults_injected: bool, interrupted: bool) -> Iterator[str]:
    counts = summary.counts
    if counts.lost:
        yield f"{counts.lost} of {counts.enqueued} jobs were lost"
    if counts.in_flight and not interrupted:
        yield f"{counts.in_flight} jobs were still waiting or running when the drain ended"
    if faults_injected:
        return
    if counts.duplicated:
        yield f"{counts.duplicated} jobs ran to success more than once"
    if counts.failed > MAX_FAILED_SHARE * counts.enqueued:
        yield f"{counts.failed} of {counts.enqueued} jobs failed, more than {MAX_FAILED_SHARE:.0%}"


def _doubts(summary: Summary, dropped: int, max_schedule_lag_s: float, interrupted: bool) -> Iterator[str]:
    lag_s = summary.schedule_lag.census(0.99)
    if interrupted:
        yield "the run was interrupted"
    if summary.counts.rejected:
        yield f"Redis refused {summary.counts.rejected} of {summary.counts.scheduled} jobs"
    if dropped:
        yield f"{dropped} arrivals were due and never sent"
    if lag_s is not None and lag_s > max_schedule_lag_s:
        yield f"the generator fell behind: schedule lag p99 {lag_s:.3f} s, allowed {max_schedule_lag_s:g} s"
    if summary.offered_jobs < MIN_JOBS:
        yield f"too few jobs: {summary.offered_jobs} in the window, at least {MIN_JOBS} are needed"

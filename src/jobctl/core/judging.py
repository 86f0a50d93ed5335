"""What a bench promises when nobody set a gate, and whether it was kept.

Facts break the promise whatever else happened: a lost job, a job that ran to success twice, more than one in a hundred
failed beyond what was injected, jobs unfinished when the drain ended. Trend and load are measurements, and they count
only if the load was really offered: a generator that fell behind, arrivals that never left or too few jobs make the run
inconclusive, which is neither a pass nor a failure.

The trend. While all slots are busy, n arrivals change the backlog by a random walk of variance n (ca² + cs²), with the
squared coefficients of variation of gaps and of service times (Whitt, "Stochastic-Process Limits", ch. 9); below
capacity it is reflected at zero and pulled back, and moves less. For Brownian motion of variance s² over [0, 1] the
mean over the last third less that over the first has the variance s² (1/9 + 1/3 + 1/9) = 5/9 s²: the way between the
thirds, and what either mean sees of its own. Growth counts as more than noise beyond two standard deviations.

The load. A run shorter than its queue's memory cannot see a slow overload grow. So where slots are known, a run is kept
only if its measured load is below them by more than chance explains (:attr:`Load.at_most_erlangs`). A load that may
fill them is broken when the backlog rose, else inconclusive. Where the rate varies, that load is the mean over the
window: a peak may exceed the slots for a while.

In 150 seeded minutes each of M/M/c (c = 1, 4, 25; 27 to 1600 jobs) at most 0.7 % were broken at a utilisation of 0.9 or
less. With 1000 jobs or more none was kept at 1.1 and all were kept at 0.8; with 50 to 200 jobs up to 3 % were kept at
1.1 and 0.7 % at 1.2, and at 0.8 half to a third were inconclusive.

Faults on a timetable (:mod:`jobctl.core.chaos`). Failures and duplicates that they explain break nothing; a lost job
always does. The trend is that of the rest of the window after the last fault: a backlog that a fault left must not
grow any more. Slots of replicas that stayed dead carry nothing.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from jobctl.core.samples import MIN_JOBS
from jobctl.core.slo import Verdict
from jobctl.core.summary import Backlog, Load, Summary
from jobctl.core.words import count_of, were

__all__ = [
    "MAX_FAILED_SHARE",
    "Circumstances",
    "Excuse",
    "Judgement",
    "doubts_about",
    "judge",
    "judge_books",
]

#: More failed jobs than this share break the promise.
MAX_FAILED_SHARE: Final = 0.01
#: A backlog that grew by less than this many jobs is noise, however even the load: dispatch is not perfectly even.
_GROWTH_JOBS: Final = 10
#: Points of the backlog that a trend needs: one for each third.
_FEWEST_POINTS: Final = 3
#: Standard deviations of the growth beyond which it is more than noise, and that standard deviation per root of n s².
_GROWTH_Z: Final = 2.0
_GROWTH_SD: Final = math.sqrt(5 / 9)
#: Standard deviations by which injected failures may exceed their expected number.
_FAILURES_Z: Final = 2.3263478740408408


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and, unless it was kept, why."""

    verdict: Verdict
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Excuse:
    """What faults on a timetable explain.

    Attributes:
        failed: Failed jobs that they struck.
        duplicated: Jobs that they struck and that ran to success more than once.
        calm_from_s: From when on the backlog has no excuse to grow, seconds since the epoch; None without faults.
        slots_lost: Slots of replicas that stayed dead.
        problems: Faults that could not be played, or not be mended: then another run was measured than was asked for.
    """

    failed: int = 0
    duplicated: int = 0
    calm_from_s: float | None = None
    slots_lost: int = 0
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a run is judged by beside its figures.

    Attributes:
        dropped: Arrivals that were due and never sent.
        max_schedule_lag_s: The generator's own lateness (p99) beyond which it measured something else.
        injected_share: Probability of a fault that the run was told to inject, summed over all kinds; so many failures
            are expected, and with any of them duplicates are.
        interrupted: Whether it was cut short; unfinished jobs then say nothing, and no promise can be called kept.
        aborted: Whether a gate ended it early: unfinished and few jobs then say nothing, nor do arrivals that were not
            sent.
        excuse: What faults on a timetable explain.
        replaced: Promises on the books that a gate makes instead: ``lost``, ``duplicated``, ``error_rate``.
    """

    dropped: int
    max_schedule_lag_s: float
    injected_share: float
    interrupted: bool = False
    aborted: bool = False
    excuse: Excuse = field(default_factory=Excuse)
    replaced: Collection[str] = ()


def judge(summary: Summary, circumstances: Circumstances) -> Judgement:
    """Judge a run by the promises that hold without gates."""
    books, excuse = judge_books(summary, circumstances), circumstances.excuse
    if books.verdict is not Verdict.KEPT:
        return books
    growth, doubt = _trend(summary) if excuse.calm_from_s is None else _trend_after(summary, excuse.calm_from_s)
    if growth is not None:
        return Judgement(Verdict.BROKEN, (growth,))
    doubt = doubt or _too_much(summary.load, excuse.slots_lost)
    if doubt is not None:
        return Judgement(Verdict.INCONCLUSIVE, (doubt,))
    return Judgement(Verdict.KEPT)


def judge_books(summary: Summary, circumstances: Circumstances) -> Judgement:
    """Judge what became of the jobs and whether the load was really offered, and nothing of how full the slots were."""
    broken = tuple(
        reason for promise, reason in _broken_facts(summary, circumstances) if promise not in circumstances.replaced
    )
    if broken:
        return Judgement(Verdict.BROKEN, broken)
    unsure = (*circumstances.excuse.problems, *doubts_about(summary, circumstances))
    return Judgement(Verdict.INCONCLUSIVE, unsure) if unsure else Judgement(Verdict.KEPT)


def is_rising(backlog: Backlog, offered_jobs: int, variability: float) -> bool:
    """Whether the backlog grew over the window by more than noise, and was still near its peak at the end.

    Args:
        backlog: The backlog over the window.
        offered_jobs: Arrivals in it.
        variability: Squared coefficients of variation of the gaps between arrivals and of the service times, summed.
    """
    series = backlog.series
    third = len(series) // 3
    if third == 0:
        return False
    growth = (sum(series[-third:]) - sum(series[:third])) / third
    noise = _GROWTH_Z * _GROWTH_SD * math.sqrt(offered_jobs * variability)
    return growth > max(_GROWTH_JOBS, noise) and series[-1] >= max(series) / 2


def failures_allowed(jobs: int, injected_share: float) -> float:
    """How many of so many jobs may fail: what was injected, as chance has it, and one in a hundred."""
    chance = _FAILURES_Z * math.sqrt(jobs * injected_share * max(0.0, 1 - injected_share))
    return (injected_share + MAX_FAILED_SHARE) * jobs + chance


def _trend(summary: Summary) -> tuple[str | None, str | None]:
    """What is broken about the trend of the backlog, and what cannot be told of it."""
    if not is_rising(summary.backlog, summary.offered_jobs, _variability(summary)):
        return None, None
    return f"the backlog grew by {summary.backlog.slope_per_s:.2f} jobs/s to {summary.backlog.max} jobs", None


def _trend_after(summary: Summary, instant_s: float) -> tuple[str | None, str | None]:
    """The same over the rest of the window, to which its share of the window's jobs is reckoned.

    A backlog that is gone at its end tells all by itself.
    """
    window, series = summary.window, summary.backlog.series
    rest = max(0.0, min(1.0, (window.end_s - instant_s) / window.length_s))
    jobs = round(summary.offered_jobs * rest)
    tail = series[len(series) - int(len(series) * rest) :]
    if max(series[-1:], default=0) <= _GROWTH_JOBS:
        return None, None
    if jobs < MIN_JOBS or len(tail) < _FEWEST_POINTS:
        waiting = f"{series[-1]} jobs still waited at the end of the window"
        return None, f"{waiting}, and it ends too soon after the last fault to see whether they become fewer"
    if not is_rising(replace(summary.backlog, series=tail), jobs, _variability(summary)):
        return None, None
    return f"the backlog still grew after the last fault, from {tail[0]} to {tail[-1]} jobs", None


def _variability(summary: Summary) -> float:
    return summary.arrival_scv + (1.0 if summary.service.scv is None else summary.service.scv)


def _too_much(load: Load | None, slots_lost: int = 0) -> str | None:
    """What is wrong with a load that fills the slots, as many as were left, or may do so."""
    left = 0 if load is None else load.slots - slots_lost
    if load is None or load.at_most_erlangs < left:
        return None
    slots = "one slot carries" if left == 1 else f"{left} slots carry"
    if load.erlangs >= left:
        return f"a load of {load.erlangs:.3g} erlangs is no less than {slots}; too short a run to see the backlog grow"
    return f"a load of {load.erlangs:.3g} erlangs is too near to what {slots} for {load.jobs} jobs to tell them apart"


def doubts_about(summary: Summary, circumstances: Circumstances) -> Iterator[str]:
    """Why the load that was measured may not be the one that was asked for."""
    lag_s, allowed_s = summary.schedule_lag.census(0.99), circumstances.max_schedule_lag_s
    if circumstances.interrupted:
        yield "the run was interrupted"
    if summary.counts.rejected:
        yield f"Redis refused {summary.counts.rejected} of {summary.counts.scheduled} jobs"
    if circumstances.dropped and not circumstances.aborted:
        yield f"{were(circumstances.dropped, 'arrival')} due and never sent"
    if lag_s is not None and lag_s > allowed_s:
        yield f"the generator fell behind: schedule lag p99 {lag_s:.3f} s, allowed {allowed_s:g} s"
    if summary.offered_jobs < MIN_JOBS and not circumstances.aborted:
        yield f"too few jobs: {summary.offered_jobs} in the window, at least {MIN_JOBS} are needed"


def _broken_facts(summary: Summary, circumstances: Circumstances) -> Iterator[tuple[str, str]]:
    """Each promise on the books that is broken, by its signal, and how."""
    counts, excuse, injected_share = summary.counts, circumstances.excuse, circumstances.injected_share
    duplicated, failed = counts.duplicated - excuse.duplicated, counts.failed - excuse.failed
    if counts.lost:
        yield "lost", f"{counts.lost} of {counts.enqueued} jobs were lost"
    if counts.in_flight and not (circumstances.interrupted or circumstances.aborted):
        yield "in_flight", f"{were(counts.in_flight, 'job')} still waiting or running when the drain ended"
    if duplicated and not injected_share:
        struck = " that no fault explains" if excuse.duplicated else ""
        yield "duplicated", f"{count_of(duplicated, 'job')} ran to success more than once{struck}"
    if failed > failures_allowed(counts.enqueued, injected_share):
        injected = f" beyond the {injected_share:.2%} injected" if injected_share else ""
        struck = ", those apart that a fault explains" if excuse.failed else ""
        share = f"{MAX_FAILED_SHARE:.0%}{injected}{struck}"
        yield "error_rate", f"{failed} of {counts.enqueued} jobs failed, more than {share}"

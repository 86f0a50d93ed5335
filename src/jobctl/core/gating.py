"""Whether a run keeps its gates, at the end from its records and, for some gates, while it goes on.

Which jobs a figure is about. A fact counts the jobs of the whole run, a measurement those that were meant to arrive in
the window, as in :mod:`jobctl.core.summary`; so a gate's figure is the report's. With ``over`` the window is cut into
stretches of that length, each judged for itself by the jobs that were meant to arrive in it; where the length does not
divide the window, the last stretch ends with it and overlaps the one before. Backlog and utilisation are about time:
they take every job that is present in it.

The figure itself is compared with the threshold, not a bound of its interval, for that is the figure a person sees in
the report; what makes it trustworthy is the least number of jobs below which a gate is inconclusive. A stretch in which
no job was meant to arrive promises nothing and counts as kept.

Where the load was not really offered (a generator that fell behind, jobs that Redis refused), measurements are of some
other load and inconclusive, kept or not; facts stand. A schedule lag beyond its gate is such a doubt itself.

While the run goes on, a gate sees the jobs that have ended. Those that have not are the slow ones, so an early look
errs to the side of keeping. A stretch is looked at once it is over, and nothing is before there are enough jobs.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

from jobctl.core.gate_figures import (
    READINGS,
    Figure,
    Reading,
    RunFacts,
    figure_of,
    format_figure,
    reading_of,
    within_objectives,
)
from jobctl.core.gates import SIGNALS, Gate, Severity, Unit
from jobctl.core.judging import Judgement
from jobctl.core.quantiles import rank_of
from jobctl.core.records import JobRecord
from jobctl.core.slo import Verdict
from jobctl.core.summary import Window

__all__ = [
    "GateResult",
    "LiveGates",
    "judge_gates",
    "replaced_promises",
    "with_gates",
]

#: A stretch this much shorter or longer than asked is as long as asked: instants are sums of floats.
_ROUNDING_S: Final = 1e-6
#: Promises without gates that a gate on the same signal takes the place of.
_PROMISES: Final = frozenset({"lost", "duplicated", "error_rate"})


@dataclass(frozen=True, slots=True)
class GateResult:
    """How a gate stands.

    Attributes:
        gate: The gate.
        verdict: Kept, broken or inconclusive.
        value: The figure in the gate's unit; of several stretches the worst one's. None where it is not known.
        samples: Jobs that it is from; where stretches have too few, the fewest.
        reason: Why it is not kept; None where it is.
        failed_windows: The stretches that do not hold, in seconds since the run's start.
    """

    gate: Gate
    verdict: Verdict
    value: float | None
    samples: int
    reason: str | None
    failed_windows: tuple[tuple[float, float], ...] = ()


def replaced_promises(gates: Iterable[Gate]) -> frozenset[str]:
    """The promises without gates that these gates take the place of: each must bind, and be about all jobs."""
    return frozenset(gate.signal for gate in gates if gate.severity is Severity.ERROR and gate.job is None) & _PROMISES


def judge_gates(
    gates: Sequence[Gate], run: RunFacts, stopped_by: Mapping[Gate, str] | None = None
) -> tuple[GateResult, ...]:
    """Judge the gates of a run that is over.

    Args:
        gates: The gates.
        run: What happened.
        stopped_by: The gates that were broken while the run went on, each with the reason; they stay broken.

    Returns:
        One result per gate: what became of jobs first, latency after it.
    """
    within = within_objectives(gates)
    order = list(SIGNALS)
    results = []
    for gate in sorted(gates, key=lambda gate: order.index(gate.signal)):
        result = _judge(gate, run, reading_of(gate, within))
        reason = (stopped_by or {}).get(gate)
        if reason is not None and result.verdict is not Verdict.BROKEN:
            result = replace(result, verdict=Verdict.BROKEN, reason=reason)
        results.append(_doubted(result, run.doubts))
    return tuple(results)


def with_gates(judgement: Judgement, results: Iterable[GateResult]) -> Judgement:
    """The verdict on a run and its gates: broken goes before inconclusive; a warning changes nothing."""
    binding = [result for result in results if result.gate.severity is Severity.ERROR]
    for verdict in (Verdict.BROKEN, Verdict.INCONCLUSIVE):
        reasons = [
            f"{result.gate.name or result.gate}: {result.reason}"
            for result in binding
            if result.verdict is verdict and result.reason not in judgement.reasons
        ]
        if judgement.verdict is verdict or any(result.verdict is verdict for result in binding):
            before = judgement.reasons if judgement.verdict is verdict else ()
            return Judgement(verdict, (*before, *reasons))
    return judgement


def _judge(gate: Gate, run: RunFacts, reading: Reading | None) -> GateResult:
    if gate.job is not None:
        run = replace(run, records=[record for record in run.records if _concerns(gate, record)])
    if gate.window_s is None:
        return _judge_whole(gate, run, reading)
    stretches = _stretches(run.window, gate.window_s)
    if not stretches:
        return GateResult(gate, Verdict.INCONCLUSIVE, None, 0, "the run ended before one of its windows")
    jobs = _by_stretch(run.records, stretches, by_time=reading is None)
    figures = [
        figure_of(gate, run, present, stretch, reading) for stretch, present in zip(stretches, jobs, strict=True)
    ]
    return _judge_stretches(gate, run, stretches, figures)


def _judge_whole(gate: Gate, run: RunFacts, reading: Reading | None) -> GateResult:
    everything = _counts_all(gate) or reading is None
    jobs = [record for record in run.records if everything or run.window.holds(record.intended_s)]
    figure = figure_of(gate, run, jobs, run.window, reading)
    if figure.samples < gate.min_samples:
        reason = figure.reason or _too_few(gate, figure.samples)
        return GateResult(gate, Verdict.INCONCLUSIVE, None, figure.samples, reason)
    if figure.value is None:
        unfinished = gate.signal == "drain_time" and gate.comparison.is_upper and not run.cut_short
        verdict = Verdict.BROKEN if unfinished else Verdict.INCONCLUSIVE
        return GateResult(gate, verdict, None, figure.samples, figure.reason)
    if _holds(gate, figure.value):
        return GateResult(gate, Verdict.KEPT, figure.value, figure.samples, None)
    return GateResult(gate, Verdict.BROKEN, figure.value, figure.samples, _measured(gate, figure.value))


def _judge_stretches(gate: Gate, run: RunFacts, stretches: Sequence[Window], figures: Sequence[Figure]) -> GateResult:
    known = [figure for figure in figures if not figure.is_idle]
    judged = [figure for figure in known if _tells(gate, figure)]
    short = [figure for figure in known if not _tells(gate, figure)]
    failing = [_tells(gate, figure) and not _holds(gate, figure.value or 0.0) for figure in figures]
    failed = tuple(
        (stretch.start_s - run.start_s, stretch.end_s - run.start_s)
        for stretch, fails in zip(stretches, failing, strict=True)
        if fails
    )
    worst = _worst(gate, judged)
    value = None if worst is None else worst.value
    if _is_broken(gate, stretches, failing):
        assert worst is not None
        reason = f"{_measured(gate, value)} in the worst of {len(failed)} failing windows of {len(known)}"
        return GateResult(gate, Verdict.BROKEN, value, worst.samples, reason, failed)
    if short or not known:
        fewest = min((figure.samples for figure in short), default=0)
        reason = next((figure.reason for figure in short if figure.reason), _too_few(gate, fewest))
        where = f" in {len(short)} of {len(known)} windows" if short else ""
        return GateResult(gate, Verdict.INCONCLUSIVE, value, fewest, f"{reason}{where}", failed)
    return GateResult(gate, Verdict.KEPT, value, 0 if worst is None else worst.samples, None, failed)


def _doubted(result: GateResult, doubts: Sequence[str]) -> GateResult:
    """The result beside doubts about the load, or as one itself."""
    if result.gate.kind.is_fact or result.verdict is Verdict.INCONCLUSIVE:
        return result
    if result.gate.signal == "schedule_lag" and result.verdict is Verdict.BROKEN:
        return replace(result, verdict=Verdict.INCONCLUSIVE, reason=f"the generator fell behind: {result.reason}")
    return replace(result, verdict=Verdict.INCONCLUSIVE, reason=doubts[0]) if doubts else result


def _holds(gate: Gate, value: float) -> bool:
    return gate.comparison.holds(value, gate.threshold)


def _tells(gate: Gate, figure: Figure) -> bool:
    """Whether there is something to hold the gate to."""
    return figure.value is not None and figure.samples >= gate.min_samples


def _is_broken(gate: Gate, stretches: Sequence[Window], failing: Sequence[bool]) -> bool:
    """Whether stretches fail on end for as long as it takes."""
    needed_s = (gate.for_s or 0.0) - _ROUNDING_S
    numbered = groupby(range(len(failing)), key=failing.__getitem__)
    runs = ([*numbers] for fails, numbers in numbered if fails)
    return any(stretches[run[-1]].end_s - stretches[run[0]].start_s >= needed_s for run in runs)


def _worst(gate: Gate, figures: Sequence[Figure]) -> Figure | None:
    """The figure that is furthest on the wrong side, or nearest to it."""

    def badness(figure: Figure) -> float:
        assert figure.value is not None
        if gate.comparison.is_upper:
            return figure.value
        return -figure.value if gate.comparison.value.startswith(">") else abs(figure.value - gate.threshold)

    return max(figures, key=badness, default=None)


def _measured(gate: Gate, value: float | None) -> str:
    return f"measured {format_figure(value, gate.unit)}"


def _too_few(gate: Gate, samples: int) -> str:
    return f"too few jobs: {samples}, at least {gate.min_samples} are needed"


def _counts_all(gate: Gate) -> bool:
    """Whether its figure, over the run as a whole, is about every job and not about those of the window."""
    return gate.kind.is_fact or gate.signal == "schedule_lag"


def _concerns(gate: Gate, record: JobRecord) -> bool:
    return gate.job is None or record.job_type == gate.job


def _stretches(window: Window, length_s: float) -> list[Window]:
    """Equal stretches that cover the window; the last one ends with it. None where it is shorter than one."""
    whole = math.floor((window.length_s + _ROUNDING_S) / length_s)
    stretches = [
        Window(window.start_s + length_s * number, window.start_s + length_s * (number + 1)) for number in range(whole)
    ]
    if whole and window.end_s - stretches[-1].end_s > _ROUNDING_S:
        stretches.append(Window(window.end_s - length_s, window.end_s))
    return stretches


class _Cut:
    """The window cut into stretches, to be found by an instant."""

    def __init__(self, stretches: Sequence[Window]) -> None:
        self.stretches = stretches
        self._starts = [stretch.start_s for stretch in stretches]
        self._ends = [stretch.end_s for stretch in stretches]

    def holding(self, begin_s: float, end_s: float) -> range:
        """The numbers of the stretches that share an instant with an interval, its end included."""
        return range(bisect_right(self._ends, begin_s), bisect_right(self._starts, end_s))

    def over_by(self, instant_s: float) -> int:
        """How many of the first stretches have ended by an instant."""
        return bisect_right(self._ends, instant_s)


def _by_stretch(records: Iterable[JobRecord], stretches: Sequence[Window], *, by_time: bool) -> list[list[JobRecord]]:
    """The jobs of each stretch: those that were meant to arrive in it, or that were there in it."""
    cut = _Cut(stretches)
    jobs: list[list[JobRecord]] = [[] for _ in stretches]
    for record in records:
        end_s = record.intended_s if not by_time else math.inf if record.finished_s is None else record.finished_s
        for number in cut.holding(record.intended_s, end_s):
            jobs[number].append(record)
    return jobs


@dataclass(slots=True)
class _Count:
    """What of a stretch is known so far, in a few numbers: enough to say whether a statistic holds."""

    n: int = 0
    total: float = 0.0
    highest: float = -math.inf
    #: Values that themselves stand to the threshold as the statistic has to.
    holding: int = 0

    def add(self, value: float, gate: Gate) -> None:
        self.n += 1
        self.total += value
        self.highest = max(self.highest, value)
        self.holding += _holds(gate, value)

    def fails(self, gate: Gate) -> bool:
        """Whether there are enough values and the statistic does not hold.

        A quantile is the value of a rank: it is below the threshold if so many values are.
        """
        if self.n < gate.min_samples:
            return False
        if gate.quantile is not None:
            rank = rank_of(gate.quantile, self.n)
            return self.holding < (rank if gate.comparison.is_upper else self.n - rank + 1)
        if gate.statistic == "max":
            return not _holds(gate, self.highest)
        mean = gate.statistic in {"mean", "per_job"} or gate.unit is Unit.SHARE
        return not _holds(gate, self.total / self.n if mean else self.total)


class _Watch:
    """A gate that may end the run, and what was seen of each stretch."""

    def __init__(self, gate: Gate, window: Window) -> None:
        self.gate = gate
        self._window = window
        self._cut = _Cut([window] if gate.window_s is None else _stretches(window, gate.window_s))
        self._counts = [_Count() for _ in self._cut.stretches]

    def see(self, record: JobRecord) -> None:
        """Take a job that ended."""
        value = READINGS[self.gate.signal](record)
        if value is None or not _concerns(self.gate, record):
            return
        if self.gate.window_s is not None:
            for number in self._cut.holding(record.intended_s, record.intended_s):
                self._counts[number].add(value, self.gate)
        elif _counts_all(self.gate) or self._window.holds(record.intended_s):
            self._counts[0].add(value, self.gate)

    def is_broken(self, now_s: float) -> bool:
        """Whether it is, by what was seen so far."""
        over = 1 if self.gate.window_s is None else self._cut.over_by(now_s)
        failing = [count.fails(self.gate) for count in self._counts[:over]]
        return _is_broken(self.gate, self._cut.stretches[:over], failing)


class LiveGates:
    """The gates that end a run as soon as they are broken.

    Args:
        gates: All gates of the run; those that do not abort are left alone.
        start_s: When the schedule begins, seconds since the epoch.
        window: What is judged.
    """

    def __init__(self, gates: Collection[Gate], start_s: float, window: Window) -> None:
        aborting = [gate for gate in gates if gate.abort and gate.severity is Severity.ERROR]
        self._start_s = start_s
        self._window = window
        self._backlogs = [gate for gate in aborting if gate.signal == "backlog"]
        self._watches = [_Watch(gate, window) for gate in aborting if gate.signal != "backlog"]
        #: The gates that were broken, each with when.
        self.broken: dict[Gate, str] = {}

    def see(self, records: Sequence[JobRecord], elapsed_s: float) -> str | None:
        """Take the jobs that ended since the last call.

        Args:
            records: Those jobs.
            elapsed_s: Seconds since the schedule's start.

        Returns:
            Why the run is to end; None to go on.
        """
        for watch in self._watches:
            for record in records:
                watch.see(record)
            if watch.is_broken(self._start_s + elapsed_s):
                return self._end(watch.gate, elapsed_s, "")
        return None

    def see_backlog(self, jobs: int, elapsed_s: float) -> str | None:
        """Take how many jobs wait now; otherwise as :meth:`see`."""
        if self._start_s + elapsed_s < self._window.start_s:
            return None
        for gate in self._backlogs:
            if not _holds(gate, jobs):
                return self._end(gate, elapsed_s, f", {jobs:,} jobs waited")
        return None

    def _end(self, gate: Gate, elapsed_s: float, more: str) -> str:
        when = f"broken {elapsed_s:.1f} s after the start{more}"
        self.broken[gate] = when
        return f"{gate.name or gate}: {when}"

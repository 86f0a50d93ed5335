"""Where the highest sustained rate lies: a search that is told what each probe found and says what to run next.

Like a pacer it has no clock and runs nothing: findings and elapsed time in, the next :class:`Probe` or the
:class:`Bracket` out. The answer is a bracket: its low end is a rate that was shown to hold, its high end one that was
shown to fail.

1. *Double* the rate until a probe fails. Short probes do: they tell factors apart, not percents.
2. *Aim.* A backlog that grew throughout tells the capacity C itself, by the completions: the next probe is aimed at it
   (a secant). Where nothing tells C, because an objective fails before the backlog grows, the search bisects at
   geometric means.
3. *Sustain* both ends, long ones: the high end first, for it measures C best. The room of the bracket is laid one third
   below C and two thirds above: a fleet falls short of its nominal capacity by what dispatch takes, and never exceeds
   it. An end that is not confirmed reopens the search around what it told.

*A limit that is known* (:class:`KnownLimit`: configured, or told by the upstream's refusals) says where to look and no
more: what the probes measure is the evidence. Calls that the workers space evenly show it within seconds, so the search
begins with the high end. An upstream that counts the calls of any minute shows it only when its window is full, and
loads beyond it would spoil the next: from an empty window the low end is held for longer than a minute, then at once
the high end, until it is refused. As soon as something comes out otherwise, the search goes on as without the hint.

*Which of two probes is believed* when a lower rate failed and a higher one held: the longer one; of equal ones that
which failed.

*How surely.* Each end has its own probability of being wrong. A high end that failed by its trend: that a backlog
without drift grows so much. A low end below it: that the capacity, as the saturated probes measured it, lies below. By
an objective: what its test leaves. Confidence is 1 less both. Where so many jobs as the time allows cannot tell the
width apart, the ends are laid wider, 2 standard errors from C, and the search says that it ran out of time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from jobctl.core.estimates import student_tail
from jobctl.core.probing import FEWEST_STRETCHES, SETTLING_SERVICES, Cause, Finding, Phase, Probe
from jobctl.core.slo import Verdict

__all__ = [
    "Aim",
    "Bracket",
    "Capacity",
    "KnownLimit",
    "Stop",
    "answer",
    "known_limit",
    "needed_s",
    "next_step",
    "resolution",
]

#: A growth of this share of the rate must be excluded before a short probe counts as held.
_COARSE: Final = 0.25
#: Of the bracket's room (in logarithms) what lies above the capacity, and how much of the room is used.
_ABOVE: Final = 2 / 3
_USED: Final = 0.97
#: The low end stays at least so far below the capacity.
_LEAST_BELOW: Final = 0.006
#: Standard errors between the capacity and each end: as many as there is room for, and at least the second number.
_APART: Final = 2.0
_BARELY_APART: Final = 1.6
#: The relative error of a capacity that is good enough to lay the ends by, as a share of the width.
_GOOD_ENOUGH: Final = 1 / 6
#: Jobs that a short probe sends at least; how long it is, and where the time is scarce.
_FEW_JOBS: Final = 12.0
_SHORT_S: Final = 4.0
_SHORTEST_S: Final = 2.0
#: A short probe takes no more than this share of all the time.
_SHARE: Final = 1 / 12
#: The length of a probe that aims.
_AIMING_S: Final = 8.0
#: A sustained probe lasts so long where the jobs vary little, and no longer than the second.
_SUSTAINED_S: Final = 25.0
_LONGEST_S: Final = 120.0
#: What holds is sustained for so many times what a limit remembers.
_LONGER: Final = 1.1
#: A push adds the jobs of so many seconds, beyond those that fill the slots: it empties a limit's bucket.
_PUSH_S: Final = 2.5
#: A generator that fell behind so many times in a row can offer no more.
_BEHIND: Final = 3
#: What a probe takes beside its schedule, until that is known.
_OVERHEAD_S: Final = 3.0
#: Jobs that have not ended took longer than those that have: what probes are made longer by.
_STRETCH: Final = 1.3
#: Degrees of freedom of a capacity's error: that of one sustained probe.
_DEGREES: Final = 12
_LEAST_ERROR: Final = 0.001
#: The probability of being wrong that a confirmed end may have.
_DOUBT: Final = 0.05
#: Of a rate of which nothing is known, and of one that held for a moment below one that failed.
_UNKNOWN: Final = 0.5
_LIKELY: Final = 0.4
_ROUNDING: Final = 1e-9


class Stop(StrEnum):
    """Why a search ended."""

    #: The bracket is as narrow as asked for, and both ends are confirmed.
    FOUND = "found"
    #: The highest rate that may be tried holds.
    CAP = "cap"
    #: The load generator could offer no more.
    GENERATOR = "generator"
    #: The lowest rate that is tried fails.
    LOWEST = "lowest"
    #: The time was over.
    TIME = "time"
    #: The upstream refused calls, and there is no time to wait until it accepts them evenly again.
    REFUSED = "refused"
    #: Somebody cut it short.
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class KnownLimit:
    """A limit on the way of the jobs.

    Attributes:
        rate_per_s: Jobs a second that it lets pass.
        window_s: It counts in any window of this length and refuses what is beyond; 0 if the workers know it and space
            their calls evenly.
        known_after: How many probes had been run when it became known; it was configured if that is 0.
    """

    rate_per_s: float
    window_s: float = 0.0
    known_after: int = 0

    @property
    def rest_s(self) -> float:
        """How long until its window is empty."""
        return self.window_s + 1 if self.known_after else 0.0


@dataclass(frozen=True, slots=True)
class Aim:
    """What is searched for.

    Attributes:
        start_per_s: The first rate.
        most_per_s: The highest rate that may be tried.
        least_per_s: The lowest that is.
        max_width: The widest that a bracket may be: high / low - 1.
        within_s: How long the search may take, seconds.
        memory_s: A limit on the way is known to count in windows of this length: what is sustained lasts longer.
        least_jobs: What is sustained sends so many jobs at least: the objectives need them.
        limit: A limit that was configured.
    """

    start_per_s: float
    most_per_s: float = math.inf
    least_per_s: float = 0.01
    max_width: float = 0.05
    within_s: float = 180.0
    memory_s: float = 0.0
    least_jobs: float = 90.0
    limit: KnownLimit | None = None


@dataclass(frozen=True, slots=True)
class Capacity:
    """The rate at which a saturated fleet completes jobs, and the standard error of that."""

    rate_per_s: float
    error_per_s: float

    @property
    def relative_error(self) -> float:
        """The standard error as a share."""
        return self.error_per_s / self.rate_per_s


@dataclass(frozen=True, slots=True)
class Bracket:
    """The answer of a search.

    Attributes:
        low: The highest rate that was shown to hold; None if none did.
        high: The lowest above it that was shown to fail; None if none did.
        capacity: What the saturated probes measured; None where none was saturated.
        stop: Why the search ended.
        low_error: The probability that the low end does not hold; None without one.
    """

    low: Finding | None
    high: Finding | None
    capacity: Capacity | None
    stop: Stop
    low_error: float | None = None

    @property
    def width(self) -> float | None:
        """High over low, less 1; None without two ends."""
        if self.low is None or self.high is None:
            return None
        return self.high.probe.rate_per_s / self.low.probe.rate_per_s - 1

    @property
    def high_error(self) -> float | None:
        """The probability that the high end does not fail."""
        return None if self.high is None else self.high.error

    @property
    def confidence(self) -> float | None:
        """The probability that the maximum lies between the ends, at least; None without two ends."""
        if self.low_error is None or self.high_error is None:
            return None
        return max(0.0, 1 - self.low_error - self.high_error)


def resolution(aim: Aim, probe: Probe) -> float:
    """The growth, as a share of the rate, that must be excluded before a rate counts as held."""
    return aim.max_width if probe.phase is Phase.SUSTAIN else _COARSE


def known_limit(aim: Aim, findings: Sequence[Finding]) -> KnownLimit | None:
    """The limit that was configured, or the one that the first refusals told; None where there is none."""
    if aim.limit is not None or not aim.memory_s:
        return aim.limit
    for number, finding in enumerate(findings, 1):
        if finding.accepted and finding.verdict is Verdict.BROKEN:
            return KnownLimit(finding.accepted / aim.memory_s, aim.memory_s, known_after=number)
    return None


def next_step(aim: Aim, findings: Sequence[Finding], elapsed_s: float) -> Probe | Bracket:
    """What to do next.

    Args:
        aim: What is searched for.
        findings: What the probes told, in order.
        elapsed_s: Seconds since the first of them began.
    """
    search = _Search(aim, findings, elapsed_s)
    step = search.step()
    if isinstance(step, Stop):
        return search.bracket(step)
    fitting = search.fitted(step)
    return search.bracket(Stop.TIME) if fitting is None else fitting


def needed_s(aim: Aim, findings: Sequence[Finding], elapsed_s: float) -> float | None:
    """How long the whole search takes, seconds, going by how much the jobs vary; None until a probe told that."""
    return _Search(aim, findings, elapsed_s).needed_s()


def answer(aim: Aim, findings: Sequence[Finding], stop: Stop) -> Bracket:
    """What the findings tell when the search ends there."""
    return _Search(aim, findings, aim.within_s).bracket(stop)


class _Search:
    """The findings so far, and what follows from them."""

    def __init__(self, aim: Aim, findings: Sequence[Finding], elapsed_s: float) -> None:
        self._aim = aim
        self._findings = findings
        self._left_s = aim.within_s - elapsed_s
        lengths_s = math.fsum(finding.probe.length_s + finding.probe.rest_s for finding in findings)
        self._overhead_s = max(0.0, elapsed_s - lengths_s) / len(findings) if findings else _OVERHEAD_S
        self._held, self._high = _ends(findings, aim.max_width)
        self._low = self._held[0] if self._held else None
        self._capacity = _capacity(findings)
        self._remembered_s = _LONGER * aim.memory_s
        services = [finding.service_s for finding in findings if finding.service_s is not None]
        self._service_s = services[-1] if services else 0.0

    def bracket(self, stop: Stop) -> Bracket:
        """The answer; its low end is the highest rate that surely held, or else the likeliest that did."""
        errors = [(one, self._low_error(one)) for one in self._held]
        sure = next((pair for pair in errors if pair[1] <= _DOUBT), None)
        likely = min((pair for pair in errors if pair[1] < _UNKNOWN), key=lambda pair: pair[1], default=(None, None))
        low, error = sure or likely
        return Bracket(low, self._high, self._capacity, stop, error)

    def _low_error(self, low: Finding) -> float:
        """The probability that a rate that held does not: by a capacity that was measured, or by its own test."""
        if low.probe.duration_s < self._aim.memory_s:
            return _UNKNOWN  # it may only have used up what a limit allows in advance
        if self._high is None or self._high.cause is not Cause.TREND:
            return low.error
        if self._capacity is None:
            return max(low.error, _DOUBT if low.probe.phase is Phase.SUSTAIN else _LIKELY)
        spare = (self._capacity.rate_per_s - low.probe.rate_per_s) / self._capacity.error_per_s
        return max(_LEAST_ERROR, low.error, student_tail(spare, _DEGREES))

    def fitted(self, probe: Probe) -> Probe | None:
        """The probe, shortened where the time is scarce; None where it no longer makes sense."""
        spare_s = self._left_s - self._overhead_s - probe.push_s - probe.rest_s
        if spare_s >= probe.duration_s:
            return probe
        is_kept = probe.phase is Phase.SUSTAIN and not probe.push_s
        if spare_s < max(_SHORTEST_S, self._seen_s(), self._aim.memory_s if is_kept else 0.0):
            return None
        return replace(probe, duration_s=spare_s)

    def step(self) -> Probe | Stop:
        limited = self._at_limit()
        if limited is not None or not self._findings:
            return limited or self._short(Phase.DOUBLE, min(self._aim.start_per_s, self._aim.most_per_s))
        last = self._findings[-1]
        if last.verdict is Verdict.INCONCLUSIVE:
            again = self._again(last)
            if again is not None:
                return again
        if self._high is None:
            return self._upwards()
        if self._high.cause is Cause.TREND and self._capacity is not None:
            return self._aimed(self._high, self._capacity)
        if self._low is None:
            return self._downwards(self._high)
        return self._bisected(self._low, self._high)

    def _at_limit(self) -> Probe | Stop | None:
        """The next probe around a limit that is known; None without one, and where something came out otherwise."""
        limit = known_limit(self._aim, self._findings)
        if limit is None or (self._findings and self._findings[-1].cause is Cause.GENERATOR):
            return None
        since = [one for one in self._findings[limit.known_after :] if one.cause is not Cause.GENERATOR]
        room = math.log1p(self._aim.max_width) * _USED
        low_per_s = limit.rate_per_s * math.exp(-room * (1 - _ABOVE))
        high_per_s = limit.rate_per_s * math.exp(room * _ABOVE)
        if low_per_s < self._aim.least_per_s or high_per_s > self._aim.most_per_s:
            return None
        if not limit.window_s:
            plan = [replace(self._sustained(high_per_s, runs=2), push_s=self._push_s())]
        else:
            first = replace(self._short(Phase.BISECT, low_per_s), rest_s=limit.rest_s)
            plan = [first, self._sustained(low_per_s, runs=1), self._sustained(high_per_s, runs=1)]
        if len(since) >= len(plan) or any(one.verdict is not Verdict.KEPT for one in since):
            return None
        needed_s = limit.rest_s + 2 * limit.window_s + _SHORT_S + len(plan) * self._overhead_s
        if limit.known_after and not since and needed_s > self._left_s:
            return Stop.REFUSED
        return plan[len(since)]

    def _again(self, last: Finding) -> Probe | Stop | None:
        """A probe that could not tell is run again, longer; None where what it told leads on."""
        probe = last.probe
        if last.cause is Cause.GENERATOR:
            behind = [finding.cause is Cause.GENERATOR for finding in self._findings[-_BEHIND:]]
            return Stop.GENERATOR if behind == [True] * _BEHIND else replace(probe, rest_s=0.0)
        if probe.push_s and last.is_saturated:
            return None
        return replace(probe, duration_s=max(2 * probe.duration_s, self._seen_s()))

    def _upwards(self) -> Probe | Stop:
        if self._low is None:  # a push was worked off, and that refuted the failure before it
            kept = [finding.probe.rate_per_s for finding in self._findings if finding.verdict is Verdict.KEPT]
            return self._short(Phase.DOUBLE, min(max(kept), self._aim.most_per_s))
        rate_per_s = self._low.probe.rate_per_s
        if rate_per_s < self._aim.most_per_s:
            return self._short(Phase.DOUBLE, min(2 * rate_per_s, self._aim.most_per_s))
        return Stop.CAP if self._low.probe.phase is Phase.SUSTAIN else self._sustained(rate_per_s, runs=1)

    def _downwards(self, high: Finding) -> Probe | Stop:
        rate_per_s = high.probe.rate_per_s / 2
        return Stop.LOWEST if rate_per_s < self._aim.least_per_s else self._short(Phase.BISECT, rate_per_s)

    def _aimed(self, high: Finding, capacity: Capacity) -> Probe | Stop:
        """Around a capacity that was measured: the high end, then the low one."""
        if capacity.rate_per_s < self._aim.least_per_s:
            return Stop.LOWEST
        sustained = high.probe.phase is Phase.SUSTAIN
        below, above = self._margins(capacity, runs=1 if sustained else 2)
        aimed_per_s = capacity.rate_per_s * math.exp(above)
        if not sustained and capacity.relative_error > _GOOD_ENOUGH * self._aim.max_width and not self._has_aimed():
            return replace(self._short(Phase.BISECT, aimed_per_s, _AIMING_S), push_s=self._push_s())
        lowest_per_s = high.probe.rate_per_s * math.exp(-below - above)
        if not sustained or lowest_per_s > capacity.rate_per_s * (1 - _LEAST_BELOW):
            return replace(self._sustained(aimed_per_s, runs=2), push_s=self._push_s())
        low = self._low
        if low is None or low.probe.phase is not Phase.SUSTAIN or low.probe.rate_per_s < lowest_per_s * (1 - _ROUNDING):
            return self._sustained(lowest_per_s, runs=1)
        if self._low_error(low) > _DOUBT:
            return replace(self._sustained(aimed_per_s, runs=2), push_s=self._push_s())
        return self._found(low, high)

    def _margins(self, capacity: Capacity, runs: int) -> tuple[float, float]:
        """How far below and above the capacity the ends are laid, as logarithms.

        As the width allows, one third below; or as far as the jobs of the time that is left can tell apart.
        """
        jobs = capacity.rate_per_s * self._sustained_s(capacity.rate_per_s, runs)
        error = math.sqrt(self._variability() / max(1.0, jobs))
        room = max(math.log1p(self._aim.max_width) * _USED, 2 * _BARELY_APART * error)
        below = max(room * (1 - _ABOVE), min(room / 2, _APART * error))
        return below, room - below

    def _bisected(self, low: Finding, high: Finding) -> Probe | Stop:
        """Between two rates, where nothing tells the capacity."""
        if self._ratio(low, high) > 1 + self._aim.max_width:
            rate_per_s = math.sqrt(low.probe.rate_per_s * high.probe.rate_per_s)
            return self._short(Phase.BISECT, rate_per_s, _AIMING_S)
        for end, runs in ((high, 2), (low, 1)):
            if end.probe.phase is not Phase.SUSTAIN:
                return self._sustained(end.probe.rate_per_s, runs)
        return Stop.FOUND

    def _found(self, low: Finding, high: Finding) -> Stop:
        return Stop.FOUND if self._ratio(low, high) <= 1 + self._aim.max_width else Stop.TIME

    def _variability(self) -> float:
        """Of the growth, over all the time that was seen saturated; nothing is laid by it where none was."""
        saturated = [finding for finding in self._findings if finding.is_saturated]
        if not saturated:
            return 0.0
        length_s = math.fsum(map(_weight, saturated))
        return math.fsum(finding.variability * _weight(finding) for finding in saturated) / length_s

    def _has_aimed(self) -> bool:
        return any(finding.probe.push_s for finding in self._findings)

    def _seen_s(self) -> float:
        """The shortest probe that shows anything of jobs that take so long."""
        return (SETTLING_SERVICES + FEWEST_STRETCHES) * _STRETCH * self._service_s

    def _push_s(self) -> float:
        return _PUSH_S + self._service_s

    def _short(self, phase: Phase, rate_per_s: float, length_s: float = _SHORT_S) -> Probe:
        affordable_s = max(_SHORTEST_S, min(length_s, self._aim.within_s * _SHARE))
        return Probe(rate_per_s, max(affordable_s, _FEW_JOBS / rate_per_s, self._seen_s()), phase)

    def _sustained(self, rate_per_s: float, runs: int) -> Probe:
        """A probe at an end: what is to hold holds for longer than a limit on the way remembers."""
        length_s = self._sustained_s(rate_per_s, runs)
        return Probe(rate_per_s, max(length_s, self._remembered_s) if runs == 1 else length_s, Phase.SUSTAIN)

    def _sustained_s(self, rate_per_s: float, runs: int) -> float:
        """A share of the time that is left, as long as the jobs need to tell the width apart."""
        jobs = self._variability() * (_APART * 3 / self._aim.max_width) ** 2
        wanted_s = max(_SUSTAINED_S, max(jobs, self._aim.least_jobs) / rate_per_s, 2 * self._seen_s())
        kept_s = max(0.0, self._remembered_s - _SUSTAINED_S) if runs > 1 else 0.0
        share_s = (self._left_s - kept_s - runs * (self._overhead_s + self._push_s())) / runs
        longest_s = max(_LONGEST_S, 2 * self._seen_s(), self._fewest_jobs() / rate_per_s)
        return max(_SHORTEST_S, min(wanted_s, share_s, longest_s))

    def _fewest_jobs(self) -> float:
        """So many jobs of a sustained probe tell the width apart just so."""
        return self._variability() * (2 * _BARELY_APART / (math.log1p(self._aim.max_width) * _USED)) ** 2

    def needed_s(self) -> float | None:
        """How long the whole search takes: both ends are sustained, and the first that is has mostly to be repeated."""
        if self._capacity is None:
            return None
        runs = 2 if any(finding.probe.phase is Phase.SUSTAIN for finding in self._findings) else 3
        jobs_s = self._fewest_jobs() / self._capacity.rate_per_s
        each_s = max(jobs_s, self._seen_s()) + self._push_s() + self._overhead_s
        return self._aim.within_s - self._left_s + runs * each_s

    @staticmethod
    def _ratio(low: Finding, high: Finding) -> float:
        return high.probe.rate_per_s / low.probe.rate_per_s


def _ends(findings: Sequence[Finding], width: float) -> tuple[list[Finding], Finding | None]:
    """The rates that held, the best first, and the lowest that failed, as far as nothing longer contradicts them.

    Of rates within a width of each other, one that was sustained stands for the others.
    """
    kept = [finding for finding in findings if finding.verdict is Verdict.KEPT]
    broken = [finding for finding in findings if finding.verdict is Verdict.BROKEN]
    held = [one for one in kept if not one.probe.push_s and not any(_outweighs(other, one) for other in broken)]
    failed = [one for one in broken if not any(_refutes(other, one) for other in kept)]
    highest_per_s = max((one.probe.rate_per_s for one in held), default=0.0)
    lowest_per_s = min((one.probe.rate_per_s for one in failed), default=0.0)
    near = [one for one in failed if one.probe.rate_per_s <= lowest_per_s * (1 + width)]
    high = min(near, key=lambda one: (one.probe.phase is not Phase.SUSTAIN, one.probe.rate_per_s), default=None)

    def rank(one: Finding) -> tuple[bool, bool, float]:
        is_near = one.probe.rate_per_s * (1 + width) >= highest_per_s
        return is_near, is_near and one.probe.phase is Phase.SUSTAIN, one.probe.rate_per_s

    return sorted(held, key=rank, reverse=True), high


def _outweighs(broken: Finding, kept: Finding) -> bool:
    """Whether a rate that failed shows that a higher one does not hold."""
    return broken.probe.rate_per_s <= kept.probe.rate_per_s and _weight(broken) >= _weight(kept)


def _refutes(kept: Finding, broken: Finding) -> bool:
    """Whether a rate that held shows that a lower one does not fail; a pushed probe tells of the trend alone."""
    if kept.probe.push_s and broken.cause is not Cause.TREND:
        return False
    return kept.probe.rate_per_s >= broken.probe.rate_per_s and _weight(kept) > _weight(broken)


def _weight(finding: Finding) -> float:
    return finding.probe.duration_s


def _capacity(findings: Sequence[Finding]) -> Capacity | None:
    """What the saturated probes measured, each by its precision.

    Left out are those much shorter than the longest; those that a longer probe refutes, for a fleet that is overwhelmed
    may do less than it can; and plain loads that held: of these no more comes out than was sent.
    """
    kept = [finding for finding in findings if finding.verdict is Verdict.KEPT]
    saturated = [
        (finding.throughput_per_s, finding.throughput_error_per_s, _weight(finding))
        for finding in findings
        if finding.is_saturated and finding.throughput_per_s and finding.throughput_error_per_s
        if finding.probe.push_s or finding.verdict is not Verdict.KEPT
    ]
    believed = [
        (rate, error, weight)
        for rate, error, weight in saturated
        if not any(one.probe.rate_per_s > rate and _weight(one) > weight for one in kept)
    ]
    if not believed:
        return None
    longest_s = max(weight for _, _, weight in believed)
    chosen = [(rate, error) for rate, error, weight in believed if weight >= longest_s / 2]
    precision = math.fsum(error**-2 for _, error in chosen)
    mean = math.fsum(rate * error**-2 for rate, error in chosen) / precision
    # Where probes differ by more than their own errors explain, something else moved between them: the error grows by
    # the ratio (Birge 1932, "The calculation of errors by the method of least squares").
    spread = math.fsum(((rate - mean) / error) ** 2 for rate, error in chosen) / max(1, len(chosen) - 1)
    return Capacity(mean, precision**-0.5 * max(1.0, math.sqrt(spread)))

"""What one probe tells: a load at one rate, run on a fleet for a while, and whether the fleet sustains it.

Model. While every slot (or every permit of a limit) is taken, n arrivals change the backlog by a random walk whose
drift is the rate less the capacity C; below capacity the walk is held back at zero. So *the trend* of the backlog tells
on which side of C a rate lies, and while the backlog lasts, completions a second measure C itself.

The judged part of a probe is cut into equal stretches, none shorter than a service. Their growths g_i (arrivals less
starts) have the mean rate - C and a standard error that is measured, not assumed: s / sqrt(m), with Student's t for so
few (batch means: Law & Kelton, "Simulation Modeling and Analysis", 9.5.3). It is floored by what dispatch moves by
itself: a quarter of a job, or the arrivals of 20 ms. The same stretches give the standard error of the throughput.

*The later part is judged.* First jobs find free slots, and a bucket of permits passes more than its rate, so a backlog
grows late. A plain probe is judged from its second third on and not before two services have passed. A *pushed* probe
begins with a stretch at twice its rate: slots are full and buckets empty when its judged part begins, which therefore
shows the drift from its first second. It tells capacity and trend, and nothing about waits.

*Objectives* are judged by the share of jobs over the threshold, stretch by stretch, because waits of neighbours
resemble each other. Where no job at all is over it, n jobs leave a doubt of q^n.

"Could not tell" is a verdict: the backlog may or may not have grown, jobs take longer than the probe, the generator
fell behind.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from statistics import fmean, stdev
from typing import Final

from jobctl.core.estimates import student_t, student_tail
from jobctl.core.judging import MAX_FAILED_SHARE
from jobctl.core.records import JobRecord, Outcome
from jobctl.core.slo import Objective, Verdict
from jobctl.core.summary import Window, utilisation_over
from jobctl.core.units import format_duration
from jobctl.core.words import were

__all__ = ["FEWEST_STRETCHES", "SETTLING_SERVICES", "Cause", "Finding", "Phase", "Probe", "read_probe"]

#: A growth that chance explains with less than this probability is one.
_ALPHA: Final = 0.025
#: The most and the fewest stretches that the judged part is cut into, and their shortest length in seconds.
_MOST_STRETCHES: Final = 16
FEWEST_STRETCHES: Final = 4
_SHORTEST_S: Final = 0.25
#: What dispatch moves by itself: jobs, and seconds of arrivals.
_JITTER_JOBS: Final = 0.25
_JITTER_S: Final = 0.02
#: So many jobs wait, on average over a service, where the slots are never free.
_WAITING_JOBS: Final = 0.5
#: The least deviation of a mean, seconds.
_LEAST_S: Final = 1e-6
#: Nothing is surer than that: no model knows what a machine does.
_LEAST_ERROR: Final = 0.001
#: The doubt that a sustained rate may leave about an objective.
_DOUBT: Final = 0.05
#: Services that pass before a plain probe is judged.
SETTLING_SERVICES: Final = 2.0


class Phase(StrEnum):
    """What a probe is for."""

    #: Short ones, each at twice the rate of the one before.
    DOUBLE = "double"
    #: Between a rate that held and one that did not.
    BISECT = "bisect"
    #: A long one at an end of the bracket.
    SUSTAIN = "sustain"


class Cause(StrEnum):
    """What decided a verdict that is not *kept*."""

    #: The backlog grew.
    TREND = "trend"
    #: An objective or a gate was broken.
    OBJECTIVE = "objective"
    #: Jobs failed or were lost.
    ERRORS = "errors"
    #: The upstream refused calls at a rate above the limit that it is known to have.
    REFUSED = "refused"
    #: The load was not offered as intended.
    GENERATOR = "generator"
    #: The probe was too short to tell.
    LENGTH = "length"


@dataclass(frozen=True, slots=True)
class Probe:
    """A load to run.

    Attributes:
        rate_per_s: Its rate.
        duration_s: How long it is offered.
        phase: What it is for.
        push_s: Length of a stretch at twice the rate in front of it; 0 for none.
        rest_s: How long nothing is offered before it.
    """

    rate_per_s: float
    duration_s: float
    phase: Phase
    push_s: float = 0.0
    rest_s: float = 0.0

    @property
    def length_s(self) -> float:
        """The whole schedule's length in seconds."""
        return self.push_s + self.duration_s


@dataclass(frozen=True, slots=True)
class Finding:
    """What a probe told.

    Attributes:
        probe: The probe.
        verdict: Whether its rate is sustained.
        reason: In a few words; empty when it is.
        cause: What decided; None when it is sustained.
        error: The probability that chance alone brings such a verdict.
        growth_per_s: By how much the backlog grew, jobs per second; None where nothing was seen.
        variability: Variance of that growth over the number of arrivals, as of a random walk.
        throughput_per_s: Completions per second of the judged part.
        throughput_error_per_s: Their standard error.
        is_saturated: Whether jobs waited throughout, so that the throughput is the capacity.
        service_s: Mean service time; None where no job ended.
        wait_p95_s: The 0.95 quantile of the waits of these jobs; of a pushed probe None.
        utilisation: Share of the slots that was busy; None where they are not known.
        refused_after_s: When the upstream was first seen to refuse calls, seconds from the start; None if it was not.
        accepted: Calls that it had accepted in the minute before that; None where it refused none.
    """

    probe: Probe
    verdict: Verdict
    reason: str = ""
    cause: Cause | None = None
    error: float = 0.5
    growth_per_s: float | None = None
    variability: float = 1.0
    throughput_per_s: float | None = None
    throughput_error_per_s: float | None = None
    is_saturated: bool = False
    service_s: float | None = None
    wait_p95_s: float | None = None
    utilisation: float | None = None
    refused_after_s: float | None = None
    accepted: int | None = None


@dataclass(frozen=True, slots=True)
class _Stretches:
    """The judged part of a probe, in equal stretches of time."""

    begin_s: float
    end_s: float
    number: int

    @property
    def length_s(self) -> float:
        return self.end_s - self.begin_s

    @property
    def edges(self) -> list[float]:
        return [self.begin_s + self.length_s * edge / self.number for edge in range(self.number + 1)]

    def of(self, instant_s: float) -> int:
        """The stretch that an instant lies in."""
        return min(self.number - 1, int((instant_s - self.begin_s) / self.length_s * self.number))


@dataclass(frozen=True, slots=True)
class _Trend:
    """Growth of the backlog and completions over the stretches."""

    growth_per_s: float
    growth_error_per_s: float
    variability: float
    throughput_per_s: float
    throughput_error_per_s: float
    lowest_backlog: float
    degrees: int

    @property
    def most_per_s(self) -> float:
        """What the growth is below with 95 % confidence."""
        return self.growth_per_s + student_t(0.95, self.degrees) * self.growth_error_per_s

    def chance(self, sign: int) -> float:
        """The probability that a backlog without drift grows (1) or shrinks (-1) so much."""
        return max(_LEAST_ERROR, student_tail(sign * self.growth_per_s / self.growth_error_per_s, self.degrees))


def read_probe(
    probe: Probe,
    records: Sequence[JobRecord],
    start_s: float,
    *,
    objectives: Sequence[Objective],
    slots: int | None,
    resolution: float,
    usual_service_s: float | None = None,
    doubts: Sequence[str] = (),
) -> Finding:
    """Judge a probe.

    Args:
        probe: What was run.
        records: What became of its jobs.
        start_s: When its schedule began, seconds since the epoch.
        objectives: What a sustained rate keeps, beside a steady backlog.
        slots: Slots over all workers; None when they are not known.
        resolution: A growth of this share of the rate must be excluded before the rate counts as sustained.
        usual_service_s: Mean service time that other probes saw, for one in which no job ended.
        doubts: What was wrong with the load itself.
    """
    services = [record.service_s for record in records if record.service_s is not None]
    service_s = fmean(services) if services else usual_service_s
    stretches = _cut(probe, service_s or 0.0)
    inside = [record for record in records if stretches.begin_s <= record.intended_s - start_s < stretches.end_s]
    facts = Finding(
        probe,
        Verdict.INCONCLUSIVE,
        service_s=service_s,
        wait_p95_s=None if probe.push_s else _census([record.wait_s for record in inside], 0.95),
        utilisation=_utilisation(records, start_s, stretches, slots),
    )
    failed = _errors(records)
    if failed:
        return replace(facts, verdict=Verdict.BROKEN, reason=failed, cause=Cause.ERRORS, error=_LEAST_ERROR)
    if service_s is None or stretches.number < FEWEST_STRETCHES:
        reason = "no job ended" if service_s is None else f"too short for jobs of {format_duration(service_s)}"
        return replace(facts, reason=reason, cause=Cause.LENGTH)
    trend = _trend(records, start_s, stretches, probe.rate_per_s, service_s)
    facts = replace(
        facts,
        growth_per_s=trend.growth_per_s,
        variability=trend.variability,
        throughput_per_s=trend.throughput_per_s,
        throughput_error_per_s=trend.throughput_error_per_s,
        is_saturated=trend.lowest_backlog >= max(_WAITING_JOBS, probe.rate_per_s * _JITTER_S),
    )
    growing = _by_trend(facts, trend, doubts, resolution)
    if growing is not None:
        return growing
    return _steady(facts, objectives, [(record.intended_s - start_s, record) for record in inside], stretches)


def _by_trend(facts: Finding, trend: _Trend, doubts: Sequence[str], resolution: float) -> Finding | None:
    """Judge a probe by its backlog; None where that is steady, and all else is still to be looked at."""
    if trend.chance(1) < _ALPHA:
        reason = f"the backlog grew by {trend.growth_per_s:.3g} jobs/s"
        return replace(facts, verdict=Verdict.BROKEN, reason=reason, cause=Cause.TREND, error=trend.chance(1))
    if doubts:
        return replace(facts, reason=doubts[0], cause=Cause.GENERATOR)
    if facts.probe.push_s:
        return _worked_off(facts, trend)
    if trend.most_per_s > resolution * facts.probe.rate_per_s:
        reason = f"the backlog may have grown by up to {trend.most_per_s:.3g} jobs/s"
        return replace(facts, reason=reason, cause=Cause.LENGTH)
    return None


def _worked_off(facts: Finding, trend: _Trend) -> Finding:
    """A pushed probe whose backlog did not grow: where it shrank, the fleet does more than its rate."""
    if trend.chance(-1) < _ALPHA or trend.lowest_backlog < 1:
        return replace(facts, verdict=Verdict.KEPT, error=trend.chance(-1))
    return replace(facts, reason="the backlog neither grew nor shrank for sure", cause=Cause.LENGTH)


def _steady(
    facts: Finding,
    objectives: Sequence[Objective],
    timed: Sequence[tuple[float, JobRecord]],
    stretches: _Stretches,
) -> Finding:
    """Judge a probe with a steady backlog by the objectives; a short probe only has to look as if it kept them."""
    error = _LEAST_ERROR
    for objective in objectives:
        values = [(at_s, getattr(record, f"{objective.signal}_s")) for at_s, record in timed]
        known = [(at_s, value) for at_s, value in values if value is not None]
        excess, broken, doubt = _excess(objective, known, stretches)
        if broken < _ALPHA:
            reason = f"{objective} is broken"
            return replace(facts, verdict=Verdict.BROKEN, reason=reason, cause=Cause.OBJECTIVE, error=broken)
        if excess > 0 or (facts.probe.phase is Phase.SUSTAIN and doubt > _DOUBT):
            reason = f"{objective} cannot be told from {len(known)} jobs"
            return replace(facts, reason=reason, cause=Cause.LENGTH)
        error = max(error, min(_DOUBT, doubt))
    return replace(facts, verdict=Verdict.KEPT, error=error)


def _excess(
    objective: Objective, values: Sequence[tuple[float, float]], stretches: _Stretches
) -> tuple[float, float, float]:
    """By how much an objective is exceeded, and the chances that it is not and that it is in truth.

    Of a quantile: the share of jobs over the threshold less the share that may be. The deviation of that is taken from
    the stretches, and not below half of that of independent jobs.
    """
    quantile, threshold_s = objective.quantile, objective.threshold_s
    if not values:
        return math.inf, 1.0, 1.0
    if quantile is None:
        seen, allowed, least = list(values), threshold_s, _LEAST_S
    else:
        seen, allowed = [(at_s, float(value > threshold_s)) for at_s, value in values], 1 - quantile
        least = math.sqrt(quantile * allowed / len(values)) / 2
    parts: list[list[float]] = [[] for _ in range(stretches.number)]
    for at_s, value in seen:
        parts[stretches.of(at_s)].append(value)
    means = [fmean(part) for part in parts if part]
    excess = fmean(value for _, value in seen) - allowed
    deviation = max(least, stdev(means) / math.sqrt(len(means))) if len(means) > 1 else math.inf
    degrees = max(1, len(means) - 1)
    doubt = student_tail(-excess / deviation, degrees)
    if quantile is not None and not any(value for _, value in seen):
        doubt = quantile ** len(values)
    return excess, student_tail(excess / deviation, degrees), doubt


def _cut(probe: Probe, service_s: float) -> _Stretches:
    """The judged part of a probe: a service behind the push, or from its second third on and two after its start."""
    end_s = probe.length_s
    plain_s = max(probe.duration_s / 3, SETTLING_SERVICES * service_s)
    begin_s = probe.push_s + service_s if probe.push_s else plain_s
    number = int((end_s - begin_s) / max(_SHORTEST_S, service_s))
    return _Stretches(min(begin_s, end_s), end_s, max(0, min(_MOST_STRETCHES, number)))


def _trend(
    records: Sequence[JobRecord], start_s: float, stretches: _Stretches, rate_per_s: float, service_s: float
) -> _Trend:
    edges = [start_s + edge_s for edge_s in stretches.edges]
    arrived = _counts([record.enqueued_s for record in records], edges, service_s)
    started = _counts([_left_s(record) for record in records], edges, service_s)
    ended = [record.finished_s for record in records if record.outcome is Outcome.FINISHED]
    finished = _counts(ended, edges, service_s)
    backlogs = [came - went for came, went in zip(arrived, started, strict=True)]
    growths = [after - before for before, after in pairwise(backlogs)]
    ends = [after - before for before, after in pairwise(finished)]
    jitter = max(_JITTER_JOBS, rate_per_s * _JITTER_S)
    root = math.sqrt(len(growths))
    growth_error = max(jitter, stdev(growths) * root)
    return _Trend(
        growth_per_s=sum(growths) / stretches.length_s,
        growth_error_per_s=growth_error / stretches.length_s,
        variability=growth_error**2 / max(1.0, rate_per_s * stretches.length_s),
        throughput_per_s=sum(ends) / stretches.length_s,
        throughput_error_per_s=max(jitter, stdev(ends) * root) / stretches.length_s,
        lowest_backlog=min(backlogs),
        degrees=len(growths) - 1,
    )


def _left_s(record: JobRecord) -> float | None:
    """When a job left the backlog: it may have ended without having run."""
    return record.finished_s if record.started_s is None else record.started_s


def _counts(instants: Sequence[float | None], edges: Sequence[float], over_s: float) -> list[float]:
    """How many of the instants lie before each edge, on average over so many seconds before it.

    Slots that were all filled at one instant end their jobs together, service after service; over the length of one
    that is even.
    """
    ordered = sorted(instant for instant in instants if instant is not None)
    counts: list[float] = []
    for edge in edges:
        first, beyond = bisect_left(ordered, edge - over_s), bisect_left(ordered, edge)
        counts.append(first + math.fsum((edge - instant) / over_s for instant in ordered[first:beyond]))
    return counts


def _errors(records: Sequence[JobRecord]) -> str:
    """What no rate may bring, in a few words; empty where all is well."""
    lost = sum(record.outcome is Outcome.LOST for record in records)
    failed = sum(record.outcome is Outcome.FAILED for record in records)
    if lost:
        return f"{were(lost, 'job')} lost"
    if failed > max(1.0, MAX_FAILED_SHARE * len(records)):
        return f"{failed} of {len(records)} jobs failed"
    return ""


def _census(values: Sequence[float | None], quantile: float) -> float | None:
    ordered = sorted(value for value in values if value is not None)
    return ordered[math.ceil(quantile * len(ordered)) - 1] if ordered else None


def _utilisation(
    records: Sequence[JobRecord], start_s: float, stretches: _Stretches, slots: int | None
) -> float | None:
    if not slots or stretches.length_s <= 0:
        return None
    return utilisation_over(records, Window(start_s + stretches.begin_s, start_s + stretches.end_s), slots)

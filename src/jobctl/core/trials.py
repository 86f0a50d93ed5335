"""Seeded simulations of a demand on fleets of any size: what is drawn, for how long, and what is kept of it.

Two experiments. A *peak* is the busiest hour, or of a steady load a stretch of it, with a lead-in: it begins where the
slots were still far from full, in the steady state of that moment, and at a steady load long enough before for a queue
to build up. A *day* is a whole period, with the end of the one before as its lead-in. A trace is always played from
its beginning, with empty slots, for nothing is known of what came before.

Replication n draws the same jobs for every fleet (common random numbers), so that fleets differ by their slots alone,
and a seed gives the same answer on every machine. Only lead-ins, which may differ in length, have jobs of their own.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from statistics import median
from typing import Final

from jobctl.core.capacity import ceiling_per_s, mixed_law, slot_stretch
from jobctl.core.demand import Demand
from jobctl.core.estimates import Estimate
from jobctl.core.fluid import STRETCH_S, hour_edges
from jobctl.core.plans import Hour, Limits
from jobctl.core.simulation import Served, backlog, backlog_series, busy_series, drain_after, serve, steady_start
from jobctl.core.slo import Cover, Objective, Window
from jobctl.core.units import SECONDS_PER_HOUR

__all__ = ["MAX_JOBS", "Laboratory", "Purse", "Span", "Trial"]

#: No experiment takes more attempts than these.
MAX_JOBS: Final = 500_000
#: A peak is simulated from where the slots were no fuller than this on.
_UNCROWDED: Final = 0.85
#: A steady load is measured over so many of the arrivals in which its queue forgets where it was, and begins so many
#: before.
_LENGTH_RELAXATIONS: Final = 20
_LEAD_RELAXATIONS: Final = 4
#: With fewer than these it may look better than it is: a run that begins without a queue has seen too little of it.
_MIN_LENGTH: Final = 2
_MIN_LEAD: Final = 0.5
#: A steady load is given no more time than it needs on slots as full as this.
_FULLEST: Final = 0.98
#: The fewest jobs of a steady stretch.
_FEWEST: Final = 20_000
_HOURS: Final = 24
#: Nominal seconds: of an attempt that always succeeds and waits for slots alone, of any other, for telling of a whole
#: day, for the state of one slot at the beginning; of a peak and of a day, however few jobs they have.
_PLAIN_S: Final = 1.2e-6
_GENERAL_S: Final = 2.5e-6
_DAY_S: Final = 0.5e-6
_SLOT_S: Final = 1.0e-6
_A_PEAK_S: Final = 1e-4
_A_DAY_S: Final = 1e-3


@dataclass
class Purse:
    """What may be simulated, in nominal seconds: what it takes on a machine of some years ago.

    A budget that was measured would give another answer on another machine, and with every run.

    Attributes:
        total: What there was.
        spent: What is gone.
        attempts: Attempts simulated with it.
    """

    total: float
    spent: float = 0.0
    attempts: int = 0

    @property
    def left(self) -> float:
        """What is left."""
        return self.total - self.spent

    def part(self, share: float) -> Purse:
        """A purse of its own with a share of the total, or of what is left where that is less."""
        return Purse(max(0.0, min(share * self.total, self.left)))

    def take_back(self, part: Purse) -> None:
        """Count what a part has spent."""
        self.spent += part.spent
        self.attempts += part.attempts


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the period that is simulated.

    Attributes:
        start_s: Where measuring begins, seconds after the period's beginning.
        length_s: For how long.
        lead_s: For how long before that the simulation runs unmeasured.
    """

    start_s: float
    length_s: float
    lead_s: float

    @property
    def end_s(self) -> float:
        """Where measuring ends."""
        return self.start_s + self.length_s


@dataclass
class Trial:
    """What the simulations of one fleet have shown so far.

    Attributes:
        slots: Its slots.
        peaks, days: Replications of either experiment.
        waits: First attempts' waits by window.
        sojourns: Sojourns by window; empty unless an objective is about them.
        hours, hourly_sojourns: Waits and sojourns of the jobs of each hour.
        charted: Waits of the jobs of each twenty-fourth of the period, which are the hours of a day.
        stretches: Waits of each five minutes of the day, where a cover is promised.
        backlogs: The most jobs waiting at one instant, of each day.
        drains_s: How long that took to clear, of each day; infinite where it did not.
        bursts_s: How long the slowest spike took to start, of each day.
        hourly_backlogs, hourly_busy: Of each day, hour by hour.
    """

    slots: int
    peaks: int = 0
    days: int = 0
    waits: dict[Window, Estimate] = field(default_factory=dict)
    sojourns: dict[Window, Estimate] = field(default_factory=dict)
    hours: list[Estimate] = field(default_factory=list)
    hourly_sojourns: list[Estimate] = field(default_factory=list)
    charted: list[Estimate] = field(default_factory=list)
    stretches: list[Estimate] = field(default_factory=list)
    backlogs: list[int] = field(default_factory=list)
    drains_s: list[float] = field(default_factory=list)
    bursts_s: list[float] = field(default_factory=list)
    hourly_backlogs: list[Sequence[int]] = field(default_factory=list)
    hourly_busy: list[Sequence[float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Run:
    """One replication."""

    arrivals: Sequence[float]
    served: Served
    busy_until: Sequence[float]


class Laboratory:
    """Runs the experiments of one demand.

    Args:
        demand: What arrives.
        limits: What follows from it.
        seed: Of everything random.
        purse: What may be simulated.

    Attributes:
        demand, limits, seed, purse: As given.
        reference_utilisation: That of the fleet that is looked for, as far as it is known: by it a steady load's queue
            is given the time that it needs.
    """

    def __init__(self, demand: Demand, limits: Limits, seed: int, purse: Purse) -> None:
        self.demand = demand
        self.limits = limits
        self.seed = seed
        self.purse = purse
        self.reference_utilisation = 0.95
        plain = not demand.retries.failure_rate and demand.job_timeout_s is None and limits.upstream_per_s is None
        self._attempt_cost_s = _PLAIN_S if plain else _GENERAL_S
        self._law = mixed_law(demand)
        self._stretch = slot_stretch(demand)
        self._trials: dict[int, Trial] = {}
        self._wants_sojourns = any(
            isinstance(promise, Objective) and promise.signal == "sojourn" for promise in demand.promises
        )
        self._wants_stretches = any(isinstance(promise, Cover) for promise in demand.promises)

    def trial(self, slots: int) -> Trial:
        """What is known of a fleet."""
        return self._trials.setdefault(slots, Trial(slots))

    @property
    def simulated(self) -> list[Trial]:
        """The fleets that were simulated at all."""
        return [trial for trial in self._trials.values() if trial.peaks or trial.days]

    @cached_property
    def is_exact(self) -> bool:
        """Whether nothing is random: a trace with service times and nothing that fails."""
        trace = self.demand.trace
        return trace is not None and trace.services_s is not None and not self.demand.retries.failure_rate

    @cached_property
    def peak(self) -> Span:
        """The busiest hour with its lead-in, or a stretch of a steady load."""
        profile = self.demand.profile
        if self.demand.is_steady:
            relaxation = self._relaxation(min(self.reference_utilisation, _FULLEST))
            arrivals = self._bounded(max(_FEWEST, _LENGTH_RELAXATIONS * relaxation))
            length_s = arrivals / self.limits.arrival_rate_per_s
            lead = min(_LEAD_RELAXATIONS * relaxation, arrivals / 2)
            return Span(0.0, length_s, lead / self.limits.arrival_rate_per_s)
        length_s = min(SECONDS_PER_HOUR, profile.period_s)
        start_s = profile.busiest(length_s)
        if self.demand.trace is not None:
            return Span(start_s, length_s, start_s)
        return Span(start_s, length_s, 0.0)

    @property
    def day(self) -> Span:
        """A whole period, without a lead-in."""
        return Span(0.0, self.demand.profile.period_s, 0.0)

    def peak_for(self, slots: int) -> Span:
        """The peak of a fleet: it begins where its slots were not crowded yet.

        Of an hour with too many jobs to simulate, it is the middle.
        """
        span = self.peak
        if self.demand.is_steady or self.demand.trace is not None:
            return span
        whole = Span(span.start_s, span.length_s, self._lead_s(span.start_s, slots))
        jobs = self.demand.profile.jobs_between(span.start_s, span.end_s)
        measured = self._bounded(jobs)
        if measured == jobs or self.demand.profile.spikes:
            return whole
        length_s = span.length_s * measured / jobs
        return Span(span.start_s + (span.length_s - length_s) / 2, length_s, min(whole.lead_s, length_s / 2))

    def day_for(self, slots: int) -> Span:
        """The day of a fleet: after a day's lead-in where the end of one may reach into the next."""
        span = self.day
        if self.demand.trace is not None:
            return span
        return Span(span.start_s, span.length_s, self._lead_s(0.0, slots))

    def affords(self, span: Span, slots: int) -> bool:
        """Whether one more replication of it fits into an experiment's size and the purse."""
        return self._attempts(span) <= self._most_attempts and self.cost_s(span, slots) <= self.purse.left

    def can_hold(self, slots: int) -> bool:
        """Whether the peak is long enough to show that a fleet's queue stays short."""
        span = self.peak_for(slots)
        if not self.demand.is_steady and span.length_s == self.peak.length_s:
            return True
        utilisation = self.limits.offered_load_erlangs / slots
        if utilisation >= 1:
            return False
        relaxation_s = self._relaxation(utilisation) / self.limits.peak_arrival_rate_per_s
        return span.length_s >= _MIN_LENGTH * relaxation_s and span.lead_s >= _MIN_LEAD * relaxation_s

    def is_too_large(self, slots: int) -> bool:
        """Whether the peak has so many jobs that what can be simulated of it is too short to show anything."""
        if self.can_hold(slots):
            return False
        if self.demand.is_steady:
            least = _LEAD_RELAXATIONS * self._relaxation(self.reference_utilisation)
            return self._bounded(least) < least
        return self.peak_for(slots).length_s < self.peak.length_s

    def run_peaks(self, slots: int, replications: int) -> Trial:
        """Simulate the peak until it was replicated so often, or the budget is spent."""
        trial = self.trial(slots)
        span = self.peak_for(slots)
        while trial.peaks < self._needed(replications) and self.affords(span, slots):
            run = self._replicate("peak", trial.peaks, span, slots)
            first, beyond = bisect_left(run.arrivals, span.start_s), bisect_left(run.arrivals, span.end_s)
            self._keep(trial, Window.BUSIEST_HOUR, run.served, first, beyond)
            if self.demand.is_steady:  # any window is like any other
                for kept in (trial.waits, trial.sojourns):
                    kept.update(dict.fromkeys(Window, kept[Window.BUSIEST_HOUR]) if kept else {})
            trial.peaks += 1
        return trial

    def run_days(self, slots: int, replications: int, allowance: float = math.inf) -> Trial:
        """Simulate whole days until there are so many, or the purse, or the allowance, is spent."""
        trial = self.trial(slots)
        span = self.day_for(slots)
        enough = self.purse.spent + allowance
        while trial.days < self._needed(replications) and self.affords(span, slots) and self.purse.spent <= enough:
            self._keep_day(trial, span, self._replicate("day", trial.days, span, slots))
            trial.days += 1
        return trial

    def hourly(self, trial: Trial) -> tuple[Hour, ...]:
        """The simulated days, hour by hour; a trace by twenty-fourths."""
        if not trial.days:
            return ()
        edges = self.chart_edges
        profile = self.demand.profile
        return tuple(
            Hour(
                start_s=begin_s,
                arrival_rate_per_s=profile.jobs_between(begin_s, end_s) / (end_s - begin_s),
                utilisation=math.fsum(day[number] for day in trial.hourly_busy) / trial.days,
                wait_p95_s=trial.charted[number].quantile(0.95) if trial.charted[number].jobs else None,
                backlog_max=round(median(day[number] for day in trial.hourly_backlogs)),
            )
            for number, (begin_s, end_s) in enumerate(pairwise(edges))
        )

    @cached_property
    def hour_edges(self) -> list[float]:
        """The beginnings of the period's hours, and its end; a trace is cut evenly, into about as many as it has."""
        return hour_edges(self.demand.profile.period_s)

    @cached_property
    def chart_edges(self) -> list[float]:
        """The beginnings of the period's twenty-fourths, and its end."""
        return _cut(self.demand.profile.period_s, _HOURS)

    def _needed(self, replications: int) -> int:
        return 1 if self.is_exact else replications

    @property
    def _most_attempts(self) -> float:
        """A trace or a day is simulated whole or not at all."""
        return 2 * MAX_JOBS

    def _attempts(self, span: Span) -> float:
        jobs = self.demand.profile.jobs_between(span.start_s - span.lead_s, span.end_s)
        return jobs * self.limits.attempts_per_job

    def cost_s(self, span: Span, slots: int) -> float:
        """Nominal seconds of one replication."""
        keeping_s, fixed_s = (_DAY_S, _A_DAY_S) if span.length_s == self.day.length_s else (0.0, _A_PEAK_S)
        return self._attempts(span) * (self._attempt_cost_s + keeping_s) + slots * _SLOT_S + fixed_s

    def _bounded(self, arrivals: float) -> float:
        """No more arrivals than an experiment takes, two thirds of them measured."""
        return min(arrivals, MAX_JOBS / self.limits.attempts_per_job * 2 / 3)

    def _relaxation(self, utilisation: float) -> float:
        """Arrivals in which a queue forgets where it was: (ca² + cs²) / (1 - u)² (Whitt 1989)."""
        return (self.demand.arrivals.scv + self.limits.slot_scv) / (1 - utilisation) ** 2

    def _lead_s(self, start_s: float, slots: int) -> float:
        """How long before an instant the slots were last uncrowded, and a few slot times more.

        Slots that are always crowded are given the time in which their queue forgets where it was.
        """
        profile, limits = self.demand.profile, self.limits
        full_per_s = ceiling_per_s(limits, slots)
        lead_s = 0.0
        while lead_s < profile.period_s:
            rate_per_s = profile.jobs_between(start_s - lead_s - STRETCH_S, start_s - lead_s) / STRETCH_S
            if rate_per_s <= _UNCROWDED * full_per_s:
                break
            lead_s += STRETCH_S
        settle_s = 5 * limits.slot_s + self._relaxation(_UNCROWDED) / full_per_s
        utilisation = limits.arrival_rate_per_s / full_per_s
        if lead_s >= profile.period_s and utilisation < 1:
            lead_s = _LEAD_RELAXATIONS * self._relaxation(utilisation) / limits.arrival_rate_per_s
        return min(profile.period_s, lead_s + settle_s)

    def _replicate(self, kind: str, number: int, span: Span, slots: int) -> _Run:
        """One replication: the same jobs for every fleet, but for those of its lead-in."""
        begin_s = span.start_s - span.lead_s
        arrivals, services = self._draw(f"{self.seed}:{kind}:{number}", span)
        rng = random.Random(f"attempts:{self.seed}:{kind}:{number}")
        busy_until = self._busy_until(begin_s, slots, services, rng)
        served = serve(
            arrivals,
            services,
            slots,
            busy_until=busy_until,
            retries=self.demand.retries,
            timeout_s=self.demand.job_timeout_s,
            upstream=self.demand.upstream,
            rng=rng,
            sojourns=self._wants_sojourns,
        )
        self.purse.spent += self.cost_s(span, slots)
        self.purse.attempts += served.attempts
        return _Run(arrivals, served, busy_until)

    def _draw(self, name: str, span: Span) -> tuple[Sequence[float], Sequence[float]]:
        trace = self.demand.trace
        if trace is not None:
            beyond = bisect_left(trace.arrivals_s, span.end_s) if span.end_s < self.demand.profile.period_s else None
            arrivals: Sequence[float] = trace.arrivals_s[:beyond].tolist()
            if trace.services_s is not None:
                return arrivals, self._stretched(trace.services_s[:beyond].tolist())
            return arrivals, self._drawn_services(name, len(arrivals))
        lead, lead_services = self._drawn_between(f"lead:{name}", span.start_s - span.lead_s, span.start_s)
        measured, services = self._drawn_between(name, span.start_s, span.end_s)
        return lead + measured, lead_services + services

    def _drawn_between(self, name: str, start_s: float, end_s: float) -> tuple[list[float], list[float]]:
        arrivals = self.demand.profile.instants(self.demand.arrivals, start_s, end_s, random.Random(f"arrivals:{name}"))
        return arrivals, self._drawn_services(name, len(arrivals))

    def _drawn_services(self, name: str, count: int) -> list[float]:
        return self._stretched(self._law.draw(random.Random(f"services:{name}"), count))

    def _stretched(self, services: list[float]) -> list[float]:
        """With the waits for connections and CPU, which are taken as a share of the work."""
        return services if self._stretch == 1 else [service_s * self._stretch for service_s in services]

    def _busy_until(self, begin_s: float, slots: int, services: Sequence[float], rng: random.Random) -> Sequence[float]:
        """Slots that are busy when a simulation begins; none in a trace."""
        if self.demand.trace is not None:
            return ()
        rate_per_s = self.demand.profile.rate_at(begin_s)
        if self.limits.upstream_per_s is not None:
            rate_per_s = min(rate_per_s, self.limits.upstream_per_s)
        load = rate_per_s * self.limits.slot_seconds_per_job
        return steady_start(load, slots, services, rng, at_s=begin_s, arrival_scv=self.demand.arrivals.scv)

    def _keep(self, trial: Trial, window: Window, served: Served, first: int, beyond: int) -> None:
        self._add(trial.waits.setdefault(window, Estimate()), served.waits[first:beyond])
        if served.sojourns is not None:
            self._add(trial.sojourns.setdefault(window, Estimate()), served.sojourns[first:beyond])

    def _add(self, estimate: Estimate, values: Sequence[float]) -> None:
        estimate.add(values, exact=self.is_exact)

    def _keep_day(self, trial: Trial, span: Span, run: _Run) -> None:
        arrivals, served = run.arrivals, run.served
        self._keep(trial, Window.WHOLE_DAY, served, bisect_left(arrivals, span.start_s), len(arrivals))
        if not self._counts_peaks_alone(trial):
            peak = self.peak
            self._keep(
                trial,
                Window.BUSIEST_HOUR,
                served,
                bisect_left(arrivals, peak.start_s),
                bisect_left(arrivals, peak.end_s),
            )
        self._add_slices(trial.hours, arrivals, served.waits, self.hour_edges)
        if served.sojourns is not None:
            self._add_slices(trial.hourly_sojourns, arrivals, served.sojourns, self.hour_edges)
        edges = self.chart_edges
        if edges == self.hour_edges:
            trial.charted = trial.hours
        else:
            self._add_slices(trial.charted, arrivals, served.waits, edges)
        if self._wants_stretches:
            fine = _cut(span.length_s, max(1, round(span.length_s / STRETCH_S)))
            self._add_slices(trial.stretches, arrivals, served.waits, fine)
        most, when_s = backlog(served.entries, served.entry_waits)
        trial.backlogs.append(most)
        trial.drains_s.append(drain_after(served.entries, served.entry_waits, when_s) if most else 0.0)
        trial.hourly_backlogs.append(backlog_series(served.entries, served.entry_waits, edges))
        trial.hourly_busy.append(
            busy_series(served.entries, served.entry_waits, served.held, edges, trial.slots, run.busy_until)
        )
        spikes = self.demand.profile.spikes
        if spikes:
            trial.bursts_s.append(max(_burst_s(arrivals, served.waits, spike.at_s) for spike in spikes))

    def _counts_peaks_alone(self, trial: Trial) -> bool:
        """Whether the peak has experiments of its own, which are not mixed with days."""
        return self.demand.is_steady or trial.peaks > 0

    def _add_slices(
        self, estimates: list[Estimate], arrivals: Sequence[float], values: Sequence[float], edges: Sequence[float]
    ) -> None:
        if not estimates:
            estimates.extend(Estimate() for _ in edges[1:])
        for estimate, (first, beyond) in zip(estimates, _slices(arrivals, edges), strict=True):
            self._add(estimate, values[first:beyond])


def _burst_s(arrivals: Sequence[float], waits: Sequence[float], at_s: float) -> float:
    """The longest wait of the jobs that arrive at the very instant of a spike."""
    first = bisect_left(arrivals, at_s)
    beyond = bisect_left(arrivals, math.nextafter(at_s, math.inf))
    return max(waits[first:beyond], default=0.0)


def _cut(length_s: float, count: int) -> list[float]:
    return [length_s * number / count for number in range(count + 1)]


def _slices(arrivals: Sequence[float], edges: Sequence[float]) -> Iterable[tuple[int, int]]:
    """The positions of the arrivals between each two edges; the last stretch takes what arrives at its end as well."""
    positions = [bisect_left(arrivals, edge) for edge in edges[:-1]] + [len(arrivals)]
    return pairwise(positions)

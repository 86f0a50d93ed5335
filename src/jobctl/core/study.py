"""What can be known of one demand's fleets: whether they hold, and the fewest that do.

A fleet that cannot keep up over the period fails without simulation. Of the others the closed form decides where it is
exact (M/M/c); else they are simulated, at the peak or over whole days as the objectives are read, until the verdict is
certain (99.9 %, or 99 % where whole days are judged) or the allowance is spent. What simulation cannot tell, the closed
form decides where it is trusted (:func:`~jobctl.core.screening.is_trusted`); where it is not, nothing is known, and the
search follows what the simulation makes likelier.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from statistics import median
from typing import Final

from jobctl.core.capacity import ceiling_per_s, limits_of
from jobctl.core.demand import Demand
from jobctl.core.estimates import Estimate
from jobctl.core.fluid import Piece, cut
from jobctl.core.plans import Band, Fleet, Reading, Waits
from jobctl.core.queueing import has_steady_state
from jobctl.core.screening import Screen, describe_value, drain_time_s, is_exact, is_trusted
from jobctl.core.sizing import bisected
from jobctl.core.slo import Cover, Drain, Objective, Promise, Window
from jobctl.core.trials import Laboratory, Purse, Trial

__all__ = ["Study"]

#: Replications that a verdict begins with: of a peak, of whole days.
_FIRST: Final = 4
_FIRST_DAYS: Final = 3
#: An hour matters to a verdict on every hour where at least this share of what is allowed waits too long.
_MATTERS: Final = 0.25
#: A verdict is given with this confidence at each look: about ten looks at a peak, or two or three at whole days, then
#: err in 1 % to 3 % of those cases that lie on the edge.
_CONFIDENCE: Final = 0.999
_CONFIDENCE_DAYS: Final = 0.99
#: A wait is known well enough once its band is no wider than this share of it to either side.
_PRECISION: Final = 0.1
#: So many times the load in slots, and so many more, are plenty.
_PLENTY: Final = 4
_SPARE_SLOTS: Final = 100
#: Beyond this load at the peak, and so many times what is allowed by the fluid alone, a fleet has no hope.
_OVERLOADED: Final = 1.02
_HOPELESS: Final = 10
#: Where slots are plenty a closed form is good enough that comes to no more than this share of what is allowed.
_CLEARLY: Final = 0.5
#: The share of the budget that one verdict of the search may take.
_SEARCHING: Final = 0.05
#: A fleet is not aimed at that could not keep up.
_ALMOST_FULL: Final = 1 - 1e-6


class Study:
    """What is known of one demand's fleets; it simulates what it must.

    Args:
        demand: What has to be carried.
        seed: Of the simulation.
        purse: What may be simulated; with nothing in it, closed forms decide alone.
        laboratory: One that has simulated these jobs already, for another reading of the promises.

    Attributes:
        relies_on_closed_forms: Whether a fleet that was not simulated is judged by its closed form although that is
            not trusted: where nothing may be simulated, or where the answer itself could not be.
    """

    def __init__(self, demand: Demand, seed: int, purse: Purse, laboratory: Laboratory | None = None) -> None:
        self.demand = demand
        self.limits = limits_of(demand) if laboratory is None else laboratory.limits
        self.laboratory = laboratory or Laboratory(demand, self.limits, seed, purse)
        self.is_exact = is_exact(demand, self.limits)
        self.relies_on_closed_forms = not purse.total
        self._screens: dict[int, Screen] = {}
        self._verdicts: dict[tuple[int, int, int], bool | None] = {}
        windows = {objective.window or demand.window for objective in demand.objectives}
        steady = self.demand.is_steady
        self.needs_days = not steady and (
            windows != {Window.BUSIEST_HOUR} or any(isinstance(promise, Cover) for promise in demand.promises)
        )
        self._needs_peaks = steady or Window.BUSIEST_HOUR in windows

    @property
    def _confidence(self) -> float:
        return _CONFIDENCE_DAYS if self.needs_days else _CONFIDENCE

    @property
    def _small(self) -> float:
        """Nominal seconds for one verdict of the search."""
        return _SEARCHING * self.laboratory.purse.total

    # ------------------------------------------------------------------------------------------- what a fleet is

    def slots(self, replicas: int) -> int:
        """The slots that so many replicas offer."""
        return replicas * self.limits.effective_slots_per_replica

    def screen(self, slots: int) -> Screen:
        """The closed forms of a fleet."""
        if slots not in self._screens:
            self._screens[slots] = Screen(self.demand, self.limits, slots, lambda: self._pieces)
        return self._screens[slots]

    @cached_property
    def _pieces(self) -> tuple[Piece, ...]:
        return cut(self.demand)

    def keeps_up(self, slots: int) -> bool:
        """Whether the backlog stays finite over the period."""
        load = self.limits.arrival_rate_per_s * self.limits.slot_seconds_per_job
        return has_steady_state(slots, load) or self.demand.trace is not None

    @property
    def is_admitted(self) -> bool:
        """Whether the upstream admits all jobs."""
        admitted = self.limits.upstream_per_s
        return admitted is None or has_steady_state(admitted, self.limits.arrival_rate_per_s)

    def holds(self, slots: int) -> bool | None:
        """Whether every promise is kept; None where neither simulation nor a trusted closed form can tell.

        Not more than a small part of the budget is simulated to find out.
        """
        if not self.is_admitted or not self.keeps_up(slots):
            return False
        if self.is_exact:
            return self.screen(slots).holds
        verdict = self.simulated_verdict(slots, self._small)
        if verdict is None and (self._cannot_simulate(slots) or self.is_trusted(slots)):
            return self.screen(slots).holds
        return verdict

    def simulated_verdict(self, slots: int, allowance_s: float, *, precise: bool = False) -> bool | None:
        """What simulation says, with as many replications as it takes or the allowance buys.

        Args:
            slots: The fleet's.
            allowance_s: Nominal seconds that may be simulated for it.
            precise: Whether to go on until the waits are known to a tenth.
        """
        laboratory = self.laboratory
        spent_before = laboratory.purse.spent
        replications = 1 if self._is_hopeless(slots) else _FIRST_DAYS if self.needs_days else _FIRST
        if laboratory.is_too_large(slots) and (self.is_trusted(slots) or not self.demand.is_steady):
            return None
        while True:
            trial = self._run(slots, replications)
            verdict = self._verdict(trial)
            spent = laboratory.purse.spent - spent_before
            done = verdict is not None and (not precise or self._is_precise(trial))
            if (trial.peaks if self._needs_peaks else trial.days) < replications:  # the budget is spent
                return verdict
            more = (replications + 1) // 2
            if done or laboratory.is_exact or spent + more * self._replication_s(slots) > allowance_s:
                return verdict
            replications += more

    def knows(self, replicas: int) -> bool:
        """Whether more than an untrusted closed form is known of a fleet, or nothing more was to be known."""
        slots = self.slots(replicas)
        return not self.laboratory.purse.total or self.is_trusted(slots) or not self._cannot_simulate(slots)

    def _replication_s(self, slots: int) -> float:
        """Nominal seconds of one more replication."""
        laboratory = self.laboratory
        days_s = laboratory.cost_s(laboratory.day_for(slots), slots) if self.needs_days else 0.0
        return days_s + (laboratory.cost_s(laboratory.peak_for(slots), slots) if self._needs_peaks else 0.0)

    def verdict_of(self, replicas: int) -> bool | None:
        """What the simulations so far say of so many replicas, and nothing else."""
        slots = self.slots(replicas)
        if not self.keeps_up(slots):
            return False
        return None if self._cannot_simulate(slots) else self._verdict(self.laboratory.trial(slots))

    def look_at(self, replicas: int, allowance_s: float, *, precise: bool = False) -> None:
        """Simulate a fleet if it could hold at all, so that :meth:`fleet` knows of it."""
        if replicas > 0 and self.is_admitted and self.keeps_up(self.slots(replicas)):
            self.simulated_verdict(self.slots(replicas), allowance_s, precise=precise)

    @property
    def plenty(self) -> int:
        """Replicas whose slots are never scarce: where these break a promise, more do too."""
        at_once = sum(spike.jobs for spike in self.demand.profile.spikes) + (self.demand.arrivals.parameter or 0)
        if self.demand.trace is not None:
            at_once = len(self.demand.trace.arrivals_s)
        drains_per_s = max(
            (promise.jobs / promise.within_s for promise in self.demand.promises if isinstance(promise, Drain)),
            default=0.0,
        )
        load = self.limits.offered_load_erlangs + drains_per_s * self.limits.slot_seconds_per_job
        slots = _PLENTY * load + at_once + _SPARE_SLOTS
        return math.ceil(slots / self.limits.effective_slots_per_replica)

    @cached_property
    def slots_would_do(self) -> bool:
        """Whether the promises hold where slots are plenty: else the upstream breaks them, or the service alone."""
        objectives = self.demand.objectives
        screen = self.screen(self.slots(self.plenty))
        if self.limits.upstream_per_s is None and all(objective.signal == "wait" for objective in objectives):
            return True
        if all(screen.is_within(objective, _CLEARLY) for objective in objectives):
            return screen.holds
        return self.holds_replicas(self.plenty)

    def _cannot_simulate(self, slots: int) -> bool:
        """Whether not even one replication fits."""
        trial = self.laboratory.trial(slots)
        return (self.needs_days and not trial.days) or (self._needs_peaks and not trial.peaks)

    def _run(self, slots: int, replications: int) -> Trial:
        if self.needs_days:
            self.laboratory.run_days(slots, replications)
        if self._needs_peaks:
            self.laboratory.run_peaks(slots, replications)
        return self.laboratory.trial(slots)

    # ------------------------------------------------------------------------------------- what simulation shows

    def _verdict(self, trial: Trial) -> bool | None:
        """What is certain; of a fleet that has no hope, one replication that bears it out is enough."""
        known = (trial.slots, trial.peaks, trial.days)
        if known not in self._verdicts:
            self._verdicts[known] = self._judged(trial)
        return self._verdicts[known]

    def _judged(self, trial: Trial) -> bool | None:
        verdict = _all_of(self._kept(promise, trial) for promise in self.demand.judged)
        if verdict is None and self._is_hopeless(trial.slots) and not self._is_likely(trial):
            return None if self._cannot_simulate(trial.slots) else False
        return verdict

    def _is_hopeless(self, slots: int) -> bool:
        """Whether the peak is more than the slots do, and that alone makes jobs wait many times too long."""
        screen = self.screen(slots)
        return self.limits.offered_load_erlangs > _OVERLOADED * slots and any(
            not screen.is_within(objective, _HOPELESS) for objective in self.demand.objectives
        )

    def _kept(self, promise: Promise, trial: Trial) -> bool | None:
        if isinstance(promise, Drain):
            return drain_time_s(self.demand, self.limits, trial.slots, promise.jobs) <= promise.within_s
        if isinstance(promise, Cover):
            low, high = self._covered(trial)
            return True if low >= promise.share else False if high < promise.share else None
        estimates = _that_matter([estimate for estimate in self._estimates(promise, trial) if estimate.jobs], promise)
        confidence = 1 - (1 - self._confidence) / max(1, len(estimates))
        verdict = _all_of(_decide(estimate, promise, confidence) for estimate in estimates)
        return None if verdict and not self.laboratory.can_hold(trial.slots) else verdict

    def _is_likely(self, trial: Trial) -> bool:
        """Whether every promise is kept by what was simulated, however little that is; where nothing was, it is not."""
        return (
            not self._cannot_simulate(trial.slots)
            and self.laboratory.can_hold(trial.slots)
            and all(self._seems_kept(promise, trial) for promise in self.demand.judged)
        )

    def _seems_kept(self, promise: Promise, trial: Trial) -> bool:
        if isinstance(promise, Cover):
            return math.fsum(self._covered(trial)) / 2 >= promise.share
        if isinstance(promise, Drain):
            return self._kept(promise, trial) is True
        estimates = [estimate for estimate in self._estimates(promise, trial) if estimate.jobs]
        if not estimates:  # no job has come yet
            return self.screen(trial.slots).keeps(promise)
        return all(_value(estimate, promise) <= promise.threshold_s for estimate in estimates)

    def _covered(self, trial: Trial) -> tuple[float, float]:
        """Bounds of the share of the day's stretches in which every objective holds."""
        objectives = self.demand.covered
        verdicts = [
            _all_of(
                not _matters(stretch, objective) or _decide(stretch, objective, self._confidence)
                for objective in objectives
            )
            for stretch in trial.stretches
            if stretch.jobs
        ]
        if not verdicts:
            return 0.0, 1.0
        return sum(verdict is True for verdict in verdicts) / len(verdicts), sum(
            verdict is not False for verdict in verdicts
        ) / len(verdicts)

    def _estimates(self, objective: Objective, trial: Trial) -> list[Estimate]:
        """What an objective is judged by: one estimate, or one for each hour."""
        window = objective.window or self.demand.window
        wait = objective.signal == "wait"
        if window is Window.EVERY_HOUR and not self.demand.is_steady:
            return trial.hours if wait else trial.hourly_sojourns
        found = (trial.waits if wait else trial.sojourns).get(window)
        return [] if found is None else [found]

    def _is_precise(self, trial: Trial) -> bool:
        """Whether each objective's statistic is known to a tenth, or is too short to matter, and the tail at all."""
        shown = trial.waits.get(self.demand.window)
        if shown is not None and shown.jobs and not shown.is_exact and shown.p_wait and shown.band(0.99) is None:
            return False
        return all(
            _is_precise(estimate, objective)
            for objective in self.demand.objectives
            for estimate in self._estimates(objective, trial)
            if estimate.jobs
        )

    # ------------------------------------------------------------------------------------------------ the search

    def fewest(self) -> int:
        """The fewest replicas that hold, no spare, as far as the search simulates; :attr:`slots_would_do`."""
        least = self.least()
        start = max(least, self._screened(least))
        self.aim_at(start)
        if self.is_exact:
            return start
        if self.holds_replicas(start):
            return bisected(self.holds_replicas, *self._downwards(start, least))
        low, step = start, 1
        while low + step < self.plenty and not self.holds_replicas(low + step):
            low += step
            step *= 2
        return bisected(self.holds_replicas, low, low + step)

    def is_trusted(self, slots: int) -> bool:
        """Whether the closed form may decide where simulation cannot."""
        return is_trusted(self.demand, self.limits, slots)

    def aim_at(self, replicas: int) -> None:
        """Give a steady load's queue the time that it needs on about so many replicas."""
        utilisation = self.limits.offered_load_erlangs / self.slots(replicas)
        self.laboratory.reference_utilisation = min(max(utilisation, 0.5), _ALMOST_FULL)

    def holds_replicas(self, replicas: int) -> bool:
        """Whether so many replicas hold; where simulation is not certain, what it makes likelier."""
        slots = self.slots(replicas)
        verdict = self.holds(slots)
        return self._is_likely(self.laboratory.trial(slots)) if verdict is None else verdict

    def confirmed(self, replicas: int, allowance_s: float) -> tuple[int, tuple[int, int] | None]:
        """Simulate the answer and one fewer until both are certain.

        Returns:
            The fewest that hold, and the two numbers that could not be told apart, if so.
        """
        least = self.least()
        seen: set[int] = set()
        if self._cannot_simulate(self.slots(replicas)):
            self.relies_on_closed_forms = True
        while True:
            seen.add(replicas)
            above = self._confirm(replicas, allowance_s, precise=False)
            below: bool | None = False
            if above is not False and replicas > least:
                below = self._confirm(replicas - 1, allowance_s, precise=False)
            if above is not False and below is not True:
                above = self._confirm(replicas, self._small if self.needs_days else allowance_s, precise=True)
            if above is False:
                replicas += 1
                if replicas in seen:
                    return replicas, None
                continue
            if below is True and replicas - 1 not in seen:
                replicas -= 1
                continue
            if self.is_exact or (above is True and below is False):
                return replicas, None
            if above is None:
                self.look_at(replicas + 1, self._small)
                return self._undecided(replicas, replicas + 1)
            return self._undecided(replicas - 1, replicas)

    def _undecided(self, fewer: int, more: int) -> tuple[int, tuple[int, int]]:
        """The closed form chooses where it is trusted or nothing else is known, else the larger fleet."""
        slots = self.slots(fewer)
        trusted = self.is_trusted(slots) or self.relies_on_closed_forms
        return (fewer if trusted and self.screen(slots).holds else more), (fewer, more)

    def _confirm(self, replicas: int, allowance_s: float, *, precise: bool) -> bool | None:
        slots = self.slots(replicas)
        if not self.keeps_up(slots):
            return False
        verdict = self.simulated_verdict(slots, allowance_s, precise=precise)
        return self.screen(slots).holds if self.is_exact else verdict

    def least(self) -> int:
        """The fewest replicas that keep up over the period."""
        load = self.limits.arrival_rate_per_s * self.limits.slot_seconds_per_job
        if self.demand.trace is not None:
            return 1
        replicas = max(1, math.floor(load / self.limits.effective_slots_per_replica))
        while not self.keeps_up(self.slots(replicas)):
            replicas += 1
        return replicas

    def _screened(self, least: int) -> int:
        """The fewest replicas that hold by closed form; most often a little more than the planned peak keeps busy."""
        near = math.ceil(self.limits.offered_load_erlangs / self.limits.effective_slots_per_replica)
        if near >= least and self._screen_holds(near):
            return bisected(self._screen_holds, least - 1, near)
        low, step = max(least - 1, near), 1
        while low + step < max(least, self.plenty) and not self._screen_holds(low + step):
            low += step
            step *= 2
        return bisected(self._screen_holds, low, low + step)

    def _screen_holds(self, replicas: int) -> bool:
        return self.screen(self.slots(replicas)).holds

    def _downwards(self, holding: int, least: int) -> tuple[int, int]:
        """A number that does not hold and one that does, from one that does."""
        step = 1
        while holding - step >= least and self.holds_replicas(holding - step):
            holding -= step
            step *= 2
        return max(least - 1, holding - step), holding

    # --------------------------------------------------------------------------------------------- what is shown

    def fleet(self, replicas: int) -> Fleet:
        """All that is known of so many replicas; it simulates nothing more."""
        slots, limits = self.slots(replicas), self.limits
        screen, trial = self.screen(slots), self.laboratory.trial(slots)
        readings = self._readings(trial)
        certain = self._certain(slots)
        holds = self._by_closed_form(slots) if certain is None else certain
        waits, bands, method = self._shown(screen, readings)
        ceiling = ceiling_per_s(limits, slots)
        return Fleet(
            replicas=replicas,
            slots=slots,
            utilisation=limits.offered_load_erlangs / slots,
            mean_utilisation=limits.arrival_rate_per_s * limits.slot_seconds_per_job / slots,
            ceiling_per_s=ceiling,
            headroom_x=ceiling / limits.peak_arrival_rate_per_s,
            holds=holds,
            wait=waits,
            bands=bands,
            method=method,
            readings=readings,
            hours=self.laboratory.hourly(trial),
            backlog_max=round(median(trial.backlogs)) if trial.backlogs else None,
            drain_s=_finite_median(trial.drains_s),
            burst_clear_s=_finite_median(trial.bursts_s),
            broken=() if holds else self._broken_promises(slots, trial) or tuple(map(str, self.demand.judged)),
            on_edge=certain is None and not self._cannot_simulate(slots),
        )

    def _certain(self, slots: int) -> bool | None:
        """What arithmetic, an exact formula or simulation tells; None where they do not."""
        if not self.is_admitted or not self.keeps_up(slots) or not self._drains(slots):
            return False
        if self.is_exact:
            return self.screen(slots).holds
        simulated = not self._cannot_simulate(slots)
        verdict = self._verdict(self.laboratory.trial(slots)) if simulated else None
        return self._implied(slots) if verdict is None else verdict

    def _by_closed_form(self, slots: int) -> bool | None:
        """What a closed form says where nothing is certain; None where it may not."""
        holds, simulated = self.screen(slots).holds, not self._cannot_simulate(slots)
        if self.is_trusted(slots) or (self._is_left_to_closed_forms and not simulated):
            return holds
        return False if self._is_hopeless(slots) and not simulated and not holds else None

    @property
    def _is_left_to_closed_forms(self) -> bool:
        """Whether they may tell of what was not simulated: not beside a fleet of which simulation could not tell."""
        trials = self.laboratory.simulated
        return self.relies_on_closed_forms and all(self._verdict(trial) is not None for trial in trials)

    def _drains(self, slots: int) -> bool:
        """Whether every drain is done in time, which arithmetic tells."""
        drains = [promise for promise in self.demand.judged if isinstance(promise, Drain)]
        return all(self.screen(slots).keeps(drain) for drain in drains)

    def _implied(self, slots: int) -> bool | None:
        """What follows from other fleets: more slots never wait longer."""
        trials = self.laboratory.simulated
        if any(trial.slots < slots and self._verdict(trial) is True for trial in trials):
            return True
        return False if any(trial.slots > slots and self._verdict(trial) is False for trial in trials) else None

    def _shown(self, screen: Screen, readings: Mapping[Window, Reading]) -> tuple[Waits, Mapping[str, Band], str]:
        """The waits in the window that the demand names: exact, simulated, or by closed form."""
        reading = readings.get(self.demand.window)
        if not self.is_admitted or not self.keeps_up(screen.slots):
            return screen.waits(self.demand.window), {}, "no steady state"
        if reading is None or not self.laboratory.can_hold(screen.slots):
            return screen.waits(self.demand.window), {}, screen.method
        if self.is_exact:
            return screen.waits(self.demand.window), reading.bands, screen.method
        return reading.waits, reading.bands, "simulation"

    def _readings(self, trial: Trial) -> dict[Window, Reading]:
        laboratory = self.laboratory
        readings = {
            window: _reading(estimate, trial.sojourns.get(window), *self._span(window))
            for window, estimate in trial.waits.items()
            if estimate.jobs
        }
        if any(hour.jobs for hour in trial.hours):
            edges = laboratory.hour_edges
            number = max(range(len(trial.hours)), key=lambda hour: _rank(trial.hours[hour]))
            worst = _reading(trial.hours[number], None, edges[number], edges[number + 1] - edges[number])
            busiest = readings.get(Window.BUSIEST_HOUR)  # it need not begin with the clock's
            if busiest is not None and _rank(trial.waits[Window.BUSIEST_HOUR]) > _rank(trial.hours[number]):
                worst = busiest
            readings[Window.EVERY_HOUR] = worst
        return readings

    def _span(self, window: Window) -> tuple[float, float]:
        if window is Window.BUSIEST_HOUR and not self.demand.is_steady:
            return self.laboratory.peak.start_s, self.laboratory.peak.length_s
        return 0.0, self.demand.profile.period_s

    def _broken_promises(self, slots: int, trial: Trial) -> tuple[str, ...]:
        shown = self.is_admitted and self.keeps_up(slots) and self.laboratory.can_hold(slots)
        if self.is_exact or not shown or self._cannot_simulate(slots):  # then the waits are a closed form's as well
            return self.screen(slots).broken()
        broken = []
        for promise in self.demand.judged:
            if self._kept(promise, trial) is True:
                continue
            if isinstance(promise, Objective):
                known = [estimate for estimate in self._estimates(promise, trial) if estimate.jobs]
                value = max(
                    (_value(estimate, promise) for estimate in known), default=self.screen(slots).value_s(promise)
                )
            elif isinstance(promise, Cover):
                value = self._covered(trial)[0]
            else:
                value = drain_time_s(self.demand, self.limits, slots, promise.jobs)
            broken.append(f"{promise} ({describe_value(value, promise)})")
        return tuple(broken)


def _all_of(verdicts: Iterable[bool | None]) -> bool | None:
    """False if any is, else None if any is not known (or there is none), else True."""
    found = list(verdicts)
    if False in found:
        return False
    return None if None in found or not found else True


def _decide(estimate: Estimate, objective: Objective, confidence: float) -> bool | None:
    if objective.quantile is None:
        return estimate.decide_mean(objective.threshold_s, confidence)
    return estimate.decide(objective.quantile, objective.threshold_s, confidence)


def _that_matter(estimates: Sequence[Estimate], objective: Objective) -> list[Estimate]:
    """Those that a verdict may hang on, and the worst of all in any case."""
    worst = max(estimates, key=lambda estimate: _badness(estimate, objective), default=None)
    return [estimate for estimate in estimates if estimate is worst or _matters(estimate, objective)]


def _matters(estimate: Estimate, objective: Objective) -> bool:
    """Whether a verdict may hang on it: the others are far below their threshold."""
    return _badness(estimate, objective) >= _MATTERS


def _badness(estimate: Estimate, objective: Objective) -> float:
    """How much of what is allowed is used up: of the mean, or of the share that may be over the threshold."""
    if objective.quantile is None:
        return estimate.mean / objective.threshold_s
    return estimate.share_over(objective.threshold_s) / (1 - objective.quantile)


def _value(estimate: Estimate, objective: Objective) -> float:
    return estimate.mean if objective.quantile is None else estimate.quantile(objective.quantile)


def _is_precise(estimate: Estimate, objective: Objective) -> bool:
    """Whether the statistic is known to a tenth of itself or of its threshold, whichever is more."""
    band = estimate.mean_band() if objective.quantile is None else estimate.band(objective.quantile)
    if band is None:
        return estimate.is_exact or not estimate.p_wait
    enough = _PRECISION * max(_value(estimate, objective), objective.threshold_s)
    return (band[1] - band[0]) / 2 <= enough


def _rank(estimate: Estimate) -> tuple[float, ...]:
    """By which the worst hour is told."""
    return (estimate.quantile(0.95), estimate.quantile(0.99), estimate.mean) if estimate.jobs else ()


def _reading(estimate: Estimate, sojourns: Estimate | None, start_s: float, length_s: float) -> Reading:
    bands = {"mean": estimate.mean_band()} | {f"p{100 * q:.0f}": estimate.band(q) for q in (0.50, 0.95, 0.99)}
    return Reading(
        start_s=start_s,
        length_s=length_s,
        waits=Waits(
            p_wait=estimate.p_wait,
            mean_s=estimate.mean,
            p50_s=estimate.quantile(0.50),
            p95_s=estimate.quantile(0.95),
            p99_s=estimate.quantile(0.99),
        ),
        bands={name: Band(*band) for name, band in bands.items() if band is not None},
        sojourn_mean_s=None if sojourns is None else sojourns.mean,
    )


def _finite_median(values: Sequence[float]) -> float | None:
    finite = [value for value in values if math.isfinite(value)]
    return median(finite) if finite else None

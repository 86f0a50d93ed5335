"""How many replicas a demand needs: screened by closed form, always confirmed by simulation.

The search. :mod:`jobctl.core.screening` says where to look. From there fleets are simulated
(:mod:`jobctl.core.study`) until one holds and the one with a replica fewer does not; those two are simulated on until
both verdicts are certain and the waits known to a tenth, or the budget is spent. More slots never wait longer, so the
fleets that hold are all those from some number on. Where simulation cannot tell two numbers apart, the answer is the
larger one, or the closed form's where that is trusted, and it says that it is *on the edge*.

The limits, from the weakest to the strongest: the *upstream* admits the jobs; the *slots* keep up with the load (they
may be capped by *connections* or *CPU*); the *objective* holds; *connections* and the *platform* allow so many
replicas; with *redundancy* all of it does with the spare gone. A search keeps all of them; a given number of replicas
is held to those the caller asks for, to the slots, and to what is physically there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from jobctl.core.capacity import backlog_growth_per_day
from jobctl.core.demand import Demand
from jobctl.core.plans import Answers, Binding, Plan, Sensitivity
from jobctl.core.reasons import what_relieves, why_infeasible
from jobctl.core.sizing import MAX_SLOTS
from jobctl.core.slo import Window
from jobctl.core.study import Study
from jobctl.core.trials import Purse
from jobctl.core.units import SECONDS_PER_DAY
from jobctl.core.variations import with_failure_rate, with_peak, with_service, with_volume, with_window
from jobctl.errors import InvalidValue

__all__ = ["largest_service_factor", "plan"]

#: The limits that a search keeps; what is physically there is kept in any case.
_ALL: Final = frozenset({Binding.SLOTS, Binding.OBJECTIVE, Binding.REDUNDANCY})
#: Shares of the budget: for confirming each of the two fleets, for the days of each, for each fleet of the table, for
#: each question beside the answer.
_CONFIRMING: Final = 0.25
_DAYS: Final = 0.08
_AROUND: Final = 0.015
_ASIDE: Final = 0.06
#: A fleet that holds no such share of its load holds none; one that holds so many times it holds any.
_SMALLEST_FACTOR: Final = 1e-4
_LARGEST_FACTOR: Final = 1e6
#: An exact closed form is confirmed with so much less.
_EXACT: Final = 0.3
#: By this much sensitivity changes a figure, this peak it gives a load that has none, and this is how finely a largest
#: factor is searched.
_CHANGE: Final = 1.2
_PEAK: Final = 2.0
_FINENESS: Final = 1.01


def plan(
    demand: Demand,
    *,
    replicas: int | None = None,
    required: frozenset[Binding] | None = None,
    seed: int = 1,
    budget_s: float = 10.0,
    extras: bool = True,
) -> Plan:
    """Search the fewest replicas that keep every limit, or evaluate a given number.

    Args:
        demand: What has to be carried.
        replicas: Evaluate exactly these, the spare among them; search when None.
        required: The limits a given number is held to; what is physically there is kept in any case. None for all.
        seed: Of the simulation.
        budget_s: Nominal seconds of simulation; 0 for closed forms alone.
        extras: Whether to compute what stands around the answer: the table, other readings, sensitivity, the maximum.

    Raises:
        InvalidValue: No fleet would do because the numbers make no sense, such as millions of slots.
    """
    study = Study(demand, seed, Purse(budget_s))
    _refuse_nonsense(study, replicas)
    if replicas is None:
        carrying, edge = _search(study)
        return _Answer(study, carrying + demand.spare, _ALL, edge).compose(extras=extras)
    study.aim_at(replicas)
    for number in (replicas, replicas - demand.spare):
        allowance = _confirming(study) * (1 if extras else 2)  # where nothing else is asked, the two share all there is
        study.look_at(number, allowance, precise=not study.is_exact)
    limits = _ALL if required is None else required | {Binding.SLOTS}
    return _Answer(study, replicas, limits, None, given=True).compose(extras=extras)


def _search(study: Study) -> tuple[int, tuple[int, int] | None]:
    """The fewest replicas, no spare; where the upstream admits too few jobs, those that carry what it admits."""
    if not study.is_admitted:
        admitted = (study.limits.upstream_per_s or 0.0) * study.limits.slot_seconds_per_job
        return max(1, math.ceil(admitted / study.limits.effective_slots_per_replica)), None
    if not study.slots_would_do:
        return study.least(), None
    carrying = study.fewest()
    if not study.laboratory.purse.total:
        return carrying, None
    carrying, edge = study.confirmed(carrying, _confirming(study))
    if edge is not None:
        study.look_at(carrying, _confirming(study))
    return carrying, edge


def _confirming(study: Study) -> float:
    """Nominal seconds that confirming one fleet may take."""
    return _CONFIRMING * (_EXACT if study.is_exact else 1) * study.laboratory.purse.total


class _Answer:
    """Puts together what a study found around a number of replicas.

    Args:
        study: What is known.
        total: The replicas, spare included.
        required: The limits that have to be kept.
        edge: The two numbers that could not be told apart.
        given: Whether the number was given.
    """

    def __init__(
        self,
        study: Study,
        total: int,
        required: frozenset[Binding],
        edge: tuple[int, int] | None,
        *,
        given: bool = False,
    ) -> None:
        self._study = study
        self._demand = study.demand
        self._total = total
        self._required = required
        self._given = given
        self._edge = edge

    def compose(self, *, extras: bool) -> Plan:
        """The whole answer."""
        study, demand, total = self._study, self._demand, self._total
        remaining = total - demand.spare
        if extras:
            self._simulate_around(remaining if remaining > 0 else total)
        broken = self._broken(total)
        surely = None if broken is None else self._broken(total, unknown=True)
        broken = broken if surely is None else surely
        binding = self._tight() if broken is None else broken
        helpless = broken is not None and self._is_in_vain(broken)
        told = broken is None or surely is not None or helpless
        around = range(max(1, total - 2), total + 4)
        fewer = None if self._given or remaining < 2 else study.fleet(remaining - 1)
        return Plan(
            demand=demand,
            limits=study.limits,
            feasible=broken is None if told else None,
            binding=binding,
            required=self._required,
            reason="" if broken is None else self._why(broken, told=told),
            relief=what_relieves(demand, study.limits, binding, feasible=broken is None),
            all_running=study.fleet(total),
            spare_gone=study.fleet(remaining) if remaining > 0 else None,
            fewer=fewer,
            around=tuple(study.fleet(number) for number in around),
            holds_one_gone=tuple(study.fleet(number - 1).holds if number > 1 else False for number in around),
            answers=self._answers(extras=extras, feasible=broken is None),
            edge=None if self._edge is None else (self._edge[0] + demand.spare, self._edge[1] + demand.spare),
            backlog_growth_per_day=backlog_growth_per_day(demand, study.limits, study.slots(total)),
            max_sustainable_per_day=self._largest_volume() if extras else None,
            sensitivity=tuple(self._sensitivity()) if extras else (),
            simulated_jobs=study.laboratory.purse.attempts,
            seed=study.laboratory.seed,
            helpless=helpless,
        )

    def _why(self, broken: Binding, *, told: bool) -> str:
        """Why it is not feasible; where slots are not what is missing, told by a fleet that has plenty."""
        study, in_vain = self._study, self._is_in_vain(broken)
        if not told and broken is Binding.REDUNDANCY:
            return f"it holds, but whether it does with {self._demand.spare} gone could not be told within the budget"
        fleet = study.fleet(study.plenty if in_vain and study.is_admitted else self._total)
        reason = why_infeasible(self._demand, study.limits, broken, fleet)
        return f"{reason}; replicas will not help" if in_vain else reason

    def _is_in_vain(self, broken: Binding) -> bool:
        """Whether a fleet whose slots are plenty breaks the promises too."""
        if broken is Binding.UPSTREAM:
            return True
        return broken is Binding.OBJECTIVE and not self._study.slots_would_do

    # ------------------------------------------------------------------------------------------------- the limits

    def _broken(self, total: int, *, unknown: bool = False) -> Binding | None:
        """The first limit that so many replicas break, from the weakest on; ``unknown`` as in :meth:`_holds`."""
        first = self._broken_alone(total, unknown=unknown)
        if first is not None:
            return first
        spare = self._demand.spare
        if Binding.REDUNDANCY not in self._required or not spare:
            return None
        fails = total <= spare or self._broken_alone(total - spare, unknown=unknown) is not None
        return Binding.REDUNDANCY if fails else None

    def _broken_alone(self, replicas: int, *, unknown: bool = False) -> Binding | None:
        """The first limit that so many replicas break when all of them run."""
        study, limits = self._study, self._study.limits
        slots = study.slots(replicas)
        tests: tuple[tuple[Binding, Callable[[], bool]], ...] = (
            (Binding.UPSTREAM, lambda: not study.is_admitted),
            (limits.capped_by or Binding.SLOTS, lambda: not study.keeps_up(slots)),
            (Binding.UPSTREAM, lambda: self._waits_too_long(replicas, unknown=unknown) and self._is_held_up()),
            (Binding.OBJECTIVE, lambda: self._waits_too_long(replicas, unknown=unknown)),
            (Binding.DATABASE, lambda: replicas > _or_endless(limits.max_replicas_database)),
            (Binding.PLATFORM, lambda: replicas > _or_endless(limits.max_replicas_platform)),
        )
        return next((binding for binding, is_broken in tests if is_broken()), None)

    def _is_held_up(self) -> bool:
        """Whether it is the upstream that makes jobs wait."""
        return self._study.limits.upstream_per_s is not None and not self._study.slots_would_do

    def _waits_too_long(self, replicas: int, *, unknown: bool) -> bool:
        return Binding.OBJECTIVE in self._required and not self._holds(replicas, unknown=unknown)

    def _holds(self, replicas: int, *, unknown: bool = False) -> bool:
        """Whether they hold; of two on the edge the one that was chosen does, and with it all larger fleets.

        Args:
            replicas: How many run.
            unknown: What a fleet counts as of which that could not be told.
        """
        edge, chosen = self._edge, self._total - self._demand.spare
        if edge is not None and replicas >= edge[0]:
            return replicas >= chosen
        holds = self._study.fleet(replicas).holds
        return unknown if holds is None else holds

    def _tight(self) -> Binding:
        """The limit that one replica fewer would break, seen on what then has to carry the load."""
        spare = self._demand.spare if Binding.REDUNDANCY in self._required else 0
        carrying = self._total - spare - 1
        if carrying < 1:
            return Binding.REDUNDANCY if spare else Binding.SLOTS
        broken = self._broken_alone(carrying)
        if broken in {Binding.SLOTS, Binding.OBJECTIVE} and self._study.limits.capped_by is not None:
            return self._study.limits.capped_by
        return broken or Binding.NONE

    # --------------------------------------------------------------------------------------------- what stands around

    def _simulate_around(self, carrying: int) -> None:
        """Days for the answer and one fewer, then the peak for each fleet of the table."""
        study = self._study
        purse = study.laboratory.purse
        days = (self._total, carrying) if self._given else (carrying, carrying - 1)
        for replicas in days[: 1 if study.demand.is_steady else 2]:
            if replicas > 0 and study.is_admitted and study.keeps_up(study.slots(replicas)):
                study.laboratory.run_days(study.slots(replicas), 2, _DAYS * purse.total)
        allowance = _AROUND * purse.total
        for replicas in (self._total, *range(max(1, self._total - 3), self._total + 4)):
            if not study.is_exact:
                study.look_at(replicas, allowance)
        if self._edge is not None:
            self._edge = self._edge_now()

    def _edge_now(self) -> tuple[int, int] | None:
        """The edge after what was simulated since."""
        chosen = self._total - self._demand.spare
        fewer, own = (self._study.verdict_of(number) if number else False for number in (chosen - 1, chosen))
        if own is True:
            return None if fewer is False else (chosen - 1, chosen)
        return self._edge

    def _answers(self, *, extras: bool, feasible: bool) -> Answers:
        """The replicas for each reading."""
        demand, spare = self._demand, self._demand.spare
        asked = None if not feasible or self._given else self._total
        readings = {demand.window: None if asked is None else asked - spare}
        if extras and not self._given and self._study.is_admitted:
            for window in (Window.WHOLE_DAY, Window.BUSIEST_HOUR):
                if window not in readings:
                    readings[window] = (
                        readings[demand.window] if self._study.demand.is_steady else self._read_over(window)
                    )
        return Answers(
            whole_day=readings.get(Window.WHOLE_DAY), busiest_hour=readings.get(Window.BUSIEST_HOUR), with_spare=asked
        )

    def _read_over(self, window: Window) -> int | None:
        """The replicas if all objectives were read over another window, no spare; None where none would do."""
        laboratory = self._study.laboratory
        study = Study(with_window(self._demand, window), laboratory.seed, laboratory.purse, laboratory)
        return _fewest_known(study)

    def _aside(self, demand: Demand) -> int | None:
        """The replicas of another demand, no spare, found with a small part of the budget; None where none would do."""
        with self._beside() as study_of:
            return _fewest_known(study_of(demand))

    @contextmanager
    def _beside(self) -> Iterator[Callable[[Demand], Study]]:
        """Studies of other demands, which share a small part of the budget."""
        laboratory = self._study.laboratory
        part = laboratory.purse.part(_ASIDE)
        yield lambda demand: Study(demand, laboratory.seed, part)
        laboratory.purse.take_back(part)

    def _sensitivity(self) -> Iterator[Sensitivity]:
        """What a demand that is a fifth larger would need, in each of its figures."""
        if self._given or not self._study.is_admitted:
            return
        demand, more = self._demand, f"+{_CHANGE - 1:.0%}".replace("%", " %")
        changes = {
            f"service time {more}": with_service(demand, _CHANGE),
            f"service time -{_CHANGE - 1:.0%}".replace("%", " %"): with_service(demand, 2 - _CHANGE),
            f"volume {more}": with_volume(demand, _CHANGE),
        }
        if demand.is_steady:
            changes[f"a peak of {_PEAK:g}x the mean"] = with_peak(demand, _PEAK)
        failing = demand.retries.failure_rate
        if failing:
            changes["failures twice as often"] = with_failure_rate(demand, min(1.0, 2 * failing))
        for change, changed in changes.items():
            replicas = self._aside(changed)
            if replicas is not None:
                yield Sensitivity(change, replicas + demand.spare, confirmed=True)
            elif (scaled := self._scaled(change, changed)) is not None:
                yield scaled

    def _scaled(self, change: str, demand: Demand) -> Sensitivity | None:
        """What simulation could not tell: the answer, times what closed forms say of both demands.

        None where closed forms do not agree with the answer on whether there is one.
        """
        asked, other = (Study(one, 1, Purse(0)) for one in (self._demand, demand))
        if other.is_admitted and asked.slots_would_do != self._study.slots_would_do:
            return None
        if not (other.is_admitted and other.slots_would_do):
            return Sensitivity(change, None, confirmed=True)
        ratio = other.fewest() / asked.fewest()
        carrying = max(1, round((self._total - self._demand.spare) * ratio))
        return Sensitivity(change, carrying + self._demand.spare, confirmed=False)

    def _largest_volume(self) -> float | None:
        """Jobs a day that the fleet holds in this shape, with its spare gone if that is required.

        None where it holds so many times the volume that nobody looked further.
        """
        carrying = self._total - (self._demand.spare if Binding.REDUNDANCY in self._required else 0)
        if carrying < 1:
            return None
        with self._beside() as study_of:
            factor = _largest_factor(self._demand, carrying, with_volume, study_of)
        if math.isinf(factor):
            return None
        if self._holds(carrying):  # which more was simulated to find than the factor
            factor = max(1.0, factor)
        elif self._study.fleet(carrying).holds is False:
            factor = min(1.0, factor)
        return factor * self._study.limits.arrival_rate_per_s * SECONDS_PER_DAY


def largest_service_factor(demand: Demand, replicas: int, *, seed: int = 1, budget_s: float = 1.0) -> float:
    """By how much service times may grow (or must shrink) so that exactly so many replicas hold; to 1 %."""
    return _largest_factor(demand, replicas, with_service, _independent(seed, budget_s))


def _independent(seed: int, budget_s: float) -> Callable[[Demand], Study]:
    purse = Purse(budget_s)
    return lambda demand: Study(demand, seed, purse)


def _largest_factor(
    demand: Demand, replicas: int, changed: Callable[[Demand, float], Demand], study_of: Callable[[Demand], Study]
) -> float:
    """The largest factor with which the replicas hold: by closed form, then mended in steps of a hundredth.

    It is 0 where none is small enough, and infinite where none is too large, as where a timeout ends every attempt.
    """

    def screened(factor: float) -> bool:
        study = Study(changed(demand, factor), 1, Purse(0))
        slots = study.slots(replicas)
        return study.is_admitted and study.keeps_up(slots) and study.screen(slots).holds

    def simulated(factor: float) -> bool:
        study = study_of(changed(demand, factor))
        study.aim_at(replicas)
        return study.holds_replicas(replicas)

    low, high = 1.0, 1.0
    while not screened(low):
        low, high = low / 2, low
        if low < _SMALLEST_FACTOR:
            return 0.0
    while low == high or screened(high):
        low, high = high, 2 * high
        if low > _LARGEST_FACTOR:
            return math.inf
    factor = _narrowed(screened, low, high, 1 + (_FINENESS - 1) / 10)
    return factor if study_of(demand).is_exact else _mended(simulated, factor)


def _mended(holds: Callable[[float], bool], factor: float) -> float:
    """From a guess to the largest factor that holds, in steps of a hundredth that double."""
    step = _FINENESS - 1
    if holds(factor):
        low, high = factor, factor * (1 + step)
        while holds(high) and step < 1:
            step *= 2
            low, high = high, high * (1 + step)
    else:
        low, high = factor / (1 + step), factor
        while not holds(low) and step < 1:
            step *= 2
            low, high = low / (1 + step), low
    return _narrowed(holds, low, high, _FINENESS)


def _narrowed(holds: Callable[[float], bool], low: float, high: float, fineness: float) -> float:
    """The largest factor that holds, to so fine a ratio, between one that does and one that does not."""
    while high / low > fineness:
        middle = math.sqrt(low * high)
        if holds(middle):
            low = middle
        else:
            high = middle
    return low


def _fewest_known(study: Study) -> int | None:
    """The fewest replicas that hold, no spare; None where none would do, or only an untrusted closed form says so."""
    if not study.is_admitted or not study.slots_would_do:
        return None
    replicas = study.fewest()
    return replicas if study.knows(replicas) else None


def _or_endless(most: int | None) -> float:
    return math.inf if most is None else most


def _refuse_nonsense(study: Study, replicas: int | None) -> None:
    load = study.limits.offered_load_erlangs
    if load >= MAX_SLOTS and replicas is None:
        raise InvalidValue(
            f"{load:.3g} erlangs need more than {MAX_SLOTS:,} slots",
            "check the units of the volume and of the service time",
        )
    if replicas is not None and study.slots(replicas) > MAX_SLOTS:
        each = study.limits.effective_slots_per_replica
        raise InvalidValue(f"{replicas:,} replicas of {each:,} slots are more than {MAX_SLOTS:,} slots", "give fewer")

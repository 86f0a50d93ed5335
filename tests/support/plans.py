"""Plans for tests of what is made of them: the screen, the document, the explanation, the report.

Their waits are closed forms and their bands, hours and windows merely plausible: they have the shape of the planner's
answers, and show nothing about how good these are. Every builder takes changes by the names of the fields.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from jobctl.core.arrivals import POISSON
from jobctl.core.capacity import ceiling_per_s, limits_of
from jobctl.core.demand import Assumption, Demand, JobType
from jobctl.core.plans import (
    Answers,
    Band,
    Binding,
    Fleet,
    Hour,
    Limits,
    Plan,
    Reading,
    Sensitivity,
    Waits,
)
from jobctl.core.profiles import Profile, Spike, diurnal_profile, steady_profile
from jobctl.core.queueing import predict_wait
from jobctl.core.service import law_of
from jobctl.core.slo import DEFAULT_OBJECTIVE, Objective, Window

DAY_S = 86_400.0
HOUR_S = 3_600.0

#: Assumptions of every kind of source.
ASSUMPTIONS = (
    Assumption("per-day", "450,000", "flag --per-day"),
    Assumption("service-time", "8 s", "bench r.json"),
    Assumption("concurrency", "25", "env JOB_CONCURRENCY"),
    Assumption("arrivals", "poisson", "default"),
    Assumption("spare", "1", "default"),
)


def make_profile(rate_per_s: float = 2.5, peak_factor: float = 1.0, spikes: Sequence[Spike] = ()) -> Profile:
    """A day of that mean rate: steady, or with its trough at 0:00 and its peak at 12:00."""
    profile = steady_profile(rate_per_s) if peak_factor == 1 else diurnal_profile(rate_per_s, peak_factor)
    return profile.with_spikes(tuple(spikes)) if spikes else profile


def make_demand(
    rate_per_s: float = 2.5, mean_s: float = 8.0, scv: float = 1.0, peak_factor: float = 1.0, **changes: Any
) -> Demand:
    """The worked example of 20 erlangs on replicas of 25 slots, unless told otherwise."""
    fields: dict[str, Any] = {
        "profile": make_profile(rate_per_s, peak_factor),
        "arrivals": POISSON,
        "job_types": (JobType("jobs", 1.0, law_of(mean_s, scv)),),
        "concurrency": 25,
        "promises": (DEFAULT_OBJECTIVE,),
    }
    return Demand(**{**fields, **changes})


def make_limits(demand: Demand, **changes: Any) -> Limits:
    """What follows from a demand."""
    return replace(limits_of(demand), **changes)


def make_fleet(demand: Demand, replicas: int, *, simulated: bool = False, **changes: Any) -> Fleet:
    """That many replicas by closed form at the peak; a simulated one also has bands, windows and hours."""
    limits = make_limits(demand)
    slots = replicas * limits.effective_slots_per_replica
    load = limits.offered_load_erlangs
    waits, method = _waits(limits.peak_arrival_rate_per_s, limits, slots)
    ceiling = ceiling_per_s(limits, slots)
    broken = tuple(_broken(objective, waits) for objective in demand.objectives if not _kept(objective, waits))
    fields: dict[str, Any] = {
        "replicas": replicas,
        "slots": slots,
        "utilisation": load / slots,
        "mean_utilisation": load / slots * limits.arrival_rate_per_s / limits.peak_arrival_rate_per_s,
        "ceiling_per_s": ceiling,
        "headroom_x": ceiling / limits.peak_arrival_rate_per_s,
        "holds": not broken,
        "wait": waits,
        "method": method,
        "broken": broken,
    }
    if simulated:
        fields |= {"method": "simulation", "bands": _bands(waits), **_simulated(demand, limits, slots, waits)}
    return Fleet(**{**fields, **changes})


def make_plan(
    demand: Demand | None = None, replicas: int | None = None, *, simulated: bool = False, **changes: Any
) -> Plan:
    """The fewest replicas that hold with the spare gone, or the given number, held to all limits or ``required``."""
    asked = make_demand() if demand is None else demand
    limits = make_limits(asked)
    needed = _fewest(asked)
    total = needed + asked.spare if replicas is None else replicas
    required = changes.get("required", frozenset({Binding.SLOTS, Binding.OBJECTIVE, Binding.REDUNDANCY}))
    fleet = make_fleet(asked, total, simulated=simulated)
    left = total - asked.spare
    binding = _binding(asked, fleet, required)
    feasible = binding is None
    around = tuple(
        make_fleet(asked, number, simulated=simulated and total - asked.spare - 1 <= number <= total)
        for number in range(max(1, total - 2), total + 4)
    )
    growth = max(0.0, fleet.mean_utilisation - 1) * fleet.slots / limits.slot_seconds_per_job * DAY_S
    fields: dict[str, Any] = {
        "demand": asked,
        "limits": limits,
        "feasible": feasible,
        "binding": Binding.OBJECTIVE if binding is None else binding,
        "required": required,
        "reason": "" if feasible else f"{fleet.slots:,} slots are too few",
        "relief": "a shorter service time or more slots per replica",
        "all_running": fleet,
        "spare_gone": make_fleet(asked, left, simulated=simulated) if left > 0 else None,
        "fewer": make_fleet(asked, needed - 1, simulated=simulated) if replicas is None and needed > 1 else None,
        "around": around,
        "holds_one_gone": tuple(fleet.replicas > 1 and make_fleet(asked, fleet.replicas - 1).holds for fleet in around),
        "answers": Answers(needed, needed, needed + asked.spare),
        "edge": None,
        "backlog_growth_per_day": growth,
        "max_sustainable_per_day": None if not simulated else 0.9 * limits.arrival_rate_per_s * DAY_S,
        "sensitivity": (Sensitivity("service time +20 %", needed + asked.spare + 1, confirmed=True),),
        "simulated_jobs": 1_234_567 if simulated else 0,
        "seed": 1,
    }
    return Plan(**{**fields, **changes})


def make_plan_on_the_edge() -> Plan:
    """A plan whose simulation could not choose between two numbers."""
    plan = make_plan(simulated=True)
    total = plan.all_running.replicas
    around = tuple(replace(fleet, holds=None) if fleet.replicas == total else fleet for fleet in plan.around)
    undecided = replace(plan.all_running, holds=None)
    return replace(plan, all_running=undecided, around=around, edge=(total, total + 1))


def _waits(rate_per_s: float, limits: Limits, slots: int) -> tuple[Waits, str]:
    predicted = predict_wait(
        arrival_rate_per_s=rate_per_s * limits.attempts_per_job,
        mean_service_s=limits.slot_s,
        slots=slots,
        service_scv=limits.slot_scv,
    )
    quantiles = [predicted.quantile_s(q) for q in (0.5, 0.95, 0.99)]
    return Waits(predicted.p_wait, predicted.mean_s, *quantiles), predicted.method


def _figure(objective: Objective, waits: Waits) -> float:
    """The statistic that the objective bounds; the nearest percentile that a plan holds."""
    if objective.quantile is None:
        return waits.mean_s or 0.0
    return (waits.p95_s if objective.quantile <= 0.95 else waits.p99_s) or 0.0


def _kept(objective: Objective, waits: Waits) -> bool:
    return math.isfinite(waits.mean_s or 0.0) and _figure(objective, waits) <= objective.threshold_s


def _broken(objective: Objective, waits: Waits) -> str:
    value_s = _figure(objective, waits)
    return f"{objective} (is {value_s:.3g} s)" if math.isfinite(value_s) else f"{objective} (grows without end)"


def _fewest(demand: Demand) -> int:
    limits = make_limits(demand)
    replicas = max(1, int(limits.offered_load_erlangs / limits.effective_slots_per_replica))
    while not make_fleet(demand, replicas).holds:
        replicas += 1
    return replicas


def _binding(demand: Demand, fleet: Fleet, required: frozenset[Binding]) -> Binding | None:
    """The first required limit that is broken."""
    if not fleet.stable or fleet.utilisation >= 1:
        return Binding.SLOTS
    if Binding.OBJECTIVE in required and not fleet.holds:
        return Binding.OBJECTIVE
    left = fleet.replicas - demand.spare
    if Binding.REDUNDANCY in required and (left < 1 or not make_fleet(demand, left).holds):
        return Binding.REDUNDANCY
    return None


def _bands(waits: Waits) -> dict[str, Band]:
    """8 % about each figure that has a value above 0."""
    figures = {"mean": waits.mean_s, "p50": waits.p50_s, "p95": waits.p95_s, "p99": waits.p99_s}
    return {name: Band(0.92 * value, 1.08 * value) for name, value in figures.items() if value and math.isfinite(value)}


def _simulated(demand: Demand, limits: Limits, slots: int, waits: Waits) -> dict[str, Any]:
    hours = tuple(_hour(demand, limits, slots, hour) for hour in range(24))
    busiest = max(hours, key=lambda hour: hour.arrival_rate_per_s)
    readings = {
        Window.WHOLE_DAY: _reading(0.0, DAY_S, _waits(limits.arrival_rate_per_s, limits, slots)[0]),
        Window.BUSIEST_HOUR: _reading(busiest.start_s, HOUR_S, waits),
        Window.EVERY_HOUR: _reading(busiest.start_s, HOUR_S, waits),
    }
    spikes = demand.profile.spikes
    burst_clear_s = max(spike.jobs for spike in spikes) * limits.slot_s / slots if spikes else None
    return {
        "readings": readings,
        "hours": hours,
        "backlog_max": max(hour.backlog_max for hour in hours),
        "drain_s": limits.slot_s,
        "burst_clear_s": burst_clear_s,
    }


def _reading(start_s: float, length_s: float, waits: Waits) -> Reading:
    return Reading(start_s, length_s, waits, _bands(waits), sojourn_mean_s=None)


def _hour(demand: Demand, limits: Limits, slots: int, hour: int) -> Hour:
    rate_per_s = demand.profile.jobs_between(hour * HOUR_S, (hour + 1) * HOUR_S) / HOUR_S
    waits, _ = _waits(rate_per_s, limits, slots)
    p95_s = waits.p95_s if waits.p95_s is not None and math.isfinite(waits.p95_s) else 10.0 * limits.slot_s
    load = rate_per_s * limits.slot_seconds_per_job
    return Hour(hour * HOUR_S, rate_per_s, min(1.0, load / slots), p95_s, round(rate_per_s * p95_s))

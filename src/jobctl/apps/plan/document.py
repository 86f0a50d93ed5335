"""A plan as the versioned document ``jobctl.plan/1``.

Objects named wait and those of windows hold seconds; every other scalar carries its unit in its name. What was not
computed is null, and so is what has no finite value: the wait of slots that cannot keep up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from jobctl.apps.plan.words import within
from jobctl.core.capacity import mixed_law
from jobctl.core.demand import Assumption
from jobctl.core.plans import Band, Binding, Fleet, Hour, Limits, Plan, Reading, Waits
from jobctl.core.prices import RAILWAY, Cost, Prices, fleet_cost
from jobctl.core.screening import is_exact
from jobctl.core.slo import Window

__all__ = [
    "SCHEMA",
    "assumptions_document",
    "error_band",
    "finite",
    "is_simulated",
    "to_document",
    "wait_document",
]

#: The document's name and version.
SCHEMA: Final = "jobctl.plan/1"
#: What the document calls the windows: that of "every hour" is the hour with the worst waits.
_WINDOWS: Final = {
    "whole_day": Window.WHOLE_DAY,
    "busiest_hour": Window.BUSIEST_HOUR,
    "worst_hour": Window.EVERY_HOUR,
}
_STATISTICS: Final = ("mean", "p50", "p95", "p99")


def to_document(
    plan: Plan,
    assumptions: Sequence[Assumption] = (),
    prices: Prices = RAILWAY,
    check: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The plan as JSON-able values.

    Args:
        plan: The answer.
        assumptions: The figures it rests on, with their sources.
        prices: What the platform asks.
        check: How it compares with a run on real parts, as JSON-able values; None where there was none.
    """
    fleet = plan.all_running
    return {
        "schema": SCHEMA,
        "feasible": plan.feasible,
        "on_edge": plan.on_edge,
        "replicas": fleet.replicas,
        "edge": None if plan.edge is None else list(plan.edge),
        "spare": plan.demand.spare,
        "binding": plan.binding.value,
        "reason": plan.reason or None,
        "relief": plan.relief or None,
        "required": [limit.value for limit in Binding if limit in plan.required],
        **_demand(plan),
        **_limits(plan.limits),
        **_fleet(plan, fleet, prices),
        "predicted": {
            "wait": wait_document(fleet.wait),
            "method": fleet.method,
            "error_band": error_band(plan, fleet),
        },
        "answers": {
            "whole_day": plan.answers.whole_day,
            "busiest_hour": plan.answers.busiest_hour,
            "with_spare": plan.answers.with_spare,
        },
        "with_spare_gone": None if plan.spare_gone is None else _row(plan, plan.spare_gone, prices),
        "one_fewer": None if plan.fewer is None else _row(plan, plan.fewer, prices),
        "table": [
            {**_row(plan, row, prices), "holds_one_gone": holds}
            for row, holds in zip(plan.around, plan.holds_one_gone, strict=True)
        ],
        "max_sustainable_per_day": finite(plan.max_sustainable_per_day),
        "backlog_growth_per_day": finite(plan.backlog_growth_per_day),
        "sensitivity": [asdict(other) for other in plan.sensitivity],
        "assumptions": assumptions_document(assumptions),
        "seed": plan.seed,
        "simulated_jobs": plan.simulated_jobs,
        "check": None if check is None else dict(check),
    }


def assumptions_document(assumptions: Sequence[Assumption]) -> list[dict[str, Any]]:
    """The figures that an answer rests on, with their sources."""
    return [asdict(assumed) for assumed in assumptions]


def wait_document(wait: Waits) -> dict[str, float | None]:
    """Waits, seconds, and the probability to wait."""
    return {"p_wait": finite(wait.p_wait), **_statistics(wait)}


def finite(value: float | None) -> float | None:
    """The value, or None where there is none to write."""
    return value if value is not None and math.isfinite(value) else None


def error_band(plan: Plan, fleet: Fleet) -> str:
    """How far the waits of a fleet may be off, in words.

    The figures of closed forms were measured against simulation, for 25 to 500 slots.
    """
    if fleet.wait.mean_s is not None and math.isinf(fleet.wait.mean_s):
        return "none, for there is nothing to predict: the backlog grows without end"
    if is_simulated(fleet):
        interval = _simulated_p95(fleet)
        if not fleet.bands:
            return "no interval, for nothing varied from one run to the next"
        return f"p95 in {interval} with 95 % confidence" if interval else "intervals of 95 % confidence"
    if is_exact(plan.demand, plan.limits):
        interval = _simulated_p95(fleet)
        confirmed = f"; simulation has p95 in {interval}" if interval else ""
        return f"exact for Poisson arrivals and exponential service in a steady state{confirmed}"
    if fleet.method.endswith("Kimura"):
        return "p95 within about 10 % at utilisations of 0.9 to 0.98, 24 % at worst, measured for 25 to 500 slots"
    return "an approximation of unknown error"


def is_simulated(fleet: Fleet) -> bool:
    """Whether simulation, and no formula, says how long its jobs wait."""
    return fleet.method.startswith("simulation")


def _simulated_p95(fleet: Fleet) -> str:
    """The interval with its unit; empty where there is none."""
    interval = within(fleet.bands.get("p95"))
    return f"{interval} s" if interval and interval[-1].isdigit() else interval


def _demand(plan: Plan) -> dict[str, Any]:
    demand = plan.demand
    law = mixed_law(demand)
    return {
        "slo": "; ".join(map(str, demand.promises)),
        "promises": [str(promise) for promise in demand.promises],
        "window": demand.window.value,
        "arrivals": str(demand.arrivals),
        "shape": demand.profile.name,
        "trace": None if demand.trace is None else demand.trace.name,
        "period_s": demand.profile.period_s,
        "mean_service_s": finite(law.mean_s),
        "service_scv": finite(law.scv),
        "job_types": [
            {
                "name": job_type.name,
                "share": job_type.share,
                "mean_service_s": finite(job_type.service.mean_s),
                "service_scv": finite(job_type.service.scv),
            }
            for job_type in demand.job_types
        ],
        "concurrency": demand.concurrency,
    }


def _limits(limits: Limits) -> dict[str, Any]:
    return {
        "arrival_rate_per_s": limits.arrival_rate_per_s,
        "peak_arrival_rate_per_s": limits.peak_arrival_rate_per_s,
        "offered_load_erlangs": limits.offered_load_erlangs,
        "attempts_per_job": limits.attempts_per_job,
        "job_failure_rate": limits.job_failure_rate,
        "slot_seconds_per_job": limits.slot_seconds_per_job,
        "mean_slot_s": limits.slot_s,
        "slot_scv": finite(limits.slot_scv),
        "effective_slots_per_replica": limits.effective_slots_per_replica,
        "slots_capped_by": None if limits.capped_by is None else limits.capped_by.value,
        "upstream_admits_per_s": finite(limits.upstream_per_s),
        "max_replicas_by": {"database": limits.max_replicas_database, "platform": limits.max_replicas_platform},
    }


def _row(plan: Plan, fleet: Fleet, prices: Prices) -> dict[str, Any]:
    return {
        "replicas": fleet.replicas,
        **_fleet(plan, fleet, prices),
        "wait": wait_document(fleet.wait),
        "method": fleet.method,
    }


def _fleet(plan: Plan, fleet: Fleet, prices: Prices) -> dict[str, Any]:
    simulated = bool(fleet.readings)
    return {
        "slots": fleet.slots,
        "holds": fleet.holds,
        "slo_holds": fleet.holds,
        "broken": list(fleet.broken),
        "stable": fleet.stable,
        "utilisation": fleet.utilisation,
        "mean_utilisation": fleet.mean_utilisation,
        "headroom": fleet.headroom,
        "headroom_x": finite(fleet.headroom_x),
        "ceiling_per_s": finite(fleet.ceiling_per_s),
        "windows": {name: _window(fleet.readings.get(window)) for name, window in _WINDOWS.items()}
        if simulated
        else None,
        "interval": {f"wait_{name}": _interval(fleet.bands.get(name)) for name in _STATISTICS},
        "backlog_max": fleet.backlog_max,
        "drain_s": finite(fleet.drain_s),
        "burst_clear_s": finite(fleet.burst_clear_s),
        "hours": [_hour(hour) for hour in fleet.hours] or None,
        "cost": _cost(fleet_cost(fleet.replicas, plan.demand.machine, plan.limits, prices)),
    }


def _statistics(wait: Waits) -> dict[str, float | None]:
    return {name: finite(getattr(wait, f"{name}_s")) for name in _STATISTICS}


def _window(reading: Reading | None) -> dict[str, float | None] | None:
    if reading is None:
        return None
    return {
        "start_s": reading.start_s,
        "length_s": reading.length_s,
        **_statistics(reading.waits),
        "sojourn_mean": finite(reading.sojourn_mean_s),
    }


def _hour(hour: Hour) -> dict[str, float | None]:
    return {
        "start_s": hour.start_s,
        "arrival_rate_per_s": hour.arrival_rate_per_s,
        "utilisation": hour.utilisation,
        "wait_p95_s": finite(hour.wait_p95_s),
        "backlog_max": hour.backlog_max,
    }


def _interval(band: Band | None) -> list[float] | None:
    if band is None or not (math.isfinite(band.low_s) and math.isfinite(band.high_s)):
        return None
    return [band.low_s, band.high_s]


def _cost(cost: Cost | None) -> dict[str, Any] | None:
    if cost is None:
        return None
    return {
        "per_month_usd": finite(cost.per_month_usd),
        "per_million_jobs_usd": finite(cost.per_million_jobs_usd),
        "price": {"vcpu_minute_usd": cost.prices.vcpu_minute_usd, "gb_minute_usd": cost.prices.gb_minute_usd},
        "source": cost.prices.source,
    }

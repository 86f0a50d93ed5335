"""A plan as the versioned document ``jobctl.plan/1``.

Objects named wait hold seconds; every other scalar carries its unit in its name. What has no finite value is null: the
wait of slots that cannot keep up.
"""

from __future__ import annotations

import math
from typing import Any, Final

from jobctl.core.sizing import Binding, Fleet, Plan
from jobctl.core.queueing import WaitPrediction

__all__ = ["SCHEMA", "error_band", "to_document"]

#: The document's name and version.
SCHEMA: Final = "jobctl.plan/1"


def to_document(plan: Plan) -> dict[str, Any]:
    """The plan as JSON-able values."""
    demand, fleet = plan.demand, plan.all_running
    return {
        "schema": SCHEMA,
        "feasible": plan.feasible,
        "replicas": fleet.replicas,
        "spare": demand.spare,
        "binding": plan.binding.value,
        "required": [limit.value for limit in Binding if limit in plan.required],
        "arrival_rate_per_s": demand.arrival_rate_per_s,
        "peak_arrival_rate_per_s": demand.arrival_rate_per_s,
        "mean_service_s": demand.mean_service_s,
        "service_scv": demand.service_scv,
        "concurrency": demand.concurrency,
        "slo": str(demand.objective),
        "slo_holds": fleet.holds,
        "offered_load_erlangs": demand.offered_load_erlangs,
        **_fleet(fleet),
        "predicted": {
            "wait": _wait(fleet.wait),
            "method": fleet.wait.method,
            "error_band": error_band(fleet, demand.service_scv),
        },
        "with_spare_gone": None if plan.spare_gone is None else _row(plan.spare_gone),
        "table": [_row(row) for row in plan.around],
    }


def error_band(fleet: Fleet, service_scv: float) -> str:
    """How far the closed form may be off, in words.

    The figures for other than exponential service were measured against simulation, for 25 to 500 slots.
    """
    if not fleet.keeps_up:
        return "none, for there is nothing to predict: the backlog grows without end"
    if service_scv == 1:
        return "exact for Poisson arrivals and exponential service in a steady state"
    return "p95 within about 10 % at utilisations of 0.9 to 0.98, 24 % at worst, measured for 25 to 500 slots"


def _row(fleet: Fleet) -> dict[str, Any]:
    return {"replicas": fleet.replicas, "slo_holds": fleet.holds, **_fleet(fleet), "wait": _wait(fleet.wait)}


def _fleet(fleet: Fleet) -> dict[str, Any]:
    return {"slots": fleet.slots, "utilisation": fleet.utilisation, "headroom": fleet.headroom}


def _wait(wait: WaitPrediction) -> dict[str, float | None]:
    quantiles = {f"p{q * 100:g}": wait.quantile_s(q) for q in (0.50, 0.95, 0.99)}
    values = {"p_wait": wait.p_wait, "mean": wait.mean_s, **quantiles}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}

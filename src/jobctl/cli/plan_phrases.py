"""Phrases that more than one part of a plan's screen uses."""

from __future__ import annotations

import math
from pathlib import PurePath

from jobctl.apps.plan.document import is_simulated
from jobctl.apps.plan.words import count_of, number, seconds_within
from jobctl.core.plans import Fleet, Plan
from jobctl.core.slo import Objective
from jobctl.core.units import SECONDS_PER_DAY

__all__ = [
    "is_endless",
    "is_plain",
    "names_window",
    "slots_of",
    "volume_of",
    "waits_of",
]


def slots_of(plan: Plan) -> str:
    """``25 slots``, or how many of them are of use."""
    of_use = " of use" if plan.limits.capped_by else ""
    return f"{count_of(plan.limits.effective_slots_per_replica, 'slot')}{of_use}"


def volume_of(plan: Plan) -> str:
    """``450,000 jobs/day (5.208/s)``."""
    rate_per_s = plan.limits.arrival_rate_per_s
    volume = f"{number(rate_per_s * SECONDS_PER_DAY)} jobs/day ({number(rate_per_s)}/s)"
    return volume if plan.demand.trace is None else f"{volume} as in {PurePath(plan.demand.trace.name).name}"


def names_window(plan: Plan) -> bool:
    """Whether it makes a difference which jobs the waits are of, and no promise says it itself."""
    silent = any(isinstance(promise, Objective) and promise.window is None for promise in plan.demand.promises)
    return silent and not is_plain(plan)


def waits_of(fleet: Fleet, *, bare: bool = False) -> str:
    """The waits, each with the interval in which simulation has it; a formula that is exact needs none."""
    wait, bands = fleet.wait, fleet.bands if is_simulated(fleet) and not bare else {}
    figures = {"mean": wait.mean_s, "p95": wait.p95_s, "p99": wait.p99_s}
    return ", ".join(f"{name} {seconds_within(value, bands.get(name))}" for name, value in figures.items())


def is_endless(fleet: Fleet) -> bool:
    """Whether the backlog grows without end."""
    return fleet.wait.mean_s is not None and math.isinf(fleet.wait.mean_s)


def is_plain(plan: Plan) -> bool:
    """Whether every hour is like the other."""
    return plan.demand.is_steady

"""Why a demand cannot be met, and what would relieve the limit that decides: one sentence each, with figures."""

from __future__ import annotations

import math
from typing import Final

from jobctl.core.capacity import backlog_growth_per_day
from jobctl.core.demand import Demand
from jobctl.core.plans import Binding, Fleet, Limits
from jobctl.core.units import SECONDS_PER_DAY

__all__ = ["what_relieves", "why_infeasible"]

_RELIEFS: Final = {
    Binding.DATABASE: "fewer connections a replica, a larger tier, or connections not held for the whole job",
    Binding.CPU: "less CPU a job, or more replicas of fewer slots",
    Binding.PLATFORM: "more slots a replica, shorter jobs, or a plan that allows more replicas",
    Binding.OBJECTIVE: "more slots a replica, shorter or steadier jobs, or a longer wait allowed",
    Binding.SLOTS: "more slots a replica, or shorter jobs",
}


def why_infeasible(demand: Demand, limits: Limits, broken: Binding, fleet: Fleet) -> str:
    """Why a fleet does not do.

    Args:
        demand: What it has to carry.
        limits: What follows from that.
        broken: The limit that it breaks.
        fleet: With every replica running.
    """
    upstream = limits.upstream_per_s
    if broken is Binding.UPSTREAM:
        if upstream is not None and limits.arrival_rate_per_s >= upstream:
            return f"the upstream admits {_volumes(demand, limits, upstream, fleet)}"
        return f"the upstream makes jobs wait too long: {'; '.join(fleet.broken)}"
    if broken is Binding.OBJECTIVE:
        unknown = fleet.on_edge or fleet.holds is None
        return (
            f"{'it could not be told within the budget' if unknown else 'the slots keep up, but jobs wait too long'}: "
            + ("; ".join(fleet.broken))
        )
    if broken is Binding.REDUNDANCY:
        return f"it holds, until {demand.spare} {'is' if demand.spare == 1 else 'are'} gone"
    if broken in {Binding.PLATFORM, Binding.DATABASE} and fleet.stable:
        return _too_many(demand, limits, broken, fleet)
    return f"{fleet.slots:,} slots carry {_volumes(demand, limits, fleet.ceiling_per_s, fleet)}"


def what_relieves(demand: Demand, limits: Limits, binding: Binding, *, feasible: bool) -> str:
    """What would relieve a limit; empty where none binds, or where nothing but the spare does."""
    if binding is Binding.REDUNDANCY:
        if feasible:
            return ""
        return f"{demand.spare} more {'replica' if demand.spare == 1 else 'replicas'}, or fewer spare"
    if binding is not Binding.UPSTREAM:
        return _RELIEFS.get(binding, "")
    attempts_a_minute = limits.peak_arrival_rate_per_s * limits.attempts_per_job * 60
    upstream, needs = demand.upstream, []
    if upstream.rpm is not None:
        needs.append(f"{math.ceil(attempts_a_minute * upstream.calls_per_job):,} calls")
    if upstream.tpm is not None and upstream.tokens_per_job:
        needs.append(f"{math.ceil(attempts_a_minute * upstream.tokens_per_job):,} tokens")
    return f"a limit above {' and '.join(needs)} a minute, or fewer of them a job"


def _volumes(demand: Demand, limits: Limits, carried_per_s: float, fleet: Fleet) -> str:
    carried, offered = carried_per_s * SECONDS_PER_DAY, limits.arrival_rate_per_s * SECONDS_PER_DAY
    growth = backlog_growth_per_day(demand, limits, fleet.slots)
    grows = f"+{growth:,.0f} a day" if growth >= 1 else "every slot is always busy"
    return f"{carried:,.0f} of {offered:,.0f} jobs/day: {grows}"


def _too_many(demand: Demand, limits: Limits, broken: Binding, fleet: Fleet) -> str:
    """More replicas than may be had."""
    database = demand.database
    if broken is Binding.PLATFORM:
        who = demand.max_replicas_reason or "the most that may be had"
        return f"{fleet.replicas:,} replicas are needed, and {who} allows {limits.max_replicas_platform:,}"
    times = "twice" if database.generations == 2 else f"{database.generations} times"
    return (
        f"{fleet.replicas:,} replicas of {database.connections_per_replica} connections, counted {times} for a deploy, "
        f"are more than {database.max_clients:,} clients; {limits.max_replicas_database:,} replicas fit"
    )

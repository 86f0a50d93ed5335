"""Why the answer of a plan is what it is: one line for each limit and figure, and where the figures came from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from jobctl.apps.plan.document import error_band, is_simulated
from jobctl.apps.plan.why import is_spared, promises_of, why_it_binds
from jobctl.apps.plan.words import (
    count_of,
    needed_by,
    number,
    probability,
    roughly,
    seconds,
    share,
    three_digits,
    usd,
    window_read,
)
from jobctl.cli.plan_phrases import is_endless, is_plain, names_window, waits_of
from jobctl.core.demand import Assumption
from jobctl.core.limiting import Tuning
from jobctl.core.plans import Binding, Fleet, Plan
from jobctl.core.prices import Prices, fleet_cost
from jobctl.core.units import SECONDS_PER_DAY, format_duration

__all__ = ["reasons", "sources"]

#: What a default comes to, where its value alone does not say it to everybody.
_MEANS: Final = {("shape", "steady"): " (no peak)"}
#: Fewer attempts or less peak than so much more than 1 is none.
_ROUNDING: Final = 1e-9


def reasons(plan: Plan, prices: Prices) -> Iterator[tuple[str, str]]:
    """Label and text of each line."""
    demand, limits, fleet = plan.demand, plan.limits, plan.all_running
    yield "load", _load(plan)
    if limits.attempts_per_job > 1 + _ROUNDING:
        yield (
            "retries",
            f"{limits.attempts_per_job:.4g} attempts and {seconds(limits.slot_seconds_per_job)} of a slot per job; "
            f"{share(limits.job_failure_rate)} of the jobs fail for good",
        )
    if limits.capped_by is not None:
        what = "its database connections" if limits.capped_by is Binding.DATABASE else "its interpreter's CPU"
        yield (
            "slots",
            f"{limits.effective_slots_per_replica:,} of the {demand.concurrency:,} of a replica: {what} "
            f"{'allow' if limits.capped_by is Binding.DATABASE else 'allows'} no more",
        )
    yield "utilisation", _utilisation(plan)
    yield "wait", _waits_in_window(plan, fleet)
    if demand.spare:
        yield f"{demand.spare} gone", _spare_gone(plan)
    if Binding.OBJECTIVE not in plan.required and not is_endless(fleet):
        verdict = {True: "holds", False: "would not hold", None: "is on the edge"}[fleet.holds]
        yield "objective", f"{promises_of(plan)} {verdict} (not asked for: give --slo)"
    yield "binding", f"{plan.binding}: {why_it_binds(plan)}"
    if plan.relief and not (plan.feasible and plan.binding is Binding.REDUNDANCY):
        yield "relief", plan.relief
    needed = _needed(plan)
    if needed:
        yield "needed", needed
    yield from _surroundings(plan)
    cost = fleet_cost(fleet.replicas, demand.machine, limits, prices)
    if cost is not None:
        yield (
            "cost",
            f"{usd(cost.per_month_usd)} a month, {usd(cost.per_million_jobs_usd)} per million jobs "
            f"({cost.prices.source})",
        )
    if not is_endless(fleet):
        yield "method", _method(plan)


def _surroundings(plan: Plan) -> Iterator[tuple[str, str]]:
    """What else limits the fleet, what it could carry, and what other demands would need."""
    limits, fleet = plan.limits, plan.all_running
    most = []
    if limits.upstream_per_s is not None:
        most.append(
            f"the upstream admits {number(limits.upstream_per_s)} jobs/s, "
            f"{number(limits.upstream_per_s * SECONDS_PER_DAY)} a day, and the workers' own limit lets through "
            f"{share(Tuning().window_s / Tuning().spread_s)} of that"
        )
    if limits.max_replicas_database is not None:
        most.append(f"the connections allow {count_of(limits.max_replicas_database, 'replica')}")
    if limits.max_replicas_platform is not None:
        who = plan.demand.max_replicas_reason or "the platform"
        most.append(f"{who} allows {count_of(limits.max_replicas_platform, 'replica')}")
    if most:
        yield "limits", "; ".join(most)
    if not is_plain(plan) and fleet.backlog_max:
        yield "backlog", _backlog(fleet)
    if plan.max_sustainable_per_day is not None:
        gone = f" with {plan.demand.spare} gone" if is_spared(plan) else ""
        shape = "" if is_plain(plan) else " of this shape"
        yield "at most", f"about {roughly(plan.max_sustainable_per_day)} jobs/day{shape} hold{gone}"
    whole, busiest = plan.answers.whole_day, plan.answers.busiest_hour
    if whole is not None and busiest is not None and whole != busiest:
        spare = plan.demand.spare
        yield (
            "windows",
            f"the busiest hour needs {count_of(busiest + spare, 'replica')}, the whole day {whole + spare:,}"
            + (f", {spare} spare among them" if spare else ""),
        )
    if plan.sensitivity:
        yield "what if", _other_questions(plan)


def sources(assumptions: Sequence[Assumption]) -> Iterator[tuple[str, str]]:
    """Where the figures came from: flags, each other source, defaults; each on a line of its own."""
    given = [f"{assumed.name} {assumed.value}" for assumed in assumptions if assumed.source.startswith("flag ")]
    found: dict[str, list[str]] = {}
    for assumed in assumptions:
        if not assumed.source.startswith("flag ") and assumed.source != "default":
            named = assumed.value if assumed.name == "from" else f"{assumed.name} {assumed.value}"
            found.setdefault(assumed.source, []).append(named)
    defaults = [
        f"{assumed.name} {assumed.value}{_MEANS.get((assumed.name, assumed.value), '')}"
        for assumed in assumptions
        if assumed.source == "default"
    ]
    if given:
        yield "given", ", ".join(given)
    for source, figures in found.items():
        yield "from", f"{source}: {'; '.join(figures)}"
    if defaults:
        yield "assumed", ", ".join(defaults)


def _load(plan: Plan) -> str:
    limits = plan.limits
    peak = limits.peak_arrival_rate_per_s
    times = peak / limits.arrival_rate_per_s
    at_peak = f" at peak ({number(times)}x mean)" if times > 1 + _ROUNDING else ""
    load, slots = limits.offered_load_erlangs, plan.all_running.slots
    work = f"{number(load)} of {slots:,} slots" if load < slots else f"{number(load)} slots; there are {slots:,}"
    return f"{number(peak)} jobs/s{at_peak} x {format_duration(limits.slot_seconds_per_job)} = work for {work}"


def _utilisation(plan: Plan) -> str:
    fleet, limits = plan.all_running, plan.limits
    full = f"full at {number(fleet.ceiling_per_s)} jobs/s"
    if limits.upstream_per_s is not None and fleet.ceiling_per_s >= limits.upstream_per_s:
        return f"{share(fleet.utilisation)} of the slots; the upstream is {full} ({three_digits(fleet.headroom_x)}x)"
    if is_plain(plan):
        full += f", {number(fleet.ceiling_per_s * SECONDS_PER_DAY)} a day"
    at_peak = "" if is_plain(plan) else " at the peak"
    times = f" ({three_digits(fleet.headroom_x)}x)" if fleet.utilisation < 1 else ""
    return f"{share(fleet.utilisation)}{at_peak}, headroom {share(fleet.headroom)}{times}; {full}"


def _waits_in_window(plan: Plan, fleet: Fleet) -> str:
    if is_endless(fleet):
        return "without end"
    over = f" over {window_read(plan.demand.window)}" if names_window(plan) else ""
    return f"P(wait) {probability(fleet.wait.p_wait)}, {waits_of(fleet)}{over}"


def _spare_gone(plan: Plan) -> str:
    fleet = plan.spare_gone
    if fleet is None:
        return "nothing is left"
    left = f"{count_of(fleet.replicas, 'replica')} left, utilisation {share(fleet.utilisation)}"
    if is_endless(fleet):
        return f"{left}: the backlog grows without end"
    verdict = {True: "holds", False: f"does not hold: {'; '.join(fleet.broken)}", None: "on the edge"}[fleet.holds]
    return f"{left}, p95 wait {seconds(fleet.wait.p95_s)}; {verdict}"


def _needed(plan: Plan) -> str:
    """How many it takes where a given number does not do; empty where it does, or where nobody knows."""
    spare, limits = plan.demand.spare, plan.limits
    if _does(plan.all_running) and (not spare or _does(plan.spare_gone)):
        return ""
    among = f", {spare} spare among them" if spare else ""
    running = {fleet.replicas: fleet for fleet in plan.around}
    for total, fleet in running.items():
        if _does(fleet) and (not spare or _does(running.get(total - spare))):
            return f"{count_of(total, 'replica')} for {promises_of(plan)}{among}"
    if plan.feasible or plan.binding is not Binding.SLOTS:
        return ""
    mean_load = limits.offered_load_erlangs * limits.arrival_rate_per_s / limits.peak_arrival_rate_per_s
    least = math.floor(mean_load / limits.effective_slots_per_replica) + 1 + spare
    return f"at least {count_of(least, 'replica')}{among}; leave --replicas out to search them"


def _does(fleet: Fleet | None) -> bool:
    return fleet is not None and fleet.holds is True


def _other_questions(plan: Plan) -> str:
    """``service time +20% needs 4, -20% needs 3; volume +20% needs 4``."""
    said, before = "", ""
    for other in plan.sensitivity:
        what, _, change = other.change.replace(" %", "%").rpartition(" ")
        needs = needed_by(other)
        start = f"{'; ' if said else ''}{what} " if what != before else ", "
        said, before = f"{said}{start}{change} needs {needs}", what
    return said


def _backlog(fleet: Fleet) -> str:
    said = f"at most {fleet.backlog_max:,} jobs"
    if fleet.drain_s is not None:
        said += f", cleared in {format_duration(fleet.drain_s)}"
    if fleet.burst_clear_s is not None:
        said += f"; a spike's last job starts after {format_duration(fleet.burst_clear_s)}"
    return said


def _method(plan: Plan) -> str:
    fleet = plan.all_running
    said = f"{fleet.method}: {error_band(plan, fleet)}"
    simulated = "" if is_simulated(fleet) else " simulated"
    return f"{said}; {plan.simulated_jobs:,} jobs{simulated}, seed {plan.seed}" if plan.simulated_jobs else said

"""Why the answer of a plan is what it is: one line for each limit and figure, and where the figures came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from jobctl.apps.plan.document import error_band
from jobctl.apps.plan.words import count_of, number, probability, seconds, share, three_digits, usd, window_read
from jobctl.cli.plan_phrases import is_endless, is_plain, is_spared, names_window, promises_of, waits_of
from jobctl.core.demand import Assumption
from jobctl.core.plans import Binding, Fleet, Plan
from jobctl.core.prices import Prices, fleet_cost
from jobctl.core.units import SECONDS_PER_DAY, format_duration

__all__ = ["reasons", "sources"]

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
    yield "binding", f"{plan.binding}: {_why(plan)}"
    if plan.relief:
        yield "relief", plan.relief
    if not plan.feasible and plan.answers.with_spare is not None:
        yield "needed", _needed(plan)
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
            f"{number(limits.upstream_per_s * SECONDS_PER_DAY)} a day"
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
        yield "at most", f"{number(plan.max_sustainable_per_day)} jobs/day{shape} hold{gone}"
    whole, busiest = plan.answers.whole_day, plan.answers.busiest_hour
    if whole is not None and busiest is not None and whole != busiest:
        yield "windows", f"the busiest hour takes {busiest:,} replicas, the whole day {whole:,}; spare not counted"
    if plan.sensitivity:
        yield "what if", "; ".join(_other(plan, other.change, other.replicas) for other in plan.sensitivity)


def sources(assumptions: Sequence[Assumption]) -> Iterator[tuple[str, str]]:
    """Where the figures came from: flags, other sources, defaults; each on a line of its own."""
    given = [f"{assumed.name} {assumed.value}" for assumed in assumptions if assumed.source.startswith("flag ")]
    found = [
        f"{assumed.name} {assumed.value} ({assumed.source})"
        for assumed in assumptions
        if not assumed.source.startswith("flag ") and assumed.source != "default"
    ]
    assumed = [f"{assumed.name} {assumed.value}" for assumed in assumptions if assumed.source == "default"]
    for label, figures in (("given", given), ("from", found), ("assumed", assumed)):
        if figures:
            yield label, ", ".join(figures)


def _load(plan: Plan) -> str:
    limits = plan.limits
    peak = limits.peak_arrival_rate_per_s
    times = peak / limits.arrival_rate_per_s
    at_peak = f" at the peak, {number(times)}x the mean," if times > 1 + _ROUNDING else ""
    held_s = limits.slot_seconds_per_job
    return (
        f"{number(peak)} jobs/s{at_peak} x {format_duration(held_s)} = "
        f"{number(limits.offered_load_erlangs)} erlangs on {plan.all_running.slots:,} slots"
    )


def _utilisation(plan: Plan) -> str:
    fleet = plan.all_running
    full = f"full at {number(fleet.ceiling_per_s)} jobs/s"
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
    return f"{left}, P(wait) {probability(fleet.wait.p_wait)}, {waits_of(fleet)}; {verdict}"


def _why(plan: Plan) -> str:
    spare = plan.demand.spare
    if plan.binding is Binding.NONE:
        return "one replica fewer would do as well"
    if not plan.feasible:
        whys = {
            Binding.SLOTS: "the load fills more slots than there are",
            Binding.OBJECTIVE: "the slots keep up, but a promise is broken",
            Binding.UPSTREAM: "it admits too few jobs, or makes them wait, however many replicas there are",
            Binding.DATABASE: "its connections allow fewer slots or replicas",
            Binding.CPU: "an interpreter's CPU leaves too few slots on each replica",
            Binding.PLATFORM: "fewer replicas may be had",
            Binding.REDUNDANCY: f"it holds, until {spare} {'is' if spare == 1 else 'are'} gone",
        }
        return whys[plan.binding]
    if plan.edge is not None:
        return "two numbers are too close to be told apart"
    gone = " and the spare gone" if is_spared(plan) else ""
    fewer = f"with one replica fewer{gone}"
    promises = promises_of(plan) if len(plan.demand.promises) == 1 else "a promise"
    return {
        Binding.SLOTS: f"{fewer} the slots could not keep up",
        Binding.OBJECTIVE: f"{fewer} {promises} would break",
        Binding.UPSTREAM: "it is what fills first",
        Binding.DATABASE: "connections leave fewer slots on each replica",
        Binding.CPU: "an interpreter's CPU leaves fewer slots on each replica",
        Binding.PLATFORM: "there may be no more replicas",
        Binding.REDUNDANCY: "the load needs fewer, but nothing would be left with the spare gone",
    }[plan.binding]


def _needed(plan: Plan) -> str:
    total = plan.answers.with_spare or 0
    hold = f"{'holds' if total == 1 else 'hold'} {promises_of(plan)}"
    spare = plan.demand.spare
    return f"{count_of(total, 'replica')} {hold}" + (f", {spare} spare among them" if spare else "")


def _other(plan: Plan, change: str, replicas: int | None) -> str:
    return f"{change} needs {'more than there can be' if replicas is None else f'{replicas:,}'}"


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
    return f"{said}; {plan.simulated_jobs:,} jobs simulated, seed {plan.seed}" if plan.simulated_jobs else said

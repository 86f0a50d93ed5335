"""The queue of an explanation: how long jobs wait at the planned peak, what bursts do, and what was simulated.

It is shown for all replicas and again with the spare gone, because that decides.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from jobctl.apps.plan.steps import FUNDAMENTALS, Note, Step, figure, put
from jobctl.apps.plan.words import count_of, moment, seconds, seconds_within, window_read
from jobctl.core.demand import Demand
from jobctl.core.plans import Fleet, Limits, Plan
from jobctl.core.queueing import (
    WaitPrediction,
    erlang_c,
    halfin_whitt,
    has_steady_state,
    kimura_factor,
    many_slots_relief,
    predict_wait,
)
from jobctl.core.screening import drain_time_s
from jobctl.core.slo import Drain

__all__ = ["queue_steps"]

#: Where nobody named a quantile.
_USUAL_QUANTILE: Final = 0.95
#: With more, no job waits by any formula, and there is nothing to check.
_MOST_SAFETY: Final = 6.0


def queue_steps(plan: Plan) -> Iterator[Step | Note]:
    """From the load and the slots to the waits."""
    for fleet, who in _fleets(plan):
        yield from _queue(plan, fleet, who)
    yield from _bursts(plan)
    yield from _square_root(plan)
    yield from _simulation(plan)


def _fleets(plan: Plan) -> Iterator[tuple[Fleet, str]]:
    """The fleets whose queue is shown: all of it, and what is left when the spare is gone."""
    yield plan.all_running, "all running"
    if plan.spare_gone is not None and plan.demand.spare:
        yield plan.spare_gone, f"{plan.demand.spare} gone"


def _queue(plan: Plan, fleet: Fleet, who: str) -> Iterator[Step | Note]:
    limits, demand = plan.limits, plan.demand
    load, slots = limits.offered_load_erlangs, fleet.slots
    yield Step(
        f"utilisation at the peak, {who}",
        "r = a / c",
        f"{put(load)} / {slots}",
        fleet.utilisation,
        "",
        "Erlang 1917",
        "at 1: the backlog grows for as long as the peak lasts",
    )
    if not has_steady_state(slots, load):
        yield Note(
            f"waits at the peak, {who}",
            "no closed form: the slots do not keep up with the peak, so there is no steady state. What the wait comes "
            "to depends on how long the peak lasts.",
        )
        return
    yield Step(
        f"probability to wait, {who}",
        "C = C(c, a), Erlang C",
        f"C({slots}, {put(load)})",
        erlang_c(slots, load),
        "",
        f"Erlang 1917; {FUNDAMENTALS}, ch. 2",
        "for batches and bursts: it assumes Poisson arrivals and exponential service",
    )
    yield from _mean_wait(demand, limits, slots, who)
    quantiles = {objective.quantile for objective in demand.objectives if objective.signal == "wait"}
    for quantile in sorted({quantile for quantile in quantiles if quantile} or {_USUAL_QUANTILE}):
        yield _tail_quantile(demand, limits, slots, quantile, who)


def _mean_wait(demand: Demand, limits: Limits, slots: int, who: str) -> Iterator[Step]:
    load, slot_s = limits.offered_load_erlangs, limits.slot_s
    p_wait = erlang_c(slots, load)
    exponential_s = p_wait * slot_s / (slots - load)
    predicted = _predicted(demand, limits, slots)
    yield Step(
        f"mean wait as M/M/c, {who}",
        "W = C S / (c - a)",
        f"{put(p_wait)} x {put(slot_s)} / ({slots} - {put(load)})",
        exponential_s,
        "s",
        f"{FUNDAMENTALS}, ch. 2",
        "" if predicted.method == "M/M/c" else "where not all is exponential: the next step mends that",
    )
    scv, k = limits.slot_scv, put(limits.slot_scv)
    if "Kimura" in predicted.method:
        relief = many_slots_relief(slots, load)
        yield Step(
            f"Cosmetatos' relief g for constant service, {who}",
            "g = min(1, (1 - r) (c - 1) (sqrt(4 + 5 c) - 2) / (16 r c))",
            f"min(1, (1 - {put(load)} / {slots}) x ({slots} - 1) x (sqrt(4 + 5 x {slots}) - 2) / (16 x {put(load)}))",
            relief,
            "",
            "Cosmetatos 1976",
        )
        yield Step(
            f"mean wait for this service time, {who}",
            "W (1 + k) (1 + g) / (2 (1 + k g)), k the SCV of the slot time",
            f"{put(exponential_s)} x (1 + {k}) x (1 + {put(relief)}) / (2 x (1 + {k} x {put(relief)}))",
            exponential_s * kimura_factor(scv, slots, load),
            "s",
            "Kimura 1994",
            "by about 10 % at utilisations of 0.9 to 0.98 and 24 % at worst, measured for 25 to 500 slots",
        )
    elif "Allen-Cunneen" in predicted.method:
        gaps = demand.arrivals.scv
        yield Step(
            f"mean wait for these arrivals and this service time, {who}",
            "W (ka + k) / 2, the SCVs of the gaps and of the slot time",
            f"{put(exponential_s)} x ({put(gaps)} + {k}) / 2",
            predicted.mean_s,
            "s",
            "Allen 1990 (Allen-Cunneen)",
            "for batches and bursts on many slots: it then says zero where waits are long",
        )


def _tail_quantile(demand: Demand, limits: Limits, slots: int, quantile: float, who: str) -> Step:
    predicted = _predicted(demand, limits, slots)
    name, source = f"p{100 * quantile:.10g} wait at the peak, {who}", f"{FUNDAMENTALS}, ch. 2: an exponential tail"
    breaks = "for all but M/M/c, where it is exact; least near utilisation 1"
    if predicted.p_wait <= 1 - quantile:
        formula = f"0, because C <= {put(1 - quantile)}: so few jobs wait at all"
        return Step(name, formula, "", 0.0, "s", source, breaks)
    return Step(
        name,
        "(W / C) ln(C / (1 - q))",
        f"{put(predicted.mean_s)} / {put(predicted.p_wait)} x ln({put(predicted.p_wait)} / (1 - {put(quantile)}))",
        predicted.quantile_s(quantile),
        "s",
        source,
        breaks,
    )


def _bursts(plan: Plan) -> Iterator[Step]:
    """How long bursts take, as a fluid."""
    demand, limits = plan.demand, plan.limits
    sizes = {promise.jobs: str(promise) for promise in demand.promises if isinstance(promise, Drain)}
    sizes |= {spike.jobs: f"the spike of {spike.jobs:,} jobs" for spike in demand.profile.spikes}
    for fleet, who in _fleets(plan):
        for jobs, words in sorted(sizes.items()):
            full_per_s = fleet.slots / limits.slot_seconds_per_job
            carried = full_per_s if limits.upstream_per_s is None else min(full_per_s, limits.upstream_per_s)
            took_s = drain_time_s(demand, limits, fleet.slots, jobs)
            if math.isfinite(took_s):
                yield Step(
                    f"drain time, {who} ({words})",
                    "jobs / (most that is carried - l in the busiest hour)",
                    f"{jobs} / ({put(carried)} - {put(demand.profile.busiest_hour_per_s)})",
                    took_s,
                    "s",
                    'a fluid: Newell 1982, "Applications of Queueing Theory", ch. 2',
                    "for small bursts, whose last jobs still have to be served",
                )


def _square_root(plan: Plan) -> Iterator[Step]:
    """The safety that the fleet has, as a cross-check that shares no code with Erlang C."""
    load = plan.limits.offered_load_erlangs
    for fleet, who in _fleets(plan):
        safety = (fleet.slots - load) / math.sqrt(load) if load > 0 else math.inf
        if has_steady_state(fleet.slots, load) and safety <= _MOST_SAFETY:
            yield Step(
                f"cross-check: square-root staffing, {who}",
                "b in c = a + b sqrt(a)",
                f"({fleet.slots} - {put(load)}) / sqrt({put(load)})",
                safety,
                "",
                'Halfin & Whitt 1981, "Heavy-traffic limits for queues with many exponential servers"',
            )
            yield Step(
                f"cross-check: probability to wait by that, {who}",
                "1 / (1 + b F(b) / f(b)), F and f of the standard normal",
                f"1 / (1 + {put(safety)} x F({put(safety)}) / f({put(safety)}))",
                halfin_whitt(fleet.slots, load),
                "",
                "the same",
                f"for few slots; Erlang C says {figure(erlang_c(fleet.slots, load))}",
            )


def _simulation(plan: Plan) -> Iterator[Note]:
    if not plan.simulated_jobs:
        yield Note("simulation", "none: the closed forms alone decided.")
        return
    demand = plan.demand
    yield Note(
        "simulation",
        f"{plan.simulated_jobs:,} jobs in all, seed {plan.seed}: {demand.profile.name}, arrivals {demand.arrivals}, "
        "one queue in order of arrival, retries, timeouts and the upstream's limit as given. Bands hold the true "
        "figure with 95 % confidence, a verdict needs 99.9 % (99 % where whole days are judged).",
    )
    named = [fleet for fleet in (plan.all_running, plan.spare_gone, plan.fewer) if fleet is not None]
    for fleet in {fleet.replicas: fleet for fleet in named if fleet.readings}.values():
        yield Note(f"simulated: {count_of(fleet.replicas, 'replica')}", _simulated(plan, fleet))


def _simulated(plan: Plan, fleet: Fleet) -> str:
    parts = [f"{name} wait {seconds_within(value, fleet.bands.get(name))}" for name, value in _waits(fleet)]
    period_s = plan.demand.profile.period_s
    windows = [
        f"{window_read(window)} from {moment(reading.start_s, period_s)}: p95 {seconds(reading.waits.p95_s)}"
        for window, reading in fleet.readings.items()
    ]
    verdict = {True: "every promise holds", False: f"broken: {'; '.join(fleet.broken)}", None: "could not be told"}
    sentence = ", ".join(parts) + "; " + verdict[fleet.holds]
    return f"{sentence}. By window: {'; '.join(windows)}." if windows else f"{sentence}."


def _waits(fleet: Fleet) -> list[tuple[str, float]]:
    values = (("mean", fleet.wait.mean_s), ("p95", fleet.wait.p95_s), ("p99", fleet.wait.p99_s))
    return [(name, value) for name, value in values if value is not None]


def _predicted(demand: Demand, limits: Limits, slots: int) -> WaitPrediction:
    """The closed form at the planned peak, retries among the arrivals."""
    return predict_wait(
        arrival_rate_per_s=limits.peak_arrival_rate_per_s * limits.attempts_per_job,
        mean_service_s=limits.slot_s,
        slots=slots,
        arrival_scv=demand.arrivals.scv,
        service_scv=limits.slot_scv,
    )

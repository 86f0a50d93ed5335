"""A plan as a person sees it."""

from __future__ import annotations

import math

from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobctl.apps.plan.document import error_band
from jobctl.core.planning import Binding, Demand, Fleet, Plan
from jobctl.core.units import SECONDS_PER_DAY, format_duration

__all__ = ["render_plan"]

_WHY = {
    Binding.SLOTS: "the slots must keep up with the load",
    Binding.OBJECTIVE: "the objective needs more than keeping up",
    Binding.REDUNDANCY: "the objective must hold with the spare gone",
    Binding.GIVEN: "the number was given",
}


def render_plan(plan: Plan) -> None:
    """Print a plan."""
    console = Console()
    demand, fleet = plan.demand, plan.all_running
    console.print(Text(_answer(plan), style="bold" if plan.feasible else "bold red"))
    console.print()
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    rows = [
        (
            "load",
            f"{demand.arrival_rate_per_s:.4g} jobs/s x {format_duration(demand.mean_service_s)} = "
            f"{demand.offered_load_erlangs:.4g} erlangs on {fleet.slots} slots",
        ),
        (
            "utilisation",
            f"{fleet.utilisation:.1%}, headroom {fleet.headroom:.1%} ({_times(fleet)} today's load would fill the slots)",
        ),
        ("wait", _wait(fleet)),
        ("with spare gone", _spare_gone(plan)),
        ("binding", f"{plan.binding}: {_WHY[plan.binding]}"),
        ("method", f"{fleet.wait.method}; {error_band(demand.service_scv)}"),
    ]
    for name, value in rows:
        grid.add_row(name, value)
    console.print(grid, highlight=False)
    console.print()
    console.print(_table(plan))


def _answer(plan: Plan) -> str:
    demand, fleet = plan.demand, plan.all_running
    volume = f"{demand.arrival_rate_per_s * SECONDS_PER_DAY:,.0f} jobs/day ({demand.arrival_rate_per_s:.4g}/s)"
    fleet_words = f"{fleet.replicas} {_noun(fleet.replicas)} of {demand.concurrency} slots"
    spare = f" with {demand.spare} gone" if demand.spare else ""
    if plan.feasible:
        return f"{fleet_words} carry {volume}: {demand.objective} holds{spare}."
    if fleet.utilisation >= 1:
        growth = (fleet.utilisation - 1) * fleet.slots / demand.mean_service_s * SECONDS_PER_DAY
        return f"{fleet_words} cannot keep up with {volume}: the backlog grows by {growth:,.0f} jobs a day."
    return f"{fleet_words} do not hold {demand.objective}{spare} at {volume}."


def _spare_gone(plan: Plan) -> str:
    if plan.demand.spare == 0:
        return "no spare was asked for"
    if plan.spare_gone is None:
        return "nothing would be left"
    fleet = plan.spare_gone
    verdict = "holds" if fleet.holds else "does not hold"
    return f"{fleet.replicas} {_noun(fleet.replicas)}, utilisation {fleet.utilisation:.1%}, {_wait(fleet)}; {verdict}"


def _wait(fleet: Fleet) -> str:
    if math.isinf(fleet.wait.mean_s):
        return "grows without end"
    mean, p95, p99 = (
        _three(value) for value in (fleet.wait.mean_s, fleet.wait.quantile_s(0.95), fleet.wait.quantile_s(0.99))
    )
    return f"P(wait) {fleet.wait.p_wait:.4f}, mean {mean}, p95 {p95}, p99 {p99}"


def _table(plan: Plan) -> Table:
    table = Table(show_edge=False, pad_edge=False, header_style="dim")
    for name in ("replicas", "slots", "utilisation", "headroom", "P(wait)", "p50", "p95", "p99", "holds", "one gone"):
        table.add_column(name, justify="right")
    for fleet in plan.around:
        quantiles = [_three(fleet.wait.quantile_s(q)) for q in (0.50, 0.95, 0.99)]
        table.add_row(
            str(fleet.replicas),
            str(fleet.slots),
            f"{fleet.utilisation:.1%}",
            _times(fleet),
            f"{fleet.wait.p_wait:.4f}",
            *quantiles,
            "yes" if fleet.holds else "no",
            _one_gone(plan.demand, fleet),
            style="bold" if fleet.replicas == plan.all_running.replicas else "",
        )
    return table


def _one_gone(demand: Demand, fleet: Fleet) -> str:
    from jobctl.core.planning import evaluate

    return "yes" if fleet.replicas > 1 and evaluate(demand, fleet.replicas - 1).holds else "no"


def _times(fleet: Fleet) -> str:
    return f"{1 / fleet.utilisation:.3g}x"


def _three(seconds: float) -> str:
    return "endless" if math.isinf(seconds) else format_duration(seconds)


def _noun(replicas: int) -> str:
    return "replica" if replicas == 1 else "replicas"

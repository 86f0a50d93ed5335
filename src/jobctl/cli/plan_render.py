"""A plan as a person sees it: the answer, then why, then its neighbours.

The lines are made from the plan and a width alone; printing them is a step of its own. Nothing here needs more than
strings, so the command starts fast.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

import typer

from jobctl.apps.plan.document import error_band
from jobctl.core.sizing import Binding, Demand, Fleet, Plan, evaluate, fewest_replicas
from jobctl.core.units import SECONDS_PER_DAY, format_duration

__all__ = ["describe", "print_plan"]

_LABEL_WIDTH: Final = 13
#: Below this a probability, and below this many seconds a wait above 0, is called small rather than written out.
_SMALL_PROBABILITY: Final = 1e-4
_SMALL_S: Final = 1e-3
#: Waits are compared in seconds; only beyond this many does another unit read better.
_MANY_S: Final = 1000.0


def print_plan(plan: Plan) -> None:
    """Print a plan: folded to the width of a terminal, one fact a line in a pipe."""
    terminal = sys.stdout.isatty()
    answer, *rest = describe(plan, shutil.get_terminal_size().columns if terminal else None)
    typer.secho(answer, bold=True, fg=None if plan.feasible else typer.colors.RED)
    for line in rest:
        typer.echo(line)


def describe(plan: Plan, width: int | None) -> Iterator[str]:
    """A plan as lines of text, the answer first.

    Args:
        plan: The plan.
        width: Columns to fold text to; None leaves every line whole. The table is never folded.
    """
    yield _fold(_answer(plan), width)
    yield ""
    for name, value in _reasons(plan):
        yield _fold(f"{name:<{_LABEL_WIDTH}}{value}", width, indent=_LABEL_WIDTH)
    yield ""
    yield from _table(plan)


def _answer(plan: Plan) -> str:
    demand, fleet = plan.demand, plan.all_running
    rate_per_s = demand.arrival_rate_per_s
    volume = f"{_number(rate_per_s * SECONDS_PER_DAY)} jobs/day ({_number(rate_per_s)}/s)"
    one = fleet.replicas == 1
    who = f"{_replicas(fleet.replicas)} of {demand.concurrency} slots"
    if not fleet.keeps_up:
        return f"{who} cannot keep up with {volume}: {_growth(demand, fleet)}."
    if plan.binding is Binding.OBJECTIVE and not plan.feasible:
        return f"{who} {'breaks' if one else 'break'} {_quoted(demand)} at {volume}: {_statistic(demand, fleet)}."
    carry = f"{who} {'carries' if one else 'carry'} {volume}"
    if not plan.feasible:
        return f"{carry}, but not with {demand.spare} gone."
    if Binding.OBJECTIVE not in plan.required:
        return f"{carry} at a utilisation of {_share(fleet.utilisation)}: wait {_waits(demand, fleet)}."
    even = f", even with {demand.spare} gone" if Binding.REDUNDANCY in plan.required and demand.spare else ""
    return f"{carry}: {_quoted(demand)} holds{even}."


def _reasons(plan: Plan) -> Iterator[tuple[str, str]]:
    demand, fleet = plan.demand, plan.all_running
    yield (
        "load",
        f"{_number(demand.arrival_rate_per_s)} jobs/s x {format_duration(demand.mean_service_s)} = "
        f"{_number(demand.offered_load_erlangs)} erlangs on {fleet.slots:,} slots",
    )
    full_per_s = fleet.slots / demand.mean_service_s
    yield (
        "utilisation",
        f"{_share(fleet.utilisation)}, headroom {_share(fleet.headroom)}; the slots are full at {_number(full_per_s)} "
        f"jobs/s, {_number(full_per_s * SECONDS_PER_DAY)} a day",
    )
    yield "wait", f"P(wait) {_probability(fleet)}, {_waits(demand, fleet)}" if fleet.keeps_up else "without end"
    if demand.spare:
        yield f"{demand.spare} gone", _spare_gone(plan)
    if Binding.OBJECTIVE not in plan.required and fleet.keeps_up:
        yield (
            "objective",
            f"{_quoted(demand)} {'holds' if fleet.holds else 'would not hold'} (not asked for: give --slo)",
        )
    yield "binding", f"{plan.binding}: {_why(plan)}"
    if not plan.feasible:
        yield "needed", _needed(demand)
    if fleet.keeps_up:
        yield "method", f"{fleet.wait.method}: {error_band(fleet, demand.service_scv)}"


def _growth(demand: Demand, fleet: Fleet) -> str:
    a_day = (fleet.utilisation - 1) * fleet.slots / demand.mean_service_s * SECONDS_PER_DAY
    return f"the backlog grows by {_number(a_day)} jobs a day" if a_day >= 1 else "every slot is always busy"


def _spare_gone(plan: Plan) -> str:
    fleet = plan.spare_gone
    if fleet is None:
        return "nothing is left"
    left = f"{_replicas(fleet.replicas)} left, utilisation {_share(fleet.utilisation)}"
    if not fleet.keeps_up:
        return f"{left}: the backlog grows without end"
    verdict = "holds" if fleet.holds else "does not hold"
    return f"{left}, P(wait) {_probability(fleet)}, {_waits(plan.demand, fleet)}; {_quoted(plan.demand)} {verdict}"


def _why(plan: Plan) -> str:
    demand = plan.demand
    if plan.binding is Binding.NONE:
        return "one replica fewer would do as well"
    if not plan.feasible:
        return {
            Binding.SLOTS: "the load fills more slots than there are",
            Binding.OBJECTIVE: "the slots keep up, but jobs wait too long",
            Binding.REDUNDANCY: f"it holds, until {demand.spare} {'is' if demand.spare == 1 else 'are'} gone",
        }[plan.binding]
    gone = " and the spare gone" if Binding.REDUNDANCY in plan.required and demand.spare else ""
    return {
        Binding.SLOTS: f"with one replica fewer{gone} the slots could not keep up",
        Binding.OBJECTIVE: f"with one replica fewer{gone} jobs would wait too long",
        Binding.REDUNDANCY: "the load needs one replica, but nothing would be left with the spare gone",
    }[plan.binding]


def _needed(demand: Demand) -> str:
    carrying = fewest_replicas(demand)
    if carrying is None:
        return "more slots than any fleet has: check the units of the volume and of the service time"
    total = carrying + demand.spare
    hold = f"{'holds' if total == 1 else 'hold'} {_quoted(demand)}"
    return f"{_replicas(total)} {hold}" + (f", {demand.spare} spare among them" if demand.spare else "")


def _table(plan: Plan) -> Iterator[str]:
    demand = plan.demand
    quantiles = _quantiles(demand)[-2:]
    heads = ["replicas", "slots", "utilisation", "P(wait)", *map(_percentile, quantiles), "holds"]
    rows = [_cells(fleet, quantiles) for fleet in plan.around]
    if demand.spare:
        heads.append(f"{demand.spare} gone")
        for row, fleet in zip(rows, plan.around, strict=True):
            row.append(_yes(_holds_without_spare(plan, fleet)))
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    yield "  " + _aligned(heads, widths)
    for row, fleet in zip(rows, plan.around, strict=True):
        marker = "> " if fleet.replicas == plan.all_running.replicas else "  "
        yield marker + _aligned(row, widths)


def _cells(fleet: Fleet, quantiles: Sequence[float]) -> list[str]:
    waits = [_seconds(fleet.wait.quantile_s(q)) if fleet.keeps_up else "endless" for q in quantiles]
    return [
        f"{fleet.replicas:,}",
        f"{fleet.slots:,}",
        _share(fleet.utilisation),
        _probability(fleet),
        *waits,
        _yes(fleet.holds),
    ]


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))


def _holds_without_spare(plan: Plan, fleet: Fleet) -> bool:
    remaining = fleet.replicas - plan.demand.spare
    return remaining > 0 and evaluate(plan.demand, remaining).holds


def _waits(demand: Demand, fleet: Fleet) -> str:
    quantiles = [f"{_percentile(q)} {_seconds(fleet.wait.quantile_s(q))}" for q in _quantiles(demand)]
    return ", ".join([f"mean {_seconds(fleet.wait.mean_s)}", *quantiles])


def _quantiles(demand: Demand) -> list[float]:
    """Those that are always shown and the objective's own."""
    return sorted({0.95, 0.99} | ({demand.objective.quantile} if demand.objective.quantile else set()))


def _percentile(q: float) -> str:
    return f"p{q * 100:.10g}"


def _statistic(demand: Demand, fleet: Fleet) -> str:
    quantile = demand.objective.quantile
    if quantile is None:
        return f"the mean is {_seconds(fleet.wait.mean_s)}"
    return f"{_percentile(quantile)} is {_seconds(fleet.wait.quantile_s(quantile))}"


def _quoted(demand: Demand) -> str:
    return f'"{demand.objective}"'


def _probability(fleet: Fleet) -> str:
    p_wait = fleet.wait.p_wait
    return f"<{_SMALL_PROBABILITY:g}" if p_wait < _SMALL_PROBABILITY else f"{p_wait:.4f}"


def _seconds(seconds: float) -> str:
    """Three digits, in seconds wherever that reads well."""
    if 0 < seconds < _SMALL_S:
        return f"<{_SMALL_S:g} s"
    if seconds == 0 or seconds >= _MANY_S:
        return format_duration(seconds)
    return f"{seconds:#.3g}".rstrip(".") + " s"


def _share(share: float) -> str:
    """A percentage to one decimal; to two where one would say all or nothing."""
    coarse = f"{share:.1%}"
    return f"{share:.2%}" if coarse in {"0.0%", "100.0%"} and share != 1 else coarse


def _number(value: float) -> str:
    """Four digits, and thousands written out."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _replicas(number: int) -> str:
    return f"{number:,} {'replica' if number == 1 else 'replicas'}"


def _yes(truth: bool) -> str:
    return "yes" if truth else "no"


def _fold(text: str, width: int | None, indent: int = 0) -> str:
    if width is None:
        return text
    return textwrap.fill(text, max(width, 2 * _LABEL_WIDTH), subsequent_indent=" " * indent, break_on_hyphens=False)

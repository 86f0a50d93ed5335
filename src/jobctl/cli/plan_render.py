"""A plan as a person sees it: the answer, then why, then its neighbours, then the day hour by hour.

The lines are made from the plan and a width alone; printing them is a step of its own. Nothing here needs more than
strings, so the command starts fast.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import typer

from jobctl.apps.plan.why import is_spared, promises_of
from jobctl.apps.plan.words import count_of, number, share
from jobctl.cli.consoles import fold, terminal_width
from jobctl.cli.plan_hours import hours_lines
from jobctl.cli.plan_phrases import is_endless, names_window, slots_of, volume_of, waits_of
from jobctl.cli.plan_reasons import reasons, sources
from jobctl.cli.plan_table import CHOSEN, table_lines
from jobctl.core.demand import Assumption
from jobctl.core.plans import Binding, Plan
from jobctl.core.prices import RAILWAY, Prices

__all__ = ["describe", "print_plan"]

_LABEL_WIDTH: Final = 13


def print_plan(plan: Plan, assumptions: Sequence[Assumption] = (), prices: Prices = RAILWAY) -> None:
    """Print a plan: folded to the width of a terminal, one fact a line in a pipe."""
    width = terminal_width()
    answer, *rest = describe(plan, assumptions, width, prices)
    typer.secho(answer, bold=True, fg=_colour(plan))
    for line in rest:
        typer.secho(line, bold=line.startswith(CHOSEN))


def describe(
    plan: Plan, assumptions: Sequence[Assumption], width: int | None, prices: Prices = RAILWAY
) -> Iterator[str]:
    """A plan as lines of text, the answer first; where the backlog of every neighbour grows, they are left out.

    Args:
        plan: The plan.
        assumptions: The figures it rests on.
        width: Columns of the terminal, to which text is folded and the table fitted; None leaves every line whole and
            writes the day as figures, one hour a line.
        prices: What the platform asks.
    """
    yield fold(_answer(plan), width)
    yield ""
    for name, value in [*reasons(plan, prices), *sources(assumptions)]:
        yield fold(f"{name:<{_LABEL_WIDTH}}{value}", width, indent=_LABEL_WIDTH)
    if not all(map(is_endless, plan.around)):
        yield ""
        yield from table_lines(plan, width, prices)
    hours = list(hours_lines(plan, width))
    if hours:
        yield ""
        yield from hours


def _colour(plan: Plan) -> str | None:
    if plan.feasible is False:
        return typer.colors.RED
    return typer.colors.YELLOW if plan.on_edge else None


def _answer(plan: Plan) -> str:
    fleet = plan.all_running
    who, volume = _who(plan), volume_of(plan)
    gone = f" with {plan.demand.spare} gone" if is_spared(plan) else ""
    carry = f"{who} {'carries' if fleet.replicas == 1 else 'carry'} {volume}"
    undecided = plan.on_edge and not plan.helpless
    if undecided and (plan.feasible or plan.binding in {Binding.OBJECTIVE, Binding.REDUNDANCY}):
        return _on_the_edge(plan, who, volume, gone)
    if not plan.feasible:
        return _refusal(plan, who, volume, carry)
    if Binding.OBJECTIVE not in plan.required and fleet.utilisation >= 1:
        return (
            f"{carry} over the day, but not at its peak, which asks for {share(fleet.utilisation)} of the slots: "
            f"wait {waits_of(fleet, bare=True)}."
        )
    if Binding.OBJECTIVE not in plan.required:
        return f"{carry} at a utilisation of {share(fleet.utilisation)}: wait {waits_of(fleet, bare=True)}."
    hold = "holds" if len(plan.demand.promises) == 1 else "hold"
    over = f" over {plan.demand.window.words}" if names_window(plan) else ""
    return f"{carry}: {promises_of(plan)} {hold}{over}{', even' if gone else ''}{gone}."


def _on_the_edge(plan: Plan, who: str, volume: str, gone: str) -> str:
    """Two numbers, or a given one, of which is said what the exit code makes of it."""
    counts = {True: "; it counts as kept", False: "; it counts as broken", None: "; a larger --budget may tell"}
    low, which, said = plan.all_running.replicas, who, counts[plan.feasible]
    if plan.edge is not None:
        low, high = plan.edge
        which, said = f"{low:,} or {high:,} replicas of {slots_of(plan)}", ""
    return (
        f"On the edge: {which} for {volume}: the simulation could not tell within its budget whether {low:,} "
        f"{'keeps' if low == 1 else 'keep'} {promises_of(plan)}{gone}{said}."
    )


def _refusal(plan: Plan, who: str, volume: str, carry: str) -> str:
    fleet = plan.all_running
    if plan.helpless:
        return f"No number of replicas will do for {volume}: {plan.reason}."
    if plan.binding is Binding.SLOTS:
        return f"{who} cannot keep up with {volume}: {_growth(plan)}."
    if plan.binding is Binding.OBJECTIVE:
        breaks = "breaks" if fleet.replicas == 1 else "break"
        return f"{who} {breaks} {'; '.join(fleet.broken)} at {volume}."
    if plan.binding is Binding.REDUNDANCY:
        return f"{carry}, but not with {plan.demand.spare} gone."
    return f"{who} will not do for {volume}: {plan.reason}."


def _growth(plan: Plan) -> str:
    if plan.backlog_growth_per_day >= 1:
        return f"the backlog grows by {number(plan.backlog_growth_per_day)} jobs a day"
    return "every slot is always busy"


def _who(plan: Plan) -> str:
    return f"{count_of(plan.all_running.replicas, 'replica')} of {slots_of(plan)}"

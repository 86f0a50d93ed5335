"""The table of a plan: fleets of two replicas fewer to three more, beside each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from jobctl.apps.plan.words import probability, seconds, share, usd, within, yes
from jobctl.core.plans import Fleet, Plan
from jobctl.core.prices import RAILWAY, Prices, fleet_cost

__all__ = ["CHOSEN", "table_lines"]

#: What the row of the answer begins with.
CHOSEN: Final = "> "
_GAP: Final = 2


@dataclass(frozen=True, slots=True)
class _Column:
    """One column.

    Attributes:
        head: Its title.
        cells: A text for each row.
        worth: Where the terminal is narrow the columns of the least worth are left out.
    """

    head: str
    cells: Sequence[str]
    worth: int

    @property
    def width(self) -> int:
        """Of its widest text."""
        return max(map(len, [self.head, *self.cells]))


def table_lines(plan: Plan, width: int | None, prices: Prices = RAILWAY) -> Iterator[str]:
    """The table, head first; the row of the answer is marked.

    Args:
        plan: The plan.
        width: Columns that there are; None for as many as it takes.
        prices: What the platform asks.
    """
    columns = _fitting(_columns(plan, prices), width)
    yield " " * len(CHOSEN) + _aligned([(column.head, column.width) for column in columns])
    for number, fleet in enumerate(plan.around):
        marker = CHOSEN if fleet.replicas == plan.all_running.replicas else " " * len(CHOSEN)
        yield marker + _aligned([(column.cells[number], column.width) for column in columns])


def _columns(plan: Plan, prices: Prices) -> list[_Column]:
    fleets = plan.around

    def each(write: Callable[[Fleet], str]) -> list[str]:
        return [write(fleet) for fleet in fleets]

    columns = [
        _Column("replicas", each(lambda fleet: f"{fleet.replicas:,}"), 10),
        _Column("slots", each(lambda fleet: f"{fleet.slots:,}"), 0),
        _Column("utilisation", each(lambda fleet: share(fleet.utilisation)), 7),
        _Column("P(wait)", each(lambda fleet: probability(fleet.wait.p_wait)), 2),
        _Column("p50", each(lambda fleet: seconds(fleet.wait.p50_s)), 1),
        _Column("p95", each(lambda fleet: seconds(fleet.wait.p95_s)), 9),
        _Column("95% band", each(lambda fleet: within(fleet.bands.get("p95"))), 4),
        _Column("p99", each(lambda fleet: seconds(fleet.wait.p99_s)), 5),
        _Column("a month", each(lambda fleet: _cost(plan, fleet, prices)), 3),
        _Column("holds", each(lambda fleet: yes(fleet.holds)), 8),
        _Column("1 gone", list(map(yes, plan.holds_one_gone)), 6),
    ]
    return [column for column in columns if set(column.cells) != {""}]


def _fitting(columns: Sequence[_Column], width: int | None) -> list[_Column]:
    kept = list(columns)
    while width is not None and _needed(kept) > width and len(kept) > 1:
        kept.remove(min(kept, key=lambda column: column.worth))
    return kept


def _needed(columns: Sequence[_Column]) -> int:
    return len(CHOSEN) + sum(column.width + _GAP for column in columns) - _GAP


def _aligned(cells: Sequence[tuple[str, int]]) -> str:
    return (" " * _GAP).join(cell.rjust(width) for cell, width in cells)


def _cost(plan: Plan, fleet: Fleet, prices: Prices) -> str:
    cost = fleet_cost(fleet.replicas, plan.demand.machine, plan.limits, prices)
    return "" if cost is None else usd(cost.per_month_usd)

"""The simulated day of a plan, hour by hour: blocks for a terminal, figures for a pipe.

It shows the fleet that the promise is made for: what is left with the spare gone, where that was simulated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Final

from jobctl.apps.plan.why import day_of
from jobctl.apps.plan.words import clock_time, count_of, number, seconds, share, three_digits
from jobctl.cli.plan_phrases import is_plain
from jobctl.core.plans import Fleet, Hour, Plan
from jobctl.core.slo import Objective
from jobctl.core.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, format_duration

__all__ = ["hours_lines"]

_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
_LABEL_WIDTH: Final = 13
#: Room for the range behind a row of blocks.
_RANGE_WIDTH: Final = 19
_GAP: Final = "  "
#: An hour with so much of the most arrivals is as busy as the busiest.
_AS_BUSY: Final = 0.999
#: A row has no more columns of blocks than this; more hours share one.
_MOST_COLUMNS: Final = 48
#: The time stands above every so many columns.
_TICK: Final = 6


#: The rows of the chart: a name, what is shown, how it is written, and what fills a block; None for the day's highest.
_FIGURES: Final[Sequence[tuple[str, Callable[[Hour], float | None], Callable[[float], str], float | None]]] = (
    ("arrivals", lambda hour: hour.arrival_rate_per_s, lambda value: f"{three_digits(value)}/s", None),
    ("utilisation", lambda hour: hour.utilisation, share, 1.0),
    ("p95 wait", lambda hour: hour.wait_p95_s, seconds, None),
    ("backlog", lambda hour: hour.backlog_max, lambda value: f"{value:,.0f}", None),
)


def hours_lines(plan: Plan, width: int | None) -> Iterator[str]:
    """The day as lines; none where every hour is like the other or no day was simulated.

    Args:
        plan: The plan.
        width: Columns of the terminal; None for figures, one hour a line.
    """
    fleet = None if is_plain(plan) else day_of(plan)
    if fleet is None:
        return
    yield f"{_title(plan, fleet)}:"
    if width is None:
        yield from (f"{clock_time(hour.start_s):<{_LABEL_WIDTH}}{_figures(hour)}" for hour in fleet.hours)
    else:
        yield from _chart(fleet.hours, width)
    yield from (f"{name:<{_LABEL_WIDTH}}{value}" for name, value in _remarks(plan, fleet.hours))


def _title(plan: Plan, fleet: Fleet) -> str:
    length_s = _length_s(plan, fleet.hours)
    whole = "the day" if plan.demand.profile.period_s == SECONDS_PER_DAY else "the trace"
    part = "hour by hour" if length_s == SECONDS_PER_HOUR else f"in parts of {format_duration(length_s)}"
    gone = plan.all_running.replicas - fleet.replicas
    return f"{whole} {part}, {count_of(fleet.replicas, 'replica')}" + (f" ({gone} gone)" if gone else "")


def _figures(hour: Hour) -> str:
    return (
        f"{number(hour.arrival_rate_per_s)} jobs/s, utilisation {share(hour.utilisation)}, "
        f"p95 wait {seconds(hour.wait_p95_s)}, backlog {hour.backlog_max:,}"
    )


def _chart(hours: Sequence[Hour], width: int) -> Iterator[str]:
    """A row of blocks for each figure that is ever above 0, its range behind it.

    Hours that share a column show their most.
    """
    room = max(1, min(_MOST_COLUMNS, width - _LABEL_WIDTH - _RANGE_WIDTH))
    together = math.ceil(len(hours) / room)
    groups = [hours[first : first + together] for first in range(0, len(hours), together)]
    wide = max(1, room // len(groups))
    times = "".join(f"{clock_time(group[0].start_s):<{_TICK * wide}}" for group in groups[::_TICK])
    yield f"{'':<{_LABEL_WIDTH}}{times}".rstrip()
    for name, figure, write, top in _FIGURES:
        values = [max((figure(hour) or 0.0) for hour in group) for group in groups]
        if not any(values):
            continue
        blocks = "".join(_block(value, top or max(values)) * wide for value in values)
        yield f"{name:<{_LABEL_WIDTH}}{blocks}{_GAP}{_range(write(min(values)), write(max(values)))}"


def _range(low: str, high: str) -> str:
    """``0.1..2.3 s``: the unit once, and the higher end alone where there is no room for both."""
    if low == high:
        return high
    for unit in (" s", "/s"):
        if low.endswith(unit) and high.endswith(unit):
            low = low.removesuffix(unit)
    both = f"{low}..{high}"
    return both if len(both) <= _RANGE_WIDTH - len(_GAP) else f"..{high}"


def _block(value: float, top: float) -> str:
    """The block for a value between 0 and the top; only 0 has none."""
    if value <= 0 or top <= 0:
        return _BLOCKS[0]
    return _BLOCKS[min(len(_BLOCKS) - 1, max(1, round(value / top * (len(_BLOCKS) - 1))))]


def _remarks(plan: Plan, hours: Sequence[Hour]) -> Iterator[tuple[str, str]]:
    """Where the worst hour is if it is not the busiest, and when an objective is broken."""
    busiest = max(hours, key=lambda hour: hour.arrival_rate_per_s)
    worst = max(hours, key=lambda hour: hour.wait_p95_s or 0.0)
    if worst.wait_p95_s and worst.arrival_rate_per_s < _AS_BUSY * busiest.arrival_rate_per_s:
        yield (
            "worst hour",
            f"{clock_time(worst.start_s)}, p95 wait {seconds(worst.wait_p95_s)}; the busiest is "
            f"{clock_time(busiest.start_s)} with {seconds(busiest.wait_p95_s)}",
        )
    for objective in plan.demand.objectives:
        stretches = _broken(objective, hours, _length_s(plan, hours))
        if stretches:
            yield "p95 too long", f"over {format_duration(objective.threshold_s)} from {', '.join(stretches)}"


def _broken(objective: Objective, hours: Sequence[Hour], length_s: float) -> list[str]:
    """The stretches in which the p95 wait is beyond the objective; none for other statistics."""
    if objective.signal != "wait" or objective.quantile != 0.95:
        return []
    beyond = groupby(hours, key=lambda hour: (hour.wait_p95_s or 0.0) > objective.threshold_s)
    stretches = [list(stretch) for is_beyond, stretch in beyond if is_beyond]
    return [
        f"{clock_time(stretch[0].start_s)} to {clock_time(stretch[-1].start_s + length_s)}" for stretch in stretches
    ]


def _length_s(plan: Plan, hours: Sequence[Hour]) -> float:
    return plan.demand.profile.period_s / len(hours)

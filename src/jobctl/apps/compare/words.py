"""The lines of a comparison in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from jobctl.core.regression import Comparison, Finding
from jobctl.core.units import format_duration
from jobctl.core.words import count_of, number, share

__all__ = ["cells_of", "sentence"]

#: Relative changes and shares from which on a digit less is shown.
_MANY_TIMES: Final = 10.0
_MANY_POINTS: Final = 0.1
#: Stands where nothing could be told.
_NOTHING: Final = "-"


def cells_of(line: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """A line of the document for a table: baseline, new, change and interval."""
    unit = line["unit"]
    return (
        _amount(line["baseline"], unit),
        _amount(line["new"], unit),
        _change(line["change"], line["relative"], unit),
        _interval(line["interval"], line["relative_interval"], unit),
    )


def sentence(comparison: Comparison) -> str:
    """The verdict in one sentence."""
    first, repeat = comparison.rounds
    over = f"over {count_of(first, 'round')}" + (f" and {repeat} more" if repeat else "")
    match comparison.finding:
        case Finding.REGRESSION:
            doubt = "" if comparison.confirmed else ", which no repeat has confirmed"
            return f"A regression {over}{doubt}."
        case Finding.IMPROVEMENT:
            return f"An improvement and no regression {over}."
        case Finding.NO_CHANGE:
            return f"No change beyond the floors {over}."
    return f"The measurements cannot tell {over}."


def _amount(value: float | None, unit: str) -> str:
    """A value in few digits with its unit."""
    if value is None:
        return _NOTHING
    match unit:
        case "s":
            return format_duration(value)
        case "":
            return share(value)
        case "jobs/s":
            return f"{number(value)}/s"
    return number(value)


def _change(value: float | None, relative: float | None, unit: str) -> str:
    """A change with its sign: relative where it can be, of shares in percentage points."""
    if value is None:
        return _NOTHING
    if relative is not None:
        return f"{relative:+.1%}" if abs(relative) < _MANY_TIMES else f"{relative:+.0%}"
    if unit == "":
        return f"{100 * value:+.2f} pp" if abs(value) < _MANY_POINTS else f"{100 * value:+.1f} pp"
    return f"{value:+.4g}"


def _interval(bounds: Sequence[float] | None, relative: Sequence[float] | None, unit: str) -> str:
    """In which interval the change lies, likewise."""
    if bounds is None:
        return _NOTHING
    low, high = (_change(value, part, unit) for value, part in zip(bounds, relative or (None, None), strict=True))
    return f"{low.removesuffix(' pp')}..{high}"

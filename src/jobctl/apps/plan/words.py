"""Figures of a plan as a person reads them: three or four digits, units, and words where there is no figure."""

from __future__ import annotations

import math
from typing import Final

from jobctl.core.plans import Band, Sensitivity
from jobctl.core.slo import Window
from jobctl.core.units import SECONDS_PER_DAY, format_duration
from jobctl.core.words import count_of, number, share, usd

__all__ = [
    "clock_time",
    "count_of",
    "moment",
    "needed_by",
    "number",
    "probability",
    "roughly",
    "seconds",
    "seconds_within",
    "share",
    "three_digits",
    "usd",
    "window_read",
    "within",
    "yes",
]

#: Below this a wait above 0 is called small rather than written out, seconds.
_SMALL_S: Final = 1e-3
#: Below this a probability above 0 is called small.
_SMALL_PROBABILITY: Final = 1e-4
#: Waits are compared in seconds; only beyond this many does another unit read better.
_MANY_S: Final = 1000.0


def needed_by(other: Sensitivity) -> str:
    """How many replicas another question needs."""
    if other.replicas is None:
        return "more than there can be"
    return f"{'' if other.confirmed else 'about '}{other.replicas:,}"


def three_digits(value: float) -> str:
    """Three digits, and hundreds written out."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def roughly(value: float) -> str:
    """A figure that is known to three digits at most."""
    return number(float(f"{value:.3g}"))


def seconds(value_s: float | None) -> str:
    """Three digits, in seconds wherever that reads well; ``endless`` where infinite, ``-`` where not computed."""
    if value_s is None:
        return "-"
    if math.isinf(value_s):
        return "endless"
    if 0 < value_s < _SMALL_S:
        return f"<{_SMALL_S:g} s"
    if value_s == 0 or value_s >= _MANY_S:
        return format_duration(value_s)
    return f"{value_s:#.3g}".rstrip(".") + " s"


def probability(value: float | None) -> str:
    """Four digits behind the point; ``-`` where not computed."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    return f"<{_SMALL_PROBABILITY:g}" if value < _SMALL_PROBABILITY else f"{value:.4f}"


def within(band: Band | None) -> str:
    """``0.76..0.88``, in the unit of :func:`seconds`; empty where there is no interval, or nothing in it to read."""
    if band is None or band.low_s == band.high_s or band.high_s < _SMALL_S or not math.isfinite(band.high_s):
        return ""
    if band.high_s < _MANY_S:
        return f"{seconds(band.low_s).removesuffix(' s')}..{seconds(band.high_s).removesuffix(' s')}"
    low, high = format_duration(band.low_s), format_duration(band.high_s)
    number_of_low, unit_of_low = low.split()
    return f"{number_of_low if high.endswith(f' {unit_of_low}') else low}..{high}"


def seconds_within(value_s: float | None, band: Band | None) -> str:
    """``0.82 s (0.76..0.88)``: a wait and the interval in which simulation has it, if there is one."""
    interval = within(band)
    return f"{seconds(value_s)} ({interval})" if interval else seconds(value_s)


def clock_time(start_s: float) -> str:
    """A time of day such as ``14:00``, from seconds after midnight; beyond ``24:00`` the hours run on."""
    minutes = round(start_s / 60)
    return f"{minutes // 60:02}:{minutes % 60:02}"


def moment(at_s: float, period_s: float) -> str:
    """A point of the period: a time of day if that is a day, else how long after its beginning."""
    return clock_time(at_s) if period_s == SECONDS_PER_DAY else format_duration(at_s)


def window_read(window: Window) -> str:
    """What the reading of a window is called: of every hour, the worst is read."""
    return "the worst hour" if window is Window.EVERY_HOUR else window.words


def yes(truth: bool | None) -> str:
    """``yes``, ``no`` or ``?`` where nobody could tell."""
    return "?" if truth is None else "yes" if truth else "no"

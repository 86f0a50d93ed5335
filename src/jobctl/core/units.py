"""The numbers a person types: durations, counts and rates, read strictly.

Each parser takes the text as typed and returns a finite number in the package's unit (seconds, jobs, jobs per
second), or raises :class:`~jobctl.errors.InvalidValue` with the remedy. NaN and infinity are never a value.
"""

from __future__ import annotations

import math
import re
from typing import Final

from jobctl.errors import InvalidValue

__all__ = [
    "SECONDS_PER_DAY",
    "SECONDS_PER_HOUR",
    "format_duration",
    "format_interval",
    "parse_bytes",
    "parse_count",
    "parse_duration",
    "parse_fraction",
    "parse_not_negative",
    "parse_positive",
    "parse_positive_duration",
    "parse_share",
    "parse_whole",
]

#: Seconds in a day; "per day" always means this day, without daylight saving.
SECONDS_PER_DAY: Final = 86_400.0
#: Seconds in an hour.
SECONDS_PER_HOUR: Final = 3_600.0

_UNIT_S: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": SECONDS_PER_DAY}
_NUMBER: Final = r"\d+(?:_\d+)*(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?"
_DURATION_PART: Final = re.compile(rf"({_NUMBER})\s*([a-zµ]+)")
_COUNT: Final = re.compile(rf"([+-]?(?:{_NUMBER}))\s*([kKmMgGbB]?)")
_COUNT_SCALE: Final = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9}
_SIZE: Final = re.compile(rf"({_NUMBER})\s*(|[kmg]i?)b?")
_SIZE_SCALE: Final = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "ki": 2.0**10, "mi": 2.0**20, "gi": 2.0**30}
#: Below each first number of seconds, a duration is shown in the unit of so many seconds.
_SHOWN: Final = (
    (1e-3, 1e-6, "µs"),
    (1.0, 1e-3, "ms"),
    (120.0, 1.0, "s"),
    (7200.0, 60.0, "min"),
    (2 * SECONDS_PER_DAY, 3600.0, "h"),
    (math.inf, SECONDS_PER_DAY, "d"),
)
#: Shorter than this is nothing to a person.
_SHORTEST_SHOWN_S: Final = 1e-9
_DURATION_REMEDY: Final = "give a duration such as 30s, 250ms, 5m or 1h30m"


def parse_duration(text: str) -> float:
    """Read a duration such as ``30s``, ``250ms``, ``1h30m`` or ``45`` (seconds).

    Returns:
        Seconds, finite and not negative.

    Raises:
        InvalidValue: The text is no duration.
    """
    compact = text.strip().lower()
    if re.fullmatch(_NUMBER, compact):
        return _finite(float(compact), text, _DURATION_REMEDY)
    total = 0.0
    position = 0
    for part in _DURATION_PART.finditer(compact):
        unit = part[2].replace("µ", "u")
        if part.start() != position or unit not in _UNIT_S:
            break
        total += float(part[1]) * _UNIT_S[unit]
        position = part.end()
    if position == 0 or position != len(compact):
        raise InvalidValue(f"{text!r} is not a duration", _DURATION_REMEDY)
    return _finite(total, text, _DURATION_REMEDY)


def parse_positive_duration(text: str) -> float:
    """Read a duration that must be longer than nothing; seconds."""
    seconds = parse_duration(text)
    if seconds <= 0:
        raise InvalidValue(f"must be longer than 0, got {text!r}", _DURATION_REMEDY)
    return seconds


def parse_count(text: str) -> float:
    """Read a quantity such as ``450000``, ``450k``, ``1.35M`` or ``5.2``; it must be above zero.

    Raises:
        InvalidValue: The text is no number, not finite, or not above zero.
    """
    remedy = "give a number above 0 such as 450000, 450k or 1.35M"
    match = _COUNT.fullmatch(text.strip())
    if match is None:
        raise InvalidValue(f"{text!r} is not a number", remedy)
    value = _finite(float(match[1]) * _COUNT_SCALE[match[2].lower()], text, remedy)
    if value <= 0:
        raise InvalidValue(f"must be above 0, got {text!r}", remedy)
    return value


def parse_bytes(text: str) -> float:
    """Read a size of memory such as ``300MB``, ``1.5GiB`` or ``512m``; bytes, above zero.

    Raises:
        InvalidValue: The text is no size.
    """
    remedy = "give a size such as 300MB or 0.5GiB"
    match = _SIZE.fullmatch(text.strip().lower())
    if match is None:
        raise InvalidValue(f"{text!r} is not a size of memory", remedy)
    size = _finite(float(match[1]) * _SIZE_SCALE[match[2]], text, remedy)
    if size <= 0:
        raise InvalidValue(f"must be above 0, got {text!r}", remedy)
    return size


def parse_positive(text: str) -> float:
    """Read a plain number above zero.

    Raises:
        InvalidValue: The text is no number, not finite, or not above zero.
    """
    remedy = "give a number above 0"
    value = _number(text, remedy)
    if value <= 0:
        raise InvalidValue(f"must be above 0, got {text!r}", remedy)
    return value


def parse_not_negative(text: str) -> float:
    """Read a plain number of at least zero.

    Raises:
        InvalidValue: The text is no number, not finite, or below zero.
    """
    remedy = "give a number of at least 0"
    value = _number(text, remedy)
    if value < 0:
        raise InvalidValue(f"must not be negative, got {text!r}", remedy)
    return value


def parse_fraction(text: str) -> float:
    """Read a probability or share in 0..1.

    Raises:
        InvalidValue: The text is no number in that range.
    """
    remedy = "give a fraction from 0 to 1 such as 0.02"
    value = _number(text, remedy)
    if not 0 <= value <= 1:
        raise InvalidValue(f"must lie in 0..1, got {text!r}", remedy)
    return value


def parse_share(text: str) -> float:
    """Read a share in 0..1, as a percentage such as ``5%`` or as a fraction such as ``0.05``.

    Raises:
        InvalidValue: The text is neither.
    """
    remedy = "give a percentage such as 5% or a fraction from 0 to 1"
    digits, percent, rest = text.strip().partition("%")
    value = _number(digits, remedy) / (100 if percent else 1)
    if rest or not 0 <= value <= 1:
        raise InvalidValue(f"must lie in 0..100%, got {text!r}", remedy)
    return value


def parse_whole(text: str, minimum: int = 1, maximum: int | None = None) -> int:
    """Read a whole number within bounds (both included).

    Raises:
        InvalidValue: The text is no whole number, or out of bounds.
    """
    upper = "" if maximum is None else f" and at most {maximum}"
    remedy = f"give a whole number of at least {minimum}{upper}"
    try:
        value = int(text.strip())
    except ValueError:
        raise InvalidValue(f"{text!r} is not a whole number", remedy) from None
    if value < minimum or (maximum is not None and value > maximum):
        raise InvalidValue(f"{value} is out of range", remedy)
    return value


def format_duration(seconds: float) -> str:
    """Write a duration for a person: three significant digits in the unit that fits; ``-`` where it is not finite."""
    if not math.isfinite(seconds):
        return "-"
    scale, unit = _unit_of(seconds)
    return f"{_digits(seconds / scale)} {unit}"


def format_interval(low_s: float, high_s: float) -> str:
    """Write two durations as ``low..high unit``, in the unit that fits the longer one."""
    scale, unit = _unit_of(high_s)
    return f"{_digits(low_s / scale)}..{_digits(high_s / scale)} {unit}"


def _unit_of(seconds: float) -> tuple[float, str]:
    """The unit that fits a duration as it is shown, rounded to three digits, and its seconds."""
    rounded = abs(float(f"{seconds:.3g}"))
    if rounded < _SHORTEST_SHOWN_S:
        return 1.0, "s"
    return next((scale, unit) for below, scale, unit in _SHOWN if rounded < below)


def _digits(value: float) -> str:
    if abs(value) < _SHORTEST_SHOWN_S:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _number(text: str, remedy: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise InvalidValue(f"{text!r} is not a number", remedy) from None
    return _finite(value, text, remedy)


def _finite(value: float, text: str, remedy: str) -> float:
    if not math.isfinite(value):
        raise InvalidValue(f"{text!r} is not a finite number", remedy)
    return value

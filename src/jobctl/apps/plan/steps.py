"""What an explanation is made of: formulas with the numbers put in, and notes about what has none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["FUNDAMENTALS", "SYMBOLS", "Note", "Step", "figure", "put"]

#: What the letters mean.
SYMBOLS: Final = (
    "l new jobs per second, at the planned peak unless it says otherwise; A attempts per job; S mean time that an "
    "attempt holds its slot, seconds; a offered load, erlangs; c slots; r utilisation; C probability to wait; W mean "
    "wait, seconds"
)
#: The textbook that most of it stands in.
FUNDAMENTALS: Final = 'Gross, Shortle, Thompson & Harris, "Fundamentals of Queueing Theory", 4th ed.'


@dataclass(frozen=True, slots=True)
class Step:
    """One formula.

    Attributes:
        name: What it gives.
        formula: In letters.
        numbers: The same with the numbers put in; empty where the result is read off and not computed.
        result: What it comes to.
        unit: Of the result; empty for a ratio or count.
        source: Who says so.
        breaks: Where it is wrong; empty where it never is.
    """

    name: str
    formula: str
    numbers: str
    result: float
    unit: str
    source: str
    breaks: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """What was done without a formula.

    Attributes:
        name: What it is about.
        words: A sentence.
    """

    name: str
    words: str


def figure(value: float) -> str:
    """A result as it is shown: four digits."""
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:,.4g}"


def put(value: float) -> str:
    """A number as it is put into a formula: six digits, thousands written out."""
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.6g}"

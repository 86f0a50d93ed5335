"""Words that several checks use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Final

__all__ = ["listed", "meant_by", "size"]

_UNITS: Final = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))
_MOST_LISTED: Final = 4
#: Share of the letters that two names have in common, from which on one may be the other misspelt.
_ALIKE: Final = 0.8


def size(count: float) -> str:
    """Bytes for a person: three digits in the unit that fits."""
    for unit, scale in _UNITS:
        if count >= 0.9995 * scale:
            value = count / scale
            return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
    return f"{count:.0f} B"


def listed(names: Sequence[str]) -> str:
    """The first few of some names, and how many more there are."""
    more = len(names) - _MOST_LISTED
    return ", ".join(names[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")


def meant_by(name: str, known: Iterable[str]) -> str | None:
    """The known name that another one may be a misspelling of; None where none is like it."""
    return next(iter(get_close_matches(name, sorted(known), n=1, cutoff=_ALIKE)), None)

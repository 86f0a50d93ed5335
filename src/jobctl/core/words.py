"""Figures as a person reads them in every report: few digits, thousands written out, a noun that agrees."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["count_of", "number", "share", "usd", "were", "writable", "writable_throughout"]

#: XML has no way to write these.
_UNWRITABLE: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def number(value: float) -> str:
    """Four digits, and thousands written out."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def share(value: float) -> str:
    """A percentage to one decimal; to two where one would say all or nothing, and small below that."""
    coarse, fine = f"{value:.1%}", f"{value:.2%}"
    if value > 0 and fine == "0.00%":
        return "<0.01%"
    return fine if coarse in {"0.0%", "100.0%"} and fine != "100.00%" else coarse


def usd(value: float) -> str:
    """US dollars, to the cent below ten."""
    return f"${value:,.2f}" if value < 10 else f"${value:,.0f}"


def count_of(many: int, one: str) -> str:
    """``1 replica``, ``2 replicas``."""
    return f"{many:,} {one}" if many == 1 else f"{many:,} {one}s"


def were(many: int, one: str) -> str:
    """``1 job was``, ``2 jobs were``."""
    return f"{count_of(many, one)} {'was' if many == 1 else 'were'}"


def writable(value: str) -> str:
    """Text without what XML cannot hold."""
    return _UNWRITABLE.sub("\ufffd", value)


def writable_throughout(value: Any) -> Any:
    """A JSON value whose every text is writable: what a job failed with may hold commands to a terminal."""
    if isinstance(value, str):
        return writable(value)
    if isinstance(value, Mapping):
        return {writable(key): writable_throughout(inner) for key, inner in value.items()}
    return [writable_throughout(inner) for inner in value] if isinstance(value, list | tuple) else value

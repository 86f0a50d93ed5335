"""What becomes of a file that somebody else wrote and in which some values are set."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from jobctl.core.units import parse_duration
from jobctl.errors import InvalidValue

__all__ = ["Rewrite", "mean_the_same", "unified_diff"]


@dataclass(frozen=True, slots=True)
class Rewrite:
    """The file as it should be.

    Attributes:
        text: All of it.
        diff: What changes, as a unified diff; empty when nothing does.
        notes: What was left alone and is now the reader's to do, a sentence each without its final stop.
    """

    text: str
    diff: str
    notes: tuple[str, ...] = ()


def mean_the_same(given: str, value: str) -> bool:
    """Whether two values of a setting are the same amount: ``3m`` is ``180s``; whole numbers are read likewise."""
    if given == value:
        return True
    try:
        return parse_duration(given) == parse_duration(value)
    except InvalidValue:
        return False


def unified_diff(before: str | None, after: str, name: str) -> str:
    """What changes in a file, as a unified diff without a final line break; empty when nothing does.

    Args:
        before: Its text; None where there is no file.
        after: What it becomes.
        name: What it is called.
    """
    lines = difflib.unified_diff(
        (before or "").splitlines(),
        after.splitlines(),
        fromfile="/dev/null" if before is None else name,
        tofile=f"{name} (planned)",
        lineterm="",
    )
    return "\n".join(lines)

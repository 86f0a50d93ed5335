"""Pieces of Markdown in which nothing a figure or a name contains is taken for markup."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from jobctl.core.words import writable

__all__ = ["plain", "table"]

#: What Markdown or HTML would take for itself.
_SPECIAL: Final = re.compile(r"[\\`*_{}\[\]<>#|~@&]")


def plain(words: str) -> str:
    """Text that stays what it is: on one line, and nothing in it is markup, a mention or a cell's end."""
    return _SPECIAL.sub(lambda match: f"&#{ord(match[0])};", writable(" ".join(words.split())))


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of plain texts."""
    lines = [heads, ["---"] * len(heads), *([plain(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

"""Where a person reads, for every command alike."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["fold", "open_console", "terminal_width"]

#: Columns where no terminal says how many there are, as in the log of a CI job: what reports are made for.
_SIZE: Final = (100, 25)
#: Fewer columns than text is folded to, however narrow the terminal.
_NARROWEST: Final = 26


def open_console(*, aside: bool = False) -> Console:
    """A console as wide as its terminal, or else as ``COLUMNS`` says, or else of 100 columns.

    Args:
        aside: Whether it is standard error, because standard output is for a machine.
    """
    from rich.console import Console

    console = Console(stderr=aside)
    if not console.file.isatty():
        console.width = shutil.get_terminal_size(_SIZE).columns
    return console


def terminal_width() -> int | None:
    """Columns of the terminal; None in a pipe, where every line stays whole."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def fold(text: str, width: int | None, indent: int = 0) -> str:
    """A line, broken between words where it is wider than that many columns; what follows is indented."""
    if width is None:
        return text
    return textwrap.fill(text, max(width, _NARROWEST), subsequent_indent=" " * indent, break_on_hyphens=False)

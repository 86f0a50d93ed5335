"""Where a person reads, for every command alike."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["open_console"]

#: Columns where no terminal says how many there are, as in the log of a CI job: what reports are made for.
_SIZE: Final = (100, 25)


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

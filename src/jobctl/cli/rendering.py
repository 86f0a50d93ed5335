"""What ``jobctl monitoring render`` and ``jobctl deploy render`` share: their options, and how they tell of files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Check", "SloFile", "compare_or_write"]

SloFile = Annotated[
    str | None,
    typer.Option(
        "--slo-file", metavar="FILE", help="What they are made from [default: monitoring/slo.toml, slo.toml]."
    ),
]
Check = Annotated[
    bool, typer.Option("--check", help="Write nothing, and exit with 99 if a file is not what it should be.")
]


def compare_or_write(directory: Path, files: Mapping[str, str], *, check: bool) -> list[str]:
    """Write the files that differ from what is there, or only compare them, and tell of each; returns which differ.

    Args:
        directory: Where they belong.
        files: Their texts, by their path in it.
        check: Write nothing.

    Raises:
        InvalidOption: A file cannot be read or written.
    """
    from jobctl.wiring.rendered import differing, put

    changed = (differing if check else put)(directory, files)
    for name in changed:
        typer.echo(f"{directory / name}: {'is not what it should be' if check else 'written'}", err=check)
    return changed

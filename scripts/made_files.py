"""What the scripts share that make files from what the program knows: they write those that differ, or only compare."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

__all__ = ["run"]


def run(name: str, purpose: str, make: Callable[[], Mapping[Path, str]], arguments: Sequence[str] | None) -> int:
    """Run the command line of such a script; returns the exit code.

    Args:
        name: What it is called where it reports.
        purpose: What it is for, a sentence.
        make: Gives each file with what it has to hold.
        arguments: Those of the command line; None for the process' own.
    """
    parser = argparse.ArgumentParser(description=purpose)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is out of date")
    check = parser.parse_args(arguments).check
    stale = {path: text for path, text in make().items() if not _holds(path, text)}
    names = ", ".join(path.name for path in stale)
    if check and stale:
        print(f"{name}: {names} out of date; run: make docs", file=sys.stderr)
        return 1
    for path, text in stale.items():
        path.write_text(text, encoding="utf-8")
    print(f"{name}: wrote {names}" if stale else f"{name}: up to date")
    return 0


def _holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text

"""What ``jobctl plan --write`` changed, as a person sees it: the diff, then what is left to do."""

from __future__ import annotations

from collections.abc import Iterator

from jobctl.apps.plan.slo_file import NEXT_STEP
from jobctl.core.railway import SUCCESSOR
from jobctl.core.rewriting import Rewrite

__all__ = ["describe_rewrite"]


def describe_rewrite(change: Rewrite, path: str, *, dry_run: bool) -> Iterator[str]:
    """The lines that are shown.

    Args:
        change: What was, or would be, written.
        path: Where, as it was given.
        dry_run: Whether nothing was written.
    """
    if change.diff:
        yield change.diff
        yield f"{path}: {'not written (--dry-run)' if dry_run else 'written'}"
    else:
        yield f"{path}: nothing to change"
    for note in (*change.notes, NEXT_STEP if path.endswith(".toml") else SUCCESSOR):
        yield f"note: {note}."

"""``jobctl doctor``: whether a set-up is sound, and what to mend."""

from __future__ import annotations

__all__ = ["doctor"]


def doctor() -> None:
    """Check a set-up, and say what to mend."""
    raise NotImplementedError

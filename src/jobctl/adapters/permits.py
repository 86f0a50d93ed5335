"""What a limiter has granted to the job that runs here."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

__all__ = ["permitted"]

#: The permits of the job that runs in this context; empty when it has none.
permitted: Final[ContextVar[str]] = ContextVar("permitted", default="")

"""Windows and ages in PromQL, all of them shortened by one factor when alerts are tried out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from jobctl.core.operations import Operations
from jobctl.core.rules import duration

__all__ = ["Times"]

#: So many scrapes may a value be old before it is nobody's: one process takes over from another in less.
_SCRAPES: Final = 4


@dataclass(frozen=True, slots=True)
class Times:
    """How long things are.

    Attributes:
        interval_s: Between two scrapes, seconds, before it is scaled.
        time_scale: By how much faster than in life everything is.
    """

    interval_s: float
    time_scale: float

    @classmethod
    def of(cls, operations: Operations, time_scale: float) -> Self:
        """Those of a fleet."""
        return cls(operations.scrape.interval_s, time_scale)

    def window(self, seconds: float) -> str:
        """A stretch of time as PromQL has it, such as ``5m``."""
        return duration(seconds, self.time_scale)

    def number(self, seconds: float) -> str:
        """Seconds as a number that a series of seconds is compared with."""
        return f"{seconds / self.time_scale:.10g}"

    def last(self, gauge: str) -> str:
        """A gauge of the fleet as it was told last, by whichever process.

        For up to 20 s after the elected process was killed nobody tells it, and no alert may begin again for that.
        """
        return f"last_over_time({gauge}[{self.window(_SCRAPES * self.interval_s)}])"

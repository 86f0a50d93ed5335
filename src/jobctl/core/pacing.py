"""The open-loop pacer: given the time that has passed and what was sent, what to do next.

Two rules. The decision depends on the schedule alone, never on how the system answers, so a slow system cannot slow the
load. And everything that is due leaves at once, each arrival keeping its own intended instant, so a late wake-up shows
as schedule lag and is not smoothed away. No clock and no sleep here: the caller has both.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Send", "Stop", "Wait", "pace"]


@dataclass(frozen=True, slots=True)
class Send:
    """Send the arrivals at these positions of the schedule now."""

    first: int
    beyond: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is due for this many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Every arrival was sent."""


def pace(schedule: Sequence[float], elapsed_s: float, sent: int, limit: int) -> Send | Wait | Stop:
    """Decide the generator's next step.

    Args:
        schedule: Intended arrivals in seconds from the start, ascending.
        elapsed_s: Seconds since the start.
        sent: How many of them were sent.
        limit: How many may leave at one wake-up.

    Returns:
        Send for all that is due (up to the limit), else Wait until the next is, or Stop.
    """
    if sent >= len(schedule):
        return Stop()
    due = bisect_right(schedule, elapsed_s, lo=sent)
    if due > sent:
        return Send(sent, min(due, sent + limit))
    return Wait(schedule[sent] - elapsed_s)

"""What workers use of their machine, from readings taken while they run.

An operating system counts the CPU time of a process from its start, so what a stretch of time used is the difference
of two readings. Readings come about once a second; between two of them use is taken to be even.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Usage", "UsageReading", "usage_between"]


@dataclass(frozen=True, slots=True)
class UsageReading:
    """What some workers have used up to an instant.

    Attributes:
        at_s: The instant, seconds since the epoch.
        cpu_s: CPU seconds of all of them since they began.
        memory_bytes: Resident memory of the largest.
        workers: How many they are.
    """

    at_s: float
    cpu_s: float
    memory_bytes: int
    workers: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What workers used over a stretch of time.

    Attributes:
        cpu_s_per_job: CPU seconds for each attempt, idling included; None without attempts.
        cpu_share_per_replica: Share of one core that a worker kept busy, mean over the workers.
        memory_bytes_per_replica: The most resident memory that one of them had.
    """

    cpu_s_per_job: float | None
    cpu_share_per_replica: float
    memory_bytes_per_replica: int


def usage_between(readings: Sequence[UsageReading], start_s: float, end_s: float, attempts: int) -> Usage | None:
    """What was used between two instants.

    Args:
        readings: In order of time.
        start_s: Seconds since the epoch.
        end_s: Likewise.
        attempts: Attempts that were made between them.

    Returns:
        None where the readings do not span that time.
    """
    if end_s <= start_s or not readings or readings[0].at_s > start_s or readings[-1].at_s < end_s:
        return None
    cpu_s = _cpu_at(readings, end_s) - _cpu_at(readings, start_s)
    inside = [reading for reading in readings if start_s <= reading.at_s <= end_s] or readings[-1:]
    return Usage(
        cpu_s_per_job=cpu_s / attempts if attempts else None,
        cpu_share_per_replica=cpu_s / (end_s - start_s) / readings[-1].workers,
        memory_bytes_per_replica=max(reading.memory_bytes for reading in inside),
    )


def _cpu_at(readings: Sequence[UsageReading], instant_s: float) -> float:
    """The CPU time at an instant that the readings span, on the straight line between its neighbours."""
    for before, after in pairwise(readings):
        if before.at_s <= instant_s <= after.at_s and after.at_s > before.at_s:
            share = (instant_s - before.at_s) / (after.at_s - before.at_s)
            return before.cpu_s + share * (after.cpu_s - before.cpu_s)
    return readings[-1].cpu_s

"""The shape of a day: how the rate of new jobs changes over one period. (contract; being written)"""

from __future__ import annotations

from dataclasses import dataclass

from jobctl.core.arrivals import Stage

__all__ = ["Profile", "Spike"]


@dataclass(frozen=True, slots=True)
class Spike:
    """Jobs that arrive all at once.

    Attributes:
        jobs: How many.
        at_s: When, seconds after the period's beginning.
    """

    jobs: int
    at_s: float


@dataclass(frozen=True, slots=True)
class Profile:
    """The rate of new jobs over one period, which then repeats.

    Attributes:
        name: What it is, in words: ``steady``, ``diurnal, peak factor 2.5``, ``day.csv``.
        stages: The rate, jobs per second, one straight line after the other; together the period.
        spikes: Jobs that come on top of it, all at once.
        is_steady: Whether the rate never changes.
    """

    name: str
    stages: tuple[Stage, ...]
    spikes: tuple[Spike, ...] = ()

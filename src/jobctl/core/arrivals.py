"""When jobs are meant to arrive: a rate that changes over time, and a process that turns it into instants.

Model. Let ``rate(t)`` be the intended arrival rate and ``L(t)`` its integral from 0. A *unit process* with mean rate 1
gives operational times u1 < u2 < ...; the arrivals are ``L^-1(u1), L^-1(u2), ...``. With unit exponential gaps this is
exactly the non-homogeneous Poisson process of that rate (Çinlar 1975, "Introduction to Stochastic Processes",
theorem 7.2: the time change); with unit gaps it is an even spacing that follows the rate. So every kind of arrival
works with every shape, and the count is Poisson of mean ``L(end)``, or ``L(end)`` rounded.

The same seed gives the same schedule, to the last bit.
"""

from __future__ import annotations

import hashlib
import math
import random
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import count

from jobctl.errors import InvalidValue

__all__ = ["Arrivals", "Stage", "digest", "jobs_expected", "make_schedule", "parse_arrivals"]


class Arrivals(StrEnum):
    """How gaps between arrivals vary about the rate."""

    #: Independent arrivals: exponential gaps, the counts Poisson.
    POISSON = "poisson"
    #: Evenly spaced, the first after half a gap.
    CONSTANT = "constant"


@dataclass(frozen=True, slots=True)
class Stage:
    """A stretch of time in which the rate runs in a straight line.

    Attributes:
        duration_s: How long it lasts; above 0.
        start_per_s: Rate at its beginning; not negative.
        end_per_s: Rate at its end; not negative.
    """

    duration_s: float
    start_per_s: float
    end_per_s: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.duration_s) and self.duration_s > 0):
            raise InvalidValue(f"a stage lasts {self.duration_s} s", "give a duration above 0")
        for rate in (self.start_per_s, self.end_per_s):
            if not (math.isfinite(rate) and rate >= 0):
                raise InvalidValue(f"a stage has a rate of {rate} jobs/s", "give a rate of at least 0")

    @classmethod
    def steady(cls, rate_per_s: float, duration_s: float) -> Stage:
        """A stage whose rate does not change."""
        return cls(duration_s, rate_per_s, rate_per_s)

    @property
    def jobs(self) -> float:
        """Arrivals expected in it: the area under the rate."""
        return self.duration_s * (self.start_per_s + self.end_per_s) / 2

    def time_of(self, jobs: float) -> float:
        """Seconds into the stage at which the integral of the rate reaches ``jobs``.

        With r0 the first rate and k its slope, r0 t + k t²/2 = n has the root t = 2n / (r0 + sqrt(r0² + 2kn)), which
        also holds for k = 0 and loses no digits when k is small.
        """
        slope = (self.end_per_s - self.start_per_s) / self.duration_s
        root = math.sqrt(max(0.0, self.start_per_s**2 + 2 * slope * jobs))
        denominator = self.start_per_s + root
        return min(self.duration_s, 2 * jobs / denominator) if denominator > 0 else 0.0


def parse_arrivals(text: str) -> Arrivals:
    """Read ``poisson`` or ``constant``.

    Raises:
        InvalidValue: It is neither.
    """
    try:
        return Arrivals(text.strip().lower())
    except ValueError:
        raise InvalidValue(f"{text!r} is no arrival process", f"give {' or '.join(Arrivals)}") from None


def jobs_expected(stages: Sequence[Stage]) -> float:
    """Arrivals expected over all stages."""
    return math.fsum(stage.jobs for stage in stages)


def make_schedule(kind: Arrivals, stages: Sequence[Stage], seed: int) -> array[float]:
    """All intended arrivals, in seconds from the start, in order.

    Args:
        kind: How gaps vary.
        stages: The rate over time, one stage after the other.
        seed: Seed of the arrivals; other random choices of a run do not disturb them.

    Returns:
        Offsets from 0 to the total duration, ascending.
    """
    schedule = array("d")
    unit = _unit_process(kind, random.Random(f"arrivals:{seed}"))
    operational = next(unit)
    begin_s, jobs_before = 0.0, 0.0
    for stage in stages:
        while operational - jobs_before < stage.jobs:
            schedule.append(begin_s + stage.time_of(operational - jobs_before))
            operational = next(unit)
        begin_s += stage.duration_s
        jobs_before += stage.jobs
    return schedule


def digest(schedule: Sequence[float]) -> str:
    """A short fingerprint by which two schedules can be compared."""
    return hashlib.sha256(array("d", schedule).tobytes()).hexdigest()[:16]


def _unit_process(kind: Arrivals, rng: random.Random) -> Iterator[float]:
    if kind is Arrivals.CONSTANT:
        yield from (position + 0.5 for position in count())
    operational = 0.0
    while True:
        operational += rng.expovariate(1.0)
        yield operational

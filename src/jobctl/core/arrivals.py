"""When jobs are meant to arrive: a rate that changes over time, and a process that turns it into instants.

Model. Let ``rate(t)`` be the intended arrival rate and ``L(t)`` its integral from 0. A *unit process* with mean rate 1
gives operational times u1 <= u2 <= ...; the arrivals are ``L^-1(u1), L^-1(u2), ...``. With unit exponential gaps this
is exactly the non-homogeneous Poisson process of that rate (Çinlar 1975, "Introduction to Stochastic Processes",
theorem 7.2: the time change); with unit gaps it is an even spacing that follows the rate. So every kind of arrival
works with every shape, and ``L(end)`` jobs are expected in all.

The unit processes:

* ``poisson``: exponential gaps; the count is Poisson.
* ``constant``: gaps of 1, the first after half of one; the count is ``L(end)``, rounded.
* ``renewal:SCV``: independent gamma gaps of mean 1. The process is in equilibrium: its first gap is what an observer
  who comes at any moment still has to wait, ``U X`` with U uniform and X a gap as he meets it: longer than others,
  with a density of x times the gamma's, which is a gamma whose shape is larger by 1 (Feller 1971, volume II, XI.4).
* ``batch:SIZE``: the instants of a Poisson process at rate 1/SIZE, SIZE jobs at each.

The same seed gives the same schedule, to the last bit; a longer schedule of the same seed begins with the shorter one.
"""

from __future__ import annotations

import hashlib
import math
import random
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from typing import Final

from jobctl.core.service import Exponential, Gamma, check_scv
from jobctl.core.units import parse_positive, parse_whole
from jobctl.errors import InvalidValue

__all__ = [
    "CONSTANT",
    "POISSON",
    "ArrivalKind",
    "Arrivals",
    "Stage",
    "digest",
    "draw_instants",
    "jobs_expected",
    "make_schedule",
    "parse_arrivals",
]

#: A batch beyond this is a backlog, not a way of arriving.
_LARGEST_BATCH: Final = 1_000_000
#: Gaps drawn at once.
_BLOCK: Final = 1024
_REMEDY: Final = "give poisson, constant, renewal:SCV such as renewal:4, or batch:SIZE such as batch:50"


class ArrivalKind(StrEnum):
    """The families of arrival processes."""

    #: Independent arrivals.
    POISSON = "poisson"
    #: Evenly spaced.
    CONSTANT = "constant"
    #: Independent gaps, burstier or steadier than Poisson's by one number.
    RENEWAL = "renewal"
    #: Several at one instant.
    BATCH = "batch"


@dataclass(frozen=True, slots=True)
class Arrivals:
    """How gaps between arrivals vary about the rate.

    Attributes:
        kind: The family.
        parameter: For ``renewal`` the squared coefficient of variation of its gaps, for ``batch`` the jobs of one;
            None for the others.
    """

    kind: ArrivalKind
    parameter: float | None = None

    def __post_init__(self) -> None:
        has_parameter = self.kind in (ArrivalKind.RENEWAL, ArrivalKind.BATCH)
        if has_parameter != (self.parameter is not None):
            problem = "needs a number" if has_parameter else "takes no number"
            raise InvalidValue(f"{self.kind} {problem}", _REMEDY)
        if self.kind is ArrivalKind.RENEWAL:
            check_scv(self.scv)
        elif self.kind is ArrivalKind.BATCH and not (1 <= self.scv <= _LARGEST_BATCH and self.scv == int(self.scv)):
            raise InvalidValue(
                f"a batch of {self.parameter} is none", f"give a whole number of 1 to {_LARGEST_BATCH:,}"
            )

    def __str__(self) -> str:
        if self.parameter is None:
            return self.kind.value
        return f"{self.kind}:{float(self.parameter)!r}".removesuffix(".0")

    @property
    def scv(self) -> float:
        """Squared coefficient of variation of the gaps; of batches their index of dispersion.

        Batches of b at the instants of a Poisson process have a variance of counts of b times the mean, which is what
        a queue feels of them over times that are long against a batch.
        """
        if self.parameter is not None:
            return self.parameter
        return 0.0 if self.kind is ArrivalKind.CONSTANT else 1.0


POISSON: Final = Arrivals(ArrivalKind.POISSON)
CONSTANT: Final = Arrivals(ArrivalKind.CONSTANT)


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

    @property
    def slope(self) -> float:
        """By how much the rate rises in a second, jobs/s²."""
        return (self.end_per_s - self.start_per_s) / self.duration_s

    def rate_at(self, time_s: float) -> float:
        """The rate so many seconds into the stage."""
        return max(0.0, self.start_per_s + self.slope * time_s)

    def jobs_before(self, time_s: float) -> float:
        """Arrivals expected in its first seconds."""
        return time_s * (self.start_per_s + self.rate_at(time_s)) / 2

    def times_of(self, operational: Sequence[float], jobs_before: float = 0.0, begin_s: float = 0.0) -> list[float]:
        """When the integral of the rate reaches each of these values.

        With r0 the first rate, k its slope and n the jobs since the stage began, r0 t + k t²/2 = n has the root
        t = 2n / (r0 + sqrt(r0² + 2kn)), which also holds for k = 0 (t = n / r0) and loses no digits when k is small.

        Args:
            operational: Values of the integral within the stage.
            jobs_before: Its value where the stage begins.
            begin_s: When it begins.

        Returns:
            Instants from ``begin_s`` to the stage's end.
        """
        length_s, start, twice = self.duration_s, self.start_per_s, 2 * self.slope
        if self.start_per_s == self.end_per_s:
            if start == 0:
                return [begin_s] * len(operational)
            return [begin_s + (t if (t := (n - jobs_before) / start) < length_s else length_s) for n in operational]
        sqrt, square = math.sqrt, start**2
        instants = []
        for n in operational:
            jobs = n - jobs_before
            under = square + twice * jobs
            reach = start + (sqrt(under) if under > 0 else 0.0)
            t = 2 * jobs / reach if reach > 0 else 0.0
            instants.append(begin_s + (t if t < length_s else length_s))
        return instants


def parse_arrivals(text: str) -> Arrivals:
    """Read ``poisson``, ``constant``, ``renewal:SCV`` or ``batch:SIZE``.

    Raises:
        InvalidValue: It is none of these, or its number makes no sense.
    """
    name, colon, number = (part.strip() for part in text.strip().lower().partition(":"))
    if name not in tuple(ArrivalKind) or (colon and not number):
        raise InvalidValue(f"{text!r} is no arrival process", _REMEDY)
    kind = ArrivalKind(name)
    if not number:
        return Arrivals(kind)
    return Arrivals(
        kind, parse_whole(number, 1, _LARGEST_BATCH) if kind is ArrivalKind.BATCH else parse_positive(number)
    )


def jobs_expected(stages: Sequence[Stage]) -> float:
    """Arrivals expected over all stages."""
    return math.fsum(stage.jobs for stage in stages)


def make_schedule(arrivals: Arrivals, stages: Sequence[Stage], seed: int) -> array[float]:
    """All intended arrivals, in seconds from the start, in order.

    Args:
        arrivals: How gaps vary.
        stages: The rate over time, one stage after the other.
        seed: Seed of the arrivals; other random choices of a run do not disturb them.

    Returns:
        Offsets from 0 to the total duration, ascending.
    """
    return array("d", draw_instants(arrivals, stages, random.Random(f"arrivals:{seed}")))


def draw_instants(arrivals: Arrivals, stages: Sequence[Stage], rng: random.Random) -> list[float]:
    """The same by a given source of chance: one random draw of all arrivals over these stages, ascending."""
    operational = _unit_times(arrivals, math.fsum(stage.jobs for stage in stages) + 1, rng)
    instants: list[float] = []
    begin_s, jobs_before, first = 0.0, 0.0, 0
    for stage in stages:
        beyond = bisect_left(operational, stage.jobs, first, key=lambda time: time - jobs_before)
        instants += stage.times_of(operational[first:beyond], jobs_before, begin_s)
        first = beyond
        begin_s += stage.duration_s
        jobs_before += stage.jobs
    instants.sort()  # two that are nearly one may have changed places by a rounding
    return instants


def digest(schedule: Sequence[float]) -> str:
    """A short fingerprint by which two schedules can be compared."""
    return hashlib.sha256(array("d", schedule).tobytes()).hexdigest()[:16]


def _unit_times(arrivals: Arrivals, until: float, rng: random.Random) -> list[float]:
    """Operational times of the arrivals from 0 to beyond ``until``, ascending."""
    if arrivals.kind is ArrivalKind.CONSTANT:
        return [position + 0.5 for position in range(math.ceil(until) + 1)]
    size = int(arrivals.scv) if arrivals.kind is ArrivalKind.BATCH else 1
    renewal = arrivals.kind is ArrivalKind.RENEWAL
    gaps = Gamma(1.0, arrivals.scv) if renewal else Exponential(float(size))
    times = [_equilibrium_gap(arrivals.scv, rng)] if renewal else [gaps.sample(rng)]
    while times[-1] <= until:
        last = times.pop()
        block = min(_BLOCK, math.ceil((until - last) / size) + 8)  # a batch is no reason to go far beyond
        times += accumulate(gaps.draw(rng, block), initial=last)
    return [time for time in times for _ in range(size)] if size > 1 else times


def _equilibrium_gap(scv: float, rng: random.Random) -> float:
    """The first gap of a stationary process of gamma gaps with mean 1: U times a gamma of shape 1/scv + 1."""
    return rng.random() * rng.gammavariate(1 / scv + 1, scv)

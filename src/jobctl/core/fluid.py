"""The day of a demand cut into stretches, with the backlog that a fleet builds up in them, as a fluid.

In a stretch the rate is taken as constant: five minutes, or less where an hour that matters begins or ends, or a spike
comes. Where the rate exceeds what the fleet carries, a backlog grows, and shrinks again afterwards,

    dB/dt = arrivals - throughput,      wait = B / throughput

(Newell 1982, "Applications of Queueing Theory", ch. 2). A spike is a stretch without length: as many of its jobs as
there are free slots start at once, the others are added to the backlog.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from jobctl.core.arrivals import ArrivalKind
from jobctl.core.capacity import ceiling_per_s
from jobctl.core.demand import Demand
from jobctl.core.plans import Limits
from jobctl.core.queueing import has_steady_state
from jobctl.core.units import SECONDS_PER_HOUR

__all__ = ["STRETCH_S", "Piece", "Stretch", "cut", "hour_edges", "stretches_of"]

#: The rate is taken as constant over so many seconds.
STRETCH_S: Final = 300.0
#: Two instants are the same that lie no further apart.
_SAME_S: Final = 1e-6
#: Jobs that come at once are told apart by so many parts of them.
_PARTS: Final = 10


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the period before any fleet is thought of: where it lies, and its rate without spikes."""

    start_s: float
    end_s: float
    rate_per_s: float


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of the period.

    Attributes:
        start_s: Its beginning.
        length_s: Its length; 0 for a spike.
        jobs: How many arrive in it.
        rate_per_s: Their rate; of a spike, the rate about it.
        waits_s: The fluid's wait, of each of so many equal parts of its jobs; infinite where it grows without end.
    """

    start_s: float
    length_s: float
    jobs: float
    rate_per_s: float
    waits_s: tuple[float, ...]

    @property
    def middle_s(self) -> float:
        """The instant by which it is told whether it lies in a window."""
        return self.start_s + self.length_s / 2


def cut(demand: Demand) -> tuple[Piece, ...]:
    """The period cut where something that matters begins or ends; the same for every fleet."""
    smooth = replace(demand.profile, spikes=())
    return tuple(
        Piece(start_s, end_s, smooth.jobs_between(start_s, end_s) / (end_s - start_s))
        for start_s, end_s in pairwise(_edges(demand))
    )


def stretches_of(
    demand: Demand, limits: Limits, slots: int, pieces: Callable[[], Sequence[Piece]] | None = None
) -> list[Stretch]:
    """All stretches in which jobs arrive, in order; one where the rate never changes.

    Args:
        demand: What arrives.
        limits: What follows from it.
        slots: Of the fleet that carries it.
        pieces: Gives what :func:`cut` makes of the demand, for who asks about several fleets; None to cut it here.
    """
    profile = demand.profile
    throughput = ceiling_per_s(limits, slots)
    rate_per_s = limits.arrival_rate_per_s
    if demand.trace is None and not has_steady_state(throughput, rate_per_s):
        return [Stretch(0.0, profile.period_s, profile.jobs, rate_per_s, (math.inf,))]
    if demand.is_steady:
        waits = _within_a_batch(demand, limits, slots, rate_per_s, 0.0)
        return [Stretch(0.0, profile.period_s, profile.jobs, rate_per_s, waits)]
    found: list[Stretch] = []
    backlog = 0.0
    period = cut(demand) if pieces is None else pieces()
    for _ in range(1 if demand.trace is not None else 2):  # a trace begins empty, a day where the one before it ended
        found, backlog = _played(demand, limits, slots, period, backlog)
    return found


def hour_edges(period_s: float) -> list[float]:
    """The beginnings of a period's hours, and its end; it is cut evenly, into about as many as it has."""
    count = max(1, round(period_s / SECONDS_PER_HOUR))
    return [period_s * number / count for number in range(count + 1)]


def _played(
    demand: Demand, limits: Limits, slots: int, period: Sequence[Piece], backlog: float
) -> tuple[list[Stretch], float]:
    """The stretches of one period that begins with a backlog, and the backlog at its end."""
    throughput = ceiling_per_s(limits, slots)
    spikes = list(demand.profile.spikes)
    found = []
    for piece in period:
        start_s, end_s, rate_per_s = piece.start_s, piece.end_s, piece.rate_per_s
        while spikes and spikes[0].at_s <= start_s + _SAME_S:
            jobs, at_s = spikes[0].jobs, spikes.pop(0).at_s
            free = 0.0 if backlog else _free(demand, limits, slots, rate_per_s)
            waits = tuple((backlog + max(0.0, place - free)) / throughput for place in _places(jobs))
            found.append(Stretch(at_s, 0.0, jobs, rate_per_s, waits))
            backlog += max(0.0, jobs - free)
        beyond = max(0.0, backlog + (rate_per_s - throughput) * (end_s - start_s))
        waits = _within_a_batch(demand, limits, slots, rate_per_s, (backlog + beyond) / 2)
        found.append(Stretch(start_s, end_s - start_s, rate_per_s * (end_s - start_s), rate_per_s, waits))
        backlog = beyond
    return [stretch for stretch in found if stretch.jobs > 0], backlog


def _edges(demand: Demand) -> list[float]:
    """Where stretches begin, and the period's end."""
    profile = demand.profile
    period_s = profile.period_s
    count = max(1, round(period_s / STRETCH_S))
    busiest_s = profile.busiest(min(SECONDS_PER_HOUR, period_s))
    instants = sorted(
        [
            *(period_s * number / count for number in range(count)),
            *hour_edges(period_s),
            *(spike.at_s for spike in profile.spikes),
            busiest_s,
            (busiest_s + SECONDS_PER_HOUR) % period_s,
        ]
    )
    return list(_apart(instants))


def _apart(instants: Sequence[float]) -> Iterator[float]:
    """Instants in order, without those that are nearly the same as the one before."""
    last = -math.inf
    for instant in instants:
        if instant - last > _SAME_S:
            yield instant
            last = instant


def _within_a_batch(demand: Demand, limits: Limits, slots: int, rate_per_s: float, backlog: float) -> tuple[float, ...]:
    """The fluid's waits where jobs come in batches: those beyond the free slots wait for the others of their batch."""
    throughput = ceiling_per_s(limits, slots)
    if demand.arrivals.kind is not ArrivalKind.BATCH:
        return (backlog / throughput,)
    free = 0.0 if backlog else _free(demand, limits, slots, rate_per_s)
    places = _places(demand.arrivals.parameter or 1)
    return tuple((backlog + max(0.0, place - free)) / throughput for place in places)


def _free(demand: Demand, limits: Limits, slots: int, rate_per_s: float) -> float:
    """Jobs that start at once: the slots that the rate leaves free, and what the upstream lets through."""
    free = max(0.0, slots - rate_per_s * limits.slot_seconds_per_job)
    return free if demand.upstream.attempts_per_s is None else min(free, 1.0 + demand.upstream.burst)


def _places(jobs: float) -> list[float]:
    """The middle of each part of jobs that come at once."""
    return [jobs * (part + 0.5) / _PARTS for part in range(_PARTS)]

"""How many replicas a load needs, by closed form.

Assumptions: Poisson arrivals at a steady rate, one queue, identical slots, every attempt succeeds, nothing but slots is
scarce. ``replicas`` includes the spare; utilisation and predictions describe all of them running, and what remains with
the spare gone stands beside them.

Three limits, from the weakest to the strongest: the *slots* keep up with the load; the *objective* holds; with
*redundancy* both still do when the spare is gone. A search keeps all three. A given number of replicas is held only to
those the caller asks for, and always to the first.

The search doubles and bisects: more slots never wait longer, so the replicas that keep a limit are all those from some
number on.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from jobctl.core.queueing import WaitPrediction, offered_load_erlangs, predict_wait
from jobctl.core.slo import Objective
from jobctl.errors import InvalidValue

__all__ = [
    "MAX_SLOTS",
    "Binding",
    "Demand",
    "Fleet",
    "Plan",
    "evaluate",
    "fewest_replicas",
    "holds",
    "plan",
    "replicas_needed",
]

#: No fleet has more slots than this; who needs more has mistaken a unit.
MAX_SLOTS: Final = 10_000_000


class Binding(StrEnum):
    """The limit that decides: one that the fleet breaks, else the one that a replica fewer would break."""

    #: The slots must keep up with the offered load.
    SLOTS = "slots"
    #: Keeping up takes fewer; the objective takes these.
    OBJECTIVE = "objective"
    #: The load needs one replica; the rest are there because the spare may go. Or: what holds now breaks without it.
    REDUNDANCY = "redundancy"
    #: A replica fewer would break none.
    NONE = "none"


_ALL: Final = frozenset({Binding.SLOTS, Binding.OBJECTIVE, Binding.REDUNDANCY})


@dataclass(frozen=True, slots=True)
class Demand:
    """What has to be carried, and how well.

    Attributes:
        arrival_rate_per_s: Jobs per second at the planned peak.
        mean_service_s: Mean time a job holds a slot.
        service_scv: Squared coefficient of variation of that time; 1 is exponential.
        concurrency: Slots of one replica.
        objective: What must hold.
        spare: Replicas that may be gone while it holds.
    """

    arrival_rate_per_s: float
    mean_service_s: float
    service_scv: float
    concurrency: int
    objective: Objective
    spare: int

    def __post_init__(self) -> None:
        if self.objective.signal != "wait":
            raise InvalidValue(
                f"{str(self.objective)!r} is not about the wait",
                'plan predicts waits: give "p95 wait <= 1s" or the like',
            )

    @property
    def offered_load_erlangs(self) -> float:
        """Slots kept busy if no job waited."""
        return offered_load_erlangs(self.arrival_rate_per_s, self.mean_service_s)


@dataclass(frozen=True, slots=True)
class Fleet:
    """Some replicas under the demand.

    Attributes:
        replicas: How many run.
        slots: Their slots.
        utilisation: Offered load over slots; at 1 and above the backlog grows without end.
        wait: The predicted wait.
        holds: Whether the objective holds.
    """

    replicas: int
    slots: int
    utilisation: float
    wait: WaitPrediction
    holds: bool

    @property
    def headroom(self) -> float:
        """The share of the slots that the load leaves free; negative when it asks for more than there are."""
        return 1 - self.utilisation

    @property
    def keeps_up(self) -> bool:
        """Whether the backlog stays finite."""
        return math.isfinite(self.wait.mean_s)


@dataclass(frozen=True, slots=True)
class Plan:
    """An answer.

    Attributes:
        demand: What was asked.
        feasible: Whether every required limit is kept.
        binding: Which limit decides.
        required: The limits that had to be kept.
        all_running: The fleet with every replica, the spare included.
        spare_gone: The fleet without the spare; None when nothing would remain.
        around: Fleets of two fewer to three more replicas, for comparison.
    """

    demand: Demand
    feasible: bool
    binding: Binding
    required: frozenset[Binding]
    all_running: Fleet
    spare_gone: Fleet | None
    around: tuple[Fleet, ...]


def evaluate(demand: Demand, replicas: int) -> Fleet:
    """What that many running replicas would do; at least one."""
    slots = replicas * demand.concurrency
    wait = predict_wait(
        arrival_rate_per_s=demand.arrival_rate_per_s,
        mean_service_s=demand.mean_service_s,
        slots=slots,
        service_scv=demand.service_scv,
    )
    return Fleet(replicas, slots, demand.offered_load_erlangs / slots, wait, holds(demand.objective, wait))


def holds(objective: Objective, wait: WaitPrediction) -> bool:
    """Whether a predicted wait keeps the objective."""
    value_s = wait.mean_s if objective.quantile is None else wait.quantile_s(objective.quantile)
    return value_s <= objective.threshold_s and math.isfinite(wait.mean_s)


def plan(demand: Demand, replicas: int | None = None, required: Collection[Binding] = _ALL) -> Plan:
    """Search the fewest replicas that keep every limit, or evaluate a given number.

    Args:
        demand: What has to be carried.
        replicas: Evaluate exactly these, the spare among them; search when None.
        required: The limits a given number is held to; the slots must keep up in any case.

    Raises:
        InvalidValue: No fleet of at most :data:`MAX_SLOTS` slots would do, or the given one has more.
    """
    if replicas is None:
        limits = _ALL
        carrying = fewest_replicas(demand)
        if carrying is None:
            raise InvalidValue(
                f"{demand.offered_load_erlangs:.3g} erlangs need more than {MAX_SLOTS:,} slots",
                "check the units of the volume and of the service time",
            )
        total = carrying + demand.spare
    else:
        limits = frozenset(required) | {Binding.SLOTS}
        total = replicas
        if total * demand.concurrency > MAX_SLOTS:
            raise InvalidValue(
                f"{total:,} replicas of {demand.concurrency:,} slots are more than {MAX_SLOTS:,} slots", "give fewer"
            )
    broken = _broken(demand, total, limits)
    remaining = total - demand.spare
    return Plan(
        demand=demand,
        feasible=broken is None,
        binding=_tight(demand, total, limits) if broken is None else broken,
        required=limits,
        all_running=evaluate(demand, total),
        spare_gone=evaluate(demand, remaining) if remaining > 0 else None,
        around=tuple(evaluate(demand, number) for number in range(max(1, total - 2), total + 4)),
    )


def replicas_needed(
    *,
    arrival_rate_per_s: float,
    mean_service_s: float,
    service_scv: float,
    concurrency: int,
    objective: Objective,
    spare: int,
) -> int | None:
    """The fewest replicas that hold the objective with the spare gone, the spare included; None where none would."""
    demand = Demand(arrival_rate_per_s, mean_service_s, service_scv, concurrency, objective, spare)
    carrying = fewest_replicas(demand)
    return None if carrying is None else carrying + spare


def fewest_replicas(demand: Demand) -> int | None:
    """The fewest replicas that hold the objective, the spare not counted; None where :data:`MAX_SLOTS` would not do."""
    if demand.offered_load_erlangs >= MAX_SLOTS:
        return None
    most = MAX_SLOTS // demand.concurrency
    low, step = math.floor(demand.offered_load_erlangs / demand.concurrency), 1  # so many cannot keep up
    while low + step <= most and not evaluate(demand, low + step).holds:
        low += step
        step *= 2
    high = min(low + step, most)
    if high <= low or not evaluate(demand, high).holds:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if evaluate(demand, middle).holds:
            high = middle
        else:
            low = middle
    return high


def _broken(demand: Demand, replicas: int, limits: Collection[Binding]) -> Binding | None:
    """The first limit that so many replicas break, from the weakest on."""
    fleet = evaluate(demand, replicas)
    if not fleet.keeps_up:
        return Binding.SLOTS
    if Binding.OBJECTIVE in limits and not fleet.holds:
        return Binding.OBJECTIVE
    if Binding.REDUNDANCY in limits and demand.spare > 0:
        remaining = replicas - demand.spare
        alone = [limit for limit in limits if limit is not Binding.REDUNDANCY]
        if remaining < 1 or _broken(demand, remaining, alone) is not None:
            return Binding.REDUNDANCY
    return None


def _tight(demand: Demand, replicas: int, limits: Collection[Binding]) -> Binding:
    """The limit that one replica fewer would break, seen on what then has to carry the load."""
    spare = demand.spare if Binding.REDUNDANCY in limits else 0
    carrying = replicas - spare - 1
    if carrying < 1:
        return Binding.REDUNDANCY if spare else Binding.SLOTS
    alone = [limit for limit in limits if limit is not Binding.REDUNDANCY]
    return _broken(demand, carrying, alone) or Binding.NONE

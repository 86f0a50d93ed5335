"""How many replicas a load needs, by closed form.

Assumptions: Poisson arrivals at a steady rate, one queue, identical slots, every attempt succeeds, nothing but slots is
scarce. ``replicas`` includes the spare; utilisation and predictions describe all of them running, and what remains with
the spare gone stands beside them. The objective is kept only if it holds with the spare gone.

The search is a bisection: more slots never wait longer, so the replicas that hold the objective are all those from some
number on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from jobctl.core.queueing import WaitPrediction, offered_load_erlangs, predict_wait
from jobctl.core.slo import Objective
from jobctl.errors import InvalidValue

__all__ = ["Binding", "Demand", "Fleet", "Plan", "evaluate", "holds", "plan", "replicas_needed"]


class Binding(StrEnum):
    """What decided the number of replicas."""

    #: The slots must at least keep up with the offered load.
    SLOTS = "slots"
    #: Keeping up would take fewer; the objective takes these.
    OBJECTIVE = "objective"
    #: The load would do without the last ones; the spare takes them.
    REDUNDANCY = "redundancy"
    #: The number was given, not searched.
    GIVEN = "given"


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
                f"the objective {self.objective} is not about the wait", 'plan takes "p95 wait <= 1s" and the like'
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
        utilisation: Offered load over slots; above 1 the backlog grows without end.
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
        """The share of the slots that the load leaves free."""
        return 1 - self.utilisation


@dataclass(frozen=True, slots=True)
class Plan:
    """An answer.

    Attributes:
        demand: What was asked.
        feasible: Whether the objective holds with the spare gone.
        binding: What decided.
        all_running: The fleet with every replica, the spare included.
        spare_gone: The fleet without the spare; None when nothing would remain.
        around: Fleets of two fewer to three more replicas, for comparison.
    """

    demand: Demand
    feasible: bool
    binding: Binding
    all_running: Fleet
    spare_gone: Fleet | None
    around: tuple[Fleet, ...]


def evaluate(demand: Demand, replicas: int) -> Fleet:
    """What that many running replicas would do."""
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


def plan(demand: Demand, replicas: int | None = None) -> Plan:
    """Search the fewest replicas, or evaluate a given number.

    Args:
        demand: What has to be carried.
        replicas: Evaluate exactly these, the spare among them; search when None.
    """
    if replicas is None:
        carrying = _fewest(demand)
        total = carrying + demand.spare
        binding = Binding.REDUNDANCY if demand.spare else _decisive(demand, carrying)
    else:
        total, binding = replicas, Binding.GIVEN
    remaining = total - demand.spare
    spare_gone = evaluate(demand, remaining) if remaining > 0 else None
    return Plan(
        demand=demand,
        feasible=spare_gone is not None and spare_gone.holds,
        binding=binding,
        all_running=evaluate(demand, total),
        spare_gone=spare_gone,
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
) -> int:
    """The fewest replicas that hold the objective with the spare gone, the spare included."""
    demand = Demand(arrival_rate_per_s, mean_service_s, service_scv, concurrency, objective, spare)
    return _fewest(demand) + spare


def _fewest(demand: Demand) -> int:
    """The fewest replicas that hold the objective: double until it holds, then bisect."""
    low = _keeping_up(demand) - 1
    step = 1
    while not evaluate(demand, low + step).holds:
        low += step
        step *= 2
    high = low + step
    while high - low > 1:
        middle = (low + high) // 2
        if evaluate(demand, middle).holds:
            high = middle
        else:
            low = middle
    return high


def _keeping_up(demand: Demand) -> int:
    """The fewest replicas whose slots exceed the offered load."""
    return math.floor(demand.offered_load_erlangs / demand.concurrency) + 1


def _decisive(demand: Demand, replicas: int) -> Binding:
    return Binding.SLOTS if replicas == _keeping_up(demand) else Binding.OBJECTIVE

"""The fewest replicas that carry a steady load, by closed form: what a bench says beside its figures.

Assumptions: Poisson arrivals at a steady rate, one queue, identical slots, every attempt succeeds, nothing but slots is
scarce. What a fleet needs when any of this does not hold is for :mod:`jobctl.core.planning`.

The search doubles and bisects: more slots never wait longer, so the replicas that hold are all those from some number
on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from jobctl.core.queueing import WaitPrediction, offered_load_erlangs, predict_wait
from jobctl.core.slo import Objective

__all__ = ["MAX_SLOTS", "bisected", "replicas_needed"]

#: No fleet has more slots than this; who needs more has mistaken a unit.
MAX_SLOTS: Final = 10_000_000


def replicas_needed(
    *, arrival_rate_per_s: float, mean_service_s: float, service_scv: float, concurrency: int, objective: Objective
) -> int | None:
    """The fewest replicas that hold an objective on the wait; None where :data:`MAX_SLOTS` would not do.

    Args:
        arrival_rate_per_s: Jobs per second.
        mean_service_s: Mean time a job holds a slot.
        service_scv: Squared coefficient of variation of that time; 1 is exponential.
        concurrency: Slots of one replica.
        objective: What must hold.
    """

    def holds(replicas: int) -> bool:
        wait = predict_wait(
            arrival_rate_per_s=arrival_rate_per_s,
            mean_service_s=mean_service_s,
            slots=replicas * concurrency,
            service_scv=service_scv,
        )
        return _value_s(objective, wait) <= objective.threshold_s

    load = offered_load_erlangs(arrival_rate_per_s, mean_service_s)
    most = MAX_SLOTS // concurrency
    low, step = math.floor(load / concurrency), 1  # so many cannot keep up
    if load >= MAX_SLOTS or not holds(most):
        return None
    while low + step < most and not holds(low + step):
        low += step
        step *= 2
    return bisected(holds, low, min(low + step, most))


def bisected(holds: Callable[[int], bool], low: int, high: int) -> int:
    """The smallest number that holds, between one that does not and one that does."""
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle
    return high


def _value_s(objective: Objective, wait: WaitPrediction) -> float:
    return wait.mean_s if objective.quantile is None else wait.quantile_s(objective.quantile)

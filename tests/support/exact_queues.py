"""Queues whose waits are known exactly: what the planner and the other oracles are held against.

* M/M/c: the birth-death chain, in rational numbers.
* M/D/c: the chain of the number in system from one service time to the next (Crommelin 1932), and from it the law of
  the wait (Franx 2001, "A simple solution for the M/D/c waiting time distribution").
* M/PH/c with two phases or branches: the chain of the number in system and of the busy slots of the second kind.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


def fewest_mmc(load: Fraction, mean_s: float, each: int, q: float, threshold_s: float) -> int:
    """The fewest replicas of ``each`` slots whose q-quantile of the wait is at most the threshold."""
    replicas = math.floor(load / each) + 1
    while mmc_share_over(load, mean_s, replicas * each, threshold_s) > 1 - q:
        replicas += 1
    return replicas


def mmc_share_over(load: Fraction, mean_s: float, slots: int, threshold_s: float) -> float:
    """P(W > t) of M/M/c."""
    weight, below = Fraction(1), Fraction(0)
    for busy in range(slots):
        below += weight
        weight = weight * load / (busy + 1)
    all_busy = weight / (1 - load / slots)
    return float(all_busy / (below + all_busy)) * math.exp(-float(slots - load) / mean_s * threshold_s)


class Mdc:
    """M/D/c at a load below its slots, with a service time of 1."""

    def __init__(self, load: float, slots: int) -> None:
        self.load, self.slots = load, slots
        size = slots + math.ceil(40 / (1 - load / slots)) + 60
        arriving = [math.exp(-load)]
        for number in range(1, size + slots + 1):
            arriving.append(arriving[-1] * load / number)
        steps = np.zeros((size, size))
        for inside in range(size):
            left = max(0, inside - slots)
            steps[left:, inside] = arriving[: size - left]
        steps[-1] = 1.0  # in place of one equation that follows from the others: they sum to 1
        matrix = np.eye(size) - steps
        matrix[-1] = 1.0
        right = np.zeros(size)
        right[-1] = 1.0
        self.cumulated = np.cumsum(np.linalg.solve(matrix, right))

    def share_over(self, wait: float) -> float:
        """P(W > x): with (k-1) <= x < k and u = load (k - x) it is 1 - exp(-u) sum Q(kc - 1 - j) u^j / j!."""
        k = math.floor(wait) + 1
        u = self.load * (k - wait)
        term, total = math.exp(-u), 0.0
        for number in range(k * self.slots):
            queue = k * self.slots - 1 - number
            total += term * self.cumulated[min(queue + self.slots, len(self.cumulated) - 1)]
            term *= u / (number + 1)
        return 1 - total

    def quantile(self, q: float) -> float:
        """The wait that a share q does not exceed."""
        if self.share_over(0.0) <= 1 - q:
            return 0.0
        low, high = 0.0, 1.0
        while self.share_over(high) > 1 - q:
            high *= 2
        for _ in range(50):
            middle = (low + high) / 2
            low, high = (middle, high) if self.share_over(middle) > 1 - q else (low, middle)
        return high


def mean_wait_of_two_erlang_phases(load: float, slots: int) -> float:
    """The mean wait of M/E2/c with a mean service time of 1, by Little's law from the chain of its states."""
    most = slots + math.ceil(30 / (1 - load / slots)) + 20
    states = [(n, m) for n in range(most + 1) for m in range(min(n, slots) + 1)]
    position = {state: number for number, state in enumerate(states)}
    rates = np.zeros((len(states), len(states)))
    for (n, second), here in position.items():
        first = min(n, slots) - second
        moves = [((n, second + 1), 2.0 * first), ((n - 1, second - 1), 2.0 * second)]
        if n < most:
            moves.append(((n + 1, second), load))
        for there, rate in moves:
            if rate:
                rates[position[there], here] += rate
                rates[here, here] -= rate
    rates[-1] = 1.0
    right = np.zeros(len(states))
    right[-1] = 1.0
    shares = np.linalg.solve(rates, right)
    return float(sum(share * max(0, n - slots) for (n, _), share in zip(states, shares, strict=True))) / load

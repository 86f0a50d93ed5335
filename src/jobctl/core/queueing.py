"""Closed forms for a station of identical slots with one queue in order of arrival.

Models, in Kendall's notation: M/M/c (Poisson arrivals, exponential service, c slots) exactly, and GI/G/c by two moments.
Symbols: arrival rate l (1/s), mean service time S (s), offered load a = l S (erlangs), utilisation r = a/c, C the
probability to wait. Everything holds for a load that does not change and has lasted; at r >= 1 no steady state exists
and waits are infinite.

References: Erlang 1917; Gross, Shortle, Thompson & Harris, "Fundamentals of Queueing Theory", ch. 3 (M/M/c);
Cosmetatos 1976 (M/D/c); Kimura 1994, "Approximations for multi-server queues: system interpolations" (two moments);
Allen 1990 (Allen-Cunneen).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["WaitPrediction", "erlang_b", "erlang_c", "offered_load_erlangs", "predict_wait"]


@dataclass(frozen=True, slots=True)
class WaitPrediction:
    """The wait of a job, in a steady state.

    Its tail is taken as exponential: P(W > t) = p_wait exp(-t p_wait / mean_s), exact for M/M/c.

    Attributes:
        p_wait: Probability that a job finds no free slot.
        mean_s: Mean wait over all jobs, seconds; infinite where the slots cannot keep up.
        method: The formula's name.
    """

    p_wait: float
    mean_s: float
    method: str

    def quantile_s(self, q: float) -> float:
        """The q-quantile of the wait, seconds: 0 where fewer than 1 - q wait at all."""
        if self.p_wait <= 1 - q:
            return 0.0
        if math.isinf(self.mean_s):
            return math.inf
        return self.mean_s / self.p_wait * math.log(self.p_wait / (1 - q))

    def exceeding(self, wait_s: float) -> float:
        """The share of jobs that wait longer than that."""
        if math.isinf(self.mean_s):
            return 1.0
        return self.p_wait * math.exp(-wait_s * self.p_wait / self.mean_s) if self.mean_s > 0 else 0.0


def offered_load_erlangs(arrival_rate_per_s: float, mean_service_s: float) -> float:
    """Slots kept busy if none ever waited: a = l S."""
    return arrival_rate_per_s * mean_service_s


def erlang_b(slots: int, load_erlangs: float) -> float:
    """Probability that all slots are busy when blocked arrivals go away.

    The recursion 1/B(k) = 1 + k / (a B(k-1)) adds positive terms only, so nothing cancels. For large loads it is started
    near the end, from the first k whose 1/B still matters: 1/B(c) = sum over j of c!/(c-j)! / a^j, whose terms fall once
    they do, so the sum is cut where a term is below 1e-17 of it.
    """
    if load_erlangs <= 0:
        return 0.0 if slots else 1.0
    inverse = term = 1.0
    for busy in range(slots, 0, -1):
        term *= busy / load_erlangs
        inverse += term
        if term < 1e-17 * inverse and busy < load_erlangs:
            break
        if math.isinf(inverse):
            return 0.0
    return 1 / inverse


def erlang_c(slots: int, load_erlangs: float) -> float:
    """Probability to wait in M/M/c: C = B / (1 - r (1 - B)); 1 where the slots cannot keep up."""
    if load_erlangs >= slots:
        return 1.0
    blocked = erlang_b(slots, load_erlangs)
    return blocked / (1 - load_erlangs / slots * (1 - blocked))


def predict_wait(
    *, arrival_rate_per_s: float, mean_service_s: float, slots: int, arrival_scv: float = 1.0, service_scv: float = 1.0
) -> WaitPrediction:
    """The wait in GI/G/c by two moments; exact for M/M/c.

    Args:
        arrival_rate_per_s: Jobs per second.
        mean_service_s: Mean time on a slot.
        slots: How many there are.
        arrival_scv: Squared coefficient of variation of gaps; 1 is Poisson, 0 evenly spaced.
        service_scv: That of service times; 1 is exponential.
    """
    load = offered_load_erlangs(arrival_rate_per_s, mean_service_s)
    if load >= slots:
        return WaitPrediction(1.0, math.inf, "no steady state")
    p_wait = erlang_c(slots, load)
    mean_s = p_wait * mean_service_s / (slots - load)
    if arrival_scv == 1 and service_scv == 1:
        return WaitPrediction(p_wait, mean_s, "M/M/c")
    if arrival_scv == 1:
        return WaitPrediction(p_wait, mean_s * _service_factor(service_scv, slots, load), "M/G/c, Kimura")
    # Allen-Cunneen is the two-moment form that takes arrivals steadier or burstier than Poisson.
    return WaitPrediction(p_wait, mean_s * (arrival_scv + service_scv) / 2, "GI/G/c, Allen-Cunneen")


def _service_factor(service_scv: float, slots: int, load: float) -> float:
    """E[W of M/G/c] / E[W of M/M/c] by Kimura's interpolation, exact at both ends and, for one slot, everywhere.

    W = (1 + scv) / (2 scv / W(M/M/c) + (1 - scv) / W(M/D/c)); written here as a ratio with d = W(M/D/c) / W(M/M/c).
    d >= 1/2 keeps the denominator positive for every scv.
    """
    return (1 + service_scv) / (2 * service_scv + (1 - service_scv) / _constant_service_ratio(slots, load))


def _constant_service_ratio(slots: int, load: float) -> float:
    """W(M/D/c) / W(M/M/c), Cosmetatos: (1 + (1-r)(c-1)(sqrt(4+5c)-2)/(16 r c)) / 2, at most 1."""
    utilisation = load / slots
    correction = (1 - utilisation) * (slots - 1) * (math.sqrt(4 + 5 * slots) - 2) / (16 * utilisation * slots)
    return min(1.0, (1 + correction) / 2)

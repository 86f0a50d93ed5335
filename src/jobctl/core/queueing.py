"""Closed forms for a station of identical slots with one queue in order of arrival.

Models, in Kendall's notation: M/M/c (Poisson arrivals, exponential service, c slots) exactly, and GI/G/c by the first
two moments. Symbols: arrival rate l (1/s), mean service time S (s), offered load a = l S (erlangs), utilisation
r = a/c, C the probability to wait. Everything holds for a load that does not change and has lasted; at r >= 1 no steady
state exists and waits are infinite.

References: Erlang 1917; Gross, Shortle, Thompson & Harris, "Fundamentals of Queueing Theory", 4th ed., ch. 2 (M/M/c);
Cosmetatos 1976 (M/D/c); Kimura 1994, "Approximations for multi-server queues: system interpolations" (two moments);
Allen 1990 (Allen-Cunneen); Halfin & Whitt 1981, "Heavy-traffic limits for queues with many exponential servers".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

__all__ = [
    "WaitPrediction",
    "erlang_b",
    "erlang_c",
    "halfin_whitt",
    "has_steady_state",
    "kimura_factor",
    "many_slots_relief",
    "offered_load_erlangs",
    "predict_wait",
]

#: A load this close to the slots fills them: what is missing comes from rounding, as in 450,000 a day x 4.8 s = 25.
_FULL: Final = 1 - 1e-12


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

    1/B = sum over j = 0..c of c (c-1) ... (c-j+1) / a^j, the recursion 1/B(k) = 1 + k / (a B(k-1)) written out. All
    terms are positive, so nothing cancels. They fall from the first that has c-j+1 < a on, so the sum is cut where a
    term is below 1e-17 of it: a million slots take some thousand terms.
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


def has_steady_state(capacity: float, load: float) -> bool:
    """Whether slots keep up with erlangs, or one rate with another, so that waits stay finite."""
    return load < capacity * _FULL


def erlang_c(slots: int, load_erlangs: float) -> float:
    """Probability to wait in M/M/c: C = B / (1 - r (1 - B)); 1 where the slots cannot keep up."""
    if not has_steady_state(slots, load_erlangs):
        return 1.0
    blocked = erlang_b(slots, load_erlangs)
    return blocked / (1 - load_erlangs / slots * (1 - blocked))


def halfin_whitt(slots: int, load_erlangs: float) -> float:
    """Probability to wait in M/M/c, in the limit of many slots; 1 where they cannot keep up.

    With c = a + b sqrt(a) slots it is 1 / (1 + b F(b) / f(b)), F and f the standard normal's distribution and density.
    """
    if not has_steady_state(slots, load_erlangs):
        return 1.0
    if load_erlangs <= 0:
        return 0.0
    spare = (slots - load_erlangs) / math.sqrt(load_erlangs)
    below = math.erfc(-spare / math.sqrt(2)) / 2
    density = math.exp(-(spare**2) / 2) / math.sqrt(2 * math.pi)
    return density / (density + spare * below)


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
    if not has_steady_state(slots, load):
        return WaitPrediction(1.0, math.inf, "no steady state")
    p_wait = erlang_c(slots, load)
    mean_s = p_wait * mean_service_s / (slots - load)
    if arrival_scv == 1 and service_scv == 1:
        return WaitPrediction(p_wait, mean_s, "M/M/c")
    if arrival_scv == 1:
        return WaitPrediction(p_wait, mean_s * kimura_factor(service_scv, slots, load), "M/G/c, Kimura")
    # Allen-Cunneen is the two-moment form that takes arrivals steadier or burstier than Poisson.
    return WaitPrediction(p_wait, mean_s * (arrival_scv + service_scv) / 2, "GI/G/c, Allen-Cunneen")


def kimura_factor(service_scv: float, slots: int, load: float) -> float:
    """E[W of M/G/c] / E[W of M/M/c] by Kimura's interpolation: exact for exponential service and for one slot.

    W = (1 + scv) / (2 scv / W(M/M/c) + (1 - scv) / W(M/D/c)). With W(M/D/c) = W(M/M/c) (1 + g) / 2 that is the ratio
    (1 + scv)(1 + g) / (2 (1 + scv g)), in which nothing cancels.
    """
    relief = many_slots_relief(slots, load)
    return (1 + service_scv) * (1 + relief) / (2 * (1 + service_scv * relief))


def many_slots_relief(slots: int, load: float) -> float:
    """Cosmetatos' g, by which constant service gains less than half on many slots that are not full.

    W(M/D/c) / W(M/M/c) = (1 + g) / 2 with g = (1-r)(c-1)(sqrt(4+5c)-2) / (16 r c); cut at 1, because constant service
    never waits longer than exponential service.
    """
    if load <= 0:
        return 1.0
    utilisation = load / slots
    return min(1.0, (1 - utilisation) * (slots - 1) * (math.sqrt(4 + 5 * slots) - 2) / (16 * utilisation * slots))

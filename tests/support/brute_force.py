"""Demands beside independent simulations of the same thing: the planner's answers are held against these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from jobctl.core.capacity import limits_of
from jobctl.core.demand import Demand
from jobctl.core.plans import Fleet, Plan
from jobctl.core.slo import Objective
from support.independent import Events, Numbers, Process, Rules, Services, Share, waits_of

#: Job steps of one go of many replications at once, and the most of all.
_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Case:
    """One demand, told twice.

    Attributes:
        name: What it is.
        demand: To the planner.
        process, services: To the simulation.
        span_s: For a utilisation, when the simulation begins, empty; from when to when jobs arrive that the objective
            is about.
        replications: How many.
        rules: What else happens; None for many replications at once.
    """

    name: str
    demand: Demand
    process: Process
    services: Services
    span_s: Callable[[float], tuple[float, float, float]]
    replications: int = 100
    rules: Rules | None = None
    _known: dict[int, list[Numbers]] = field(default_factory=dict)

    @property
    def objective(self) -> Objective:
        """The one promise."""
        (objective,) = self.demand.objectives
        return objective

    def waits(self, slots: int) -> list[Numbers]:
        """Of the jobs of the window, replication by replication; the same jobs for each number of slots."""
        if slots not in self._known:
            self._known[slots] = self._play(slots)
        return self._known[slots]

    def holds(self, slots: int) -> bool | None:
        """Whether the objective does, with about 99.9 % confidence; None where it is too close to tell."""
        objective = self.objective
        waits = self.waits(slots)
        if objective.quantile is None:
            mean = Share.of(waits)
            return mean.is_at_most(objective.threshold_s)
        return Share.over(waits, objective.threshold_s).is_at_most(1 - objective.quantile)

    def quantile_s(self, slots: int, q: float) -> tuple[float, float, float]:
        """The wait that a share q of the jobs does not exceed, and between which values it is (3 standard errors)."""
        waits = self.waits(slots)
        pooled = np.sort(np.concatenate(waits))
        value = float(np.quantile(pooled, q, method="inverted_cdf"))
        reach = 3 * max(Share.over(waits, value).error, 1 / len(pooled))
        low, high = (float(np.quantile(pooled, min(1.0, max(0.0, q + sign * reach)))) for sign in (-1, 1))
        return value, low, high

    def _play(self, slots: int) -> list[Numbers]:
        begin_s, start_s, end_s = self.span_s(limits_of(self.demand).offered_load_erlangs / slots)
        if self.rules is not None:
            replicas = slots // self.demand.concurrency
            waits = []
            for number in range(self.replications):
                rng = np.random.default_rng((number, 77))
                arrivals = self.process(rng, begin_s, end_s)
                played = Events(replicas, self.demand.concurrency, self.rules, rng).play(arrivals, self.services)
                waits.append(played.waits_between(arrivals, start_s, end_s))
            return waits
        waits, left = [], list(range(self.replications))
        while left:
            drawn: list[tuple[Numbers, Numbers]] = []
            while left and sum(len(arrivals) for arrivals, _ in drawn) < _AT_ONCE:
                rng = np.random.default_rng((left.pop(0), 55))
                arrivals = self.process(rng, begin_s, end_s)
                drawn.append((arrivals, self.services(rng, len(arrivals))))
            played = waits_of([a for a, _ in drawn], [s for _, s in drawn], slots)
            for (arrivals, _), some in zip(drawn, played, strict=True):
                first, beyond = np.searchsorted(arrivals, (start_s, end_s))
                waits.append(some[first:beyond].copy())
        return waits


def steady(rate_per_s: float, scv_sum: float) -> Callable[[float], tuple[float, float, float]]:
    """A steady stretch that is long against what its queue remembers: (ca² + cs²) / (1 - u)² arrivals."""

    def span(utilisation: float) -> tuple[float, float, float]:
        remembered = min(30_000, scv_sum / (1 - min(utilisation, 0.999)) ** 2)
        return -(6 * remembered + 1000) / rate_per_s, 0.0, max(4000, 10 * remembered) / rate_per_s

    return span


@dataclass(frozen=True)
class Judged:
    """What brute force says of an answer.

    Attributes:
        replicas: The answer, no spare.
        edge: The two numbers that it could not tell apart, no spare.
        holds: Whether the answer does (of two: the larger); None where it is too close to tell.
        fewer_holds: Whether one fewer does (of two: one fewer than the smaller).
        waits_agree: For the p95 and the p99: whether it is shown within a tenth of the truth, or a twentieth of what is
            allowed, or with an interval in which the truth lies, to its own precision.
    """

    replicas: int
    edge: tuple[int, int] | None
    holds: bool | None
    fewer_holds: bool | None
    waits_agree: dict[str, bool]

    @property
    def is_right(self) -> bool:
        """Whether nothing speaks against it."""
        return self.holds is not False and self.fewer_holds is not True


def judge(case: Case, answer: Plan) -> Judged:
    """Hold an answer against brute force."""
    spare, each = case.demand.spare, answer.limits.effective_slots_per_replica
    fleet, asked = answer.spare_gone, answer.answers.with_spare
    assert fleet is not None
    assert asked is not None
    carrying = asked - spare
    edge = None if answer.edge is None else (answer.edge[0] - spare, answer.edge[1] - spare)
    fewest, most = edge or (carrying, carrying)
    load = answer.limits.arrival_rate_per_s * answer.limits.slot_seconds_per_job
    return Judged(
        carrying,
        edge,
        case.holds(most * each),
        False if (fewest - 1) * each <= load else case.holds((fewest - 1) * each),
        {
            name: _agrees(fleet, name, case.quantile_s(carrying * each, q), 0.05 * case.objective.threshold_s)
            for name, q in (("p95", 0.95), ("p99", 0.99))
        },
    )


def _agrees(fleet: Fleet, name: str, truth: tuple[float, float, float], negligible_s: float) -> bool:
    shown = fleet.wait.p95_s if name == "p95" else fleet.wait.p99_s
    assert shown is not None
    value, low, high = truth
    band = fleet.bands.get(name)
    near = abs(shown - value) <= max(0.1 * value, negligible_s) or low <= shown <= high
    return near or (band is not None and band.low_s <= high and band.high_s >= low)

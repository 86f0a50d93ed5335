"""Queues simulated by other means than jobctl's: what an answer of the planner is held against.

Nothing of :mod:`jobctl.core` is used here. Arrivals are drawn by numpy (a changing rate by thinning), and a queue is
played out in one of two ways:

* :func:`waits_of` plays many replications at once, job after job, each to the slot that is free first. It starts empty.
* :class:`Events` steps from event to event: attempts that fail and come back, a bucket of calls, and the connections of
  each replica, which its slots really share. It is slow.

A :class:`Share` is a share of jobs with an interval from independent replications.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
#: Draws so many service times.
Services = Callable[[np.random.Generator, int], Numbers]
#: Draws the arrivals from one instant to another.
Process = Callable[[np.random.Generator, float, float], Numbers]
#: Stands for a job that never comes, where a replication has fewer than others.
NEVER_S = 1e15
DAY_S = 86_400.0


# ------------------------------------------------------------------------------------------------- what arrives, and takes


def renewal(rate_per_s: float, scv: float) -> Process:
    """Gamma gaps; 1 is Poisson, 0 evenly spaced."""

    def draw(rng: np.random.Generator, start_s: float, end_s: float) -> Numbers:
        expected = rate_per_s * (end_s - start_s)
        count = int(expected + 10 * math.sqrt((scv + 1) * (expected + 1)) + 10)
        gaps = rng.gamma(1 / scv, scv / rate_per_s, count) if scv else np.full(count, 1 / rate_per_s)
        instants = start_s + np.cumsum(gaps)
        return instants[instants < end_s]

    return draw


def batches(rate_per_s: float, size: int) -> Process:
    """Jobs come by the batch, batches as Poisson."""
    process = renewal(rate_per_s / size, 1.0)
    return lambda rng, start_s, end_s: np.repeat(process(rng, start_s, end_s), size)


def thinned(rate_at: Callable[[Numbers], Numbers], most_per_s: float) -> Process:
    """Poisson at a rate that changes: candidates at the highest rate, each kept with probability rate / highest."""
    process = renewal(most_per_s, 1.0)

    def draw(rng: np.random.Generator, start_s: float, end_s: float) -> Numbers:
        instants = process(rng, start_s, end_s)
        return instants[rng.random(len(instants)) * most_per_s < rate_at(instants)]

    return draw


def daily(mean_per_s: float, peak_factor: float) -> Process:
    """Poisson in a day with its peak at noon: a cosine up to 2, the density of von Mises beyond."""

    def angle(instants: Numbers) -> Numbers:
        return 2 * np.pi * (instants / DAY_S - 0.5)

    if peak_factor <= 2:
        return thinned(lambda t: mean_per_s * (1 + (peak_factor - 1) * np.cos(angle(t))), mean_per_s * peak_factor)
    low, high = 0.0, peak_factor**2
    for _ in range(100):
        k = (low + high) / 2
        low, high = (k, high) if math.exp(k) / float(np.i0(k)) < peak_factor else (low, k)
    return thinned(lambda t: mean_per_s * peak_factor * np.exp(k * (np.cos(angle(t)) - 1)), mean_per_s * peak_factor)


def with_burst(process: Process, jobs: int, at_s: float) -> Process:
    """The same, and so many jobs at one instant."""

    def draw(rng: np.random.Generator, start_s: float, end_s: float) -> Numbers:
        return np.sort(np.concatenate((process(rng, start_s, end_s), np.full(jobs, at_s))), kind="stable")

    return draw


def law(mean_s: float, scv: float) -> Services:
    """Constant, exponential, or lognormal of this SCV."""
    if scv == 0:
        return lambda rng, count: np.full(count, mean_s)
    if scv == 1:
        return lambda rng, count: rng.exponential(mean_s, count)
    variance = math.log1p(scv)
    return lambda rng, count: rng.lognormal(math.log(mean_s) - variance / 2, math.sqrt(variance), count)


def erlang(mean_s: float, phases: int) -> Services:
    """The sum of so many exponentials."""
    return lambda rng, count: rng.gamma(phases, mean_s / phases, count)


# ------------------------------------------------------------------------------------------------------- many at once


def waits_of(arrivals: Sequence[Numbers], services: Sequence[Numbers], slots: int) -> list[Numbers]:
    """The wait of each job of each replication, in one queue before so many slots."""
    count, replications = max(map(len, arrivals)), len(arrivals)
    arrived = np.full((count, replications), NEVER_S)
    served = np.zeros((count, replications))
    for number, (instants, times) in enumerate(zip(arrivals, services, strict=True)):
        arrived[: len(instants), number] = instants
        served[: len(instants), number] = times
    free = np.full((replications, slots), -np.inf)
    rows = np.arange(replications)
    waits = np.empty((count, replications))
    for job in range(count):
        slot = free.argmin(axis=1)
        starts = np.maximum(free[rows, slot], arrived[job])
        waits[job] = starts - arrived[job]
        free[rows, slot] = starts + served[job]
    return [waits[: len(instants), number] for number, instants in enumerate(arrivals)]


@dataclass(frozen=True)
class Share:
    """A share of jobs, from independent replications.

    Attributes:
        value: Over all of them.
        error: Its standard error.
    """

    value: float
    error: float

    @classmethod
    def over(cls, waits: Sequence[Numbers], threshold_s: float) -> Share:
        """Those that wait longer than a threshold (and a rounding)."""
        return cls.of([np.asarray(some > threshold_s + 1e-9, dtype=np.float64) for some in waits])

    @classmethod
    def of(cls, values: Sequence[Numbers]) -> Share:
        """The mean of some value of each job."""
        jobs = np.array([len(some) for some in values], dtype=np.float64)
        sums = np.array([some.sum() for some in values])
        value = float(sums.sum() / jobs.sum())
        count = len(values)
        residuals = sums - value * jobs
        return cls(value, float(math.sqrt(count / (count - 1) * (residuals**2).sum()) / jobs.sum()))

    def is_at_most(self, bound: float, deviations: float = 3.3) -> bool | None:
        """Whether it is, to so many standard errors; None where that cannot be told.

        Where no job is counted, or all are, there is no error to go by: then it is as many clusters of jobs as seen.
        """
        reach = deviations * self.error
        if self.value + reach <= bound and (self.error > 0 or self.value < bound / 2):
            return True
        return False if self.value - reach > bound else None


# ------------------------------------------------------------------------------------------------------ event by event


@dataclass
class Rules:
    """What a :class:`Events` does beside serving.

    Attributes:
        attempts, failure_rate, failed_ratio, base_s, factor, cap_s, jitter: Tries, and what becomes of failed ones.
        timeout_s: An attempt is stopped there, and has failed.
        calls_per_s, burst: What the upstream admits; None for no limit.
        pool: Connections of each replica; None for no pool.
        held_share: An attempt holds one for this share of its time, at its end.
    """

    attempts: int = 1
    failure_rate: float = 0.0
    failed_ratio: float = 1.0
    base_s: float = 2.0
    factor: float = 2.0
    cap_s: float = 300.0
    jitter: float = 1.0
    timeout_s: float = math.inf
    calls_per_s: float | None = None
    burst: int = 0
    pool: int | None = None
    held_share: float = 0.0


@dataclass
class Events:
    """Replicas before one queue, event by event.

    Attributes:
        waits: Of each job's first attempt, by job.
        ends: When each job's last attempt ended.
        started, failed: Attempts that started; jobs whose last one failed.
    """

    replicas: int
    slots: int
    rules: Rules
    rng: np.random.Generator
    waits: dict[int, float] = field(default_factory=dict)
    ends: dict[int, float] = field(default_factory=dict)
    started: int = 0
    failed: int = 0

    def play(self, arrivals: Numbers, services: Services) -> Events:
        """All jobs to their end."""
        rules, rng = self.rules, self.rng
        events: list[tuple[float, int, str, int, int, int]] = []  # when, turn, what, job, attempt, replica
        turns = iter(range(10**12))
        queue: deque[tuple[float, int, int]] = deque()
        free = [replica for replica in range(self.replicas) for _ in range(self.slots)]
        connections = [rules.pool or 0] * self.replicas
        wanting: list[deque[tuple[float, int, int, bool]]] = [deque() for _ in range(self.replicas)]
        tokens, filled_s = float(1 + rules.burst), -math.inf
        pool = iter(())
        looked_at_s = -math.inf

        def draw() -> float:
            nonlocal pool
            value = next(pool, None)
            if value is None:
                pool = iter(services(rng, 4096).tolist())
                value = next(pool)
            return value

        def schedule(at_s: float, what: str, job: int, attempt: int, replica: int = 0) -> None:
            heapq.heappush(events, (at_s, next(turns), what, job, attempt, replica))

        def end(now_s: float, job: int, attempt: int, replica: int, fails: bool) -> None:
            free.append(replica)
            self.ends[job] = now_s
            if fails and attempt < rules.attempts:
                longest_s = min(rules.cap_s, rules.base_s * rules.factor ** (attempt - 1))
                schedule(now_s + longest_s * (1 - rules.jitter * rng.random()), "enter", job, attempt + 1)
            else:
                self.failed += fails

        upcoming = iter(arrivals.tolist())
        number, arrival_s = 0, next(upcoming, math.inf)
        while events or arrival_s < math.inf:
            if not events or arrival_s <= events[0][0]:
                now_s = arrival_s
                queue.append((now_s, number, 1))
                number, arrival_s = number + 1, next(upcoming, math.inf)
            else:
                now_s, _, what, job, attempt, replica = heapq.heappop(events)
                if what == "enter":
                    queue.append((now_s, job, attempt))
                elif what.startswith("end"):
                    if rules.pool is not None:
                        connections[replica] += 1
                    end(now_s, job, attempt, replica, what == "end failed")
                elif what.startswith("want"):
                    wanting[replica].append((now_s, job, attempt, what.endswith("failed")))
                while rules.pool is not None and connections[replica] and wanting[replica]:
                    _, ready, tried, fails = wanting[replica].popleft()
                    connections[replica] -= 1
                    held_s = self._held.pop((ready, tried))
                    schedule(now_s + held_s, "end failed" if fails else "end", ready, tried, replica)
            while queue and free:
                if rules.calls_per_s is not None:
                    tokens = min(1.0 + rules.burst, tokens + (now_s - filled_s) * rules.calls_per_s)
                    filled_s = now_s
                    if tokens < 1 - 1e-9:
                        if looked_at_s <= now_s:
                            looked_at_s = now_s + (1 - tokens) / rules.calls_per_s
                            schedule(looked_at_s, "look", 0, 0)
                        break
                    tokens -= 1
                entered_s, job, attempt = queue.popleft()
                place = int(rng.integers(len(free))) if rules.pool is not None else -1
                free[place], free[-1] = free[-1], free[place]
                replica = free.pop()
                self.started += 1
                if attempt == 1:
                    self.waits[job] = now_s - entered_s
                fails = rules.failure_rate > 0 and rng.random() < rules.failure_rate
                works_s = draw() * (rules.failed_ratio if fails else 1.0)
                if works_s > rules.timeout_s:
                    works_s, fails = rules.timeout_s, True
                suffix = " failed" if fails else ""
                if rules.pool is None:
                    schedule(now_s + works_s, "end" + suffix, job, attempt, replica)
                else:
                    self._held[job, attempt] = works_s * rules.held_share
                    schedule(now_s + works_s * (1 - rules.held_share), "want" + suffix, job, attempt, replica)
        return self

    _held: dict[tuple[int, int], float] = field(default_factory=dict)

    def waits_between(self, arrivals: Numbers, start_s: float, end_s: float) -> Numbers:
        """Of the jobs that arrive there."""
        first, beyond = np.searchsorted(arrivals, (start_s, end_s))
        return np.array([self.waits[job] for job in range(first, beyond)])

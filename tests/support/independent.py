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
from dataclasses import dataclass, field, replace

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


# ---------------------------------------------------------------------------------- what arrives, and how long it takes


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


@dataclass(frozen=True)
class _Attempt:
    """One attempt of a job, and once it has started: where, for how long it works, and whether it fails."""

    job: int
    number: int
    entered_s: float
    replica: int = 0
    works_s: float = 0.0
    fails: bool = False


@dataclass
class Events:
    """Replicas before one queue, event by event.

    Attributes:
        waits: Of each job's first attempt, by job.
        started, failed: Attempts that started; jobs whose last one failed.
    """

    replicas: int
    slots: int
    rules: Rules
    rng: np.random.Generator
    waits: dict[int, float] = field(default_factory=dict)
    started: int = 0
    failed: int = 0

    def play(self, arrivals: Numbers, services: Services) -> Events:
        """All jobs to their end."""
        self._services, self._drawn = services, deque[float]()
        self._events: list[tuple[float, int, str, _Attempt | None]] = []
        self._turn = 0
        self._queue: deque[_Attempt] = deque()
        self._free = [replica for replica in range(self.replicas) for _ in range(self.slots)]
        self._connections = [self.rules.pool or 0] * self.replicas
        self._wanting: list[deque[_Attempt]] = [deque() for _ in range(self.replicas)]
        self._calls, self._filled_s, self._look_s = 1.0 + self.rules.burst, -math.inf, -math.inf
        for job, arrival_s in enumerate(arrivals.tolist()):
            self._schedule(arrival_s, "enters", _Attempt(job, 1, arrival_s))
        while self._events:
            now_s, _, what, attempt = heapq.heappop(self._events)
            if attempt is not None:
                self._happen(now_s, what, attempt)
            while self._queue and self._free and self._is_admitted(now_s):
                self._start(now_s, self._queue.popleft())
        return self

    def waits_between(self, arrivals: Numbers, start_s: float, end_s: float) -> Numbers:
        """Of the jobs that arrive there."""
        first, beyond = np.searchsorted(arrivals, (start_s, end_s))
        return np.array([self.waits[job] for job in range(first, beyond)])

    def _schedule(self, at_s: float, what: str, attempt: _Attempt | None) -> None:
        self._turn += 1
        heapq.heappush(self._events, (at_s, self._turn, what, attempt))

    def _happen(self, now_s: float, what: str, attempt: _Attempt) -> None:
        if what == "enters":
            self._queue.append(attempt)
        elif what == "wants":
            self._wanting[attempt.replica].append(attempt)
            self._connect(now_s, attempt.replica)
        else:
            self._end(now_s, attempt)

    def _connect(self, now_s: float, replica: int) -> None:
        """Whoever wants a connection takes one, if there is."""
        while self._connections[replica] and self._wanting[replica]:
            self._connections[replica] -= 1
            attempt = self._wanting[replica].popleft()
            self._schedule(now_s + attempt.works_s * self.rules.held_share, "ends", attempt)

    def _start(self, now_s: float, attempt: _Attempt) -> None:
        rules, rng = self.rules, self.rng
        place = int(rng.integers(len(self._free))) if rules.pool is not None else -1
        self._free[place], self._free[-1] = self._free[-1], self._free[place]
        self.started += 1
        if attempt.number == 1:
            self.waits[attempt.job] = now_s - attempt.entered_s
        fails = rules.failure_rate > 0 and rng.random() < rules.failure_rate
        works_s = self._draw() * (rules.failed_ratio if fails else 1.0)
        if works_s > rules.timeout_s:
            works_s, fails = rules.timeout_s, True
        attempt = replace(attempt, replica=self._free.pop(), works_s=works_s, fails=fails)
        if rules.pool is None:
            self._schedule(now_s + works_s, "ends", attempt)
        else:
            self._schedule(now_s + works_s * (1 - rules.held_share), "wants", attempt)

    def _end(self, now_s: float, attempt: _Attempt) -> None:
        rules = self.rules
        self._free.append(attempt.replica)
        if rules.pool is not None:
            self._connections[attempt.replica] += 1
            self._connect(now_s, attempt.replica)
        if attempt.fails and attempt.number < rules.attempts:
            longest_s = min(rules.cap_s, rules.base_s * rules.factor ** (attempt.number - 1))
            due_s = now_s + longest_s * (1 - rules.jitter * self.rng.random())
            self._schedule(due_s, "enters", _Attempt(attempt.job, attempt.number + 1, due_s))
        else:
            self.failed += attempt.fails

    def _is_admitted(self, now_s: float) -> bool:
        """Take a call from the bucket, or see when to look again."""
        per_s = self.rules.calls_per_s
        if per_s is None:
            return True
        self._calls = min(1.0 + self.rules.burst, self._calls + (now_s - self._filled_s) * per_s)
        self._filled_s = now_s
        if self._calls < 1 - 1e-9:
            if self._look_s <= now_s:
                self._look_s = now_s + (1 - self._calls) / per_s
                self._schedule(self._look_s, "look", None)
            return False
        self._calls -= 1
        return True

    def _draw(self) -> float:
        if not self._drawn:
            self._drawn.extend(self._services(self.rng, 4096).tolist())
        return self._drawn.popleft()

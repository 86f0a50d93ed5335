"""A queue played out event by event, as obviously and as slowly as can be: the oracle of ``core.simulation``.

It steps from instant to instant; at each, slots become free, jobs arrive, retries return, and whoever may start does.
The upstream is two levels that refill. It shares with the simulation only the order in which chance is asked: when an
attempt starts, for its service time if it is a further one, for whether it fails, and for its back-off.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from jobctl.core.demand import Retries, Upstream

#: What happens first at one instant. Who gives up gives up before the upstream admits.
ENDS, ARRIVES, RETURNS, GIVES_UP, ADMITS = range(5)
#: Rounding.
EPS = 1e-9


@dataclass
class Attempt:
    """One entry in the queue, and what becomes of it."""

    job: int
    number: int
    entered_s: float
    started_s: float = math.nan
    ended_s: float = math.nan
    works_s: float = math.nan
    fails: bool = False
    back_s: float = math.nan
    turn: int = 0


@dataclass
class Bucket:
    """A level that refills up to the brim."""

    per_s: float
    brim: float
    takes: float
    level: float = field(init=False)
    at_s: float = 0.0

    def __post_init__(self) -> None:
        self.level = self.brim

    def lacks_s(self, now_s: float) -> float:
        """Seconds until an attempt may take its due; one of more than the bucket holds, until it is full."""
        self.level = min(self.brim, self.level + (now_s - self.at_s) * self.per_s)
        self.at_s = now_s
        return max(0.0, (min(self.takes, self.brim) - self.level) / self.per_s)


class SlowQueue:
    """Takes what :func:`~jobctl.core.simulation.serve` takes; instants are not negative.

    Attributes:
        attempts: All, in the order in which they started.
        failed_jobs: Jobs whose last attempt failed.
        most_waiting: The most that waited at one instant.
    """

    def __init__(
        self,
        arrivals: Sequence[float],
        services: Sequence[float],
        slots: int,
        rng: random.Random,
        *,
        busy_until: Sequence[float] = (),
        retries: Retries | None = None,
        timeout_s: float | None = None,
        upstream: Upstream | None = None,
    ) -> None:
        self.services, self.rng = services, rng
        self.retries, self.upstream = retries or Retries(), upstream or Upstream()
        self.timeout_s = math.inf if timeout_s is None else timeout_s
        self.free = slots - len(busy_until)
        self.waiting: deque[Attempt] = deque()
        self.asking: deque[Attempt] = deque()  # on their slots, for the upstream
        self.buckets = list(_buckets(self.upstream))
        self.attempts: list[Attempt] = []
        self.failed_jobs = self.most_waiting = 0
        self.events: list[tuple[float, int, int, Attempt | None]] = []
        for number, free_s in enumerate(busy_until):
            self.events.append((free_s, ENDS, -number - 1, None))
        for job, arrival_s in enumerate(arrivals):
            self.events.append((arrival_s, ARRIVES, job, Attempt(job, 1, arrival_s)))
        heapq.heapify(self.events)
        self._run()

    def waits(self) -> list[float]:
        """Of first attempts, in order of arrival."""
        first = sorted((tried for tried in self.attempts if tried.number == 1), key=lambda tried: tried.job)
        return [tried.started_s - tried.entered_s for tried in first]

    def last_ends(self) -> list[float]:
        """When each job's last attempt ended."""
        last = {tried.job: tried.ended_s for tried in sorted(self.attempts, key=lambda tried: tried.number)}
        return [last[job] for job in sorted(last)]

    def _run(self) -> None:
        while self.events:
            now_s = self.events[0][0]
            while self.events and self.events[0][0] == now_s:
                _, kind, _, attempt = heapq.heappop(self.events)
                self._happen(kind, attempt, now_s)
            self._move_on(now_s)
            self.most_waiting = max(self.most_waiting, len(self.waiting))

    def _happen(self, kind: int, attempt: Attempt | None, now_s: float) -> None:
        if kind == ENDS:
            self.free += 1
            if attempt is not None:
                self._end(attempt, now_s)
        elif kind in {ARRIVES, RETURNS} and attempt is not None:
            self.waiting.append(attempt)
        elif kind == GIVES_UP and attempt is not None and attempt in self.asking:
            self.asking.remove(attempt)
            self.free += 1
            attempt.fails = True
            self._end(attempt, now_s)

    def _move_on(self, now_s: float) -> None:
        """Start whoever may start, and let whoever asks on a slot be admitted."""
        while self.waiting and self.free and (self.upstream.waits_in_slot or self._is_admitted(now_s)):
            attempt = self.waiting.popleft()
            self.free -= 1
            self._start(attempt, now_s)
        while self.asking and self._is_admitted(now_s):
            self._work(self.asking.popleft(), now_s)

    def _is_admitted(self, now_s: float) -> bool:
        """Take from all buckets, or see when to look again."""
        lacks_s = max((bucket.lacks_s(now_s) for bucket in self.buckets), default=0.0)
        if lacks_s > EPS:
            heapq.heappush(self.events, (now_s + lacks_s, ADMITS, 0, None))
            return False
        for bucket in self.buckets:
            bucket.level -= bucket.takes
        return True

    def _start(self, attempt: Attempt, now_s: float) -> None:
        self.attempts.append(attempt)
        attempt.turn = len(self.attempts)
        attempt.started_s = now_s
        again = attempt.number > 1
        service_s = self.rng.choice(self.services) if again else self.services[attempt.job]
        attempt.fails = self.retries.failure_rate > 0 and self.rng.random() < self.retries.failure_rate
        attempt.works_s = self._failing_s(service_s) if attempt.fails else service_s
        attempt.fails = attempt.fails or attempt.works_s > self.timeout_s
        if attempt.fails:
            attempt.back_s = self._back_off_s(attempt)
        if self.upstream.waits_in_slot:
            self.asking.append(attempt)
            if math.isfinite(self.timeout_s):
                heapq.heappush(self.events, (now_s + self.timeout_s, GIVES_UP, attempt.turn, attempt))
        else:
            self._work(attempt, now_s)

    def _work(self, attempt: Attempt, now_s: float) -> None:
        left_s = attempt.started_s + self.timeout_s - now_s
        attempt.fails = attempt.fails or attempt.works_s > left_s
        heapq.heappush(self.events, (now_s + min(attempt.works_s, left_s), ENDS, attempt.turn, attempt))

    def _end(self, attempt: Attempt, now_s: float) -> None:
        attempt.ended_s = now_s
        if not attempt.fails:
            return
        if attempt.number == self.retries.attempts:
            self.failed_jobs += 1
            return
        back_off_s = self._back_off_s(attempt) if math.isnan(attempt.back_s) else attempt.back_s
        due_s = now_s + back_off_s
        heapq.heappush(self.events, (due_s, RETURNS, attempt.turn, Attempt(attempt.job, attempt.number + 1, due_s)))

    def _failing_s(self, service_s: float) -> float:
        return self.retries.failed_ratio * service_s if self.retries.failed_s is None else self.retries.failed_s

    def _back_off_s(self, attempt: Attempt) -> float:
        if attempt.number == self.retries.attempts:
            return 0.0
        longest_s = min(self.retries.cap_s, self.retries.base_s * self.retries.factor ** (attempt.number - 1))
        return longest_s * (1 - self.retries.jitter * self.rng.random())


def _buckets(upstream: Upstream) -> list[Bucket]:
    buckets = []
    if upstream.rpm is not None:
        buckets.append(Bucket(upstream.rpm / 60, 1 + upstream.burst, upstream.calls_per_job))
    if upstream.tpm is not None and upstream.tokens_per_job is not None:
        buckets.append(Bucket(upstream.tpm / 60, upstream.tokens_per_job, upstream.tokens_per_job))
    return buckets

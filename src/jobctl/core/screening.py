"""The closed forms of a demand: fast, good enough to know where to look, and exact for M/M/c.

The period is cut into stretches of five minutes (:mod:`jobctl.core.fluid`). In each, the wait is that of a station in a
steady state at the stretch's own rate (Green & Kolesar 1991, "The pointwise stationary approximation for queues with
nonstationary arrivals"), by Erlang C, with Kimura's or Allen-Cunneen's mean and an exponential tail; on top of it comes
the wait in the fluid's backlog. The upstream is a second station in front of the slots: M/D/1, whose tail
exp(-2 (1-u) r t) starts a burst later. A job's wait is over t if either is: the sum of both shares, at most 1.

It breaks for rates that change faster than the queue forgets, for batches that meet, for long failures and for tails
that are not exponential. That is what the simulation is for.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from jobctl.core.arrivals import ArrivalKind
from jobctl.core.capacity import ceiling_per_s, mixed_law
from jobctl.core.demand import Demand
from jobctl.core.fluid import STRETCH_S, Piece, Stretch, hour_edges, stretches_of
from jobctl.core.plans import Limits, Waits
from jobctl.core.queueing import predict_wait
from jobctl.core.simulation import serve
from jobctl.core.slo import Cover, Drain, Objective, Promise, Window
from jobctl.core.units import SECONDS_PER_HOUR, format_duration

__all__ = ["Screen", "describe_value", "drain_time_s", "is_exact", "is_trusted"]

#: Above this share of its rate the upstream makes jobs wait in ways that M/D/1 only roughly tells.
_UPSTREAM_BUSY: Final = 0.7
#: As it does where an objective is about the time of fewer attempts than these: there its tail is 10 to 30 % off.
_MANY_ADMITTED: Final = 10
#: Jobs that are played out where a sojourn has no formula.
_PLAYED: Final = 8_000
#: Shares that differ by no more than this are the same.
_ROUNDING: Final = 1e-9
#: Jobs that wait add nothing to a quantile where they are no more than this share of those that may.
_NEGLIGIBLE: Final = 1e-15
#: No quantile is searched beyond this, seconds.
_LONGEST_S: Final = 1e9


@dataclass(frozen=True, slots=True)
class _Part:
    """Jobs that see the same law of waits: P(W > t) = 1 before the fluid's wait, then two exponential tails.

    Attributes:
        jobs: How many they are.
        fluid_s: The wait in the fluid backlog; 0 without one.
        p_wait: Probability to find no free slot; its tail falls with ``decay_per_s``.
        p_upstream: Probability that the upstream makes it wait; its tail falls with ``upstream_decay_per_s``.
    """

    jobs: float
    fluid_s: float
    p_wait: float
    decay_per_s: float
    p_upstream: float = 0.0
    upstream_decay_per_s: float = math.inf

    def over(self, wait_s: float) -> float:
        """The share of its jobs that wait longer."""
        if math.isinf(self.fluid_s) or wait_s < self.fluid_s:
            return 1.0
        rest_s = wait_s - self.fluid_s
        slots = _tail(self.p_wait, self.decay_per_s, rest_s)
        return min(1.0, slots + _tail(self.p_upstream, self.upstream_decay_per_s, rest_s))

    def draw(self, rng: random.Random) -> float:
        """The wait of one of its jobs, seconds."""
        slots_u, upstream_u = rng.random(), rng.random()
        slots_s = math.log(self.p_wait / slots_u) / self.decay_per_s if 0 < slots_u < self.p_wait else 0.0
        upstream_s = (
            math.log(self.p_upstream / upstream_u) / self.upstream_decay_per_s
            if 0 < upstream_u < self.p_upstream
            else 0.0
        )
        return self.fluid_s + slots_s + upstream_s

    @property
    def mean_s(self) -> float:
        """Their mean wait."""
        upstream_s = self.p_upstream / self.upstream_decay_per_s
        return self.fluid_s + (self.p_wait / self.decay_per_s if self.p_wait else 0.0) + upstream_s


@dataclass(frozen=True)
class Screen:
    """The closed forms of one fleet.

    Attributes:
        demand: What it has to carry.
        limits: What follows from that by arithmetic.
        slots: Its slots.
        pieces: Gives the demand's period as :func:`~jobctl.core.fluid.cut` cuts it, for who asks about several fleets.
    """

    demand: Demand
    limits: Limits
    slots: int
    pieces: Callable[[], Sequence[Piece]] | None = None

    @cached_property
    def method(self) -> str:
        """The formula behind it."""
        if self.demand.is_steady:
            named = self._predict(self.limits.arrival_rate_per_s)[2]
            return named if self.limits.upstream_per_s is None else f"{named}, upstream M/D/1"
        return "closed form at each five minutes' rate, backlogs as a fluid"

    def waits(self, window: Window) -> Waits:
        """The waits of the jobs in a window; of the worst hour for :attr:`Window.EVERY_HOUR`."""
        parts = self._of(window, 0.95)
        p50_s = _quantile(parts, 0.50)
        p95_s = max(p50_s, _quantile(parts, 0.95))  # where both lie in one step, they are found to the last digits only
        return Waits(
            p_wait=_over(parts, 0.0),
            mean_s=_mixed(parts, lambda part: part.mean_s),
            p50_s=p50_s,
            p95_s=p95_s,
            p99_s=max(p95_s, _quantile(parts, 0.99)),
        )

    def value_s(self, objective: Objective) -> float:
        """What the objective's statistic comes to, seconds."""
        if objective not in self._values:
            self._values[objective] = self._worked_out(objective)
        return self._values[objective]

    @cached_property
    def _values(self) -> dict[Objective, float]:
        return {}

    def _worked_out(self, objective: Objective) -> float:
        parts = self._of(objective.window or self.demand.window, objective.quantile)
        if objective.signal == "wait":
            return _statistic(parts, objective)
        if objective.quantile is not None:
            return self._sojourn_quantile(parts, objective.quantile)
        waits_s = self.limits.attempts_per_job * _mixed(parts, lambda part: part.mean_s)
        return waits_s + self.limits.slot_seconds_per_job + self._mean_backoff_s()

    def _sojourn_quantile(self, parts: Sequence[_Part], q: float) -> float:
        """The q-quantile of one wait and all else of a job's time, of jobs that are played out."""
        if math.isinf(_quantile(parts, q)):
            return math.inf
        rng = random.Random("waits")  # the same draws for every fleet
        drawn = rng.choices(parts, weights=[part.jobs for part in parts], k=_PLAYED)
        sojourns = sorted(part.draw(rng) + rest_s for part, rest_s in zip(drawn, self._rests_s, strict=True))
        return sojourns[math.ceil(q * _PLAYED) - 1]

    @cached_property
    def _rests_s(self) -> Sequence[float]:
        """What jobs that never wait take from their arrival to their end, played out on endless slots."""
        rng = random.Random("sojourns")
        served = serve(
            [float(number) for number in range(_PLAYED)],
            mixed_law(self.demand).draw(rng, _PLAYED),
            _PLAYED * self.demand.retries.attempts,
            retries=self.demand.retries,
            timeout_s=self.demand.job_timeout_s,
            rng=rng,
            sojourns=True,
        )
        return served.sojourns or ()

    def share_held(self) -> float:
        """The share of the day's five minutes in which every objective on the wait holds."""
        five_minutes: dict[int, list[Stretch]] = {}
        for stretch in self._stretches:
            five_minutes.setdefault(math.floor(stretch.middle_s / STRETCH_S), []).append(stretch)
        objectives = self.demand.covered
        held = [
            all(_statistic(self._parts(together), objective) <= objective.threshold_s for objective in objectives)
            for together in five_minutes.values()
        ]
        return sum(held) / len(held)

    def keeps(self, promise: Promise) -> bool:
        """Whether a promise is kept."""
        if isinstance(promise, Cover):
            return self.share_held() >= promise.share
        if isinstance(promise, Drain):
            return drain_time_s(self.demand, self.limits, self.slots, promise.jobs) <= promise.within_s
        return self.is_within(promise)

    def is_within(self, objective: Objective, times: float = 1.0) -> bool:
        """Whether the objective's statistic is at most so many times its threshold; one look at a tail tells."""
        threshold_s = times * objective.threshold_s
        if objective.signal != "wait" or objective.quantile is None:
            return self.value_s(objective) <= threshold_s
        allowed = (1 - objective.quantile) * (1 + _ROUNDING)
        groups = self._groups(objective.window or self.demand.window)
        return all(_over(parts, threshold_s) <= allowed for parts in groups)

    @property
    def holds(self) -> bool:
        """Whether every promise is kept."""
        return all(self.keeps(promise) for promise in self.demand.judged)

    def broken(self) -> tuple[str, ...]:
        """The promises that are not kept, with what they come to."""
        return tuple(
            f"{promise} ({describe_value(self._comes_to(promise), promise)})"
            for promise in self.demand.judged
            if not self.keeps(promise)
        )

    def _comes_to(self, promise: Promise) -> float:
        if isinstance(promise, Cover):
            return self.share_held()
        if isinstance(promise, Drain):
            return drain_time_s(self.demand, self.limits, self.slots, promise.jobs)
        return self.value_s(promise)

    def _of(self, window: Window, quantile: float | None) -> list[_Part]:
        """The jobs of a window; for every hour, those of the one that waits longest."""
        groups = self._groups(window)
        return groups[0] if len(groups) == 1 else max(groups, key=lambda parts: _statistic_of(parts, quantile))

    def _groups(self, window: Window) -> list[list[_Part]]:
        """The jobs of a window; for every hour, those of each."""
        stretches, period_s = self._stretches, self.demand.profile.period_s
        if len(stretches) == 1 or window is Window.WHOLE_DAY or period_s <= SECONDS_PER_HOUR:
            return [self._parts(stretches)]
        if window is Window.BUSIEST_HOUR:
            start_s = self.demand.profile.busiest(SECONDS_PER_HOUR)
            return [self._parts(s for s in stretches if (s.middle_s - start_s) % period_s < SECONDS_PER_HOUR)]
        edges = hour_edges(period_s)
        hours: dict[int, list[Stretch]] = {}
        for stretch in stretches:
            hours.setdefault(bisect_right(edges, stretch.middle_s), []).append(stretch)
        return [self._parts(hour) for hour in hours.values()]

    def _parts(self, stretches: Iterable[Stretch]) -> list[_Part]:
        """Their jobs; each stretch is worked out once."""
        found: list[_Part] = []
        for stretch in stretches:
            if stretch not in self._known:
                self._known[stretch] = list(self._parts_of(stretch))
            found += self._known[stretch]
        return found

    @cached_property
    def _known(self) -> dict[Stretch, list[_Part]]:
        return {}

    @cached_property
    def _stretches(self) -> list[Stretch]:
        return stretches_of(self.demand, self.limits, self.slots, self.pieces)

    def _parts_of(self, stretch: Stretch) -> Iterator[_Part]:
        jobs = stretch.jobs / len(stretch.waits_s)
        if math.isinf(stretch.waits_s[0]):
            yield _Part(jobs, math.inf, 1.0, math.inf)
            return
        p_wait, mean_s, _ = self._predict(stretch.rate_per_s)
        decay_per_s = p_wait / mean_s if mean_s > 0 else math.inf
        if not self.demand.is_steady:
            decay_per_s = max(decay_per_s, 1 / self._longest_mean_s(stretch.rate_per_s))
        p_upstream, upstream_decay_per_s = self._upstream(stretch.rate_per_s)
        unhindered = stretch.waits_s.count(0.0)
        if unhindered:
            yield _Part(jobs * unhindered, 0.0, p_wait, decay_per_s, p_upstream, upstream_decay_per_s)
        for fluid_s in filter(None, stretch.waits_s):
            if stretch.length_s and stretch.rate_per_s > 0:
                yield _Part(jobs, fluid_s, 1.0, decay_per_s)
            else:  # a spike outweighs chance
                yield _Part(jobs, fluid_s, 0.0, math.inf)

    def _longest_mean_s(self, rate_per_s: float) -> float:
        """The mean wait that chance builds up in an hour in which arrivals come just as fast as they are served.

        The backlog is then a random walk of variance (ca² + cs²) r t, reflected at 0, of mean sqrt(2/pi) deviations.
        """
        variance = (self.demand.arrivals.scv + self.limits.slot_scv) * rate_per_s * SECONDS_PER_HOUR
        return max(math.sqrt(2 / math.pi * variance) / self._throughput_per_s, 1e-9)

    def _predict(self, rate_per_s: float) -> tuple[float, float, str]:
        wait = predict_wait(
            arrival_rate_per_s=rate_per_s * self.limits.attempts_per_job,
            mean_service_s=self.limits.slot_s,
            slots=self.slots,
            arrival_scv=self.demand.arrivals.scv,
            service_scv=self.limits.slot_scv,
        )
        return wait.p_wait, wait.mean_s, wait.method

    def _upstream(self, rate_per_s: float) -> tuple[float, float]:
        """Probability to wait for the upstream, and the decay of that wait's tail."""
        admitted = self.limits.upstream_per_s
        if admitted is None or self.demand.upstream.waits_in_slot:
            return 0.0, math.inf
        utilisation = rate_per_s / admitted
        if utilisation >= 1:
            return 0.0, math.inf  # the fluid tells how long they wait
        decay_per_s = 2 * (1 - utilisation) * admitted * self.limits.attempts_per_job
        burst_s = self.demand.upstream.burst * 60 / (self.demand.upstream.rpm or math.inf)
        return utilisation * math.exp(-decay_per_s * burst_s), decay_per_s

    @property
    def _throughput_per_s(self) -> float:
        """New jobs per second that the fleet and the upstream carry together."""
        return ceiling_per_s(self.limits, self.slots)

    def _mean_backoff_s(self) -> float:
        """Mean time that a job spends waiting to be tried again, over all jobs."""
        retries = self.demand.retries
        fails = self.limits.attempt_failure_rate
        pauses = (
            fails**number * min(retries.cap_s, retries.base_s * retries.factor ** (number - 1))
            for number in range(1, retries.attempts)
        )
        return math.fsum(pauses) * (1 - retries.jitter / 2)


def is_exact(demand: Demand, limits: Limits) -> bool:
    """Whether the closed form is no approximation: M/M/c in a steady state."""
    return (
        demand.is_steady
        and demand.arrivals.kind is ArrivalKind.POISSON
        and limits.attempts_per_job == 1
        and demand.job_timeout_s is None
        and limits.upstream_per_s is None
        and abs(limits.slot_scv - 1) < 1e-9
    )


def is_trusted(demand: Demand, limits: Limits, slots: int) -> bool:
    """Whether the closed form may decide where simulation cannot tell two fleets apart."""
    admitted = demand.upstream.attempts_per_s
    held_up = admitted is not None and (
        limits.peak_arrival_rate_per_s > _UPSTREAM_BUSY * (limits.upstream_per_s or math.inf)
        or any(objective.threshold_s * admitted < _MANY_ADMITTED for objective in demand.objectives)
    )
    return (
        demand.trace is None
        and demand.arrivals.kind is ArrivalKind.POISSON
        and not demand.profile.spikes
        and not held_up
        and limits.offered_load_erlangs < slots
        and not any(isinstance(promise, Objective) and promise.signal != "wait" for promise in demand.promises)
    )


def drain_time_s(demand: Demand, limits: Limits, slots: int, jobs: int) -> float:
    """Seconds until a backlog of so many jobs in the busiest hour is gone: backlog / (throughput - rate)."""
    rate_per_s = demand.profile.busiest_hour_per_s
    throughput = ceiling_per_s(limits, slots)
    return jobs / (throughput - rate_per_s) if throughput > rate_per_s else math.inf


def describe_value(value: float, promise: Promise) -> str:
    """What a promise comes to, in words."""
    if isinstance(promise, Cover):
        return f"is {value:.1%}"
    return "grows without end" if math.isinf(value) else f"is {format_duration(value)}"


def _tail(p: float, decay_per_s: float, t_s: float) -> float:
    return p * math.exp(-decay_per_s * t_s) if p and t_s > 0 else p


def _mixed(parts: Sequence[_Part], figure: Callable[[_Part], float]) -> float:
    """The mean of a figure over the jobs of all parts."""
    jobs = math.fsum(part.jobs for part in parts)
    return math.fsum(part.jobs * figure(part) for part in parts) / jobs


def _over(parts: Sequence[_Part], wait_s: float) -> float:
    return _mixed(parts, lambda part: part.over(wait_s))


def _statistic(parts: Sequence[_Part], objective: Objective) -> float:
    return _statistic_of(parts, objective.quantile)


def _statistic_of(parts: Sequence[_Part], quantile: float | None) -> float:
    if quantile is None:
        return _mixed(parts, lambda part: part.mean_s)
    return _quantile(parts, quantile)


def _quantile(parts: Sequence[_Part], q: float) -> float:
    """The wait that a share of 1 - q exceeds; a formula for one part, else by bisection to nine digits."""
    allowed = (1 - q) * math.fsum(part.jobs for part in parts)
    # Most hours of most days have next to nobody who waits: they are looked at once.
    waiting = [part for part in parts if part.jobs * part.over(0.0) > _NEGLIGIBLE * allowed]

    def too_many(wait_s: float) -> bool:
        return math.fsum(part.jobs * part.over(wait_s) for part in waiting) > allowed

    if not too_many(0.0):
        return 0.0
    if too_many(_LONGEST_S):
        return math.inf
    first = parts[0]
    if len(parts) == 1 and not first.fluid_s and not first.p_upstream:
        return math.log(first.p_wait / (1 - q)) / first.decay_per_s
    low, high = 0.0, 1e-3
    while too_many(high):
        low, high = high, 2 * high
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        if too_many(middle):
            low = middle
        else:
            high = middle
    return high

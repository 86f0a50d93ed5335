"""The closed forms of a demand: fast, good enough to know where to look, and exact for M/M/c.

The period is cut into stretches of five minutes. In each, the wait is that of a station in a steady state at the
stretch's own rate (Green & Kolesar 1991, "The pointwise stationary approximation for queues with nonstationary
arrivals"), by Erlang C, with Kimura's or Allen-Cunneen's mean and an
exponential tail. Where the rate exceeds what the fleet does, a backlog grows and shrinks as a fluid,

    dB/dt = arrivals - throughput,      wait = B / throughput

(Newell 1982, "Applications of Queueing Theory", ch. 2). The upstream is a second station in front of the slots: M/D/1,
whose tail exp(-2 (1-u) r t) starts a burst later. A job's wait is over t if either is: the sum of both shares, at
most 1.

It breaks for batches, for rates that change faster than the queue forgets, for long failures and for tails that are
not exponential. That is what the simulation is for.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from jobctl.core.arrivals import ArrivalKind
from jobctl.core.capacity import ceiling_per_s, mixed_law
from jobctl.core.demand import Demand
from jobctl.core.plans import Limits, Waits
from jobctl.core.queueing import predict_wait
from jobctl.core.simulation import serve
from jobctl.core.slo import Cover, Drain, Objective, Promise, Window
from jobctl.core.units import SECONDS_PER_HOUR, format_duration

__all__ = ["STRETCH_S", "Screen", "describe_value", "drain_time_s", "is_exact", "is_trusted"]

#: The rate is taken as constant over so many seconds.
STRETCH_S: Final = 300.0
#: Above this share of its rate the upstream makes jobs wait in ways that M/D/1 only roughly tells.
_UPSTREAM_BUSY: Final = 0.7
#: Jobs that are played out for the law of what is not wait in a sojourn; every so manieth is kept; how finely its
#: quantiles are searched.
_PLAYED: Final = 8_000
_EACH: Final = 40
_FINENESS: Final = 1e-4
#: No quantile is searched beyond this, seconds.
_LONGEST_S: Final = 1e9


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Jobs that see the same law of waits: P(W > t) = 1 before ``backlog_s``, then two exponential tails.

    Attributes:
        jobs: How many arrive in it.
        backlog_s: The wait in the fluid backlog; 0 without one.
        p_wait: Probability to find no free slot; its tail falls with ``decay_per_s``.
        p_upstream: Probability that the upstream makes it wait; its tail falls with ``upstream_decay_per_s``.
    """

    jobs: float
    backlog_s: float
    p_wait: float
    decay_per_s: float
    p_upstream: float = 0.0
    upstream_decay_per_s: float = math.inf

    def over(self, wait_s: float) -> float:
        """The share of its jobs that wait longer."""
        if math.isinf(self.backlog_s) or wait_s < self.backlog_s:
            return 1.0
        rest_s = wait_s - self.backlog_s
        return min(1.0, _tail(self.p_wait, self.decay_per_s, rest_s) + _tail_of_upstream(self, rest_s))

    @property
    def mean_s(self) -> float:
        """Their mean wait."""
        upstream_s = self.p_upstream / self.upstream_decay_per_s
        return self.backlog_s + (self.p_wait / self.decay_per_s if self.p_wait else 0.0) + upstream_s


@dataclass(frozen=True)
class Screen:
    """The closed forms of one fleet.

    Attributes:
        demand: What it has to carry.
        limits: What follows from that by arithmetic.
        slots: Its slots.
    """

    demand: Demand
    limits: Limits
    slots: int

    @cached_property
    def method(self) -> str:
        """The formula behind it."""
        if self.demand.profile.is_steady and self.demand.trace is None:
            named = self._predict(self.limits.arrival_rate_per_s)[2]
            return named if self.limits.upstream_per_s is None else f"{named}, upstream M/D/1"
        return "closed form at each five minutes' rate, backlogs as a fluid"

    def waits(self, window: Window) -> Waits:
        """The waits of the jobs in a window; of the worst hour for :attr:`Window.EVERY_HOUR`."""
        stretches = self._of(window, 0.95)
        return Waits(
            p_wait=_over(stretches, 0.0),
            mean_s=_mixed(stretches, lambda stretch: stretch.mean_s),
            p50_s=_quantile(stretches, 0.50),
            p95_s=_quantile(stretches, 0.95),
            p99_s=_quantile(stretches, 0.99),
        )

    def value_s(self, objective: Objective) -> float:
        """What the objective's statistic comes to, seconds."""
        stretches = self._of(objective.window or self.demand.window, objective.quantile)
        if objective.signal == "wait":
            if objective.quantile is None:
                return _mixed(stretches, lambda stretch: stretch.mean_s)
            return _quantile(stretches, objective.quantile)
        if objective.quantile is not None:
            return self._sojourn_quantile(stretches, objective.quantile)
        waits_s = self.limits.attempts_per_job * _mixed(stretches, lambda stretch: stretch.mean_s)
        return waits_s + self.limits.slot_seconds_per_job + self._mean_backoff_s()

    def _sojourn_quantile(self, stretches: Sequence[_Stretch], q: float) -> float:
        """The q-quantile of one wait and all else of a job's time, the latter by some of its quantiles."""
        if math.isinf(_quantile(stretches, q)):
            return math.inf
        rests = self._rests_s
        low_s, high_s = 0.0, 2 * (rests[-1] + _quantile(stretches, 1 - (1 - q) / 2))
        while high_s - low_s > _FINENESS * high_s:
            middle_s = (low_s + high_s) / 2
            over = math.fsum(1.0 if middle_s < rest_s else _over(stretches, middle_s - rest_s) for rest_s in rests)
            if over > (1 - q) * len(rests):
                low_s = middle_s
            else:
                high_s = middle_s
        return high_s

    @cached_property
    def _rests_s(self) -> list[float]:
        """Quantiles of what jobs that never wait take from their arrival to their end, played out on endless slots."""
        jobs, rng = _PLAYED, random.Random("sojourns")
        arrivals = [float(number) for number in range(jobs)]
        services = mixed_law(self.demand).draw(rng, jobs)
        served = serve(
            arrivals,
            services,
            jobs * self.demand.retries.attempts,
            retries=self.demand.retries,
            timeout_s=self.demand.job_timeout_s,
            rng=rng,
            sojourns=True,
        )
        ordered = sorted(served.sojourns or ())
        return ordered[_EACH // 2 :: _EACH]

    def share_held(self, cover: Cover) -> float:
        """The share of the day's stretches in which every objective holds."""
        del cover  # every cover asks for the same share
        held = [
            all(
                objective.signal != "wait" or _statistic([stretch], objective) <= objective.threshold_s
                for objective in self.demand.objectives
            )
            for stretch in self._some(range(len(self._rates)))
        ]
        return sum(held) / len(held)

    def keeps(self, promise: Promise) -> bool:
        """Whether a promise is kept."""
        if isinstance(promise, Cover):
            return self.share_held(promise) >= promise.share
        if isinstance(promise, Drain):
            return drain_time_s(self.demand, self.limits, self.slots, promise.jobs) <= promise.within_s
        return self.value_s(promise) <= promise.threshold_s

    @property
    def holds(self) -> bool:
        """Whether every promise is kept."""
        return all(self.keeps(promise) for promise in _binding_promises(self.demand))

    def broken(self) -> tuple[str, ...]:
        """The promises that are not kept, with what they come to."""
        return tuple(
            f"{promise} ({describe_value(self._comes_to(promise), promise)})"
            for promise in _binding_promises(self.demand)
            if not self.keeps(promise)
        )

    def _comes_to(self, promise: Promise) -> float:
        if isinstance(promise, Cover):
            return self.share_held(promise)
        if isinstance(promise, Drain):
            return drain_time_s(self.demand, self.limits, self.slots, promise.jobs)
        return self.value_s(promise)

    def _of(self, window: Window, quantile: float | None) -> Sequence[_Stretch]:
        """The stretches of a window; for every hour, those of the one that waits longest."""
        numbers = range(len(self._rates))
        if len(numbers) == 1 or window is Window.WHOLE_DAY or self.demand.profile.period_s <= SECONDS_PER_HOUR:
            return self._some(numbers)
        if window is Window.BUSIEST_HOUR:
            return self._some(self._busiest)
        an_hour = math.ceil(SECONDS_PER_HOUR / self._length_s)
        hours = (self._some(numbers[first : first + an_hour]) for first in range(0, len(numbers), an_hour))
        return max((hour for hour in hours if hour), key=lambda hour: _statistic_of(hour, quantile))

    @property
    def _busiest(self) -> list[int]:
        """The stretches whose middle lies in the busiest hour."""
        period_s = self.demand.profile.period_s
        start_s = self.demand.profile.busiest(SECONDS_PER_HOUR)
        return [
            number
            for number in range(len(self._rates))
            if ((number + 0.5) * self._length_s - start_s) % period_s < SECONDS_PER_HOUR
        ]

    @property
    def _length_s(self) -> float:
        return self.demand.profile.period_s / len(self._rates)

    def _some(self, numbers: Iterable[int]) -> list[_Stretch]:
        """Of these stretches those in which jobs arrive; each is worked out once."""
        for number in numbers:
            if number not in self._known:
                self._known[number] = self._stretch(self._rates[number], self._backlogs[number])
        return [self._known[number] for number in numbers if self._rates[number] > 0]

    @cached_property
    def _known(self) -> dict[int, _Stretch]:
        return {}

    @cached_property
    def _rates(self) -> list[float]:
        """The mean rate of each stretch; one stretch where the rate never changes."""
        profile = self.demand.profile
        if profile.is_steady and self.demand.trace is None:
            return [self.limits.arrival_rate_per_s]
        count = max(1, round(profile.period_s / STRETCH_S))
        length_s = profile.period_s / count
        return [profile.jobs_between(i * length_s, (i + 1) * length_s) / length_s for i in range(count)]

    def _stretch(self, rate_per_s: float, backlog_s: float) -> _Stretch:
        jobs = rate_per_s * self._length_s
        if math.isinf(backlog_s):
            return _Stretch(jobs, backlog_s, 1.0, math.inf)
        p_wait, mean_s, _ = self._predict(rate_per_s)
        decay_per_s = p_wait / mean_s if mean_s > 0 else math.inf
        if not self.demand.profile.is_steady or self.demand.trace is not None:
            decay_per_s = max(decay_per_s, 1 / self._longest_mean_s(rate_per_s))
        if backlog_s > 0:
            return _Stretch(jobs, backlog_s, 1.0, decay_per_s)
        p_upstream, upstream_decay_per_s = self._upstream(rate_per_s)
        return _Stretch(jobs, 0.0, p_wait, decay_per_s, p_upstream, upstream_decay_per_s)

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
        decay_per_s = 2 * (1 - utilisation) * admitted * self.limits.attempts_per_job
        burst_s = self.demand.upstream.burst * 60 / (self.demand.upstream.rpm or math.inf)
        return utilisation * math.exp(-decay_per_s * burst_s), decay_per_s

    @property
    def _throughput_per_s(self) -> float:
        """New jobs per second that the fleet and the upstream carry together."""
        return ceiling_per_s(self.limits, self.slots)

    @cached_property
    def _backlogs(self) -> list[float]:
        """The fluid's wait in the middle of each stretch; the period has repeated for ever, a trace begins empty."""
        throughput, rates, length_s = self._throughput_per_s, self._rates, self._length_s
        if self.limits.arrival_rate_per_s >= throughput * (1 - 1e-12) and self.demand.trace is None:
            return [math.inf] * len(rates)
        waits: list[float] = []
        backlog = 0.0
        for _ in range(1 if self.demand.trace is not None else 2):
            waits = []
            for rate in rates:
                beyond = max(0.0, backlog + (rate - throughput) * length_s)
                waits.append((backlog + beyond) / 2 / throughput)
                backlog = beyond
        return waits

    def _mean_backoff_s(self) -> float:
        """Mean time that a job spends waiting to be tried again, over all jobs."""
        retries = self.demand.retries
        fails = self.limits.job_failure_rate ** (1 / retries.attempts) if self.limits.job_failure_rate else 0.0
        pauses = (
            fails**number * min(retries.cap_s, retries.base_s * retries.factor ** (number - 1))
            for number in range(1, retries.attempts)
        )
        return math.fsum(pauses) * (1 - retries.jitter / 2)


def is_exact(demand: Demand, limits: Limits) -> bool:
    """Whether the closed form is no approximation: M/M/c in a steady state."""
    plain = demand.trace is None and demand.profile.is_steady
    return (
        plain
        and demand.arrivals.kind is ArrivalKind.POISSON
        and limits.attempts_per_job == 1
        and demand.job_timeout_s is None
        and limits.upstream_per_s is None
        and abs(limits.slot_scv - 1) < 1e-9
    )


def is_trusted(demand: Demand, limits: Limits, slots: int) -> bool:
    """Whether the closed form may decide where simulation cannot tell two fleets apart."""
    busy = demand.upstream.attempts_per_s is not None and (
        limits.peak_arrival_rate_per_s > _UPSTREAM_BUSY * (limits.upstream_per_s or math.inf)
    )
    return (
        demand.trace is None
        and demand.arrivals.kind is ArrivalKind.POISSON
        and not demand.profile.spikes
        and not busy
        and limits.offered_load_erlangs < slots
        and not any(isinstance(promise, Objective) and promise.signal != "wait" for promise in demand.promises)
    )


def drain_time_s(demand: Demand, limits: Limits, slots: int, jobs: int) -> float:
    """Seconds until so many jobs, added at once in the busiest hour, have started: backlog / (throughput - rate)."""
    length_s = min(SECONDS_PER_HOUR, demand.profile.period_s)
    start_s = demand.profile.busiest(length_s)
    rate_per_s = demand.profile.jobs_between(start_s, start_s + length_s) / length_s
    throughput = ceiling_per_s(limits, slots)
    return jobs / (throughput - rate_per_s) if throughput > rate_per_s else math.inf


def describe_value(value: float, promise: Promise) -> str:
    """What a promise comes to, in words."""
    if isinstance(promise, Cover):
        return f"is {value:.1%}"
    return "grows without end" if math.isinf(value) else f"is {format_duration(value)}"


def _binding_promises(demand: Demand) -> Iterator[Promise]:
    """Those that are judged over all jobs: where a cover stands, the objectives are judged by it alone."""
    covered = any(isinstance(promise, Cover) for promise in demand.promises)
    return (promise for promise in demand.promises if not (covered and isinstance(promise, Objective)))


def _tail(p: float, decay_per_s: float, t_s: float) -> float:
    return p * math.exp(-decay_per_s * t_s) if p and t_s > 0 else p


def _tail_of_upstream(stretch: _Stretch, t_s: float) -> float:
    return _tail(stretch.p_upstream, stretch.upstream_decay_per_s, t_s)


def _mixed(stretches: Sequence[_Stretch], figure: Callable[[_Stretch], float]) -> float:
    """The mean of a figure over the jobs of all stretches."""
    jobs = math.fsum(stretch.jobs for stretch in stretches)
    return math.fsum(stretch.jobs * figure(stretch) for stretch in stretches) / jobs


def _over(stretches: Sequence[_Stretch], wait_s: float) -> float:
    return _mixed(stretches, lambda stretch: stretch.over(wait_s))


def _statistic(stretches: Sequence[_Stretch], objective: Objective) -> float:
    return _statistic_of(stretches, objective.quantile)


def _statistic_of(stretches: Sequence[_Stretch], quantile: float | None) -> float:
    if quantile is None:
        return _mixed(stretches, lambda stretch: stretch.mean_s)
    return _quantile(stretches, quantile)


def _quantile(stretches: Sequence[_Stretch], q: float) -> float:
    """The wait that a share of 1 - q exceeds; a formula for one stretch, else by bisection to 12 digits."""
    if _over(stretches, 0.0) <= 1 - q:
        return 0.0
    if _over(stretches, _LONGEST_S) > 1 - q:
        return math.inf
    first = stretches[0]
    if len(stretches) == 1 and not first.backlog_s and not first.p_upstream:
        return math.log(first.p_wait / (1 - q)) / first.decay_per_s
    low, high = 0.0, 1e-3
    while _over(stretches, high) > 1 - q:
        low, high = high, 2 * high
    while high - low > 1e-12 * high + 1e-9:
        middle = (low + high) / 2
        if _over(stretches, middle) > 1 - q:
            low = middle
        else:
            high = middle
    return high

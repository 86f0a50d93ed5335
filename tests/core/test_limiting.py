from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobctl.core.limiting import Account, Ask, Decision, Limit, Limits, Outcome, Permits, Report, Scope, Tuning

MODEL = "openai/gpt-4o-mini"
TUNING = Tuning()


#: Grants in a window so long are what the worst jitter can push into one minute at the upstream.
WORST_S = 60 + TUNING.jitter_s


def most(grants: list[tuple[float, float]], of: Callable[[float], float], window_s: float = WORST_S) -> float:
    """The most that any window held, half open as a sliding log counts.

    Args:
        grants: When, and for how many tokens.
        of: What counts, from the tokens of a call.
        window_s: How long a window is.
    """
    start, held, highest = 0, 0.0, 0.0
    for instant_s, tokens in grants:
        held += of(tokens)
        while grants[start][0] <= instant_s - window_s:
            held -= of(grants[start][1])
            start += 1
        highest = max(highest, held)
    return highest


bouts = st.lists(
    st.tuples(
        st.floats(0, 2) | st.floats(0, 0.05),
        st.integers(1, 60),
        st.integers(1, 40),
        st.floats(1, 3000) | st.floats(1, 20),
        st.sampled_from(["walk in", "newcomer", "returns", "gives back", "throttled"]),
    ),
    min_size=5,
    max_size=40,
)


@given(rpm=st.integers(1, 2000), burst=st.integers(0, 20), tpm=st.integers(1000, 200_000), bouts=bouts)
@example(rpm=600, burst=0, tpm=10**9, bouts=[(0.01, 10_000, 40, 1.0, "walk in")])
@example(rpm=10**6, burst=0, tpm=60_000, bouts=[(0.01, 10_000, 40, 3.0, "walk in")])
def test_no_minute_sees_more_than_its_limits_whatever_callers_do(
    rpm: int, burst: int, tpm: int, bouts: list[tuple[float, int, int, float, str]]
) -> None:
    limit, now_s = Limit(rpm, tpm, burst), 1e9
    scope, account = Scope.new(now_s), Account.new(TUNING, now_s)
    kept: list[float] = []
    grants: list[tuple[float, float]] = []
    for pause_s, times, calls, tokens, what in bouts:
        for _ in range(times):
            now_s += pause_s
            if what == "throttled":
                scope.report(limit, TUNING, account, Report(Outcome.THROTTLED, wait_s=pause_s), now_s)
                continue
            permits = None if what == "walk in" else Permits()
            if what == "returns" and kept:
                permits = Permits("place", MODEL, kept.pop(0))
            decision = scope.acquire(limit, TUNING, account, Ask(calls, tokens, permits=permits), now_s)
            sent = decision.granted
            if what == "gives back" and sent:
                sent -= 1
                scope.release(limit, TUNING, account, 1, decision.tokens, now_s)
            grants += [(now_s, tokens)] * sent
            if decision.kind == "place":
                kept.append(decision.value)
            assert decision.granted <= calls
            assert decision.granted == calls or 0 < decision.delay_s < math.inf

    largest = max((tokens for _, tokens in grants), default=0.0)
    assert most(grants, lambda tokens: 1) <= rpm + burst
    # A call that is larger than the bucket may exceed the limit by its size.
    assert most(grants, lambda tokens: tokens) <= tpm + max(largest, 1.2)


@dataclass
class Run:
    """A mixed queue in virtual time: slots, jobs that come back when they are told, and how that went."""

    limit: Limit = field(default_factory=lambda: Limit(rpm=600))
    demand: float = 3.0
    minutes: float = 5.0
    slots: int = 100
    service_s: tuple[float, float] = (0.2, 2.0)
    lateness_s: float = 0.3
    lost_share: float = 0.0
    throttle_at_s: float = math.inf

    def __post_init__(self) -> None:
        rng = random.Random(1)
        scope, account = Scope.new(0.0), Account.new(TUNING, 0.0)
        grants: list[tuple[float, float]] = []
        per_s = self.demand * (self.limit.rpm or 0) / 60
        #: Events: when, number, job (None: a slot comes free), its place, how often it was postponed.
        events: list[tuple[float, int, int | None, Permits, int]] = []
        at_s, number = 0.0, 0
        while at_s < self.minutes * 60:
            at_s += rng.expovariate(per_s)
            events.append((at_s, number, number, Permits(), 0))
            number += 1
        waiting: list[tuple[int, Permits, int]] = []
        free = self.slots
        self.postponed: list[int] = []
        self.order: list[int] = []
        while events and events[0][0] < self.minutes * 60:
            now_s, _, job, place, times = heapq.heappop(events)
            if now_s > self.throttle_at_s:
                self.throttle_at_s = math.inf
                scope.report(self.limit, TUNING, account, Report(Outcome.THROTTLED, wait_s=5.0), now_s)
            if job is None:
                free += 1
            else:
                waiting.append((job, place, times))
            while waiting and free:
                head, place, times = waiting.pop(0)
                decision = scope.acquire(self.limit, TUNING, account, Ask(1, 0.0, permits=place), now_s)
                number += 1
                if decision.granted:
                    free -= 1
                    grants.append((now_s, 0.0))
                    heapq.heappush(events, (now_s + rng.uniform(*self.service_s), number, None, Permits(), 0))
                    self.postponed.append(times)
                    self.order.append(head)
                elif rng.random() >= self.lost_share:
                    again_s = now_s + decision.delay_s + rng.uniform(0, self.lateness_s)
                    held = Permits(decision.kind, MODEL, decision.value)
                    heapq.heappush(events, (again_s, number, head, held, times + 1))
        self.used = len(grants) / self.minutes / (self.limit.rpm or 1)
        self.most = most(grants, lambda tokens: 1)


@pytest.mark.parametrize(
    "run",
    [
        {},
        {"service_s": (0.2, 0.2), "slots": 3, "minutes": 3.0},
        {"service_s": (1.0, 60.0), "slots": 1000, "minutes": 6.0},
        {"lateness_s": 1.0},
        {"limit": Limit(rpm=3000), "slots": 1000, "minutes": 2.5},
        {"limit": Limit(rpm=60, burst=10), "minutes": 10.0},
        {"lost_share": 0.05},
        {"demand": 1.5},
    ],
    ids=str,
)
def test_under_overload_the_allowance_is_used_and_a_job_is_postponed_once_or_twice(run: dict[str, object]) -> None:
    went = Run(**run)  # type: ignore[arg-type]

    assert went.most <= (went.limit.rpm or 0) + went.limit.burst
    assert went.used >= 0.95
    assert sum(went.postponed) / len(went.postponed) <= 1.6
    assert sorted(went.postponed)[int(0.99 * len(went.postponed))] <= 4


def test_a_pause_costs_each_waiting_job_one_more_postponement() -> None:
    went = Run(throttle_at_s=120.0)

    assert went.used >= 0.97 * (1 - 5 / 300) - 0.01
    assert sum(went.postponed) / len(went.postponed) <= 2
    assert sorted(went.postponed)[int(0.99 * len(went.postponed))] <= 5


def test_jobs_go_roughly_in_the_order_of_their_first_wish() -> None:
    """All but the few newcomers who find what the line left."""
    went = Run()
    ahead = sum(job - place > 100 for place, job in enumerate(went.order))
    assert ahead <= 0.02 * len(went.order)


def test_below_the_limit_nobody_waits_long() -> None:
    went = Run(demand=0.5)

    assert sum(went.postponed) == 0


@dataclass
class Crowd:
    """An upstream that refuses, in virtual time: calls beyond what it can serve, and some of all calls by chance.

    Attributes:
        serves_per_s: A bucket that fills so fast and holds a second of it, at least five calls.
        noise: The share that is refused by chance.
        retry_after_s: What a refusal says.
        limit: What is configured.
        demand_per_s: New jobs a second, until ``demand_ends_s``.
        seconds: How long it is watched.
        slots: Calls at once.
    """

    serves_per_s: float = 1e6
    noise: float = 0.0
    retry_after_s: float = 1.0
    limit: Limit = field(default_factory=Limit)
    demand_per_s: float = 100.0
    demand_ends_s: float = math.inf
    seconds: float = 300.0
    slots: int = 50

    def __post_init__(self) -> None:
        self._rng, self._numbers = random.Random(1), count()
        self._scope, self._account = Scope.new(0.0), Account.new(TUNING, 0.0)
        self._level, self._filled_s = max(5.0, self.serves_per_s), 0.0
        self._free, self._waiting = self.slots, deque[tuple[Permits, int]]()
        #: When, number, what: "comes", or the outcome of a call; what the job holds, how often it was postponed; sent.
        self._events: list[tuple[float, int, str, Permits, int, float]] = []
        self.sent_s: list[float] = []
        self.served_s: list[float] = []
        self.postponed: list[int] = []
        self.capped = False
        at_s = 0.0
        while (at_s := at_s + self._rng.expovariate(self.demand_per_s)) < min(self.seconds, self.demand_ends_s):
            self._later(at_s, "comes", Permits(), 0)
        self.jobs = len(self._events)
        while self._events and self._events[0][0] < self.seconds:
            now_s, _, what, held, times, sent_s = heapq.heappop(self._events)
            if what == "comes":
                self._waiting.append((held, times))
            else:
                self._answered(what, times, now_s, sent_s)
            while self._waiting and self._free:
                self._ask(now_s, *self._waiting.popleft())

    def _later(self, at_s: float, what: str, held: Permits, times: int, sent_s: float = 0.0) -> None:
        heapq.heappush(self._events, (at_s, next(self._numbers), what, held, times, sent_s))

    def _ask(self, now_s: float, held: Permits, times: int) -> None:
        ask = Ask(1, 0.0, permits=held)
        decision = self._scope.acquire(self.limit, TUNING, self._account, ask, now_s)
        if not decision.granted:
            self._postpone(now_s, decision, times)
            return
        self._free -= 1
        self.sent_s.append(now_s)
        self._level += (now_s - self._filled_s) * self.serves_per_s
        self._level, self._filled_s = min(self._level, max(5.0, self.serves_per_s)), now_s
        if self._level < 1 or self._rng.random() < self.noise:
            self._later(now_s + 0.005, "refused", Permits(), times, now_s)
        else:
            self._level -= 1
            self._later(now_s + self._rng.uniform(0.05, 0.1), "served", Permits(), times, now_s)

    def _postpone(self, now_s: float, decision: Decision, times: int) -> None:
        again_s = now_s + decision.delay_s + self._rng.uniform(0, 0.02)
        self._later(again_s, "comes", Permits(decision.kind, MODEL, decision.value), times + 1)

    def _answered(self, what: str, times: int, now_s: float, sent_s: float) -> None:
        self._free += 1
        outcome, wait_s = (Outcome.OK, None) if what == "served" else (Outcome.THROTTLED, self.retry_after_s)
        report = Report(outcome, now_s - sent_s, wait_s)
        decision = self._scope.report(self.limit, TUNING, self._account, report, now_s)
        self.capped |= not math.isinf(self._scope.cap_per_s)
        if what == "served":
            self.served_s.append(now_s)
            self.postponed.append(times)
        else:
            self._postpone(now_s, decision, times)

    def per_s(self, instants_s: list[float]) -> float:
        """How many a second there were in the second half."""
        return sum(instant_s >= self.seconds / 2 for instant_s in instants_s) / (self.seconds / 2)


@pytest.mark.parametrize(
    ("serves_per_s", "retry_after_s", "rpm"),
    [
        (1, 1.0, None),
        (1, 1.0, 300),
        (3, 1.0, None),
        (10, 0.1, None),
        (10, 1.0, 3000),
        (30, 0.1, 9000),
        (100, 1.0, None),
    ],
)
def test_of_an_upstream_that_serves_less_than_the_demand_nearly_all_is_used_and_little_is_asked_in_vain(
    serves_per_s: float, retry_after_s: float, rpm: float | None
) -> None:
    went = Crowd(
        serves_per_s,
        retry_after_s=retry_after_s,
        limit=Limit(rpm),
        demand_per_s=3 * serves_per_s,
        seconds=60 if serves_per_s >= 100 else 600 if serves_per_s < 10 else 150,
    )

    assert 0.8 * serves_per_s <= went.per_s(went.sent_s) <= 1.3 * serves_per_s
    assert went.per_s(went.served_s) >= 0.8 * serves_per_s


@pytest.mark.parametrize("rpm", [None, 6000])
def test_refusals_by_chance_cost_their_pauses_and_nothing_else(rpm: float | None) -> None:
    """A tenth of all calls, each with a pause of a second: about ten calls between two pauses."""
    went = Crowd(noise=0.1, limit=Limit(rpm), demand_ends_s=10.0)

    assert len(went.served_s) == went.jobs
    assert went.jobs / went.served_s[-1] >= 5.0
    assert not went.capped
    assert sum(went.postponed) / len(went.postponed) <= 15


def test_of_a_very_crowded_pool_something_is_left() -> None:
    """Half of all calls are refused, however few they are."""
    went = Crowd(noise=0.5, demand_per_s=10.0, seconds=300.0)

    assert went.per_s(went.served_s) >= 0.4


def test_all_who_were_refused_together_come_back_one_after_the_other() -> None:
    limit, account, scope = Limit(rpm=600), Account.new(TUNING, 0.0), Scope.new(0.0)
    told = [scope.report(limit, TUNING, account, Report(Outcome.THROTTLED, 1.0, 5.0), 10.0) for _ in range(25)]

    # The bucket is full by the end of the pause: what goes by then may go at once.
    turns_s = [max(0.0, n * 1.005 * 61.8 / 600 - TUNING.tolerance_s) for n in range(25)]
    assert [decision.delay_s - 5 for decision in told] == pytest.approx(turns_s)


def test_time_that_steps_back_stands_still() -> None:
    limit, account, scope = Limit(rpm=60), Account.new(TUNING, 100.0), Scope.new(100.0)
    scope.acquire(limit, TUNING, account, Ask(10), 100.0)

    assert scope.acquire(limit, TUNING, account, Ask(10), 50.0).granted == 0
    assert scope.acquire(limit, TUNING, account, Ask(10), 103.0).granted == 2


@pytest.mark.parametrize("kind", ["granted", "place", "budget"])
@given(value=st.floats(-1e12, 1e12))
def test_permits_are_read_as_they_were_written(kind: str, value: float) -> None:
    permits = Permits(kind, "meta/llama:free", value)
    read = Permits.parse(permits.to_text(), "meta/llama:free")

    assert (read.kind, read.model) == (kind, "meta/llama:free")
    assert read.value == pytest.approx(value, abs=1e-6)
    assert Permits.parse(permits.to_text(), MODEL) == Permits()


@given(text=st.text())
def test_any_text_can_be_read_as_permits(text: str) -> None:
    assert Permits.parse(text, MODEL).kind in {"", "granted", "place", "budget"}


def test_nothing_to_keep_is_empty() -> None:
    assert Decision().to_grant(MODEL).permits == ""


def test_a_model_that_is_not_named_has_the_default_limit() -> None:
    limits = Limits(Limit(rpm=5), {MODEL: Limit(rpm=7)})

    assert (limits.of(MODEL).rpm, limits.of("other/one").rpm) == (7, 5)

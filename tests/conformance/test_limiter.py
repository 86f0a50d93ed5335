"""One suite for every limiter, in virtual time: in memory, and the script on a real Redis; and both step by step."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from jobctl.adapters.memory import MemoryLimiter, VirtualClock
from jobctl.adapters.redis_limiter import RedisLimiter
from jobctl.core.limiting import Grant, Limit, Limits, Outcome, Report, Tuning
from jobctl.ports import Limiter

EXAMPLES = 50
MODEL = "openai/gpt-4o-mini"
OTHER = "openai/gpt-4o"
START_S = 1_764_000_000.0


@dataclass
class Rig:
    """Limiters of one kind in virtual time."""

    make: Callable[[Limits, Tuning], Limiter]
    clock: VirtualClock

    def limiter(self, limit: Limit | None = None, tuning: Tuning | None = None, **by_model: Limit) -> Limiter:
        limits = Limits(limit or Limit(), by_model)
        return self.make(limits, tuning or Tuning())


@pytest.fixture(params=["memory", "redis"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    clock = VirtualClock(START_S)
    if request.param == "memory":
        yield Rig(lambda limits, tuning: MemoryLimiter(limits, tuning, clock=clock.now), clock)
        return
    redis: Redis = request.getfixturevalue("redis")
    made: list[RedisLimiter] = []

    def make(limits: Limits, tuning: Tuning) -> Limiter:
        made.append(RedisLimiter(redis, "account", limits, tuning, clock=clock.now))
        return made[-1]

    yield Rig(make, clock)
    for limiter in made:
        limiter.close()


def granted_at(limiter: Limiter, clock: VirtualClock, asks: int) -> list[float]:
    """Instants at which a caller that comes back when told is let through, so many times."""
    instants = []
    for _ in range(asks):
        permits = ""
        while not (grant := limiter.acquire(MODEL, permits=permits)).granted:
            permits = grant.permits
            clock.sleep(grant.delay_s)
        instants.append(clock.now())
    return instants


def most_in(window_s: float, instants: list[float]) -> int:
    return max(sum(start <= other < start + window_s for other in instants) for start in instants)


# ------------------------------------------------------------------------------------------------------------- limits


def test_without_a_limit_everything_passes(rig: Rig) -> None:
    limiter = rig.limiter()

    assert limiter.acquire(MODEL, calls=1000).granted == 1000
    assert limiter.acquire(MODEL, calls=1000, tokens=1e9).granted == 1000


def test_no_minute_and_no_jitter_sees_more_than_the_limit_and_nearly_all_of_it_is_used(rig: Rig) -> None:
    tuning = Tuning()
    instants = granted_at(rig.limiter(Limit(rpm=60)), rig.clock, 240)

    assert most_in(60 + tuning.jitter_s, instants) <= 60
    # 240 calls at 60 / (60 + 0.6 + 1.2) a second, less the two that are there at the start
    assert instants[-1] - instants[0] == pytest.approx(238 * 61.8 / 60, abs=2)


def test_a_burst_may_exceed_it_once(rig: Rig) -> None:
    limiter = rig.limiter(Limit(rpm=60, burst=10))

    assert limiter.acquire(MODEL, calls=100).granted == 12  # 1 + 10 + 1.2 s x 0.97/s
    assert most_in(60.6, granted_at(limiter, rig.clock, 200)) <= 70


def test_models_and_accounts_have_limits_of_their_own(rig: Rig) -> None:
    limiter = rig.limiter(Limit(rpm=6000), **{OTHER: Limit(rpm=60)})

    assert limiter.acquire(MODEL, calls=1000).granted == 117  # 1 + 1.2 s x 97/s
    assert limiter.acquire(OTHER, calls=1000).granted == 2


def test_what_has_room_in_one_limit_only_takes_from_neither(rig: Rig) -> None:
    limiter = rig.limiter(Limit(rpm=600, tpm=60_000))  # buckets: 12.65 calls and 1,165 tokens
    assert limiter.acquire(MODEL, tokens=1000).granted == 1

    denied = limiter.acquire(MODEL, tokens=1000)
    assert (denied.granted, denied.reason) == (0, "limit")
    assert denied.delay_s == pytest.approx((1000 - 165) / (60_000 / 61.8), abs=0.01)
    assert limiter.acquire(MODEL, calls=100, tokens=1).granted == 11  # the denied call took none of the 11.65


def test_a_call_of_more_tokens_than_the_bucket_holds_passes_alone_and_leaves_a_debt(rig: Rig) -> None:
    limiter = rig.limiter(Limit(tpm=60_000))

    assert limiter.acquire(MODEL, tokens=10_000).granted == 1
    denied = limiter.acquire(MODEL, tokens=10)
    assert denied.delay_s == pytest.approx((10_000 - 1165 + 10) / (60_000 / 61.8), abs=0.01)


def test_fewer_calls_than_asked_for_are_granted_with_the_time_for_the_next(rig: Rig) -> None:
    grant = rig.limiter(Limit(rpm=600)).acquire(MODEL, calls=25, tokens=7)

    assert (grant.granted, grant.reason, grant.permits) == (12, "limit", f"granted {MODEL} 7.000000")
    assert grant.delay_s == pytest.approx(0.35 / (600 / 61.8), abs=0.01)


def test_what_is_given_back_can_be_had_again(rig: Rig) -> None:
    limiter = rig.limiter(Limit(rpm=600, tpm=600_000))
    grant = limiter.acquire(MODEL, calls=25, tokens=100)
    limiter.release(MODEL, 5, grant.tokens)

    assert limiter.acquire(MODEL, calls=25, tokens=100).granted == 5


def test_what_calls_really_took_is_learned_and_corrected(rig: Rig) -> None:
    limiter = rig.limiter(Limit(tpm=60_000))
    limiter.acquire(MODEL, tokens=100)
    limiter.report(MODEL, Report(Outcome.OK, 1.0, tokens=900, used=1000))

    denied = limiter.acquire(MODEL)  # whose tokens nobody told: as many as the last
    assert denied.delay_s == pytest.approx((1000 - 165) / (60_000 / 61.8), abs=0.01)


# --------------------------------------------------------------------------------------------------------------- line


def test_the_denied_are_told_instants_one_call_apart_and_come_once(rig: Rig) -> None:
    limiter = rig.limiter(Limit(rpm=60))
    limiter.acquire(MODEL, calls=100)
    denied = [limiter.acquire(MODEL, permits="") for _ in range(50)]

    gaps = [later.delay_s - earlier.delay_s for earlier, later in pairwise(denied)]
    assert gaps == [pytest.approx(1.005 * 61.8 / 60)] * 49
    for grant in denied:
        rig.clock.sleep(START_S + grant.delay_s - rig.clock.now())
        assert limiter.acquire(MODEL, permits=grant.permits).granted == 1


def test_a_newcomer_does_not_overtake_the_line_and_who_comes_early_is_told_the_rest(rig: Rig) -> None:
    limiter = rig.limiter(Limit(rpm=60))
    limiter.acquire(MODEL, calls=100)
    first = limiter.acquire(MODEL, permits="")
    second = limiter.acquire(MODEL, permits="")
    rig.clock.sleep(first.delay_s)

    assert limiter.acquire(MODEL, permits="").delay_s == pytest.approx(2 * 1.005 * 1.03, abs=0.01)
    early = limiter.acquire(MODEL, permits=second.permits)
    assert (early.granted, early.permits) == (0, second.permits)
    assert early.delay_s == pytest.approx(second.delay_s - first.delay_s, abs=0.001)
    assert limiter.acquire(MODEL, permits=first.permits).granted == 1


def test_what_the_line_does_not_claim_goes_to_newcomers(rig: Rig) -> None:
    """Nobody of a line of 100 ever comes back."""
    limiter = rig.limiter(Limit(rpm=60))
    limiter.acquire(MODEL, calls=100)
    for _ in range(100):
        limiter.acquire(MODEL, permits="")

    passed = 0
    for _ in range(600):
        rig.clock.sleep(0.1)
        passed += limiter.acquire(MODEL, permits="").granted
    assert passed >= 0.9 * 60


def test_walk_ins_have_half_of_the_rate_while_there_is_a_line(rig: Rig) -> None:
    limiter = rig.limiter(Limit(rpm=600))
    limiter.acquire(MODEL, calls=100)
    line = [
        (rig.clock.now() + grant.delay_s, grant.permits)
        for grant in (limiter.acquire(MODEL, permits="") for _ in range(400))
    ]
    walked = served = 0
    while rig.clock.now() < START_S + 30:
        walked += limiter.acquire(MODEL, calls=25).granted
        due = [(instant_s, permits) for instant_s, permits in line if instant_s <= rig.clock.now()]
        for instant_s, permits in due:
            line.remove((instant_s, permits))
            grant = limiter.acquire(MODEL, permits=permits)
            served += grant.granted
            if not grant.granted:
                line.append((rig.clock.now() + grant.delay_s, grant.permits))
        rig.clock.sleep(0.05)

    assert walked + served == pytest.approx(30 * 600 / 61.8, rel=0.05)
    assert 0.4 < walked / (walked + served) < 0.6


@pytest.mark.parametrize(
    "permits", ["place", "place openai/gpt-4o-mini soon", "nonsense", f"place {OTHER} 1", "\0 \0 9"]
)
def test_permits_that_make_no_sense_are_none(rig: Rig, permits: str) -> None:
    limiter = rig.limiter(Limit(rpm=60))
    limiter.acquire(MODEL, calls=100)
    limiter.acquire(MODEL, permits="")

    assert limiter.acquire(MODEL, permits=permits).delay_s == pytest.approx(2 * 1.005 * 1.03, abs=0.9)


# ------------------------------------------------------------------------------------------------------------- pauses


def test_a_pause_stops_everybody_until_its_end_and_then_the_backlog_does_not_burst(rig: Rig) -> None:
    limiter = rig.limiter(Limit(rpm=600))
    limiter.acquire(MODEL)
    told = limiter.report(MODEL, Report(Outcome.THROTTLED, 0.1, wait_s=5))
    assert told.delay_s == pytest.approx(5, abs=0.11)

    rig.clock.sleep(4.99)
    walk_in, newcomer = limiter.acquire(MODEL, calls=25), limiter.acquire(MODEL, permits="")
    assert (walk_in.granted, walk_in.reason, newcomer.granted, newcomer.reason) == (0, "paused", 0, "paused")
    assert walk_in.delay_s == pytest.approx(0.01, abs=0.001)
    assert newcomer.delay_s == pytest.approx(0.01, abs=0.001)
    rig.clock.sleep(told.delay_s - 4.99)
    assert limiter.acquire(MODEL, permits=told.permits).granted == 1
    assert limiter.acquire(MODEL, calls=25).granted == 11  # what a full bucket has left: 1 + 1.2 s x 9.7/s - 1


def test_a_pause_of_one_model_leaves_others_alone_and_one_of_the_account_does_not(rig: Rig) -> None:
    limiter = rig.limiter()
    limiter.report(MODEL, Report(Outcome.THROTTLED, wait_s=5))
    assert (limiter.acquire(MODEL).granted, limiter.acquire(OTHER).granted) == (0, 1)

    limiter.report(OTHER, Report(Outcome.ACCOUNT_THROTTLED, wait_s=7))
    rig.clock.sleep(6)
    assert (limiter.acquire(MODEL).granted, limiter.acquire("never/seen").granted) == (0, 0)
    rig.clock.sleep(1.01)
    assert (limiter.acquire(MODEL).granted, limiter.acquire(OTHER).granted) == (1, 1)


def test_a_place_is_kept_through_a_pause(rig: Rig) -> None:
    limiter = rig.limiter(Limit(rpm=60))
    limiter.acquire(MODEL, calls=100)
    first = limiter.acquire(MODEL, permits="")
    limiter.report(MODEL, Report(Outcome.THROTTLED, wait_s=10))
    rig.clock.sleep(first.delay_s)
    again = limiter.acquire(MODEL, permits=first.permits)

    assert (again.granted, again.reason, again.permits) == (0, "paused", first.permits)
    assert 10 - first.delay_s < again.delay_s < 10  # its turn came in the pause, behind the call that was refused
    rig.clock.sleep(again.delay_s)
    assert limiter.acquire(MODEL, permits=first.permits).granted == 1


def test_a_pause_without_a_hint_doubles_with_each_refusal_in_a_row_and_is_bounded(rig: Rig) -> None:
    limiter = rig.limiter()
    pauses_s = []
    for _ in range(9):
        limiter.report(MODEL, Report(Outcome.THROTTLED))
        pauses_s.append(limiter.status()[0].paused_s)
        rig.clock.sleep(pauses_s[-1])

    assert pauses_s == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60, 60])


def test_any_answer_that_is_no_refusal_ends_the_row(rig: Rig) -> None:
    limiter = rig.limiter()
    pauses_s = []
    for outcome in (Outcome.OK, Outcome.FAILED, Outcome.OK):
        limiter.report(MODEL, Report(Outcome.ACCOUNT_THROTTLED, 0.001))
        limiter.report(OTHER, Report(outcome, 0.05))  # sent with the one that was refused
        limiter.report(MODEL, Report(Outcome.THROTTLED, 0.001))
        limiter.report(MODEL, Report(outcome, 0.05))
        pauses_s.append(limiter.status()[0].paused_s)
        rig.clock.sleep(pauses_s[-1] + 0.1)

    assert pauses_s == pytest.approx([1, 1, 1])


def test_a_pause_no_longer_than_the_tolerance_costs_nothing_of_the_allowance(rig: Rig) -> None:
    limiter = rig.limiter(Limit(rpm=600))
    granted = limiter.acquire(MODEL, calls=100).granted
    for _ in range(20):
        limiter.report(MODEL, Report(Outcome.THROTTLED, wait_s=1))
        rig.clock.sleep(1.0)
        granted += limiter.acquire(MODEL, calls=100).granted

    assert granted == int(1 + 21.2 * 600 / 61.8)


# --------------------------------------------------------------------------------------------------------------- AIMD


def answer(limiter: Limiter, clock: VirtualClock, refused: int, of: int = 10, *, batches: int = 1) -> None:
    """Ten calls a second, as long as it takes to be judged so often; so many of so many are refused."""
    for number in range(batches * Tuning().judged_calls):
        limiter.acquire(MODEL, calls=1)
        outcome = Outcome.THROTTLED if number % of < refused else Outcome.OK
        limiter.report(MODEL, Report(outcome, wait_s=0.0))
        clock.sleep(0.1)


@pytest.mark.parametrize("limit", [Limit(rpm=6000), Limit()], ids=str)
def test_single_refusals_lower_nothing_however_long_they_last(rig: Rig, limit: Limit) -> None:
    limiter = rig.limiter(limit)
    before = limiter.acquire(MODEL), limiter.status()[0].rate_per_s
    answer(limiter, rig.clock, 2, batches=10)

    assert before[0].granted == 1
    assert (limiter.status()[0].factor, limiter.status()[0].rate_per_s) == (1.0, before[1])


def test_many_refusals_halve_the_rate_but_not_below_what_is_accepted(rig: Rig) -> None:
    limiter = rig.limiter(Limit(rpm=6000))
    answer(limiter, rig.clock, 5)
    assert limiter.status()[0].rate_per_s == pytest.approx(6000 / 61.8 / 2, rel=0.01)

    for _ in range(9):
        answer(limiter, rig.clock, 5)  # five a second are accepted whatever the rate
    rate_per_s = limiter.status()[0].rate_per_s
    assert rate_per_s is not None
    assert 5 <= rate_per_s <= 6


def test_calls_that_were_sent_before_the_rate_was_lowered_do_not_lower_it_again(rig: Rig) -> None:
    limiter = rig.limiter(Limit(rpm=6000))
    answer(limiter, rig.clock, 5)
    lowered_per_s = limiter.status()[0].rate_per_s
    for _ in range(300):
        rig.clock.sleep(0.02)
        limiter.report(MODEL, Report(Outcome.THROTTLED, latency_s=30.0, wait_s=0.0))

    assert lowered_per_s is not None
    assert limiter.status()[0].rate_per_s == pytest.approx(lowered_per_s * (1 + 6 / 60), rel=0.02)


def test_it_grows_steadily_until_it_has_doubled_and_then_the_cap_is_gone(rig: Rig) -> None:
    limiter = rig.limiter()
    answer(limiter, rig.clock, 5)
    rates = []
    for _ in range(3):
        rates.append(limiter.status()[0].rate_per_s)
        rig.clock.sleep(15)
    first = rates[0]
    assert first is not None

    assert first == pytest.approx(5, rel=0.05)  # of ten a second half was accepted
    assert rates == pytest.approx([first, 1.25 * first, 1.5 * first], rel=0.06)
    assert limiter.acquire(MODEL, calls=1000).granted < 20
    rig.clock.sleep(31)
    assert limiter.status()[0].rate_per_s is None
    assert limiter.acquire(MODEL, calls=1000).granted == 1000


def test_a_lowering_that_brings_nothing_but_less_work_is_taken_back(rig: Rig) -> None:
    """The share that is refused stays the same: it is a crowd's doing and not ours."""
    limiter = rig.limiter()
    answer(limiter, rig.clock, 4)
    lowered_per_s = limiter.status()[0].rate_per_s
    for number in range(Tuning().judged_calls):  # half as many as before, and refused as often
        limiter.acquire(MODEL, calls=1)
        limiter.report(MODEL, Report(Outcome.THROTTLED if number % 10 < 4 else Outcome.OK, wait_s=0.0))
        rig.clock.sleep(0.2)

    assert lowered_per_s == pytest.approx(6, rel=0.05)
    assert limiter.status()[0].rate_per_s is None


# -------------------------------------------------------------------------------------------------------- retry budget


def test_retries_beyond_a_tenth_of_the_traffic_are_put_off_and_spread(rig: Rig) -> None:
    limiter = rig.limiter()
    assert [limiter.acquire(MODEL, retry=True).granted for _ in range(10)] == [1] * 10  # the reserve
    put_off = [limiter.acquire(MODEL, retry=True, permits="") for _ in range(5)]

    assert {(grant.granted, grant.reason) for grant in put_off} == {(0, "retry_budget")}
    assert [grant.delay_s for grant in put_off] == pytest.approx([5, 10, 15, 20, 25])  # one in 5 s
    assert limiter.acquire(MODEL, calls=30).granted == 30  # first calls are free to go, and pay three retries in
    assert sum(limiter.acquire(MODEL, retry=True, permits=put_off[0].permits).granted for _ in range(5)) == 3
    assert limiter.acquire(OTHER, retry=True).granted == 0  # one budget for all models


def test_in_a_storm_retries_are_a_tenth_of_what_is_sent(rig: Rig) -> None:
    limiter = rig.limiter()
    firsts = retries = 0
    for _ in range(3000):
        firsts += limiter.acquire(MODEL, permits="").granted
        retries += limiter.acquire(MODEL, retry=True, permits="").granted
        rig.clock.sleep(0.01)

    assert retries <= 0.1 * firsts + 10 + 0.2 * 30


# -------------------------------------------------------------------------------------------------------------- breaker


def broken(limiter: Limiter, failures: int = 20) -> None:
    for _ in range(failures):
        limiter.report(MODEL, Report(Outcome.FAILED, 0.1))


def test_the_breaker_opens_at_a_failed_half_of_enough_calls(rig: Rig) -> None:
    limiter = rig.limiter()
    for _ in range(11):
        limiter.report(MODEL, Report(Outcome.OK, 0.1))
    broken(limiter, 10)
    assert not limiter.status()[0].breaker_open
    broken(limiter, 1)

    denied = limiter.acquire(MODEL, permits="")
    assert (denied.granted, denied.reason, limiter.acquire(OTHER).granted) == (0, "breaker", 1)
    assert denied.delay_s >= 5


def test_few_calls_open_nothing(rig: Rig) -> None:
    limiter = rig.limiter()
    broken(limiter, 19)

    assert limiter.acquire(MODEL).granted == 1


def test_after_a_while_a_few_probes_pass_and_close_it(rig: Rig) -> None:
    limiter = rig.limiter()
    broken(limiter)
    rig.clock.sleep(5.0)
    probes = []
    for _ in range(40):
        probes.append(limiter.acquire(MODEL, permits="").granted)
        rig.clock.sleep(0.3)
    assert sum(probes) == 3

    for _ in range(3):
        limiter.report(MODEL, Report(Outcome.OK, 0.1))
    assert not limiter.status()[0].breaker_open
    assert limiter.acquire(MODEL).granted == 1


def test_a_failed_probe_opens_it_again_for_twice_as_long(rig: Rig) -> None:
    limiter = rig.limiter()
    broken(limiter)
    rig.clock.sleep(6)
    assert limiter.acquire(MODEL).granted == 1
    limiter.report(MODEL, Report(Outcome.FAILED, 20.0))  # that one was sent before it opened
    rig.clock.sleep(1)
    limiter.report(MODEL, Report(Outcome.FAILED, 0.5))

    denied = limiter.acquire(MODEL)
    assert (denied.granted, denied.reason) == (0, "breaker")
    assert denied.delay_s == pytest.approx(10, abs=0.1)


# -------------------------------------------------------------------------------------------------------------- status


def test_the_status_tells_what_there_is_and_changes_nothing(rig: Rig) -> None:
    limiter = rig.limiter(Limit(rpm=600))
    assert list(limiter.status()) == []
    for _ in range(150):
        limiter.acquire(MODEL, permits="")
        rig.clock.sleep(0.2)
    before, again = limiter.status(), limiter.status()

    assert before == again
    (status,) = before
    assert (status.model, status.paused_s, status.breaker_open) == (MODEL, 0, False)
    assert status.rate_per_s == pytest.approx(600 / 61.8)
    assert status.headroom == pytest.approx(1 - 5 / 9.7, abs=0.05)
    for _ in range(100):
        limiter.acquire(MODEL, permits="")
    assert limiter.status()[0].line_s == pytest.approx(88 * 1.02 / 9.7, rel=0.1)


def test_the_headroom_is_that_of_the_tokens_where_they_are_short(rig: Rig) -> None:
    limiter = rig.limiter(Limit(rpm=600, tpm=60_000))
    for _ in range(60):
        grant = limiter.acquire(MODEL, tokens=500, permits="")
        assert grant.granted
        limiter.report(MODEL, Report(Outcome.OK, 0.1, 500, used=500))
        rig.clock.sleep(1)
    # 60,000 tokens in 61.8 s are 1.94 calls of 500 a second, of which one is made
    assert limiter.status()[0].headroom == pytest.approx(1 - 1 / 1.94, abs=0.05)


def test_there_is_no_headroom_during_a_pause(rig: Rig) -> None:
    limiter = rig.limiter()
    limiter.acquire(MODEL, permits="")
    limiter.report(MODEL, Report(Outcome.THROTTLED, wait_s=30))
    assert limiter.status()[0].headroom == 0
    rig.clock.sleep(31)
    assert limiter.status()[0].headroom == 1


# -------------------------------------------------------------------------------------------------- the twins are alike

STEPS = st.one_of(
    st.tuples(st.just("sleep"), st.floats(0, 0.3) | st.floats(0, 40)),
    st.tuples(st.just("walk in"), st.integers(1, 30), st.none() | st.floats(0, 5000), st.booleans()),
    st.tuples(st.just("ask"), st.sampled_from([MODEL, OTHER]), st.none() | st.floats(0, 5000), st.booleans()),
    st.tuples(st.just("come back"), st.integers(0, 5), st.booleans()),
    st.tuples(st.just("release"), st.integers(1, 3), st.floats(0, 500)),
    st.tuples(
        st.just("report"),
        st.sampled_from([MODEL, OTHER]),
        st.builds(
            Report,
            st.sampled_from(Outcome),
            st.floats(0, 30),
            st.none() | st.floats(0, 20),
            st.floats(-500, 500),
            st.none() | st.floats(0, 2000),
        ),
    ),
    st.tuples(st.just("break"), st.integers(10, 30)),
)
LIMITS = st.builds(
    Limit, st.none() | st.sampled_from([20, 600]), st.none() | st.sampled_from([1000, 100_000]), st.sampled_from([0, 5])
)


#: Judges soon enough for a short story.
HASTY = Tuning(judged_calls=10, judged_s=0.5)


def play(limiter: Limiter, clock: VirtualClock, steps: list[tuple[Any, ...]]) -> list[Any]:
    """Each answer of a limiter to the same story."""
    answers: list[Any] = []
    kept: list[tuple[str, str]] = []
    for what, *how in steps:
        if what == "sleep":
            clock.sleep(how[0])
        elif what == "walk in":
            answers.append(limiter.acquire(MODEL, calls=how[0], tokens=how[1], retry=how[2]))
        elif what == "ask":
            answers.append(limiter.acquire(how[0], tokens=how[1], retry=how[2], permits=""))
            kept.append((how[0], answers[-1].permits))
        elif what == "come back" and kept:
            model, permits = kept[how[0] % len(kept)]
            answers.append(limiter.acquire(model, retry=how[1], permits=permits))
        elif what == "release":
            limiter.release(MODEL, how[0], how[1])
        elif what == "report":
            answers.append(limiter.report(how[0], how[1]))
        elif what == "break":
            broken(limiter, how[0])
        answers.extend(limiter.status())
    return answers


def assert_alike(expected: list[Any], answered: list[Any]) -> None:
    """The same but for rounding."""
    assert len(answered) == len(expected)
    for theirs, mine in zip(expected, answered, strict=True):
        for name in theirs.__slots__:
            left, right = getattr(theirs, name), getattr(mine, name)
            if isinstance(left, float) and isinstance(right, float):
                assert math.isclose(left, right, rel_tol=1e-6, abs_tol=2e-6), (name, theirs, mine)
            elif name == "permits" and left.startswith("place"):
                assert float(right.split()[-1]) == pytest.approx(float(left.split()[-1]), abs=2e-6)
            else:
                assert left == right, (name, theirs, mine)


@dataclass(frozen=True)
class Mood:
    """What a long story is about: the share of retries, how often each outcome comes, and denials that it must show."""

    retries: float
    outcomes: tuple[int, ...]
    shows: frozenset[str]


MOODS = {
    "line": Mood(0.0, (1, 0, 0, 0), frozenset({"limit"})),
    "retries": Mood(0.9, (1, 0, 0, 0), frozenset({"retry_budget"})),
    "pauses": Mood(0.1, (40, 0, 2, 1), frozenset({"paused"})),
    "crowd": Mood(0.1, (10, 0, 4, 1), frozenset({"paused"})),
    "failures": Mood(0.1, (2, 3, 0, 0), frozenset({"breaker"})),
}


def story_of(mood: Mood, seed: int) -> list[tuple[Any, ...]]:
    """Too many callers of all kinds, half of whom come back."""
    rng = random.Random(seed)
    story: list[tuple[Any, ...]] = []
    for _ in range(400):
        what = rng.choices(["sleep", "ask", "walk in", "come back", "report", "release"], [25, 25, 12, 25, 12, 1])[0]
        if what == "sleep":
            story.append((what, rng.expovariate(20) if rng.random() < 0.95 else rng.uniform(0, 8)))
        elif what == "ask":
            story.append((what, MODEL, rng.choice([None, 5.0, 50.0]), rng.random() < mood.retries))
        elif what == "walk in":
            story.append((what, rng.randint(1, 5), None, rng.random() < mood.retries))
        elif what == "come back":
            story.append((what, rng.randrange(400), rng.random() < mood.retries))
        elif what == "release":
            story.append((what, 1, 5.0))
        else:
            outcome = rng.choices(list(Outcome), mood.outcomes)[0]
            latency_s, wait_s = rng.uniform(0, 0.4), rng.choice([None, 0.5])
            story.append((what, MODEL, Report(outcome, latency_s, wait_s, rng.uniform(-9, 9), rng.uniform(1, 90))))
    return story


@pytest.mark.parametrize("limit", [Limit(rpm=300, tpm=20_000, burst=3), Limit(rpm=600), Limit()], ids=str)
@pytest.mark.parametrize("mood", MOODS)
def test_the_script_and_its_twin_answer_alike_under_overload(redis: Redis, limit: Limit, mood: str) -> None:
    limits, story = Limits(limit), [step for seed in range(2) for step in story_of(MOODS[mood], seed)]
    memory_clock, redis_clock = VirtualClock(START_S), VirtualClock(START_S)
    ours = RedisLimiter(redis, "account", limits, HASTY, clock=redis_clock.now)
    try:
        answered = play(ours, redis_clock, story)
    finally:
        ours.close()

    expected = play(MemoryLimiter(limits, HASTY, clock=memory_clock.now), memory_clock, story)
    assert_alike(expected, answered)
    shown = {answer.reason for answer in expected if isinstance(answer, Grant)}
    assert MOODS[mood].shows <= shown or (mood == "line" and limit == Limit())


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limit=LIMITS, steps=st.lists(STEPS, min_size=5, max_size=40))
def test_the_script_and_its_twin_answer_alike_to_any_story(
    redis: Redis, limit: Limit, steps: list[tuple[Any, ...]]
) -> None:
    redis.flushall()
    limits = Limits(limit, {OTHER: replace(limit, rpm=60)})
    memory_clock, redis_clock = VirtualClock(START_S), VirtualClock(START_S)
    twin = MemoryLimiter(limits, HASTY, clock=memory_clock.now)
    ours = RedisLimiter(redis, "account", limits, HASTY, clock=redis_clock.now)
    try:
        expected, answered = play(twin, memory_clock, steps), play(ours, redis_clock, steps)
    finally:
        ours.close()

    assert_alike(expected, answered)

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.apps.mock.behaviour import Behaviour, Fault, parse_faults
from jobctl.core.service import Constant, Exponential, OpenRouter, parse_law
from jobctl.errors import InvalidValue


def test_a_call_has_the_same_timing_and_fault_whatever_came_before() -> None:
    first, second = (Behaviour(Exponential(1.0), {Fault.RATE_LIMIT: 0.5}, seed=7) for _ in range(2))
    backwards = [(second.timing(call, 9999), second.fault(call)) for call in reversed(range(50))]

    assert [(first.timing(call, 9999), first.fault(call)) for call in range(50)] == backwards[::-1]


def test_another_seed_gives_other_timings() -> None:
    law = Exponential(1.0)
    assert Behaviour(law, {}, seed=1).timing(0, 9999) != Behaviour(law, {}, seed=2).timing(0, 9999)


def test_timings_follow_the_law_of_the_whole_answer() -> None:
    behaviour = Behaviour(parse_law("lognormal:mean=1s,p95=2s"), {}, seed=1)
    totals = sorted(behaviour.timing(call, 9999).total_s for call in range(20_000))

    # standard deviation of the mean: sqrt(scv / n) = 0.005; of the 95 % quantile's rank: 31 of 20,000
    assert sum(totals) / len(totals) == pytest.approx(1.0, abs=0.02)
    assert totals[18_876] < 2.0 < totals[19_124]


def test_under_openrouters_law_time_is_made_of_tokens_and_a_bound_shortens_it() -> None:
    behaviour = Behaviour(OpenRouter(), {}, seed=1)
    drawn = OpenRouter().answer(random.Random("timing:1:3"))

    free, bound = behaviour.timing(3, 9999), behaviour.timing(3, 2)

    assert (free.total_s, free.completion_tokens) == (drawn.total_s, drawn.tokens)
    assert bound.completion_tokens == 2
    assert bound.total_s == pytest.approx(drawn.first_token_s + drawn.per_token_s)


@given(st.integers(0, 10_000), st.integers(1, 500))
def test_every_answer_has_a_token_and_its_first_comes_before_its_last(call: int, max_tokens: int) -> None:
    for law in (Constant(0.2), OpenRouter()):
        timing = Behaviour(law, {}, seed=1).timing(call, max_tokens)
        assert 1 <= timing.completion_tokens <= max_tokens
        assert 0 < timing.first_token_s <= timing.total_s


def test_faults_strike_as_often_as_they_were_told_to() -> None:
    behaviour = Behaviour(Constant(1.0), {Fault.RATE_LIMIT: 0.2, Fault.EMBEDDED: 0.05}, seed=3)
    struck = Counter(behaviour.fault(call) for call in range(20_000))

    # four standard deviations: 4 sqrt(n p (1 - p)) = 226 and 123
    assert struck[Fault.RATE_LIMIT] == pytest.approx(4000, abs=226)
    assert struck[Fault.EMBEDDED] == pytest.approx(1000, abs=123)
    assert set(struck) == {Fault.RATE_LIMIT, Fault.EMBEDDED, None}


def test_faults_that_fill_all_chances_always_strike() -> None:
    behaviour = Behaviour(Constant(1.0), {Fault.INTERNAL: 0.7, Fault.SLOW: 0.3}, seed=1)
    assert None not in {behaviour.fault(call) for call in range(500)}


def test_faults_are_read_by_kind() -> None:
    assert parse_faults(["429=0.02", " slow = 1 "]) == {Fault.RATE_LIMIT: 0.02, Fault.SLOW: 1.0}
    assert parse_faults([]) == {}


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        (["418=0.1"], "'418=0.1' is no fault"),
        (["429"], "'429' is no fault"),
        (["=0.1"], "'=0.1' is no fault"),
        (["429=2"], "must lie in 0..1"),
        (["429=nan"], "not a finite number"),
        (["429=often"], "not a number"),
        (["429=0.1", "429=0.2"], "429 is given twice"),
    ],
)
def test_a_fault_that_means_nothing_is_refused(texts: list[str], problem: str) -> None:
    with pytest.raises(InvalidValue, match=problem.replace(".", r"\.")):
        parse_faults(texts)


def test_faults_cannot_be_more_than_certain() -> None:
    with pytest.raises(InvalidValue, match="sum to more than 1"):
        Behaviour(Constant(1.0), {Fault.INTERNAL: 0.7, Fault.SLOW: 0.4}, seed=1)


def test_a_model_may_have_a_law_of_its_own() -> None:
    behaviour = Behaviour(Constant(1.0), {}, seed=1, laws={"openai/gpt-4o": Constant(3.0)})

    assert behaviour.timing(0, 9999, "openai/gpt-4o").total_s == 3.0
    assert behaviour.timing(0, 9999, "openai/gpt-4o-mini").total_s == 1.0
    assert behaviour.timing(0, 9999).total_s == 1.0

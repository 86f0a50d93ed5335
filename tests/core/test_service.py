from __future__ import annotations

import math
import random
from statistics import NormalDist, fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.service import (
    Constant,
    Empirical,
    Exponential,
    Gamma,
    Law,
    Lognormal,
    OpenRouter,
    TokenTiming,
    draw_tokens,
    parse_law,
    parse_values,
)
from jobctl.errors import InvalidValue

LAWS: list[Law] = [
    Constant(0.2),
    Exponential(1.0),
    Gamma(1.0, 2.0),
    Gamma(2.0, 0.25),
    Lognormal.from_mean_and_p95(1.0, 2.0),
    Empirical((0.1, 0.2, 0.9)),
    OpenRouter(),
]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_draws_have_the_mean_and_the_scv_that_the_law_states(law: Law) -> None:
    rng = random.Random(7)
    n = 40_000
    draws = [law.sample(rng) for _ in range(n)]
    error_s = law.mean_s * math.sqrt(law.scv / n)
    assert fmean(draws) == pytest.approx(law.mean_s, abs=5 * error_s + 1e-12)
    measured_scv = fmean((draw / law.mean_s - 1) ** 2 for draw in draws)
    assert measured_scv == pytest.approx(law.scv, rel=0.15, abs=1e-12)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_the_same_seed_gives_the_same_draws(law: Law) -> None:
    assert [law.sample(random.Random(3)) for _ in range(3)] == [law.sample(random.Random(3)) for _ in range(3)]


@given(mean_s=st.floats(1e-3, 1e3), ratio=st.floats(1.0, 3.86))
def test_a_lognormal_fitted_by_mean_and_p95_has_both(mean_s: float, ratio: float) -> None:
    law = Lognormal.from_mean_and_p95(mean_s, mean_s * ratio)
    assert law.mean_s == pytest.approx(mean_s)
    assert math.exp(law.mu + law.sigma * NormalDist().inv_cdf(0.95)) == pytest.approx(mean_s * ratio)


@given(p50_s=st.floats(1e-3, 1e3), ratio=st.floats(1.0, 100))
def test_a_lognormal_fitted_by_p50_and_p95_has_both(p50_s: float, ratio: float) -> None:
    law = Lognormal.from_p50_and_p95(p50_s, p50_s * ratio)
    assert math.exp(law.mu) == pytest.approx(p50_s)
    assert math.exp(law.mu + law.sigma * NormalDist().inv_cdf(0.95)) == pytest.approx(p50_s * ratio)


@pytest.mark.parametrize(
    ("text", "law"),
    [
        ("constant:200ms", Constant(0.2)),
        ("exponential:1s", Exponential(1.0)),
        ("exponential:mean=1s", Exponential(1.0)),
        ("gamma:mean=1s,scv=2", Gamma(1.0, 2.0)),
        ("Gamma: scv=2, mean=1s", Gamma(1.0, 2.0)),
        ("lognormal:mean=1s,p95=2s", Lognormal.from_mean_and_p95(1.0, 2.0)),
        ("lognormal:p50=0.9s,p95=2s", Lognormal.from_p50_and_p95(0.9, 2.0)),
        ("openrouter", OpenRouter()),
    ],
)
def test_a_law_is_read(text: str, law: Law) -> None:
    assert parse_law(text) == law


@pytest.mark.parametrize(
    "text",
    [
        "",
        "constant",
        "constant:",
        "constant:-1s",
        "constant:0",
        "constant:nan",
        "constant:10parsecs",
        "constant:mean=1s,p95=2s",
        "weibull:1s",
        "gamma:mean=1s",
        "gamma:mean=1s,scv=0",
        "gamma:mean=1s,scv=1e-320",
        "gamma:mean=1s,scv",
        "lognormal:1s",
        "lognormal:mean=1s,p95=4s",
        "lognormal:mean=2s,p95=1s",
        "lognormal:p50=2s,p95=1s",
        "lognormal:mean=1s,p50=1s,p95=2s",
        "openrouter:1s",
        "file:latencies.txt",
    ],
)
def test_what_is_no_law_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        parse_law(text)
    assert refusal.value.remedy


@given(
    st.text(max_size=30)
    | st.from_regex(r"(constant|exponential|gamma|lognormal|openrouter):[a-z0-9=,.]{0,20}", fullmatch=True)
)
def test_any_text_gives_a_law_that_can_be_drawn_from_or_a_refusal(text: str) -> None:
    try:
        law = parse_law(text)
    except InvalidValue:
        return
    assert law.mean_s > 0
    assert law.scv >= 0
    assert law.sample(random.Random(1)) >= 0


def test_an_empirical_law_is_read_one_duration_a_line() -> None:
    assert parse_values(["# captured", "0.85", "", "850ms", "1s"], "f.txt") == Empirical((0.85, 0.85, 1.0))


@pytest.mark.parametrize(
    ("lines", "problem"),
    [(["1s", "soon"], "f.txt line 2"), ([], "holds no duration"), (["0", "0s"], "holds no duration above 0")],
)
def test_a_file_that_is_no_law_is_refused_by_its_line(lines: list[str], problem: str) -> None:
    with pytest.raises(InvalidValue, match=problem):
        parse_values(lines, "f.txt")


def test_the_openrouter_law_has_the_mean_its_parts_imply() -> None:
    # 0.7 e^(0.5²/2) x (0.985 + 0.015 x 7.5) + 249 x 0.012 e^(0.3²/2) = 0.870541 + 3.125531
    assert OpenRouter().mean_s == pytest.approx(3.996072, rel=1e-6)


def test_an_answer_takes_its_first_token_and_a_pace_for_each_further_one() -> None:
    assert TokenTiming(0.5, 0.01, 101).total_s == pytest.approx(1.5)
    assert TokenTiming(0.5, 0.01, 1).total_s == 0.5


def test_lengths_are_whole_and_at_least_one_and_have_their_mean() -> None:
    rng = random.Random(5)
    lengths = [draw_tokens(rng, 250) for _ in range(20_000)]
    assert min(lengths) >= 1
    assert fmean(lengths) == pytest.approx(250, rel=5 / math.sqrt(20_000))

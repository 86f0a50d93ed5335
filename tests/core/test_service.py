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
    Mixture,
    OpenRouter,
    TokenTiming,
    clipped_moments,
    draw_tokens,
    law_of,
    parse_law,
    parse_values,
)
from jobctl.errors import InvalidValue
from support.arrivals import are_alike, follows

LAWS: list[Law] = [
    Constant(0.2),
    Exponential(1.0),
    Gamma(1.0, 2.0),
    Gamma(2.0, 0.25),
    Lognormal.from_mean_and_p95(1.0, 2.0),
    Empirical((0.1, 0.2, 0.9)),
    OpenRouter(),
    Mixture(((0.25, Constant(3.0)), (0.75, Lognormal.from_mean_and_scv(1.0, 4.0)))),
]
BY_TYPE = pytest.mark.parametrize("law", LAWS, ids=lambda law: f"{type(law).__name__}-{law.scv:.2g}")


@BY_TYPE
def test_draws_have_the_mean_and_the_scv_that_the_law_states(law: Law) -> None:
    rng = random.Random(7)
    n = 40_000
    error_s = law.mean_s * math.sqrt(law.scv / n)
    for draws in ([law.sample(rng) for _ in range(n)], law.draw(rng, n)):
        assert len(draws) == n
        assert fmean(draws) == pytest.approx(law.mean_s, abs=5 * error_s + 1e-12)
        measured_scv = fmean((draw / law.mean_s - 1) ** 2 for draw in draws)
        assert measured_scv == pytest.approx(law.scv, rel=0.15 if law.scv < 2 else 0.3, abs=1e-12)


@BY_TYPE
def test_many_draws_at_once_are_of_the_same_law_as_one_by_one(law: Law) -> None:
    rng = random.Random(11)
    assert are_alike([law.sample(rng) for _ in range(20_000)], law.draw(rng, 20_000))


@pytest.mark.parametrize("mean_s", [0.2, 3.0])
def test_many_draws_follow_their_distribution(mean_s: float) -> None:
    rng, normal = random.Random(2), NormalDist()
    lognormal = Lognormal.from_mean_and_scv(mean_s, 4.0)
    assert follows(Exponential(mean_s).draw(rng, 20_000), lambda x: -math.expm1(-x / mean_s))
    assert follows(lognormal.draw(rng, 20_000), lambda x: normal.cdf((math.log(x) - lognormal.mu) / lognormal.sigma))
    # A gamma of shape 1/2 is the square of a normal, and one of shape 2 is Erlang's.
    steep, blunt = Gamma(mean_s, 2.0), Gamma(mean_s, 0.5)
    assert follows(steep.draw(rng, 20_000), lambda x: math.erf(math.sqrt(x / mean_s / 2)))
    assert follows(blunt.draw(rng, 20_000), lambda x: 1 - math.exp(-2 * x / mean_s) * (1 + 2 * x / mean_s))


@BY_TYPE
def test_none_are_drawn_when_none_are_asked_for(law: Law) -> None:
    assert law.draw(random.Random(1), 0) == []


@BY_TYPE
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


def test_a_p95_equal_to_the_median_varies_nothing() -> None:
    law = Lognormal.from_p50_and_p95(2.0, 2.0)
    assert law.scv == 0
    assert law.draw(random.Random(1), 3) == pytest.approx([2.0] * 3)


@pytest.mark.parametrize(
    ("p50_s", "p95_s", "problem"),
    [
        (2.0, 1.0, "is below p50"),
        (1e-3, 2.0, "more than 1,000 times"),
        (0.0, 1.0, "no percentile"),
        (-1.0, 1.0, "no percentile"),
        (1.0, math.nan, "no percentile"),
        (1.0, math.inf, "no percentile"),
    ],
)
def test_percentiles_of_no_lognormal_are_refused(p50_s: float, p95_s: float, problem: str) -> None:
    with pytest.raises(InvalidValue, match=problem):
        Lognormal.from_p50_and_p95(p50_s, p95_s)


# ------------------------------------------------------------------------------------------------------------- moments


@given(mean_s=st.floats(1e-3, 1e4), scv=st.floats(0, 100) | st.sampled_from([0.0, 1.0]))
def test_the_law_of_two_moments_has_them(mean_s: float, scv: float) -> None:
    law = law_of(mean_s, scv)
    assert law.mean_s == pytest.approx(mean_s)
    assert law.scv == pytest.approx(scv, abs=1e-9)


def test_the_law_of_two_moments_is_the_usual_one() -> None:
    assert law_of(2.0, 0.0) == Constant(2.0)
    assert law_of(2.0, 1.0) == Exponential(2.0)
    assert isinstance(law_of(2.0, 4.0), Lognormal)


@pytest.mark.parametrize(
    ("mean_s", "scv"),
    [(0.0, 1.0), (-1.0, 1.0), (math.nan, 1.0), (math.inf, 1.0), (1.0, -0.1), (1.0, math.nan), (1.0, 1e9)],
)
def test_moments_of_no_law_are_refused(mean_s: float, scv: float) -> None:
    with pytest.raises(InvalidValue):
        law_of(mean_s, scv)


@pytest.mark.parametrize("shares", [(0.5, 0.6), (-0.5, 1.5), (math.nan, 0.5), (0.1, 0.1)])
def test_shares_of_a_mixture_sum_to_one(shares: tuple[float, float]) -> None:
    with pytest.raises(InvalidValue, match="shares of a mix"):
        Mixture(tuple((share, Constant(1.0)) for share in shares))


def test_a_mixture_has_the_moments_its_parts_imply() -> None:
    # Mean 0.5 x 1 + 0.5 x 3 = 2, second moment 0.5 x 2 + 0.5 x 9 = 5.5, so the SCV is 5.5 / 4 - 1.
    law = Mixture(((0.5, Exponential(1.0)), (0.5, Constant(3.0))))
    assert law.mean_s == pytest.approx(2.0)
    assert law.scv == pytest.approx(0.375)


@BY_TYPE
@pytest.mark.parametrize("of_the_mean", [0.1, 0.7, 1.0, 2.5])
def test_what_a_limit_leaves_of_a_law_is_what_draws_show(law: Law, of_the_mean: float) -> None:
    limit_s, n = of_the_mean * law.mean_s, 40_000
    share_over, mean_s, scv = clipped_moments(law, limit_s)
    draws = [min(draw, limit_s) for draw in law.draw(random.Random(5), n)]
    over = sum(draw == limit_s for draw in draws) / n if law.scv else float(law.mean_s > limit_s)
    assert over == pytest.approx(share_over, abs=5 * math.sqrt(share_over * (1 - share_over) / n) + 2e-3)
    assert fmean(draws) == pytest.approx(mean_s, rel=5 * math.sqrt(scv / n) + 2e-3)
    assert fmean((draw / mean_s - 1) ** 2 for draw in draws) == pytest.approx(scv, rel=0.1, abs=1e-3)


@BY_TYPE
def test_a_limit_that_nothing_reaches_changes_nothing(law: Law) -> None:
    for limit_s in (None, math.inf, 1e9):
        assert clipped_moments(law, limit_s) == pytest.approx((0.0, law.mean_s, law.scv), rel=0.02, abs=1e-9)


@BY_TYPE
def test_a_limit_of_nothing_leaves_nothing(law: Law) -> None:
    share_over, mean_s, scv = clipped_moments(law, 0.0)
    assert (share_over, mean_s, scv) == (1.0, 0.0, 0.0)


@given(shape=st.floats(0.01, 200), of_the_mean=st.floats(0.01, 5))
def test_a_gammas_clipped_moments_are_integrals_of_its_tail(shape: float, of_the_mean: float) -> None:
    """The mean of min(X, L) is the integral of P(X > x) up to L: its slope over a short step is the share beyond."""
    law, step = Gamma(1.0, 1 / shape), 1e-4
    below, above = (clipped_moments(law, of_the_mean + side * step) for side in (-0.5, 0.5))
    middle = clipped_moments(law, of_the_mean)
    assert (above.mean_s - below.mean_s) / step == pytest.approx(middle.share_over, abs=1e-5)
    assert 0 <= middle.share_over <= 1
    assert middle.mean_s <= min(1.0, of_the_mean) + 1e-12


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

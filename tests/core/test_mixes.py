from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.mixes import NamedShare, even_shares, parse_named_share, parse_share, type_at
from jobctl.errors import InvalidValue


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("summary 0.3 exponential:8s", NamedShare("summary", 0.3, "exponential:8s")),
        ("summary 30% lognormal:mean=8s,p95=20s", NamedShare("summary", 0.3, "lognormal:mean=8s,p95=20s")),
        ("  a   1   2s ", NamedShare("a", 1.0, "exponential:2.0s")),
        ("call 1 openrouter", NamedShare("call", 1.0, "openrouter")),
    ],
)
def test_a_job_type_is_a_name_a_share_and_a_law(text: str, named: NamedShare) -> None:
    assert parse_named_share(text) == named


@pytest.mark.parametrize(
    "text", ["", "a", "a 0.3", "a x 2s", "a 0 2s", "a -1 2s", "a 0.3 soon", "a 0.3 0s", "a nan 1s"]
)
def test_what_is_no_job_type_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        parse_named_share(text)
    assert "NAME SHARE LAW" in caught.value.remedy


@pytest.mark.parametrize(("text", "share"), [("0.25", 0.25), ("25%", 0.25), ("1", 1.0)])
def test_a_share_is_a_fraction_or_a_percentage(text: str, share: float) -> None:
    assert parse_share(text) == share


def test_shares_that_miss_one_by_rounding_are_mended_and_others_refused() -> None:
    third = 0.3333333
    assert math.fsum(even_shares([("a", third), ("b", third), ("c", third)])) == pytest.approx(1.0, abs=1e-15)
    with pytest.raises(InvalidValue, match=r"sum to 0\.9"):
        even_shares([("a", 0.4), ("b", 0.5)])
    with pytest.raises(InvalidValue, match="names 'a' twice"):
        even_shares([("a", 0.5), ("a", 0.5)])


SHARES = st.lists(st.floats(0.05, 1.0), min_size=1, max_size=5).map(lambda raw: [x / math.fsum(raw) for x in raw])


@given(SHARES, st.integers(0, 2**31))
def test_each_type_gets_its_share_of_the_positions(shares: list[float], seed: int) -> None:
    n = 2000
    drawn = Counter(type_at(shares, seed, position) for position in range(n))

    for nth, share in enumerate(shares):
        # A binomial count is farther than 5.5 standard deviations from its mean four times in 100 million.
        assert abs(drawn[nth] - n * share) <= 5.5 * math.sqrt(n * share * (1 - share)) + 1


@given(SHARES, st.integers(0, 2**31), st.integers(0, 10**9))
def test_a_position_has_one_type_whoever_asks_and_another_seed_draws_others(
    shares: list[float], seed: int, position: int
) -> None:
    assert type_at(shares, seed, position) == type_at(list(shares), seed, position)
    assert 0 <= type_at(shares, seed, position) < len(shares)


def test_neighbours_are_independent() -> None:
    shares, n = [0.5, 0.5], 10_000
    types = [type_at(shares, 1, position) for position in range(n)]

    alike = sum(first == second for first, second in pairwise(types))
    # Of n fair coins, half of the neighbours are alike, give or take 4 standard deviations of sqrt(n)/2.
    assert abs(alike - n / 2) < 4 * math.sqrt(n) / 2

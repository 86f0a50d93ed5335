from __future__ import annotations

import math
import random
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.core.histograms import law_of_histogram, resolution
from jobctl.core.metrics import BUCKETS_S
from jobctl.core.service import Empirical, Exponential, Law, law_of

BOUNDS = (*BUCKETS_S, math.inf)


def histogram(values: list[float]) -> dict[float, float]:
    return {bound: float(sum(value <= bound for value in values)) for bound in BOUNDS}


def law_behind(cumulative: Mapping[float, float], mean_s: float) -> Empirical:
    law = law_of_histogram(cumulative, mean_s)
    assert law is not None
    return law


def quantile(values: tuple[float, ...] | list[float], q: float) -> float:
    return sorted(values)[math.ceil(q * len(values)) - 1]


@pytest.mark.parametrize("mean_s", [0.003, 1.0, 8.0, 40.0, 300.0])
def test_an_exponential_law_is_met_exactly(mean_s: float) -> None:
    """P(X <= b) = 1 - exp(-b/m), and the q-quantile is m ln(1/(1-q))."""
    law = law_behind({bound: 1e6 * -math.expm1(-bound / mean_s) for bound in BOUNDS}, mean_s)

    assert law.mean_s == pytest.approx(mean_s)
    assert law.scv == pytest.approx(1.0, abs=0.02)
    for q in (0.5, 0.95, 0.99):
        assert quantile(law.values, q) == pytest.approx(mean_s * math.log(1 / (1 - q)), rel=0.02)


@pytest.mark.parametrize(
    ("law", "scv_within"),
    [(Exponential(8.0), 0.05), (law_of(8.0, 0.25), 0.1), (law_of(3.0, 4.0), 1.2)],
    ids=["exponential", "lognormal 0.25", "lognormal 4"],
)
def test_mean_and_quantiles_of_other_laws_are_met_as_closely_as_the_buckets_allow(law: Law, scv_within: float) -> None:
    values = law.draw(random.Random(1), 20_000)
    found = law_behind(histogram(values), math.fsum(values) / len(values))

    assert found.mean_s == pytest.approx(math.fsum(values) / len(values))
    assert found.scv == pytest.approx(Empirical(tuple(values)).scv, abs=scv_within)
    for q in (0.5, 0.95, 0.99):
        assert quantile(found.values, q) == pytest.approx(quantile(values, q), rel=0.15)


@settings(max_examples=40)
@given(st.lists(st.floats(1e-4, 500), min_size=1, max_size=60))
def test_the_mean_is_exact_and_every_bucket_keeps_its_share(values: list[float]) -> None:
    mean_s = math.fsum(values) / len(values)
    law = law_behind(histogram(values), mean_s)

    assert law.mean_s == pytest.approx(mean_s)
    for bound in BUCKETS_S:
        at_most = sum(value <= bound * 1.01 for value in law.values) / len(law.values)
        assert at_most >= sum(value <= bound * 0.99 for value in values) / len(values) - 0.001


def test_values_beyond_the_last_bound_reach_as_far_as_the_sum_says() -> None:
    """All above 600 s with mean 900: the excess is exponential with mean 300."""
    law = law_behind({600.0: 0.0, math.inf: 50.0}, 900.0)

    assert law.mean_s == pytest.approx(900.0)
    assert min(law.values) == pytest.approx(600.0, rel=0.01)
    assert quantile(law.values, 0.5) == pytest.approx(600 + 300 * math.log(2), rel=0.02)


def test_values_that_are_all_at_a_bound_are_found_there() -> None:
    law = law_behind(histogram([5.0] * 100), 5.0)

    assert law.scv < 0.001


@pytest.mark.parametrize(("mean_s", "counts"), [(1.0, {1.0: 0.0, math.inf: 0.0}), (0.0, {1.0: 5.0, math.inf: 5.0})])
def test_without_values_there_is_no_law(mean_s: float, counts: dict[float, float]) -> None:
    assert law_of_histogram(counts, mean_s) is None


def test_a_sum_that_contradicts_the_counts_still_gives_its_mean() -> None:
    """Ten values of at most a second with a mean of three: two scrapes that do not belong together."""
    law = law_behind({1.0: 10.0, math.inf: 10.0}, 3.0)

    assert law.mean_s == pytest.approx(3.0)


def test_the_resolution_is_the_bucket_of_the_median() -> None:
    assert resolution(histogram([0.2, 7.0, 8.0, 9.0, 31.0])) == "between 5 s and 10 s"
    assert resolution(histogram([700.0])) == "above 10 min"
    assert resolution({}) == ""

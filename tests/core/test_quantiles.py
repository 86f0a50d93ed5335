from __future__ import annotations

import math
import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jobctl.core.quantiles import Sample
from jobctl.core.samples import samples_needed

VALUES = st.lists(st.floats(0, 1000), min_size=1, max_size=400)


@pytest.mark.parametrize(("quantile", "needed"), [(0.5, 5), (0.90, 29), (0.95, 59), (0.99, 299)])
def test_a_quantile_needs_enough_samples_for_an_upper_bound(quantile: float, needed: int) -> None:
    assert samples_needed(quantile) == needed
    assert Sample([1.0] * (needed - 1)).quantile(quantile) is None
    assert Sample([1.0] * (needed - 1)).interval(quantile) is None
    assert Sample([1.0] * needed).quantile(quantile) == pytest.approx(1.0, rel=1e-3)


@given(st.lists(st.floats(0.001, 1000), min_size=60, max_size=150))
def test_a_quantile_is_the_order_statistic_to_three_digits(values: list[float]) -> None:
    exact = sorted(values)[math.ceil(0.95 * len(values)) - 1]
    found = Sample(values).quantile(0.95)
    assume(found is not None)  # where the long ones stand side by side
    assert found == pytest.approx(exact, rel=2e-3)


@given(VALUES)
def test_quantiles_rise_and_never_pass_the_maximum(values: list[float]) -> None:
    sample = Sample(values)
    known = [value for q in (0.5, 0.9, 0.95, 0.99) if (value := sample.quantile(q)) is not None]
    assert known == sorted(known)
    assert all(value <= max(values) for value in known)


def test_what_was_asked_before_a_merge_does_not_stay() -> None:
    few, many = Sample([0.1] * 60), Sample([0.9] * 100)
    assert few.quantile(0.5) == pytest.approx(0.1, rel=1e-3)
    few.merge(many)
    assert few.quantile(0.5) == pytest.approx(0.9, rel=1e-3)


@given(VALUES, VALUES)
def test_merged_samples_equal_the_pooled_one(left: list[float], right: list[float]) -> None:
    merged = Sample(left)
    merged.merge(Sample(right))
    pooled = Sample(left + right)
    assert (len(merged), merged.max, merged.quantile(0.5)) == (len(pooled), pooled.max, pooled.quantile(0.5))
    assert merged.mean == pooled.mean


def test_without_values_nothing_is_known() -> None:
    empty = Sample()
    assert (empty.mean, empty.scv, empty.max, empty.quantile(0.5), empty.census(0.99)) == (None,) * 5


def test_a_negative_or_endless_value_is_clipped_and_counted() -> None:
    sample = Sample([-0.5, 1.0, 1e9])
    assert sample.clipped == 2
    assert sample.max == 86_400


def test_a_census_needs_no_number_of_samples() -> None:
    assert Sample([3.0, 1.0, 2.0]).census(0.99) == 3.0


def test_the_interval_covers_the_true_quantile_as_often_as_it_says() -> None:
    # Each bound is one-sided at 95 %, so both hold in about 90 % of samples; 200 trials give 180 +- 4.2.
    rng = random.Random(11)
    truth = -math.log(0.05)
    covered = 0
    for _ in range(200):
        low, high = Sample(rng.expovariate(1) for _ in range(300)).interval(0.95)  # type: ignore[misc]
        covered += low <= truth <= high
    assert covered >= 165


def test_an_autocorrelated_sample_has_a_wider_interval_than_a_shuffled_one() -> None:
    rng = random.Random(5)
    level, values = 0.0, []
    for _ in range(2000):
        level = 0.98 * level + rng.gauss(0, 1)
        values.append(10 + level)
    shuffled = values[:]
    rng.shuffle(shuffled)
    low, high = Sample(values).interval(0.9)  # type: ignore[misc]
    low_shuffled, high_shuffled = Sample(shuffled).interval(0.9)  # type: ignore[misc]
    assert high - low > 1.5 * (high_shuffled - low_shuffled)


@pytest.mark.parametrize("q", [0.5, 0.9, 0.95, 0.99])
def test_the_ranks_of_an_interval_hold_their_confidence_in_exact_binomial_terms(q: float) -> None:
    # With the values 1..n the bounds are their own ranks. The q-quantile lies below rank r when fewer than r of n
    # independent values fall below it: a binomial count, its tails in logarithms.
    def share_above(n: int, least: int) -> float:
        """P(at least so many of n values exceed the quantile)."""
        log_choose = (math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(least, n + 1))
        return math.fsum(
            math.exp(log + k * math.log(1 - q) + (n - k) * math.log(q)) for k, log in enumerate(log_choose, least)
        )

    for n in (samples_needed(q), samples_needed(q) + 17, 400, 1000):
        assert math.gcd(613, n) == 1  # so that the order shows no trend
        interval = Sample(float(1 + number * 613 % n) for number in range(n)).interval(q)
        assert interval is not None
        lower, upper = (round(bound) for bound in interval)
        assert share_above(n, n - lower + 1) <= 0.05 + 1e-9
        assert 1 - share_above(n, n - upper + 1) <= 0.05 + 1e-9


def test_values_that_resemble_each_other_too_much_bound_nothing() -> None:
    # Two hundred values in two blocks: in truth two observations, which bound no 90th percentile.
    one_block = Sample([0.0] * 180 + [9.0] * 20)
    assert one_block.quantile(0.9) is not None
    assert one_block.interval(0.9) is None
    spread = Sample(([0.0] * 9 + [9.0]) * 20)
    assert spread.quantile(0.9) is not None
    assert spread.interval(0.9) is not None


def test_a_queue_with_a_long_memory_leaves_too_few_however_even_its_values_look() -> None:
    # An exceedance of the 0.95 quantile is worth 2 (1 - 0.05 ln 20 / 0.95) = 1.685 units; 59 values are needed.
    even = [1.0, 2.0] * 500
    assert Sample(even, relaxation=1000 / 59 / 1.69 + 0.1).interval(0.95) is None
    assert Sample(even, relaxation=1000 / 59 / 1.69 - 0.1).interval(0.95) is not None
    assert Sample(even, relaxation=math.inf).interval(0.5) is None


def test_a_merged_sample_remembers_as_long_as_the_longer_of_the_two() -> None:
    merged = Sample([1.0] * 100)
    merged.merge(Sample([1.0] * 100, relaxation=math.inf))
    assert merged.interval(0.5) is None


def test_the_scv_of_exponential_values_is_one() -> None:
    rng = random.Random(2)
    assert Sample(rng.expovariate(3) for _ in range(20_000)).scv == pytest.approx(1.0, abs=0.06)


def test_an_interval_of_values_below_the_histograms_resolution_is_in_order() -> None:
    low, high = Sample([0.0] * 100).interval(0.5) or (1.0, 0.0)
    assert low <= high == 0.0

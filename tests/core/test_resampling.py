"""Stretches, how they are drawn, and what is computed of them."""

from __future__ import annotations

import math
import random
from statistics import fmean, stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.core.resampling import (
    Measured,
    Round,
    Run,
    Stretch,
    Tally,
    binomial_error,
    failed_share,
    mean_of,
    quantile_of,
    throughput,
)
from support.comparisons import tally


def run_of(*stretches: list[float], failed: int = 0, schedule: str = "s") -> Run:
    made = tuple(Stretch(len(values), failed, {"service": tally(values)}) for values in stretches)
    return Run(2.0, made, schedule)


def measured(*stretches: list[float], **more: object) -> Measured:
    run = run_of(*stretches, **more)  # type: ignore[arg-type]
    return Measured([Round(run, run)], random.Random(1))


def test_a_round_is_of_pairs_if_both_sides_were_offered_the_same() -> None:
    one = run_of([1.0], [2.0])

    assert Round(one, run_of([3.0], [4.0])).is_paired
    assert not Round(one, run_of([1.0], [2.0], schedule="t")).is_paired
    assert not Round(one, run_of([1.0])).is_paired


def test_pairs_are_drawn_as_pairs_and_others_each_for_itself() -> None:
    one, other = run_of(*[[1.0]] * 20), run_of(*[[1.0]] * 20, schedule="t")

    pairs, strangers = (Measured([Round(one, side)], random.Random(1)).draws for side in (one, other))
    assert pairs[0] is pairs[1]
    assert strangers[0] != strangers[1]


@settings(max_examples=30)
@given(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_as_many_stretches_are_drawn_of_each_round_as_it_has(sizes: list[int], seed: int) -> None:
    rounds = [Round(run_of(*[[1.0]] * size), run_of(*[[1.0]] * size)) for size in sizes]
    for weights in Measured(rounds, random.Random(seed)).draws[0][:5]:
        begin = 0
        for size in sizes:
            assert sum(weights[begin : begin + size]) == size
            begin += size
        assert begin == len(weights)


def test_every_stretch_is_drawn_as_often_as_any_other() -> None:
    draws = measured(*[[1.0]] * 27).draws[0]
    often = [fmean(weights[place] for weights in draws) for place in range(27)]

    assert fmean(often) == pytest.approx(1.0)
    # Of 200 draws: a count has a variance near 1, its mean a standard error near 0.07.
    assert max(often) - min(often) < 8 * 0.07


def test_neighbours_are_drawn_together() -> None:
    """27 stretches are drawn three at a time: the counts of neighbours resemble each other, those far off do not."""
    draws = measured(*[[1.0]] * 27).draws[0]

    def covariance(distance: int) -> float:
        return fmean((w[n] - 1) * (w[(n + distance) % 27] - 1) for w in draws for n in range(27))

    assert covariance(1) == pytest.approx(2 / 3, abs=0.15)
    assert covariance(6) == pytest.approx(0, abs=0.15)


def test_the_draws_tell_the_standard_error_of_a_mean_of_independent_jobs() -> None:
    """Exponential times of mean 1, 60 stretches of 20: the standard error of their mean is 1 / sqrt(1200)."""
    rng = random.Random(3)
    data = measured(*[[rng.expovariate(1) for _ in range(20)] for _ in range(60)])
    statistic, _ = data.both(mean_of("service"))
    drawn = [value for weights in data.draws[0] if (value := statistic(weights)) is not None]

    assert stdev(drawn) == pytest.approx(1 / math.sqrt(1200), rel=0.35)


@given(st.lists(st.lists(st.integers(1, 500), min_size=1, max_size=8), min_size=1, max_size=6), st.floats(0.01, 0.99))
def test_a_quantile_is_that_of_all_values_sorted(stretches: list[list[int]], q: float) -> None:
    data = measured(*[[value / 1000 for value in values] for values in stretches])
    statistic, _ = data.both(quantile_of("service", q))
    values = sorted(value for each in stretches for value in each)

    assert statistic(data.ones[0]) == values[math.ceil(q * len(values)) - 1] / 1000


def test_rates_and_shares_are_of_all_stretches_together() -> None:
    data = measured([0.1] * 6, [0.1] * 2, failed=1)

    assert data.both(failed_share)[0](data.ones[0]) == 2 / 8
    assert data.both(throughput)[0](data.ones[0]) == 8 / 4.0
    assert data.both(mean_of("wait"))[0](data.ones[0]) is None
    assert data.both(quantile_of("wait", 0.5))[0](data.ones[0]) is None


def test_a_share_of_none_has_an_error_all_the_same() -> None:
    """0 of 98 on either side counts as 1 of 100: 2 x 0.01 x 0.99 / 100."""
    data = measured(*[[0.1] * 49] * 2)

    assert binomial_error(data) == pytest.approx(math.sqrt(2 * 0.01 * 0.99 / 100))


def test_nothing_was_measured_without_a_round() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        Measured([], random.Random(1))


def test_a_histogram_is_made_of_its_buckets() -> None:
    assert Tally.of([(0.2, 0.15, 3), (0.4, 0.3, 1)]) == Tally((0.2, 0.4), (0.15, 0.3), (3, 1))

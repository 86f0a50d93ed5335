from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.estimates import Estimate, student_t

WAITS = st.lists(st.sampled_from([0.0, 0.0, 0.25, 1.0, 3.5]) | st.floats(0.01, 1e4), min_size=1, max_size=30)


def pooled(*replications: list[float]) -> Estimate:
    found = Estimate()
    for waits in replications:
        found.add(waits)
    return found


def independent(rng: random.Random, jobs: int, mean_s: float = 1.0) -> list[float]:
    return [rng.expovariate(1 / mean_s) for _ in range(jobs)]


@given(st.lists(WAITS, min_size=1, max_size=4), st.sampled_from([0.0, 0.1, 0.5, 0.9, 0.95, 0.99, 1.0]))
def test_a_quantile_is_the_wait_of_its_rank_among_all_jobs(replications: list[list[float]], q: float) -> None:
    ordered = sorted(wait for waits in replications for wait in waits)
    rank = max(1, math.ceil(round(q * len(ordered), 9)))
    assert pooled(*replications).quantile(q) == ordered[rank - 1]


@given(st.lists(WAITS, min_size=1, max_size=4), st.floats(0, 100))
def test_shares_and_the_mean_are_those_of_all_jobs(replications: list[list[float]], threshold_s: float) -> None:
    everything = [wait for waits in replications for wait in waits]
    found = pooled(*replications)
    assert found.jobs == len(everything)
    assert found.share_over(threshold_s) == sum(wait > threshold_s for wait in everything) / len(everything)
    assert found.p_wait == sum(wait > 0 for wait in everything) / len(everything)
    assert found.mean == pytest.approx(sum(everything) / len(everything))


@given(st.lists(WAITS, min_size=2, max_size=6), st.sampled_from([0.5, 0.9, 0.95]))
def test_a_band_surrounds_its_quantile_and_a_surer_one_is_wider(replications: list[list[float]], q: float) -> None:
    found = pooled(*replications)
    band, wider = found.band(q, 0.8), found.band(q, 0.95)
    if band is not None:
        assert band[0] <= found.quantile(q) <= band[1]
    if band is not None and wider is not None:
        assert wider[0] <= band[0]
        assert band[1] <= wider[1]
    mean_band = found.mean_band()
    if mean_band is not None:
        assert mean_band[0] <= found.mean <= mean_band[1]


@given(st.lists(WAITS, min_size=2, max_size=6), st.sampled_from([0.5, 0.9, 0.95]), st.floats(0, 1e4))
def test_a_verdict_never_contradicts_the_pooled_value(
    replications: list[list[float]], q: float, threshold_s: float
) -> None:
    found = pooled(*replications)
    assert found.decide(q, threshold_s) in {None, found.quantile(q) <= threshold_s}
    assert found.decide_mean(threshold_s) in {None, found.mean <= threshold_s}


def test_a_wait_of_less_than_a_microsecond_is_the_rounding_of_none() -> None:
    found = pooled([0.0, 1e-9, 5e-7, 2.0])
    assert (found.p_wait, found.quantile(0.75), found.mean) == (0.25, 0.0, 0.5)


def test_an_exact_estimate_has_no_band_and_always_a_verdict() -> None:
    found = Estimate()
    found.add([0.0] * 95 + [3.0] * 5, exact=True)
    assert found.is_exact
    assert (found.band(0.95), found.mean_band()) == (None, None)
    assert (found.quantile(0.95), found.quantile(0.96)) == (0.0, 3.0)
    assert (found.decide(0.95, 0.0), found.decide(0.96, 2.9), found.decide(0.96, 3.0)) == (True, False, True)
    assert (found.decide_mean(0.15), found.decide_mean(0.1)) == (True, False)


def test_one_random_replication_makes_an_estimate_random() -> None:
    found = Estimate()
    found.add([1.0], exact=True)
    found.add([1.0])
    assert not found.is_exact
    later = pooled([1.0])
    later.add([1.0], exact=True)
    assert not later.is_exact


def test_one_replication_tells_no_band_and_no_verdict() -> None:
    found = pooled(independent(random.Random(1), 10_000))
    assert found.replications == 1
    assert (found.band(0.95), found.mean_band(), found.decide(0.95, 99.0), found.decide_mean(99.0)) == (None,) * 4


def test_without_jobs_there_is_nothing_to_tell() -> None:
    found = pooled([], [])
    assert (found.jobs, found.replications) == (0, 2)
    assert (found.band(0.95), found.decide(0.95, 1.0), found.decide_mean(1.0)) == (None, None, None)
    for figure in (lambda: found.mean, lambda: found.p_wait, lambda: found.quantile(0.5)):
        with pytest.raises(ValueError, match="no jobs"):
            figure()


@pytest.mark.parametrize(("jobs", "verdict"), [(30, None), (300, None), (30_000, True)])
def test_no_long_wait_in_a_few_jobs_is_no_proof(jobs: int, verdict: bool | None) -> None:
    found = pooled(*[[0.0] * jobs] * 3)
    assert found.decide(0.95, 1.0) is verdict
    assert found.decide_mean(1.0) is verdict


def test_a_surer_quantile_takes_more_jobs_that_never_wait() -> None:
    found = pooled(*[[0.0] * 5000] * 3)
    assert (found.decide(0.95, 1.0), found.decide(0.99, 1.0)) == (True, None)


def test_waits_that_all_fall_on_one_replication_decide_nothing() -> None:
    quiet, busy = [0.0] * 10_000, [2.0] * 2000 + [0.0] * 8000
    assert pooled(quiet, quiet, busy).decide(0.95, 1.0) is None
    assert pooled(busy, busy, busy).decide(0.95, 1.0) is False
    assert pooled(quiet, quiet, quiet).decide(0.95, 1.0) is True


def test_independent_jobs_get_the_band_of_order_statistics() -> None:
    # With p (1 - p) / n the variance of the share and f(x) = p the density there: s = sqrt((1 - p) / (p n)).
    rng = random.Random(2)
    found = pooled(*(independent(rng, 2000) for _ in range(50)))
    low_s, high_s = found.band(0.95) or (math.nan, math.nan)
    expected_s = 2 * 1.96 * math.sqrt(0.95 / (0.05 * 100_000))
    assert low_s < -math.log(0.05) < high_s
    assert high_s - low_s == pytest.approx(expected_s, rel=0.3)
    low_s, high_s = found.mean_band() or (math.nan, math.nan)
    assert low_s < 1 < high_s
    assert high_s - low_s == pytest.approx(2 * 1.96 / math.sqrt(100_000), rel=0.3)


def test_replications_that_differ_widen_the_band_beyond_that_of_independent_jobs() -> None:
    rng = random.Random(3)
    alike = pooled(*(independent(rng, 2000) for _ in range(10)))
    differing = pooled(*(independent(rng, 2000, mean_s) for mean_s in (0.5, 1.5) * 5))
    widths = [band[1] - band[0] for band in (alike.band(0.9), differing.band(0.9)) if band is not None]
    assert widths[1] > 4 * widths[0]


def test_a_tail_is_known_no_better_than_what_lies_below_it() -> None:
    tail = [10 + 0.1 * number for number in range(50)]
    middling, calm, busy = ([0.1] * short + [1.0] * (950 - short) + tail for short in (550, 900, 200))
    assert pooled(middling, middling, middling, middling).band(0.95) is not None
    assert pooled(calm, busy, calm, busy).band(0.95) is None


def test_a_replication_counts_by_its_jobs() -> None:
    assert pooled([1.0] * 900, [0.0] * 100).share_over(0.5) == 0.9


@pytest.mark.parametrize(
    ("probability", "degrees", "value"),
    [
        # Tables of Student's t, as in Abramowitz & Stegun 26.10.
        (0.975, 1, 12.7062),
        (0.99, 1, 31.8205),
        (0.99, 2, 6.96456),
        (0.99, 3, 4.54070),
        (0.975, 4, 2.77645),
        (0.95, 9, 1.83311),
        (0.975, 30, 2.04227),
        (0.995, 120, 2.61742),
    ],
)
def test_students_t_is_that_of_the_tables(probability: float, degrees: int, value: float) -> None:
    assert student_t(probability, degrees) == pytest.approx(value, rel=2e-6)

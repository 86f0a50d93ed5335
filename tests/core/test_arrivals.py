from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.arrivals import Arrivals, Stage, digest, jobs_expected, make_schedule, parse_arrivals
from jobctl.errors import InvalidValue

RATES = st.floats(0, 200)
STAGES = st.lists(st.builds(Stage, st.floats(0.1, 20), RATES, RATES), min_size=1, max_size=4)


def test_constant_arrivals_are_evenly_spaced_from_half_a_gap() -> None:
    assert list(make_schedule(Arrivals.CONSTANT, [Stage.steady(4, 1)], seed=1)) == [0.125, 0.375, 0.625, 0.875]


def test_a_day_of_450000_jobs_has_156_constant_arrivals_in_thirty_seconds() -> None:
    # 450,000 / 86,400 x 30 = 156.25
    assert len(make_schedule(Arrivals.CONSTANT, [Stage.steady(450_000 / 86_400, 30)], seed=1)) == 156


@given(STAGES, st.sampled_from(Arrivals), st.integers(0, 2**32))
def test_a_schedule_is_sorted_and_stays_inside_the_run(stages: list[Stage], kind: Arrivals, seed: int) -> None:
    schedule = list(make_schedule(kind, stages, seed))
    assert schedule == sorted(schedule)
    assert all(0 <= offset_s <= math.fsum(stage.duration_s for stage in stages) for offset_s in schedule)


@given(STAGES, st.sampled_from(Arrivals), st.integers(0, 2**32))
def test_the_same_seed_gives_the_same_schedule_to_the_last_bit(stages: list[Stage], kind: Arrivals, seed: int) -> None:
    first, second = make_schedule(kind, stages, seed), make_schedule(kind, stages, seed)
    assert first.tobytes() == second.tobytes()
    assert digest(first) == digest(second)


def test_another_seed_gives_another_poisson_schedule() -> None:
    stages = [Stage.steady(50, 10)]
    assert digest(make_schedule(Arrivals.POISSON, stages, 1)) != digest(make_schedule(Arrivals.POISSON, stages, 2))


@given(STAGES)
def test_constant_arrivals_count_the_area_under_the_rate(stages: list[Stage]) -> None:
    assert len(make_schedule(Arrivals.CONSTANT, stages, 1)) == pytest.approx(jobs_expected(stages), abs=0.501)


@given(st.floats(0.1, 50), st.floats(0, 50), st.floats(0, 50), st.floats(0.001, 0.999))
def test_the_time_of_a_job_inverts_the_integral_of_the_rate(
    duration_s: float, start: float, end: float, share: float
) -> None:
    stage = Stage(duration_s, start, end)
    jobs = stage.jobs * share
    time_s = stage.time_of(jobs)
    slope = (end - start) / duration_s
    assert start * time_s + slope * time_s**2 / 2 == pytest.approx(jobs, rel=1e-6, abs=1e-9)


def test_poisson_gaps_pass_a_kolmogorov_smirnov_test_on_a_ramp() -> None:
    # By the time change, the integrals of the rate between arrivals are unit exponentials.
    stage = Stage(100, 10, 90)
    schedule = make_schedule(Arrivals.POISSON, [stage], seed=7)
    integrals = [10 * t + 0.8 * t**2 / 2 for t in schedule]
    gaps = sorted(b - a for a, b in zip([0.0, *integrals], integrals, strict=False))
    n = len(gaps)
    distance = max(max((i + 1) / n - (1 - math.exp(-g)), (1 - math.exp(-g)) - i / n) for i, g in enumerate(gaps))
    assert distance < 1.63 / math.sqrt(n)  # the 1 % critical value


@pytest.mark.parametrize("seed", range(5))
def test_poisson_gaps_at_a_steady_rate_are_exponential(seed: int) -> None:
    schedule = make_schedule(Arrivals.POISSON, [Stage.steady(450_000 / 86_400, 600)], seed)
    gaps = sorted(b - a for a, b in zip([0.0, *schedule], schedule, strict=False))
    n, rate = len(gaps), 450_000 / 86_400
    below = [-math.expm1(-rate * gap) for gap in gaps]
    distance = max(max((i + 1) / n - share, share - i / n) for i, share in enumerate(below))
    assert distance < 1.63 / math.sqrt(n)  # the 1 % critical value


def test_poisson_arrivals_follow_a_staged_ramp_in_each_stage() -> None:
    stages = [Stage.steady(10, 50), Stage(50, 10, 90), Stage.steady(90, 20)]
    schedule = make_schedule(Arrivals.POISSON, stages, seed=4)
    for begin_s, end_s, expected in [(0, 50, 500), (50, 100, 2500), (100, 120, 1800)]:
        count = sum(begin_s <= offset_s < end_s for offset_s in schedule)
        assert abs(count - expected) < 4 * math.sqrt(expected)


def test_poisson_counts_lie_where_a_poisson_count_lies() -> None:
    counts = [len(make_schedule(Arrivals.POISSON, [Stage.steady(20, 10)], seed)) for seed in range(200)]
    mean = sum(counts) / 200
    assert mean == pytest.approx(200, abs=4 * math.sqrt(200 / 200))
    variance = sum((count - mean) ** 2 for count in counts) / 199
    assert 0.65 < variance / mean < 1.45  # chi-square(199)/199 leaves this range less than once in 10,000 times


@pytest.mark.parametrize("fields", [(0, 1, 1), (-1, 1, 1), (math.nan, 1, 1), (1, -1, 1), (1, 1, math.inf)])
def test_a_stage_that_means_nothing_is_refused(fields: tuple[float, float, float]) -> None:
    with pytest.raises(InvalidValue):
        Stage(*fields)


def test_an_unknown_arrival_process_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidValue, match="poisson or constant"):
        parse_arrivals("bursty")
    assert parse_arrivals(" Poisson ") is Arrivals.POISSON


def test_a_schedule_does_not_touch_the_global_random_state() -> None:
    random.seed(3)
    expected = random.random()
    random.seed(3)
    make_schedule(Arrivals.POISSON, [Stage.steady(10, 1)], seed=9)
    assert random.random() == expected

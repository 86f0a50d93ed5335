from __future__ import annotations

import math
import random
from collections import Counter
from itertools import pairwise
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.arrivals import (
    CONSTANT,
    POISSON,
    ArrivalKind,
    Arrivals,
    Stage,
    digest,
    draw_instants,
    jobs_expected,
    make_schedule,
    parse_arrivals,
)
from jobctl.errors import InvalidValue
from support.arrivals import ARRIVALS, follows

RATES = st.floats(0, 200)
STAGES = st.lists(st.builds(Stage, st.floats(0.1, 20), RATES, RATES), min_size=1, max_size=4)


def test_constant_arrivals_are_evenly_spaced_from_half_a_gap() -> None:
    assert list(make_schedule(CONSTANT, [Stage.steady(4, 1)], seed=1)) == [0.125, 0.375, 0.625, 0.875]


def test_a_day_of_450000_jobs_has_156_constant_arrivals_in_thirty_seconds() -> None:
    # 450,000 / 86,400 x 30 = 156.25
    assert len(make_schedule(CONSTANT, [Stage.steady(450_000 / 86_400, 30)], seed=1)) == 156


@given(STAGES, st.sampled_from(ARRIVALS), st.integers(0, 2**32))
def test_a_schedule_is_sorted_and_stays_inside_the_run(stages: list[Stage], kind: Arrivals, seed: int) -> None:
    schedule = list(make_schedule(kind, stages, seed))
    assert schedule == sorted(schedule)
    assert all(0 <= offset_s <= math.fsum(stage.duration_s for stage in stages) for offset_s in schedule)


@given(STAGES, st.sampled_from(ARRIVALS), st.integers(0, 2**32))
def test_the_same_seed_gives_the_same_schedule_to_the_last_bit(stages: list[Stage], kind: Arrivals, seed: int) -> None:
    first, second = make_schedule(kind, stages, seed), make_schedule(kind, stages, seed)
    assert first.tobytes() == second.tobytes()
    assert digest(first) == digest(second)


def test_another_seed_gives_another_poisson_schedule() -> None:
    stages = [Stage.steady(50, 10)]
    assert digest(make_schedule(POISSON, stages, 1)) != digest(make_schedule(POISSON, stages, 2))


@given(STAGES)
def test_constant_arrivals_count_the_area_under_the_rate(stages: list[Stage]) -> None:
    assert len(make_schedule(CONSTANT, stages, 1)) == pytest.approx(jobs_expected(stages), abs=0.501)


@given(st.floats(0.1, 50), st.floats(0, 50), st.floats(0, 50), st.floats(0.001, 0.999))
def test_the_time_of_a_job_inverts_the_integral_of_the_rate(
    duration_s: float, start: float, end: float, share: float
) -> None:
    stage = Stage(duration_s, start, end)
    jobs = stage.jobs * share
    (time_s,) = stage.times_of([jobs])
    slope = (end - start) / duration_s
    assert start * time_s + slope * time_s**2 / 2 == pytest.approx(jobs, rel=1e-6, abs=1e-9)


def test_poisson_gaps_pass_a_kolmogorov_smirnov_test_on_a_ramp() -> None:
    # By the time change, the integrals of the rate between arrivals are unit exponentials.
    stage = Stage(100, 10, 90)
    schedule = make_schedule(POISSON, [stage], seed=7)
    integrals = [10 * t + 0.8 * t**2 / 2 for t in schedule]
    assert follows([b - a for a, b in pairwise([0.0, *integrals])], lambda gap: -math.expm1(-gap))


@pytest.mark.parametrize("seed", range(5))
def test_poisson_gaps_at_a_steady_rate_are_exponential(seed: int) -> None:
    schedule = make_schedule(POISSON, [Stage.steady(450_000 / 86_400, 600)], seed)
    rate = 450_000 / 86_400
    assert follows([b - a for a, b in pairwise([0.0, *schedule])], lambda gap: -math.expm1(-rate * gap))


def test_poisson_arrivals_follow_a_staged_ramp_in_each_stage() -> None:
    stages = [Stage.steady(10, 50), Stage(50, 10, 90), Stage.steady(90, 20)]
    schedule = make_schedule(POISSON, stages, seed=4)
    for begin_s, end_s, expected in [(0, 50, 500), (50, 100, 2500), (100, 120, 1800)]:
        count = sum(begin_s <= offset_s < end_s for offset_s in schedule)
        assert abs(count - expected) < 4 * math.sqrt(expected)


def test_poisson_counts_lie_where_a_poisson_count_lies() -> None:
    counts = [len(make_schedule(POISSON, [Stage.steady(20, 10)], seed)) for seed in range(200)]
    mean = sum(counts) / 200
    assert mean == pytest.approx(200, abs=4 * math.sqrt(200 / 200))
    variance = sum((count - mean) ** 2 for count in counts) / 199
    assert 0.65 < variance / mean < 1.45  # chi-square(199)/199 leaves this range less than once in 10,000 times


@pytest.mark.parametrize("fields", [(0, 1, 1), (-1, 1, 1), (math.nan, 1, 1), (1, -1, 1), (1, 1, math.inf)])
def test_a_stage_that_means_nothing_is_refused(fields: tuple[float, float, float]) -> None:
    with pytest.raises(InvalidValue):
        Stage(*fields)


@pytest.mark.parametrize(
    "text",
    [
        *("bursty", "poisson:1", "constant:0", ":4", ""),
        *("renewal", "renewal:", "renewal:0", "renewal:nan", "renewal:-1", "renewal:1e9"),
        *("batch", "batch:0", "batch:2.5", "batch:inf", "batch:10000000"),
    ],
)
def test_what_is_no_arrival_process_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        parse_arrivals(text)
    assert refusal.value.remedy


@pytest.mark.parametrize(
    ("text", "arrivals", "scv"),
    [
        (" Poisson ", POISSON, 1.0),
        ("constant", CONSTANT, 0.0),
        ("renewal:4", Arrivals(ArrivalKind.RENEWAL, 4.0), 4.0),
        ("renewal: 0.25", Arrivals(ArrivalKind.RENEWAL, 0.25), 0.25),
        ("batch:50", Arrivals(ArrivalKind.BATCH, 50), 50.0),
    ],
)
def test_an_arrival_process_is_read(text: str, arrivals: Arrivals, scv: float) -> None:
    assert parse_arrivals(text) == arrivals
    assert parse_arrivals(text).scv == scv


@given(
    st.sampled_from(ARRIVALS)
    | st.builds(Arrivals, st.just(ArrivalKind.RENEWAL), st.floats(1e-4, 1e4))
    | st.builds(Arrivals, st.just(ArrivalKind.BATCH), st.integers(1, 1_000_000))
)
def test_an_arrival_process_as_text_reads_back_as_itself(arrivals: Arrivals) -> None:
    assert parse_arrivals(str(arrivals)) == arrivals


@pytest.mark.parametrize(("arrivals", "fingerprint"), [(POISSON, "5918e217f2b3f55f"), (CONSTANT, "057e060537fba759")])
def test_the_schedule_of_a_seed_stays_what_it_was_when_first_released(arrivals: Arrivals, fingerprint: str) -> None:
    """Whoever compares two runs by their schedule's digest may have made one of them with an older jobctl."""
    stages = [Stage.steady(10, 50), Stage(50, 10, 90), Stage.steady(90, 20), Stage(5, 90, 0), Stage(5, 0, 3)]
    assert digest(make_schedule(arrivals, stages, 4)) == fingerprint


@pytest.mark.parametrize("arrivals", ARRIVALS, ids=str)
def test_a_longer_schedule_of_the_same_seed_begins_with_the_shorter_one(arrivals: Arrivals) -> None:
    short, long = (make_schedule(arrivals, [Stage.steady(40, length_s)], 3) for length_s in (100, 1000))
    assert list(long[: len(short)]) == list(short)
    assert len(long) > len(short)


@pytest.mark.parametrize("arrivals", ARRIVALS, ids=str)
def test_the_expected_number_of_jobs_is_the_volume(arrivals: Arrivals) -> None:
    # The equilibrium start makes this exact for renewals too. The variance of a count is scv times its mean, nearly.
    runs, volume = 400, 300.0
    counts = [len(make_schedule(arrivals, [Stage(20, 10, 20)], seed)) for seed in range(runs)]
    assert sum(counts) / runs == pytest.approx(volume, abs=4 * math.sqrt((arrivals.scv + 0.05) * volume / runs))


@pytest.mark.parametrize("scv", [0.25, 1.0, 4.0])
def test_gaps_of_renewal_arrivals_are_independent_gammas(scv: float) -> None:
    schedule = make_schedule(Arrivals(ArrivalKind.RENEWAL, scv), [Stage.steady(50, 400)], 3)
    gaps = [later - earlier for earlier, later in pairwise(schedule)]
    n, mean = len(gaps), fmean(gaps)
    assert mean == pytest.approx(1 / 50, rel=4 * math.sqrt(scv / n))
    assert fmean((gap / mean - 1) ** 2 for gap in gaps) == pytest.approx(scv, rel=0.15)
    correlation = fmean((a / mean - 1) * (b / mean - 1) for a, b in pairwise(gaps)) / scv
    assert abs(correlation) < 4 / math.sqrt(n)


def test_the_first_gap_of_renewal_arrivals_is_that_of_an_observer_who_comes_at_any_moment() -> None:
    # Its mean is (1 + scv) / 2 of a mean gap: 2.5 s here, not 1 s. Its variance is E[X³] / 3 - 2.5² = 45 / 3 - 6.25.
    firsts = [make_schedule(Arrivals(ArrivalKind.RENEWAL, 4.0), [Stage.steady(1, 200)], seed)[0] for seed in range(400)]
    assert fmean(firsts) == pytest.approx(2.5, abs=4 * math.sqrt(8.75 / 400))


def test_an_scv_of_1_is_poisson() -> None:
    schedule = make_schedule(Arrivals(ArrivalKind.RENEWAL, 1.0), [Stage.steady(50, 200)], 6)
    assert follows([b - a for a, b in pairwise([0.0, *schedule])], lambda gap: -math.expm1(-50 * gap))


def test_batches_come_whole_and_at_the_instants_of_a_poisson_process() -> None:
    schedule = make_schedule(Arrivals(ArrivalKind.BATCH, 50), [Stage.steady(1000, 200)], 4)
    sizes = Counter(schedule)
    assert set(sizes.values()) == {50}
    assert follows([b - a for a, b in pairwise([0.0, *sorted(sizes)])], lambda gap: -math.expm1(-20 * gap))


def test_batches_disperse_counts_by_their_size() -> None:
    counts = [len(make_schedule(Arrivals(ArrivalKind.BATCH, 10), [Stage.steady(20, 10)], seed)) for seed in range(300)]
    mean = fmean(counts)
    variance = sum((count - mean) ** 2 for count in counts) / 299
    assert (
        7 < variance / mean < 13.5
    )  # 10 x chi-square(299)/299, which leaves this range less than once in 10,000 times


def test_chance_is_an_argument() -> None:
    stages = [Stage.steady(50, 10)]
    assert draw_instants(POISSON, stages, random.Random("arrivals:7")) == list(make_schedule(POISSON, stages, 7))


def test_a_schedule_does_not_touch_the_global_random_state() -> None:
    random.seed(3)
    expected = random.random()
    random.seed(3)
    make_schedule(POISSON, [Stage.steady(10, 1)], seed=9)
    assert random.random() == expected

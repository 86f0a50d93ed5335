from __future__ import annotations

import math
from array import array
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.arrivals import CONSTANT, POISSON, Stage, digest, jobs_expected, make_schedule
from jobctl.core.profiles import diurnal_profile, shaped_profile
from jobctl.core.shapes import (
    BENCH_SHAPES,
    PLAN_SHAPES,
    ShapeKind,
    WantedShape,
    cut_replay,
    day_stages,
    make_stages,
    parse_peak_factor,
    parse_wanted_shape,
)
from jobctl.core.traces import Trace
from jobctl.core.units import SECONDS_PER_DAY
from jobctl.errors import InvalidValue
from support.arrivals import follows

LEVELS = st.floats(0.01, 1e4)
LENGTHS = st.floats(0.1, 1e5)
FACTORS = st.floats(1, 50)
SCALES = st.floats(1e-2, 1e5)
#: By the table in the module: the mean rate over the level.
MEANS = {ShapeKind.STEADY: 1.0, ShapeKind.SOAK: 1.0, ShapeKind.RAMP: 0.55, ShapeKind.STEPS: 0.6}
OFFICE = [(0.0, 1.0), (32_400.0, 1.0), (32_400.0, 6.0), (61_200.0, 6.0), (64_800.0, 1.0)]

STAGES = {
    "steady": make_stages(ShapeKind.STEADY, 40.0, 60.0),
    "ramp": make_stages(ShapeKind.RAMP, 80.0, 60.0),
    "steps": make_stages(ShapeKind.STEPS, 80.0, 60.0),
    "spike": make_stages(ShapeKind.SPIKE, 20.0, 60.0),
    "diurnal": day_stages(diurnal_profile(40.0, 3.0), 1440.0, 60.0),
    "file": day_stages(shaped_profile(OFFICE, 40.0, "office"), 1440.0, 60.0),
}


def length_s(stages: tuple[Stage, ...]) -> float:
    return math.fsum(stage.duration_s for stage in stages)


def rate_at(stages: tuple[Stage, ...], time_s: float) -> float:
    for stage in stages:
        if time_s < stage.duration_s:
            return stage.rate_at(time_s)
        time_s -= stage.duration_s
    return stages[-1].end_per_s


def jobs_before(stages: tuple[Stage, ...], time_s: float) -> float:
    """The integral of the rate."""
    jobs = 0.0
    for stage in stages:
        inside_s = min(time_s, stage.duration_s)
        jobs += stage.jobs_before(inside_s)
        time_s -= inside_s
    return jobs


@given(st.sampled_from(list(MEANS)), LEVELS, LENGTHS)
def test_the_mean_rate_of_a_shape_is_its_share_of_the_level(kind: ShapeKind, level: float, length: float) -> None:
    stages = make_stages(kind, level, length)

    assert length_s(stages) == pytest.approx(length)
    assert jobs_expected(stages) == pytest.approx(MEANS[kind] * level * length)


@given(LEVELS, LENGTHS, FACTORS)
def test_a_spike_adds_its_factor_for_a_sixth_of_the_time(level: float, length: float, factor: float) -> None:
    stages = make_stages(ShapeKind.SPIKE, level, length, factor)

    assert length_s(stages) == pytest.approx(length)
    assert jobs_expected(stages) == pytest.approx((1 + (factor - 1) / 6) * level * length)


def test_a_spike_is_ten_times_the_level_in_the_middle_unless_told() -> None:
    stages = make_stages(ShapeKind.SPIKE, 5.0, 60.0)

    assert [stage.start_per_s for stage in stages] == [5.0, 50.0, 5.0]
    assert stages[0].duration_s == pytest.approx(25.0)
    assert stages[1].duration_s == pytest.approx(10.0)


def test_a_ramp_begins_at_a_tenth_and_ends_at_the_level() -> None:
    assert make_stages(ShapeKind.RAMP, 50.0, 60.0) == (Stage(60.0, 5.0, 50.0),)


def test_steps_are_five_of_equal_length_and_height() -> None:
    stages = make_stages(ShapeKind.STEPS, 50.0, 60.0)

    assert stages == tuple(Stage.steady(rate, 12.0) for rate in (10.0, 20.0, 30.0, 40.0, 50.0))


def test_a_day_replays_in_five_minutes_with_its_peak_in_the_middle() -> None:
    mean = 450_000 / 86_400
    stages = day_stages(diurnal_profile(mean, 2.0), 288.0, 300.0)

    assert length_s(stages) == pytest.approx(300.0)
    assert jobs_expected(stages) == pytest.approx(mean * 300)  # 1562.5 jobs: the day's 450,000 over 288
    assert rate_at(stages, 0.0) == pytest.approx(0.0, abs=1e-6)  # a cosine of factor 2 has its trough at 0
    assert rate_at(stages, 150.0) == pytest.approx(2 * mean)
    assert rate_at(stages, 75.0) == pytest.approx(mean, rel=1e-3)  # 6:00, half way up


@given(SCALES, st.floats(1.0, 20.0), LEVELS)
def test_a_day_has_the_same_mean_and_peak_at_any_speed(scale: float, factor: float, mean: float) -> None:
    day_s = SECONDS_PER_DAY / scale
    stages = day_stages(diurnal_profile(mean, factor), scale, day_s)

    assert length_s(stages) == pytest.approx(day_s)
    assert jobs_expected(stages) == pytest.approx(mean * day_s)
    assert max(stage.end_per_s for stage in stages) == pytest.approx(factor * mean)


@given(SCALES, st.floats(0.01, 1.0))
def test_each_part_of_a_day_has_the_same_share_of_its_jobs_at_any_speed(scale: float, part: float) -> None:
    profile = shaped_profile(OFFICE, 3.0, "office")
    stages = day_stages(profile, scale, SECONDS_PER_DAY / scale)

    there = jobs_before(stages, part * SECONDS_PER_DAY / scale) * scale
    assert there == pytest.approx(profile.jobs_between(0.0, part * SECONDS_PER_DAY), rel=1e-6)


def test_less_than_a_day_is_its_beginning_and_more_begins_again() -> None:
    profile = diurnal_profile(10.0, 2.0)
    whole = day_stages(profile, 864.0, 100.0)

    half, twice = day_stages(profile, 864.0, 50.0), day_stages(profile, 864.0, 200.0)
    assert length_s(half) == pytest.approx(50.0)
    assert all(rate_at(half, at_s) == pytest.approx(rate_at(whole, at_s)) for at_s in (5.0, 25.0, 45.0))
    assert jobs_expected(twice) == pytest.approx(2 * jobs_expected(whole))
    assert rate_at(twice, 125.0) == pytest.approx(rate_at(whole, 25.0))


@pytest.mark.parametrize("scale", [1e-320, 1e320, math.inf])
def test_a_day_that_cannot_be_played_is_refused(scale: float) -> None:
    with pytest.raises(InvalidValue, match="times as fast"):
        day_stages(diurnal_profile(1.0, 2.0), scale, 1.0)


@pytest.mark.parametrize("shape", STAGES)
def test_poisson_gaps_of_every_shape_are_exponential_in_its_own_time(shape: str) -> None:
    stages = STAGES[shape]
    operational = [jobs_before(stages, offset_s) for offset_s in make_schedule(POISSON, stages, 1)]

    gaps = [later - earlier for earlier, later in pairwise(operational)]
    assert len(gaps) > 1000
    assert follows(gaps, lambda gap: 1 - math.exp(-gap))


@pytest.mark.parametrize("shape", STAGES)
def test_every_shape_fires_the_jobs_it_means(shape: str) -> None:
    stages = STAGES[shape]

    assert len(make_schedule(CONSTANT, stages, 1)) == round(jobs_expected(stages))
    # A Poisson count of mean n is farther than 4 sqrt(n) from it six times in 100,000.
    drawn, meant = len(make_schedule(POISSON, stages, 1)), jobs_expected(stages)
    assert abs(drawn - meant) < 4 * math.sqrt(meant)


@given(st.sampled_from(sorted(STAGES)), st.integers(0, 2**31))
def test_a_seed_reproduces_the_schedule_of_every_shape(shape: str, seed: int) -> None:
    assert digest(make_schedule(POISSON, STAGES[shape], seed)) == digest(make_schedule(POISSON, STAGES[shape], seed))


TRACE = Trace("t.csv", array("d", [0.0, 1.0, 1.5, 4.0, 6.0]), array("d", [0.1, 0.2, 0.3, 0.4, 0.5]))


def test_a_replay_has_the_very_instants_and_service_times() -> None:
    replay = cut_replay(TRACE, None)

    assert replay.instants == (0.0, 1.0, 1.5, 4.0, 6.0)
    assert replay.services_s == (0.1, 0.2, 0.3, 0.4, 0.5)
    assert length_s(replay.stages) == pytest.approx(7.5)  # to the last arrival and a mean gap more
    assert jobs_expected(replay.stages) == pytest.approx(5)


def test_the_beginning_of_a_replay_ends_before_its_duration() -> None:
    replay = cut_replay(TRACE, 4.0)

    assert replay.instants == (0.0, 1.0, 1.5)
    assert replay.services_s == (0.1, 0.2, 0.3)
    assert length_s(replay.stages) == pytest.approx(4.0)


def test_time_scales_the_gaps_of_a_replay_and_not_its_service_times() -> None:
    replay = cut_replay(TRACE.scaled(2.0), None)

    assert replay.instants == (0.0, 0.5, 0.75, 2.0, 3.0)
    assert replay.services_s == (0.1, 0.2, 0.3, 0.4, 0.5)


def test_nobody_plays_more_than_was_recorded() -> None:
    with pytest.raises(InvalidValue, match=r"lasts 7\.5 s"):
        cut_replay(TRACE, 8.0)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("steady", WantedShape(ShapeKind.STEADY)),
        (" Diurnal ", WantedShape(ShapeKind.DIURNAL)),
        ("day.csv", WantedShape(ShapeKind.FILE, "day.csv")),
        ("replay:jobs.csv", WantedShape(ShapeKind.REPLAY, "jobs.csv")),
        ("replay: jobs.csv", WantedShape(ShapeKind.REPLAY, "jobs.csv")),
        ("C:day.csv", WantedShape(ShapeKind.FILE, "C:day.csv")),
    ],
)
def test_a_shape_is_a_word_a_file_or_a_replay_everywhere(text: str, wanted: WantedShape) -> None:
    assert parse_wanted_shape(text, PLAN_SHAPES) == wanted
    assert parse_wanted_shape(text, BENCH_SHAPES) == wanted


@pytest.mark.parametrize("kind", [ShapeKind.RAMP, ShapeKind.STEPS, ShapeKind.SPIKE, ShapeKind.SOAK])
def test_shapes_that_are_no_day_are_words_of_a_load_and_files_to_a_plan(kind: ShapeKind) -> None:
    assert parse_wanted_shape(kind.value, BENCH_SHAPES) == WantedShape(kind)
    assert parse_wanted_shape(kind.value) == WantedShape(ShapeKind.FILE, kind.value)


@given(st.text())
def test_any_text_is_a_shape_or_refused_and_a_shape_reads_back(text: str) -> None:
    try:
        wanted = parse_wanted_shape(text, BENCH_SHAPES)
    except InvalidValue:
        return
    assert parse_wanted_shape(str(wanted), BENCH_SHAPES) == wanted


@pytest.mark.parametrize("text", ["", "  ", "replay:", "replay:  "])
def test_what_names_no_shape_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="names no shape"):
        parse_wanted_shape(text, BENCH_SHAPES)


@pytest.mark.parametrize("text", ["0.9", "0", "-2", "nan", "inf", "tall"])
def test_a_peak_is_no_lower_than_what_it_is_the_peak_of(text: str) -> None:
    with pytest.raises(InvalidValue):
        parse_peak_factor(text)

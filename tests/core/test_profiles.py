from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.arrivals import CONSTANT, POISSON, Arrivals, Stage, make_schedule, parse_arrivals
from jobctl.core.profiles import (
    Profile,
    Spike,
    diurnal_profile,
    parse_shape,
    parse_spike,
    parse_time,
    shaped_profile,
    steady_profile,
)
from jobctl.errors import InvalidValue
from support.arrivals import ARRIVALS

DAY_S = 86_400.0
HOUR_S = 3_600.0

RATES = st.floats(0.001, 20)
PROFILES = st.builds(
    Profile,
    st.just("some day"),
    st.lists(st.builds(Stage, st.floats(1, 500), RATES, RATES), min_size=1, max_size=6).map(tuple),
    st.lists(st.builds(Spike, st.integers(1, 50), st.floats(0, 0.99)), max_size=3).map(tuple),
)
TIMES = st.floats(-5_000, 5_000)


def area(profile: Profile, start_s: float, end_s: float, steps: int = 20_000) -> float:
    """The integral of the rate, by the midpoint rule."""
    step_s = (end_s - start_s) / steps
    return math.fsum(profile.rate_at(start_s + (nth + 0.5) * step_s) for nth in range(steps)) * step_s


# -------------------------------------------------------------------------------------------------------------- a day


def test_a_steady_day_is_its_rate_times_its_length() -> None:
    day = steady_profile(2.5)
    assert (day.name, day.period_s, day.jobs, day.mean_per_s, day.peak_per_s) == ("steady", DAY_S, 216_000, 2.5, 2.5)
    assert day.is_steady


@given(PROFILES, TIMES, st.floats(0, 3000))
def test_jobs_between_two_times_are_the_area_under_the_rate_and_the_spikes(
    profile: Profile, start_s: float, length_s: float
) -> None:
    plain = Profile("without spikes", profile.stages)
    assert plain.jobs_between(start_s, start_s + length_s) == pytest.approx(
        area(plain, start_s, start_s + length_s, 2000), rel=0.02, abs=0.5
    )
    spikes = profile.jobs_between(start_s, start_s + length_s) - plain.jobs_between(start_s, start_s + length_s)
    assert spikes == pytest.approx(round(spikes), abs=1e-6)


@given(PROFILES, TIMES)
def test_a_period_anywhere_holds_the_jobs_of_a_period(profile: Profile, start_s: float) -> None:
    assert profile.jobs_between(start_s, start_s + profile.period_s) == pytest.approx(
        profile.jobs, abs=sum(spike.jobs for spike in profile.spikes) + 1e-6
    )
    assert profile.mean_per_s * profile.period_s == pytest.approx(profile.jobs)


@given(PROFILES, TIMES, st.floats(0.1, 2000))
def test_the_stages_between_two_times_hold_the_jobs_between_them(
    profile: Profile, start_s: float, length_s: float
) -> None:
    plain = Profile("without spikes", profile.stages)
    stages = plain.between(start_s, start_s + length_s)
    assert math.fsum(stage.duration_s for stage in stages) == pytest.approx(length_s)
    assert math.fsum(stage.jobs for stage in stages) == pytest.approx(
        plain.jobs_between(start_s, start_s + length_s), rel=1e-6, abs=1e-6
    )


@given(PROFILES, st.floats(1, 800))
def test_no_stretch_holds_more_jobs_than_the_busiest(profile: Profile, length_s: float) -> None:
    start_s = profile.busiest(length_s)
    most = profile.jobs_between(start_s, start_s + min(length_s, profile.period_s))
    for nth in range(200):
        other_s = profile.period_s * nth / 200
        assert profile.jobs_between(other_s, other_s + min(length_s, profile.period_s)) <= most * (1 + 1e-6) + 1e-6


@given(PROFILES, st.floats(0.3, 3))
def test_the_busiest_stretch_of_a_scaled_profile_is_found_anew_where_rounded_spikes_move_it(
    profile: Profile, factor: float
) -> None:
    length_s = profile.period_s / 3
    profile.busiest(length_s)
    scaled = profile.scaled(factor)
    fresh = Profile(scaled.name, scaled.stages, scaled.spikes)
    held = [each.jobs_between(each.busiest(length_s), each.busiest(length_s) + length_s) for each in (scaled, fresh)]
    assert held[0] == pytest.approx(held[1])


def test_the_busiest_stretch_may_begin_between_the_ends_of_stages() -> None:
    # Up to 10 over 300 s, down to 0 over 100 s. A stretch of 100 s begins where both its ends see the same rate:
    # 10 - t/30 before the peak and 10 - t'/10 after, t + t' = 100, so t = 75.
    profile = Profile("saw", (Stage(300, 0, 10), Stage(100, 10, 0)))
    assert profile.busiest(100) == pytest.approx(225)


def test_the_busiest_stretch_may_cross_midnight() -> None:
    night = shaped_profile([(0, 5), (HOUR_S, 1), (23 * HOUR_S, 1)], 1.0, "night")
    assert night.busiest(2 * HOUR_S) == pytest.approx(23 * HOUR_S)


def test_of_equally_busy_stretches_the_first_counts() -> None:
    assert steady_profile(3.0).busiest(HOUR_S) == 0
    twice = shaped_profile([(6 * HOUR_S, 0), (7 * HOUR_S, 3), (8 * HOUR_S, 0), (18 * HOUR_S, 0), (19 * HOUR_S, 3), (20 * HOUR_S, 0)], 1.0, "two")  # fmt: skip  # noqa: E501
    assert twice.busiest(HOUR_S) == pytest.approx(6.5 * HOUR_S)


def test_a_stretch_as_long_as_the_period_begins_with_it() -> None:
    assert diurnal_profile(1.0, 2.0).busiest(DAY_S) == 0


def test_the_busiest_hour_holds_the_spike_even_at_its_very_end() -> None:
    falling = Profile("falling", (Stage(DAY_S, 10, 0),), (Spike(100_000, 2 * HOUR_S),))
    start_s = falling.busiest(HOUR_S)
    assert start_s == pytest.approx(HOUR_S)
    assert falling.jobs_between(start_s, start_s + HOUR_S) > 100_000


def test_a_spike_counts_from_its_own_instant_on() -> None:
    day = steady_profile(1.0).with_spikes([Spike(500, 100.0)])
    assert day.jobs_between(0, 100) == pytest.approx(100)
    assert day.jobs_between(100, 101) == pytest.approx(501)
    assert day.jobs_between(100 - DAY_S, 101 - DAY_S) == pytest.approx(501)
    assert day.jobs == 86_900
    assert day.peak_per_s == 1.0
    assert not day.is_steady


@given(PROFILES, st.floats(0.01, 100))
def test_a_scaled_profile_has_so_many_times_the_jobs_in_the_same_shape(profile: Profile, factor: float) -> None:
    scaled = profile.scaled(factor)
    assert scaled.peak_per_s == pytest.approx(profile.peak_per_s * factor)
    assert scaled.period_s == profile.period_s
    for before, after in zip(profile.spikes, scaled.spikes, strict=True):
        assert after == Spike(max(1, round(before.jobs * factor)), before.at_s)


@pytest.mark.parametrize("factor", [0.0, -1.0, math.nan, math.inf])
def test_a_volume_is_scaled_by_a_number_above_zero(factor: float) -> None:
    with pytest.raises(InvalidValue):
        steady_profile(1.0).scaled(factor)


def test_a_day_without_a_job_is_refused() -> None:
    with pytest.raises(InvalidValue, match="sums to no job"):
        Profile("nothing", (Stage(DAY_S, 0, 0),))


# ------------------------------------------------------------------------------------------------------------ diurnal


@pytest.mark.parametrize("factor", [1, 1.5, 2, 2.0001, 2.5, 3, 6, 12, 24, 60, 500])
def test_a_diurnal_day_has_its_volume_and_its_peak_at_noon(factor: float) -> None:
    day = diurnal_profile(5.2, factor)
    assert day.mean_per_s == pytest.approx(5.2, rel=1e-12)
    assert day.peak_per_s == pytest.approx(5.2 * factor, rel=1e-9)
    assert day.rate_at(DAY_S / 2) == pytest.approx(5.2 * factor, rel=1e-9)
    assert day.rate_at(0) == min(stage.start_per_s for stage in day.stages)
    if factor > 1:
        assert day.busiest(HOUR_S) + HOUR_S / 2 == pytest.approx(DAY_S / 2, abs=HOUR_S / 2)


@given(st.floats(1, 2), st.floats(0, DAY_S))
def test_up_to_a_factor_of_2_the_day_is_a_cosine(factor: float, time_s: float) -> None:
    expected = 1 - (factor - 1) * math.cos(math.tau * time_s / DAY_S)
    assert diurnal_profile(1.0, factor).rate_at(time_s) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("k", "bessel"),
    # I0 by Abramowitz & Stegun, table 9.8: exp(-x) I0(x) = 0.4657596077 at 1, 0.1835408126 at 5, 0.1278333372 at 10.
    [(1.0, 0.4657596077), (5.0, 0.1835408126), (10.0, 0.1278333372)],
)
def test_beyond_it_is_von_mises_bell(k: float, bessel: float) -> None:
    factor = 1 / bessel
    day = diurnal_profile(1.0, factor)
    for hour in range(24):
        angle = math.tau * (hour - 12) / 24
        assert day.rate_at(hour * HOUR_S) == pytest.approx(factor * math.exp(k * (math.cos(angle) - 1)), rel=1e-6)


@pytest.mark.parametrize("factor", [12.5, 40, 1000])
def test_a_sharp_peak_takes_few_lines_and_is_still_von_mises_bell(factor: float) -> None:
    day = diurnal_profile(1.0, factor)
    deviation_s = DAY_S / factor / math.sqrt(math.tau)  # for large k exp(k) / I0(k) is about sqrt(2 pi k)
    for away in (0.5, 1.0, 2.0):
        jobs = day.jobs_between(DAY_S / 2 - away * deviation_s, DAY_S / 2 + away * deviation_s)
        assert jobs / DAY_S == pytest.approx(math.erf(away / math.sqrt(2)), rel=0.02)
    assert day.peak_per_s == pytest.approx(factor, rel=1e-9)
    assert len(day.stages) < 500


def test_a_peak_factor_of_1_is_steady() -> None:
    assert diurnal_profile(3.0, 1.0).is_steady
    assert not diurnal_profile(3.0, 1.01).is_steady


@pytest.mark.parametrize("factor", [0.99, 0, -2, math.nan, math.inf, 1e6])
def test_a_peak_below_the_mean_or_beyond_all_bounds_is_refused(factor: float) -> None:
    with pytest.raises(InvalidValue, match="peak factor"):
        diurnal_profile(1.0, factor)


# -------------------------------------------------------------------------------------------------------------- files

POINTS = st.dictionaries(st.integers(0, 86_399), st.floats(0.01, 100), min_size=1, max_size=8)


@given(POINTS, st.floats(0.01, 100))
def test_a_shape_is_scaled_to_the_volume_and_goes_through_its_points(
    points: dict[int, float], rate_per_s: float
) -> None:
    day = shaped_profile(sorted(points.items()), rate_per_s, "day.csv")
    assert day.period_s == pytest.approx(DAY_S)
    assert day.mean_per_s == pytest.approx(rate_per_s)
    factors = [day.rate_at(time_s) / rate for time_s, rate in points.items()]
    assert factors == pytest.approx([factors[0]] * len(factors))


def test_between_two_points_the_rate_runs_in_a_straight_line_also_across_midnight() -> None:
    day = shaped_profile([(6 * HOUR_S, 1), (18 * HOUR_S, 3)], 2.0, "day.csv")
    assert [day.rate_at(hour * HOUR_S) for hour in (6, 12, 18, 21, 0, 3)] == pytest.approx([1, 2, 3, 2.5, 2, 1.5])


def test_two_points_at_one_time_are_a_step() -> None:
    day = shaped_profile([(0, 1), (12 * HOUR_S, 1), (12 * HOUR_S, 3), (24 * HOUR_S, 3)], 2.0, "day.csv")
    assert day.rate_at(12 * HOUR_S - 1) == pytest.approx(1)
    assert day.rate_at(12 * HOUR_S) == pytest.approx(3)
    assert day.rate_at(DAY_S) == pytest.approx(1)


def test_one_point_is_a_steady_day() -> None:
    assert shaped_profile([(HOUR_S, 7)], 2.0, "day.csv").is_steady


@pytest.mark.parametrize(("points", "rate_per_s"), [([(0.0, 0.0)], 1.0), ([(0.0, 1.0)], math.nan), ([(0.0, 1.0)], 0.0)])
def test_a_shape_of_nothing_is_refused(points: list[tuple[float, float]], rate_per_s: float) -> None:
    with pytest.raises(InvalidValue):
        shaped_profile(points, rate_per_s, "day.csv")


def test_a_shape_is_read_with_or_without_a_header() -> None:
    lines = ["# from the dashboard", "00:00, 1", "", "08:30:30,5\r", "64800,2.5"]
    points = [(0.0, 1.0), (8.5 * HOUR_S + 30, 5.0), (18 * HOUR_S, 2.5)]
    assert parse_shape(lines, "day.csv") == points
    assert parse_shape(["time,rate", *lines], "day.csv") == points


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([], "day.csv holds no point"),
        (["time,rate"], "holds no point"),
        (["00:00,0", "12:00,0"], "sums to zero"),
        (["00:00,1", "25:00,1"], "line 2: '25:00' is beyond the end of the day"),
        (["0,1", "86401,1"], "line 2"),
        (["00:00,-1"], "line 1: must not be negative"),
        (["00:00,nan"], "line 1"),
        (["nan,1"], "line 1: 'nan' is no time"),
        (["time,rate", "of the day,jobs"], "line 2"),
        (["12:00,1", "", "11:00,1"], "line 3: the time is before"),
        (["00:00,1,2"], "line 1: 3 values"),
        (["00:00"], "line 1: 1 values"),
        (["08:61,1"], "line 1: '08:61' is no time"),
        (["arrival_s,service_s", "0,1", "5,2"], "day.csv has arrivals by its header"),
    ],
)
def test_what_is_no_shape_is_refused_by_its_line(lines: list[str], problem: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        parse_shape(lines, "day.csv")
    assert problem in refusal.value.problem
    assert refusal.value.remedy


@given(st.lists(st.text(max_size=12) | st.from_regex(r"[0-9:]{1,8},[0-9.eE+-]{1,6}", fullmatch=True), max_size=5))
def test_any_file_gives_a_day_or_a_refusal(lines: list[str]) -> None:
    try:
        points = parse_shape(lines, "day.csv")
    except InvalidValue:
        return
    assert shaped_profile(points, 1.0, "day.csv").mean_per_s == pytest.approx(1.0)


# ------------------------------------------------------------------------------------------------------------- spikes


def test_a_spike_is_read() -> None:
    assert parse_spike("5000@14:30") == Spike(5000, 14.5 * HOUR_S)
    assert parse_spike(" 10 @ 01:00:05") == Spike(10, HOUR_S + 5)


@pytest.mark.parametrize(
    "text", ["", "5000", "@14:30", "5000@", "0@12:00", "-5@12:00", "1.5@12:00", "5@24:00", "5@nan", "5@14", "5@14.5"]
)
def test_what_is_no_spike_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(InvalidValue, match="give JOBS@HH:MM"):
        parse_spike(text)


def test_a_spike_after_the_end_of_the_period_is_refused() -> None:
    with pytest.raises(InvalidValue, match="beyond the end"):
        steady_profile(1.0, period_s=600).with_spikes([Spike(5, 600)])


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_a_time_of_the_day_is_read_in_each_form(hours: int, minutes: int, seconds: int) -> None:
    time_s = hours * 3600 + minutes * 60 + seconds
    assert parse_time(f"{hours:02}:{minutes:02}:{seconds:02}") == parse_time(str(time_s)) == time_s


# ----------------------------------------------------------------------------------------------------------- instants


@pytest.mark.parametrize("arrivals", ARRIVALS, ids=str)
@given(profile=PROFILES, start_s=TIMES, length_s=st.floats(0.1, 1000), seed=st.integers(0, 99))
def test_instants_ascend_within_their_window(
    arrivals: Arrivals, profile: Profile, start_s: float, length_s: float, seed: int
) -> None:
    instants = profile.instants(arrivals, start_s, start_s + length_s, random.Random(seed))
    assert instants == sorted(instants)
    assert all(start_s - 1e-6 <= instant_s <= start_s + length_s + 1e-6 for instant_s in instants)


def test_instants_that_are_nearly_one_ascend_as_well() -> None:
    profile = Profile("rising", (Stage(355.2707201812358, 10.079065267455816, 10.944477833367726),))
    renewal = parse_arrivals("renewal:64")  # most gaps are next to nothing
    draws = [profile.instants(renewal, 0, 355, random.Random(seed)) for seed in range(20)]
    assert all(instants == sorted(instants) for instants in draws)


@pytest.mark.parametrize("arrivals", [*map(parse_arrivals, ("poisson", "renewal:4", "batch:10"))], ids=str)
def test_instants_follow_the_rate_hour_by_hour(arrivals: Arrivals) -> None:
    day = diurnal_profile(2.0, 3.0)
    instants = day.instants(arrivals, 0, DAY_S, random.Random(8))
    for hour in range(24):
        start_s = hour * HOUR_S
        expected = day.jobs_between(start_s, start_s + HOUR_S)
        count = sum(start_s <= instant_s < start_s + HOUR_S for instant_s in instants)
        assert count == pytest.approx(expected, abs=4 * math.sqrt((arrivals.scv + 1) * expected) + 3 * arrivals.scv)


def test_a_spike_arrives_all_at_once_each_period() -> None:
    day = Profile("two minutes", (Stage.steady(0.5, 120),), (Spike(30, 60.0),))
    instants = day.instants(POISSON, -60, 200, random.Random(1))
    assert [instants.count(at_s) for at_s in (-60.0, 60.0, 180.0, 200.0)] == [30, 30, 30, 0]
    assert instants == sorted(instants)


def test_constant_instants_leave_nothing_to_chance() -> None:
    day = diurnal_profile(2.0, 2.5)
    first, second = (day.instants(CONSTANT, 1000, 50_000, random.Random(seed)) for seed in (1, 2))
    assert first == second
    assert len(first) == pytest.approx(day.jobs_between(1000, 50_000), abs=0.501)


def test_instants_of_a_whole_period_are_a_schedule_of_its_stages() -> None:
    day = diurnal_profile(0.5, 4.0)
    assert day.instants(POISSON, 0, DAY_S, random.Random("arrivals:3")) == list(make_schedule(POISSON, day.stages, 3))

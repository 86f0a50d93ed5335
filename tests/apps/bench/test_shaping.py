from __future__ import annotations

import math
from typing import Any

import pytest

from jobctl.apps.bench.shaping import ShapedLoad, WantedLoad, shape_load
from jobctl.core.arrivals import POISSON, Stage, jobs_expected
from jobctl.core.shapes import ShapeKind, WantedShape
from jobctl.errors import InvalidOption

DAY = ["time,rate", "00:00,1", "12:00,3"]
JOBS = ["arrival_s,service_s,tokens", "0,0.5,10", "1,0.25,20", "4,1,30"]


def shaped(kind: str, lines: list[str] | None = None, **wanted: Any) -> ShapedLoad:
    shape = WantedShape(ShapeKind(kind), "f.csv" if kind in {"file", "replay"} else "")
    return shape_load(WantedLoad(shape, **wanted), lines or [])


def length_s(load: ShapedLoad) -> float:
    return math.fsum(stage.duration_s for stage in load.stages)


def test_a_load_is_steady_at_450k_a_day_for_half_a_minute_unless_told() -> None:
    assert shape_load(WantedLoad()) == ShapedLoad((Stage.steady(450_000 / 86_400, 30.0),))


@pytest.mark.parametrize(
    ("kind", "seconds"), [("steady", 30), ("ramp", 30), ("steps", 30), ("spike", 30), ("soak", 1800), ("diurnal", 300)]
)
def test_each_shape_has_its_length_unless_told(kind: str, seconds: float) -> None:
    assert length_s(shaped(kind)) == pytest.approx(seconds)
    assert length_s(shaped(kind, duration_s=60.0)) == pytest.approx(60)


@pytest.mark.parametrize(("kind", "lines"), [("diurnal", []), ("file", DAY)])
def test_a_day_fits_its_duration_or_its_speed(kind: str, lines: list[str]) -> None:
    fits, fast = shaped(kind, lines, rate_per_s=10.0, duration_s=300.0), shaped(kind, lines, time_scale=288.0)

    assert fits.time_scale == fast.time_scale == pytest.approx(288)
    assert length_s(fits) == pytest.approx(length_s(fast)) == pytest.approx(300)
    assert jobs_expected(fits.stages) == pytest.approx(3000)  # the mean rate stays what was asked


def test_a_day_has_twice_its_mean_at_its_peak_unless_told() -> None:
    for told, factor in ((None, 2.0), (4.0, 4.0)):
        load = shaped("diurnal", rate_per_s=10.0, peak_factor=told)
        assert max(stage.end_per_s for stage in load.stages) == pytest.approx(10 * factor)


def test_a_replay_is_as_it_was_recorded() -> None:
    load = shaped("replay", JOBS)

    assert load.instants == (0.0, 1.0, 4.0)
    assert load.services_s == (0.5, 0.25, 1.0)
    assert load.time_scale is None


def test_a_replay_runs_faster_by_a_time_scale_or_by_a_volume() -> None:
    # three jobs, the last gap is taken to be the mean one: 6 s, 0.5 jobs/s
    by_scale, by_rate = shaped("replay", JOBS, time_scale=4.0), shaped("replay", JOBS, rate_per_s=2.0)

    assert by_scale.instants == by_rate.instants == (0.0, 0.25, 1.0)
    assert by_scale.services_s == by_rate.services_s == (0.5, 0.25, 1.0)
    assert by_rate.time_scale == pytest.approx(4)


def test_a_rule_makes_service_times_of_other_columns() -> None:
    assert shaped("replay", JOBS, service_rule="0.1 * tokens").services_s == pytest.approx((1.0, 2.0, 3.0))


def test_how_a_replay_varies_is_measured_from_its_gaps() -> None:
    even = ["arrival_s", *(str(second) for second in range(200))]
    bursts = ["arrival_s", *(f"{10 * burst + job / 1000}" for burst in range(50) for job in range(10))]

    assert shaped("steady").arrivals is None
    assert shaped("replay", even).arrivals is not None
    assert str(shaped("replay", even).arrivals) == "constant"
    varied = shaped("replay", bursts).arrivals
    assert varied is not None
    assert varied.scv > POISSON.scv


@pytest.mark.parametrize(
    ("kind", "lines", "wanted", "option"),
    [
        ("steady", [], {"time_scale": 2.0}, "--time-scale"),
        ("ramp", [], {"time_scale": 2.0}, "--time-scale"),
        ("steady", [], {"peak_factor": 2.0}, "--peak-factor"),
        ("file", DAY, {"peak_factor": 2.0}, "--peak-factor"),
        ("replay", JOBS, {"peak_factor": 2.0}, "--peak-factor"),
        ("steady", [], {"service_rule": "tokens"}, "--service-rule"),
        ("diurnal", [], {"peak_factor": 1e9}, "--peak-factor"),
        ("replay", JOBS, {"rate_per_s": 1.0, "time_scale": 2.0}, "--time-scale"),
        ("replay", JOBS, {"duration_s": 7.0}, "--duration"),
        ("replay", JOBS, {"service_rule": "colour"}, "--service-rule"),
        ("replay", [], {}, "--shape"),
        ("replay", DAY[:2], {}, "--shape"),
        ("file", JOBS, {}, "--shape"),
        ("file", [], {}, "--shape"),
        ("file", ["00:00,0"], {}, "--shape"),
    ],
)
def test_what_a_shape_has_no_use_for_is_refused_by_its_flag(
    kind: str, lines: list[str], wanted: dict[str, Any], option: str
) -> None:
    with pytest.raises(InvalidOption) as caught:
        shaped(kind, lines, **wanted)
    assert caught.value.option == option

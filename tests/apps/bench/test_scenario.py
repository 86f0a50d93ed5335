from __future__ import annotations

import math
from collections import defaultdict
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobctl.adapters.files import scenario_names
from jobctl.apps.bench.configure import configure, mock_arguments
from jobctl.apps.bench.request import BenchRequest
from jobctl.apps.bench.scenario import KEYS, parse_scenario, stretched
from jobctl.core.shapes import ShapeKind
from jobctl.errors import InvalidOption
from jobctl.settings import load
from jobctl.wiring.bench import prepare_bench

STAGE = {"duration": "10s", "rate": 10}
SHAPE = {"kind": "diurnal", "per_day": 864_000, "duration": "5m", "peak_factor": 3, "time_scale": 288}
SLEEP = {"type": "sleep", "share": 0.5}
NOOP = {"type": "noop", "share": 0.5}


def test_a_scenario_may_have_a_shape_in_place_of_stages() -> None:
    shape = parse_scenario("mine", {"shape": SHAPE}).shape

    assert shape is not None
    assert shape.shape.kind is ShapeKind.DIURNAL
    assert (shape.rate_per_s, shape.duration_s, shape.peak_factor, shape.time_scale) == (10.0, 300.0, 3.0, 288.0)


def test_a_shape_is_stretched_by_its_duration() -> None:
    scenario = parse_scenario("mine", {"shape": {"kind": "ramp", "rate": 10}})

    config = configure(BenchRequest(duration_s=7.0), scenario, None, 25, "run")
    assert stretched(scenario, 7.0).shape == config_shape(scenario, 7.0)
    assert config.spec.duration_s == pytest.approx(7.0)
    assert str(config.shape) == "ramp"


def config_shape(scenario: Any, duration_s: float) -> Any:
    return parse_scenario("mine", {"shape": {"kind": "ramp", "rate": 10, "duration": f"{duration_s}s"}}).shape


def test_what_a_shape_has_no_use_for_is_refused_by_the_scenarios_own_key() -> None:
    scenario = parse_scenario("mine", {"shape": {"kind": "steady", "time_scale": 2}})

    with pytest.raises(InvalidOption) as caught:
        configure(BenchRequest(), scenario, None, 25, "run")
    assert caught.value.option == "scenario mine"
    assert caught.value.problem.startswith("time_scale has no meaning for the shape steady")


def test_a_single_type_needs_no_share_and_its_name_is_its_type() -> None:
    (job,) = parse_scenario("mine", {"stage": [STAGE], "job": [{"type": "noop"}]}).jobs

    assert (job.name, job.share) == ("noop", 1.0)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({}, "[[stage]]"),
        ({"stage": [STAGE], "shape": SHAPE}, "both [[stage]] and [shape]"),
        ({"shape": {}}, "kind"),
        ({"shape": "diurnal"}, "[shape]"),
        ({"shape": {**SHAPE, "time_scal": 1}}, "did you mean 'time_scale'?"),
        ({"shape": {**SHAPE, "rate": 1}}, "both rate and per_day"),
        ({"shape": {**SHAPE, "peak_factor": 0.5}}, "peak_factor = 0.5"),
        ({"shape": {**SHAPE, "time_scale": 0}}, "time_scale = 0"),
        ({"shape": {**SHAPE, "time_scale": "fast"}}, "time_scale = 'fast'"),
        ({"shape": {**SHAPE, "time_scale": float("inf")}}, "time_scale = inf"),
        ({"shape": {**SHAPE, "duration": "soon"}}, "soon"),
        ({"shape": {"kind": ""}}, "names no shape"),
        ({"stage": [STAGE], "stages": []}, "did you mean 'stage'?"),
        ({"stage": [{"duraton": "1s", "rate": 1}]}, "did you mean 'duration'?"),
        ({"stage": [STAGE], "job": []}, "[[job]]"),
        ({"stage": [STAGE], "job": [SLEEP]}, "sum to 0.5"),
        ({"stage": [STAGE], "job": [SLEEP, SLEEP]}, "twice"),
        ({"stage": [STAGE], "job": [SLEEP, {"type": "noop"}]}, "no share"),
        ({"stage": [STAGE], "job": [SLEEP, {"share": 0.5}]}, "no type"),
        ({"stage": [STAGE], "job": [SLEEP, "noop"]}, "not a table"),
        ({"stage": [STAGE], "job": [SLEEP, {**NOOP, "quue": "q"}]}, "did you mean 'queue'?"),
        ({"stage": [STAGE], "job": [SLEEP, {**NOOP, "queue": "a,b"}]}, "'a,b'"),
        ({"stage": [STAGE], "job": [SLEEP, {**NOOP, "name": "two words"}]}, "two words"),
        ({"stage": [STAGE], "job": [SLEEP, {**NOOP, "args": 3}]}, "args = 3"),
        ({"stage": [STAGE], "job": [SLEEP, {**NOOP, "args": [date(2026, 1, 31)]}]}, "JSON cannot express"),
        ({"stage": [STAGE], "job": [SLEEP, {**NOOP, "args": [math.nan]}]}, "JSON cannot express"),
        ({"stage": [STAGE], "mock": {"rpm": "many"}}, "rpm = 'many'"),
        ({"shape": {**SHAPE, "per_day": 0}}, "rate of 0"),
        ({"shape": {**SHAPE, "per_day": math.nan}}, "rate of nan"),
        ({"stage": [STAGE], "job": [SLEEP, {**NOOP, "args": [], "args_from": "f"}]}, "both args and args_from"),
        ({"stage": [STAGE], "job": [SLEEP, {**NOOP, "slo": "quickly"}]}, "quickly"),
        ({"stage": [STAGE], "job": [SLEEP, {**NOOP, "slo": "wait.p95 < 1s of me"}]}, "leave 'of' out"),
        ({"stage": [STAGE], "gate": [{"check": "weit.p95 < 1s"}]}, "did you mean 'wait'?"),
        ({"stage": [STAGE], "gate": {"check": "wait.p95 < 1s"}}, "[[gate]]"),
        ({"stage": [STAGE], "job": [SLEEP, {**NOOP, "share": "half"}]}, "half"),
        ({"stage": [STAGE], "job": [{**SLEEP, "failure_rate": 2}, NOOP]}, "failure_rate = 2: must lie"),
        ({"stage": [STAGE], "arrivals": "renewal:-1"}, "arrivals = 'renewal:-1': must be"),
        ({"stage": [{**STAGE, "duration": "soon"}]}, "duration = 'soon': "),
        ({"stage": [STAGE], "job": [{**SLEEP, "service_time": "soon"}, NOOP]}, "soon"),
        ({"stage": [STAGE], "service_time": "1s", "job": [SLEEP, NOOP]}, "service_time stands beside [[job]]"),
    ],
)
def test_a_scenario_that_means_nothing_names_the_scenario_and_what_is_wrong(
    content: dict[str, Any], named: str
) -> None:
    with pytest.raises(InvalidOption) as caught:
        parse_scenario("mine", content)
    assert caught.value.option == "scenario mine"
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("job", "named"),
    [
        ({"type": "nonsense"}, "nonsense"),
        ({"type": "noop", "service_time": "1s"}, "service_time has no meaning for job 'noop'"),
        ({"type": "noop", "failure_rate": 0.1}, "failure_rate has no meaning for job 'noop'"),
        ({"type": "chat_completion", "failure_rate": 0.1}, "failure_rate has no meaning for job 'chat_completion'"),
        ({"type": "sleep", "args": [1], "service_time": "1s"}, "service_time has no meaning for job 'sleep'"),
    ],
)
def test_a_job_that_has_no_use_for_a_key_is_refused(job: dict[str, Any], named: str) -> None:
    scenario = parse_scenario("mine", {"stage": [STAGE], "job": [job]})

    with pytest.raises(InvalidOption) as caught:
        configure(BenchRequest(), scenario, None, 25, "run")
    assert caught.value.option == "scenario mine"
    assert named in str(caught.value)


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 10**6),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["1s", "0s", "30%", "sleep", "noop", "a.b", "spike", "diurnal", "p95 wait <= 1s", "constant:1s"]),
    st.lists(st.integers(0, 3), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=1),
)


def odd_table(place: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=dict.fromkeys(sorted(KEYS[place]), ODD))


ODD_FILES = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(["description", "arrivals", "service_time", "fault", "gate"], ODD),
        "stage": st.one_of(ODD, st.lists(st.one_of(ODD, odd_table("[[stage]]")), max_size=2)),
        "shape": st.one_of(ODD, odd_table("[shape]")),
        "job": st.one_of(ODD, st.lists(odd_table("[[job]]"), min_size=1, max_size=2)),
        "fleet": st.one_of(ODD, odd_table("[fleet]")),
        "mock": st.one_of(ODD, odd_table("[mock]")),
    },
)


@given(ODD_FILES)
@example({"stage": [STAGE], "shape": {}})
@example({"shape": {"kind": "spike", "rate": 1e300, "peak_factor": 1e300}})
@example({"stage": [{"duration": "1s", "rate": 1e308}, {"duration": "1s", "rate": 1e308}]})
@example({"stage": [STAGE], "job": [{"type": "sleep", "share": 1, "args": [math.nan]}]})
def test_whatever_a_scenario_holds_it_means_a_load_or_is_refused(content: dict[str, Any]) -> None:
    with suppress(InvalidOption):
        scenario = parse_scenario("mine", content)
        configure(BenchRequest(), scenario, None, 25, "run", payloads_by_file=defaultdict(list))


CALL = {"type": "chat_completion", "share": 0.5}
OTHER = {"prompt": "hi", "model": "openai/gpt-4o"}


def scenario_of(*jobs: dict[str, Any]) -> Any:
    return parse_scenario("mine", {"stage": [STAGE], "job": list(jobs)})


def test_calls_of_each_type_take_their_own_time_where_each_has_its_own_model() -> None:
    scenario = scenario_of(
        {**CALL, "name": "short", "service_time": "100ms"},
        {**CALL, "name": "long", "service_time": "exponential:2s", "args": OTHER},
    )

    spec = configure(BenchRequest(), scenario, None, 25, "run").spec
    assert [workload.service_law for workload in spec.workloads] == [None, None]
    assert mock_arguments(BenchRequest(), scenario, spec.workloads) == [
        *("--latency-of", "openai/gpt-4o-mini=constant:0.1s"),
        *("--latency-of", "openai/gpt-4o=exponential:2s"),
    ]


def test_a_time_for_calls_of_one_type_is_refused_where_another_calls_the_same_model() -> None:
    scenario = scenario_of({**CALL, "name": "short", "service_time": "100ms"}, {**CALL, "name": "long"})

    with pytest.raises(InvalidOption, match="'long' calls the same model"):
        configure(BenchRequest(), scenario, None, 25, "run")


def test_a_time_for_calls_is_refused_where_no_mock_of_ours_answers_them(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        '[[stage]]\nduration = "9s"\nrate = 9\n[[job]]\ntype = "chat_completion"\nservice_time = "1s"\n', "utf-8"
    )

    with pytest.raises(InvalidOption, match="only a mock of this bench can keep"):
        prepare_bench(BenchRequest(scenario=str(path), openrouter_url="http://127.0.0.1:1"), load({}, env={}))


def test_faults_of_a_mock_that_is_not_there_are_refused_for_they_would_excuse_failures(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('job = "noop"\n[[stage]]\nduration = "9s"\nrate = 9\n[mock]\nfault = ["429=0.5"]\n', "utf-8")

    with pytest.raises(InvalidOption, match=r"\[mock\] fault is about the mock"):
        prepare_bench(BenchRequest(scenario=str(path)), load({}, env={}))


@pytest.mark.parametrize("name", scenario_names())
def test_every_scenario_that_ships_can_be_run(name: str) -> None:
    spec = prepare_bench(BenchRequest(scenario=name), load({}, env={})).config.spec

    assert spec.duration_s > 55
    assert len(spec.schedule()) > 100

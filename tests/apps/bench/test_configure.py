from __future__ import annotations

from typing import Any

import pytest

from jobctl.apps.bench.configure import configure, mock_arguments
from jobctl.apps.bench.driver import BenchConfig
from jobctl.apps.bench.request import BenchRequest
from jobctl.apps.bench.scenario import Scenario, parse_scenario
from jobctl.core.arrivals import CONSTANT, POISSON, Stage
from jobctl.core.gates import parse_gate
from jobctl.errors import InvalidOption

SCENARIO = {
    "description": "a ramp",
    "arrivals": "constant",
    "job": "sleep",
    "service_time": "exponential:200ms",
    "stage": [{"duration": "10s", "rate": 2}, {"duration": "30s", "from_rate": 2, "rate": 4}],
    "fleet": {"replicas": 3, "concurrency": 7},
    "mock": {"latency": "constant:1s", "rpm": 600, "fault": ["429=0.1", "503=0.1"]},
}


def configured(scenario: Scenario | None = None, **request: Any) -> BenchConfig:
    return configure(BenchRequest(**request), scenario, None, 25, "run")


def test_the_default_is_450k_a_day_for_half_a_minute_on_two_replicas() -> None:
    config = configured()

    assert config.spec.stages == (Stage.steady(450_000 / 86_400, 30.0),)
    assert (config.replicas, config.concurrency, config.spec.warmup_s) == (2, 25, 3.0)
    assert config.spec.workloads[0].job_type == "chat_completion"
    assert config.spec.arrivals == POISSON


def test_the_warm_up_is_a_tenth_and_at_most_thirty_seconds() -> None:
    assert configured(duration_s=100.0).spec.warmup_s == 10.0
    assert configured(duration_s=3600.0).spec.warmup_s == 30.0
    assert configured(duration_s=100.0, warmup_s=0.0).spec.warmup_s == 0.0


def test_a_scenario_fills_what_the_command_line_leaves_open() -> None:
    config = configured(parse_scenario("ramp", SCENARIO))

    assert config.spec.stages == (Stage.steady(2.0, 10.0), Stage(30.0, 2.0, 4.0))
    assert config.rate_per_s == pytest.approx((20 + 90) / 40)
    assert config.spec.arrivals == CONSTANT
    assert config.spec.workloads[0].service_law == "exponential:200ms"
    assert (config.replicas, config.scenario, config.injected_share) == (3, "ramp", 0.2)


@pytest.mark.parametrize("arrivals", ["renewal:4", "batch:50"])
def test_a_scenario_may_arrive_in_bursts(arrivals: str) -> None:
    config = configured(parse_scenario("ramp", {**SCENARIO, "arrivals": arrivals}))

    assert str(config.spec.arrivals) == arrivals


def test_injected_faults_are_summed_and_limits_are_none() -> None:
    scenario = parse_scenario("ramp", SCENARIO)
    assert configured().injected_share == 0
    assert configured(rpm=600).injected_share == 0
    assert configured(scenario, fault=("429=0.02", "503=0.01")).injected_share == pytest.approx(0.03)
    with pytest.raises(InvalidOption, match="--fault"):
        configured(fault=("429",))


def test_the_command_line_overrides_the_scenario() -> None:
    config = configured(
        parse_scenario("ramp", SCENARIO),
        replicas=1,
        arrivals=POISSON,
        service_law="constant:1s",
        duration_s=4.0,
    )

    assert config.spec.stages == (Stage.steady(2.0, 1.0), Stage(3.0, 2.0, 4.0))
    assert config.spec.arrivals == POISSON
    assert config.spec.workloads[0].service_law == "constant:1s"
    assert config.replicas == 1


def test_the_mock_gets_the_scenarios_options_and_the_command_lines_own() -> None:
    scenario = parse_scenario("ramp", SCENARIO)

    assert mock_arguments(BenchRequest(), scenario) == [
        *("--latency", "constant:1s"), *("--rpm", "600"), *("--fault", "429=0.1"), *("--fault", "503=0.1"),
    ]  # fmt: skip
    given = BenchRequest(fault=("500=1",), rpm=5, service_law="constant:2s", serve_model=("acme/x", "acme/y"))
    assert mock_arguments(given, scenario) == [
        *("--latency", "constant:2s"), *("--rpm", "5"), *("--fault", "500=1"),
        *("--serve-model", "acme/x"), *("--serve-model", "acme/y"),
    ]  # fmt: skip


def test_a_run_has_a_queue_of_its_own_and_somebody_elses_workers_the_default_one() -> None:
    assert configured().spec.queue == "bench-run"
    assert configured(no_workers=True).spec.queue == "default"
    assert configured(queue="mine").spec.queue == "mine"
    assert configured(queue="theirs:eu", no_workers=True).spec.queue == "theirs:eu"


def test_somebody_elses_workers_are_not_assumed_to_be_two() -> None:
    assert configured(no_workers=True).replicas is None
    assert configured(no_workers=True, replicas=4).replicas == 4


def test_jobs_of_ones_own_are_taken_by_their_path() -> None:
    assert configured(job="myapp.tasks.summarise").spec.workloads[0].function == "myapp.tasks.summarise"


@pytest.mark.parametrize(
    ("request_", "option"),
    [
        ({"warmup_s": 30.0}, "--warmup"),
        ({"job": "nonsense"}, "--job"),
        ({"job": "not a path.f"}, "--job"),
        ({"job": "noop", "service_law": "constant:1s"}, "--service-time"),
        ({"rate": 1e9, "duration_s": 86_400.0}, "--duration"),
        ({"queue": "high,low"}, "--queue"),
        ({"queue": "high:6"}, "--queue"),
    ],
)
def test_what_cannot_be_names_its_option(request_: dict[str, Any], option: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        configured(**request_)
    assert caught.value.option == option


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"stage": []}, "[[stage]]"),
        ({"stage": [{"rate": 1}]}, "duration"),
        ({"stage": [{"duration": "10s"}]}, "rate"),
        ({"stage": [{"duration": "10parsecs", "rate": 1}]}, "10parsecs"),
        ({"stage": [{"duration": "10s", "rate": -1}]}, "-1"),
        ({"stage": [{"duration": "10s", "rate": True}]}, "rate"),
        ({"stage": [{"duration": "10s", "rate": 1, "per_day": 2}]}, "per_day"),
        ({"stage": [{"duration": "10s", "rate": 1, "speed": 2}]}, "speed"),
        ({"stage": ["10s"]}, "stage"),
        ({"arrivals": "bursty"}, "bursty"),
        ({"service_time": "soon"}, "soon"),
        ({"fleet": {"replicas": 0}}, "replicas"),
        ({"fleet": 3}, "fleet"),
        ({"mock": {"speed": 3}}, "speed"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_scenario_that_means_nothing_names_the_scenario_and_the_key(change: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        parse_scenario("mine", {**SCENARIO, **change})
    assert caught.value.option == "scenario mine"
    assert named in str(caught.value)


def test_gates_of_the_scenario_and_of_the_command_line_hold_together() -> None:
    scenario = parse_scenario("ramp", {**SCENARIO, "gate": [{"check": "lost == 0"}]})
    config = configured(scenario, gates=(parse_gate("wait.p95 < 1s"),))

    assert [str(gate) for gate in config.gates] == ["lost == 0", "wait.p95 < 1 s"]
    assert config.spec.live is False


def test_jobs_are_told_as_they_end_where_a_gate_may_end_the_run() -> None:
    scenario = parse_scenario("ramp", {**SCENARIO, "gate": [{"check": "wait.p95 < 1s", "abort": True}]})
    assert configured(scenario).spec.live is True


def test_a_gate_that_can_never_be_judged_is_refused_by_where_it_stands() -> None:
    gates = [{"check": "wait.p95 < 1s", "window": "1m"}]
    with pytest.raises(InvalidOption, match=r"scenario ramp: .*36 s are judged"):
        configured(parse_scenario("ramp", {**SCENARIO, "gate": gates}))
    with pytest.raises(InvalidOption, match=r"--gate: .*not enqueued"):
        configured(gates=(parse_gate("wait.p95 < 1s of nobody"),))
    with pytest.raises(InvalidOption, match=r"--gate: .*the slots"):
        configured(no_workers=True, gates=(parse_gate("utilisation < 80%"),))

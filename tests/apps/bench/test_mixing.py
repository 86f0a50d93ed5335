from __future__ import annotations

from typing import Any

import pytest

from jobctl.apps.bench.configure import configure
from jobctl.apps.bench.driver import BenchConfig
from jobctl.apps.bench.request import BenchRequest
from jobctl.apps.bench.scenario import parse_scenario
from jobctl.core.mixes import parse_named_share
from jobctl.core.shapes import ShapeKind, WantedShape
from jobctl.errors import InvalidOption

STAGE = {"duration": "10s", "rate": 10}
MIX: dict[str, Any] = {
    "stage": [STAGE],
    "job": [
        {
            "type": "sleep", "name": "quick", "share": 0.75, "service_time": "exponential:50ms", "queue": "urgent",
            "slo": "p95 wait <= 1s",
        },
        {
            "type": "chat_completion", "share": "25%", "queue": "bulk", "args": {"prompt": "hi"},
            "slo": ["p95 wait <= 5s", "p99 sojourn <= 9s"],
        },
    ],
}  # fmt: skip
REPLAY = WantedShape(ShapeKind.REPLAY, "jobs.csv")
JOBS = ["arrival_s,service_s,tokens", "0,0.5,10", "1,0.25,20", "4,1,30"]
TWO_TYPES = (parse_named_share("a 0.3 exponential:50ms"), parse_named_share("b 70% constant:20ms"))


def mixed(content: dict[str, Any] | None = None, lines: list[str] | None = None, **request: Any) -> BenchConfig:
    scenario = None if content is None else parse_scenario("mine", content)
    payloads = {"calls.jsonl": [(("from a file",), {})]}
    return configure(
        BenchRequest(**request), scenario, None, 25, "run", 2, shape_lines=lines or [], payloads_by_file=payloads
    )


def test_a_mix_has_its_types_with_their_shares_queues_and_arguments() -> None:
    quick, chat = mixed(MIX).spec.workloads

    assert (quick.job_type, quick.share, quick.service_law) == ("quick", 0.75, "exponential:50ms")
    assert (chat.job_type, chat.share, chat.payloads) == ("chat_completion", 0.25, (((), {"prompt": "hi"}),))
    assert (quick.synthetic, chat.synthetic) == ("sleep", "chat_completion")


def test_the_queues_of_a_mix_are_the_runs_own_and_the_first_type_is_the_most_urgent() -> None:
    assert mixed(MIX).spec.queues == ("bench-run-urgent", "bench-run-bulk")
    assert mixed(MIX, queue="mine").spec.queues == ("mine-urgent", "mine-bulk")
    assert mixed(MIX, no_workers=True).spec.queues == ("urgent", "bulk")


def test_types_that_name_no_queue_share_the_runs_own() -> None:
    jobs = [{**MIX["job"][0], "share": 0.5}, {"type": "noop", "share": 0.5}]

    assert mixed({**MIX, "job": jobs}).spec.queues == ("bench-run-urgent", "bench-run")


def test_what_is_promised_for_a_type_is_a_gate_on_its_jobs() -> None:
    assert [str(gate) for gate in mixed(MIX).gates] == [
        "wait.p95 <= 1 s of quick",
        "wait.p95 <= 5 s of chat_completion",
        "sojourn.p99 <= 9 s of chat_completion",
    ]
    assert mixed(MIX, job="noop").gates == ()


def test_arguments_of_a_type_may_stand_in_a_file() -> None:
    jobs = [{"type": "myapp.tasks.f", "args_from": "calls.jsonl"}]

    (workload,) = mixed({**MIX, "job": jobs}).spec.workloads
    assert workload.payloads == ((("from a file",), {}),)


def test_the_command_lines_mix_is_of_sleeping_jobs() -> None:
    first, second = mixed(job_types=TWO_TYPES).spec.workloads

    assert (first.job_type, first.synthetic, first.share, first.service_law) == ("a", "sleep", 0.3, "exponential:50ms")
    assert (second.job_type, second.synthetic, second.share) == ("b", "sleep", 0.7)


def test_the_command_line_replaces_a_scenarios_mix() -> None:
    assert [workload.job_type for workload in mixed(MIX, job_types=TWO_TYPES).spec.workloads] == ["a", "b"]
    assert [workload.job_type for workload in mixed(MIX, job="noop").spec.workloads] == ["noop"]


def test_the_share_that_is_meant_to_fail_for_good_is_that_of_all_types() -> None:
    # two attempts each: 0.75 x 0.2^2
    jobs = [{**MIX["job"][0], "failure_rate": 0.2}, MIX["job"][1]]

    assert mixed({**MIX, "job": jobs}).injected_share == pytest.approx(0.75 * 0.04)
    assert mixed(job_types=TWO_TYPES, failure_rate=0.5).injected_share == pytest.approx(0.25)
    assert mixed(job="sleep", failure_rate=0.5).injected_share == pytest.approx(0.25)


def test_a_replays_jobs_sleep_as_it_recorded() -> None:
    config = mixed(lines=JOBS, shape=REPLAY)

    (workload,) = config.spec.workloads
    assert [args for args, _ in workload.payloads] == [(0.5,), (0.25,), (1.0,)]
    assert config.spec.schedule() == [0.0, 1.0, 4.0]
    assert not config.is_steady
    assert config.shape == REPLAY


def test_a_replays_jobs_may_fail_some_attempts_first() -> None:
    config = mixed(lines=JOBS, shape=REPLAY, failure_rate=0.5)

    (workload,) = config.spec.workloads
    assert [args[0] for args, _ in workload.payloads] == [0.5, 0.25, 1.0]
    assert all(set(args[1]) == {args[0]} for args, _ in workload.payloads if len(args) > 1)
    assert config.injected_share == pytest.approx(0.25)


def test_another_job_that_is_asked_for_has_the_replays_instants_alone() -> None:
    for asked in ({"job": "noop"}, {"job": "sleep", "service_law": "constant:1s"}, {"job_types": TWO_TYPES}):
        config = mixed(lines=JOBS, shape=REPLAY, **asked)
        assert config.spec.schedule() == [0.0, 1.0, 4.0]
        assert config.spec.workloads[0].payloads != (((0.5,), {}),)
    assert mixed(lines=["arrival_s", "0", "1"], shape=REPLAY).spec.workloads[0].job_type == "chat_completion"


@pytest.mark.parametrize(
    ("content", "request_", "option"),
    [
        (None, {"job_types": TWO_TYPES[:1]}, "--job-type"),
        (None, {"job_types": TWO_TYPES * 2}, "--job-type"),
        (None, {"job_types": TWO_TYPES, "job": "noop"}, "--job-type"),
        (None, {"job_types": TWO_TYPES, "service_law": "constant:1s"}, "--job-type"),
        (None, {"job_types": TWO_TYPES, "args_from": "a.jsonl"}, "--job-type"),
        (None, {"shape": REPLAY, "service_rule": "tokens", "job": "noop"}, "--service-rule"),
        (None, {"shape": REPLAY, "arrivals": parse_scenario("s", {"stage": [STAGE]}).arrivals}, "--arrivals"),
        (MIX, {"service_law": "constant:1s"}, "--service-time"),
        (MIX, {"failure_rate": 0.1}, "--failure-rate"),
        (MIX, {"shape": REPLAY}, "--shape"),
        (MIX, {"time_scale": 2.0}, "--time-scale"),
        (MIX, {"peak_factor": 2.0}, "--peak-factor"),
        (MIX, {"service_rule": "tokens"}, "--service-rule"),
    ],
)
def test_what_does_not_fit_together_names_its_option(
    content: dict[str, Any] | None, request_: dict[str, Any], option: str
) -> None:
    with pytest.raises(InvalidOption) as caught:
        mixed(content, lines=JOBS, **request_)
    assert caught.value.option == option

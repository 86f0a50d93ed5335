"""How faults on a timetable come from a scenario or the command line, and what they do to a verdict."""

from __future__ import annotations

from typing import Any

import pytest

from jobctl.apps.bench.configure import configure
from jobctl.apps.bench.driver import BenchResult, run
from jobctl.apps.bench.request import BenchRequest
from jobctl.apps.bench.scenario import parse_scenario
from jobctl.core.chaos import FaultKind, PlayedFault, parse_fault
from jobctl.core.slo import Verdict
from jobctl.errors import InvalidOption
from jobctl.settings import load as load_settings
from jobctl.wiring.bench import embedded_load, prepare_bench
from support.loads import START_S, Load, make_config, make_spec

SCENARIO = {
    "stage": [{"duration": "30s", "rate": 10}],
    "job": "sleep",
    "fault": [{"kind": "replica_frozen", "at": "10s", "for": "5s", "replica": "all"}],
}


def chaos(content: dict[str, Any], **request: Any) -> list[str]:
    config = configure(BenchRequest(**request), parse_scenario("broken", content), None, 25, "run")
    return [str(fault) for fault in config.chaos]


def test_a_scenario_says_what_is_broken_when() -> None:
    assert chaos(SCENARIO) == ["replica_frozen:all@10s+5s"]
    assert chaos({**SCENARIO, "fault": []}) == []


def test_over_another_duration_faults_keep_their_places() -> None:
    assert chaos(SCENARIO, duration_s=60.0) == ["replica_frozen:all@20s+10s"]
    shaped = {
        "shape": {"kind": "spike", "rate": 10, "duration": "30s"},
        "job": "sleep",
        "fault": SCENARIO["fault"],
    }
    assert chaos(shaped, duration_s=15.0) == ["replica_frozen:all@5s+2.5s"]


def test_the_command_line_replaces_the_faults_of_the_scenario() -> None:
    assert chaos(SCENARIO, chaos=(parse_fault("replica_killed@3s"),)) == ["replica_killed:1@3s"]
    assert chaos(SCENARIO, chaos=()) == []


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("no list", "not a list"),
        ([{"kind": "replica_frozen", "at": "10s"}], "says not for how long"),
        ([{"kind": "replica_frozen", "at": "10s", "until": "20s"}], "unknown key 'until'"),
    ],
)
def test_a_scenario_with_a_wrong_fault_is_refused_by_its_name(fault: Any, says: str) -> None:
    with pytest.raises(InvalidOption, match=says) as refusal:
        parse_scenario("broken", {**SCENARIO, "fault": fault})
    assert refusal.value.option == "scenario broken"


@pytest.mark.parametrize(
    ("fault", "request_", "settings", "says"),
    [
        ("replica_killed:3@1s", {"job": "sleep"}, {}, "only 2 replicas"),
        ("replica_killed@1s", {"no_workers": True}, {"redis_url": "redis://localhost:1/0"}, "--no-workers"),
        ("redis_stalled@1s+1s", {"job": "sleep"}, {"redis_url": "redis://localhost:1/0"}, "--redis-url"),
        ("mock_outage@1s+1s", {"job": "sleep"}, {}, "this bench starts none"),
        ("mock_outage@1s+1s", {"openrouter_url": "http://localhost:1/api/v1"}, {}, "this bench starts none"),
        ("mock_outage@31s+1s", {}, {}, "begins after the schedule of 30s"),
    ],
)
def test_what_cannot_be_broken_is_refused_before_anything_starts(
    fault: str, request_: dict[str, Any], settings: dict[str, Any], says: str
) -> None:
    request = BenchRequest(chaos=(parse_fault(fault),), **request_)
    with pytest.raises(InvalidOption, match=says) as refusal:
        prepare_bench(request, load_settings(settings, env={}))
    assert refusal.value.option == "--chaos"


def test_the_time_of_recovery_is_that_of_the_workers() -> None:
    settings = load_settings({}, env={"JOB_RECOVER_AFTER": "7s"})
    assert prepare_bench(BenchRequest(), settings).config.recover_after_s == 7.0


def test_plain_locust_refuses_what_it_would_not_play() -> None:
    with pytest.raises(InvalidOption, match="plain Locust plays none"):
        embedded_load("chaos-frozen-fleet", None, 2)


# ------------------------------------------------------------------------------------------------------------- verdicts


def bench(load: Load, *faults: PlayedFault, **config: Any) -> BenchResult:
    return run(
        make_config(load.session.spec, **config),
        load,
        lambda: START_S,
        lambda message: None,
        lambda: False,
        played_faults=lambda: faults,
    )


OUTAGE = PlayedFault(FaultKind.MOCK_OUTAGE, 4.0, 5.0, None, "mock answers every call 502; healed")


def failing(*positions: int) -> Load:
    """10 jobs/s of half a second for 10 s: job n arrives at (n + 0.5) / 10 s."""
    names = {f"run-{position}" for position in positions}
    return Load(make_spec(), fails=lambda request: request.job_id in names)


def test_failures_during_a_fault_break_nothing() -> None:
    during = range(36, 50)  # the first of them ends at 4.15 s, the last arrives at 4.95 s
    result = bench(failing(*during), OUTAGE)

    assert result.summary.counts.failed == 14
    assert result.judgement.verdict is Verdict.KEPT
    assert result.faults == (OUTAGE,)


def test_failures_before_or_after_a_fault_do() -> None:
    assert bench(failing(33, 34), OUTAGE).judgement.verdict is Verdict.BROKEN
    assert bench(failing(50, 51), OUTAGE).judgement.verdict is Verdict.BROKEN


def test_theory_predicts_nothing_of_a_fleet_that_is_broken() -> None:
    assert bench(failing()).predicted is not None
    assert bench(failing(), OUTAGE, chaos=(parse_fault("mock_outage@4s+1s"),)).predicted is None


def test_a_replica_that_stays_dead_carries_nothing() -> None:
    """5 erlangs on two replicas of 4 slots: one alone is too few, whatever the short run shows."""
    dead = PlayedFault(FaultKind.REPLICA_KILLED, 2.0, None, 1, "worker 1 killed")
    assert bench(failing(), replicas=2, concurrency=4).judgement.verdict is Verdict.KEPT
    judgement = bench(failing(), dead, replicas=2, concurrency=4).judgement
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "4 slots" in judgement.reasons[0]


def test_service_times_of_struck_jobs_say_nothing_of_the_load() -> None:
    """Jobs that a frozen worker held for 20 s are no load of 20 s each."""
    frozen = PlayedFault(FaultKind.REPLICA_FROZEN, 4.0, 5.0, None, "all frozen")

    def service_s(request: Any) -> float:
        return 20.0 if request.job_id in {f"run-{position}" for position in range(35, 40)} else 0.5

    result = bench(Load(make_spec(), service_s=service_s), frozen, recover_after_s=1.0)
    assert result.summary.load is not None
    assert result.summary.load.erlangs == pytest.approx(5.0)
    assert result.summary.service.max == pytest.approx(20.0)
    assert result.judgement.verdict is Verdict.KEPT

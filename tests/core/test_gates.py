from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.gates import (
    SIGNALS,
    Comparison,
    Gate,
    Severity,
    Unit,
    check_gate,
    parse_gate,
    parse_gate_tables,
    parse_gates_file,
)
from jobctl.errors import InvalidValue

EXAMPLE = Path(__file__).resolve().parents[2] / "loadtests" / "gates.toml"


@pytest.mark.parametrize(
    ("text", "gate"),
    [
        ("wait.p95 < 1s", Gate("wait", "p95", Comparison.BELOW, 1.0)),
        ("p95 wait <= 1s", Gate("wait", "p95", Comparison.AT_MOST, 1.0)),
        ("  P95 Wait ≤ 250MS ", Gate("wait", "p95", Comparison.AT_MOST, 0.25)),
        ("service.p99.9<2s", Gate("service", "p99.9", Comparison.BELOW, 2.0)),
        ("mean sojourn < 1h30m", Gate("sojourn", "mean", Comparison.BELOW, 5400.0)),
        ("schedule_lag.max < 50ms", Gate("schedule_lag", "max", Comparison.BELOW, 0.05)),
        ("error_rate < 1%", Gate("error_rate", None, Comparison.BELOW, 0.01)),
        ("achieved/offered >= 0.98", Gate("achieved/offered", None, Comparison.AT_LEAST, 0.98)),
        ("achieved / offered >= 98 %", Gate("achieved/offered", None, Comparison.AT_LEAST, 0.98)),
        ("lost == 0", Gate("lost", None, Comparison.EQUAL, 0.0)),
        ("retried <= 5k jobs", Gate("retried", None, Comparison.AT_MOST, 5000.0)),
        ("backlog.max < 500", Gate("backlog", "max", Comparison.BELOW, 500.0)),
        ("backlog.slope < -0.1", Gate("backlog", "slope", Comparison.BELOW, -0.1)),
        ("drain_time < 30s", Gate("drain_time", None, Comparison.BELOW, 30.0)),
        ("utilisation < 80%", Gate("utilisation", None, Comparison.BELOW, 0.8)),
        ("goodput > 5", Gate("goodput", None, Comparison.ABOVE, 5.0)),
        ("throughput ≥ 4.9 jobs/s", Gate("throughput", None, Comparison.AT_LEAST, 4.9)),
        ("cost < $2", Gate("cost", "total", Comparison.BELOW, 2.0)),
        ("cost.per_job <= 0.002 USD", Gate("cost", "per_job", Comparison.AT_MOST, 0.002)),
        ("wait.p95 < 1s over 30s", Gate("wait", "p95", Comparison.BELOW, 1.0, window_s=30.0)),
        ("wait.p95 < 1s for 10s", Gate("wait", "p95", Comparison.BELOW, 1.0, window_s=10.0, for_s=10.0)),
        ("wait.p95 < 1s of my.Tasks", Gate("wait", "p95", Comparison.BELOW, 1.0, job="my.Tasks")),
        (
            "wait.p95 < 1s FOR 1m OVER 10s of chat",
            Gate("wait", "p95", Comparison.BELOW, 1.0, job="chat", window_s=10.0, for_s=60.0),
        ),
    ],
)
def test_a_gate_is_read_in_either_spelling(text: str, gate: Gate) -> None:
    assert parse_gate(text) == gate


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("weit.p95 < 1s", "did you mean 'wait'"),
        ("error-rate < 1%", "did you mean 'error_rate'"),
        ("wait.maen < 1s", "did you mean 'mean'"),
        ("wait < 1s", "names no statistic"),
        ("backlog < 5", "backlog.max or backlog.slope"),
        ("lost.max < 1", "write lost alone"),
        ("p95 lost < 3", "write lost alone"),
        ("wait.p0 < 1s", "'p0'"),
        ("wait.p100 < 1s", "'p100'"),
        ("lost < 5s", "a number of jobs"),
        ("wait.p95 < 5%", "a duration"),
        ("goodput > 5s", "jobs per second"),
        ("cost < 5 jobs", "dollars"),
        ("wait.p95 < 0s", "'0s'"),
        ("wait.p95 < nan", "'nan'"),
        ("error_rate < nan", "'nan'"),
        ("lost < NaN", "'NaN'"),
        ("cost < inf", "'inf'"),
        ("cost < -1", "'-1'"),
        ("cost < 1e999", "'1e999'"),
        ("error_rate < 5", "a share such as 1%"),
        ("error_rate < 101%", "'101%'"),
        ("error_rate < 1k%", "'1k%'"),
        ("lost == -1", "'-1'"),
        ("lost == 0.5", "whole number"),
        ("lost >= 0", "never below 0"),
        ("error_rate < 0", "never below 0"),
        ("error_rate <= 100%", "never above 100%"),
        ("utilisation > 1", "never above 100%"),
        ("", "is no gate"),
        ("wait.p95", "is no gate"),
        ("wait.p95 <", "is no gate"),
        ("< 1s", "is no gate"),
        ("wait.p95 = 1s", "is no gate"),
        ("wait.p95 != 1s", "is no gate"),
        ("0 < wait.p95 < 1s", "is no gate"),
        ("wait.p95 == 1s", "use <"),
        ("wait.p95 < 1s over 0s", "longer than 0"),
        ("wait.p95 < 1s over 5s over 6s", "twice"),
        ("wait.p95 < 1s over the busiest hour", "busiest"),
        ("wait.p95 < 1s over 30s for 10s", "at least the window"),
        ("wait.p95 < 1s of", "does not fit"),
        ("drain_time < 5s over 5s", "one figure of the whole run"),
    ],
)
def test_what_is_no_gate_is_refused_with_the_word_and_a_remedy(text: str, named: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        parse_gate(text)
    assert named in str(refused.value)
    assert refused.value.remedy


@given(st.text(max_size=40))
def test_no_text_does_anything_but_read_or_be_refused(text: str) -> None:
    try:
        gate = parse_gate(text)
    except InvalidValue:
        return
    assert math.isfinite(gate.threshold)


THRESHOLDS = {
    Unit.SECONDS: st.floats(1e-6, 1e6),
    Unit.JOBS: st.integers(1, 10**9).map(float),
    Unit.RATE: st.floats(1e-6, 1e9),
    Unit.USD: st.floats(1e-6, 1e9),
    Unit.SHARE: st.floats(1e-9, 0.999),
}


@st.composite
def gates(draw: st.DrawFn) -> Gate:
    name = draw(st.sampled_from(sorted(SIGNALS)))
    signal = SIGNALS[name]
    words = ("mean", "max", "p50", "p99.9") if signal.statistics is None else signal.statistics or (None,)
    statistic = draw(st.sampled_from(words))
    unit = Gate(name, statistic, Comparison.BELOW, 0.0).unit
    comparisons = [*Comparison] if unit in {Unit.JOBS, Unit.SHARE} else [*Comparison][:-1]
    window_s = draw(st.none() | st.floats(1e-3, 1e5)) if signal.has_windows else None
    return Gate(
        name,
        statistic,
        draw(st.sampled_from(comparisons)),
        draw(THRESHOLDS[unit]),
        job=draw(st.none() | st.sampled_from(["chat", "my.Tasks.f"])),
        window_s=window_s,
        for_s=None if window_s is None else draw(st.none() | st.floats(window_s, 1e6)),
    )


@given(gates())
def test_every_gate_as_text_reads_back_as_itself(gate: Gate) -> None:
    assert parse_gate(str(gate)) == gate


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("wait.p50 < 1s", 5),  # 0.5^5 = 0.03 <= 0.05
        ("wait.p95 < 1s", 59),
        ("wait.p99 < 1s", 299),
        ("wait.mean < 1s", 20),
        ("wait.max < 1s", 1),
        ("schedule_lag.p99 < 1s", 1),
        ("error_rate < 1%", 20),
        ("backlog.slope < 1", 20),
        ("lost == 0", 1),
    ],
)
def test_by_default_a_gate_needs_as_many_jobs_as_its_figure(text: str, needed: int) -> None:
    assert parse_gate(text).min_samples == needed


def test_a_file_says_what_a_line_cannot() -> None:
    content = tomllib.loads("""
    [[gate]]
    check = "wait.p95 < 1s"
    job = "chat"
    window = "10s"
    for = "20s"
    abort = true
    min_samples = 30
    name = "users do not wait"

    [[gate]]
    check = "error_rate <= 1%"
    severity = "warning"
    """)

    first, second = parse_gates_file(content)
    assert first == Gate(
        "wait", "p95", Comparison.BELOW, 1.0, "chat", 10.0, 20.0, abort=True, fewest=30, name="users do not wait"
    )
    assert first.min_samples == 30
    assert second.severity is Severity.WARNING


def test_the_window_of_a_line_may_stand_in_its_table() -> None:
    (gate,) = parse_gate_tables([{"check": "wait.p95 < 1s for 30s of chat", "window": "10s"}])
    assert gate == parse_gate("wait.p95 < 1s over 10s for 30s of chat")


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ({}, "check is missing"),
        ({"check": 5}, "is no text"),
        ({"check": "wait.p95 < 1s", "check_": 1}, "did you mean 'check'"),
        ({"check": "weit.p95 < 1s"}, "gate 1: "),
        ({"check": "wait.p95 < 1s", "min_samples": 0}, "min_samples"),
        ({"check": "wait.p95 < 1s", "min_samples": True}, "min_samples"),
        ({"check": "wait.p95 < 1s", "severity": "warn"}, "did you mean 'warning'"),
        ({"check": "wait.p95 < 1s", "abort": "yes"}, "abort"),
        ({"check": "wait.p95 < 1s", "window": 10}, "put it in quotes"),
        ({"check": "wait.p95 < 1s", "job": " "}, "put it in quotes"),
        ({"check": "wait.p95 < 1s over 5s", "window": "5s"}, "leave window out"),
        ({"check": "wait.p95 < 1s of a", "job": "b"}, "leave job out"),
        ({"check": "wait.p95 < 1s", "window": "10s", "for": "5s"}, "at least the window"),
        ({"check": "drain_time < 5s", "window": "5s"}, "whole run"),
        ({"check": "drain_time < 5s", "abort": True}, "only at the end"),
        ({"check": "backlog.slope < 5", "abort": True}, "only at the end"),
        ({"check": "backlog.max < 5", "abort": True, "job": "chat"}, "whole backlog"),
        ({"check": "wait.p95 < 1s", "abort": True, "severity": "warning"}, "ends no run"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(table: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        parse_gates_file({"gate": [table]})
    assert named in str(refused.value)


@pytest.mark.parametrize("content", [{}, {"gate": []}, {"gate": {}}, {"gate": ["lost == 0"]}, {"gates": []}])
def test_a_file_without_a_gate_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        parse_gates_file(content)


def test_a_scenario_may_have_no_gate() -> None:
    assert parse_gate_tables(None) == ()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("wait.p95 < 1s of chta", "did you mean 'chat'"),
        ("wait.p95 < 1s over 61s", "60 s are judged"),
        ("wait.p95 < 1s over 30s for 90s", "needs 90 s"),
        ("utilisation < 80%", "--replicas and --concurrency"),
    ],
)
def test_a_gate_that_the_run_can_never_judge_is_refused(text: str, named: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        check_gate(parse_gate(text), job_types=["chat", "mail"], judged_s=60.0, knows_slots=False)
    assert named in str(refused.value)


def test_a_gate_that_the_run_can_judge_is_let_through() -> None:
    for text in ("wait.p95 < 1s of chat", "wait.p95 < 1s over 60s", "utilisation < 80%"):
        check_gate(parse_gate(text), job_types=["chat", "mail"], judged_s=60.0, knows_slots=True)


def test_the_example_that_ships_is_a_file_of_gates() -> None:
    assert len(parse_gates_file(tomllib.loads(EXAMPLE.read_text(encoding="utf-8")))) >= 6

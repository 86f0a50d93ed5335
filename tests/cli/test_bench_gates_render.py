"""Gates as a person sees them below the verdict."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

from rich.console import Console

from jobctl.apps.bench.driver import BenchResult, run
from jobctl.apps.bench.report import to_document
from jobctl.cli.bench_render import render_report
from jobctl.core.gates import Gate, Severity, parse_gate
from support.loads import START_S, Load, make_config, make_spec


def result_of(*gates: Gate) -> BenchResult:
    load = Load(make_spec())
    return run(make_config(load.session.spec, gates=gates), load, lambda: START_S, lambda message: None, lambda: False)


def screen_of(result: BenchResult, width: int = 100) -> list[str]:
    stream = StringIO()
    render_report(Console(file=stream, width=width), to_document(result, {}, {}))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_each_gate_is_a_row_with_what_was_measured_and_how_it_stands() -> None:
    named = replace(parse_gate("service.p95 < 400ms over 3s for 6s of sleep"), fewest=20, name="answers come [quickly]")
    warning = replace(parse_gate("throughput > 11"), severity=Severity.WARNING)
    screen = screen_of(result_of(named, warning, parse_gate("wait.p99 < 1s"), parse_gate("lost == 0")))

    rows = {
        line.split("  ")[0]: line.split() for line in screen if line.endswith(("kept", "broken", "sive", "(warning)"))
    }
    assert rows["lost == 0"][-3:] == ["0", "100", "kept"]
    assert rows["throughput > 11 jobs/s"][-5:] == ["10", "jobs/s", "90", "broken", "(warning)"]
    assert rows["wait.p99 < 1 s"][-3:] == ["-", "90", "inconclusive"]
    assert rows["answers come [quickly]: service.p95 < 400 ms over 3 s"][-4:] == ["500", "ms", "30", "broken"]
    assert max(map(len, screen)) <= 100


def test_a_narrow_terminal_folds_figures_and_keeps_their_names() -> None:
    screen = screen_of(result_of(), width=40)

    assert {"n", "mean", "p50", "p90", "p95", "p99", "max"} <= {line.split(" ")[0] for line in screen}
    assert max(map(len, screen)) <= 40


def test_a_run_without_gates_shows_no_table_of_them() -> None:
    assert not any(line.startswith("gate ") for line in screen_of(result_of()))


def test_a_run_that_was_ended_early_says_by_what() -> None:
    screen = screen_of(replace(result_of(), aborted="wait.p95 < 1 s: broken 9.0 s after the start"))
    assert "(ended early: wait.p95 < 1 s: broken 9.0 s after the start)" in " ".join(screen)


def test_a_verdict_of_kept_names_the_gates_that_bind() -> None:
    assert "Verdict: kept (every gate held, no job lost" in " ".join(screen_of(result_of(parse_gate("lost == 0"))))
    assert "Verdict: kept (no job lost" in " ".join(screen_of(result_of()))
    warning = replace(parse_gate("throughput > 11"), severity=Severity.WARNING)
    both = " ".join(screen_of(result_of(warning, parse_gate("lost == 0"))))
    assert "Verdict: kept (every gate held but warnings, no job lost" in both
    assert "Verdict: kept (no job lost" in " ".join(screen_of(result_of(warning)))


def test_a_verdict_of_kept_does_not_deny_the_lost_jobs_that_a_gate_allows() -> None:
    document = to_document(result_of(parse_gate("lost <= 5")), {}, {})
    document["jobs"]["lost"] = 3
    stream = StringIO()
    render_report(Console(file=stream, width=100), document)

    assert "Verdict: kept (every gate held, failures within bounds" in stream.getvalue()

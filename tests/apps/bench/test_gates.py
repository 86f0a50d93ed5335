"""Gates of whole runs: what a run that is over says of them, and how one is ended early."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, replace
from typing import Any

import pytest

from jobctl.apps.bench.driver import BenchResult, run
from jobctl.apps.bench.report import to_document
from jobctl.core.gates import Gate, parse_gate
from jobctl.core.records import JobRecord, Outcome
from jobctl.core.slo import Verdict
from jobctl.core.workload import make_workload
from jobctl.errors import JobctlError
from support.loads import START_S, Load, make_config, make_spec


def bench(load: Load, *gates: Gate, **config: Any) -> BenchResult:
    return run(
        make_config(load.session.spec, gates=gates, **config),
        load,
        lambda: START_S,
        lambda message: None,
        lambda: False,
    )


def test_a_gate_that_does_not_hold_breaks_a_run_that_keeps_everything_else() -> None:
    result = bench(Load(make_spec()), parse_gate("service.p95 < 400ms"), parse_gate("wait.p95 < 1s"))

    assert result.judgement.verdict is Verdict.BROKEN
    assert result.judgement.reasons == ("service.p95 < 400 ms: measured 500 ms",)
    assert [gate.verdict for gate in result.gates] == [Verdict.KEPT, Verdict.BROKEN]


def test_without_a_gate_the_promises_stay_and_with_one_that_holds_as_well() -> None:
    def load() -> Load:
        return Load(make_spec(), loses=lambda request: request.job_id == "run-42")

    assert bench(load(), parse_gate("wait.p95 < 1s")).judgement.reasons == ("1 of 100 jobs were lost",)
    assert bench(load(), parse_gate("lost <= 1")).judgement.verdict is Verdict.KEPT
    assert bench(load(), parse_gate("lost < 1")).judgement.reasons == ("lost < 1: measured 1",)


def test_a_gate_with_too_few_jobs_makes_a_kept_run_inconclusive() -> None:
    result = bench(Load(make_spec()), parse_gate("wait.p99 < 1s"))

    assert result.judgement.verdict is Verdict.INCONCLUSIVE
    assert result.judgement.reasons == ("wait.p99 < 1 s: too few jobs: 90, at least 299 are needed",)


def test_a_late_generator_leaves_latency_open_whatever_it_measured() -> None:
    load = Load(make_spec())
    sleep = load.clock.sleep
    load.clock.sleep = lambda seconds: sleep(seconds + 0.2)  # type: ignore[method-assign]
    result = bench(load, parse_gate("sojourn.p95 < 1ms"))

    assert result.judgement.verdict is Verdict.INCONCLUSIVE
    assert all("fell behind" in reason for reason in result.judgement.reasons)
    assert result.gates[0].reason == result.judgement.reasons[0]


def test_the_document_tells_every_gate() -> None:
    gate = replace(parse_gate("wait.p95 < 1s over 3s of sleep"), fewest=20, name="users do not wait")
    document = to_document(bench(Load(make_spec()), gate), {}, {})

    (row,) = document["gates"]
    assert row["value"] == pytest.approx(0.0, abs=1e-5)
    assert {**row, "value": None} == {
        "name": "users do not wait",
        "check": "wait.p95 < 1 s over 3 s of sleep",
        "job": "sleep",
        "window_s": 3.0,
        "for_s": None,
        "min_samples": 20,
        "severity": "error",
        "abort": False,
        "verdict": "kept",
        "value": None,
        "threshold": 1.0,
        "unit": "s",
        "samples": 30,
        "reason": None,
        "failed_windows": [],
    }
    assert document["aborted"] is None
    assert document["goodput_per_s"] == pytest.approx(10.0)


def test_jobs_are_told_once_as_they_end_when_somebody_judges_the_run() -> None:
    slow = (make_workload("sleep", service_law="constant:3s"),)

    def told(*, live: bool) -> dict[str, list[Sequence[Any]]]:
        lines: dict[str, list[Sequence[Any]]] = {"ended": [], "records": []}
        for message in Load(make_spec(live=live, workloads=slow)).events():
            lines.setdefault(message["event"], []).extend(message.get("records", []))
        return lines

    assert told(live=False)["ended"] == []
    lines = told(live=True)
    assert len({line[0] for line in lines["ended"]}) == len(lines["ended"]) >= 80
    assert all(line in lines["records"] for line in lines["ended"])


class Streaming:
    """A load run whose jobs all wait as long; it speaks once a second and ends when it is asked to."""

    def __init__(self, waits_s: float, seconds: int = 60) -> None:
        self._waits_s = waits_s
        self._seconds = seconds
        self.interrupted_at: int | None = None
        self._now = 0

    def _jobs(self, until: int) -> Iterator[JobRecord]:
        for number in range(10 * until):
            at_s = START_S + number / 10
            started_s = at_s + self._waits_s
            over = started_s + 0.1 <= START_S + until
            yield JobRecord(
                job_id=f"run-{number}",
                job_type="sleep",
                intended_s=at_s,
                enqueued_s=at_s,
                started_s=started_s if over else None,
                finished_s=started_s + 0.1 if over else None,
                outcome=Outcome.FINISHED if over else Outcome.IN_FLIGHT,
            )

    def events(self) -> Iterator[Mapping[str, Any]]:
        yield {"event": "ready"}
        told: set[str] = set()
        for second in range(1, self._seconds + 1):
            self._now = second
            fresh = [job for job in self._jobs(self._now) if job.finished_s and job.job_id not in told]
            told |= {job.job_id for job in fresh}
            yield {"event": "ended", "elapsed_s": float(self._now), "records": [[*astuple(job)] for job in fresh]}
            yield {"event": "progress", "elapsed_s": float(self._now), "backlog": 10 * self._now - len(told)}
            if self.interrupted_at is not None:
                break
        yield {"event": "records", "records": [[*astuple(job)] for job in self._jobs(self._now)]}
        yield {
            "event": "end",
            "start_s": START_S,
            "offered_until_s": START_S + self._now,
            "dropped": 1,
            "tool_statistics": [],
        }

    def interrupt(self) -> None:
        self.interrupted_at = self._now

    def failure(self) -> JobctlError:
        return JobctlError("it ended early")


def ended_early(load: Streaming, *gates: Gate) -> BenchResult:
    config = make_config(make_spec(live=True), gates=tuple(replace(gate, abort=True) for gate in gates))
    return run(config, load, lambda: START_S, lambda message: None, lambda: False)


def test_a_gate_that_aborts_ends_the_run_and_breaks_it() -> None:
    load = Streaming(waits_s=2.0)
    result = ended_early(load, parse_gate("wait.p95 < 1s"), parse_gate("lost == 0"))

    assert load.interrupted_at == 9  # of the window, from second 1 on, the 59th job ends in second 1 + 5.8 + 2.1
    assert result.aborted == "wait.p95 < 1 s: broken 9.0 s after the start"
    assert result.judgement.verdict is Verdict.BROKEN
    assert result.interrupted is False
    assert not any("waiting or running" in reason or "never sent" in reason for reason in result.judgement.reasons)


def test_a_backlog_that_aborts_ends_the_run() -> None:
    load = Streaming(waits_s=100.0)
    result = ended_early(load, parse_gate("backlog.max < 55"))

    assert load.interrupted_at == 6
    assert result.judgement.verdict is Verdict.BROKEN
    assert "60 jobs waited" in str(result.aborted)

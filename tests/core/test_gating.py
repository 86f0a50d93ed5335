from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.gate_figures import RunFacts, format_figure, goodput_per_s
from jobctl.core.gates import Gate, Severity, parse_gate
from jobctl.core.gating import (
    GateResult,
    LiveGates,
    judge_gates,
    replaced_promises,
    with_gates,
)
from jobctl.core.judging import Judgement
from jobctl.core.records import JobRecord, Outcome
from jobctl.core.slo import Verdict
from jobctl.core.summary import Window, summarise

#: As large as real instants are.
START_S = 1_800_000_000.0
KEPT, BROKEN, INCONCLUSIVE = Verdict.KEPT, Verdict.BROKEN, Verdict.INCONCLUSIVE


def job(number: int, at_s: float, *, wait_s: float = 0.0, service_s: float = 0.1, **changes: Any) -> JobRecord:
    """A job that arrived so many seconds after the start, waited and ran."""
    enqueued_s = START_S + at_s
    record = JobRecord(
        job_id=f"run-{number}",
        job_type="chat",
        intended_s=enqueued_s,
        enqueued_s=enqueued_s,
        started_s=enqueued_s + wait_s,
        finished_s=enqueued_s + wait_s + service_s,
        outcome=Outcome.FINISHED,
        successes=1,
        acknowledged_s=enqueued_s + 0.002,
    )
    return replace(record, **changes)


def a_run(
    seconds: int = 60,
    per_s: int = 10,
    *,
    wait_s: Callable[[float], float] = lambda at_s: 0.0,
    changed: Callable[[int], dict[str, Any]] = lambda number: {},
    **facts: Any,
) -> RunFacts:
    """An even load, all of it judged."""
    records = []
    for number in range(seconds * per_s):
        at_s = number / per_s
        records.append(job(number, at_s, wait_s=wait_s(at_s), **changed(number)))
    window = Window(START_S, START_S + seconds)
    return RunFacts(**{"records": records, "start_s": START_S, "window": window, "slots": 10, **facts})


def judged(text: str, run: RunFacts, **changes: Any) -> GateResult:
    (result,) = judge_gates([replace(parse_gate(text), **changes)], run)
    return result


@pytest.mark.parametrize(
    ("text", "value", "verdict"),
    [
        ("wait.p95 < 1s", 0.2, KEPT),
        ("wait.p95 < 190ms", 0.2, BROKEN),
        ("wait.p95 <= 201ms", 0.2, KEPT),
        ("wait.mean > 100ms", 0.2, KEPT),
        ("wait.max < 100ms", 0.2, BROKEN),
        ("service.p50 <= 101ms", 0.1, KEPT),
        ("sojourn.p99 < 301ms", 0.3, KEPT),
        ("enqueue.mean < 3ms", 0.002, KEPT),
        ("schedule_lag.max < 1ms", 0.0, KEPT),
        ("error_rate == 0", 0.0, KEPT),
        ("lost == 0", 0.0, KEPT),
        ("duplicated < 1", 0.0, KEPT),
        ("retried > 0", 0.0, BROKEN),
        ("achieved/offered >= 100%", 1.0, KEPT),
        ("throughput >= 10", 10.0, KEPT),
        ("goodput > 10", 10.0, BROKEN),
        ("utilisation < 10%", 0.1, BROKEN),  # 10 jobs/s x 0.1 s on 10 slots, but for the last job's end
        ("backlog.max <= 2", 2.0, KEPT),  # 10 jobs/s x 0.2 s, by Little's law
        ("backlog.slope < 0.1", 0.0, KEPT),
        ("drain_time <= 301ms", 0.3, KEPT),
        ("cost <= 1.2 USD", 1.2, KEPT),
        ("cost.per_job < 0.002", 0.002, BROKEN),
    ],
)
def test_each_signal_has_the_figure_that_theory_gives_it(text: str, value: float, verdict: Verdict) -> None:
    run = a_run(wait_s=lambda at_s: 0.199, changed=lambda number: {"cost_usd": 0.002})
    if text.startswith("utilisation"):
        run = a_run(changed=lambda number: {"cost_usd": 0.002})

    result = judged(text, run)

    assert result.value == pytest.approx(value, rel=2e-3, abs=2e-3)
    if not text.startswith("utilisation"):
        assert result.verdict is verdict
        assert (result.reason is None) == (verdict is KEPT)


def test_the_figures_are_those_of_the_summary() -> None:
    rng = random.Random(5)
    run = a_run(per_s=20, wait_s=lambda at_s: rng.expovariate(4), slots=20)
    run = replace(run, window=Window(START_S + 6, START_S + 60))
    summary = summarise(run.records, run.window, 20)

    assert judged("wait.p99 < 1s", run).value == summary.wait.quantile(0.99)
    assert judged("sojourn.mean < 1s", run).value == summary.sojourn.mean
    assert judged("throughput > 1", run).value == summary.achieved_per_s
    assert judged("backlog.max < 1", run).value == summary.backlog.max
    assert judged("backlog.slope < 1", run).value == summary.backlog.slope_per_s
    assert judged("utilisation < 1", run).value == summary.utilisation
    assert judged("schedule_lag.p99 < 1s", run).value == summary.schedule_lag.census(0.99)


def test_what_became_of_jobs_counts_the_warm_up_and_latency_does_not() -> None:
    run = a_run(changed=lambda number: {"outcome": Outcome.LOST, "finished_s": None} if number == 3 else {})
    run = replace(run, window=Window(START_S + 30, START_S + 60))

    assert judged("lost == 0", run).value == 1.0
    assert judged("wait.p95 < 1s", run).samples == 300
    assert judged("lost == 0 over 10s", run).verdict is KEPT


def test_the_error_rate_is_of_the_jobs_that_ended() -> None:
    def changed(number: int) -> dict[str, Any]:
        if number % 10 == 0:
            return {"outcome": Outcome.FAILED}
        return {"outcome": Outcome.IN_FLIGHT, "finished_s": None} if number % 10 == 1 else {}

    result = judged("error_rate <= 11%", a_run(changed=changed))
    assert result.value == pytest.approx(1 / 9)
    assert (result.verdict, result.samples) == (BROKEN, 540)


def test_too_few_jobs_are_inconclusive_unless_fewer_are_allowed() -> None:
    run = a_run(seconds=5, wait_s=lambda at_s: 9.0)  # 50 jobs

    result = judged("wait.p95 < 1s", run)
    assert (result.verdict, result.value, result.samples) == (INCONCLUSIVE, None, 50)
    assert result.reason == "too few jobs: 50, at least 59 are needed"
    assert judged("wait.p95 < 1s", run, fewest=50).verdict is BROKEN


@pytest.mark.parametrize(
    "text",
    [
        "wait.p95 < 1s",
        "wait.max < 1s over 10s",
        "schedule_lag.p99 < 1s",
        "error_rate < 1%",
        "lost == 0",
        "achieved/offered > 1%",
        "goodput > 1",
        "drain_time < 1s",
        "backlog.max < 5",
        "backlog.slope < 1",
        "utilisation < 90%",
        "cost < 1",
    ],
)
def test_nothing_at_all_is_never_kept(text: str) -> None:
    assert judged(text, a_run(per_s=0)).verdict is INCONCLUSIVE
    assert judged(f"{text} of mail", a_run()).verdict is INCONCLUSIVE, "no job of that type came"


def test_what_no_job_tells_is_inconclusive() -> None:
    run = a_run(changed=lambda number: {"acknowledged_s": None}, slots=None)

    assert judged("enqueue.p95 < 1s", run).verdict is INCONCLUSIVE
    assert judged("cost < 1", run).reason == "no job says what it cost"
    assert judged("utilisation < 90%", run).reason == "the slots of the workers are not known"


def test_a_gate_of_one_type_is_about_its_jobs_alone() -> None:
    run = a_run(
        wait_s=lambda at_s: 2.0 if at_s * 10 % 2 >= 1 else 0.0,
        changed=lambda number: {"job_type": "mail"} if number % 2 else {},
    )

    assert judged("wait.p95 < 1s", run).verdict is BROKEN
    assert judged("wait.p95 < 1s of chat", run).verdict is KEPT
    assert judged("wait.p95 < 1s of mail", run).samples == 300


def slow_from(begin_s: float, end_s: float) -> Callable[[float], float]:
    return lambda at_s: 5.0 if begin_s <= at_s < end_s else 0.0


def test_a_stretch_that_fails_is_hidden_in_the_whole_and_not_in_its_window() -> None:
    run = a_run(seconds=60, wait_s=slow_from(20, 22))  # 20 of 600 jobs

    assert judged("wait.p95 < 1s", run).verdict is KEPT
    result = judged("wait.p95 < 1s over 10s", run)
    assert (result.verdict, result.samples) == (BROKEN, 100)
    assert result.value == pytest.approx(5.0, rel=1e-3)
    (failed,) = result.failed_windows
    assert failed == pytest.approx((20.0, 30.0))
    assert result.reason == "measured 5 s in the worst of 1 failing windows of 6"


@pytest.mark.parametrize(
    ("slow_s", "verdict"),
    [((20, 30), KEPT), ((20, 40), KEPT), ((20, 50), BROKEN), ((20, 60), BROKEN)],
)
def test_with_for_it_is_broken_only_when_windows_fail_so_long_on_end(
    slow_s: tuple[float, float], verdict: Verdict
) -> None:
    assert judged("wait.p95 < 1s over 10s for 30s", a_run(wait_s=slow_from(*slow_s))).verdict is verdict


def test_two_short_failures_are_no_long_one() -> None:
    run = a_run(wait_s=lambda at_s: 5.0 if 0 <= at_s < 20 or at_s >= 40 else 0.0)

    result = judged("wait.p95 < 1s over 10s for 30s", run)
    assert result.verdict is KEPT
    assert len(result.failed_windows) == 4


def test_the_last_window_ends_with_the_run() -> None:
    """60 s in windows of 25 s: 0..25, 25..50 and 35..60."""
    run = a_run(wait_s=slow_from(55, 60))

    result = judged("wait.max < 1s over 25s", run)
    (failed,) = result.failed_windows
    assert failed == pytest.approx((35.0, 60.0))


def test_a_window_with_too_few_jobs_leaves_the_gate_open_and_one_without_any_does_not() -> None:
    full = a_run()
    sparse = replace(full, records=[r for n, r in enumerate(full.records) if not 200 <= n < 300 or n % 50 == 0])
    empty = replace(full, records=[r for n, r in enumerate(full.records) if not 200 <= n < 300])

    result = judged("wait.p95 < 1s over 10s", sparse)
    assert (result.verdict, result.samples) == (INCONCLUSIVE, 2)
    assert result.reason == "too few jobs: 2, at least 59 are needed in 1 of 6 windows"
    assert judged("wait.p95 < 1s over 10s", empty).verdict is KEPT


def test_a_run_that_ended_before_one_window_is_inconclusive() -> None:
    assert judged("wait.max < 1s over 10s", a_run(seconds=5)).verdict is INCONCLUSIVE


def test_the_backlog_of_a_window_is_that_of_its_time_and_not_of_its_arrivals() -> None:
    """100 jobs arrive in the first 10 s and wait until second 25: the backlog stands in the windows after them, too."""
    run = a_run(seconds=30, wait_s=lambda at_s: 25.0 - at_s if at_s < 10 else 0.0)

    result = judged("backlog.max < 100 over 10s", run)
    assert result.value == pytest.approx(100, abs=1)
    assert len(result.failed_windows) == 3
    assert judged("backlog.max < 102 over 10s", run).verdict is KEPT


@given(
    st.lists(st.tuples(st.floats(0, 59.99), st.floats(0, 30), st.floats(0, 10)), min_size=1, max_size=30),
    st.sampled_from([5.0, 7.0, 20.0, 60.0]),
)
def test_windows_see_what_the_whole_run_sees(jobs: list[tuple[float, float, float]], length_s: float) -> None:
    """The largest backlog of any window is that of the run's window, and so are the longest wait and the lost jobs."""
    records = [job(n, at_s, wait_s=wait_s, service_s=service_s) for n, (at_s, wait_s, service_s) in enumerate(jobs)]
    run = RunFacts(records, START_S, Window(START_S, START_S + 60), 5)

    by_window = judged(f"wait.max < 1us over {length_s}s", run)
    assert by_window.value == judged("wait.max < 1us", run).value
    most = summarise(records, run.window, 5).backlog
    inside = judged(f"backlog.max <= 0 over {length_s}s", run).value
    assert inside is not None
    assert max(most.series) <= inside <= most.max


def test_the_drain_is_from_the_last_arrival_to_the_last_end() -> None:
    run = a_run(seconds=10, wait_s=lambda at_s: 7.0)
    assert judged("drain_time < 8s", run).value == pytest.approx(7.1)

    open_run = a_run(changed=lambda number: {"outcome": Outcome.IN_FLIGHT, "finished_s": None} if number == 7 else {})
    result = judged("drain_time < 8s", open_run)
    assert (result.verdict, result.value, result.reason) == (BROKEN, None, "1 jobs had not ended")
    assert judged("drain_time < 8s", replace(open_run, cut_short=True)).verdict is INCONCLUSIVE


def test_doubts_about_the_load_open_measurements_and_leave_facts() -> None:
    run = a_run(changed=lambda number: {"outcome": Outcome.FAILED} if number < 60 else {}, doubts=("it was late",))

    for text in ("wait.p95 < 1s", "wait.mean > 1s", "backlog.max < 5", "achieved/offered > 99%"):
        result = judged(text, run)
        assert (result.verdict, result.reason) == (INCONCLUSIVE, "it was late")
    assert judged("error_rate < 1%", run).verdict is BROKEN
    assert judged("lost == 0", run).verdict is KEPT


def test_a_late_generator_is_no_failure_of_the_system() -> None:
    run = a_run(changed=lambda number: {"intended_s": START_S + number / 10 - 1.0})

    result = judged("schedule_lag.p99 < 50ms", replace(run, window=Window(START_S - 1, START_S + 60)))
    assert result.verdict is INCONCLUSIVE
    assert result.reason == "the generator fell behind: measured 1 s"


def test_gates_are_judged_facts_first_and_latency_last() -> None:
    gates = [
        parse_gate(text) for text in ("wait.p95 < 1s", "cost < 1", "backlog.max < 5", "error_rate < 1%", "lost < 1")
    ]
    results = judge_gates(gates, a_run())

    assert [result.gate.signal for result in results] == ["lost", "error_rate", "backlog", "wait", "cost"]


def result_of(verdict: Verdict, reason: str | None = "because", **changes: Any) -> GateResult:
    return GateResult(replace(parse_gate("wait.p95 < 1s"), **changes), verdict, 2.0, 100, reason)


@pytest.mark.parametrize(
    ("before", "gates", "verdict", "reasons"),
    [
        (Judgement(KEPT), [], KEPT, ()),
        (Judgement(KEPT), [result_of(KEPT, None)], KEPT, ()),
        (Judgement(KEPT), [result_of(BROKEN)], BROKEN, ("wait.p95 < 1 s: because",)),
        (Judgement(KEPT), [result_of(INCONCLUSIVE)], INCONCLUSIVE, ("wait.p95 < 1 s: because",)),
        (Judgement(KEPT), [result_of(BROKEN, name="fast")], BROKEN, ("fast: because",)),
        (Judgement(KEPT), [result_of(INCONCLUSIVE), result_of(BROKEN)], BROKEN, ("wait.p95 < 1 s: because",)),
        (Judgement(KEPT), [result_of(BROKEN, severity=Severity.WARNING)], KEPT, ()),
        (Judgement(KEPT), [result_of(INCONCLUSIVE, severity=Severity.WARNING)], KEPT, ()),
        (Judgement(INCONCLUSIVE, ("late",)), [result_of(BROKEN)], BROKEN, ("wait.p95 < 1 s: because",)),
        (Judgement(INCONCLUSIVE, ("late",)), [result_of(INCONCLUSIVE, "late")], INCONCLUSIVE, ("late",)),
        (Judgement(BROKEN, ("lost",)), [result_of(BROKEN)], BROKEN, ("lost", "wait.p95 < 1 s: because")),
        (Judgement(BROKEN, ("lost",)), [result_of(INCONCLUSIVE)], BROKEN, ("lost",)),
    ],
)
def test_broken_goes_before_inconclusive_and_a_warning_changes_nothing(
    before: Judgement, gates: Sequence[GateResult], verdict: Verdict, reasons: tuple[str, ...]
) -> None:
    assert with_gates(before, gates) == Judgement(verdict, reasons)


@pytest.mark.parametrize(
    ("text", "changes", "replaced"),
    [
        ("lost <= 2", {}, {"lost"}),
        ("error_rate < 5%", {}, {"error_rate"}),
        ("error_rate < 5% of chat", {}, set()),
        ("error_rate < 5%", {"severity": Severity.WARNING}, set()),
        ("wait.p95 < 1s", {}, set()),
    ],
)
def test_a_gate_takes_the_place_of_the_promise_on_its_signal_only_if_it_binds_for_all(
    text: str, changes: dict[str, Any], replaced: set[str]
) -> None:
    assert replaced_promises([replace(parse_gate(text), **changes)]) == replaced


def test_goodput_counts_successes_within_what_is_promised_of_a_job() -> None:
    """Of ten jobs a second one fails and two wait too long; one of those two is of a type that may."""

    def changed(number: int) -> dict[str, Any]:
        special: dict[int, dict[str, Any]] = {0: {"outcome": Outcome.FAILED}, 1: {"job_type": "mail"}}
        return special.get(number % 10, {})

    run = a_run(wait_s=lambda at_s: 2.0 if round(at_s * 10) % 10 in {1, 2} else 0.0, changed=changed)
    window = run.window

    assert goodput_per_s(run.records, window, []) == pytest.approx(9.0)
    assert goodput_per_s(run.records, window, [parse_gate("wait.p95 < 1s")]) == pytest.approx(7.0)
    assert goodput_per_s(run.records, window, [parse_gate("wait.p95 < 1s of chat")]) == pytest.approx(8.0)
    loosest = [parse_gate("wait.p50 < 1s"), parse_gate("wait.p99 < 3s")]
    assert goodput_per_s(run.records, window, loosest) == pytest.approx(9.0)
    assert goodput_per_s(run.records, window, [parse_gate("wait.mean < 1s")]) == pytest.approx(9.0)


def live(text: str, seconds: float = 60.0, **changes: Any) -> LiveGates:
    gate = replace(parse_gate(text), abort=True, **changes)
    return LiveGates([gate], START_S, Window(START_S, START_S + seconds))


def ends_after(judges: LiveGates, run: RunFacts) -> int | None:
    """The second in which the run is ended, when jobs are shown second by second as they end."""
    for second in range(1, 120):
        ended = [r for r in run.records if r.finished_s and second - 1 <= r.finished_s - START_S < second]
        if judges.see(ended, float(second)) is not None:
            return second
    return None


def test_a_run_is_ended_once_enough_jobs_say_so() -> None:
    run = a_run(wait_s=lambda at_s: 2.0)  # 10 jobs/s end from second 2.1 on; the 59th in second 7.9

    judges = live("wait.p95 < 1s")
    assert ends_after(judges, run) == 8
    assert list(judges.broken.values()) == ["broken 8.0 s after the start"]
    assert ends_after(live("wait.p95 < 1s", fewest=10), run) == 4
    assert ends_after(live("wait.p95 < 3s"), run) is None


def test_a_window_is_looked_at_once_it_is_over() -> None:
    run = a_run(wait_s=slow_from(20, 30))

    assert ends_after(live("wait.p95 < 1s over 10s"), run) == 31  # the 59th of its jobs ends at 25.8 + 5.1 s
    assert ends_after(live("wait.p95 < 1s over 10s for 20s"), run) is None
    assert ends_after(live("wait.max < 1s over 10s"), run) == 30


def test_a_gate_that_does_not_abort_ends_nothing() -> None:
    judges = LiveGates([parse_gate("wait.p95 < 1us")], START_S, Window(START_S, START_S + 60))
    assert ends_after(judges, a_run()) is None


def test_a_backlog_ends_the_run_at_once_but_not_in_the_warm_up() -> None:
    gate = replace(parse_gate("backlog.max < 100"), abort=True)
    judges = LiveGates([gate], START_S, Window(START_S + 5, START_S + 60))

    assert judges.see_backlog(500, 4.0) is None
    assert judges.see_backlog(99, 6.0) is None
    assert judges.see_backlog(100, 7.0) == "backlog.max < 100: broken 7.0 s after the start, 100 jobs waited"


LIVE = ["wait.p95 < {}s", "wait.p50 >= {}s", "wait.mean <= {}s", "sojourn.max < {}s", "wait.p90 > {}s"]


@given(st.sampled_from(LIVE), st.integers(1, 40), st.lists(st.integers(0, 40), min_size=60, max_size=80))
def test_once_all_jobs_have_ended_the_early_look_agrees_with_the_last_one(
    text: str, threshold: int, waits: list[int]
) -> None:
    records = [job(n, n / 10, wait_s=wait / 8 + 1 / 16) for n, wait in enumerate(waits)]
    run = RunFacts(records, START_S, Window(START_S, START_S + 8), 10)
    text = text.format(threshold / 8)

    early = live(text, 8.0).see(records, 100.0)
    assert (early is not None) == (judged(text, run).verdict is BROKEN)


@pytest.mark.parametrize("text", ["error_rate < 10%", "retried < 5", "cost < 1 USD", "cost.per_job < 0.01"])
def test_facts_that_are_known_early_end_a_run(text: str) -> None:
    run = a_run(changed=lambda n: {"outcome": Outcome.FAILED, "retries": 1, "cost_usd": 0.02})

    assert ends_after(live(text), run) in range(1, 9)


def test_a_gate_that_ended_the_run_stays_broken() -> None:
    gate: Gate = replace(parse_gate("wait.p95 < 1s"), abort=True)
    (result,) = judge_gates([gate], a_run(), {gate: "broken 8.0 s after the start"})

    assert (result.verdict, result.reason) == (BROKEN, "broken 8.0 s after the start")


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.25, "s", "250 ms"),
        (0.0123, "", "1.23%"),
        (1234.0, "jobs", "1,234"),
        (4.9, "jobs/s", "4.9 jobs/s"),
        (0.0021, "USD", "0.0021 USD"),
        (None, "s", "-"),
    ],
)
def test_a_figure_is_shown_in_its_unit(value: float | None, unit: str, shown: str) -> None:
    assert format_figure(value, unit) == shown
    assert not math.isnan(value or 0.0)

"""Whole benches in virtual time: what comes out is known beforehand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from jobctl.adapters.memory import MemoryFleet
from jobctl.apps.bench.driver import BenchResult, run
from jobctl.core.arrivals import Stage, parse_arrivals
from jobctl.core.queueing import predict_wait
from jobctl.core.slo import Verdict
from jobctl.core.workload import make_workload
from jobctl.errors import JobctlError
from support.loads import START_S, Load, make_config, make_spec


def bench(load: Load, *, interrupted: bool = False, **config: object) -> BenchResult:
    return run(
        make_config(load.session.spec, **config), load, lambda: START_S, lambda message: None, lambda: interrupted
    )


def test_a_fleet_that_keeps_up_keeps_its_promise() -> None:
    result = bench(Load(make_spec()))

    assert result.judgement.verdict is Verdict.KEPT
    assert result.summary.counts.scheduled == result.summary.counts.finished == 100
    assert result.summary.offered_per_s == result.summary.achieved_per_s == pytest.approx(10.0)
    assert result.summary.service.mean == pytest.approx(0.5)
    assert result.summary.wait.max == pytest.approx(0.0, abs=1e-6)
    # 10 jobs/s x 0.5 s on 50 slots; the first 0.5 s of the window are no exception, for the warm-up filled them.
    assert result.summary.utilisation == pytest.approx(0.1, abs=0.002)
    assert result.predicted is not None
    assert result.predicted.utilisation == pytest.approx(0.1)


def test_theory_predicts_longer_waits_for_burstier_arrivals() -> None:
    """Allen-Cunneen: the mean wait grows with the sum of both squared coefficients of variation."""
    waits = {}
    for text in ("poisson", "renewal:4", "batch:9"):
        result = bench(Load(make_spec(arrivals=parse_arrivals(text), warmup_s=0.0)), replicas=1, concurrency=8)
        assert result.predicted is not None
        load = result.summary.offered_per_s * 0.5
        alone_s = predict_wait(arrival_rate_per_s=load / 0.5, mean_service_s=0.5, slots=8).mean_s
        waits[text] = result.predicted.wait.mean_s / alone_s

    assert waits["renewal:4"] == pytest.approx(4 / 2)
    assert waits["batch:9"] == pytest.approx(9 / 2)
    assert waits["poisson"] < 1


SHORT = replace(make_workload("sleep", service_law="constant:0.1s"), job_type="short", share=0.8)
LONG = replace(make_workload("sleep", service_law="constant:2s"), job_type="long", share=0.2)


def test_each_job_of_a_mix_is_counted_under_its_type_with_its_own_service_time() -> None:
    result = bench(Load(make_spec(workloads=(SHORT, LONG))))

    held = {(record.job_type, round(record.service_s or 0.0, 6)) for record in result.records}
    assert held == {("short", 0.1), ("long", 2.0)}
    assert result.predicted is not None


def test_theory_predicts_nothing_where_jobs_overtake_others_by_their_queue() -> None:
    result = bench(Load(make_spec(workloads=(replace(SHORT, queue="urgent"), LONG))))

    assert result.predicted is None
    assert result.summary.counts.finished == 100


def test_theory_predicts_nothing_for_a_replay_whose_jobs_arrive_at_its_instants() -> None:
    instants = tuple(second / 7 for second in range(60))
    result = bench(Load(make_spec(instants=instants)))

    assert result.predicted is None
    assert [record.intended_s - START_S for record in result.records] == pytest.approx(list(instants))


def test_a_fleet_that_cannot_keep_up_breaks_its_promise_by_the_backlog() -> None:
    """Two slots carry 4 of 10 jobs/s: over 10 s the backlog grows by 60."""
    result = bench(Load(make_spec(drain_s=60.0), slots=2), replicas=1, concurrency=2)

    assert result.judgement.verdict is Verdict.BROKEN
    assert "backlog" in result.judgement.reasons[0]
    assert result.summary.backlog.max == pytest.approx(60, abs=2)
    assert result.summary.backlog.slope_per_s == pytest.approx(6, rel=0.05)
    assert result.summary.utilisation == pytest.approx(1.0, abs=0.01)
    assert result.summary.counts.finished == 100


def test_a_lost_job_breaks_the_promise() -> None:
    result = bench(Load(make_spec(), loses=lambda request: request.job_id == "run-42"))

    assert result.summary.counts.lost == 1
    assert result.judgement.verdict is Verdict.BROKEN
    assert result.judgement.reasons == ("1 of 100 jobs were lost",)


def test_failures_beyond_one_in_a_hundred_break_the_promise_unless_they_were_asked_for() -> None:
    def load() -> Load:
        return Load(make_spec(), fails=lambda request: request.job_id in {"run-1", "run-2"})

    assert bench(load()).judgement.verdict is Verdict.BROKEN
    assert bench(load(), injected_share=0.02).judgement.verdict is Verdict.KEPT


def test_jobs_that_never_end_are_in_flight_when_the_drain_is_over() -> None:
    load = Load(make_spec(drain_s=5.0), service_s=lambda request: math.inf if request.job_id == "run-7" else 0.5)
    result = bench(load)

    assert result.summary.counts.in_flight == 1
    assert result.judgement.verdict is Verdict.BROKEN
    assert load.clock.now() - START_S == pytest.approx(15.0, abs=0.5)


def test_a_queue_that_refuses_for_a_while_makes_the_run_inconclusive_and_the_books_balance() -> None:
    def outage(elapsed_s: float, fleet: MemoryFleet) -> None:
        fleet.refusing = 3.0 <= elapsed_s < 5.0

    result = bench(Load(make_spec(), on_slept=outage))

    assert result.summary.counts.rejected == 20
    assert result.summary.counts.enqueued == result.summary.counts.finished == 80
    assert result.judgement.verdict is Verdict.INCONCLUSIVE


def test_a_generator_that_falls_behind_makes_the_run_inconclusive() -> None:
    """Sleeping oversleeps by 0.1 s each time: everything due leaves at once, and the lag shows it."""
    load = Load(make_spec(stages=(Stage.steady(100.0, 5.0),)))
    sleep = load.clock.sleep
    load.clock.sleep = lambda seconds: sleep(seconds + 0.1)  # type: ignore[method-assign]
    result = bench(load)

    assert result.summary.counts.scheduled == 500
    assert result.summary.schedule_lag.max == pytest.approx(0.1, abs=0.02)
    assert result.judgement.verdict is Verdict.INCONCLUSIVE
    assert "fell behind" in result.judgement.reasons[0]


def test_sojourn_counts_from_the_intended_arrival() -> None:
    load = Load(make_spec())
    sleep = load.clock.sleep
    load.clock.sleep = lambda seconds: sleep(seconds + 0.03)  # type: ignore[method-assign]
    result = bench(load)

    lag, sojourn = result.summary.schedule_lag.mean, result.summary.sojourn.mean
    assert lag is not None
    assert sojourn is not None
    assert lag > 0.02
    assert sojourn == pytest.approx(0.5 + lag, abs=0.002)


def test_an_interrupted_run_is_judged_by_what_happened_so_far() -> None:
    result = bench(Load(make_spec(), stop_after_s=4.0), interrupted=True)

    assert result.interrupted
    assert 35 <= result.summary.counts.scheduled <= 45
    assert result.summary.counts.in_flight > 0
    assert result.judgement.verdict is Verdict.INCONCLUSIVE


def test_a_warm_up_that_leaves_hardly_any_job_to_judge_makes_a_run_inconclusive() -> None:
    result = bench(Load(make_spec(warmup_s=9.9)))

    assert result.summary.window.length_s == pytest.approx(0.1)
    assert result.judgement.verdict is Verdict.INCONCLUSIVE


def test_too_few_jobs_make_a_run_inconclusive() -> None:
    result = bench(Load(make_spec(stages=(Stage.steady(1.0, 10.0),))))

    assert result.judgement.verdict is Verdict.INCONCLUSIVE


def test_locust_is_told_of_every_job_exactly_once() -> None:
    load = Load(make_spec(), fails=lambda request: request.job_id == "run-3")
    result = bench(load)

    assert len(load.sent) == result.summary.counts.scheduled
    assert len(load.ended) == result.summary.counts.finished + result.summary.counts.failed
    assert sum(failed for _, failed in load.ended) == 1


def test_all_arrivals_due_at_one_wake_up_keep_their_own_instants() -> None:
    load = Load(
        make_spec(stages=(Stage.steady(1000.0, 1.0),), warmup_s=0.1, workloads=(make_workload("noop"),)),
        service_s=lambda request: 0.0,
    )
    sleep = load.clock.sleep
    load.clock.sleep = lambda seconds: sleep(seconds + 0.01)  # type: ignore[method-assign]
    bench(load)

    intended = [sent.intended_s - START_S for sent in load.sent]
    assert intended == pytest.approx(list(load.session.spec.schedule()))
    assert len({sent.sent_s for sent in load.sent}) < len(load.sent) / 5


def test_a_generator_that_ends_without_a_word_is_an_error() -> None:
    class Silent(Load):
        def events(self):  # type: ignore[no-untyped-def]
            yield {"event": "ready"}

    with pytest.raises(JobctlError, match="ended early"):
        bench(Silent(make_spec()))


def test_an_interruption_before_the_start_has_no_result() -> None:
    class Silent(Load):
        def events(self):  # type: ignore[no-untyped-def]
            yield {"event": "end", "start_s": None}

    with pytest.raises(KeyboardInterrupt):
        bench(Silent(make_spec()), interrupted=True)


def test_jobs_that_ended_after_the_last_look_are_told_with_the_census() -> None:
    load = Load(make_spec(), stop_after_s=3.0)
    result = bench(load, interrupted=True)

    assert result.tool_statistics[0]["requests"] == len(load.ended) == result.summary.counts.finished


def test_a_run_that_was_stopped_before_its_first_instant_never_began() -> None:
    load = Load(make_spec())
    load.session.stop()
    with pytest.raises(KeyboardInterrupt):
        run(make_config(load.session.spec), load, lambda: START_S, lambda message: None, lambda: True)

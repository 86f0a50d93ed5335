"""The judgements that compare a prediction with a run. Reality is a simulation here, so that it is known."""

from __future__ import annotations

import random
from dataclasses import replace
from statistics import fmean

import pytest

from jobctl.core.arrivals import POISSON, draw_instants, parse_arrivals
from jobctl.core.demand import Retries, Upstream
from jobctl.core.judging import Judgement
from jobctl.core.limiting import Tuning
from jobctl.core.records import JobRecord, Outcome
from jobctl.core.service import Constant, Exponential, Law, Lognormal
from jobctl.core.simulation import serve
from jobctl.core.slo import Verdict
from jobctl.core.summary import Window, summarise
from jobctl.core.validation import (
    FIGURES,
    Attempt,
    Comparison,
    Figures,
    Measured,
    Rehearsal,
    Replay,
    as_sent,
    measured_of,
    predict,
    replay,
    validate,
)

KEPT = Judgement(Verdict.KEPT)
#: Simulated runs: fewer than a real check makes, and enough.
RUNS = 120
#: 8 of 10 slots are busy, for 600 jobs.
REHEARSAL = Rehearsal(
    arrival_rate_per_s=16.0,
    arrivals=POISSON,
    service=Exponential(0.5),
    replicas=2,
    concurrency=5,
    duration_s=40.0,
    warmup_s=4.0,
)
START_S = 1_700_000_000.0


def happened(
    rehearsal: Rehearsal, seed: int = 1, *, slots: int | None = None, service: Law | None = None, late_s: float = 0.0
) -> Measured:
    """What a run measures where the slots, or the law, are other than was said, or each start is late."""
    rng = random.Random(f"reality:{seed}")
    arrivals = draw_instants(rehearsal.arrivals, rehearsal.stages, rng)
    services = (service or rehearsal.service).draw(rng, len(arrivals))
    served = serve(
        arrivals,
        services,
        slots or rehearsal.slots,
        retries=rehearsal.retries,
        upstream=as_sent(rehearsal.upstream),
        rng=rng,
    )
    records = [
        record(START_S + arrival_s, wait_s + late_s, service_s)
        for arrival_s, wait_s, service_s in zip(arrivals, served.waits, services, strict=True)
    ]
    window = Window(START_S + rehearsal.warmup_s, START_S + rehearsal.duration_s)
    measured = measured_of(records, summarise(records, window, rehearsal.slots), START_S)
    assert measured is not None
    return measured


def record(at_s: float, wait_s: float = 0.0, service_s: float = 1.0, **more: object) -> JobRecord:
    started_s = at_s + wait_s
    fields = {"outcome": Outcome.FINISHED, "retries": 0, "failed_s": 0.0, **more}
    return JobRecord("", "sleep", at_s, at_s, started_s, started_s + service_s, **fields)  # type: ignore[arg-type]


def test_a_system_that_is_what_was_said_is_kept() -> None:
    verdict = validate(REHEARSAL, happened(REHEARSAL), KEPT, RUNS)

    assert verdict.judgement == KEPT
    assert [figure.name for figure in verdict.comparisons] == list(FIGURES)
    assert verdict.replay is not None
    assert verdict.replay.replayed_s == pytest.approx(verdict.replay.measured_s, rel=1e-6)


def test_a_right_model_is_outside_its_interval_about_once_in_twenty_runs() -> None:
    """Of 60 runs Binomial(60, 0.05): 10 or more, or none less often than with a chance of 0.001 and 0.05."""
    short = replace(REHEARSAL, duration_s=20.0, warmup_s=2.0)
    prediction = predict(short, 300)
    outside = 0
    for seed in range(60):
        figures = happened(short, seed).figures
        names = [(getattr(prediction.low, n), getattr(figures, n), getattr(prediction.high, n)) for n in FIGURES]
        outside += not all(low <= value <= high for low, value, high in names)

    assert outside < 10


def test_two_more_slots_than_were_said_are_seen_by_the_replay() -> None:
    found = validate(REHEARSAL, happened(REHEARSAL, slots=12), KEPT, RUNS)

    assert found.replay is not None
    assert not found.replay.agrees
    assert found.judgement.verdict is Verdict.BROKEN
    assert "replay: the mean wait was" in found.judgement.reasons[0]


def test_one_slot_fewer_than_was_said_is_seen_by_the_replay() -> None:
    assert not replay(REHEARSAL, happened(REHEARSAL, slots=9)).agrees


def test_starts_that_are_late_by_more_than_what_no_queue_has_are_seen() -> None:
    assert replay(REHEARSAL, happened(REHEARSAL, late_s=0.004)).agrees
    assert not replay(REHEARSAL, happened(REHEARSAL, late_s=0.050)).agrees


@pytest.mark.parametrize(
    ("service", "name", "words"),
    [
        (Exponential(0.6), "utilisation", "utilisation"),
        (Lognormal.from_mean_and_scv(0.5, 16.0), "wait_p95_s", "wait p95"),
    ],
    ids=["a longer mean", "a heavier tail"],
)
def test_another_law_than_was_said_is_foreseen_by_nobody_and_replayed_all_the_same(
    service: Law, name: str, words: str
) -> None:
    steady = replace(REHEARSAL, duration_s=200.0, warmup_s=20.0)
    found = validate(steady, happened(steady, service=service), KEPT, RUNS)

    assert found.replay is not None
    assert found.replay.agrees
    assert name in {figure.name for figure in found.comparisons if not figure.agrees}
    assert any(reason.startswith(f"predict: {words} was") for reason in found.judgement.reasons)


def test_a_run_with_failures_is_replayed_attempt_by_attempt() -> None:
    """A fifth of the attempts fail: 8 of 10 slots are busy with 12.9 jobs a second instead of 16."""
    retries = Retries(attempts=3, failure_rate=0.2, base_s=0.1, cap_s=1.0)
    failing = replace(REHEARSAL, arrival_rate_per_s=12.9, retries=retries)
    rng = random.Random("failures")
    arrivals = draw_instants(failing.arrivals, failing.stages, rng)
    served = serve(arrivals, failing.service.draw(rng, len(arrivals)), failing.slots, retries=retries, rng=rng)
    mean_s = fmean(served.entry_waits)
    attempts = tuple(Attempt(*each, True) for each in zip(served.entries, served.held, strict=True))
    measured = Measured(Figures(0.8, mean_s, 0.0, 0.0), attempts)
    firsts = replace(measured, attempts=tuple(Attempt(arrival_s, 0.5, True) for arrival_s in arrivals))

    assert replay(failing, measured).replayed_s == pytest.approx(mean_s, rel=1e-9)
    assert not replay(failing, firsts).agrees


def test_attempts_of_a_retried_job_are_where_its_worker_and_its_queue_saw_them() -> None:
    """It came back at 20 for its third attempt: the second is taken to be half way, and both failed ones as long."""
    retried = record(START_S + 6, 15.0, 1.0, retries=2, failed_s=3.0, entered_s=START_S + 20)
    dead = record(START_S + 7, 3.0, outcome=Outcome.FAILED)
    window = Window(START_S + 4, START_S + 14)
    measured = measured_of([retried, dead], summarise([retried, dead], window, 2), START_S)

    assert measured is not None
    assert [(attempt.entered_s, attempt.held_s, attempt.judged) for attempt in measured.attempts] == [
        (6.0, 1.5, False),
        (7.0, pytest.approx(1.0), True),
        (13.0, 1.5, False),
        (20.0, pytest.approx(1.0), False),
    ]
    assert measured.figures.wait_mean_s == 3.0


def test_a_limit_that_binds_is_predicted_and_replayed() -> None:
    """12 calls a second are let through, of 16: after 40 s the line is over 100 jobs, or 8 s, long."""
    limited = replace(REHEARSAL, upstream=Upstream(rpm=720))
    measured = happened(limited)

    assert measured.figures.wait_p95_s > 5
    assert validate(limited, measured, KEPT, RUNS).judgement == KEPT
    assert not replay(replace(limited, upstream=Upstream()), measured).agrees


def test_batches_wait_for_each_other() -> None:
    batches = replace(REHEARSAL, arrivals=parse_arrivals("batch:20"), arrival_rate_per_s=10.0)

    assert (
        predict(batches, 100).middle.wait_mean_s
        > 10 * predict(replace(batches, arrivals=POISSON), 100).middle.wait_mean_s
    )


def test_the_limit_as_it_is_kept_never_admits_more_than_is_allowed() -> None:
    """As many at once as the bucket holds, and the rate from then on: that is what one window may see."""
    tuning = Tuning()
    for rpm, burst in [(60.0, 0), (2400.0, 0), (600.0, 30)]:
        sent = as_sent(Upstream(rpm=rpm, burst=burst))
        assert sent.rpm is not None
        assert sent.burst + 1 + sent.rpm / 60 * (tuning.window_s + tuning.jitter_s) <= rpm + burst + 1
        assert sent.rpm >= 0.97 * rpm
    assert as_sent(Upstream()) == Upstream()


def test_a_run_that_is_not_in_order_proves_nothing() -> None:
    lost = Judgement(Verdict.BROKEN, ("3 of 600 jobs were lost",))
    found = validate(REHEARSAL, happened(REHEARSAL), lost, RUNS)

    assert found.judgement == lost
    assert len(found.comparisons) == len(FIGURES)


def test_few_waits_are_inconclusive_and_nothing_is_claimed_of_them() -> None:
    whole = happened(REHEARSAL)
    few = [attempt for attempt in whole.attempts if attempt.judged][:19]
    measured = replace(whole, attempts=tuple(few))
    for found in (validate(REHEARSAL, measured, KEPT, RUNS), validate(REHEARSAL, None, KEPT, RUNS)):
        assert found.judgement.verdict is Verdict.INCONCLUSIVE
        assert "too few jobs" in found.judgement.reasons[0]
        assert (found.comparisons, found.replay) == ((), None)


def test_what_is_measured_leaves_the_warm_up_and_retried_jobs_out_of_the_waits() -> None:
    records = [
        record(START_S + 1, 9.0),
        record(START_S + 5, 1.0, 2.0),
        record(START_S + 6, 3.0),
        record(START_S + 7, 1.0, retries=1, failed_s=1.0),
    ]
    window = Window(START_S + 4, START_S + 14)
    measured = measured_of(records, summarise(records, window, 2), START_S)

    assert measured is not None
    assert measured.jobs == 2
    assert (measured.figures.wait_mean_s, measured.figures.wait_p50_s, measured.figures.wait_p95_s) == (2.0, 1.0, 3.0)
    assert [attempt.entered_s for attempt in measured.attempts] == [1.0, 5.0, 6.0, 7.0, 8.0]


def test_nothing_is_measured_where_nothing_ran() -> None:
    window = Window(START_S, START_S + 10)

    assert measured_of([], summarise([], window, 2), START_S) is None


def test_jobs_fail_for_good_as_often_as_all_their_attempts_do() -> None:
    """Half the attempts fail, and of those that would not, half take longer than their time."""
    retries = Retries(attempts=2, failure_rate=0.5)
    slow = replace(REHEARSAL, service=Constant(2.0), retries=retries)

    assert slow.job_failure_rate == 0.25
    assert replace(slow, job_timeout_s=1.0).job_failure_rate == 1.0


@pytest.mark.parametrize(
    ("measured_s", "replayed_s", "agrees"),
    [(0.005, 0.0, True), (0.0051, 0.0, False), (1.105, 1.0, True), (1.106, 1.0, False), (0.894, 1.0, False)],
)
def test_a_replayed_mean_may_differ_by_a_tenth_and_five_milliseconds(
    measured_s: float, replayed_s: float, agrees: bool
) -> None:
    assert Replay(measured_s, replayed_s).agrees is agrees


def test_a_figure_beside_its_interval_is_outside_but_for_what_booking_costs() -> None:
    assert Comparison("wait_p95_s", 0.0, 0.0, 0.0, 0.004).agrees
    assert not Comparison("wait_p95_s", 0.0, 0.0, 0.0, 0.006).agrees
    assert not Comparison("utilisation", 0.8, 0.75, 0.85, 0.86).agrees

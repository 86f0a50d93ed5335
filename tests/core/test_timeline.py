"""A run over time keeps what the records say: nothing appears, nothing vanishes, in no step."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.core.quantiles import Sample
from jobctl.core.records import JobRecord, Outcome
from jobctl.core.summary import Window
from jobctl.core.timeline import cut_blocks, timeline_of

START_S = 1_700_000_000.0
DURATION_S = 60.0


def run_of(seed: int, jobs: int, slots: int = 2) -> list[JobRecord]:
    """A queue served first come, first served by one worker, with some jobs lost, failed and unfinished."""
    rng = random.Random(seed)
    free = [0.0] * slots
    records = []
    for number, offset_s in enumerate(sorted(rng.uniform(0, DURATION_S) for _ in range(jobs))):
        sent_s = offset_s + rng.expovariate(1000)
        started_s = max(sent_s, free[0])
        finished_s = started_s + rng.expovariate(2)
        free[0] = finished_s
        free.sort()
        outcome = rng.choices(list(Outcome), [90, 5, 2, 2, 1])[0]
        ran = outcome in (Outcome.FINISHED, Outcome.FAILED)
        records.append(
            JobRecord(
                job_id=f"x-{number}",
                job_type="sleep",
                intended_s=START_S + offset_s,
                enqueued_s=None if outcome is Outcome.REJECTED else START_S + sent_s,
                started_s=START_S + started_s if ran else None,
                finished_s=START_S + finished_s if ran else None,
                outcome=outcome,
                worker="w1" if ran else None,
            )
        )
    return records


def timeline(records: list[JobRecord], concurrency: int | None = 2):  # type: ignore[no-untyped-def]
    return timeline_of(records, START_S, START_S + DURATION_S, concurrency)


@settings(max_examples=25)
@given(st.integers(0, 1000), st.integers(0, 300))
def test_every_job_stands_in_one_step_of_each_row(seed: int, jobs: int) -> None:
    records = run_of(seed, jobs)
    line = timeline(records)
    assert sum(line.offered) == jobs
    assert sum(line.achieved) == sum(record.outcome is Outcome.FINISHED for record in records)
    assert sum(line.failed) == sum(record.outcome is Outcome.FAILED for record in records)
    assert len({len(row) for row in (line.offered, line.achieved, line.failed, line.backlog, line.in_service)}) == 1


@settings(max_examples=25)
@given(st.integers(0, 1000), st.integers(0, 300))
def test_backlog_and_jobs_in_service_at_the_end_of_each_step_are_those_of_the_records(seed: int, jobs: int) -> None:
    records = run_of(seed, jobs)
    line = timeline(records)
    for step in range(len(line.backlog)):
        edge_s = START_S + (step + 1) * line.step_s
        in_service = sum(
            record.started_s is not None
            and record.finished_s is not None
            and record.started_s < edge_s <= record.finished_s
            for record in records
        )
        waiting = sum(
            record.enqueued_s is not None
            and record.enqueued_s < edge_s
            and (record.started_s is None or record.started_s >= edge_s)
            and record.outcome is not Outcome.REJECTED
            for record in records
        )
        assert line.in_service[step] == in_service
        assert line.backlog[step] == waiting


@settings(max_examples=25)
@given(st.integers(0, 1000), st.integers(1, 300))
def test_busy_slot_seconds_are_the_service_times_of_all_jobs(seed: int, jobs: int) -> None:
    records = run_of(seed, jobs)
    line = timeline(records)
    busy_s = sum(share * line.step_s * 2 for shares in line.busy.values() for share in shares)
    assert busy_s == pytest.approx(sum(record.service_s or 0.0 for record in records), rel=1e-6, abs=1e-3)


def test_a_step_without_jobs_has_no_percentile_and_one_job_is_all_of_them() -> None:
    job = JobRecord("x-0", "sleep", START_S + 1.2, START_S + 1.2, START_S + 1.7, START_S + 2.0, Outcome.FINISHED)
    wait = timeline([job]).signals["wait"]
    assert wait.p50[0] is None
    assert wait.p50[2] == wait.p95[2] == wait.max[2] == pytest.approx(0.5)


def test_an_hour_has_at_most_three_hundred_steps_and_its_last_job_is_in_one() -> None:
    job = JobRecord("x-0", "sleep", START_S, START_S, START_S, START_S + 4000.0, Outcome.FINISHED)
    line = timeline_of([job], START_S, START_S + 3600, None)
    assert len(line.offered) <= 300
    assert line.achieved[-1] == 1
    assert line.busy == {}


def test_a_run_of_a_month_still_fits() -> None:
    line = timeline_of([], START_S, START_S + 30 * 86400, 25)
    assert len(line.offered) <= 300
    assert line.step_s * len(line.offered) >= 30 * 86400


@settings(max_examples=25)
@given(st.integers(0, 1000), st.integers(0, 400), st.floats(0, 50))
def test_the_blocks_merged_are_the_window(seed: int, jobs: int, warmup_s: float) -> None:
    records = run_of(seed, jobs)
    window = Window(START_S + warmup_s, START_S + DURATION_S)
    blocks = cut_blocks(records, window)
    inside = [record for record in records if window.holds(record.intended_s)]
    assert sum(blocks.offered) == len(inside)
    assert blocks.length_s * len(blocks.offered) == pytest.approx(window.length_s)
    for name in ("wait", "service", "sojourn"):
        merged = Sample()
        for sample in blocks.signals[name]:
            merged.merge(sample)
        pooled = Sample(
            value
            for record in inside
            if (value := getattr(record, f"{name}_s")) is not None
            and (name != "service" or record.outcome is Outcome.FINISHED)
        )
        assert len(merged) == len(pooled)
        assert [merged.quantile(q) for q in (0.5, 0.95)] == [pooled.quantile(q) for q in (0.5, 0.95)]


@settings(max_examples=25)
@given(st.lists(st.floats(1e-6, 1000), min_size=1, max_size=2000))
def test_a_spectrum_rises_from_the_shortest_to_the_longest_and_agrees_with_the_quantiles(values: list[float]) -> None:
    sample = Sample(values)
    spectrum = sample.spectrum()
    assert [percentile for percentile, _ in spectrum] == sorted(percentile for percentile, _ in spectrum)
    assert [seconds for _, seconds in spectrum] == sorted(seconds for _, seconds in spectrum)
    assert spectrum[-1] == (100.0, max(values))
    at = dict(spectrum)
    if (median := sample.quantile(0.5)) is not None:
        assert at[50.0] == median
    assert len(spectrum) <= 8 + 4 * math.ceil(math.log2(len(values) + 1))

"""Several runs as one: counts add up, durations are merged, and every job keeps its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jobctl.apps.bench.driver import BenchResult, run
from jobctl.apps.bench.pooling import pool
from jobctl.apps.bench.report import to_document
from jobctl.core.arrivals import POISSON, Stage
from jobctl.core.quantiles import Sample
from jobctl.core.records import JobRecord
from jobctl.core.slo import Verdict
from jobctl.core.workload import make_workload
from support.loads import START_S, Load, make_config, make_spec

LAW = make_workload("sleep", service_law="exponential:0.5s")


def runs(count: int, **spec: Any) -> list[BenchResult]:
    """Runs with a seed each."""
    made = []
    for seed in range(1, count + 1):
        load = Load(make_spec(seed=seed, run_id=f"run{seed}", arrivals=POISSON, workloads=(LAW,), **spec))
        config = make_config(load.session.spec)
        made.append(run(config, load, lambda: START_S, lambda _: None, lambda: False))
    return made


def test_counts_add_up_and_percentiles_are_those_of_all_jobs_together() -> None:
    results = runs(4)
    pooled = pool(results[0].config, results, interrupted=False)

    assert pooled.summary.counts.scheduled == sum(result.summary.counts.scheduled for result in results)
    assert pooled.summary.offered_jobs == sum(result.summary.offered_jobs for result in results)
    merged = Sample()
    for result in results:
        merged.merge(result.summary.sojourn)
    assert len(pooled.summary.sojourn) == len(merged)
    assert pooled.summary.sojourn.quantile(0.95) == pytest.approx(merged.quantile(0.95), rel=2e-3)
    assert pooled.summary.service.mean == pytest.approx(
        sum((result.summary.service.mean or 0) * len(result.summary.service) for result in results)
        / len(pooled.summary.service)
    )
    assert pooled.judgement.verdict is Verdict.KEPT


def test_a_job_keeps_all_its_durations_whichever_run_it_is_of() -> None:
    def durations(job: JobRecord) -> list[float | None]:
        return [job.schedule_lag_s, job.enqueue_s, job.wait_s, job.service_s, job.sojourn_s]

    results = runs(3)
    pooled = pool(results[0].config, results, interrupted=False)

    known = {job.job_id: job for result in results for job in result.records}
    assert len(pooled.records) == len(known)
    assert any(job.enqueue_s is not None for job in known.values())
    for job in pooled.records:
        assert durations(job) == [
            pytest.approx(seconds, abs=1e-5) if seconds is not None else None
            for seconds in durations(known[job.job_id])
        ]


def test_the_window_is_that_of_all_runs_and_the_warm_up_of_one() -> None:
    """Four runs of 10 s, one of it warm-up."""
    results = runs(4)
    pooled = pool(results[0].config, results, interrupted=False)

    assert pooled.summary.window.length_s == pytest.approx(4 * 9)
    assert pooled.config.spec.duration_s == pytest.approx(1 + 4 * 9)
    assert pooled.config.is_steady
    assert pooled.summary.utilisation == pytest.approx(
        sum(result.summary.utilisation or 0 for result in results) / 4, rel=0.1
    )


def test_the_document_of_a_pooled_run_is_one_like_any_other() -> None:
    results = runs(3)
    document = to_document(pool(results[0].config, results, interrupted=False), {}, {})

    assert sum(document["blocks"]["offered"]) == document["offered"]["jobs"]
    assert sum(document["timeline"]["offered"]) == document["jobs"]["scheduled"]
    assert document["config"]["duration_s"] == pytest.approx(28)


def test_a_rate_that_changes_does_so_in_every_window() -> None:
    """A ramp from 0 to 10 jobs/s over 10 s: each window is its last nine seconds."""
    results = runs(2, stages=(Stage(10.0, 0.0, 10.0),))
    stages = pool(results[0].config, results, interrupted=False).config.spec.stages

    assert [(stage.duration_s, stage.start_per_s, stage.end_per_s) for stage in stages] == [
        (pytest.approx(1), pytest.approx(0), pytest.approx(1)),
        (pytest.approx(9), pytest.approx(1), pytest.approx(10)),
        (pytest.approx(9), pytest.approx(1), pytest.approx(10)),
    ]


def test_one_run_is_itself() -> None:
    (result,) = runs(1)
    pooled = pool(result.config, [result], interrupted=False)

    assert pooled.records == result.records
    assert pooled.summary.counts == result.summary.counts
    assert pooled.judgement == result.judgement


def test_what_a_generator_doubts_of_one_run_is_doubted_of_all() -> None:
    """Only the second run's clock moved."""
    first, second = runs(2)
    doubts = ("the clock of this generator moved by 0.500 s against Redis' during the run",)
    pooled = pool(first.config, [first, replace(second, doubts=doubts)], interrupted=False)

    assert pooled.judgement.verdict is Verdict.INCONCLUSIVE
    assert pooled.judgement.reasons == doubts


def test_workers_that_ended_and_an_interrupt_are_told() -> None:
    results = runs(2)
    pooled = pool(results[0].config, results, interrupted=True, ended_parts=["round 2, new: worker 1 ended"])

    assert pooled.interrupted
    assert pooled.judgement.verdict is Verdict.INCONCLUSIVE
    assert "round 2, new: worker 1 ended" in pooled.judgement.reasons

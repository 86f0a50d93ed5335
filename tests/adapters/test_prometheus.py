"""What a worker's observer counts, read as Prometheus reads it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from jobctl.adapters.prometheus import PrometheusObserver
from jobctl.core.events import JobEnded, JobOutcome, JobsRecovered, JobStarted, SlotsChanged
from jobctl.core.metrics import WORKER
from jobctl.ports import PoolUse, UpstreamAnswer

CHAT = {"queue": "high", "job_type": "app.chat"}


@pytest.fixture
def observer() -> PrometheusObserver:
    return PrometheusObserver("1.2.3")


def started(
    job_type: str = "app.chat", *, queue: str = "high", attempt: int = 1, wait_s: float | None = 0.2
) -> JobStarted:
    return JobStarted("job-1", queue, job_type, attempt, None if wait_s is None else 100 - wait_s, 100.0)


def run(observer: PrometheusObserver, job: JobStarted, outcome: JobOutcome, reason: str = "") -> None:
    with observer.running(job):
        pass
    observer.ended(JobEnded(job, 103.0, outcome, reason))


def value(observer: PrometheusObserver, name: str, labels: Mapping[str, str] | None = None) -> float | None:
    return observer.registry.get_sample_value(f"jobctl_{name}", dict(labels or {}))


def test_a_job_is_counted_as_started_and_as_finished_with_its_outcome(observer: PrometheusObserver) -> None:
    run(observer, started(), JobOutcome.SUCCEEDED)
    run(observer, started(), JobOutcome.DEAD, "timeout")

    assert value(observer, "jobs_started_total", CHAT) == 2
    assert value(observer, "jobs_finished_total", {**CHAT, "outcome": "succeeded"}) == 1
    assert value(observer, "jobs_finished_total", {**CHAT, "outcome": "dead"}) == 1
    assert value(observer, "jobs_finished_total", {**CHAT, "outcome": "retried"}) == 0


def test_a_job_that_runs_is_started_and_not_finished(observer: PrometheusObserver) -> None:
    with observer.running(started()):
        assert value(observer, "jobs_started_total", CHAT) == 1
        assert value(observer, "jobs_finished_total", {**CHAT, "outcome": "succeeded"}) == 0


def test_wait_and_service_fall_into_their_buckets(observer: PrometheusObserver) -> None:
    run(observer, started(wait_s=0.2), JobOutcome.SUCCEEDED)

    assert value(observer, "job_wait_seconds_bucket", {**CHAT, "le": "0.1"}) == 0
    assert value(observer, "job_wait_seconds_bucket", {**CHAT, "le": "0.25"}) == 1
    assert value(observer, "job_wait_seconds_sum", CHAT) == pytest.approx(0.2)
    assert value(observer, "job_service_seconds_sum", CHAT) == pytest.approx(3.0)


def test_a_wait_that_is_unknown_is_not_a_wait_of_nothing(observer: PrometheusObserver) -> None:
    run(observer, started(wait_s=None), JobOutcome.SUCCEEDED)

    assert value(observer, "job_wait_seconds_count", CHAT) == 0


@pytest.mark.parametrize("outcome", JobOutcome)
def test_only_attempts_that_were_spent_have_a_service_time(observer: PrometheusObserver, outcome: JobOutcome) -> None:
    run(observer, started(), outcome)

    spent = outcome not in {JobOutcome.POSTPONED, JobOutcome.RETURNED}
    assert value(observer, "job_service_seconds_count", CHAT) == spent


def test_retries_are_counted_by_reason(observer: PrometheusObserver) -> None:
    run(observer, started(), JobOutcome.RETRIED, "429")
    run(observer, started(), JobOutcome.DEAD, "429")

    assert value(observer, "retries_total", {**CHAT, "reason": "429"}) == 1


def test_slots_and_abandoned_jobs_are_as_told(observer: PrometheusObserver) -> None:
    observer.slots(SlotsChanged(25, 7, 1))
    observer.recovered(JobsRecovered("w", requeued=3, dead=2))

    assert [value(observer, name) for name in ("slots", "slots_busy", "slots_stuck")] == [25, 7, 1]
    assert value(observer, "abandoned_total") == 5


def test_an_answer_of_the_upstream_has_status_tokens_and_cost(observer: PrometheusObserver) -> None:
    observer.answered(UpstreamAnswer("200", 1.5, "openai/gpt", prompt_tokens=10, completion_tokens=4, cost_usd=0.25))
    observer.answered(UpstreamAnswer("timeout", 120.0, "openai/gpt"))

    model = {"model": "openai/gpt"}
    assert value(observer, "upstream_responses_total", {**model, "status": "200"}) == 1
    assert value(observer, "upstream_responses_total", {**model, "status": "timeout"}) == 1
    assert value(observer, "upstream_latency_seconds_sum") == pytest.approx(121.5)
    assert value(observer, "tokens_total", {**model, "kind": "prompt"}) == 10
    assert value(observer, "tokens_total", {**model, "kind": "completion"}) == 4
    assert value(observer, "cost_usd_total", model) == 0.25


def test_waits_for_limiter_and_pool_and_the_pools_use(observer: PrometheusObserver) -> None:
    observer.waited_for_limit(2.0)
    observer.waited_for_connection(0.01)
    observer.watch_pool(lambda: PoolUse(in_use=2, size=5, most=7))

    assert value(observer, "limiter_wait_seconds_sum") == 2.0
    assert value(observer, "db_pool_wait_seconds_sum") == pytest.approx(0.01)
    assert [value(observer, f"db_pool_{name}") for name in ("in_use", "size", "max")] == [2, 5, 7]


def test_the_heartbeat_is_unknown_until_there_was_one(observer: PrometheusObserver) -> None:
    beats: list[float] = []
    observer.watch_heartbeat(lambda: beats[-1] if beats else None)
    assert math.isnan(value(observer, "last_heartbeat_seconds") or 0)

    beats.append(1234.5)
    assert value(observer, "last_heartbeat_seconds") == 1234.5


def test_names_that_come_with_the_jobs_cannot_grow_without_bound(observer: PrometheusObserver) -> None:
    for number in range(2000):
        run(observer, started(f"planted.f{number}", queue=f"q{number}"), JobOutcome.RETRIED, f"r{number}")
        observer.answered(UpstreamAnswer(str(number), 1.0, f"model-{number}"))
    run(observer, started("", queue="high"), JobOutcome.SUCCEEDED)

    lines = generate_latest(observer.registry).splitlines()
    assert value(observer, "jobs_started_total", {"queue": "other", "job_type": "other"}) == 1950
    assert value(observer, "jobs_started_total", {"queue": "other", "job_type": "unknown"}) == 1
    seen = len(lines)
    for number in range(2000, 2500):
        run(observer, started(f"planted.f{number}", queue=f"q{number}"), JobOutcome.RETRIED, f"r{number}")
        observer.answered(UpstreamAnswer(str(number), 1.0, f"model-{number}"))
    assert len(generate_latest(observer.registry).splitlines()) == seen
    assert len(observer._series) <= 1000


def test_every_metric_has_the_name_kind_and_labels_of_the_catalogue(observer: PrometheusObserver) -> None:
    run(observer, started(), JobOutcome.RETRIED, "429")
    observer.answered(UpstreamAnswer("200", 1.5, "m", prompt_tokens=1, completion_tokens=1, cost_usd=1.0))
    text = generate_latest(observer.registry).decode()

    families = {family.name: family for family in text_string_to_metric_families(text)}
    for metric in WORKER:
        family = families[metric.full_name.removesuffix("_total")]
        assert (family.type, family.documentation) == (metric.kind.value, metric.meaning)
        samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
        assert {frozenset(sample.labels) - {"le"} for sample in samples} == {frozenset(metric.labels)}
    assert value(observer, "build_info", {"version": "1.2.3"}) == 1


def test_observers_share_nothing() -> None:
    one, other = PrometheusObserver("1"), PrometheusObserver("1")
    run(one, started(), JobOutcome.SUCCEEDED)

    assert value(other, "jobs_started_total", CHAT) is None


@pytest.mark.serial
def test_a_job_costs_less_than_30_microseconds_of_cpu(observer: PrometheusObserver) -> None:
    job = started()
    ended = JobEnded(job, 100.2, JobOutcome.SUCCEEDED)

    def cpu_s(jobs: int) -> float:
        began_s = time.thread_time()
        for _ in range(jobs):
            with observer.running(job):
                pass
            observer.ended(ended)
        return (time.thread_time() - began_s) / jobs

    assert min(cpu_s(2000) for _ in range(5)) < 30e-6

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import Counter

from jobctl.adapters.prometheus import PrometheusObserver
from jobctl.adapters.prometheus_api import PrometheusApi
from jobctl.core.events import JobEnded, JobOutcome, JobStarted, SlotsChanged
from jobctl.core.evidence import Evidence
from jobctl.core.metered import from_metrics
from jobctl.errors import JobctlError, ServiceUnavailable
from support.prometheus_server import FakePrometheus, answering, serving

DAY_S = 86_400.0


def worker() -> PrometheusObserver:
    observer = PrometheusObserver("0")
    observer.slots(SlotsChanged(slots=25, busy=0, stuck=0))
    return observer


def run(
    observer: PrometheusObserver,
    *,
    service_s: float,
    wait_s: float = 0.1,
    job_type: str = "f",
    queue: str = "q",
    outcome: JobOutcome = JobOutcome.SUCCEEDED,
) -> None:
    started = JobStarted("id", queue, job_type, 1, 1000.0, 1000.0 + wait_s)
    observer.running(started)
    observer.ended(JobEnded(started, started.started_s + service_s, outcome))


def read(prometheus: FakePrometheus, window_s: float = DAY_S, queue: str | None = None) -> Evidence:
    with PrometheusApi(prometheus.url) as api:
        return from_metrics("here", api.read(window_s, queue))


def refusal(url: str, timeout_s: float = 5.0) -> str:
    with PrometheusApi(url, timeout_s=timeout_s) as api, pytest.raises(JobctlError) as caught:
        api.read(DAY_S)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert text.startswith("--from: ")
    return text


def test_what_all_workers_did_is_told() -> None:
    """Exponential services of 8 s over two workers: 4,320 jobs a day are 0.05 a second."""
    rng = random.Random(1)
    observers = [worker(), worker()]
    services = [rng.expovariate(1 / 8) for _ in range(4320)]
    for number, service_s in enumerate(services):
        run(observers[number % 2], service_s=service_s, wait_s=0.3)
    with serving(FakePrometheus([observer.registry for observer in observers], peak_per_s=0.1)) as prometheus:
        evidence = read(prometheus)

    assert evidence.service is not None
    assert evidence.service.mean_s == pytest.approx(sum(services) / len(services), rel=1e-4)
    assert evidence.service.scv == pytest.approx(1.0, abs=0.1)
    assert evidence.samples == 4320
    assert evidence.arrival_rate_per_s == pytest.approx(0.05)
    assert evidence.peak_factor == pytest.approx(2.0)
    assert evidence.failure_rate == 0
    assert (evidence.concurrency, evidence.replicas) == (25, 2)
    assert evidence.wait is not None
    assert evidence.wait.mean_s == pytest.approx(0.3)
    assert any("between 5 s and 10 s" in note for note in evidence.notes)


def test_types_are_mixed_by_their_shares() -> None:
    observer = worker()
    for _ in range(30):
        run(observer, service_s=0.2, job_type="quick")
    for _ in range(10):
        run(observer, service_s=20.0, job_type="slow")
    with serving(FakePrometheus([observer.registry])) as prometheus:
        evidence = read(prometheus)

    assert [(kind.name, kind.share) for kind in evidence.job_types] == [("quick", 0.75), ("slow", 0.25)]
    assert evidence.job_types[1].service.mean_s == pytest.approx(20.0)
    assert evidence.service is not None
    assert evidence.service.mean_s == pytest.approx(0.75 * 0.2 + 0.25 * 20.0)


def test_failed_attempts_are_those_that_were_retried_or_led_to_death() -> None:
    observer = worker()
    for outcome, times in {
        JobOutcome.SUCCEEDED: 14,
        JobOutcome.RETRIED: 4,
        JobOutcome.DEAD: 2,
        JobOutcome.POSTPONED: 50,
    }.items():
        for _ in range(times):
            run(observer, service_s=1.0, outcome=outcome)
    with serving(FakePrometheus([observer.registry])) as prometheus:
        evidence = read(prometheus)

    assert evidence.failure_rate == pytest.approx(6 / 20)
    assert evidence.arrival_rate_per_s == pytest.approx(16 / DAY_S)
    assert any("failed attempts" in note for note in evidence.notes)


def test_one_queue_may_be_asked_for() -> None:
    observer = worker()
    run(observer, service_s=1.0, queue="q")
    run(observer, service_s=9.0, queue='with "quotes"')
    with serving(FakePrometheus([observer.registry])) as prometheus:
        evidence = read(prometheus, queue="q")

    assert evidence.service is not None
    assert evidence.service.mean_s == pytest.approx(1.0)
    assert evidence.samples == 1


@pytest.mark.parametrize("age_s", [30.0, 100.0, 1000.0, 20_000.0])
def test_a_server_that_is_younger_than_the_window_is_not_taken_to_have_been_idle_before(age_s: float) -> None:
    observer = worker()
    for _ in range(100):
        run(observer, service_s=1.0)
    with serving(FakePrometheus([observer.registry], age_s=age_s)) as prometheus:
        evidence = read(prometheus)

    assert evidence.arrival_rate_per_s == pytest.approx(100 / age_s, rel=0.05)


def test_a_backlog_that_grew_counts_as_arrivals_and_counters_read_a_moment_apart_do_not() -> None:
    observer = worker()
    for _ in range(100):
        run(observer, service_s=1.0)
    enqueued = Counter("jobctl_jobs_enqueued", "Jobs.", ["queue"], registry=observer.registry).labels("q")
    with serving(FakePrometheus([observer.registry])) as prometheus:
        enqueued.inc(103)
        assert read(prometheus).arrival_rate_per_s == pytest.approx(100 / DAY_S)
        enqueued.inc(97)
        assert read(prometheus).arrival_rate_per_s == pytest.approx(200 / DAY_S)


def test_a_window_of_less_than_two_hours_has_no_busiest_hour() -> None:
    observer = worker()
    run(observer, service_s=1.0)
    with serving(FakePrometheus([observer.registry])) as prometheus:
        evidence = read(prometheus, window_s=1800.0)

    assert evidence.peak_factor is None
    assert not any("max_over_time" in query for query in prometheus.queries)


def test_without_our_metrics_there_is_one_line_with_the_remedy() -> None:
    with serving(FakePrometheus([worker().registry])) as prometheus:
        text = refusal(prometheus.url)

    assert "has no jobctl_job_service_seconds of the last 24 h" in text
    assert "--metrics-port" in text


def _says(status: int, body: object) -> Callable[[str], tuple[int, bytes]]:
    return lambda path: (status, body if isinstance(body, bytes) else json.dumps(body).encode())


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, b"# HELP jobctl_slots Slots", "does not answer as Prometheus does (HTTP 200)"),
        (404, b"not found", "does not answer as Prometheus does (HTTP 404)"),
        (200, [1, 2], "does not answer as Prometheus does"),
        (200, {"status": "success"}, "does not answer as Prometheus does"),
        (200, {"status": "success", "data": {"result": [{"metric": {}, "value": ["a"]}]}}, "does not answer as"),
        (503, {"status": "error", "error": "query timed out"}, "refused a query (query timed out)"),
    ],
)
def test_what_is_no_prometheus_is_refused_in_one_line(status: int, body: Any, words: str) -> None:
    with answering(_says(status, body)) as url:
        assert words in refusal(url)


def test_a_server_that_is_not_there_is_told_without_its_password() -> None:
    text = refusal("http://user:secret@127.0.0.1:1")

    assert "cannot be reached" in text
    assert "secret" not in text


def test_a_url_that_means_nothing_is_refused() -> None:
    assert "is no URL" in refusal("http://localhost:port")
    assert "is no URL" in refusal("http://xn--a:9090")  # no name that the domain name system could hold


def test_the_error_is_a_service_that_does_not_answer() -> None:
    with PrometheusApi("http://127.0.0.1:1") as api, pytest.raises(ServiceUnavailable):
        api.read(DAY_S)

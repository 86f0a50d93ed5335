"""The observers that settings ask for, put together and looked at from outside."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import sentry_sdk
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis
from rq import Queue

from jobctl import settings
from jobctl.adapters.listening import listen
from jobctl.adapters.rq_worker import Worker
from jobctl.adapters.sentry import publishing
from jobctl.core.events import JobEnded, JobOutcome, JobStarted, SlotsChanged
from jobctl.core.metrics import EXPORTER, FLEET, WORKER
from jobctl.errors import InvalidOption
from jobctl.ports import PoolUse
from jobctl.wiring.observers import Observation, make_observers, publishing_jobs
from support.sentry_server import sentry_server


@contextmanager
def observing(redis_url: str, directory: Path, **flags: Any) -> Iterator[Observation]:
    merged = settings.load({"metrics_host": "127.0.0.1", **flags}, env={}, directory=directory)
    observation = make_observers(merged, redis_url)
    try:
        yield observation
    finally:
        for observer in observation.workers:
            observer.close(2.0)
        observation.close()


def get(observation: Observation, path: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{observation.port}{path}")


def run(observation: Observation, outcome: JobOutcome, error: BaseException | None = None) -> None:
    job = JobStarted("job-1", "high", "app.chat", 1, 99.0, 100.0)
    for observer in observation.workers:
        with observer.running(job):
            pass
        observer.ended(JobEnded(job, 101.0, outcome, "error", error))


def test_without_a_port_and_a_dsn_there_is_nobody_to_be_told(redis_url: str, tmp_path: Path) -> None:
    with observing(redis_url, tmp_path) as observation:
        assert (observation.workers, observation.upstream, observation.port) == ([], [], None)
        assert (observation.limiter, observation.pool) == (None, None)


def test_a_scrape_has_every_name_that_is_documented(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    Queue("high", connection=redis).enqueue("operator.add", 1, 1)
    with observing(redis_url, tmp_path, metrics_port=0, planned_replicas=2) as observation:
        run(observation, JobOutcome.SUCCEEDED)
        observation.workers[0].slots(SlotsChanged(25, 3, 0))
        text = get(observation, "/metrics").text

    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert {metric.full_name.removesuffix("_total") for metric in (*WORKER, *FLEET, *EXPORTER)} <= set(families)
    values = {sample.name: sample.value for family in families.values() for sample in family.samples}
    assert values["jobctl_slots_busy"] == 3
    assert values["jobctl_queue_depth"] == 1
    assert values["jobctl_planned_replicas"] == 2
    assert values["jobctl_exporter_elected"] == 1
    assert "job-1" not in text


def test_it_is_starting_until_there_is_a_worker_to_look_at(redis_url: str, redis: Redis, tmp_path: Path) -> None:
    with observing(redis_url, tmp_path, metrics_port=0) as observation:
        before = get(observation, "/readyz")
        reasons: list[str | None] = [None]
        observation.watch(
            unready=lambda: reasons[-1],
            last_heartbeat_s=lambda: 1234.0,
            pool_use=lambda: PoolUse(in_use=1, size=4, most=6),
        )
        ready = get(observation, "/readyz")
        reasons.append("draining")
        draining = get(observation, "/readyz")
        text = get(observation, "/metrics").text

    assert [(answer.status_code, answer.text) for answer in (before, ready, draining)] == [
        (503, "starting\n"),
        (200, "ready\n"),
        (503, "draining\n"),
    ]
    assert "jobctl_last_heartbeat_seconds 1234.0" in text
    assert "jobctl_db_pool_size 4.0" in text
    assert "jobctl_db_pool_max 6.0" in text


def test_a_taken_metrics_port_is_the_ports_fault(redis_url: str, tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(InvalidOption, match="cannot be had") as caught:
        make_observers(
            settings.load(
                {"metrics_host": "127.0.0.1", "metrics_port": taken.getsockname()[1]}, env={}, directory=tmp_path
            ),
            redis_url,
        )
    assert caught.value.option == "--metrics-port"


def test_sentry_is_told_too_and_the_settings_secrets_stay_here(redis_url: str, redis: Redis, tmp_path: Path) -> None:
    with sentry_server() as server:
        flags = {"metrics_port": 0, "sentry_dsn": server.dsn, "openrouter_api_key": "a-key-of-no-known-form"}
        with observing(redis_url, tmp_path, **flags) as observation:
            assert len(observation.workers) == len(observation.upstream) == 2
            run(observation, JobOutcome.RETRIED, ValueError("not yet"))
            run(observation, JobOutcome.DEAD, ValueError("refused a-key-of-no-known-form"))
        sentry_sdk.get_global_scope().set_client(None)

    (event,) = server.errors
    assert event["exception"]["values"][0]["value"] == "refused [Filtered]"


def test_every_error_is_sent_when_that_is_asked_for(redis_url: str, redis: Redis, tmp_path: Path) -> None:
    with sentry_server() as server:
        with observing(redis_url, tmp_path, sentry_dsn=server.dsn, sentry_errors="every") as observation:
            run(observation, JobOutcome.RETRIED, ValueError("not yet"))
        sentry_sdk.get_global_scope().set_client(None)

    assert len(server.errors) == 1


def test_an_enqueuer_without_a_dsn_has_no_sentry(tmp_path: Path) -> None:
    with publishing_jobs(settings.load({}, env={}, directory=tmp_path)) as publishing:
        assert publishing is None

    assert not sentry_sdk.get_client().is_active()


def test_a_worker_tells_both_about_functions_and_coroutines(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    queue = Queue("high", connection=redis)
    flags = {"metrics_port": 0, "sentry_traces_sample_rate": 1.0}
    with sentry_server() as server:
        with observing(redis_url, tmp_path, sentry_dsn=server.dsn, **flags) as observation:
            with publishing("high", ["published"]) as meta:
                queue.enqueue("support.observed_jobs.succeed", job_id="published", meta=dict(meta))
            for number in range(4):
                queue.enqueue("support.observed_jobs.fail", f"f{number}")
                queue.enqueue("support.observed_jobs.fail_slowly", f"s{number}")
            worker = Worker(["high"], connection=redis, concurrency=4, observers=observation.workers)
            worker.work(burst=True, logging_level="CRITICAL")
            text = get(observation, "/metrics").text
        sentry_sdk.get_global_scope().set_client(None)

    for job_type, outcome, count in (("succeed", "succeeded", 1), ("fail", "dead", 4), ("fail_slowly", "dead", 4)):
        labels = f'job_type="support.observed_jobs.{job_type}",outcome="{outcome}",queue="high"'
        assert f"jobctl_jobs_finished_total{{{labels}}} {count}.0" in text
    told = {
        event["exception"]["values"][0]["value"]: [crumb["message"] for crumb in event["breadcrumbs"]["values"]]
        for event in server.errors
    }
    words = [f"{kind}{number}" for kind in "fs" for number in range(4)]
    assert told == {word: [word] for word in words}
    traces = {found["transaction"]: found["contexts"]["trace"] for found in server.transactions}
    publish, process = traces["high"], traces["support.observed_jobs.succeed"]
    assert (publish["op"], process["op"]) == ("queue.publish", "queue.process")
    assert (process["trace_id"], process["parent_span_id"]) == (publish["trace_id"], publish["span_id"])


PROBE = """
import sys
from jobctl import settings
from jobctl.wiring.observers import make_observers
merged = settings.load({"metrics_host": "127.0.0.1", **eval(sys.argv[2])}, env={})
make_observers(merged, sys.argv[1]).close()
print(*sorted({"prometheus_client", "sentry_sdk", "httpx"} & set(sys.modules)))
"""


@pytest.mark.parametrize(
    ("flags", "imported"),
    [
        ({}, []),
        ({"metrics_port": 0}, ["prometheus_client"]),
        ({"sentry_dsn": "http://k@127.0.0.1:9/1"}, ["sentry_sdk"]),
        ({"metrics_port": 0, "openrouter_api_key": "sk-or-x"}, ["httpx", "prometheus_client"]),
    ],
)
def test_what_is_not_configured_is_not_imported(
    redis_url: str, redis: Redis, flags: dict[str, Any], imported: list[str]
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROBE, redis_url, repr(flags)], capture_output=True, text=True, timeout=30, check=False
    )

    assert ended.stdout.split() == imported, ended.stderr


def test_closing_is_quick_and_makes_room_for_another_one(redis_url: str, redis: Redis, tmp_path: Path) -> None:
    with observing(redis_url, tmp_path, metrics_port=0) as observation:
        get(observation, "/metrics")
        assert redis.exists("jobctl:exporter")
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 1.0
    assert not redis.exists("jobctl:exporter")

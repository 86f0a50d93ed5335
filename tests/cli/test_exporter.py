from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis
from rq import Queue

from jobctl.adapters import embedded_redis
from jobctl.adapters.processes import ProcessGroup
from jobctl.core.metrics import EXPORTER, FLEET
from jobctl.core.service import Constant
from support.running_mock import KEY, running

COMMAND = ["exporter", "--host", "127.0.0.1", "--port", "0"]


@contextmanager
def exporting(*options: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """An exporter, and where it serves."""
    with subprocess.Popen(
        [sys.executable, "-m", "jobctl", *COMMAND, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            yield process, next(word for word in line.split() if word.startswith("http://")).removesuffix("/metrics")
        finally:
            process.kill()


def scrape(url: str) -> dict[str, float]:
    families = text_string_to_metric_families(httpx.get(f"{url}/metrics").text)
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_it_serves_the_fleets_metrics_with_the_accounts_credit(redis: Redis, redis_url: str) -> None:
    Queue("high", connection=redis).enqueue("operator.add", 1, 1)
    with (
        running(Constant(0.0), {}) as mock,
        exporting(
            "--redis-url", redis_url, "--planned-replicas", "4", OPENROUTER_API_KEY=KEY, OPENROUTER_BASE_URL=mock.url
        ) as (process, url),
    ):
        deadline_s = time.monotonic() + 10
        while "jobctl_openrouter_credit_usd" not in (values := scrape(url)) and time.monotonic() < deadline_s:
            time.sleep(0.2)
        text = httpx.get(f"{url}/metrics").text
        ready = httpx.get(f"{url}/readyz").status_code
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""

    assert ready == 200
    assert values["jobctl_queue_depth"] == 1
    assert values["jobctl_planned_replicas"] == 4
    assert values["jobctl_openrouter_credit_usd"] > 0
    for metric in (*FLEET, *EXPORTER):
        assert f"# TYPE {metric.full_name} {metric.kind}" in text


def test_it_outlives_its_redis(tmp_path: object) -> None:
    with ProcessGroup() as group:
        server = embedded_redis.start(group)
        with exporting("--redis-url", server.url) as (process, url):
            assert scrape(url)["jobctl_redis_up"] == 1
            server.process.kill()
            server.process.wait()
            time.sleep(1.1)  # a reading is shown for a second

            values = scrape(url)
            assert values["jobctl_redis_up"] == 0
            assert "jobctl_workers" not in values
            assert httpx.get(f"{url}/readyz").status_code == 503
            assert httpx.get(f"{url}/healthz").status_code == 200

            embedded_redis.start(group)
            time.sleep(1.1)
            assert scrape(url)["jobctl_workers"] == 0
            assert process.poll() is None


def test_a_taken_port_is_named(redis_url: str, refused: Callable[..., str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = refused(*COMMAND, "--redis-url", redis_url, "--port", str(taken.getsockname()[1]))
    assert "--port" in said
    assert "--port 0 picks a free port" in said


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ([], "--redis-url"),
        (["--redis-url", "nonsense"], "--redis-url"),
        (["--redis-url", "redis://127.0.0.1:1"], "--redis-url"),
        (["--port", "99999"], "--port"),
        (["--redis-url", "redis://h", "--host", "192.0.2.1"], "--host"),
        (["--planned-replicas", "0"], "--planned-replicas"),
    ],
)
def test_bad_input_is_one_line_that_names_the_option(
    monkeypatch: pytest.MonkeyPatch, options: list[str], named: str, refused: Callable[..., str]
) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    assert named in refused(*COMMAND, *options)

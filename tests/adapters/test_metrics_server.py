from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import httpx
import psutil
import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from jobctl.adapters.listening import listen
from jobctl.adapters.metrics_server import MetricsServer

Reasons = list[str | None]


@pytest.fixture
def reasons() -> Reasons:
    """Why it is not ready; the last one holds."""
    return [None]


@pytest.fixture
def url(reasons: Reasons) -> Iterator[str]:
    registry = CollectorRegistry()
    Counter("seen", "Seen.", registry=registry).inc(3)
    server = MetricsServer(listen("127.0.0.1", 0), registry, lambda: reasons[-1])
    yield f"http://127.0.0.1:{server.port}"
    server.close()


def test_metrics_are_text_that_prometheus_reads(url: str) -> None:
    answer = httpx.get(f"{url}/metrics")

    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    (family,) = [family for family in text_string_to_metric_families(answer.text) if family.name == "seen"]
    assert [sample.value for sample in family.samples if sample.name == "seen_total"] == [3]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of itself")
def test_a_process_shows_when_it_started_and_what_it_uses(url: str) -> None:
    families = text_string_to_metric_families(httpx.get(f"{url}/metrics").text)

    values = {sample.name: sample.value for family in families for sample in family.samples}
    process = psutil.Process()
    assert values["process_start_time_seconds"] == pytest.approx(process.create_time(), abs=2)
    assert 0 < values["process_cpu_seconds_total"] <= sum(process.cpu_times()[:2])
    assert values["process_resident_memory_bytes"] > 1e6


def test_openmetrics_is_spoken_to_those_who_ask(url: str) -> None:
    answer = httpx.get(f"{url}/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"})

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def test_it_is_alive_even_when_it_is_not_ready(url: str, reasons: Reasons) -> None:
    assert httpx.get(f"{url}/readyz").status_code == 200

    reasons.append("Redis does not answer")

    ready = httpx.get(f"{url}/readyz")
    assert (ready.status_code, ready.text) == (503, "Redis does not answer\n")
    assert httpx.get(f"{url}/healthz").status_code == 200


def test_what_is_not_there_is_not_there(url: str) -> None:
    assert httpx.get(f"{url}/").status_code == 404
    assert httpx.post(f"{url}/metrics").status_code == 501


def test_a_client_that_says_nothing_keeps_no_other_one_waiting(url: str) -> None:
    port = int(url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)):
        assert httpx.get(f"{url}/healthz", timeout=3).status_code == 200


def test_closing_leaves_the_port() -> None:
    server = MetricsServer(listen("127.0.0.1", 0), CollectorRegistry(), lambda: None)
    server.close()

    listen("127.0.0.1", server.port).close()

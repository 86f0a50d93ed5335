"""``--from``: each kind of source by its real means, and what cannot be read."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue

from jobctl.adapters.prometheus import PrometheusObserver
from jobctl.core.events import JobEnded, JobOutcome, JobStarted
from jobctl.errors import JobctlError
from jobctl.wiring.evidence import read
from support import workers
from support.prometheus_server import FakePrometheus, serving

TABLE = "arrival_s,service_s\n0,1.5\n10,2.5\n"


def refusal(source: str) -> str:
    with pytest.raises(JobctlError) as caught:
        read(source)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert text.startswith("--from")
    assert "; " in text  # the remedy
    return text


@pytest.mark.parametrize("name", ["jobs.csv", "jobs.csv.gz"])
def test_a_table_is_read_packed_or_not(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(TABLE.encode()) if name.endswith(".gz") else TABLE.encode())
    evidence = read(str(path))

    assert evidence.service is not None
    assert evidence.service.mean_s == pytest.approx(2.0)
    assert evidence.source == str(path)


def test_jobs_on_a_redis_are_read_of_one_queue_or_of_all(redis: Redis, redis_url: str) -> None:
    for queue, jobs in {"a": 2, "b": 3}.items():
        for _ in range(jobs):
            Queue(queue, connection=redis).enqueue(workers.add, 1, 2)
    workers.burst(redis, "a,b")

    assert read(redis_url).samples == 5
    only = read(f"{redis_url}?queue=a")
    assert only.samples == 2
    assert only.source.endswith(" queue a")
    assert any("read 2 finished jobs" in note for note in only.notes)


def test_a_prometheus_is_asked_about_a_window_and_a_queue() -> None:
    observer = PrometheusObserver("0")
    started = JobStarted("id", "a b", "f", 1, 0.0, 0.1)
    observer.ended(JobEnded(started, 2.1, JobOutcome.SUCCEEDED))
    with serving(FakePrometheus([observer.registry])) as prometheus:
        evidence = read(f"{prometheus.url}/?window=6h&queue=a+b")

    assert evidence.service is not None
    assert evidence.service.mean_s == pytest.approx(2.0)
    assert evidence.arrival_rate_per_s == pytest.approx(1 / 21_600)
    assert evidence.source.endswith("last 6 h")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("missing.json", "cannot be read"),
        ("missing.csv", "cannot be read"),
        ("ftp://host/x", "is no source that is known"),
        ("redis://user:secret@127.0.0.1:1/0", "cannot be reached"),
        ("redis://host:port", "no valid host and port"),
        ("unix:///nowhere.sock?queue=a", "cannot be reached"),
        ("http://127.0.0.1:1", "cannot be reached"),
        ("http://127.0.0.1:1?window=long", "'long' is not a duration"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(
    source: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = refusal(source)

    assert words in text
    assert "secret" not in text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("not json", "is not JSON"),
        (json.dumps({"schema": "jobctl.plan/1"}), "a document of jobctl.plan/1"),
        (json.dumps([]), "no result of a bench"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_a_file_that_holds_something_else_is_told_in_one_line(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(content)

    assert words in refusal(str(path))

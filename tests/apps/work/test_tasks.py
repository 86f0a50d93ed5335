from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue, SimpleWorker

from jobctl import settings, wiring
from jobctl.apps.work import tasks
from jobctl.errors import InvalidOption, UpstreamStatus
from support.servers import FaultyMock, serving

KEY = "sk-or-v1-test"


@pytest.fixture
def mock() -> Iterator[tuple[FaultyMock, str]]:
    mock = FaultyMock()
    with serving(mock) as origin:
        yield mock, f"{origin}/api/v1"


@pytest.fixture(autouse=True)
def _unbound(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A process that nobody has bound, away from any settings file."""
    monkeypatch.setattr(tasks, "_chat", None)
    monkeypatch.setattr(tasks, "_attempt", lambda: 1)
    monkeypatch.chdir(tmp_path)
    for field in settings.FIELDS:
        monkeypatch.delenv(field.env, raising=False)


def in_environment(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("OPENROUTER_BASE_URL", url)
    monkeypatch.setenv("OPENROUTER_API_KEY", KEY)


def test_a_chat_completion_asks_what_it_was_bound_to_one_user_message() -> None:
    asked: list[dict[str, Any]] = []

    def chat(**call: Any) -> dict[str, Any]:
        asked.append(call)
        return {"content": "hi"}

    tasks.bind(chat)

    assert tasks.chat_completion("hello", max_tokens=5) == {"content": "hi"}
    assert asked == [
        {"messages": [{"role": "user", "content": "hello"}], "model": "openai/gpt-4o-mini", "max_tokens": 5}
    ]


def test_a_worker_that_jobctl_did_not_boot_binds_itself_from_the_environment(
    mock: tuple[FaultyMock, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    in_environment(monkeypatch, mock[1])

    assert tasks.chat_completion("hello")["attempts"] == 1


def test_it_binds_once_however_many_threads_begin_together(
    mock: tuple[FaultyMock, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    in_environment(monkeypatch, mock[1])
    binds: list[object] = []
    bind = wiring.bind_tasks_from_environment

    def counted() -> None:
        binds.append(None)
        time.sleep(0.05)
        bind()

    monkeypatch.setattr(wiring, "bind_tasks_from_environment", counted)
    with ThreadPoolExecutor(25) as pool:
        answers = list(pool.map(tasks.chat_completion, ["hello"] * 25))

    assert len({answer["id"] for answer in answers}) == 25
    assert len(binds) == 1


def test_without_a_key_the_job_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENROUTER_BASE_URL", "http://127.0.0.1:9/api/v1")

    with pytest.raises(InvalidOption, match="OPENROUTER_API_KEY: is not set; set it to your OpenRouter key"):
        tasks.chat_completion("hello")


def test_the_total_deadline_of_a_call_is_a_setting(
    mock: tuple[FaultyMock, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mock[0].demands.extend([{"X-Mock-Fault": "429", "X-Mock-Retry-After": "5"}])
    in_environment(monkeypatch, mock[1])
    monkeypatch.setenv("JOB_CALL_TIMEOUT", "4s")
    started_s = time.monotonic()

    with pytest.raises(UpstreamStatus, match="429"):
        tasks.chat_completion("hello")
    assert time.monotonic() - started_s < 3


def test_a_stock_rq_worker_runs_it_and_keeps_the_result(
    redis: Redis, redis_url: str, mock: tuple[FaultyMock, str], tmp_path: Path
) -> None:
    """A real forking worker in a process of its own, with nothing but the environment to go by."""
    job = Queue("default", connection=redis).enqueue("jobctl.apps.work.tasks.chat_completion", prompt="hello")
    environment = {"PATH": os.environ["PATH"], "OPENROUTER_BASE_URL": mock[1], "OPENROUTER_API_KEY": KEY}
    ended = subprocess.run(
        [str(Path(sys.executable).with_name("rq")), "worker", "--burst", "-u", redis_url, "default"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    result = job.return_value()
    assert result is not None, ended.stderr
    assert (result["model"], result["finish_reason"], result["attempts"]) == ("openai/gpt-4o-mini", "stop", 1)
    assert result["cost_usd"] > 0


def test_a_failed_call_keeps_the_upstreams_words_and_the_number_of_attempts(
    redis: Redis, mock: tuple[FaultyMock, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    in_environment(monkeypatch, mock[1])
    mock[0].demands.extend([{"X-Mock-Fault": "402"}])
    job = Queue("default", connection=redis).enqueue("jobctl.apps.work.tasks.chat_completion", prompt="hello")
    SimpleWorker(["default"], connection=redis).work(burst=True, logging_level="CRITICAL")

    result = job.latest_result()
    assert result is not None
    assert result.exc_string is not None
    assert "UpstreamStatus: 402 Insufficient credits" in result.exc_string
    assert "Given up after attempt 1 of at most 3." in result.exc_string
    assert KEY not in result.exc_string


def test_sleep_holds_its_slot_that_long() -> None:
    started_s = time.monotonic()

    assert tasks.sleep(0.05) == 0.05
    assert time.monotonic() - started_s >= 0.05


def test_noop_is_nothing() -> None:
    assert tasks.noop() is None


def test_a_sleep_job_fails_as_often_as_it_was_told_and_then_succeeds() -> None:
    attempts = iter((1, 2, 3))
    tasks.bind(lambda **call: {}, lambda: next(attempts))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="meant to fail"):
            tasks.sleep(0.001, [0.0, 0.0])

    assert tasks.sleep(0.001, [0.0, 0.0]) == 0.001


def test_in_a_worker_that_does_not_tell_every_attempt_is_the_first() -> None:
    with pytest.raises(RuntimeError):
        tasks.sleep(0.0, [0.0])
    assert tasks.sleep(0.0) == 0.0

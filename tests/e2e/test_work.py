"""`jobctl work` as a process, with real signals, started in a user's directory with a user's module."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from redis import Redis
from rq import Queue
from rq.job import Job, JobStatus

from support.waiting import wait_until

PATIENCE_S = 30.0
WORK = ("-m", "jobctl", "work")
MODULE = """
import asyncio, time
from redis import Redis

def add(a, b):
    return a + b

async def add_later(a, b):
    await asyncio.sleep(0.05)
    return a + b

def note_and_sleep(url, seconds):
    with Redis.from_url(url) as redis:
        redis.incr("began")
    time.sleep(seconds)
    return "slept"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's directory."""
    (tmp_path / "mytasks.py").write_text(MODULE, encoding="utf-8")
    return tmp_path


@pytest.fixture
def queue(redis: Redis) -> Queue:
    return Queue(connection=redis)


def environment(redis_url: str | None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("REDIS_", "JOB_", "OPENROUTER_"))}
    return kept if redis_url is None else {**kept, "REDIS_URL": redis_url}


def run(
    words: Sequence[str], project: Path, redis_url: str | None = None, program: Sequence[str] = WORK
) -> subprocess.CompletedProcess[str]:
    """Run to the end."""
    return subprocess.run(
        [sys.executable, *program, *words],
        cwd=project,
        env=environment(redis_url),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@contextmanager
def working(project: Path, redis_url: str | None, *words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A worker that listens, and the line by which it said so."""
    with subprocess.Popen(
        [sys.executable, *WORK, *words],
        cwd=project,
        env=environment(redis_url),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline()
        finally:
            if process.poll() is None:
                process.kill()


def statuses(jobs: Sequence[Job]) -> list[JobStatus]:
    return [job.get_status() for job in jobs]


def test_a_burst_drains_a_users_plain_functions_and_coroutines(project: Path, redis_url: str, queue: Queue) -> None:
    jobs = [queue.enqueue(f"mytasks.{name}", number, 1) for number in range(10) for name in ("add", "add_later")]
    done = run(["--burst"], project, redis_url)
    assert (done.returncode, done.stderr) == (0, "")
    assert [job.return_value() for job in jobs] == [number + 1 for number in range(10) for _ in range(2)]


def test_as_many_jobs_run_at_once_as_asked_for(project: Path, redis: Redis, redis_url: str, queue: Queue) -> None:
    jobs = [queue.enqueue("mytasks.note_and_sleep", redis_url, 1.5) for _ in range(12)]
    with working(project, redis_url, "--concurrency", "8", "--burst"):
        wait_until(lambda: int(redis.get("began") or 0) >= 8)
        assert statuses(jobs).count(JobStatus.STARTED) == 8
        assert int(redis.get("began") or 0) == 8
        wait_until(lambda: set(statuses(jobs)) == {JobStatus.FINISHED})


def test_sigterm_lets_running_jobs_end_and_leaves_the_others(
    project: Path, redis: Redis, redis_url: str, queue: Queue
) -> None:
    jobs = [queue.enqueue("mytasks.note_and_sleep", redis_url, 1.0) for _ in range(5)]
    with working(project, redis_url, "--concurrency", "2") as (process, _):
        wait_until(lambda: redis.get("began") == b"2")
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
    assert statuses(jobs) == [JobStatus.FINISHED] * 2 + [JobStatus.QUEUED] * 3
    assert queue.job_ids == [job.id for job in jobs[2:]]
    assert queue.intermediate_queue.get_job_ids() == []
    assert redis.smembers("rq:workers") == set()


def test_a_second_sigterm_puts_running_jobs_back(project: Path, redis: Redis, redis_url: str, queue: Queue) -> None:
    job, behind = (queue.enqueue("mytasks.note_and_sleep", redis_url, PATIENCE_S) for _ in range(2))
    with working(project, redis_url, "--concurrency", "1") as (process, _):
        wait_until(lambda: redis.get("began") == b"1")
        process.terminate()
        time.sleep(1.2)  # within a second RQ takes two signals for one
        assert process.poll() is None
        process.terminate()
        assert process.wait(5.0) == 0
    assert queue.job_ids == [job.id, behind.id]
    assert job.get_status() is JobStatus.QUEUED
    assert queue.started_job_registry.get_job_ids(cleanup=False) == []
    assert job.get_executions() == []


def test_a_signal_right_after_the_worker_said_that_it_listens_ends_it_orderly(
    project: Path, redis: Redis, redis_url: str
) -> None:
    with working(project, redis_url) as (process, line):
        process.send_signal(signal.SIGINT)
        assert "listening on" in line
        assert process.wait(PATIENCE_S) == 0
    assert redis.smembers("rq:workers") == set()


def test_rq_info_shows_workers_queues_and_jobs(project: Path, redis: Redis, redis_url: str, queue: Queue) -> None:
    queue.enqueue("mytasks.note_and_sleep", redis_url, 2.0)
    with working(project, redis_url, "--name", "mine"):
        wait_until(lambda: redis.get("began"))
        shown = run(["info", "-u", redis_url], project, program=("-m", "rq.cli")).stdout
    assert "1 workers, 1 queues" in shown
    assert re.search(r"mine \(.*\): busy", shown)


def test_rqs_own_command_line_runs_our_worker(project: Path, redis_url: str, queue: Queue) -> None:
    jobs = [queue.enqueue("mytasks.add", number, 1) for number in range(30)]
    command = ["worker", "--worker-class", "jobctl.Worker", "--burst", "-u", redis_url]
    done = run(command, project, program=("-m", "rq.cli"))
    assert done.returncode == 0, done.stderr
    assert [job.return_value() for job in jobs] == list(range(1, 31))


def test_without_a_redis_it_starts_one_and_says_where(project: Path) -> None:
    with working(project, None, "--burst") as (process, line):
        assert "Redis unix:///" in line
        assert process.wait(PATIENCE_S) == 0


def test_nothing_is_left_when_the_worker_is_killed(project: Path) -> None:
    with working(project, None) as (process, line):
        found = re.search(r"unix://(\S+)/redis\.sock", line)
        assert found is not None
        directory = Path(found[1])
        family = psutil.Process(process.pid).children(recursive=True)
        assert directory.is_dir()
        process.kill()
        process.wait()
    assert family
    wait_until(lambda: not directory.exists() and not any(child.is_running() for child in family))


def test_a_name_that_is_taken_is_refused_in_one_line(project: Path, redis_url: str, redis: Redis) -> None:
    with working(project, redis_url, "--name", "mine") as (process, _):
        done = run(["--burst", "--name", "mine"], project, redis_url)
        process.terminate()
        process.wait(PATIENCE_S)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [done.stderr.rstrip("\n")]
    assert "--name" in done.stderr
    assert "another name" in done.stderr


def test_an_unreachable_redis_is_told_in_time(project: Path) -> None:
    began = time.monotonic()
    done = run(["--redis-url", "redis://127.0.0.1:1/0"], project)
    assert time.monotonic() - began < 5.0
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "--redis-url" in done.stderr

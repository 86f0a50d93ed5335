"""SIGTERM: what runs may end, and what cannot end in time goes back to where it came from, as if it had never begun."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest
from redis import Redis
from rq import Queue
from rq.job import Job, JobStatus

from support.chaos import Replica, replica, times
from support.waiting import wait_until

SLOTS = 25


@pytest.fixture
def queue(redis: Redis) -> Queue:
    return Queue("q", connection=redis)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def enqueue(queue: Queue, journal: Path, count: int, seconds: float, function: str = "sleep") -> list[Job]:
    return [
        queue.enqueue(f"support.chaos_jobs.{function}", str(journal), f"job-{number}", seconds, job_id=f"job-{number}")
        for number in range(count)
    ]


def wait_until_begun(journal: Path, count: int = SLOTS) -> None:
    wait_until(lambda: sum(times(journal, "begin").values()) == count, what=f"the start of {count} jobs")


def ended_after_s(worker: Replica) -> float:
    """How long a worker took to end, which it did in good order."""
    began_s = time.monotonic()
    assert worker.process.wait(40) == 0
    return time.monotonic() - began_s


def assert_as_if_never_begun(
    redis: Redis, queue: Queue, jobs: Sequence[Job], before: Sequence[dict[bytes, bytes]]
) -> None:
    """They are first in their queue, in their old order, with nothing spent, and on nobody's books."""
    assert queue.job_ids[: len(jobs)] == [job.id for job in jobs]
    for job, fields in zip(jobs, before, strict=True):
        now = redis.hgetall(job.key)
        assert int(now.pop(b"jobctl_attempts", b"0")) == int(fields.get(b"jobctl_attempts", b"0"))
        kept = fields.keys() - {b"jobctl_attempts", b"last_heartbeat"}
        assert {name: now.get(name, b"") for name in kept} == {name: fields[name] for name in kept}
    assert queue.started_job_registry.get_job_ids(cleanup=False) == []
    assert [key for pattern in ("rq:execution*", "rq:worker*:executions") for key in redis.keys(pattern)] == []
    assert redis.zcard("rq:failed:q") == redis.zcard("rq:scheduled:q") == redis.zcard("rq:finished:q") == 0


def assert_unregistered(redis: Redis) -> None:
    assert redis.smembers("rq:workers") == redis.smembers("rq:workers:q") == set()
    assert redis.zcard("rq:jobctl:pulses") == 0


@pytest.mark.parametrize("function", ["sleep", "sleep_on_the_loop"], ids=["functions", "coroutines"])
def test_jobs_that_do_not_end_in_time_are_first_in_their_queue_again_with_nothing_spent(
    redis: Redis, redis_url: str, queue: Queue, tmp_path: Path, journal: Path, function: str
) -> None:
    jobs = enqueue(queue, journal, SLOTS + 5, 10.0, function)
    redis.hset(jobs[3].key, "jobctl_attempts", "2")
    redis.hdel(jobs[3].key, "started_at")
    before = [redis.hgetall(job.key) for job in jobs]
    with replica(tmp_path, redis_url, "--drain-timeout", "3") as worker:
        wait_until_begun(journal)
        worker.process.terminate()
        lasted_s = ended_after_s(worker)
    assert 3.0 <= lasted_s <= 5.0
    assert_as_if_never_begun(redis, queue, jobs, before)
    assert queue.job_ids == [job.id for job in jobs]
    assert_unregistered(redis)
    assert times(journal, "end") == dict.fromkeys((job.id for job in jobs[:SLOTS]), 0)


@pytest.mark.parametrize("function", ["sleep", "sleep_on_the_loop"], ids=["functions", "coroutines"])
def test_jobs_that_end_in_time_end(
    redis: Redis, redis_url: str, queue: Queue, tmp_path: Path, journal: Path, function: str
) -> None:
    jobs = enqueue(queue, journal, SLOTS + 5, 2.0, function)
    with replica(tmp_path, redis_url, "--drain-timeout", "3") as worker:
        wait_until_begun(journal)
        worker.process.terminate()
        lasted_s = ended_after_s(worker)
    assert lasted_s < 3.0
    assert [job.get_status() for job in jobs] == [JobStatus.FINISHED] * SLOTS + [JobStatus.QUEUED] * 5
    assert [job.return_value() for job in jobs[:SLOTS]] == [f"{job.id} slept" for job in jobs[:SLOTS]]
    assert queue.job_ids == [job.id for job in jobs[SLOTS:]]
    assert_unregistered(redis)


def test_jobs_that_were_put_back_run_again_from_their_first_attempt(
    redis: Redis, redis_url: str, queue: Queue, tmp_path: Path, journal: Path
) -> None:
    jobs = enqueue(queue, journal, 3, 1.0)
    with replica(tmp_path, redis_url, "--drain-timeout", "0") as worker:
        wait_until_begun(journal, 3)
        assert worker.stop() == 0
    with replica(tmp_path, redis_url):
        wait_until(lambda: redis.zcard("rq:finished:q") == len(jobs))
    assert [redis.hget(job.key, "jobctl_attempts") for job in jobs] == [b"1"] * len(jobs)


def test_a_second_sigterm_does_not_wait(
    redis: Redis, redis_url: str, queue: Queue, tmp_path: Path, journal: Path
) -> None:
    jobs = enqueue(queue, journal, SLOTS, 20.0)
    before = [redis.hgetall(job.key) for job in jobs]
    with replica(tmp_path, redis_url, "--drain-timeout", "20") as worker:
        wait_until_begun(journal)
        worker.process.terminate()
        time.sleep(1.2)  # within a second RQ takes two signals for one
        assert worker.process.poll() is None
        worker.process.terminate()
        assert ended_after_s(worker) < 2.0
    assert_as_if_never_begun(redis, queue, jobs, before)
    assert_unregistered(redis)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_an_idle_worker_ends_at_once(redis: Redis, redis_url: str, tmp_path: Path, number: signal.Signals) -> None:
    with replica(tmp_path, redis_url) as worker:
        time.sleep(0.5)  # it has looked at its queues, and listens
        worker.process.send_signal(number)
        assert ended_after_s(worker) < 1.0
    assert_unregistered(redis)


def namespace() -> list[str]:
    """The command that makes a program process 1 of a namespace of its own; nothing where this user may not."""
    unshare = shutil.which("unshare")
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    words = [unshare or "", *user, "--fork", "--pid", "--mount-proc", "--kill-child"]
    if unshare is None or subprocess.run([*words, "true"], capture_output=True, check=False).returncode != 0:
        return []
    return words


def status_of(pid: int, field: str) -> str:
    found = re.search(rf"^{field}:\s*(.*)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def test_signals_reach_it_as_process_1(
    redis: Redis, redis_url: str, queue: Queue, tmp_path: Path, journal: Path
) -> None:
    """The kernel hands process 1 of a namespace only the signals that it handles by itself.

    Where this user may not make a namespace, that it handles them is all that can be seen.
    """
    jobs = enqueue(queue, journal, SLOTS, 20.0)
    before = [redis.hgetall(job.key) for job in jobs]
    inside = namespace()
    with replica(tmp_path, redis_url, "--drain-timeout", "1", before=inside) as worker:
        wait_until_begun(journal)
        process = psutil.Process(worker.process.pid)
        worker_process = process.children()[0] if inside else process
        assert status_of(worker_process.pid, "NSpid").split()[-1] == ("1" if inside else str(worker_process.pid))
        caught = int(status_of(worker_process.pid, "SigCgt"), 16)
        assert all(caught >> (number - 1) & 1 for number in (signal.SIGTERM, signal.SIGINT))
        worker_process.terminate()
        lasted_s = ended_after_s(worker)
    assert 1.0 <= lasted_s < 3.0
    assert_as_if_never_begun(redis, queue, jobs, before)
    assert_unregistered(redis)

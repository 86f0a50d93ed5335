"""``jobctl enqueue`` as a process: signals, and a Redis that goes away under it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue

from jobctl.adapters import embedded_redis
from jobctl.adapters.processes import ProcessGroup
from jobctl.adapters.redis_connection import connect
from jobctl.core.arrivals import POISSON, Stage, make_schedule

PATIENCE_S = 20.0


def start(directory: Path, redis_url: str, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "jobctl", "enqueue", "--job", "noop", "--redis-url", redis_url, *words],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    give_up_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < give_up_s
        time.sleep(0.01)


def finish(process: subprocess.Popen[str]) -> tuple[int, int, str, str]:
    """Its exit code, the number of jobs it says went in, and its two outputs."""
    said, complaint = process.communicate(timeout=PATIENCE_S)
    report = re.search(
        r"^enqueued (\d+) jobs? on queue default in [\d.]+ s(; \d+ more may be in)?$", said, re.MULTILINE
    )
    assert report is not None, (said, complaint)
    return process.returncode, int(report[1]), said, complaint


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["--rate", "50", "--duration", "1h"], id="between arrivals"),
        pytest.param(["--count", "500000"], id="amid batches"),
    ],
)
def test_a_signal_ends_it_with_the_true_count(
    tmp_path: Path, redis: Redis, redis_url: str, number: signal.Signals, words: list[str]
) -> None:
    queue = Queue("default", connection=redis)
    process = start(tmp_path, redis_url, *words)
    wait_until(lambda: queue.count > 5, process)
    process.send_signal(number)
    status, sent, _, complaint = finish(process)

    assert (status, complaint) == (105, "")
    assert sent == queue.count


def test_a_signal_is_heard_long_before_the_next_arrival(tmp_path: Path, redis: Redis, redis_url: str) -> None:
    def gaps(seed: int) -> tuple[float, float]:
        first_s, second_s = make_schedule(POISSON, [Stage.steady(0.1, 1000.0)], seed)[:2]
        return first_s, second_s - first_s

    seed = next(seed for seed in count() if gaps(seed)[0] < 0.2 and gaps(seed)[1] > 2 * PATIENCE_S)
    queue = Queue("default", connection=redis)
    process = start(tmp_path, redis_url, "--rate", "0.1", "--duration", "1h", "--seed", str(seed))
    wait_until(lambda: queue.count == 1, process)
    process.send_signal(signal.SIGINT)
    status, sent, _, _ = finish(process)

    assert (status, sent) == (105, 1)


def test_a_redis_that_dies_is_one_line_and_the_count_before(tmp_path: Path) -> None:
    with ProcessGroup() as group:
        server = embedded_redis.start(group)
        process = start(tmp_path, server.url, "--rate", "100", "--duration", "1h")
        with connect(server.url) as client:
            wait_until(lambda: Queue("default", connection=client).count > 5, process)
            pid = int(client.info("server")["process_id"])
            before = Queue("default", connection=client).count
        os.kill(pid, signal.SIGKILL)
        status, sent, _, complaint = finish(process)

    assert status == 2
    assert sent >= before
    assert len(complaint.splitlines()) == 1
    assert complaint.startswith("jobctl: --redis-url: Redis did not take a command")


def test_a_redis_that_hangs_is_left_by_a_second_signal_which_says_what_is_in_doubt(tmp_path: Path) -> None:
    with ProcessGroup() as group:
        server = embedded_redis.start(group)
        process = start(tmp_path, server.url, "--rate", "100", "--duration", "1h")
        with connect(server.url) as client:
            wait_until(lambda: Queue("default", connection=client).count > 5, process)
            pid = int(client.info("server")["process_id"])
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        status, sent, said, complaint = finish(process)
        os.kill(pid, signal.SIGCONT)
        with connect(server.url) as client:
            assert Queue("default", connection=client).count >= sent

    assert (status, complaint) == (105, "")
    assert re.search(r"; \d+ more may be in$", said.strip())

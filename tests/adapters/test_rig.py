from __future__ import annotations

import signal
import subprocess
import sys
import time

import psutil
import pytest
from redis import Redis

from jobctl.adapters.embedded_redis import EmbeddedRedis
from jobctl.adapters.processes import ProcessGroup
from jobctl.adapters.rig import Rig
from jobctl.errors import JobctlError

#: Works for a fifth of a CPU second with 40 MB in its hands, says so and waits.
BUSY = """
import sys, time
held = b"x" * 40_000_000
while time.process_time() < 0.2:
    pass
print("ready", flush=True)
time.sleep(60)
"""


def start(group: ProcessGroup) -> subprocess.Popen[bytes]:
    process = group.spawn([sys.executable, "-c", BUSY], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.stdout.close()
    return process


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have no /proc")
def test_workers_are_read_by_the_books_of_the_system() -> None:
    with ProcessGroup() as group:
        rig = Rig(group)
        rig.workers = [start(group), start(group)]
        began_s = time.time()
        reading = rig.read_usage()
        seen = [psutil.Process(worker.pid) for worker in rig.workers]

        assert reading is not None
        assert reading.workers == 2
        assert began_s <= reading.at_s <= time.time()
        assert reading.cpu_s == pytest.approx(sum(sum(process.cpu_times()[:2]) for process in seen), abs=0.05)
        assert reading.cpu_s >= 0.38
        assert reading.memory_bytes == pytest.approx(max(process.memory_info().rss for process in seen), rel=0.05)
        assert reading.memory_bytes > 40_000_000


def test_without_workers_of_ours_nothing_is_read() -> None:
    with ProcessGroup() as group:
        assert Rig(group).read_usage() is None


def test_a_worker_that_has_ended_leaves_no_reading() -> None:
    with ProcessGroup() as group:
        rig = Rig(group)
        rig.workers = [group.spawn(["true"])]
        rig.workers[0].wait()

        assert rig.read_usage() is None


def test_a_mock_that_ended_by_itself_is_named() -> None:
    with ProcessGroup() as group:
        rig = Rig(group)
        rig.start_mock([], "SECRET")
        assert rig.ended_parts() == []
        (mock,) = (child for child in psutil.Process().children() if "mock" in child.cmdline())
        mock.kill()
        while not rig.ended_parts():
            time.sleep(0.01)

        assert rig.ended_parts() == [f"the mock (pid {mock.pid}) ended with status -9"]


def test_a_worker_that_was_killed_is_revived_under_a_name_that_nobody_takes_for_alive(
    redis_server: EmbeddedRedis,
) -> None:
    with ProcessGroup() as group, Redis.from_url(redis_server.url) as connection:
        rig = Rig(group)
        rig.start_workers(1, 1, ["q"], redis_server.url, {}, secluded=True)
        first = rig.workers[0]
        rig.kill(1)
        assert first.returncode == -signal.SIGKILL
        assert rig.ended_parts() == []
        with pytest.raises(JobctlError, match="had ended before"):
            rig.freeze(1)
        rig.revive()
        with pytest.raises(JobctlError, match="was not killed"):
            rig.restart(1)

        assert rig.workers[0].pid != first.pid
        assert connection.sismember("rq:workers", "rq:worker:q-worker-1-2")
        reading = rig.read_usage()
        assert reading is not None
        assert reading.cpu_s > psutil.Process(rig.workers[0].pid).cpu_times().user  # what the first one used counts too
        rig.stop_workers()

"""In a container the worker is process 1, to which the kernel hands no signal that it has not asked for."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
from lock import REPOSITORY
from redis import Redis
from rq import Queue
from rq.job import JobStatus

from jobctl.core.operations import STOP_S
from support.benches import environment
from support.chaos import PATIENCE_S, TESTS, times
from support.waiting import wait_until

JOB_S = 1.5


def test_the_start_command_of_railway_json_drains_as_process_one_and_leaves_nothing_to_reap(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    deploy = json.loads((REPOSITORY / "railway.json").read_text(encoding="utf-8"))["deploy"]
    program, *options = shlex.split(deploy["startCommand"].replace("--metrics-port 9100", "--metrics-port 0"))
    assert program == "jobctl"
    # The user namespace gives the right to make the other one, where that is not root's already.
    rights = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = ["unshare", *rights, "--pid", "--fork", "--kill-child", sys.executable, "-m", "jobctl", *options]
    job = Queue("low", connection=redis).enqueue("support.chaos_jobs.sleep", str(journal), "job", JOB_S)
    process = subprocess.Popen(
        command, env=environment(tmp_path, REDIS_URL=redis_url, PYTHONPATH=str(TESTS)), cwd=tmp_path
    )
    try:
        wait_until(lambda: times(journal, "begin"), what="the job's start")
        (worker,) = psutil.Process(process.pid).children()
        assert b"NSpid:\t%d\t1\n" % worker.pid in Path(f"/proc/{worker.pid}/status").read_bytes()
        assert worker.children(recursive=True) == []
        told_s = time.monotonic()
        worker.send_signal(signal.SIGTERM)
        status = process.wait(PATIENCE_S)
    finally:
        process.kill()
        process.wait()

    assert status == 0
    assert job.get_status() == JobStatus.FINISHED
    assert time.monotonic() - told_s < JOB_S + STOP_S
    assert redis.smembers("rq:workers") == set()

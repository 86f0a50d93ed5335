from __future__ import annotations

import json
import os
import platform

import redis

import jobctl
from jobctl.adapters import environment


def test_the_host_tells_whether_two_results_may_be_compared() -> None:
    host = environment.host()

    assert (host["system"], host["machine"], host["cpus"]) == (platform.system(), platform.machine(), os.cpu_count())
    assert set(host) == {"system", "release", "machine", "cpus", "name"}
    assert json.loads(json.dumps(host)) == host


def test_the_versions_are_those_that_run() -> None:
    versions = environment.versions("9.1.0")

    assert versions["redis_server"] == "9.1.0"
    assert versions["python"] == platform.python_version()
    assert versions["redis_py"] == redis.__version__
    assert versions["jobctl"] == jobctl.__version__
    assert set(versions) == {"python", "redis_server", "redis_py", "jobctl", "rq", "locust", "httpx"}
    assert all(versions.values())

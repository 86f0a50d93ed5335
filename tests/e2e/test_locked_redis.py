"""jobctl on a Redis that speaks only TLS, as a user that may do no more than the manual says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ResponseError
from rq import Callback, Queue
from rq.job import Job, Retry
from rq.serializers import JSONSerializer

from jobctl.adapters.redis_connection import connect
from jobctl.errors import InvalidOption, ServiceUnavailable
from support.locked_redis import PASSWORD, LockedRedis, locked_redis

TASKS = """
def add(a, b):
    return a + b

def fail():
    raise ValueError("on purpose")

def note(job, connection, result):
    job.meta["noted"] = result
    job.save_meta()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[LockedRedis]:
    with locked_redis() as running:
        yield running


@pytest.fixture
def redis(server: LockedRedis) -> Iterator[Redis]:
    """The worker's user, on an empty server."""
    with server.admin() as admin:
        admin.flushall()
        admin.acl_log_reset()
    with connect(server.url) as client:
        yield client


def jobctl(server: LockedRedis, directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jobctl", *words],
        cwd=directory,
        env={**os.environ, "REDIS_URL": server.url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.usefixtures("redis")
def test_jobctl_enqueues_works_and_measures_with_the_rights_of_the_manual(server: LockedRedis, tmp_path: Path) -> None:
    (tmp_path / "myapp.py").write_text(TASKS)
    with connect(server.url) as client:
        queue = Queue("default", connection=client, serializer=JSONSerializer)
        added = queue.enqueue("myapp.add", 1, 2, on_success=Callback("myapp.note"))
        chained = queue.enqueue("myapp.add", 3, 4, depends_on=queue.enqueue("myapp.add", 0, 0))
        failed = queue.enqueue("myapp.fail", retry=Retry(max=1))

        enqueued = jobctl(server, tmp_path, "enqueue", "--job", "noop", "--count", "30")
        worked = jobctl(server, tmp_path, "work", "--burst", "--queues", "default")
        load = ("--job", "noop", "--rate", "20", "--duration", "2s", "--warmup", "0s", "--max-schedule-lag", "10s")
        bench = jobctl(server, tmp_path, "bench", *load)

        assert (enqueued.returncode, enqueued.stderr) == (0, "")
        assert worked.returncode == 0, worked.stderr
        assert "ACL" not in worked.stderr + bench.stderr
        assert bench.returncode == 0, bench.stderr
        jobs = [Job.fetch(job.id, connection=client, serializer=JSONSerializer) for job in (added, chained, failed)]
        assert [job.get_status().value for job in jobs] == ["finished", "finished", "failed"]
        assert jobs[0].meta == {"noted": 3}
        assert jobs[1].return_value() == 7
    with server.admin() as admin:
        assert admin.acl_log() == []


def test_the_user_reaches_nothing_else(redis: Redis) -> None:
    for attempt in (
        lambda: redis.set("other", "1"),
        lambda: redis.get("other"),
        lambda: redis.eval("return redis.call('SET', 'other', '1')", 0),
        lambda: redis.publish("other", "1"),
        lambda: redis.keys("*"),
        redis.flushall,
        lambda: redis.config_get("*"),
        redis.acl_list,
        redis.script_flush,
        redis.shutdown,
    ):
        with pytest.raises(ResponseError, match=r"(?i)permission|access at least one of the keys"):
            attempt()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ((f"jobctl:{PASSWORD}@", "jobctl:wrong@"), "refused the credentials"),
        ((f"jobctl:{PASSWORD}@", ""), "refused the credentials"),
        (("localhost", "127.0.0.1"), "has a certificate that cannot be trusted (IP address mismatch"),
        (("?ssl_ca_certs=", "?socket_timeout=5#"), "has a certificate that cannot be trusted"),
        (("rediss://", "redis://"), "in its query"),
    ],
)
def test_what_does_not_fit_is_refused_without_the_password(
    change: tuple[str, str], problem: str, server: LockedRedis
) -> None:
    with pytest.raises((InvalidOption, ServiceUnavailable)) as caught:
        connect(server.url.replace(*change))

    assert problem in str(caught.value)
    assert PASSWORD not in str(caught.value)


def test_tls_is_not_left_out(server: LockedRedis) -> None:
    with pytest.raises(ServiceUnavailable, match=r"cannot be reached|does not speak Redis"):
        connect(f"redis://jobctl:{PASSWORD}@localhost:{server.port}/0")

"""What a scrape costs a worker that has many jobs, and how soon a dead fleet is heard of."""

from __future__ import annotations

import math
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from redis import Redis
from redis.exceptions import ConnectionError as NotThere

from jobctl.adapters.processes import ProcessGroup
from jobctl.adapters.rq_queue import RqQueue
from jobctl.ports import JobRequest
from support.benches import environment
from support.monitoring import free_ports, soon, tool, wait_for
from support.watched_fleet import watching_fleet

Figure = Callable[[str, str, str], None]
JOBS = (0, 1_000, 100_000)
SCRAPES = 100
#: What was read is shown for a second; each scrape here is to read anew.
APART_S = 1.05
SLOTS = 25


class Scrape(NamedTuple):
    """One scrape: its time, seconds, and the commands that it had Redis run."""

    took_s: float
    commands: int


@pytest.fixture(scope="module")
def scrapes(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[Scrape]]:
    """Scrapes of a worker by the number of jobs in its queue and in each of its registries."""
    found = {}
    for jobs in JOBS:
        with redis_server() as redis, worker(redis, tmp_path_factory.mktemp("worker")) as url:
            fill(redis, jobs)
            found[jobs] = scraped(redis, url)
    return found


@contextmanager
def redis_server() -> Iterator[Redis]:
    """A server on a port of its own, which tells its clients apart."""
    (port,) = free_ports(1)
    with ProcessGroup() as group:
        words = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(group.directory)]
        group.spawn([str(tool("redis-server")), *words])
        with Redis(port=port) as redis:
            wait_for(lambda: answers(redis), "Redis")
            yield redis


def answers(redis: Redis) -> bool:
    try:
        return bool(redis.ping())
    except NotThere:
        return False


@contextmanager
def worker(redis: Redis, directory: Path) -> Iterator[str]:
    """A worker, all of whose slots are at work; where it is scraped."""
    (port,) = free_ports(1)
    place = redis.connection_pool.connection_kwargs
    process = subprocess.Popen(
        [sys.executable, "-m", "jobctl", "work", "--metrics-host", "127.0.0.1", "--metrics-port", str(port)],
        cwd=directory,
        env=environment(directory, REDIS_URL=f"redis://127.0.0.1:{place['port']}/0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        assert process.stdout is not None
        assert b"listening" in process.stdout.readline()
        enqueue(redis, SLOTS)
        wait_for(lambda: redis.llen("rq:queue:default") == 0, "the slots to be taken")
        yield f"http://127.0.0.1:{port}/metrics"
    finally:
        process.kill()
        process.communicate()


def enqueue(redis: Redis, jobs: int) -> None:
    """Put jobs that take long into the worker's queue."""
    queue = RqQueue(redis, "default")
    for first in range(0, jobs, 1000):
        several = range(first, min(first + 1000, jobs))
        queue.enqueue_many(
            [JobRequest(uuid.uuid4().hex, "jobctl.apps.work.tasks.sleep", (600,), timeout_s=900) for _ in several]
        )


def fill(redis: Redis, jobs: int) -> None:
    """So many jobs that wait, and as many that are finished, dead, scheduled and deferred."""
    enqueue(redis, jobs)
    later_s = time.time() + 3600
    for first in range(0, jobs, 1000):
        ids = {f"job-{number}": later_s for number in range(first, min(first + 1000, jobs))}
        for registry in ("finished", "failed", "scheduled", "deferred"):
            redis.zadd(f"rq:{registry}:default", ids)


def scraped(redis: Redis, url: str) -> list[Scrape]:
    """Scrape again and again, with Redis telling what it is asked."""
    commands: list[dict[str, Any]] = []
    spans: list[tuple[float, float]] = []
    with redis.monitor() as monitor, httpx.Client() as client:
        listening = threading.Thread(target=lambda: listen(monitor, commands), daemon=True)
        listening.start()
        for _ in range(SCRAPES):
            time.sleep(APART_S)
            began_s = time.time()
            assert "jobctl_queue_depth{" in client.get(url).text
            spans.append((began_s, time.time()))
        redis.echo("enough")
        listening.join()
    asked = [one["client_port"] for one in commands if one["command"].lower().startswith("smembers rq:queues")]
    ours = statistics.mode(asked)  # once a minute the worker's maintenance asks as well
    instants_s = [one["time"] for one in commands if one["client_port"] == ours]
    return [
        Scrape(ended_s - began_s, sum(began_s <= at_s <= ended_s for at_s in instants_s)) for began_s, ended_s in spans
    ]


def listen(monitor: Any, commands: list[dict[str, Any]]) -> None:
    for command in monitor.listen():
        if command["command"] == "ECHO enough":
            return
        commands.append(command)


@pytest.mark.parametrize(("time_scale", "interval_s"), [(100.0, 50.0), (10.0, 15.0)])
def test_a_killed_fleet_is_heard_of_within_a_minute(
    tmp_path: Path, figure: Figure, time_scale: float, interval_s: float
) -> None:
    with watching_fleet(tmp_path, time_scale, interval_s) as watch:
        killed_s = watch.fleet.kill(*watch.fleet.workers)
        down = soon(lambda: watch.receiver.of("JobctlFleetDown", "firing"), 60.0)

    heard_s = min((notice.at_s for notice in down), default=math.inf) - killed_s
    figure(
        f"from a killed fleet to the webhook, everything {time_scale:g} times as fast as in life",
        f"{heard_s:.1f} s",
        "< 60 s",
    )
    assert heard_s < 60


@pytest.mark.parametrize("jobs", JOBS)
def test_a_scrape_takes_fifty_milliseconds_at_most(scrapes: dict[int, list[Scrape]], figure: Figure, jobs: int) -> None:
    took_s = sorted(one.took_s for one in scrapes[jobs])
    p99_s = took_s[math.ceil(0.99 * SCRAPES) - 1]  # one of a hundred may meet another process of this machine
    times = f"{1000 * took_s[SCRAPES // 2]:.1f} ms, p99 {1000 * p99_s:.1f} ms, at worst {1000 * took_s[-1]:.1f} ms"
    commands = statistics.median(one.commands for one in scrapes[jobs])
    what = f"a scrape of a worker, {jobs:,} jobs in its queue and each of four registries"
    figure(what, times, "<= 50 ms")
    figure("the same: Redis commands", f"{commands:.0f}", "the same for any number but 0")

    assert p99_s <= 0.05


def test_a_scrape_takes_the_same_commands_for_any_number_of_jobs(scrapes: dict[int, list[Scrape]]) -> None:
    of_some, of_many = (statistics.median(one.commands for one in scrapes[jobs]) for jobs in JOBS[1:])

    assert of_some == of_many
    assert statistics.median(one.commands for one in scrapes[0]) in {of_some, of_some - 1}  # no next job, no age

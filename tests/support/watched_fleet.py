"""A fleet with all that metrics come from: two workers, an exporter, Redis, Postgres; an upstream that may fail."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from redis import Redis

from jobctl.adapters import embedded_redis
from jobctl.adapters.postgres import migrate
from jobctl.adapters.processes import ProcessGroup
from jobctl.adapters.redis_connection import connect
from jobctl.adapters.rq_fleet import ENQUEUED_KEY
from jobctl.adapters.rq_queue import RqQueue
from jobctl.apps.mock.behaviour import Fault
from jobctl.core.operations import Notify, Operations, Scrape, Webhook
from jobctl.ports import JobRequest
from jobctl.wiring.monitoring import rendered
from jobctl.wiring.rendered import read_operations
from support.accounts import Account
from support.benches import environment
from support.databases import serving_postgres
from support.monitoring import Alertmanager, Prometheus, free_ports, wait_for, watching
from support.notified import TOKEN, Receiver, receiving
from support.running_mock import KEY
from support.servers import serving

SLO_FILE = Path(__file__).resolve().parents[2] / "monitoring" / "slo.toml"
RUNBOOK = "https://runbook.test/jobs/"
WORKERS = 2
#: A worker that was killed counts as dead 0.6 times this later, seconds.
RECOVER_S = 3.0
#: Every so many seconds a handful of jobs comes.
_TICK_S = 0.1


class WatchedFleet:
    """The workers and the exporter, each a process with a port for Prometheus.

    Attributes:
        workers: Where the workers are scraped.
        exporter: Where the exporter is.
    """

    def __init__(self, group: ProcessGroup, directory: Path, **settings: str) -> None:
        self._group = group
        self._directory = directory
        self._settings = settings
        ports = free_ports(WORKERS + 1)
        self.workers = tuple(f"127.0.0.1:{port}" for port in ports[:WORKERS])
        self.exporter = f"127.0.0.1:{ports[WORKERS]}"
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start those that do not run, and wait until they do."""
        commands = dict.fromkeys(self.workers, ("work", "--metrics-host", "127.0.0.1", "--metrics-port"))
        commands[self.exporter] = ("exporter", "--host", "127.0.0.1", "--port")
        started = [place for place in commands if place not in self._running]
        for place in started:
            self._running[place] = self._group.spawn(
                [sys.executable, "-m", "jobctl", *commands[place], place.rpartition(":")[2]],
                cwd=self._directory,
                env=environment(self._directory, **self._settings),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        for place in started:
            output = self._running[place].stdout
            assert output is not None
            said = [b""]
            while b"listening" not in said[-1]:  # the first words may be about the jobs of a dead one
                said.append(output.readline())
                assert said[-1], b"".join(said).decode()

    def kill(self, *places: str) -> float:
        """Kill these; the instant, seconds since the epoch."""
        at_s = time.time()
        killed = [self._running.pop(place) for place in places if place in self._running]
        for process in killed:
            process.kill()
        for process in killed:
            process.communicate()
        return at_s


@contextmanager
def watched_fleet(directory: Path) -> Iterator[WatchedFleet]:
    """The fleet, with jobs that keep coming: calls, short ones, and such as fail twice and are dead."""
    with ExitStack() as stack:
        postgres, _ = stack.enter_context(serving_postgres())
        migrate(postgres.dsn, timeout_s=10)
        group = stack.enter_context(ProcessGroup())
        server = embedded_redis.start(group)
        redis = stack.enter_context(connect(server.url))
        redis.config_set("maxmemory", 200_000_000)
        redis.config_set("appendonly", "yes")
        upstream = Account(latency_s=0.05, faults={Fault.RATE_LIMIT: 0.05, Fault.BAD_GATEWAY: 0.05})
        upstream.key = {"limit": 100, "limit_remaining": 74.5}
        origin = stack.enter_context(serving(upstream))
        fleet = WatchedFleet(
            group,
            directory,
            REDIS_URL=server.url,
            DATABASE_URL=postgres.dsn,
            OPENROUTER_API_KEY=KEY,
            OPENROUTER_BASE_URL=f"{origin}/api/v1",
            OPENROUTER_RPM="6000",
            JOB_PLANNED_REPLICAS=str(WORKERS),
            JOB_CONCURRENCY="5",
            JOB_ATTEMPTS="2",
            JOB_RETRY_BASE="100ms",
            JOB_RECOVER_AFTER=f"{RECOVER_S:g}s",
            JOB_DRAIN_TIMEOUT="2s",
        )
        try:
            fleet.start()
            with _demand(redis):
                yield fleet
        finally:
            fleet.kill(*fleet.workers, fleet.exporter)


@dataclass(frozen=True)
class Watch:
    """A fleet, and all that watches it.

    Attributes:
        fleet: Its processes.
        operations: What everything is made from.
        prometheus: It scrapes the fleet.
        alertmanager: It hears of alerts.
        receiver: It is told.
    """

    fleet: WatchedFleet
    operations: Operations
    prometheus: Prometheus
    alertmanager: Alertmanager
    receiver: Receiver


@contextmanager
def watching_fleet(directory: Path, time_scale: float, interval_s: float) -> Iterator[Watch]:
    """Watch a fleet as the shipped ``slo.toml`` has it, through what is rendered; it is scraped when the block begins.

    Args:
        directory: An empty one.
        time_scale: By how much faster than in life every window, wait and interval is.
        interval_s: Between two scrapes, seconds, before it is scaled.
    """
    prometheus_port, alertmanager_port = free_ports(2)
    secrets = directory / "secrets"
    secrets.mkdir()
    (secrets / "webhook_token").write_text(TOKEN)
    with receiving() as receiver, watched_fleet(directory) as fleet:
        operations = replace(
            read_operations(str(SLO_FILE)),
            scrape=Scrape(
                interval_s=interval_s,
                workers=fleet.workers,
                exporter=fleet.exporter,
                alertmanager=f"127.0.0.1:{alertmanager_port}",
            ),
            notify=Notify(webhook=Webhook(receiver.url), runbook=RUNBOOK),
        )
        files = rendered(operations, time_scale=time_scale, secrets=str(secrets))
        with watching(files, directory, prometheus_port, alertmanager_port) as (prometheus, alertmanager):
            wait_for(lambda: [*prometheus.targets().values()] == ["up"] * (WORKERS + 1), "all to be scraped")
            yield Watch(fleet, operations, prometheus, alertmanager, receiver)


@contextmanager
def _demand(redis: Redis) -> Iterator[None]:
    ended = threading.Event()
    queue = RqQueue(redis, "high", others=("default", "low"), counted=ENQUEUED_KEY)

    def enqueue() -> None:
        tasks = "jobctl.apps.work.tasks"
        calls = [("high", f"{tasks}.chat_completion", ("hello",))] * 2
        short = [("default", f"{tasks}.sleep", (0.02,)), ("low", f"{tasks}.noop", ())]
        failing = [("default", f"{tasks}.sleep", (0.02, (0.01, 0.01)))]
        ticks = 0
        while not ended.wait(_TICK_S):
            ticks += 1
            queue.enqueue_many(
                [
                    JobRequest(uuid.uuid4().hex, function, args, queue=name)
                    for name, function, args in calls + short + failing * (ticks % 3 == 0)
                ]
            )

    thread = threading.Thread(target=enqueue)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()

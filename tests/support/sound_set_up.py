"""A set-up in which all is well, of real parts: what ``jobctl doctor`` is to be silent about, and what tests break."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import yaml
from redis import Redis
from starlette.responses import Response

from jobctl import settings
from jobctl.adapters import embedded_redis
from jobctl.adapters.postgres import migrate
from jobctl.adapters.processes import ProcessGroup
from jobctl.adapters.redis_connection import connect
from jobctl.apps.doctor.examination import examine
from jobctl.apps.doctor.findings import Finding
from jobctl.apps.monitoring.prometheus import prometheus_config, rules_document
from jobctl.apps.monitoring.rules import alert_groups, recording_groups
from jobctl.core.operations import Operations, Scrape
from jobctl.core.tiers import parse_tier
from jobctl.wiring.deploy import rendered
from jobctl.wiring.doctor import Question, look
from jobctl.wiring.rendered import read_operations
from support.accounts import Account
from support.benches import environment
from support.databases import Pooler, Postgres, serving_postgres
from support.monitoring import free_ports, start_prometheus, wait_for
from support.running_mock import KEY
from support.sentry_server import SentryServer, sentry_server
from support.servers import serving

#: Far from the day on which Railway stops reading railway.json.
TODAY = date(2026, 6, 1)
TIER = "supabase-small"
MEMORY = 8_000_000_000
#: How often Prometheus asks, and how long an answer may take: a busy machine is no fault.
SCRAPE_S = 2.0
SLO = """\
[[objective]]
slo = "p95 wait <= 1s"

[fleet]
replicas = 1
queues = "default"
job_timeout = "3m"
db_pool_size = 2
db_tier = "small"

[notify]
runbook = "https://runbook.test/"
"""
RAILWAY: Mapping[str, Any] = {
    "startCommand": "jobctl work --queues default --drain-timeout 180s --db-pool-size 2 --metrics-port 9100",
    "numReplicas": 1,
    "drainingSeconds": 190,
    "restartPolicyType": "ALWAYS",
    "healthcheckPath": "/readyz",
}


class SoundSetUp:
    """The parts, and what the doctor finds.

    Attributes:
        directory: Holds slo.toml and railway.json.
        redis: A client of its Redis, whose commands break it.
        postgres: Its database.
        pooler: PgBouncer before it.
        account: Its OpenRouter account.
        sentry: Its Sentry.
        prometheus: The URL of its Prometheus.
        metrics: That of its worker's metrics.
        variables: Its environment.
    """

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory = directory
        (directory / "slo.toml").write_text(SLO)
        self.write_railway()
        (directory / ".railway").mkdir()
        self.write_successor()
        self.postgres: Postgres
        self.pooler: Pooler
        self.postgres, self.pooler = stack.enter_context(serving_postgres())
        migrate(self.postgres.dsn, timeout_s=10)
        self._group = stack.enter_context(ProcessGroup())
        redis_url = embedded_redis.start(self._group).url
        self.redis: Redis = stack.enter_context(connect(redis_url))
        self.mend_redis()
        self.account = Account()
        self.sentry: SentryServer = stack.enter_context(sentry_server())
        self.variables = {
            "REDIS_URL": redis_url,
            "DATABASE_URL": self.pooler.dsn,
            "OPENROUTER_API_KEY": KEY,
            "OPENROUTER_BASE_URL": f"{stack.enter_context(serving(self.account))}/api/v1",
            "OPENROUTER_RPM": "6000",
            "SENTRY_DSN": self.sentry.dsn,
        }
        self.metrics, exporter = self._start_fleet(stack)
        scrape = Scrape(
            SCRAPE_S,
            workers=(_place(self.metrics),),
            exporter=_place(exporter),
            alertmanager=_place(stack.enter_context(serving(Response()))),
        )
        operations = replace(read_operations(str(directory / "slo.toml")), scrape=scrape)
        self.prometheus = self.start_prometheus("sound", prometheus_config(operations, 1.0), operations)
        wait_for(self._is_watched, "a scrape of the fleet")

    def find(
        self, *, variables: Mapping[str, str | None] | None = None, flags: Mapping[str, Any] | None = None, **asked: Any
    ) -> dict[str, Finding]:
        """What each check finds.

        Args:
            variables: Changes of the environment; None takes one away.
            flags: Settings from the command line.
            **asked: Changes of the question.
        """
        env = {name: value for name, value in {**self.variables, **(variables or {})}.items() if value is not None}
        question = Question(
            today=TODAY,
            prometheus=self.prometheus,
            metrics=(self.metrics,),
            railway=str(self.directory / "railway.json"),
            slo_file=str(self.directory / "slo.toml"),
            jobs_per_day=450_000,
            db_tier=parse_tier(TIER),
        )
        merged = settings.load(flags or {}, env=env, directory=self.directory)
        examination = examine(look(merged, replace(question, **asked)), secrets=merged.secrets())
        return {check.name: finding for check, finding in examination.findings}

    def write_railway(self, **changes: Any) -> None:
        """Write railway.json; None takes a field away."""
        deploy = {name: value for name, value in {**RAILWAY, **changes}.items() if value is not None}
        (self.directory / "railway.json").write_text(json.dumps({"deploy": deploy}))

    def write_successor(self) -> None:
        """Write .railway/railway.py as it is made from slo.toml."""
        name, operations = ".railway/railway.py", read_operations(str(self.directory / "slo.toml"))
        (self.directory / name).write_text(rendered(operations, self.directory).files[name])

    def mend_redis(self) -> None:
        """Undo what a test did to Redis; the workers' own keys stay."""
        sound = {"maxmemory": str(MEMORY), "maxmemory-policy": "noeviction", "appendonly": "yes", "save": ""}
        for name, value in sound.items():
            self.redis.config_set(name, value)

    def start_prometheus(self, name: str, configuration: Mapping[str, Any], operations: Operations | None) -> str:
        """A Prometheus with a configuration and, with operations, our rules; its URL."""
        directory = self.directory / name
        (directory / "alerts").mkdir(parents=True)
        (directory / "prometheus.yml").write_text(yaml.safe_dump(dict(configuration)))
        if operations is not None:
            for file, groups in (
                ("recording-rules.yml", recording_groups(operations, 1.0)),
                ("worker-alerts.yml", alert_groups(operations, 1.0)),
            ):
                text = yaml.safe_dump(rules_document(groups, operations.notify.runbook, 1.0))
                (directory / "alerts" / file).write_text(text)
        (port,) = free_ports(1)
        start_prometheus(self._group, directory / "prometheus.yml", port)
        return f"http://127.0.0.1:{port}"

    def _start_fleet(self, stack: ExitStack) -> tuple[str, str]:
        """A worker and the exporter; where each shows its metrics."""
        commands = (
            ("work", "--queues", "default", "--drain-timeout", "1s", "--metrics-host", "127.0.0.1", "--metrics-port"),
            ("exporter", "--planned-replicas", "1", "--host", "127.0.0.1", "--port"),
        )
        places: list[str] = []
        running: list[subprocess.Popen[str]] = []
        stack.callback(_end, running)
        for words, port in zip(commands, free_ports(len(commands)), strict=True):
            process = subprocess.Popen(
                [sys.executable, "-m", "jobctl", *words, str(port)],
                cwd=self.directory,
                env=environment(self.directory, **self.variables),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            running.append(process)
            assert process.stdout is not None
            line = process.stdout.readline()
            assert "listening" in line, line + process.stdout.read()
            places.append(f"http://127.0.0.1:{port}/metrics")
        return places[0], places[1]

    def _is_watched(self) -> bool:
        def asked(path: str, **parameters: str) -> Any:
            return httpx.get(f"{self.prometheus}/api/v1/{path}", params=parameters).json()["data"]

        targets = [target["health"] for target in asked("targets")["activeTargets"]]
        return targets == ["up", "up"] and bool(asked("query", query="jobctl_planned_replicas")["result"])


@contextmanager
def sound_set_up(directory: Path) -> Iterator[SoundSetUp]:
    """All of it, until the block ends."""
    with ExitStack() as stack:
        yield SoundSetUp(directory, stack)


def _end(running: list[subprocess.Popen[str]]) -> None:
    for process in running:
        process.terminate()
    for process in running:
        try:
            process.communicate(timeout=20)
        finally:
            process.kill()


def _place(url: str) -> str:
    found = re.match(r"http://([^/]+)", url)
    assert found is not None
    return found[1]

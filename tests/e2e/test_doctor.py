"""`jobctl doctor` on real parts: silent where all is well, and each planted fault found, with its remedy.

The parts are started once. A test breaks one, looks, and mends it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from importlib.resources import files
from typing import Any

import psycopg
import pytest
from jsonschema import Draft202012Validator
from rq import Queue
from rq.job import Job
from rq.registry import StartedJobRegistry
from rq.suspension import resume, suspend
from starlette.responses import Response

from jobctl.apps.doctor.examination import CHECKS
from jobctl.apps.doctor.findings import Finding, Level
from jobctl.core.railway import CUT_OFF
from support.benches import environment
from support.databases import PASSWORD
from support.monitoring import free_ports, wait_for
from support.running_mock import KEY
from support.servers import serving
from support.sound_set_up import TIER, TODAY, SoundSetUp, sound_set_up

Plant = Callable[[SoundSetUp], dict[str, Finding]]
QUEUE = "reports"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoundSetUp]:
    with sound_set_up(tmp_path_factory.mktemp("doctor")) as parts:
        yield parts


@pytest.fixture
def parts(sound: SoundSetUp) -> Iterator[SoundSetUp]:
    """The parts, mended after the test."""
    yield sound
    sound.mend_redis()
    sound.write_railway()
    sound.account.key, sound.account.credits = {}, {"total_credits": 100.0, "total_usage": 10.0}
    resume(sound.redis)
    for pattern in (f"rq:*:{QUEUE}", "rq:job:*", "rq:worker:stranger*"):
        for key in sound.redis.scan_iter(pattern):
            sound.redis.delete(key)
    sound.redis.srem("rq:queues", f"rq:queue:{QUEUE}")
    sound.redis.srem("rq:workers", "rq:worker:stranger")


def sick(findings: dict[str, Finding]) -> dict[str, str]:
    """Names of the checks that warn or fail, with the level."""
    return {name: str(one.level) for name, one in findings.items() if one.level in {Level.WARN, Level.FAIL}}


# ---------------------------------------------------------------------------------------------------------------- sound


def test_it_is_silent_on_a_sound_set_up_and_every_check_is_made(parts: SoundSetUp) -> None:
    findings = parts.find()

    assert sick(findings) == {}, [findings[name] for name in sick(findings)]
    assert [name for name, one in findings.items() if one.level is Level.UNCHECKED] == []
    assert list(findings) == [check.name for check in CHECKS]


def test_the_command_says_the_same_in_a_document_of_its_schema_and_changes_nothing(parts: SoundSetUp) -> None:
    before = contents(parts)
    status, document, screen = command(parts, "--json", "-", "--strict")

    Draft202012Validator(json.loads(files("jobctl").joinpath("schemas/doctor.json").read_text())).validate(document)
    assert (status, document["sound"], document["counts"]["fail"], document["counts"]["warn"]) == (0, True, 0, 0)
    assert screen.splitlines()[-1] == f"{len(CHECKS)} ok, 0 warnings, 0 failures, 0 not checked"
    assert contents(parts) == before
    assert parts.sentry.errors == parts.sentry.transactions == []


def contents(parts: SoundSetUp) -> set[Any]:
    """Keys that only somebody who changed something would have added; a worker's own come and go."""
    return {key for key in parts.redis.scan_iter() if b"execution" not in key and b"exporter" not in key}


def command(parts: SoundSetUp, *words: str) -> tuple[int, Any, str]:
    """The command in a process of its own: exit code, document, and what a person reads."""
    ran = subprocess.run(
        [
            sys.executable, "-m", "jobctl", "doctor", "--prometheus", parts.prometheus, "--metrics",
            parts.metrics, "--per-day", "450k", "--db-tier", TIER, "--today", TODAY.isoformat(), *words,
        ],
        cwd=parts.directory,
        env=environment(parts.directory, **parts.variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )  # fmt: skip
    machine = "--json" in words
    return ran.returncode, json.loads(ran.stdout) if machine else None, ran.stderr if machine else ran.stdout


# --------------------------------------------------------------------------------------------------------------- faults


def redis_set(**values: str | int) -> Plant:
    """Redis is told something else."""

    def plant(parts: SoundSetUp) -> dict[str, Finding]:
        for name, value in values.items():
            parts.redis.config_set(name.replace("_", "-"), value)
        return parts.find()

    return plant


def asked(**changes: Any) -> Plant:
    """The doctor is told something else."""
    return lambda parts: parts.find(**changes)


def account(**key: Any) -> Plant:
    """The key says something else."""

    def plant(parts: SoundSetUp) -> dict[str, Finding]:
        parts.account.key = key
        return parts.find()

    return plant


def credit(total: float) -> Plant:
    """So much credit was bought; 10 USD of it are used."""

    def plant(parts: SoundSetUp) -> dict[str, Finding]:
        parts.account.credits = {"total_credits": total, "total_usage": 10.0}
        return parts.find()

    return plant


def railway(**changes: Any) -> Plant:
    """railway.json says something else."""

    def plant(parts: SoundSetUp) -> dict[str, Finding]:
        parts.write_railway(**changes)
        return parts.find()

    return plant


def nearly_full(parts: SoundSetUp) -> dict[str, Finding]:
    parts.redis.config_set("maxmemory", int(1.1 * parts.redis.info("memory")["used_memory"]))
    return parts.find()


def too_many_dead(parts: SoundSetUp) -> dict[str, Finding]:
    parts.redis.config_set("maxmemory", 300_000_000)
    return parts.find()


def other_rq(parts: SoundSetUp) -> dict[str, Finding]:
    _stranger(parts, version="1.16.2")
    return parts.find()


def skewed_worker(parts: SoundSetUp) -> dict[str, Finding]:
    _stranger(parts, jobctl_clock="45.0 0.001")
    parts.redis.zadd("rq:jobctl:pulses", {"stranger": time.time() + 60})
    try:
        return parts.find()
    finally:
        parts.redis.zrem("rq:jobctl:pulses", "stranger")


def _stranger(parts: SoundSetUp, **fields: str) -> None:
    known = {"birth": "2026-06-01T00:00:00.000000Z", "queues": "default", "version": "3.0.0", **fields}
    parts.redis.hset("rq:worker:stranger", mapping=known)
    parts.redis.sadd("rq:workers", "rq:worker:stranger")


def suspended(parts: SoundSetUp) -> dict[str, Finding]:
    suspend(parts.redis)
    return parts.find()


def unheard_queue(parts: SoundSetUp) -> dict[str, Finding]:
    Queue(QUEUE, connection=parts.redis).enqueue("operator.add", 1, 1)
    return parts.find()


def unscheduled(parts: SoundSetUp) -> dict[str, Finding]:
    Queue(QUEUE, connection=parts.redis).enqueue_in(timedelta(hours=1), "operator.add", 1, 1)
    return parts.find()


def abandoned(parts: SoundSetUp) -> dict[str, Finding]:
    queue = Queue(QUEUE, connection=parts.redis)
    job = Job.create("operator.add", (1, 1), connection=parts.redis, origin=QUEUE)
    job.save()
    parts.redis.sadd("rq:queues", queue.key)
    registry = StartedJobRegistry(QUEUE, connection=parts.redis)
    parts.redis.zadd(registry.key, {f"{job.id}:gone": time.time() - 100})
    return parts.find()


def no_workers(parts: SoundSetUp) -> dict[str, Finding]:
    return parts.find(variables={"REDIS_URL": f"{parts.variables['REDIS_URL']}?db=1"})


def unmigrated(parts: SoundSetUp) -> dict[str, Finding]:
    parts.postgres.rows("CREATE DATABASE empty")
    try:
        return parts.find(variables={"DATABASE_URL": parts.postgres.dsn.replace("/postgres?", "/empty?")})
    finally:
        parts.postgres.rows("DROP DATABASE empty WITH (FORCE)")


def reader(parts: SoundSetUp) -> dict[str, Finding]:
    parts.postgres.rows(
        f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'; GRANT SELECT ON jobctl_results, jobctl_migrations TO reader;"
        "ALTER ROLE reader BYPASSRLS"
    )
    try:
        return parts.find(variables={"DATABASE_URL": parts.postgres.dsn.replace("postgres:", "reader:", 1)})
    finally:
        parts.postgres.rows("DROP OWNED BY reader; DROP ROLE reader")


def prepared_elsewhere(parts: SoundSetUp) -> dict[str, Finding]:
    with psycopg.connect(parts.pooler.dsn, autocommit=True) as other:
        other.execute("SELECT 1", prepare=True)
        try:
            return parts.find()
        finally:
            other.execute("DEALLOCATE ALL", prepare=False)


def other_drivers_option(parts: SoundSetUp) -> dict[str, Finding]:
    return parts.find(variables={"DATABASE_URL": f"{parts.pooler.dsn}&prepare_threshold=5"})


def direct_with_the_poolers_figure(parts: SoundSetUp) -> dict[str, Finding]:
    return parts.find(variables={"DATABASE_URL": parts.postgres.dsn})


def wrong_password(parts: SoundSetUp) -> dict[str, Finding]:
    return parts.find(variables={"DATABASE_URL": parts.postgres.dsn.replace(PASSWORD, "battery-staple")})


def nobody(variable: str, form: str) -> Plant:
    """A service is not there."""
    return lambda parts: parts.find(variables={variable: form.format(port=free_ports(1)[0])})


def refusing_sentry(parts: SoundSetUp) -> dict[str, Finding]:
    refusal = Response(status_code=403, headers={"X-Sentry-Error": "event submission rejected with_reason: ProjectId"})
    with serving(refusal) as url:
        dsn = f"{url.replace('://', '://0123456789abcdef0123456789abcdef@')}/42"
        return parts.find(variables={"SENTRY_DSN": dsn})


def no_prometheus(parts: SoundSetUp) -> dict[str, Finding]:
    return parts.find(prometheus=f"http://127.0.0.1:{free_ports(1)[0]}")


def worker_without_metrics(parts: SoundSetUp) -> dict[str, Finding]:
    return parts.find(metrics=(f"http://127.0.0.1:{free_ports(1)[0]}",))


def railway_with_a_comma(parts: SoundSetUp) -> dict[str, Finding]:
    (parts.directory / "railway.json").write_text('{\n  "deploy": {},\n}\n')
    return parts.find()


def changed_successor(parts: SoundSetUp) -> dict[str, Finding]:
    successor = parts.directory / ".railway" / "railway.py"
    made = successor.read_text()
    try:
        successor.write_text(made.replace('DRAINING_SECONDS": "190"', 'DRAINING_SECONDS": "19"', 1))
        return parts.find()
    finally:
        successor.write_text(made)


def without_successor(today: date) -> Plant:
    """There is no ``.railway/`` on a day."""

    def plant(parts: SoundSetUp) -> dict[str, Finding]:
        successor = parts.directory / ".railway" / "railway.py"
        aside = successor.rename(parts.directory / "railway.py")
        try:
            return parts.find(today=today)
        finally:
            aside.rename(successor)

    return plant


LAST_DAY = date.fromisoformat(CUT_OFF) - timedelta(days=1)
DEAD_PORT = "redis://127.0.0.1:{port}/0"
FAULTS: list[tuple[str, Plant, dict[str, str], str]] = [
    ("Redis is not there", nobody("REDIS_URL", DEAD_PORT), {"redis-answers": "fail"}, "start it"),
    ("Redis evicts", redis_set(maxmemory_policy="allkeys-lru"), {"redis-eviction": "fail"}, "noeviction"),
    (
        "Redis will evict one day",
        redis_set(maxmemory_policy="volatile-ttl", maxmemory=0),
        {"redis-eviction": "warn", "redis-memory": "warn"},
        "noeviction",
    ),
    ("nothing is written to disk", redis_set(appendonly="no"), {"redis-persistence": "fail"}, "appendonly yes"),
    ("snapshots alone", redis_set(appendonly="no", save="60 1000"), {"redis-persistence": "warn"}, "appendonly yes"),
    ("no maxmemory", redis_set(maxmemory=0), {"redis-memory": "warn"}, "maxmemory"),
    ("Redis is nearly full", nearly_full, {"redis-memory": "warn", "redis-dead-memory": "fail"}, "memory"),
    ("no room for the dead", too_many_dead, {"redis-dead-memory": "fail"}, "failure_ttl"),
    ("a worker's clock is off", skewed_worker, {"redis-clock": "fail"}, "NTP"),
    ("a worker of another RQ", other_rq, {"rq-versions": "fail", "fleet-workers": "warn"}, "one version"),
    ("work is suspended", suspended, {"rq-suspended": "fail"}, "rq resume"),
    ("a queue that nobody listens to", unheard_queue, {"rq-queues": "fail"}, "--queues"),
    ("no scheduler", unscheduled, {"rq-queues": "fail", "rq-scheduler": "fail"}, "--queues"),
    ("an abandoned job", abandoned, {"rq-abandoned": "fail"}, "jobctl work"),
    ("no worker", no_workers, {"fleet-workers": "fail"}, "jobctl work"),
    (
        "fewer workers than planned",
        asked(flags={"planned_replicas": 3}),
        {"fleet-workers": "warn", "metrics-scraped": "warn", "plan-exposed": "warn", "railway-replicas": "fail"},
        "start the others",
    ),
    (
        "a queue of the plan that nobody listens to",
        asked(variables={"JOB_QUEUES": "default,low"}),
        {"rq-queues": "warn", "railway-command": "warn"},
        "--queues",
    ),
    ("draining below the job timeout", asked(flags={"drain_timeout_s": 25.0}), {"fleet-drain": "warn"}, "180s"),
    (
        "a limit below the volume",
        asked(variables={"OPENROUTER_RPM": "100"}),
        {"fleet-rate": "warn"},
        "--openrouter-rpm",
    ),
    ("no table", unmigrated, {"database-migrated": "fail", "database-pooler": "warn"}, "jobctl migrate"),
    ("a role that may not write", reader, {"database-migrated": "fail", "database-pooler": "warn"}, "role"),
    ("a wrong password", wrong_password, {"database-answers": "fail"}, "password"),
    (
        "more connections than the database takes",
        asked(flags={"db_pool_size": 201}),
        {"database-connections": "fail"},
        "--db-pool-size",
    ),
    ("statements prepared by another client", prepared_elsewhere, {"database-prepared": "fail"}, "prepare_threshold"),
    ("an option of another driver", other_drivers_option, {"database-prepared": "fail"}, "leave it out"),
    ("direct connections", direct_with_the_poolers_figure, {"database-pooler": "warn"}, "6543"),
    (
        "a refused key",
        asked(variables={"OPENROUTER_API_KEY": "sk-or-v1-bad-key"}),
        {"openrouter-key": "fail"},
        "OPENROUTER_API_KEY",
    ),
    (
        "OpenRouter is not there",
        nobody("OPENROUTER_BASE_URL", "http://127.0.0.1:{port}"),
        {"openrouter-key": "fail"},
        "",
    ),
    ("the key's limit is low", account(limit_remaining=1.5), {"openrouter-key-limit": "warn"}, "limit"),
    ("the key's limit is used up", account(limit_remaining=0), {"openrouter-key-limit": "fail"}, "limit"),
    ("the credit is low", credit(12.0), {"openrouter-credit": "warn"}, "credits"),
    ("the credit is used up", credit(9.0), {"openrouter-credit": "fail"}, "credits"),
    ("a free account", account(is_free_tier=True), {"openrouter-tier": "warn"}, "credits"),
    (
        "a fleet above its key's rate",
        account(rate_limit={"requests": 50, "interval": "10s"}),
        {"openrouter-rate": "warn"},
        "--openrouter-rpm 300",
    ),
    ("Sentry refuses", refusing_sentry, {"sentry": "fail"}, "Client Keys"),
    ("Sentry is not there", nobody("SENTRY_DSN", f"http://{'0' * 32}@127.0.0.1:{{port}}/1"), {"sentry": "fail"}, ""),
    ("Prometheus is not there", no_prometheus, {"prometheus-answers": "fail"}, "start it"),
    ("a worker shows no metrics", worker_without_metrics, {"metrics-shown": "fail"}, "--metrics-port"),
    (
        "a text for a number",
        railway(drainingSeconds="190"),
        {"railway-types": "fail", "railway-draining": "fail"},
        "190",
    ),
    ("too short a time to stop", railway(drainingSeconds=185), {"railway-draining": "fail"}, "190"),
    (
        "another start command",
        railway(startCommand="python main.py"),
        {"railway-command": "warn", "fleet-drain": "warn"},
        "",
    ),
    ("fewer replicas deployed", railway(numReplicas=0), {"railway-types": "fail", "railway-replicas": "fail"}, ""),
    ("more replicas deployed", railway(numReplicas=4), {"railway-replicas": "warn"}, "plan anew"),
    ("no health check", railway(healthcheckPath=None), {"railway-health": "warn"}, "/readyz"),
    ("workers are not started again", railway(restartPolicyType="NEVER"), {"railway-restart": "warn"}, "ALWAYS"),
    ("a railway.json that is none", railway_with_a_comma, {"railway-file": "fail", "fleet-drain": "warn"}, "commas"),
    (
        "a .railway/ that was changed",
        changed_successor,
        {"railway-successor": "fail"},
        "jobctl deploy render",
    ),
    ("the last day of railway.json", without_successor(LAST_DAY), {"railway-cut-off": "warn"}, "jobctl deploy"),
    ("the day after", without_successor(LAST_DAY + timedelta(days=1)), {"railway-cut-off": "fail"}, "jobctl deploy"),
]


@pytest.mark.parametrize(
    ("plant", "found", "remedy"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS]
)
def test_it_finds(plant: Plant, found: dict[str, str], remedy: str, parts: SoundSetUp) -> None:
    findings = plant(parts)

    assert sick(findings) == found, {name: findings[name] for name in sick(findings)}
    assert remedy in findings[next(iter(found))].remedy
    told = repr(findings)
    for secret in (PASSWORD, "battery-staple", KEY, "sk-or-v1-bad-key", "0123456789abcdef"):
        assert secret not in told


def test_it_finds_a_prometheus_that_watches_nothing(parts: SoundSetUp) -> None:
    (port,) = free_ports(1)
    scraped = [{"job_name": "jobctl-worker", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}]
    url = parts.start_prometheus("blind", {"global": {"scrape_interval": "200ms"}, "scrape_configs": scraped}, None)
    wait_for(lambda: "connection refused" in parts.find(prometheus=url)["metrics-scraped"].detail, "a failed scrape")
    findings = parts.find(prometheus=url)

    assert sick(findings) == {
        "metrics-scraped": "fail", "plan-exposed": "warn", "rules-loaded": "fail", "alertmanager": "fail",
    }  # fmt: skip
    assert findings["fleet-versions"].level is Level.OK


def test_a_worker_that_is_named_twice_is_looked_at(parts: SoundSetUp) -> None:
    assert parts.find(metrics=(parts.metrics, parts.metrics))["metrics-shown"].level is Level.OK


def test_what_does_not_answer_keeps_nothing_else_from_being_checked(parts: SoundSetUp) -> None:
    findings = nobody("REDIS_URL", DEAD_PORT)(parts)

    assert findings["rq-queues"].detail == "Redis does not answer"
    assert findings["database-migrated"].level is Level.OK
    assert findings["openrouter-key"].level is Level.OK
    assert findings["alertmanager"].level is Level.OK

"""What was seen of a set-up: one value for each outside system that somebody looked at.

Those who look fill them in, and :mod:`jobctl.apps.doctor` judges them. A figure that a server would not tell is None. A
system is :class:`Unreachable` when it did not answer, and None when nobody said where it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from jobctl.core.clocks import ClockOffset
from jobctl.core.railway import DeployFields, Fault

__all__ = [
    "OLDEST_REDIS",
    "AccountFacts",
    "DatabaseFacts",
    "MetricsFacts",
    "PrometheusFacts",
    "QueueFacts",
    "RailwayFacts",
    "RedisFacts",
    "RqFacts",
    "SentryFacts",
    "SuccessorFacts",
    "TargetFacts",
    "Unreachable",
    "WorkerFacts",
]

#: RQ moves jobs with LMOVE, which came with Redis 6.2; every Valkey has it.
OLDEST_REDIS: Final = (6, 2)


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A system that did not answer.

    Attributes:
        problem: What happened, without any secret.
        remedy: What to do about it.
    """

    problem: str
    remedy: str


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """A Redis.

    Attributes:
        product: ``Redis`` or ``Valkey``.
        version: Its version, as it writes it.
        compatible: The version of Redis that it says it is compatible with: major and minor.
        policy: ``maxmemory-policy``; None where it does not say.
        used_bytes: Memory that it uses; None where it does not say.
        limit_bytes: Its ``maxmemory``; None without a limit.
        machine_bytes: Memory of its machine.
        refusal: Why it takes no writes from this user; empty when it does.
        log_enabled: Whether it keeps an append-only file; None where it does not say.
        log_sync: When that file is forced to disk, as ``appendfsync`` has it; None where it does not say.
        log_sound: Whether the last writes of that file went well.
        snapshot_sound: Whether the last snapshot went well.
        snapshots: When it takes snapshots, as ``save`` has it; empty for never.
        clock: How far its clock is ahead of this machine's.
    """

    product: str
    version: str
    compatible: tuple[int, int]
    policy: str | None
    used_bytes: int | None
    limit_bytes: int | None = None
    machine_bytes: int | None = None
    refusal: str = ""
    log_enabled: bool | None = True
    log_sync: str | None = None
    log_sound: bool = True
    snapshot_sound: bool = True
    snapshots: str | None = None
    clock: ClockOffset | None = None


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """A queue.

    Attributes:
        name: Its name.
        waiting: Jobs in it.
        scheduled: Jobs that are due later, retries included.
        overdue_s: For how long the first of those has been due, seconds; 0 when none is.
        dead: Jobs of it that failed for good and are kept.
        abandoned: Jobs that count as running, and whose worker has not been heard of.
        has_scheduler: Whether a scheduler holds its lock.
    """

    name: str
    waiting: int = 0
    scheduled: int = 0
    overdue_s: float = 0.0
    dead: int = 0
    abandoned: int = 0
    has_scheduler: bool = False


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """A worker whose heartbeat has not lapsed.

    Attributes:
        name: Its name.
        queues: The queues it listens to.
        rq_version: Its version of RQ; empty when it does not say.
        clock: How far Redis' clock is ahead of its own; None of a worker that is not ours.
        ours: Whether it is one of ``jobctl work``, with slots; RQ's own runs one job at a time.
    """

    name: str
    queues: tuple[str, ...]
    rq_version: str = ""
    clock: ClockOffset | None = None
    ours: bool = True


@dataclass(frozen=True, slots=True)
class RqFacts:
    """What RQ's keys say.

    Attributes:
        queues: Its queues.
        workers: Those alive.
        suspended: Whether work was suspended with ``rq suspend``.
        dead_bytes: Memory of a dead job with its results, the mean of a sample; None without one.
        dead_kept_s: How long dead jobs of that sample are kept, seconds, the mean; None without one, or if for good.
    """

    queues: tuple[QueueFacts, ...] = ()
    workers: tuple[WorkerFacts, ...] = ()
    suspended: bool = False
    dead_bytes: float | None = None
    dead_kept_s: float | None = None


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """A Postgres, or a pooler before one.

    Attributes:
        version: As the server writes it.
        most: Connections that the server takes, those for superusers taken off.
        pooled: Whether two clients were given the same server process, as a pooler in transaction mode does.
        missing: Migrations that were not applied.
        writable: Whether this role may add results; None where there is no table.
        leftovers: Names of prepared statements that other clients left in server processes.
        read_only: Whether transactions may write nothing, as on a standby.
        host: Where it is, as the connection string has it.
        port: Its port.
    """

    version: str
    most: int
    pooled: bool
    missing: tuple[str, ...] = ()
    writable: bool | None = True
    leftovers: tuple[str, ...] = ()
    read_only: bool = False
    host: str = ""
    port: int = 5432


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """An OpenRouter account, by the key that jobs call with.

    Attributes:
        refusal: Why the key was refused; empty when it was not.
        remaining_usd: What the key's own limit leaves; None without one.
        credit_usd: Credits bought less credits used; None where only a management key may ask, or nobody was told.
        free_tier: Whether no credits were ever bought.
        rpm: Calls a minute that the key may make; None where OpenRouter does not say, as it does today.
    """

    refusal: str = ""
    remaining_usd: float | None = None
    credit_usd: float | None = None
    free_tier: bool = False
    rpm: float | None = None


@dataclass(frozen=True, slots=True)
class SentryFacts:
    """A Sentry project.

    Attributes:
        refusal: Why an envelope was refused; empty when it was not.
        full: Why it was dropped, the project being over its quota or rate; empty when it was not.
    """

    refusal: str = ""
    full: str = ""


@dataclass(frozen=True, slots=True)
class MetricsFacts:
    """One ``/metrics``.

    Attributes:
        url: Where.
        values: The sum of each of our metrics over its labels, by the name without prefix.
        versions: jobctl's, by its build_info.
    """

    url: str
    values: Mapping[str, float] = field(default_factory=dict)
    versions: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """What Prometheus scrapes.

    Attributes:
        job: Its job.
        instance: Its address.
        error: Why the last scrape failed; empty when it went well.
    """

    job: str
    instance: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class PrometheusFacts:
    """A Prometheus.

    Attributes:
        targets: What it scrapes.
        alerts: Names of the alerts that it evaluates.
        broken_rules: Names of rules that failed, each with the reason.
        alertmanagers: How many Alertmanagers it tells.
        unheard: Whether it told them something and not once anybody took it.
        values: Figures of the fleet, by the name of the metric without prefix; those that it does not know are absent.
        versions: jobctl's versions among the workers.
    """

    targets: tuple[TargetFacts, ...] = ()
    alerts: frozenset[str] = frozenset()
    broken_rules: tuple[str, ...] = ()
    alertmanagers: int = 0
    unheard: bool = False
    values: Mapping[str, float] = field(default_factory=dict)
    versions: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RailwayFacts:
    """A ``railway.json``, or a ``railway.toml``.

    Attributes:
        path: Where it is.
        deploy: What it says of the worker.
        faults: Fields of the wrong type.
    """

    path: str
    deploy: DeployFields
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class SuccessorFacts:
    """A ``.railway/`` configuration.

    Attributes:
        paths: Where it is; one, where Railway is to read it.
        ours: Whether it was made here.
        drift: The first line that ``slo.toml`` does not make so; empty where there is none, None where nobody can tell.
    """

    paths: tuple[str, ...]
    ours: bool = False
    drift: str | None = None

"""A set-up: how it is meant to be, and what was seen of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from jobctl.core.facts import (
    AccountFacts,
    DatabaseFacts,
    MetricsFacts,
    PrometheusFacts,
    RailwayFacts,
    RedisFacts,
    RqFacts,
    SentryFacts,
    SuccessorFacts,
    Unreachable,
)
from jobctl.core.operations import Thresholds
from jobctl.core.tiers import Clients

__all__ = ["ERROR_RATE", "Intent", "SetUp"]

#: The share of the jobs that fail for good, where nobody said or promised one.
ERROR_RATE: Final = 0.01


@dataclass(frozen=True, slots=True)
class Intent:
    """How a set-up is meant to be: the settings, and ``slo.toml`` where there is one.

    Attributes:
        today: The date.
        queues: Queues that workers are to listen to; None when nobody said.
        replicas: Workers that the plan asks for; None when nobody said.
        drain_timeout_s: How long a stop waits for running jobs, seconds.
        drain_told: Whether somebody said so; else it is what `jobctl work` does by itself.
        job_timeout_s: Of the longest job, seconds.
        db_pool_size: Database connections of each worker.
        db_tier: The database's size; None where it is not known.
        db_extras: Options of the database's URL that belong to another driver.
        jobs_per_day: The volume; None when nobody said.
        error_rate: The share of the jobs that fail for good.
        rpm: Calls a minute that the fleet allows itself, to one model; None for no limit.
        thresholds: From where on a stock is low.
        alerts: Names of the alerts that ``jobctl monitoring`` makes.
        versions: Versions of libraries here, by name.
    """

    today: date
    queues: tuple[str, ...] | None = None
    replicas: int | None = None
    drain_timeout_s: float = 25.0
    drain_told: bool = True
    job_timeout_s: float = 180.0
    db_pool_size: int = 4
    db_tier: Clients | None = None
    db_extras: tuple[str, ...] = ()
    jobs_per_day: float | None = None
    error_rate: float = ERROR_RATE
    rpm: float | None = None
    thresholds: Thresholds = field(default_factory=Thresholds)
    alerts: frozenset[str] = frozenset()
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SetUp:
    """All that a check may look at. What is None was not looked at, because nobody said where it is.

    Attributes:
        intent: How it is meant to be.
        redis: The Redis.
        rq: What RQ keeps there.
        database: The database of results.
        account: The OpenRouter account.
        sentry: The Sentry project.
        metrics: Of each worker that was named.
        prometheus: The Prometheus.
        railway: What is deployed.
        successor: What will be: the ``.railway/`` beside it, or here.
    """

    intent: Intent
    redis: RedisFacts | Unreachable | None = None
    rq: RqFacts | Unreachable | None = None
    database: DatabaseFacts | Unreachable | None = None
    account: AccountFacts | Unreachable | None = None
    sentry: SentryFacts | Unreachable | None = None
    metrics: tuple[MetricsFacts | Unreachable, ...] = ()
    prometheus: PrometheusFacts | Unreachable | None = None
    railway: RailwayFacts | Unreachable | None = None
    successor: SuccessorFacts | Unreachable | None = None

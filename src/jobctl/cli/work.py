"""``jobctl work``: an RQ worker with many jobs in flight in one process."""

from __future__ import annotations

from typing import Annotated

import typer

from jobctl import settings
from jobctl.cli.options import (
    AbandonLimit,
    Allow,
    Attempts,
    Concurrency,
    DatabasePool,
    DatabaseTimeout,
    DatabaseUrl,
    DrainTimeout,
    LimiterFailure,
    MetricsHost,
    MetricsPort,
    OpenRouterBurst,
    OpenRouterRpm,
    OpenRouterTpm,
    OpenRouterUrl,
    QueueModel,
    Queues,
    RecoverAfter,
    RedisUrl,
    RetryBase,
    RetryCap,
    SentryDsn,
    SentryErrors,
    SentryTracesSampleRate,
    together,
)

__all__ = ["work"]


def work(
    queues: Queues = None,
    concurrency: Concurrency = None,
    burst: Annotated[bool, typer.Option("--burst", help="End when the queues are empty; delayed tries stay.")] = False,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Name in Redis [default: host, process and a random part]."),
    ] = None,
    redis_url: RedisUrl = None,
    openrouter_url: OpenRouterUrl = None,
    openrouter_rpm: OpenRouterRpm = None,
    openrouter_tpm: OpenRouterTpm = None,
    openrouter_burst: OpenRouterBurst = None,
    queue_model: QueueModel = None,
    limiter_failure: LimiterFailure = None,
    drain_timeout: DrainTimeout = None,
    recover_after: RecoverAfter = None,
    abandon_limit: AbandonLimit = None,
    allow: Allow = None,
    attempts: Attempts = None,
    retry_base: RetryBase = None,
    retry_cap: RetryCap = None,
    database_url: DatabaseUrl = None,
    db_pool_size: DatabasePool = None,
    db_timeout: DatabaseTimeout = None,
    sentry_dsn: SentryDsn = None,
    sentry_traces_sample_rate: SentryTracesSampleRate = None,
    sentry_errors: SentryErrors = None,
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log each job.")] = False,
) -> None:
    """Run jobs from RQ queues: plain functions on threads, coroutines on one event loop, up to N at once.

    It runs any RQ job that can be imported from this directory. SIGTERM stops fetching and waits for running jobs; what
    still runs after --drain-timeout, or at a second signal, goes back to the front of its queue.
    """
    from jobctl.wiring.worker import run_worker

    merged = settings.load(
        {
            "queues": queues,
            "concurrency": concurrency,
            "redis_url": redis_url,
            "openrouter_url": openrouter_url,
            "openrouter_rpm": openrouter_rpm,
            "openrouter_tpm": openrouter_tpm,
            "openrouter_burst": openrouter_burst,
            "queue_models": together(queue_model),
            "limiter_failure": limiter_failure,
            "drain_timeout_s": drain_timeout,
            "recover_after_s": recover_after,
            "abandon_limit": abandon_limit,
            "allow": allow,
            "attempts": attempts,
            "retry_base_s": retry_base,
            "retry_cap_s": retry_cap,
            "database_url": database_url,
            "db_pool_size": db_pool_size,
            "db_timeout_s": db_timeout,
            "sentry_dsn": sentry_dsn,
            "sentry_traces_sample_rate": sentry_traces_sample_rate,
            "sentry_errors": sentry_errors,
            "metrics_port": metrics_port,
            "metrics_host": metrics_host,
        }
    )
    raise typer.Exit(run_worker(merged, burst=burst, name=name, verbose=verbose, say=typer.echo))

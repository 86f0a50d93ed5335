"""``jobctl doctor``: whether a set-up is sound, and what to mend."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated

import typer

from jobctl import settings
from jobctl.cli.consoles import open_console
from jobctl.cli.exit_status import ExitStatus
from jobctl.cli.json_output import write_document
from jobctl.cli.options import (
    DATABASE,
    OBSERVING,
    Concurrency,
    DatabasePool,
    DatabaseUrl,
    DrainTimeout,
    Json,
    OpenRouterRpm,
    OpenRouterUrl,
    PerDay,
    PlannedReplicas,
    Queues,
    SentryDsn,
    WorkersRedisUrl,
    check_writable,
    parser,
)
from jobctl.core.tiers import Clients, parse_tier
from jobctl.core.units import parse_share
from jobctl.errors import InvalidValue

__all__ = ["doctor"]


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidValue(f"{text!r} is no date", "give 2026-11-30") from None


def doctor(
    redis_url: WorkersRedisUrl = None,
    queues: Queues = None,
    concurrency: Concurrency = None,
    per_day: PerDay = None,
    error_rate: Annotated[
        float | None,
        typer.Option(
            "--error-rate",
            parser=parser(parse_share),
            metavar="SHARE",
            help="Share of the jobs that fail for good [default: that of slo.toml, else 1%].",
            show_default=False,
        ),
    ] = None,
    slo_file: Annotated[
        str | None,
        typer.Option(
            "--slo-file", metavar="FILE", help="What is planned and promised [default: monitoring/slo.toml, slo.toml]."
        ),
    ] = None,
    railway: Annotated[
        str | None, typer.Option("--railway", metavar="FILE", help="What is deployed [default: railway.json].")
    ] = None,
    planned_replicas: PlannedReplicas = None,
    drain_timeout: DrainTimeout = None,
    database_url: DatabaseUrl = None,
    db_pool_size: DatabasePool = None,
    db_tier: Annotated[
        Clients | None,
        typer.Option(
            "--db-tier",
            parser=parser(parse_tier),
            metavar="SIZE",
            help="The database's size, such as supabase-small or small:direct.",
            rich_help_panel=DATABASE,
            show_default=False,
        ),
    ] = None,
    openrouter_url: OpenRouterUrl = None,
    openrouter_rpm: OpenRouterRpm = None,
    sentry_dsn: SentryDsn = None,
    prometheus: Annotated[
        str | None,
        typer.Option(
            "--prometheus", metavar="URL", help="Prometheus that watches the fleet.", rich_help_panel=OBSERVING
        ),
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            "--metrics",
            metavar="URL",
            help="Metrics of one worker; may be repeated.",
            rich_help_panel=OBSERVING,
            show_default=False,
        ),
    ] = None,
    today: Annotated[
        date | None,
        typer.Option(
            "--today",
            parser=parser(_date),
            metavar="DATE",
            help="The date by which the platform's deadlines are judged [default: that of today].",
            show_default=False,
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Let a warning fail as well.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show every check on a line of its own.")] = False,
    json_target: Json = None,
) -> None:
    """Check a set-up, and say what to mend.

    Redis, RQ, the fleet, the database, OpenRouter, what watches and what deploys it are looked at, each where it is
    known, and nothing is changed.

    Exit code 0: no check failed; 99: one did, or with --strict one warns.
    """
    from jobctl.apps.doctor.examination import examine
    from jobctl.cli.doctor_render import show
    from jobctl.wiring.doctor import Question, look

    check_writable(json_target)
    merged = settings.load(
        {
            "redis_url": redis_url,
            "queues": queues,
            "concurrency": concurrency,
            "planned_replicas": planned_replicas,
            "drain_timeout_s": drain_timeout,
            "database_url": database_url,
            "db_pool_size": db_pool_size,
            "openrouter_url": openrouter_url,
            "openrouter_rpm": openrouter_rpm,
            "sentry_dsn": sentry_dsn,
        }
    )
    question = Question(
        today=today or datetime.now(UTC).date(),
        prometheus=prometheus,
        metrics=tuple(metrics or ()),
        railway=railway,
        slo_file=slo_file,
        jobs_per_day=per_day,
        error_rate=error_rate,
        db_tier=db_tier,
    )
    examination = examine(look(merged, question), strict=strict, secrets=merged.secrets())
    show(examination, open_console(aside=json_target == "-"), verbose=verbose)
    write_document(json_target, examination.to_document())
    raise typer.Exit(ExitStatus.PASS if examination.sound else ExitStatus.BROKEN)

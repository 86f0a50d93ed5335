"""Options that several commands share, each declared once, and the bridge from our parsers to the command line."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer

from jobctl.core.allowing import Allowlist
from jobctl.core.arrivals import Arrivals, parse_arrivals
from jobctl.core.units import SECONDS_PER_DAY, parse_count, parse_duration, parse_positive_duration, parse_whole
from jobctl.core.workload import parse_service_law
from jobctl.errors import InvalidOption, InvalidValue
from jobctl.settings import FIELDS, QueueModels, QueueNames

__all__ = [
    "LIMITS",
    "LOAD",
    "OBSERVING",
    "AbandonLimit",
    "Allow",
    "ArgsFrom",
    "ArrivalProcess",
    "Attempts",
    "Concurrency",
    "DatabasePool",
    "DatabaseTimeout",
    "DatabaseUrl",
    "DrainTimeout",
    "Job",
    "JobTimeout",
    "Json",
    "LawOfService",
    "LimiterFailure",
    "MetricsHost",
    "MetricsPort",
    "OpenRouterBurst",
    "OpenRouterRpm",
    "OpenRouterTpm",
    "OpenRouterUrl",
    "PerDay",
    "PlannedReplicas",
    "Port",
    "QueueModel",
    "Queues",
    "Rate",
    "RecoverAfter",
    "RedisUrl",
    "RetryBase",
    "RetryCap",
    "Seed",
    "SentryDsn",
    "SentryErrors",
    "SentryTracesSampleRate",
    "WorkersRedisUrl",
    "arrival_rate_per_s",
    "check_writable",
    "duration_option",
    "parser",
    "setting",
    "together",
    "whole_option",
]

T = TypeVar("T")


def parser(parse: Callable[[str], T]) -> Callable[[str], T]:
    """Make one of our parsers speak the command line's error language: the option's name is added there."""

    @wraps(parse)
    def parse_option(text: str) -> T:
        if not isinstance(text, str):  # a default goes through here as well
            return text
        try:
            return parse(text)
        except InvalidValue as error:
            raise typer.BadParameter(str(error)) from None

    return parse_option


def setting(name: str, metavar: str, text: str, *, default: str | None = None, panel: str | None = None) -> Any:
    """An option that fills a setting: the same parser and flag, unset by default so that lower levels show through.

    Args:
        name: The setting.
        metavar: What stands for its value in the help.
        text: What it means, for this command.
        default: What this command does without the flag, where that is not to look at the lower levels.
        panel: The panel of the help it stands in.
    """
    field = next(field for field in FIELDS if field.name == name)
    if default is None:
        unit = "s" if metavar == "DURATION" else ""
        shown = "" if field.default is None else f" [default: {_shown(field.default)}{unit}]"
        shown += f" [env: {field.env}]"
    else:
        shown = f" [default: {default}]"
    told = f"{text.removesuffix('.')}{shown}."
    return typer.Option(
        field.flag, parser=parser(field.parse), metavar=metavar, help=told, rich_help_panel=panel, show_default=False
    )


def duration_option(flag: str, text: str, panel: str | None = None, *, positive: bool = True) -> Any:
    """An option that is a duration."""
    parse = parse_positive_duration if positive else parse_duration
    return typer.Option(
        flag, parser=parser(parse), metavar="DURATION", help=text, rich_help_panel=panel, show_default=False
    )


def whole_option(flag: str, text: str, panel: str | None = None, *, maximum: int | None = None) -> Any:
    """An option that is a number of things, at least one."""
    return typer.Option(
        flag,
        parser=parser(partial(parse_whole, minimum=1, maximum=maximum)),
        metavar="N",
        help=text,
        rich_help_panel=panel,
    )


def arrival_rate_per_s(per_day: float | None, rate: float | None) -> float | None:
    """The volume in jobs per second; None when nothing was said.

    Raises:
        InvalidOption: It was said twice.
    """
    if per_day is not None and rate is not None:
        raise InvalidOption("--rate", "cannot be combined with --per-day", "give one of them")
    return per_day / SECONDS_PER_DAY if per_day is not None else rate


def together(models: list[QueueModels] | None) -> QueueModels | None:
    """One value of an option that was repeated; of a queue that was named again the last one counts."""
    return QueueModels({queue: model for part in models for queue, model in part.items()}) if models else None


def check_writable(target: str | None, option: str = "--json") -> None:
    """Refuse an output file that cannot be written, before any work is done."""
    if target is None or target == "-":
        return
    path = Path(target)
    if not path.parent.is_dir():
        raise InvalidOption(option, f"there is no directory {str(path.parent)!r}", "create it first")
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise InvalidOption(option, f"{target!r} cannot be written", "give the path of a file")


def _shown(value: object) -> str:
    if value is None:
        return ""
    return (
        ",".join(map(str, value))
        if isinstance(value, tuple)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


RedisUrl = Annotated[
    str | None, setting("redis_url", "URL", "Redis to use; without one an embedded server is started.")
]
WorkersRedisUrl = Annotated[str | None, setting("redis_url", "URL", "Redis that your workers listen to.")]
Port = Annotated[
    int,
    typer.Option(
        "--port",
        parser=parser(partial(parse_whole, minimum=0, maximum=65535)),
        metavar="PORT",
        help="Port; 0 picks a free one.",
    ),
]
Queues = Annotated[
    QueueNames | None, setting("queues", "NAMES", "Queues, most urgent first, or NAME:WEIGHT each; commas between.")
]
Concurrency = Annotated[int | None, setting("concurrency", "N", "Jobs in flight in one worker.")]
Allow = Annotated[
    Allowlist | None,
    setting("allow", "LIST", "Modules and functions that jobs may import and origins of webhooks, commas between."),
]
#: The panel of options that say how jobs are tried again.
RETRIES: Final = "Retries"
#: The panel of options about what must not get lost.
SAFETY: Final = "Safety"
Attempts = Annotated[int | None, setting("attempts", "N", "Tries of a job in all, the first included.", panel=RETRIES)]
RetryBase = Annotated[
    float | None,
    setting("retry_base_s", "DURATION", "Longest wait before the second try; doubled for each more.", panel=RETRIES),
]
RetryCap = Annotated[float | None, setting("retry_cap_s", "DURATION", "Longest wait before any try.", panel=RETRIES)]
DrainTimeout = Annotated[
    float | None, setting("drain_timeout_s", "DURATION", "How long a stop waits for running jobs.", panel=SAFETY)
]
RecoverAfter = Annotated[
    float | None,
    setting("recover_after_s", "DURATION", "Jobs of a killed worker run again within this time.", panel=SAFETY),
]
AbandonLimit = Annotated[
    int | None, setting("abandon_limit", "N", "A job whose worker died this often is dead.", panel=SAFETY)
]
#: The panel of options about the database of results.
DATABASE: Final = "Results in Postgres"
DatabaseUrl = Annotated[
    str | None, setting("database_url", "URL", "Postgres that keeps results; none without it.", panel=DATABASE)
]
DatabasePool = Annotated[
    int | None,
    setting("db_pool_size", "N", "Most connections of this worker; by its slots unless given.", panel=DATABASE),
]
DatabaseTimeout = Annotated[
    float | None, setting("db_timeout_s", "DURATION", "Total deadline of writing one result.", panel=DATABASE)
]
#: The panel of options that say who is told what happens.
OBSERVING: Final = "Observing"
SentryDsn = Annotated[
    str | None, setting("sentry_dsn", "DSN", "Sentry project that errors and traces go to.", panel=OBSERVING)
]
SentryTracesSampleRate = Annotated[
    float | None,
    setting(
        "sentry_traces_sample_rate", "SHARE", "Share of the traces begun here that are sent, 0 to 1.", panel=OBSERVING
    ),
]
SentryErrors = Annotated[
    str | None,
    setting("sentry_errors", "dead|every", "Errors of jobs that failed for good, or of each attempt.", panel=OBSERVING),
]
MetricsPort = Annotated[
    int | None,
    setting("metrics_port", "PORT", "Port of /metrics, /healthz and /readyz; 0 picks a free one.", panel=OBSERVING),
]
MetricsHost = Annotated[str | None, setting("metrics_host", "ADDRESS", "Address of that port.", panel=OBSERVING)]
PlannedReplicas = Annotated[
    int | None,
    setting("planned_replicas", "N", "Workers that the plan asks for, to compare with.", panel=OBSERVING),
]
OpenRouterUrl = Annotated[str | None, setting("openrouter_url", "URL", "OpenRouter API that the jobs call.")]
PerDay = Annotated[
    float | None,
    typer.Option("--per-day", parser=parser(parse_count), metavar="JOBS", help="Volume: jobs per day (450000, 450k)."),
]
Rate = Annotated[
    float | None,
    typer.Option(
        "--rate", parser=parser(parse_count), metavar="JOBS/S", help="Volume: jobs per second, instead of --per-day."
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        "--seed",
        parser=parser(lambda text: parse_whole(text, minimum=0)),
        metavar="N",
        help="Seed of everything random.",
    ),
]
Json = Annotated[
    str | None,
    typer.Option(
        "--json", metavar="FILE", help="Write the result as JSON to FILE; - for standard output.", show_default=False
    ),
]
#: The panel of options that say how OpenRouter is spared.
LIMITS: Final = "OpenRouter's limits"
OpenRouterRpm = Annotated[
    float | None, setting("openrouter_rpm", "N", "Calls a minute to a model, all workers together.", panel=LIMITS)
]
OpenRouterTpm = Annotated[float | None, setting("openrouter_tpm", "N", "Tokens a minute likewise.", panel=LIMITS)]
OpenRouterBurst = Annotated[
    int | None, setting("openrouter_burst", "N", "Calls by which a minute may exceed that.", panel=LIMITS)
]
QueueModel = Annotated[
    list[QueueModels] | None,
    setting(
        "queue_models",
        "QUEUE=MODEL",
        "Take jobs of this queue only when a call of this model is allowed; may be repeated.",
        panel=LIMITS,
    ),
]
LimiterFailure = Annotated[
    str | None,
    setting(
        "limiter_failure",
        "open|closed",
        "While the limiter's Redis does not answer, let each worker limit itself, or put calls off.",
        panel=LIMITS,
    ),
]
#: The panel of options that describe a load.
LOAD: Final = "Load"
ArrivalProcess = Annotated[
    Arrivals | None,
    typer.Option(
        "--arrivals",
        parser=parser(parse_arrivals),
        metavar="KIND",
        help="How gaps vary: poisson, constant, renewal:SCV or batch:SIZE [default: poisson].",
        rich_help_panel=LOAD,
    ),
]
Job = Annotated[
    str | None,
    typer.Option(
        "--job",
        metavar="JOB",
        help="chat_completion, sleep, noop or a dotted path such as myapp.tasks.f [default: chat_completion].",
        rich_help_panel=LOAD,
    ),
]
ArgsFrom = Annotated[
    str | None,
    typer.Option(
        "--args-from", metavar="FILE", help="Job arguments as JSON lines, taken in turn.", rich_help_panel=LOAD
    ),
]
LawOfService = Annotated[
    str | None,
    typer.Option(
        "--service-time",
        parser=parser(parse_service_law),
        metavar="DURATION|LAW",
        help="How long a sleep job, or the mock's answer, takes: 250ms, exponential:1s, lognormal:mean=1s,p95=2s.",
        rich_help_panel=LOAD,
    ),
]
JobTimeout = Annotated[float, duration_option("--job-timeout", "How long a job may run [default: 180s].", LOAD)]

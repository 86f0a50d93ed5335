"""The settings: defaults < ``jobctl.toml`` < environment < flags. The only reader of the environment.

Each value remembers where it came from, so that ``jobctl config`` can say so and an error can name the place to mend.
Unset is None: a flag that was not given never hides a lower level.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

from jobctl.apps.plan.request import INPUTS, Input, Level, PlanRequest, Source
from jobctl.core.allowing import EVERYTHING, Allowlist, parse_allow
from jobctl.core.limiting import Limit, Limits
from jobctl.core.retrying import MOST_ATTEMPTS, RetryPolicies, RetryPolicy, parse_policy
from jobctl.core.turns import parse_weighted
from jobctl.core.units import parse_count, parse_duration, parse_fraction, parse_positive_duration, parse_whole
from jobctl.core.urls import password_of, without_password
from jobctl.errors import InvalidOption, InvalidValue

__all__ = [
    "CONFIG_FILE",
    "FIELDS",
    "MOCK_CONTROL",
    "STEP_SUMMARY",
    "Field",
    "Origin",
    "QueueModels",
    "QueueNames",
    "Settings",
    "load",
    "load_plan",
    "mock_control",
    "step_summary",
]

#: The file looked for in the working directory.
CONFIG_FILE: Final = "jobctl.toml"
#: The variable by which GitHub Actions names the file for a step's summary.
STEP_SUMMARY: Final = "GITHUB_STEP_SUMMARY"
#: The variable in which whoever starts a mock gives it the secret by which to impose faults on it.
MOCK_CONTROL: Final = "JOBCTL_MOCK_CONTROL"
#: Workers pulse every fifteenth of it, and a busy interpreter may be late by a few hundredths of a second.
_SHORTEST_RECOVERY_S: Final = 1.0
#: A write of a result ends before this: a slot must not wait for a database as it does for an upstream.
_LONGEST_DATABASE_WAIT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Field:
    """One setting: its names at each level, and how its text is read.

    Attributes:
        name: Its key in ``jobctl.toml`` and its attribute on :class:`Settings`.
        flag: The command-line option.
        env: The environment variable.
        parse: Text to value; raises InvalidValue.
        default: What holds when nothing is given; None means "find or start one".
        secret: Whether all of it is a secret. The password inside a URL never shows in any case.
        meaning: One line for ``jobctl config``.
    """

    name: str
    flag: str
    env: str
    parse: Callable[[str], Any]
    default: Any
    meaning: str
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from: ``flag``, ``env``, ``file`` or ``default``, and its name there."""

    level: str
    name: str

    def __str__(self) -> str:
        return self.level if self.level == "default" else f"{self.level} {self.name}"


def _redis_url(text: str) -> str:
    text = text.strip()
    scheme = text.split("://", 1)[0] if "://" in text else ""
    rest = text[len(scheme) + 3 :]
    if scheme not in {"redis", "rediss", "unix"} or not rest.strip("/"):
        raise InvalidValue(
            f"{without_password(text)!r} is not a Redis URL", "give redis://host:6379/0 or unix:///path/to.sock"
        )
    return text


def _database_url(text: str) -> str:
    """A connection string of libpq, looked at from outside; it is not shown, as nobody knows what in it is a secret.

    ``none`` is an empty one: no results are kept, though a variable for the jobs' own use names a database.
    """
    text = text.strip()
    if text.lower() == "none":
        return ""
    url = text.startswith(("postgresql://", "postgres://"))
    if not text.isprintable() or not (url or ("=" in text and "://" not in text)):
        raise InvalidValue("is not a Postgres connection string", "give postgresql://user:password@host:6543/postgres")
    return text


def _database_timeout(text: str) -> float:
    seconds = parse_positive_duration(text)
    if seconds >= _LONGEST_DATABASE_WAIT_S:
        raise InvalidValue(f"{text!r} is too long", f"give less than {_LONGEST_DATABASE_WAIT_S:g}s")
    return seconds


def _http_url(text: str) -> str:
    text = text.strip().rstrip("/")
    if not text.startswith(("http://", "https://")):
        raise InvalidValue(f"{without_password(text)!r} is not an HTTP URL", "give https://host/api/v1")
    return text


class QueueNames(tuple[str, ...]):
    """Names of queues, most urgent first. A class of its own, because a bare tuple is several words to typer.

    Attributes:
        weights: Of each queue, its share of the turns; None when each queue goes before all that follow it.
    """

    weights: tuple[int, ...] | None

    def __new__(cls, names: Iterable[str], weights: tuple[int, ...] | None = None) -> Self:
        """Names with their weights."""
        queues = super().__new__(cls, names)
        queues.weights = weights
        return queues

    def __str__(self) -> str:
        if self.weights is None:
            return ",".join(self)
        return ",".join(f"{name}:{weight}" for name, weight in zip(self, self.weights, strict=True))


def _queue_names(text: str) -> QueueNames:
    return QueueNames(*parse_weighted(text))


def _recover_after(text: str) -> float:
    seconds = parse_positive_duration(text)
    if seconds < _SHORTEST_RECOVERY_S:
        raise InvalidValue(f"{text!r} is too short to tell a busy worker from a dead one", "give at least 1s")
    return seconds


def _text(text: str) -> str:
    if not text.strip():
        raise InvalidValue("is empty", "give a value or leave it out")
    return text.strip()


def _sentry_dsn(text: str) -> str:
    from sentry_sdk.utils import BadDsn, Dsn  # costly, and only for those who use it

    text = text.strip()
    try:
        Dsn(text)
    except (BadDsn, ValueError):
        raise InvalidValue("is not a Sentry DSN", "give https://KEY@HOST/PROJECT, as Sentry shows it") from None
    return text


def _sentry_errors(text: str) -> str:
    if text.strip() not in {"dead", "every"}:
        raise InvalidValue(f"{text!r} is no such choice", "give dead or every")
    return text.strip()


class QueueModels(dict[str, str]):
    """The model that the jobs of each of these queues call."""

    def __str__(self) -> str:
        return ",".join(f"{queue}={model}" for queue, model in self.items())


def _queue_models(text: str) -> QueueModels:
    models = QueueModels()
    for pair in text.split(","):
        queue, _, model = (word.strip() for word in pair.partition("="))
        if not queue or not model or len(model.split()) != 1:
            raise InvalidValue(f"{pair.strip()!r} names no queue and model", "give llm=openai/gpt-4o-mini")
        if queue in models:
            raise InvalidValue(f"{text!r} names the queue {queue!r} twice", "give one model to each queue")
        models[queue] = model
    return models


def _limiter_failure(text: str) -> str:
    if text.strip() not in {"open", "closed"}:
        raise InvalidValue(f"{text!r} is no such choice", "give open or closed")
    return text.strip()


FIELDS: Final[tuple[Field, ...]] = (
    Field("redis_url", "--redis-url", "REDIS_URL", _redis_url, None, "Redis to use; an embedded server when unset"),
    Field(
        "queues",
        "--queues",
        "JOB_QUEUES",
        _queue_names,
        QueueNames(("high", "default", "low")),
        "queues a worker listens to, most urgent first, or name:weight each",
    ),
    Field(
        "concurrency",
        "--concurrency",
        "JOB_CONCURRENCY",
        partial(parse_whole, maximum=10_000),
        25,
        "jobs in flight in one worker",
    ),
    Field(
        "openrouter_url",
        "--openrouter-url",
        "OPENROUTER_BASE_URL",
        _http_url,
        "https://openrouter.ai/api/v1",
        "where chat_completion jobs call",
    ),
    Field(
        "openrouter_api_key", "--openrouter-api-key", "OPENROUTER_API_KEY", _text, None, "the key they call with", True
    ),
    Field(
        "call_timeout_s",
        "--call-timeout",
        "JOB_CALL_TIMEOUT",
        parse_positive_duration,
        120.0,
        "total deadline of one OpenRouter call, seconds",
    ),
    Field(
        "attempts",
        "--attempts",
        "JOB_ATTEMPTS",
        partial(parse_whole, minimum=1, maximum=MOST_ATTEMPTS),
        5,
        "tries of a job in all; types may differ, by [retry] tables in jobctl.toml",
    ),
    Field(
        "retry_base_s",
        "--retry-base",
        "JOB_RETRY_BASE",
        parse_duration,
        2.0,
        "longest wait before a job's second try, doubled for each further one, seconds",
    ),
    Field("retry_cap_s", "--retry-cap", "JOB_RETRY_CAP", parse_duration, 300.0, "longest wait before any try, seconds"),
    Field(
        "drain_timeout_s",
        "--drain-timeout",
        "JOB_DRAIN_TIMEOUT",
        parse_duration,
        25.0,
        "how long a worker that is told to stop waits for running jobs, seconds",
    ),
    Field(
        "recover_after_s",
        "--recover-after",
        "JOB_RECOVER_AFTER",
        _recover_after,
        30.0,
        "within this time jobs of a killed worker run again on another, seconds",
    ),
    Field(
        "abandon_limit",
        "--abandon-limit",
        "JOB_ABANDON_LIMIT",
        partial(parse_whole, maximum=1_000),
        3,
        "a job whose worker died this often is dead",
    ),
    Field("allow", "--allow", "JOB_ALLOW", parse_allow, EVERYTHING, "what jobs may import and webhooks may call"),
    Field(
        "database_url",
        "--database-url",
        "DATABASE_URL",
        _database_url,
        None,
        "Postgres that keeps results; none for no results",
    ),
    Field(
        "db_pool_size",
        "--db-pool-size",
        "JOB_DB_POOL_SIZE",
        partial(parse_whole, maximum=10_000),
        None,
        "database connections of one worker; by its slots when unset",
    ),
    Field(
        "db_timeout_s",
        "--db-timeout",
        "JOB_DB_TIMEOUT",
        _database_timeout,
        10.0,
        "total deadline of writing one result, seconds",
    ),
    Field("sentry_dsn", "--sentry-dsn", "SENTRY_DSN", _sentry_dsn, None, "where errors and traces go", True),
    Field(
        "sentry_traces_sample_rate",
        "--sentry-traces-sample-rate",
        "SENTRY_TRACES_SAMPLE_RATE",
        parse_fraction,
        0.0,
        "share of the traces begun by jobctl that are sent; an enqueuer's own decision is followed",
    ),
    Field(
        "sentry_errors",
        "--sentry-errors",
        "JOB_SENTRY_ERRORS",
        _sentry_errors,
        "dead",
        "which errors go to Sentry: dead (of jobs that failed for good) or every",
    ),
    Field(
        "metrics_port",
        "--metrics-port",
        "JOB_METRICS_PORT",
        partial(parse_whole, minimum=0, maximum=65535),
        None,
        "port of a worker's /metrics, /healthz and /readyz; 0 picks a free one",
    ),
    Field(
        "metrics_host",
        "--metrics-host",
        "JOB_METRICS_HOST",
        _text,
        "0.0.0.0",
        "address of that port; every interface, because Prometheus is outside the container",
    ),
    Field(
        "planned_replicas",
        "--planned-replicas",
        "JOB_PLANNED_REPLICAS",
        parse_whole,
        None,
        "workers that the plan asks for, shown beside those that are there",
    ),
    Field(
        "openrouter_rpm",
        "--openrouter-rpm",
        "OPENROUTER_RPM",
        parse_count,
        None,
        "calls a minute to each model, all workers together; models may differ, by [openrouter.limits] in jobctl.toml",
    ),
    Field("openrouter_tpm", "--openrouter-tpm", "OPENROUTER_TPM", parse_count, None, "tokens a minute likewise"),
    Field(
        "openrouter_burst",
        "--openrouter-burst",
        "OPENROUTER_BURST",
        partial(parse_whole, minimum=0, maximum=1_000_000),
        0,
        "calls by which a minute may exceed that",
    ),
    Field(
        "queue_models",
        "--queue-model",
        "JOB_QUEUE_MODELS",
        _queue_models,
        None,
        "queue=model of queues whose jobs are taken only when their call is allowed",
    ),
    Field(
        "limiter_failure",
        "--limiter-failure",
        "JOB_LIMITER_FAILURE",
        _limiter_failure,
        "open",
        "while the limiter's Redis does not answer: open (each worker limits itself) or closed (calls are put off)",
    ),
)
_BY_NAME: Final = {field.name: field for field in FIELDS}


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one run, merged and frozen.

    Attributes:
        redis_url: Redis to use; None means an embedded server.
        queues: Queue names, most urgent first.
        concurrency: Jobs in flight in one worker.
        openrouter_url: Base URL of the OpenRouter API.
        openrouter_api_key: The key; None when not given.
        call_timeout_s: Total deadline of one OpenRouter call, seconds.
        attempts: Tries of a job in all, the first included, of types that are not named in the file.
        retry_base_s: Upper bound of the wait before their second try, seconds.
        retry_cap_s: Upper bound of the wait before any try of theirs, seconds.
        drain_timeout_s: How long a worker that is told to stop waits for running jobs, seconds.
        recover_after_s: Within this time jobs of a killed worker run again on another, seconds.
        abandon_limit: A job whose worker died this often is dead.
        allow: What jobs may import and webhooks may call; all of it when nothing is listed.
        database_url: Postgres that keeps the results of jobs; None means that only Redis does.
        db_pool_size: The most connections that one worker opens to it; None means as its slots need.
        db_timeout_s: Total deadline of writing one result, below 60 seconds.
        retries: The policy of every job type; the default one is made of the above.
        sentry_dsn: Where errors and traces go; None for nowhere.
        sentry_traces_sample_rate: Share of the traces begun by jobctl that are sent, 0 to 1.
        sentry_errors: ``dead`` for errors of jobs that failed for good, ``every`` for those of each attempt.
        metrics_port: Port of a worker's metrics; None for none, 0 for a free one.
        metrics_host: Address of that port.
        planned_replicas: Workers that the plan asks for; None when not given.
        openrouter_rpm: Calls a minute to each model that is not named in the file, all workers together; None for no
            limit.
        openrouter_tpm: Tokens a minute likewise.
        openrouter_burst: Calls by which a minute may exceed that.
        queue_models: The model of queues whose jobs are taken only when their call is allowed; None for no such queue.
        limiter_failure: What holds while the limiter's Redis does not answer: ``open`` or ``closed``.
        limits: The limits of every model; the default one is made of the above.
        origins: For each of the above, where its value came from.
    """

    redis_url: str | None
    queues: QueueNames
    concurrency: int
    openrouter_url: str
    openrouter_api_key: str | None
    call_timeout_s: float
    attempts: int
    retry_base_s: float
    retry_cap_s: float
    drain_timeout_s: float
    recover_after_s: float
    abandon_limit: int
    allow: Allowlist
    database_url: str | None
    db_pool_size: int | None
    db_timeout_s: float
    retries: RetryPolicies
    sentry_dsn: str | None
    sentry_traces_sample_rate: float
    sentry_errors: str
    metrics_port: int | None
    metrics_host: str
    planned_replicas: int | None
    openrouter_rpm: float | None
    openrouter_tpm: float | None
    openrouter_burst: int
    queue_models: QueueModels | None
    limiter_failure: str
    limits: Limits
    origins: Mapping[str, Origin]

    @property
    def masked_redis_url(self) -> str:
        """The Redis URL as it may be printed."""
        return self.shown(_BY_NAME["redis_url"])

    def secrets(self) -> list[str]:
        """The secrets among the values, and the passwords inside URLs: what must not leave the process."""
        texts = [(field, str(value)) for field in FIELDS if (value := getattr(self, field.name)) is not None]
        passwords = [password for _, text in texts if (password := password_of(text)) is not None]
        return [text for field, text in texts if field.secret] + passwords

    def shown(self, field: Field) -> str:
        """The value as it may be printed: secrets and passwords inside URLs masked."""
        value = getattr(self, field.name)
        if value is None:
            return "(unset)"
        if field.secret:
            return "***"
        return f"{value:g}" if isinstance(value, float) else without_password(str(value))


def mock_control(env: Mapping[str, str] | None = None) -> str | None:
    """The secret of whoever may impose faults on a mock that is started here; None for nobody.

    Args:
        env: The environment; the process's own when None.
    """
    return (os.environ if env is None else env).get(MOCK_CONTROL) or None


def step_summary(env: Mapping[str, str] | None = None) -> str | None:
    """The file that GitHub Actions shows as the summary of a step; None elsewhere.

    It is no setting of a person: the runner gives it to every step.

    Args:
        env: The environment; the process's own when None.
    """
    env = os.environ if env is None else env
    return env.get(STEP_SUMMARY, "").strip() or None


def load(flags: Mapping[str, Any], *, env: Mapping[str, str] | None = None, directory: Path | None = None) -> Settings:
    """Merge the four levels.

    Args:
        flags: Values from the command line by field name, already parsed; None means not given.
        env: The environment; the process's own when None.
        directory: Where ``jobctl.toml`` is looked for; the working directory when None.

    Raises:
        InvalidOption: A value at some level means nothing, or the file has an unknown key or cannot be read.
    """
    env = os.environ if env is None else env
    path = (directory or Path()) / CONFIG_FILE
    file_values = _read_file(path)
    retry_tables = _retry_tables(file_values, path.name)
    limit_tables = _limit_tables(file_values, path.name)
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for field in FIELDS:
        if flags.get(field.name) is not None:
            values[field.name], origins[field.name] = flags[field.name], Origin("flag", field.flag)
        elif env.get(field.env, "").strip():
            values[field.name] = _parsed(field, env[field.env], field.env)
            origins[field.name] = Origin("env", field.env)
        elif field.name in file_values:
            text = _file_text(file_values[field.name])
            values[field.name] = _parsed(field, text, f"{path.name}: {field.name}")
            origins[field.name] = Origin("file", path.name)
        else:
            values[field.name], origins[field.name] = field.default, Origin("default", "")
    if values["retry_base_s"] > values["retry_cap_s"]:
        raise InvalidOption(
            origins["retry_base_s"].name or "--retry-base",
            f"{values['retry_base_s']:g}s is longer than the longest wait, {values['retry_cap_s']:g}s",
            "give a shorter one, or a longer --retry-cap",
        )
    values["database_url"] = values["database_url"] or None
    retries = _retry_policies(values, retry_tables, path.name)
    limits = _limits(values, limit_tables, path.name)
    return Settings(**values, retries=retries, limits=limits, origins=origins)


def _parsed(field: Field | Input, text: str, place: str) -> Any:
    try:
        return field.parse(text)
    except InvalidValue as error:
        raise InvalidOption(place, error.problem, error.remedy) from None


def _file_text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


#: The tables of retry policies: ``[retry.default]``, and ``[retry."myapp.tasks.send"]`` for each job type.
_RETRY_TABLE: Final = "retry"
_DEFAULT_POLICY: Final = "default"
#: What ``[retry.default]`` says, and the setting it fills.
_RETRY_SETTINGS: Final = {"attempts": "attempts", "base": "retry_base_s", "cap": "retry_cap_s"}


def _retry_tables(file_values: dict[str, Any], file_name: str) -> dict[str, dict[str, Any]]:
    """Take the retry tables out of a file's values; what the default one says of a setting becomes that setting's."""
    tables = file_values.pop(_RETRY_TABLE, {})
    place = f"{file_name}: {_RETRY_TABLE}"
    if not isinstance(tables, dict):
        raise InvalidOption(place, f"{tables!r} is no table", "write [retry.default] and below it attempts = 5")
    for job_type, table in tables.items():
        if not isinstance(table, dict):
            raise InvalidOption(f"{place}.{job_type}", f"{table!r} is no table", "write it below [retry.default]")
        if any(isinstance(value, dict) for value in table.values()):
            raise InvalidOption(
                f"{place}.{job_type}", "holds further tables", 'put the dotted path in quotes: [retry."myapp.tasks.f"]'
            )
    default = tables.get(_DEFAULT_POLICY, {})
    for key, name in _RETRY_SETTINGS.items():
        if key in default:
            if name in file_values:
                raise InvalidOption(f"{place}.{_DEFAULT_POLICY}.{key}", f"is given as {name} too", "give one of them")
            file_values[name] = default[key]
    return tables


def _retry_policies(values: Mapping[str, Any], tables: Mapping[str, dict[str, Any]], file_name: str) -> RetryPolicies:
    def read(job_type: str, default: RetryPolicy) -> RetryPolicy:
        try:
            return parse_policy(tables.get(job_type, {}), default)
        except InvalidValue as error:
            place = f"{file_name}: {_RETRY_TABLE}.{job_type}"
            raise InvalidOption(place, error.problem, error.remedy) from None

    settled = {"attempts": values["attempts"], "base_s": values["retry_base_s"], "cap_s": values["retry_cap_s"]}
    default = replace(read(_DEFAULT_POLICY, RetryPolicy()), **settled)
    return RetryPolicies(default, {name: read(name, default) for name in tables if name != _DEFAULT_POLICY})


#: The tables of limits: ``[openrouter.limits."openai/gpt-4o-mini"]`` for each model that differs.
_OPENROUTER_TABLE: Final = "openrouter"
_LIMITS_TABLE: Final = "limits"
_LIMIT_FIELDS: Final = {"rpm": "openrouter_rpm", "tpm": "openrouter_tpm", "burst": "openrouter_burst"}


def _limit_tables(file_values: dict[str, Any], file_name: str) -> dict[str, dict[str, Any]]:
    """Take the tables of limits out of a file's values."""
    openrouter = file_values.pop(_OPENROUTER_TABLE, {})
    place = f"{file_name}: {_OPENROUTER_TABLE}"
    remedy = 'write [openrouter.limits."openai/gpt-4o-mini"] and below it rpm = 600'
    if not isinstance(openrouter, dict) or any(key != _LIMITS_TABLE for key in openrouter):
        raise InvalidOption(place, f"holds more than the table {_LIMITS_TABLE!r}", remedy)
    tables = openrouter.get(_LIMITS_TABLE, {})
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise InvalidOption(f"{place}.{_LIMITS_TABLE}", "holds what is no table", remedy)
    return tables


def _limits(values: Mapping[str, Any], tables: Mapping[str, dict[str, Any]], file_name: str) -> Limits:
    default = Limit(values["openrouter_rpm"], values["openrouter_tpm"], values["openrouter_burst"])
    by_model = {}
    for model, table in tables.items():
        place = f"{file_name}: {_OPENROUTER_TABLE}.{_LIMITS_TABLE}.{model}"
        changes = {}
        for key, value in table.items():
            if key not in _LIMIT_FIELDS:
                raise InvalidOption(place, f"unknown key {key!r}", f"known keys: {', '.join(_LIMIT_FIELDS)}")
            changes[key] = _parsed(_BY_NAME[_LIMIT_FIELDS[key]], str(value), f"{place}.{key}")
        by_model[model] = replace(default, **changes)
    return Limits(default, by_model)


#: The table of what a plan is told, and in it that of the platform's prices.
_PLAN_TABLE: Final = "plan"
_PRICES_TABLE: Final = "prices"
#: What a plan is told that a setting says as well, by the plan's name for it.
_PLAN_SETTINGS: Final = {
    "concurrency": "concurrency",
    "attempts": "attempts",
    "retry_base": "retry_base_s",
    "retry_cap": "retry_cap_s",
    "upstream_rpm": "openrouter_rpm",
    "upstream_burst": "openrouter_burst",
    "upstream_tpm": "openrouter_tpm",
    "db_connections_per_replica": "db_pool_size",
}
_LEVELS: Final = {"default": Level.DEFAULT, "file": Level.FILE, "env": Level.ENVIRONMENT}


def load_plan(
    flags: Mapping[str, Any], *, env: Mapping[str, str] | None = None, directory: Path | None = None
) -> tuple[PlanRequest, Settings]:
    """Merge what a plan is told: flags, then environment, then the file's ``[plan]`` table, then the settings.

    Args:
        flags: Values from the command line by attribute of the request, already parsed; None, or an empty list, means
            not given.
        env: The environment; the process's own when None.
        directory: Where ``jobctl.toml`` is looked for; the working directory when None.

    Returns:
        The request, and the settings without any flag.

    Raises:
        InvalidOption: A value at some level means nothing, or the file has an unknown key or cannot be read.
    """
    settings = load({}, env=env, directory=directory)
    path = (directory or Path()) / CONFIG_FILE
    table = _plan_table(_read_file(path), path.name)
    prices = table.pop(_PRICES_TABLE, None)
    if prices is not None:
        from jobctl.core.prices import parse_prices  # only plan needs it

        prices = parse_prices(prices, f"{path.name}: {_PLAN_TABLE}.{_PRICES_TABLE}")
    values: dict[str, Any] = {}
    sources: dict[str, Source] = {}
    for told in INPUTS:
        setting = _PLAN_SETTINGS.get(told.name)
        value = None if setting is None else getattr(settings, setting)
        origin = Origin("default", "") if setting is None else settings.origins[setting]
        level = _LEVELS[origin.level]
        flag = flags.get(told.name)
        if flag is not None and flag != []:
            value, level, origin = tuple(flag) if told.many else flag, Level.FLAG, Origin("flag", told.flag)
        elif told.key in table and level < Level.ENVIRONMENT:
            value, level, origin = _plan_value(told, table[told.key], path.name), Level.FILE, Origin("file", path.name)
        if value is not None:
            values[told.name], sources[told.name] = value, Source(level, str(origin))
    return PlanRequest(**values, sources=sources, prices=prices), settings


def _plan_table(file_values: dict[str, Any], file_name: str) -> dict[str, Any]:
    table = file_values.get(_PLAN_TABLE, {})
    place = f"{file_name}: {_PLAN_TABLE}"
    if not isinstance(table, dict):
        raise InvalidOption(place, f"{table!r} is no table", "write [plan] and below it peak_factor = 2")
    known = [*(told.key for told in INPUTS), _PRICES_TABLE]
    for key, value in table.items():
        _check_known(key, known, place)
        if isinstance(value, dict) != (key == _PRICES_TABLE):
            what = "is no table" if key == _PRICES_TABLE else "is a table"
            raise InvalidOption(f"{place}.{key}", what, "write [plan.prices] for prices, and name = value for the rest")
    return dict(table)


def _plan_value(told: Input, value: object, file_name: str) -> Any:
    place = f"{file_name}: {_PLAN_TABLE}.{told.key}"
    items = value if told.many and isinstance(value, list) else [value]
    parsed = tuple(_parsed(told, _file_text(item), place) for item in items)
    return parsed if told.many else parsed[0]


def _check_known(key: str, known: list[str], place: str) -> None:
    if key not in known:
        near = get_close_matches(key, known, n=1)
        remedy = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
        raise InvalidOption(place, f"unknown key {key!r}", remedy)


def _read_file(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidOption(str(path), f"cannot be read ({error})", "mend the file or remove it") from None
    for key in content:
        _check_known(key, [*_BY_NAME, _RETRY_TABLE, _OPENROUTER_TABLE, _PLAN_TABLE], path.name)
    return content

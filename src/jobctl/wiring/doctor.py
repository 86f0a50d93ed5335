"""``jobctl doctor``: every outside system looked at, side by side and for a few seconds at most, and what was seen."""

from __future__ import annotations

import json
import threading
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from jobctl import __version__
from jobctl.apps.doctor.set_up import ERROR_RATE, Intent, SetUp
from jobctl.core.facts import RailwayFacts, SuccessorFacts, Unreachable
from jobctl.core.operations import Fleet, Operations, Thresholds
from jobctl.core.pooling import pool_size
from jobctl.core.railway import SERVICE_FILES, DeployFields, read_deploy, wrong_types
from jobctl.core.turns import parse_weighted
from jobctl.core.urls import without_password
from jobctl.errors import InvalidOption, ServiceUnavailable
from jobctl.wiring.deploy import successor_of
from jobctl.wiring.rendered import read_operations, slo_file_here

if TYPE_CHECKING:
    from jobctl.core.facts import (
        AccountFacts,
        DatabaseFacts,
        MetricsFacts,
        PrometheusFacts,
        RedisFacts,
        RqFacts,
        SentryFacts,
    )
    from jobctl.core.tiers import Clients
    from jobctl.settings import Settings

__all__ = ["Question", "look"]

_Facts = TypeVar("_Facts")

#: How long one system may take for one answer, and for all of them together, seconds.
_ANSWER_S: Final = 3.0
_DEADLINE_S: Final = 8.0
_RAILWAY_OPTION: Final = "--railway"
_LIBRARIES: Final = {"rq": "rq", "redis-py": "redis"}


@dataclass(frozen=True, slots=True)
class Question:
    """What the settings do not say.

    Attributes:
        today: The date.
        prometheus: The URL of a Prometheus; None for none.
        metrics: The URLs of workers' metrics.
        railway: The path of a ``railway.json``; None for the one that is here, if any.
        slo_file: The path of an ``slo.toml``; None likewise.
        jobs_per_day: The volume; None when not given.
        error_rate: The share of the jobs that fail for good; None when not given.
        db_tier: The database's size; None when not given.
    """

    today: date
    prometheus: str | None = None
    metrics: tuple[str, ...] = ()
    railway: str | None = None
    slo_file: str | None = None
    jobs_per_day: float | None = None
    error_rate: float | None = None
    db_tier: Clients | None = None


def look(settings: Settings, question: Question) -> SetUp:
    """Look at a whole set-up. Nothing of it is changed.

    Args:
        settings: Those that a worker would have.
        question: What they do not say.

    Raises:
        InvalidOption: A value means nothing, a file that was named is not there, or nothing was named.
    """
    _check_urls("--prometheus", filter(None, [question.prometheus]))
    _check_urls("--metrics", question.metrics)
    operations = _operations(question.slo_file)
    railway = _railway(question.railway)
    place = railway.path if isinstance(railway, RailwayFacts) else question.railway or ""
    successor = _successor(operations, Path(place).parent)
    database_url, strange = _database(settings)
    intent = _intent(settings, question, operations, _deployed(operations, railway, successor), strange)
    tasks: dict[str, Callable[[], Any]] = {f"metrics {url}": partial(_metrics, url) for url in question.metrics}
    if settings.redis_url is not None:
        tasks |= {"redis": partial(_redis, settings), "rq": partial(_rq, settings)}
    if database_url is not None:
        tasks["database"] = partial(_postgres, settings, database_url)
    if settings.openrouter_api_key is not None:
        tasks["account"] = partial(_account, settings, settings.openrouter_api_key)
    if settings.sentry_dsn is not None:
        tasks["sentry"] = partial(_sentry, settings.sentry_dsn)
    if question.prometheus is not None:
        tasks["prometheus"] = partial(_prometheus, question.prometheus)
    if not tasks and railway is None and successor is None:
        raise InvalidOption(
            "--redis-url",
            "is not given, and there is nothing else to look at",
            "give the URL of the Redis that your workers listen to, or set REDIS_URL",
        )
    seen = _side_by_side(tasks)
    metrics = tuple(seen.pop(f"metrics {url}") for url in dict.fromkeys(question.metrics))
    return SetUp(intent, railway=railway, successor=successor, metrics=metrics, **seen)


def _check_urls(option: str, urls: Iterable[str]) -> None:
    for url in urls:
        if not url.startswith(("http://", "https://")):
            raise InvalidOption(option, f"{without_password(url)!r} is no HTTP URL", "give http://host:port")


# ------------------------------------------------------------------------------------------------ how it is meant to be


def _intent(
    settings: Settings,
    question: Question,
    operations: Operations | None,
    deploy: DeployFields,
    strange: tuple[str, ...],
) -> Intent:
    """A flag goes before what is deployed, that before the environment here, and ``slo.toml`` fills what is left."""
    fleet = None if operations is None else operations.fleet

    def chosen(name: str, deployed: Any, planned: Any) -> Any:
        origin, value = settings.origins[name], getattr(settings, name)
        told = None if origin.level == "default" else value
        order = (told, deployed, planned) if origin.level == "flag" else (deployed, told, planned)
        return next((one for one in order if one is not None), value)

    concurrency = chosen("concurrency", deploy.concurrency, fleet and fleet.concurrency)
    queues = None if settings.origins["queues"].level == "default" else tuple(settings.queues)
    rates = (question.error_rate, None if operations is None else operations.error_rate, ERROR_RATE)
    return Intent(
        today=question.today,
        queues=queues if queues is not None or fleet is None else tuple(parse_weighted(fleet.queues)[0]),
        replicas=chosen("planned_replicas", None, fleet and fleet.replicas),
        drain_timeout_s=chosen("drain_timeout_s", deploy.drain_timeout_s, None),
        drain_told=deploy.drain_timeout_s is not None or settings.origins["drain_timeout_s"].level != "default",
        job_timeout_s=(fleet or Fleet()).job_timeout_s,
        db_pool_size=chosen("db_pool_size", deploy.db_pool_size, fleet and fleet.db_pool_size)
        or pool_size(concurrency),
        db_tier=question.db_tier or (None if fleet is None else fleet.db_tier),
        db_extras=strange,
        jobs_per_day=question.jobs_per_day,
        error_rate=next(rate for rate in rates if rate is not None),
        rpm=settings.openrouter_rpm,
        thresholds=Thresholds() if operations is None else operations.thresholds,
        alerts=frozenset() if operations is None else _alerts(operations),
        versions={"jobctl": __version__, **{name: version(library) for name, library in _LIBRARIES.items()}},
    )


def _deployed(
    operations: Operations | None,
    railway: RailwayFacts | Unreachable | None,
    successor: SuccessorFacts | Unreachable | None,
) -> DeployFields:
    """How workers are started: by ``railway.json``, or by a ``.railway/`` that says what ``slo.toml`` does."""
    if isinstance(railway, RailwayFacts):
        return railway.deploy
    is_ours = isinstance(successor, SuccessorFacts) and successor.drift == ""
    if operations is None or railway is not None or not is_ours:
        return DeployFields()
    fleet = operations.fleet
    return DeployFields(
        drain_timeout_s=fleet.job_timeout_s, concurrency=fleet.concurrency, db_pool_size=fleet.db_pool_size
    )


def _alerts(operations: Operations) -> frozenset[str]:
    """Names of the alerts that Prometheus is to evaluate."""
    from jobctl.apps.monitoring.rules import alerts

    return frozenset(alert.name for alert in alerts(operations, 1.0))


def _operations(given: str | None) -> Operations | None:
    path = given or slo_file_here()
    return None if path is None else read_operations(path)


def _database(settings: Settings) -> tuple[str | None, tuple[str, ...]]:
    """The database without another driver's options, and their names."""
    if settings.database_url is None:
        return None, ()
    from jobctl.adapters.postgres_facts import without_strange_options

    return without_strange_options(settings.database_url)


def _railway(given: str | None) -> RailwayFacts | Unreachable | None:
    """The file that was named, or the one that is here.

    Raises:
        InvalidOption: The one that was named is not there, or cannot be read.
    """
    from jobctl.adapters.files import read_text

    paths = (given,) if given is not None else SERVICE_FILES
    texts = ((path, read_text(path, _RAILWAY_OPTION)) for path in paths)
    path, text = next((found for found in texts if found[1] is not None), (given, None))
    if path is None:
        return None
    if text is None:
        raise InvalidOption(_RAILWAY_OPTION, f"there is no file {path!r}", "give the path of a railway.json")
    try:
        content = tomllib.loads(text) if path.endswith(".toml") else json.loads(text)
    except json.JSONDecodeError as error:
        why = f"{error.msg.lower()}, line {error.lineno}"
        return Unreachable(f"{path} is no JSON ({why})", "mend that line; JSON has no comments and no trailing commas")
    except (ValueError, RecursionError) as error:
        return Unreachable(f"{path} cannot be read ({str(error).lower()})", "mend the file")
    return RailwayFacts(
        path=path,
        deploy=read_deploy(content),
        faults=tuple(wrong_types(content)),
    )


def _successor(operations: Operations | None, directory: Path) -> SuccessorFacts | Unreachable | None:
    try:
        return successor_of(operations, directory)
    except InvalidOption as error:
        return Unreachable(error.problem, "mend it, or take it out")


# ---------------------------------------------------------------------------------------------------- what is looked at


def _redis(settings: Settings) -> RedisFacts:
    from jobctl.adapters.redis_facts import read_redis

    return _over_redis(settings, read_redis)


def _rq(settings: Settings) -> RqFacts:
    from jobctl.adapters.rq_facts import read_rq

    return _over_redis(settings, read_rq)


def _over_redis(settings: Settings, read: Callable[..., _Facts]) -> _Facts:
    """What somebody reads over a connection of its own: the two that do so look at the same time."""
    from jobctl.adapters.redis_connection import connect

    url, option = cast(str, settings.redis_url), settings.origins["redis_url"].name
    with connect(url, option=option, timeout_s=_ANSWER_S, answer_s=_ANSWER_S) as connection:
        return read(connection, option=option)


def _postgres(settings: Settings, url: str) -> DatabaseFacts:
    from jobctl.adapters.postgres_facts import read_database

    return read_database(url, timeout_s=_ANSWER_S, option=settings.origins["database_url"].name)


def _account(settings: Settings, key: str) -> AccountFacts:
    from jobctl.adapters.openrouter_facts import read_account

    return read_account(settings.openrouter_url, key, timeout_s=_ANSWER_S)


def _sentry(dsn: str) -> SentryFacts:
    from jobctl.adapters.sentry_facts import read_sentry

    return read_sentry(dsn, timeout_s=_ANSWER_S)


def _prometheus(url: str) -> PrometheusFacts:
    from jobctl.adapters.prometheus_facts import read_prometheus

    return read_prometheus(url, timeout_s=_ANSWER_S)


def _metrics(url: str) -> MetricsFacts:
    from jobctl.adapters.metrics_facts import read_metrics

    return read_metrics(url, timeout_s=_ANSWER_S)


@dataclass
class _Task:
    """One look, on a thread of its own: a name look-up obeys no timeout, and is left behind."""

    make: Callable[[], Any]
    outcome: Any = field(
        default_factory=lambda: Unreachable(f"no answer within {_DEADLINE_S:g} s", "check the network")
    )
    error: BaseException | None = None

    def run(self) -> None:
        try:
            self.outcome = self.make()
        except ServiceUnavailable as error:
            self.outcome = Unreachable(error.problem, error.remedy)
        except BaseException as error:  # handed over, not swallowed
            self.error = error


def _side_by_side(tasks: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    """What each of some looks saw, all at once.

    Raises:
        InvalidOption: An address means nothing.
    """
    deadline_s = time.monotonic() + _DEADLINE_S
    running = {name: _Task(make) for name, make in tasks.items()}
    threads = [threading.Thread(target=task.run, name=name, daemon=True) for name, task in running.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline_s - time.monotonic()))
    for task in running.values():
        if task.error is not None:
            raise task.error
    return {name: task.outcome for name, task in running.items()}

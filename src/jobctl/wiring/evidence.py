"""Wiring of ``--from``: what was measured of real jobs, wherever it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_plus

from jobctl.core.units import format_duration, parse_positive_duration
from jobctl.core.urls import without_password
from jobctl.errors import InvalidOption, InvalidValue

if TYPE_CHECKING:
    from jobctl.core.evidence import Evidence

__all__ = ["read"]

_OPTION: Final = "--from"
#: How long an answer of Redis may take, seconds.
_ANSWER_S: Final = 60.0
#: The stretch of time that Prometheus is asked about, seconds.
_WINDOW_S: Final = 86_400.0
_REMEDY: Final = (
    "give a result of jobctl bench --json, a .csv or .csv.gz file, redis://HOST:6379/0[?queue=NAME], or the URL of a "
    "Prometheus server"
)


def read(source: str) -> Evidence:
    """Read what a source tells.

    Args:
        source: The path of a bench's result or of a ``.csv`` file, the URL of a Redis (``?queue=NAME`` for one queue),
            or that of a Prometheus server (``?window=6h``, ``?queue=NAME``).

    Raises:
        InvalidOption: It means nothing, or holds something else.
        ServiceUnavailable: It does not answer, or knows no job.
    """
    scheme = source.partition("://")[0].lower() if "://" in source else ""
    match scheme:
        case "redis" | "rediss" | "unix":
            return _from_redis(source)
        case "http" | "https":
            return _from_prometheus(source)
        case "":
            return _from_file(source)
    raise InvalidOption(_OPTION, f"{without_password(source)!r} is no source that is known", _REMEDY)


def _from_redis(url: str) -> Evidence:
    from jobctl.adapters.redis_connection import connect
    from jobctl.adapters.rq_history import RqHistory
    from jobctl.core.evidence import from_jobs

    server, asked = _split(url, ("queue",))
    queue = asked.get("queue")
    with connect(server, option=_OPTION, answer_s=_ANSWER_S) as connection:
        history = RqHistory(connection).read(queue)
    name = without_password(server) + ("" if queue is None else f" queue {queue}")
    evidence = from_jobs(name, history.jobs, complete_from_s=history.complete_from_s)
    return replace(evidence, replicas=history.workers or None, notes=history.notes)


def _from_prometheus(url: str) -> Evidence:
    from jobctl.adapters.prometheus_api import PrometheusApi
    from jobctl.core.metered import from_metrics

    server, asked = _split(url, ("queue", "window"))
    try:
        window_s = parse_positive_duration(asked["window"]) if "window" in asked else _WINDOW_S
    except InvalidValue as error:
        raise InvalidOption(f"{_OPTION} ?window=", error.problem, error.remedy) from None
    with PrometheusApi(server) as prometheus:
        seen = prometheus.read(window_s, asked.get("queue"))
    return from_metrics(f"Prometheus {without_password(server)}, last {format_duration(window_s)}", seen)


def _from_file(path: str) -> Evidence:
    from jobctl.adapters import files
    from jobctl.core.evidence import from_bench, from_csv

    try:
        if path.lower().endswith((".csv", ".csv.gz")):
            return from_csv(files.read_lines(path, _OPTION), path)
        return from_bench(files.read_json(path, _OPTION, _REMEDY), path)
    except InvalidOption:
        raise
    except InvalidValue as error:
        raise InvalidOption(_OPTION, error.problem, error.remedy) from None


def _split(url: str, names: tuple[str, ...]) -> tuple[str, Mapping[str, str]]:
    """A URL without the parts of its query that are ours, and these."""
    base, _, query = url.partition("?")
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    ours = {name: unquote_plus(value) for name, _, value in pairs if name in names}
    rest = "&".join("".join(pair) for pair in pairs if pair[0] not in names)
    return f"{base}?{rest}" if rest else base, ours

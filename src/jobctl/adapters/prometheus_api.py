"""What a Prometheus server has recorded of our workers, asked by instant queries of its HTTP API.

The API is documented at prometheus.io/docs/prometheus/latest/querying/api: ``GET /api/v1/query`` answers with
``{"status": "success", "data": {"resultType": "vector", "result": [{"metric": {...}, "value": [at, "number"]}]}}``.
``increase()`` copes with workers that were restarted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Self

import httpx

from jobctl.core.metered import ENDED_FOR_GOOD, Histogram, Metered
from jobctl.core.metrics import PREFIX
from jobctl.core.units import SECONDS_PER_HOUR, format_duration
from jobctl.core.urls import without_password
from jobctl.errors import InvalidOption, ServiceUnavailable

__all__ = ["PrometheusApi"]

_OPTION: Final = "--from"
#: Points in time at which a window is looked at for its first sample, and the share of what was found by which it may
#: be wrong.
_POINTS, _FINE = 500, 0.02
_TIMEOUT_S: Final = 15.0
_REMEDY: Final = "give the URL of a Prometheus server, such as http://localhost:9090"


class _Point(NamedTuple):
    """One element of an instant vector."""

    labels: Mapping[str, str]
    at_s: float
    value: float


class PrometheusApi:
    """A Prometheus server.

    Args:
        url: Its base, as in the browser; it may hold a user and a password.
        timeout_s: How long each answer may take, seconds.
    """

    def __init__(self, url: str, *, timeout_s: float = _TIMEOUT_S) -> None:
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._client = httpx.Client(timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._client.close()

    def read(self, window_s: float, queue: str | None = None) -> Metered:
        """What the workers did in the last stretch of time.

        Args:
            window_s: Its length, seconds.
            queue: The queue that is meant; None for all.

        Raises:
            InvalidOption: The URL means nothing.
            ServiceUnavailable: It does not answer, is no Prometheus, or knows nothing of our workers.
        """
        window = f"[{max(1, round(window_s))}s]"
        of = "" if queue is None else f"queue={json.dumps(queue)}"
        try:
            service = self._histograms("job_service_seconds", of, window)
            if not any(histogram.count for histogram in service.values()):
                raise self._nothing(window_s, queue)
            wait = self._histograms("job_wait_seconds", of, window, by="")
            return Metered(
                span_s=self._span_s(window_s),
                service=service,
                wait=wait.get("", Histogram({}, 0.0)),
                outcomes=self._outcomes(of, window),
                enqueued=self._value(f"sum(increase({PREFIX}jobs_enqueued_total{{{of}}}{window}))") or 0.0,
                peak_per_s=self._peak_per_s(of, window_s),
                slots=_whole(self._value(f"max({PREFIX}slots)")),
                workers=_whole(self._value(f"count({PREFIX}slots)")),
            )
        except (httpx.InvalidURL, UnicodeError) as error:  # the latter of a host that is no name
            raise InvalidOption(_OPTION, f"{without_password(self._url)!r} is no URL ({error})", _REMEDY) from None

    def _histograms(self, name: str, of: str, window: str, by: str = "job_type") -> dict[str, Histogram]:
        """A histogram's increase, by the values of a label; by the empty one without a label."""
        labels = ", ".join(filter(None, (by, "le")))
        buckets = self._ask(f"sum by ({labels}) (increase({PREFIX}{name}_bucket{{{of}}}{window}))")
        sums = self._ask(f"sum by ({by}) (increase({PREFIX}{name}_sum{{{of}}}{window}))")
        total_s = {point.labels.get(by, ""): point.value for point in sums}
        cumulative: dict[str, dict[float, float]] = {}
        for point in buckets:
            bound_s = float(point.labels["le"])  # Python reads +Inf as well
            cumulative.setdefault(point.labels.get(by, ""), {})[bound_s] = point.value
        return {value: Histogram(counts, total_s.get(value, 0.0)) for value, counts in cumulative.items()}

    def _outcomes(self, of: str, window: str) -> dict[str, float]:
        points = self._ask(f"sum by (outcome) (increase({PREFIX}jobs_finished_total{{{of}}}{window}))")
        return {point.labels.get("outcome", ""): point.value for point in points}

    def _span_s(self, window_s: float) -> float:
        """How long of the window workers were watched: a younger server knows less than it was asked for.

        A look at the window finds the first sample to a step. Where that is much of what it found, it looks again, at
        that part alone.
        """
        span_s = window_s
        while True:
            step_s = max(1, round(span_s / _POINTS))
            slots = f"timestamp({PREFIX}slots)[{max(1, round(span_s))}s:{step_s}s]"
            points = self._ask(f"min(min_over_time({slots}))")
            found_s = points[0].at_s - points[0].value if points else 0.0
            if found_s >= span_s - 2 * step_s:
                return span_s
            if step_s == 1 or step_s <= _FINE * found_s:
                return max(1.0, found_s)
            span_s = found_s + 2 * step_s

    def _peak_per_s(self, of: str, window_s: float) -> float | None:
        if window_s < 2 * SECONDS_PER_HOUR:
            return None
        ended = ", ".join(filter(None, (of, f'outcome=~"{"|".join(ENDED_FOR_GOOD)}"')))
        rate = f"sum(rate({PREFIX}jobs_finished_total{{{ended}}}[1h]))"
        beginnings_s, step_s = round(window_s - SECONDS_PER_HOUR), round(SECONDS_PER_HOUR / 4)
        return self._value(f"max_over_time({rate}[{beginnings_s}s:{step_s}s])")

    def _value(self, query: str) -> float | None:
        points = self._ask(query)
        return points[0].value if points else None

    def _ask(self, query: str) -> list[_Point]:
        """The finite values of an instant vector."""
        shown = without_password(self._url)
        try:
            response = self._client.get(f"{self._url}/api/v1/query", params={"query": query})
        except httpx.TimeoutException:
            raise ServiceUnavailable(
                _OPTION, f"{shown} did not answer within {self._timeout_s:g} s", "ask for a shorter ?window="
            ) from None
        except httpx.HTTPError as error:
            raise ServiceUnavailable(
                _OPTION, f"{shown} cannot be reached ({error or type(error).__name__})", "start it, or check the URL"
            ) from None
        try:
            answer = response.json()
            status = answer["status"]
            if status == "success":
                return [point for entry in answer["data"]["result"] if math.isfinite((point := _point(entry)).value)]
            problem = f"Prometheus at {shown} refused a query ({answer['error']})"
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            raise ServiceUnavailable(
                _OPTION, f"{shown} does not answer as Prometheus does (HTTP {response.status_code})", _REMEDY
            ) from None
        raise ServiceUnavailable(_OPTION, problem, "is its data sound, and the window no longer than it keeps data?")

    def _nothing(self, window_s: float, queue: str | None) -> ServiceUnavailable:
        of = "" if queue is None else f" of queue {queue!r}"
        return ServiceUnavailable(
            _OPTION,
            f"Prometheus at {without_password(self._url)} has no {PREFIX}job_service_seconds{of} "
            f"of the last {format_duration(window_s)}",
            "let it scrape workers that run with --metrics-port, or give a longer ?window=",
        )


def _point(entry: Mapping[str, Any]) -> _Point:
    at_s, value = entry["value"]
    return _Point(entry["metric"], float(at_s), float(value))


def _whole(value: float | None) -> int | None:
    return None if not value else round(value)

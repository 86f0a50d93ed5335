"""Prometheus metrics of one worker, each observer with a registry of its own.

At 3,000 jobs a second the observer is called 6,000 times, so the series of each kind of job are looked up once and
their methods kept. prometheus_client's multiprocess mode is not needed: a worker is one process.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from jobctl.core.events import JobEnded, JobOutcome, JobsRecovered, JobStarted, SlotsChanged
from jobctl.core.metrics import BUCKETS_S, PREFIX, WORKER, Kind, Metric, bounded
from jobctl.ports import PoolUse, UpstreamAnswer

__all__ = ["PrometheusObserver"]

#: How many different values a label may have whose values come with the jobs.
_MOST_VALUES: Final = 50
#: Different pairs of queue and function whose series are kept at hand.
_MOST_PAIRS: Final = 1000
#: Outcomes that spend no attempt; their time on the slot says nothing about the job.
_UNSPENT: Final = frozenset({JobOutcome.POSTPONED, JobOutcome.RETURNED})
_NOTHING: Final = nullcontext()


class _Series(NamedTuple):
    """The series of one queue and job type, ready to be called."""

    labels: tuple[str, str]
    started: Callable[[], None]
    waited: Callable[[float], None]
    served: Callable[[float], None]
    ended: Mapping[JobOutcome, Callable[[], None]]


class PrometheusObserver:
    """A worker's metrics: an observer of the worker, the upstream, the limiter and the pool.

    Args:
        version: jobctl's version.
        registry: Where the metrics are; one of its own when None.

    Attributes:
        registry: Where the metrics are.
    """

    def __init__(self, version: str, registry: CollectorRegistry | None = None) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        self._metrics: dict[str, Any] = {metric.name: _made(metric, self.registry) for metric in WORKER}
        self._series: dict[tuple[str, str], _Series] = {}
        self._lock = threading.Lock()
        self._queue, self._job_type, self._reason, self._status, self._model = (bounded(_MOST_VALUES) for _ in range(5))
        self._metrics["build_info"].labels(version).set(1)
        self._metrics["last_heartbeat_seconds"].set(math.nan)

    def running(self, started: JobStarted) -> AbstractContextManager[object]:
        """Count the start; nothing is to be done around the job."""
        series = self._of(started)
        series.started()
        wait_s = started.wait_s
        if wait_s is not None:
            series.waited(wait_s)
        return _NOTHING

    def ended(self, ended: JobEnded) -> None:
        """Count the end."""
        series = self._of(ended.started)
        outcome = ended.outcome
        series.ended[outcome]()
        if outcome not in _UNSPENT:
            series.served(ended.service_s)
        if outcome is JobOutcome.RETRIED:
            self._metrics["retries_total"].labels(*series.labels, self._reason(ended.reason)).inc()

    def recovered(self, recovered: JobsRecovered) -> None:
        """Count the jobs that a dead worker left."""
        self._metrics["abandoned_total"].inc(recovered.requeued + recovered.dead)

    def slots(self, changed: SlotsChanged) -> None:
        """Take the new numbers."""
        self._metrics["slots"].set(changed.slots)
        self._metrics["slots_busy"].set(changed.busy)
        self._metrics["slots_stuck"].set(changed.stuck)

    def close(self, timeout_s: float) -> None:
        """Nothing is held back: Prometheus fetches."""

    def answered(self, answer: UpstreamAnswer) -> None:
        """Count a call of the upstream."""
        model = self._model(answer.model)
        self._metrics["upstream_responses_total"].labels(self._status(answer.status), model).inc()
        self._metrics["upstream_latency_seconds"].observe(answer.latency_s)
        if answer.prompt_tokens:
            self._metrics["tokens_total"].labels("prompt", model).inc(answer.prompt_tokens)
        if answer.completion_tokens:
            self._metrics["tokens_total"].labels("completion", model).inc(answer.completion_tokens)
        if answer.cost_usd > 0:
            self._metrics["cost_usd_total"].labels(model).inc(answer.cost_usd)

    def waited_for_limit(self, wait_s: float) -> None:
        """Count a wait for the limiter."""
        self._metrics["limiter_wait_seconds"].observe(wait_s)

    def waited_for_connection(self, wait_s: float) -> None:
        """Count a wait for the pool."""
        self._metrics["db_pool_wait_seconds"].observe(wait_s)

    def watch_pool(self, use: Callable[[], PoolUse]) -> None:
        """Look at the database's pool at each scrape; the function is called on the scrape's thread."""
        self._metrics["db_pool_in_use"].set_function(lambda: use().in_use)
        self._metrics["db_pool_size"].set_function(lambda: use().size)
        self._metrics["db_pool_max"].set_function(lambda: use().most)

    def watch_heartbeat(self, last_s: Callable[[], float | None]) -> None:
        """Ask at each scrape when Redis was last reached, seconds since the epoch; None while it never was."""

        def seconds() -> float:
            last = last_s()
            return math.nan if last is None else last

        self._metrics["last_heartbeat_seconds"].set_function(seconds)

    def _of(self, started: JobStarted) -> _Series:
        pair = (started.queue, started.job_type)
        series = self._series.get(pair)
        return self._looked_up(pair) if series is None else series

    def _looked_up(self, pair: tuple[str, str]) -> _Series:
        with self._lock:
            labels = (self._queue(pair[0]), self._job_type(pair[1]))
            finished = self._metrics["jobs_finished_total"]
            series = _Series(
                labels,
                self._metrics["jobs_started_total"].labels(*labels).inc,
                self._metrics["job_wait_seconds"].labels(*labels).observe,
                self._metrics["job_service_seconds"].labels(*labels).observe,
                {outcome: finished.labels(*labels, outcome.value).inc for outcome in JobOutcome},
            )
            if len(self._series) < _MOST_PAIRS:
                self._series[pair] = series
            return series


def _made(metric: Metric, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    name = PREFIX + metric.name
    match metric.kind:
        case Kind.COUNTER:
            return Counter(name, metric.meaning, metric.labels, registry=registry)
        case Kind.GAUGE:
            return Gauge(name, metric.meaning, metric.labels, registry=registry)
        case Kind.HISTOGRAM:
            return Histogram(name, metric.meaning, metric.labels, registry=registry, buckets=BUCKETS_S)

"""The fleet's gauges, exposed by the one process that was elected, and read when Prometheus asks.

``jobctl exporter`` takes over from workers; workers elect one of themselves. Who is elected is settled at each scrape,
so no two processes expose the gauges at the same time; a thread renews the election between scrapes.

Every process says whether Redis answers it (``jobctl_redis_up``) and whether it is the one
(``jobctl_exporter_elected``). While Redis is away the gauges are absent, not old.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from prometheus_client import Metric as Family
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from jobctl.adapters.redis_election import Election
from jobctl.core.metrics import EXPORTER, FLEET, OTHER, Kind, Metric, bounded
from jobctl.errors import ServiceUnavailable
from jobctl.ports import FleetSource, Limiter, Readings

if TYPE_CHECKING:
    from jobctl.adapters.openrouter_account import OpenRouterAccount  # which imports httpx

__all__ = ["FleetExporter", "LimiterState"]

#: Models beyond so many are left out: a label must be bounded.
_MOST_MODELS: Final = 50


class LimiterState:
    """What a limiter that the fleet shares shows.

    Args:
        limiter: The limiter; it shows no model while it does not answer.
    """

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self._model = bounded(_MOST_MODELS)

    def readings(self) -> Readings:
        """Headroom and breaker of each model that was called lately."""
        states = [(self._model(state.model), state) for state in self._limiter.status()]
        known = [((model,), state) for model, state in states if model != OTHER]
        return {
            "limiter_headroom": [(labels, state.headroom) for labels, state in known],
            "breaker_open": [(labels, float(state.breaker_open)) for labels, state in known],
        }


class _Look(NamedTuple):
    """What one look at the fleet found."""

    reachable: bool
    elected: bool
    readings: Readings


class FleetExporter(Collector):
    """A collector of the fleet's gauges.

    Args:
        election: Whether this process is the one.
        sources: What it reads if so; one that does not answer is left out.
        planned_replicas: Workers that the plan asks for; None when nobody said.
        account: Whose credit is asked for if so; None for nobody's.
        renew_s: How often the election is renewed, seconds; well below its time to live.
        kept_s: How long a reading is shown, seconds: two Prometheis are no reason to read twice.
    """

    def __init__(
        self,
        election: Election,
        sources: Sequence[FleetSource],
        *,
        planned_replicas: int | None = None,
        account: OpenRouterAccount | None = None,
        renew_s: float = 5.0,
        kept_s: float = 1.0,
    ) -> None:
        self._election = election
        self._account = account
        self._sources = sources if account is None else [*sources, account]
        self._settled: Readings = {} if planned_replicas is None else {"planned_replicas": [((), planned_replicas)]}
        self._renew_s = renew_s
        self._kept_s = kept_s
        self._lock = threading.Lock()
        self._looked_s = float("-inf")
        self._look = _Look(False, False, {})
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_elected, name="fleet gauges", daemon=True)
        self._thread.start()

    def collect(self) -> Iterator[Family]:
        """Every family, with the samples that are known."""
        look = self._current()
        yield from _families(
            EXPORTER,
            {"redis_up": [((), float(look.reachable))], "exporter_elected": [((), float(look.elected))]},
        )
        yield from _families(FLEET, look.readings)

    def unready(self) -> str | None:
        """Why the gauges cannot be read; None when they can."""
        return None if self._current().reachable else "Redis does not answer"

    def close(self) -> None:
        """Stop, and make room for another one. An account that is being asked is not waited for."""
        self._stop.set()
        self._thread.join(self._renew_s)
        with suppress(ServiceUnavailable):
            self._election.leave()

    def _current(self) -> _Look:
        with self._lock:
            if time.monotonic() - self._looked_s >= self._kept_s:
                self._look = self._looked()
                self._looked_s = time.monotonic()
            return self._look

    def _looked(self) -> _Look:
        try:
            elected = self._election.take()
        except ServiceUnavailable:
            return _Look(False, False, {})
        readings = dict(self._settled) if elected else {}
        for source in self._sources if elected else ():
            with suppress(ServiceUnavailable):
                readings.update(source.readings())
        return _Look(True, elected, readings)

    def _keep_elected(self) -> None:
        while not self._stop.is_set():
            with suppress(ServiceUnavailable):
                if self._election.take() and self._account is not None:
                    self._account.ask_when_due()
            self._stop.wait(self._renew_s)


def _families(metrics: Sequence[Metric], readings: Readings) -> Iterator[Family]:
    for metric in metrics:
        kind = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
        family = kind(metric.full_name, metric.meaning, labels=metric.labels)
        for labels, value in readings.get(metric.name, ()):
            family.add_metric(labels, value)
        yield family

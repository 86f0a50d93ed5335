"""Who is told what happens in a worker: Prometheus, Sentry, both or nobody. Nothing is imported for the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from jobctl import __version__
from jobctl.wiring.limiter import make_limiter

if TYPE_CHECKING:
    from jobctl.adapters.exporter import FleetExporter
    from jobctl.adapters.prometheus import PrometheusObserver
    from jobctl.adapters.rq_queue import Publishing
    from jobctl.ports import (
        FleetSource,
        LimiterObserver,
        PoolObserver,
        PoolUse,
        UpstreamObserver,
        WorkerObserver,
    )
    from jobctl.settings import Settings

__all__ = ["Observation", "make_fleet", "make_observers", "publishing_jobs"]

#: The key for which those who could expose the fleet's metrics stand, and how long an election holds, seconds.
_ELECTION: Final = "jobctl:exporter"
_ELECTED_S: Final = 20.0
#: A dedicated exporter takes over from a worker.
_WORKER_RANK, _EXPORTER_RANK = 1, 2
#: How long an enqueuer takes to send its last traces, seconds.
_FLUSH_S: Final = 2.0
#: How long a scrape waits for Redis, seconds; Prometheus gives a scrape 10 s.
_ANSWER_S: Final = 2.0


@dataclass
class Observation:
    """The observers of one worker.

    Attributes:
        workers: For the worker.
        upstream: For the OpenRouter client.
        limiter: For the limiter; None when nobody asks.
        pool: For the database's pool; None when nobody asks.
        port: Where metrics are served; None when they are not.
    """

    workers: list[WorkerObserver] = field(default_factory=list)
    upstream: list[UpstreamObserver] = field(default_factory=list)
    limiter: LimiterObserver | None = None
    pool: PoolObserver | None = None
    port: int | None = None
    _prometheus: PrometheusObserver | None = None
    _unready: Callable[[], str | None] = lambda: "starting"
    _exit: ExitStack = field(default_factory=ExitStack)

    def watch(
        self,
        *,
        unready: Callable[[], str | None],
        last_heartbeat_s: Callable[[], float | None],
        pool_use: Callable[[], PoolUse] | None = None,
    ) -> None:
        """Look at a worker that is there now; until then ``/readyz`` says that it is starting.

        Each function is called on the thread of a request, must be quick and must not raise.

        Args:
            unready: Why the worker is not ready (Redis away, draining), in a few words; None when it is.
            last_heartbeat_s: When it last reached Redis, seconds since the epoch; None while it never did.
            pool_use: How the database's pool is used; None without a database.
        """
        self._unready = unready
        if self._prometheus is not None:
            self._prometheus.watch_heartbeat(last_heartbeat_s)
            if pool_use is not None:
                self._prometheus.watch_pool(pool_use)

    def unready(self) -> str | None:
        """Why the worker is not ready; None when it is."""
        return self._unready()

    def close(self) -> None:
        """Stop serving metrics. The observers themselves are closed by the worker, with what time is left."""
        self._exit.close()


def make_observers(settings: Settings, redis_url: str) -> Observation:
    """Build the observers that are configured, and serve metrics if a port is.

    Args:
        settings: Say which.
        redis_url: The Redis that the worker uses.

    Raises:
        InvalidOption: The metrics port cannot be had.
        ServiceUnavailable: Redis does not answer.
    """
    observation = Observation()
    if settings.metrics_port is not None:
        _add_prometheus(observation, settings, redis_url)
    if settings.sentry_dsn is not None:
        from jobctl.adapters.sentry import SentryObserver

        sentry = SentryObserver(
            settings.sentry_dsn,
            traces_sample_rate=settings.sentry_traces_sample_rate,
            every_error=settings.sentry_errors == "every",
            secrets=settings.secrets(),
        )
        observation.workers.append(sentry)
        observation.upstream.append(sentry)
    return observation


@contextmanager
def publishing_jobs(settings: Settings) -> Iterator[Publishing | None]:
    """What an enqueuer puts around its jobs, so that their traces begin with it; None unless Sentry is configured."""
    if settings.sentry_dsn is None:
        yield None
        return
    from jobctl.adapters import sentry

    sentry.start(settings.sentry_dsn, traces_sample_rate=settings.sentry_traces_sample_rate, secrets=settings.secrets())
    yield sentry.publishing
    sentry.finish(_FLUSH_S)


def make_fleet(settings: Settings, redis_url: str, *, dedicated: bool = False) -> FleetExporter:
    """The collector of what all workers share, standing for election.

    Args:
        settings: The OpenRouter key, whose account and limits are shown, and the planned replicas.
        redis_url: Redis.
        dedicated: Whether this process is there for nothing else, and takes over from workers.

    Raises:
        InvalidOption: The URL means nothing.
        ServiceUnavailable: Redis does not answer.
    """
    from jobctl.adapters.exporter import FleetExporter, LimiterState
    from jobctl.adapters.redis_connection import connect
    from jobctl.adapters.redis_election import Election
    from jobctl.adapters.rq_fleet import RqFleet

    connection = connect(redis_url, option=settings.origins["redis_url"].name or "--redis-url", answer_s=_ANSWER_S)
    sources: list[FleetSource] = [RqFleet(connection, time.time)]
    account = None
    if settings.openrouter_api_key is not None:
        from jobctl.adapters.openrouter_account import OpenRouterAccount

        account = OpenRouterAccount(settings.openrouter_url, settings.openrouter_api_key)
        limiter = make_limiter(settings, connection)
        if limiter is not None:
            sources.append(LimiterState(limiter))
    return FleetExporter(
        Election(connection, _ELECTION, rank=_EXPORTER_RANK if dedicated else _WORKER_RANK, ttl_s=_ELECTED_S),
        sources,
        planned_replicas=settings.planned_replicas,
        account=account,
    )


def _add_prometheus(observation: Observation, settings: Settings, redis_url: str) -> None:
    from jobctl.adapters.listening import listen
    from jobctl.adapters.metrics_server import MetricsServer
    from jobctl.adapters.prometheus import PrometheusObserver

    assert settings.metrics_port is not None
    listener = listen(
        settings.metrics_host, settings.metrics_port, host_option="--metrics-host", port_option="--metrics-port"
    )
    with ExitStack() as stack:
        stack.callback(listener.close)
        prometheus = PrometheusObserver(__version__)
        fleet = make_fleet(settings, redis_url)
        stack.callback(fleet.close)
        prometheus.registry.register(fleet)
        server = MetricsServer(listener, prometheus.registry, observation.unready)
        stack.callback(server.close)
        observation._exit = stack.pop_all()
    observation.port = server.port
    observation._prometheus = prometheus
    observation.workers.append(prometheus)
    observation.upstream.append(prometheus)
    observation.limiter = observation.pool = prometheus

"""``jobctl exporter``: one process that exposes what the whole fleet shares."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from jobctl.errors import InvalidOption
from jobctl.wiring.observers import make_fleet

if TYPE_CHECKING:
    from types import FrameType

    from jobctl.settings import Settings

__all__ = ["run_exporter"]


def run_exporter(settings: Settings, *, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve the fleet's metrics until SIGTERM or SIGINT. While Redis is away it stays, and says so.

    Args:
        settings: Redis, the OpenRouter account and the planned replicas.
        host: Address to listen on.
        port: Port; 0 picks a free one.
        say: Takes the line that says where it listens.

    Raises:
        InvalidOption: No Redis is given, or the address cannot be had.
        ServiceUnavailable: Redis does not answer at the start.
    """
    from prometheus_client import CollectorRegistry

    from jobctl.adapters.listening import listen
    from jobctl.adapters.metrics_server import MetricsServer

    if settings.redis_url is None:
        raise InvalidOption("--redis-url", "is not given", "give the URL of the Redis that your workers listen to")
    told = threading.Event()

    def stop(signum: int, frame: FrameType | None) -> None:
        told.set()

    with listen(host, port) as listener:
        fleet = make_fleet(settings, settings.redis_url, dedicated=True)
        registry = CollectorRegistry()
        registry.register(fleet)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        server = MetricsServer(listener, registry, fleet.unready)
        shown = f"[{host}]" if ":" in host else host
        say(f"jobctl exporter: listening on http://{shown}:{server.port}/metrics (Redis {settings.masked_redis_url})")
        told.wait()
        server.close()
        fleet.close()

"""``jobctl exporter``: the metrics of the whole fleet."""

from __future__ import annotations

from typing import Annotated

import typer

from jobctl import settings
from jobctl.cli.options import OpenRouterUrl, PlannedReplicas, Port, WorkersRedisUrl

__all__ = ["exporter"]


def exporter(
    port: Port = 9200,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Address to listen on; 0.0.0.0 is every interface.")
    ] = "0.0.0.0",
    redis_url: WorkersRedisUrl = None,
    openrouter_url: OpenRouterUrl = None,
    planned_replicas: PlannedReplicas = None,
) -> None:
    """Serve the metrics of the whole fleet: queues, dead jobs, workers, limits, credit.

    One process does it for all: while it runs no worker does. It reads Redis when Prometheus asks, and OpenRouter's
    credit each minute if OPENROUTER_API_KEY is set.
    """
    from jobctl.wiring.exporter import run_exporter

    merged = settings.load(
        {"redis_url": redis_url, "openrouter_url": openrouter_url, "planned_replicas": planned_replicas}
    )
    run_exporter(merged, host=host, port=port, say=typer.echo)

"""``jobctl work``: an RQ worker with many jobs in flight in one process."""

from __future__ import annotations

from typing import Annotated

import typer

from jobctl import settings
from jobctl.cli.options import Concurrency, OpenRouterUrl, Queues, RedisUrl

__all__ = ["work"]


def work(
    queues: Queues = None,
    concurrency: Concurrency = None,
    burst: Annotated[bool, typer.Option("--burst", help="End when the queues are empty.")] = False,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Name in Redis [default: host, process and a random part]."),
    ] = None,
    redis_url: RedisUrl = None,
    openrouter_url: OpenRouterUrl = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log each job.")] = False,
) -> None:
    """Run jobs from RQ queues: plain functions on threads, coroutines on one event loop, up to N at once.

    It runs any RQ job that can be imported from this directory. SIGTERM stops fetching and waits for running jobs; a
    second signal does not wait.
    """
    from jobctl import wiring

    merged = settings.load(
        {"queues": queues, "concurrency": concurrency, "redis_url": redis_url, "openrouter_url": openrouter_url}
    )
    raise typer.Exit(wiring.run_worker(merged, burst=burst, name=name, verbose=verbose, say=typer.echo))

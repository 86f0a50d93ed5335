"""``jobctl config``: every setting, its value and where it came from."""

from __future__ import annotations

import typer

from jobctl import settings
from jobctl.cli.options import Concurrency, OpenRouterUrl, Queues, RedisUrl

__all__ = ["config"]


def config(
    redis_url: RedisUrl = None,
    queues: Queues = None,
    concurrency: Concurrency = None,
    openrouter_url: OpenRouterUrl = None,
) -> None:
    """Show each setting with its value and its origin (flag > environment > jobctl.toml > default)."""
    merged = settings.load(
        {"redis_url": redis_url, "queues": queues, "concurrency": concurrency, "openrouter_url": openrouter_url}
    )
    rows = [(field.name, merged.shown(field), str(merged.origins[field.name])) for field in settings.FIELDS]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for name, value, origin in rows:
        typer.echo(f"{name:<{widths[0]}}  {value:<{widths[1]}}  {origin}")

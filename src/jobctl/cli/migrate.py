"""``jobctl migrate``: the tables for results, brought up to date."""

from __future__ import annotations

from typing import Annotated

import typer

from jobctl import settings
from jobctl.cli.options import setting

__all__ = ["migrate"]


def migrate(
    database_url: Annotated[str | None, setting("database_url", "URL", "Postgres that keeps results.")] = None,
    db_timeout: Annotated[
        float | None, setting("db_timeout_s", "DURATION", "How long each statement may take.")
    ] = None,
) -> None:
    """Create or update the tables for results in Postgres; what is up to date is left alone."""
    from jobctl.wiring.results import migrate_results

    applied = migrate_results(settings.load({"database_url": database_url, "db_timeout_s": db_timeout}))
    typer.echo("jobctl migrate: " + (f"applied {', '.join(applied)}" if applied else "nothing to apply"))

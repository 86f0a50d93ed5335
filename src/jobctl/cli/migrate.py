"""``jobctl migrate``: the tables for results, brought up to date."""

from __future__ import annotations

import typer

from jobctl import settings
from jobctl.cli.options import DatabaseTimeout, DatabaseUrl

__all__ = ["migrate"]


def migrate(database_url: DatabaseUrl = None, db_timeout: DatabaseTimeout = None) -> None:
    """Create or update the tables for results in Postgres; what is up to date is left alone."""
    from jobctl.wiring.results import migrate_results

    applied = migrate_results(settings.load({"database_url": database_url, "db_timeout_s": db_timeout}))
    typer.echo("jobctl migrate: " + (f"applied {', '.join(applied)}" if applied else "nothing to apply"))

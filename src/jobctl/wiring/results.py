"""The store of results beside the queue, where one is configured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobctl.core.pooling import pool_size
from jobctl.errors import InvalidOption

if TYPE_CHECKING:
    from jobctl.ports import PoolObserver, ResultStore
    from jobctl.settings import Settings

__all__ = ["make_results", "migrate_results"]


def make_results(settings: Settings, observer: PoolObserver | None = None) -> ResultStore | None:
    """The store of results, checked to take one; None where no database is configured, and then no driver is imported.

    Args:
        settings: Name the database, the size of its pool and the deadline of a write.
        observer: Is told how long each write waited for its connection.

    Raises:
        InvalidOption: The connection string means nothing.
        ServiceUnavailable: The database does not answer, or lacks the table.
    """
    if settings.database_url is None:
        return None
    from jobctl.adapters.postgres import PostgresResults

    store = PostgresResults(
        settings.database_url,
        pool_size=settings.db_pool_size or pool_size(settings.concurrency),
        timeout_s=settings.db_timeout_s,
        option=settings.origins["database_url"].name,
        observer=observer,
    )
    store.open()
    return store


def migrate_results(settings: Settings) -> list[str]:
    """Bring the database's tables up to date.

    Returns:
        The migrations that were applied now.

    Raises:
        InvalidOption: No database is configured, or its connection string means nothing.
        ServiceUnavailable: It does not answer, or refuses.
    """
    if settings.database_url is None:
        raise InvalidOption("--database-url", "is not given", "give the database's URL, or set DATABASE_URL")
    from jobctl.adapters.postgres import migrate

    return migrate(settings.database_url, timeout_s=settings.db_timeout_s, option=settings.origins["database_url"].name)

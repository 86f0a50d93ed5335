"""What a database of results says of itself. Nothing is written, and nothing is prepared.

Behind a pooler in transaction mode two clients that ask one after the other are given the same server process, which
directly, or in session mode, they never are.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

from psycopg import pq
from psycopg.conninfo import conninfo_to_dict

from jobctl.adapters.postgres import Server, migrations
from jobctl.core.facts import DatabaseFacts

__all__ = ["read_database", "without_strange_options"]

#: How often each of two connections asks which server process it has.
_ROUNDS: Final = 3
_SERVER: Final = (
    "SELECT current_setting('server_version'), current_setting('max_connections')::int"
    " - current_setting('superuser_reserved_connections')::int"
    " - coalesce(current_setting('reserved_connections', true)::int, 0),"
    " to_regclass('jobctl_migrations') IS NOT NULL,"
    " CASE WHEN to_regclass('jobctl_results') IS NOT NULL"
    " THEN has_table_privilege('jobctl_results', 'INSERT') END,"
    " current_setting('transaction_read_only')::bool"
)
#: PgBouncer from 1.21 on prepares statements itself, under names of its own.
_PREPARED: Final = "SELECT name FROM pg_prepared_statements WHERE name NOT LIKE 'PGBOUNCER\\_%'"


def without_strange_options(dsn: str) -> tuple[str, tuple[str, ...]]:
    """A database's URL without the options in its query that libpq does not know, and their names.

    Such options are another driver's: ``prepare_threshold``, ``pgbouncer=true`` of Prisma, ``statement_cache_size``.
    """
    try:
        parts = urlsplit(dsn)
    except ValueError:  # whoever connects will say so
        return dsn, ()
    if not parts.scheme.startswith("postgres"):
        return dsn, ()
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    strange = tuple(key for key, _ in pairs if key not in known)
    if not strange:
        return dsn, ()
    query = "&".join(f"{key}={quote(value, safe='')}" for key, value in pairs if key in known)
    return urlunsplit(parts._replace(query=query)), strange


def read_database(dsn: str, *, timeout_s: float, option: str = "--database-url") -> DatabaseFacts:
    """Ask a database about itself.

    Args:
        dsn: The database.
        timeout_s: How long connecting, and all questions together, may take, seconds.
        option: The setting to name in an error.

    Raises:
        InvalidOption: The DSN does not parse.
        ServiceUnavailable: It does not answer.
    """
    server = Server(dsn, timeout_s, option)  # which checks the DSN
    words = conninfo_to_dict(dsn)
    with server.connected() as first, server.connected() as second:
        row = first.execute(_SERVER).fetchone()
        assert row is not None
        version, most, has_migrations, writable, read_only = row
        applied: set[Any] = set()
        if has_migrations:
            applied = {name for (name,) in first.execute("SELECT name FROM jobctl_migrations")}
        met: tuple[set[Any], set[Any]] = (set(), set())
        leftovers: set[str] = set()
        for _ in range(_ROUNDS):
            for connection, processes in zip((first, second), met, strict=True):
                processes.update(process for (process,) in connection.execute("SELECT pg_backend_pid()"))
                leftovers.update(str(name) for (name,) in connection.execute(_PREPARED))
    return DatabaseFacts(
        version=str(version).split()[0],
        most=most,
        pooled=not met[0].isdisjoint(met[1]),
        missing=tuple(name for name in migrations() if name not in applied),
        writable=writable,
        leftovers=tuple(sorted(leftovers)),
        read_only=read_only,
        host=str(words.get("host") or ""),
        port=_port(words.get("port")),
    )


def _port(text: object) -> int:
    """The first port of a list, as libpq tries them; that of Postgres where none is given."""
    return int(str(text or "").split(",")[0] or 5432)

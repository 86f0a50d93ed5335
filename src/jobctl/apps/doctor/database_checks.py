"""Whether results can be written: the table, the connections, and what a pooler allows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from jobctl.apps.doctor.findings import Check, Finding, Group, answering, fail, ok, on, unchecked, warn
from jobctl.apps.doctor.set_up import SetUp
from jobctl.apps.doctor.words import listed
from jobctl.core.facts import DatabaseFacts, Unreachable

__all__ = ["CHECKS"]

_MISSING: Final = unchecked("results are kept in Redis alone", "give --database-url if they should be in Postgres")
#: A deploy has two generations of workers for a while.
_GENERATIONS: Final = 2
#: Where Supabase's pooler keeps a server process for each client, as long as it stays.
_SESSION_PORT: Final = 5432
_POOLER_HOST: Final = ".pooler.supabase.com"


def _migrated(set_up: SetUp, database: DatabaseFacts) -> Finding:
    if database.missing:
        return fail(f"lacks {listed(database.missing)}: workers do not start", "run `jobctl migrate`")
    if database.writable is None:
        return fail(
            "the table jobctl_results is gone: workers do not start",
            "bring it back, or drop jobctl_migrations and run `jobctl migrate`",
        )
    if not database.writable:
        return fail(
            "this role may not add results: workers do not start", "connect as the role that ran `jobctl migrate`"
        )
    if database.read_only:
        return fail(
            "the database is read-only: no result is kept",
            "connect to the primary, or make room: Supabase makes a database with a full disk read-only",
        )
    return ok("tables up to date")


def _connections(set_up: SetUp, database: DatabaseFacts) -> Finding:
    """Twice replicas x pool, because a deploy overlaps two generations, against what the database takes."""
    intent = set_up.intent
    if intent.replicas is None:
        return unchecked("the number of replicas is not known", "give --planned-replicas, or slo.toml's [fleet]")
    needed = _GENERATIONS * intent.replicas * intent.db_pool_size
    told = f"{_GENERATIONS} x {intent.replicas} replicas x {intent.db_pool_size} connections = {needed}"
    if intent.db_tier is not None:
        most, whose = intent.db_tier.most, str(intent.db_tier)
    elif database.pooled:
        return unchecked("how many clients the pooler takes is not known", "give --db-tier")
    else:
        most, whose = database.most, "the server"
    if needed > most:
        return fail(
            f"{told}, and {whose} takes {most}: a deploy fails half-way",
            "give a smaller --db-pool-size, or a larger size",
        )
    return ok(f"{told} of {most} of {whose}")


def _pooler(set_up: SetUp, database: DatabaseFacts) -> Finding:
    """Whether connections are by the way that the size's figure is about."""
    tier = set_up.intent.db_tier
    if database.host.endswith(_POOLER_HOST) and database.port == _SESSION_PORT:
        return warn(
            "port 5432 of the pooler keeps a server process for each connection", "use port 6543, transaction mode"
        )
    if tier is not None and tier.way == "pooler" and not database.pooled:
        return warn(
            f"connections are direct, and {tier} counts the pooler's clients: directly it takes {tier.tier.direct}",
            f"use port 6543 of the pooler, or give --db-tier {tier.tier.name.lower()}:direct",
        )
    return ok("transaction pooler" if database.pooled else "direct connections")


def _prepared(set_up: SetUp) -> Finding:
    """Prepared statements belong to a server process, and in transaction mode the next transaction meets another one.

    jobctl prepares none; other clients of the same pooler may.
    """
    extras, database = set_up.intent.db_extras, set_up.database
    if extras:
        return fail(
            f"the URL has {listed(extras)}, of another driver: workers do not start",
            "leave it out: jobctl prepares no statements",
        )
    if database is None:
        return _MISSING
    if isinstance(database, Unreachable):
        return unchecked("the database does not answer", "mend that first")
    if database.pooled and database.leftovers:
        return fail(
            f"another client left prepared statements behind the pooler ({listed(database.leftovers)}): its queries, "
            "and whose meet them, fail now and then",
            "turn them off there: prepare_threshold=None in psycopg, statement_cache_size=0 in asyncpg",
        )
    return ok("no prepared statements" if database.pooled else "no transaction pooler in between")


def _database(set_up: SetUp) -> DatabaseFacts | Unreachable | None:
    return set_up.database


def _check(name: str, title: str, judge: Callable[[SetUp, DatabaseFacts], Finding]) -> Check:
    return Check(name, Group.DATABASE, title, on(_database, "the database", _MISSING, judge))


CHECKS: Final = (
    Check(
        "database-answers",
        Group.DATABASE,
        "answers",
        answering(_database, _MISSING, lambda database: f"Postgres {database.version}"),
    ),
    _check("database-migrated", "tables", _migrated),
    _check("database-connections", "connections", _connections),
    _check("database-pooler", "pooler", _pooler),
    Check("database-prepared", Group.DATABASE, "statements", _prepared),
)

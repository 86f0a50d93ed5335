"""Results in Postgres, also behind a pooler in transaction mode such as PgBouncer's or Supabase's port 6543.

Each write is one simple query, ``SET LOCAL ...; INSERT ...``, so one round trip and one transaction of the server's own
making: nothing is prepared, no session state is left behind, and no startup parameter is sent that a pooler would
refuse. A connection is held for that round trip alone. A row's key is the job's id and the first result stands, so a
write may be repeated: one whose answer was lost is, on another connection, within the same deadline.
"""

from __future__ import annotations

import json
import logging
import math
import re
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import resources
from threading import Lock
from typing import Any, Final
from uuid import uuid4

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from jobctl.errors import InvalidOption, ServiceUnavailable
from jobctl.ports import PoolObserver, PoolUse

__all__ = ["PostgresResults", "Server", "migrate", "migrations"]

_LOG: Final = logging.getLogger(__name__)

#: How TCP notices a peer that is gone; what the DSN says wins. Idle seconds, seconds between probes, probes.
_KEEPALIVE: Final = {"keepalives_idle": 30, "keepalives_interval": 5, "keepalives_count": 3}
#: Pauses before a broken connection is replaced, seconds: the first, and the longest.
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 1.0
#: Characters kept of what JSON cannot hold, and of a server's words.
_LONGEST_TEXT: Final = 10_000
_LONGEST_WORDS: Final = 200
#: The advisory lock under which migrations run: the first eight bytes of "jobctl migrations".
_MIGRATIONS_LOCK: Final = int.from_bytes(b"jobctl m", "big")
_REMEDY: Final = (
    "give postgresql://user:password@host:6543/postgres, with the special characters of the password as %XX"
)
_MIGRATE: Final = "run `jobctl migrate` with the same database"
#: What Postgres, PgBouncer and Supabase's pooler say when they take no further connection.
_FULL: Final = re.compile(
    "too many (?:clients|connections)|connection slots are reserved|no more connections|max client", re.IGNORECASE
)
#: NUL in JSON text, which jsonb cannot hold; an even number of backslashes before it are characters of their own.
_NUL: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")

#: What Postgres says of JSON that it cannot hold: too deep, too long, or a number out of a column's range.
_TOO_MUCH: Final = (errors.DataError, errors.ProgramLimitExceeded, errors.StatementTooComplex)

_LIMITED: Final = "SET LOCAL statement_timeout = %(timeout_ms)s; "
_INSERT: Final = """\
INSERT INTO jobctl_results (job_id, queue, job_type, attempt, started_at, finished_at,
                            result, model, prompt_tokens, completion_tokens, cost_usd)
VALUES (%(job_id)s, %(queue)s, %(job_type)s, %(attempt)s, %(started_at)s, %(finished_at)s,
        %(result)s::jsonb, %(model)s, %(prompt_tokens)s, %(completion_tokens)s, %(cost_usd)s)
ON CONFLICT (job_id) DO NOTHING"""


class _Overdue(psycopg.OperationalError):
    """The deadline passed without an answer."""


class _Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose commands end by a deadline, even when the other side says nothing at all."""

    #: Monotonic seconds.
    deadline_s: float = math.inf

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Carry out a command, and give it up at the deadline."""
        return super().wait(self._bounded(gen), interval)

    def _bounded(self, gen: Any) -> Generator[Any, Any, Any]:
        """The same steps; psycopg takes one at least each ``interval``."""
        try:
            state = next(gen)
            while True:
                ready = yield state
                if not ready and time.monotonic() >= self.deadline_s:
                    self.close()
                    raise _Overdue("no answer in time")
                state = gen.send(ready)
        except StopIteration as end:
            return end.value


class PostgresResults:
    """Keeps the results of jobs in the table ``jobctl_results``.

    Args:
        dsn: A ``postgresql://`` URL or ``key=value`` words, as libpq takes them.
        pool_size: The most connections to open.
        timeout_s: How long a write may take in all, waiting for a connection included, seconds.
        option: The setting to name in an error.
        observer: Is told how long each write waited for its connection.

    Raises:
        InvalidOption: The DSN does not parse.
    """

    def __init__(
        self,
        dsn: str,
        *,
        pool_size: int,
        timeout_s: float,
        option: str = "--database-url",
        observer: PoolObserver | None = None,
    ) -> None:
        self._server = Server(dsn, timeout_s, option)
        self._timeout_s = timeout_s
        self._size = pool_size
        self._observer = observer
        self._in_use = 0
        self._failing = False
        self._lock = Lock()
        # Its warnings come with each attempt to connect again; ours come once.
        logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
        self._pool = ConnectionPool(
            dsn,
            connection_class=_Connection,
            kwargs=self._server.options,
            min_size=1,
            max_size=pool_size,
            open=False,
            name="results",
            timeout=timeout_s,
            reconnect_timeout=timeout_s,
            num_workers=1,
        )

    def open(self) -> None:
        """Check that a result can be written, by writing one that is taken back, and open the pool.

        Raises:
            ServiceUnavailable: It cannot; the error says what to do.
        """
        row = _row(uuid4().hex, "", "", 1, time.time(), time.time(), None)
        with self._server.connected() as connection:
            connection.execute(f"BEGIN; {_LIMITED}{_INSERT}; ROLLBACK", self._limited(row, self._timeout_s))
        self._pool.open()

    def save(
        self, *, job_id: str, queue: str, job_type: str, attempt: int, started_s: float, finished_s: float, result: Any
    ) -> None:
        """Write the result of a job that returned; the first of a job stands.

        What JSON cannot hold is kept as text, so no result fails its job.

        Raises:
            ServiceUnavailable: It could not be written in time. The job is to run again later.
        """
        row = _row(job_id, queue, job_type, attempt, started_s, finished_s, result)
        try:
            try:
                self._write(row)
            except _TOO_MUCH:
                self._write(_row(job_id, queue, job_type, attempt, started_s, finished_s, _text(result)))
        except psycopg.Error as error:
            self._tell(self._explain(error))
        self._tell(None)

    def pool_use(self) -> PoolUse:
        """The pool now."""
        return PoolUse(in_use=self._in_use, size=self._pool.get_stats()["pool_size"], most=self._size)

    def close(self) -> None:
        """Close the pool; writes that still wait for a connection fail."""
        self._pool.close()

    def _write(self, row: Mapping[str, Any]) -> None:
        """Write one row, on another connection when one breaks, until the deadline."""
        deadline_s = time.monotonic() + self._timeout_s
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return self._try(row, deadline_s)
            except (PoolTimeout, PoolClosed, _Overdue, errors.QueryCanceled, *_TOO_MUCH):
                raise
            except (psycopg.OperationalError, psycopg.InterfaceError):
                if time.monotonic() + pause_s >= deadline_s:
                    raise
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _try(self, row: Mapping[str, Any], deadline_s: float) -> None:
        asked_s = time.monotonic()
        connection = self._pool.getconn(max(0.0, deadline_s - asked_s))
        self._count(1)
        try:
            if self._observer is not None:
                self._observer.waited_for_connection(time.monotonic() - asked_s)
            connection.deadline_s = deadline_s
            connection.execute(_LIMITED + _INSERT, self._limited(row, deadline_s - time.monotonic()))
        finally:
            self._count(-1)
            self._pool.putconn(connection)  # which replaces one that broke or was interrupted

    def _count(self, change: int) -> None:
        with self._lock:
            self._in_use += change

    def _limited(self, row: Mapping[str, Any], limit_s: float) -> dict[str, Any]:
        return {**row, "timeout_ms": max(1, math.ceil(1000.0 * limit_s))}

    def _explain(self, error: psycopg.Error) -> ServiceUnavailable:
        if isinstance(error, PoolTimeout) and self._in_use >= self._size:
            problem = f"had all {self._size} connections of the pool in use for {self._timeout_s:g} s"
            return self._server.unavailable(problem, "raise --db-pool-size")
        return self._server.explain(error)

    def _tell(self, failure: ServiceUnavailable | None) -> None:
        """Log when the database goes and when it is back, once each, and raise the failure.

        Raises:
            ServiceUnavailable: The failure, if any; without the driver's error, whose details quote results.
        """
        failing = failure is not None
        if self._failing != failing:
            with self._lock:
                changed, self._failing = self._failing != failing, failing
            if changed and failing:
                _LOG.error("results cannot be stored: %s", failure)
            elif changed:
                _LOG.warning("results are stored again")
        if failure is not None:
            raise failure from None


def migrate(dsn: str, *, timeout_s: float, option: str = "--database-url") -> list[str]:
    """Bring the schema up to date, in one transaction and one process at a time.

    Args:
        dsn: The database.
        timeout_s: How long each statement may take, seconds.
        option: The setting to name in an error.

    Returns:
        The migrations that were applied now, in order.

    Raises:
        InvalidOption: The DSN does not parse.
        ServiceUnavailable: The database does not answer, or refuses.
    """
    applied_now = []
    with Server(dsn, timeout_s, option).connected() as connection, connection.transaction():
        connection.execute(_LIMITED.removesuffix("; "), {"timeout_ms": math.ceil(1000.0 * timeout_s)})
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_MIGRATIONS_LOCK])
        connection.execute(
            "CREATE TABLE IF NOT EXISTS jobctl_migrations"
            " (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());"
            " ALTER TABLE jobctl_migrations ENABLE ROW LEVEL SECURITY"
        )
        applied = {name for (name,) in connection.execute("SELECT name FROM jobctl_migrations")}
        for name, statements in migrations().items():
            if name not in applied:
                connection.execute(statements.encode())
                connection.execute("INSERT INTO jobctl_migrations (name) VALUES (%s)", [name])
                applied_now.append(name)
    return applied_now


def migrations() -> dict[str, str]:
    """The statements of every migration by its name, in the order in which they are applied."""
    directory = resources.files(__package__) / "sql"
    files = sorted((file for file in directory.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return {file.name.removesuffix(".sql"): file.read_text(encoding="utf-8") for file in files}


class Server:
    """A database by its DSN: how to connect, how to show it, and what its errors mean.

    Raises:
        InvalidOption: The DSN does not parse. It is not shown: nobody knows which part of it is the password.
    """

    def __init__(self, dsn: str, timeout_s: float, option: str) -> None:
        try:
            words = conninfo_to_dict(dsn)
        except (psycopg.Error, ValueError):
            raise InvalidOption(option, "is not a Postgres connection string", _REMEDY) from None
        host, port, database = (str(words.get(key) or "") for key in ("host", "port", "dbname"))
        if "@" in host + database or not re.fullmatch(r"[\d,]*", port):
            raise InvalidOption(option, "names no valid host, port and database", _REMEDY)
        self._dsn = dsn
        self._timeout_s = timeout_s
        self._option = option
        self._password = str(words.get("password") or "")
        self._shown = f"{host or 'localhost'}:{port or 5432}/{database}"
        self.options: dict[str, Any] = {
            "autocommit": True,  # a transaction is what one message holds
            "prepare_threshold": None,  # the next transaction may meet another server process
            "cursor_factory": psycopg.ClientCursor,  # values are quoted here, so one message may hold two statements
            **{
                key: value
                for key, value in {
                    "application_name": "jobctl",
                    "connect_timeout": math.ceil(timeout_s),
                    "tcp_user_timeout": math.ceil(1000.0 * timeout_s / 2),  # leaves time for another connection
                    **_KEEPALIVE,
                }.items()
                if key not in words
            },
        }

    @contextmanager
    def connected(self) -> Generator[_Connection]:
        """A connection of its own, for the time limit; its errors in one line.

        Raises:
            ServiceUnavailable: It cannot be had, or a command failed.
        """
        try:
            with _Connection.connect(self._dsn, **self.options) as connection:
                connection.deadline_s = time.monotonic() + self._timeout_s
                yield connection
        except psycopg.Error as error:
            raise self.explain(error) from None

    def unavailable(self, problem: str, remedy: str) -> ServiceUnavailable:
        """The error of a problem."""
        return ServiceUnavailable(self._option, f"Postgres at {self._shown} {problem}", remedy)

    def explain(self, error: psycopg.Error) -> ServiceUnavailable:
        """What an error of the driver means, without what the database quotes of the data."""
        late = f"did not answer within {self._timeout_s:g} s"
        match error:
            case errors.UndefinedTable() | errors.UndefinedColumn():
                return self.unavailable("lacks the table for results or a column of it", _MIGRATE)
            case errors.InsufficientPrivilege():
                return self.unavailable(
                    f"refused ({self._words(error)})", "connect as the role that ran `jobctl migrate`"
                )
            case PoolTimeout() | _Overdue() | errors.QueryCanceled() | errors.ConnectionTimeout():
                return self.unavailable(late, "check host, port and network, and what holds its locks")
            case psycopg.OperationalError() if _FULL.search(str(error)):
                return self.unavailable(
                    f"has no connection left ({self._words(error)})", "end other clients, or give workers smaller pools"
                )
            case psycopg.OperationalError():
                return self.unavailable(f"failed ({self._words(error)})", "start it, or check host, port and password")
            case _:
                return self.unavailable(f"refused ({self._words(error)})", "check that it is writable and up to date")

    def _words(self, error: psycopg.Error) -> str:
        """The gist of an error in one line, cut to a length; the password masked, should it be in there."""
        lines = (error.diag.message_primary or str(error)).strip().splitlines() or [type(error).__name__]
        first = " ".join(lines[0].split())
        if lines[0].endswith("were:") and len(lines) > 1:  # several addresses were tried; the first will do
            first = " ".join(lines[1].split())
        masked = first.replace(self._password, "***") if self._password else first
        return masked if len(masked) <= _LONGEST_WORDS else masked[:_LONGEST_WORDS] + "..."


def _row(
    job_id: str, queue: str, job_type: str, attempt: int, started_s: float, finished_s: float, result: Any
) -> dict[str, Any]:
    """The row of a result, and what it says of an OpenRouter call if it has the form of one."""
    answer: Mapping[str, Any] = result if isinstance(result, Mapping) else {}
    return {
        "job_id": _storable(job_id),
        "queue": _storable(queue),
        "job_type": _storable(job_type),
        "attempt": attempt,
        "started_at": datetime.fromtimestamp(started_s, UTC),
        "finished_at": datetime.fromtimestamp(finished_s, UTC),
        "result": _as_json(result),
        "model": _storable(answer["model"]) if isinstance(answer.get("model"), str) else None,
        **{key: _number(answer.get(key), int) for key in ("prompt_tokens", "completion_tokens")},
        "cost_usd": _number(answer.get("cost_usd"), float, int),
    }


def _number(value: Any, *kinds: type) -> Any:
    return value if type(value) in kinds else None


def _as_json(value: Any) -> str:
    """A value as JSON that jsonb takes: what JSON has no form for, at any depth, as its text.

    A value that holds NaN, a key that is no text or a number, or a loop, becomes text as a whole.
    """
    try:
        text = json.dumps(value, default=_text, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        text = json.dumps(_text(value), ensure_ascii=False)
    return _encodable(_NUL.sub(r"\1\\ufffd", text))


def _text(value: Any) -> str:
    """What represents a value to a person, cut to a length."""
    try:
        return str(value)[:_LONGEST_TEXT]
    except Exception:  # it is a stranger's code, and the job is done
        return f"<{type(value).__name__}>"


def _storable(text: str) -> str:
    return _encodable(text.replace("\0", "\ufffd"))


def _encodable(text: str) -> str:
    """The text without halves of surrogate pairs, which UTF-8 does not have."""
    return text.encode("utf-8", "replace").decode("utf-8")

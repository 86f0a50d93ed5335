from __future__ import annotations

import ctypes
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import psycopg
import pytest

from jobctl.adapters.postgres import PostgresResults, Server, migrate
from jobctl.errors import InvalidOption, ServiceUnavailable
from support.databases import PASSWORD, POOLED, Pooler, Postgres
from support.waiting import wait_until

Open = Callable[..., PostgresResults]


@pytest.fixture
def open_store() -> Iterator[Open]:
    """Opens a store; it is closed at the end."""
    with ExitStack() as stores:

        def open_store(dsn: str, *, pool_size: int = 2, timeout_s: float = 5.0, **options: Any) -> PostgresResults:
            store = PostgresResults(dsn, pool_size=pool_size, timeout_s=timeout_s, **options)
            stores.callback(store.close)
            store.open()
            return store

        yield open_store


def save(store: PostgresResults, job_id: str, result: object = None, **changed: Any) -> None:
    job = {"queue": "high", "job_type": "m.f", "attempt": 2, "started_s": 1.5, "finished_s": 2.5, **changed}
    store.save(job_id=job_id, result=result, **job)


def stored(postgres: Postgres, job_id: str) -> Any:
    """The result of a job; fails where there is none."""
    ((result,),) = postgres.rows("SELECT result FROM jobctl_results WHERE job_id = %s", job_id)
    return result


def refusal(action: Callable[[], object]) -> str:
    """The line that a person reads."""
    with pytest.raises(ServiceUnavailable) as caught:
        action()
    assert len(str(caught.value).splitlines()) == 1
    assert PASSWORD not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    return str(caught.value)


# ------------------------------------------------------------------------------------------------------ what is stored


def test_a_row_says_which_job_ran_where_when_and_what_its_call_cost(postgres: Postgres, open_store: Open) -> None:
    answer = {
        "model": "openai/gpt-4o-mini",
        "prompt_tokens": 7,
        "completion_tokens": 11,
        "cost_usd": 0.25,
        "content": "hi",
    }
    save(open_store(postgres.dsn), "a", answer)

    columns = (
        "queue, job_type, attempt, started_at, finished_at, result, model, prompt_tokens, completion_tokens, cost_usd"
    )
    assert postgres.rows(f"SELECT {columns} FROM jobctl_results") == [
        (
            *("high", "m.f", 2, datetime.fromtimestamp(1.5, UTC), datetime.fromtimestamp(2.5, UTC)),
            *(answer, "openai/gpt-4o-mini", 7, 11, 0.25),
        )
    ]


def test_what_a_result_does_not_say_is_null(postgres: Postgres, open_store: Open) -> None:
    save(open_store(postgres.dsn), "a", {"model": 5, "prompt_tokens": "many", "cost_usd": True})

    assert postgres.rows("SELECT model, prompt_tokens, completion_tokens, cost_usd FROM jobctl_results") == [
        (None, None, None, None)
    ]


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError("no words")


def looped() -> list[object]:
    loop: list[object] = []
    loop.append(loop)
    return loop


def nested(depth: int) -> list[object]:
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("result", "kept"),
    [
        (None, None),
        ("%s %(x)s ' \\ \" \n", "%s %(x)s ' \\ \" \n"),
        ({"at": datetime(2025, 1, 2, tzinfo=UTC)}, {"at": "2025-01-02 00:00:00+00:00"}),
        ([b"\x00\xff", Path("/a")], ["b'\\x00\\xff'", "/a"]),
        ({("a", 1): 2}, "{('a', 1): 2}"),
        ([float("nan"), 1], "[nan, 1]"),
        ("nul \0\0 and \\u0000", "nul \ufffd\ufffd and \\u0000"),
        ("half a pair \ud83d", "half a pair ?"),
        (Unspeakable(), "<Unspeakable>"),
        (looped(), "[[...]]"),
        (nested(100_000), "<list>"),
        ({"prompt_tokens": 2**70}, "{'prompt_tokens': 1180591620717411303424}"),
        ("x" * 20_000, "x" * 20_000),
        ({1, *range(10_000)}, repr(set(range(10_000)))[:10_000]),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_any_result_is_kept_and_fails_no_job(
    result: object, kept: object, postgres: Postgres, open_store: Open
) -> None:
    save(open_store(postgres.dsn), "a", result)

    assert stored(postgres, "a") == kept


def test_any_name_is_kept(postgres: Postgres, open_store: Open) -> None:
    save(open_store(postgres.dsn), "a'\0\ud83d", queue="q\0'", job_type="%s")

    assert postgres.rows("SELECT job_id, queue, job_type FROM jobctl_results") == [("a'\ufffd?", "q\ufffd'", "%s")]


# ------------------------------------------------------------------------------------------------------- the connection


def test_the_pooler_of_these_tests_breaks_who_prepares_statements(pooler: Pooler) -> None:
    def prepare() -> None:
        with psycopg.connect(pooler.dsn, autocommit=True, prepare_threshold=0) as connection:
            connection.execute("SELECT %s", [1])

    with psycopg.connect(pooler.dsn, autocommit=True, prepare_threshold=0) as connection:
        connection.execute("SELECT %s", [1])
        with pytest.raises(psycopg.errors.DuplicatePreparedStatement):
            prepare()
        connection.execute("DEALLOCATE ALL")


def test_forty_slots_share_the_two_server_connections_of_a_pooler(
    pooler: Pooler, postgres: Postgres, open_store: Open
) -> None:
    stores = [open_store(pooler.dsn, pool_size=5, timeout_s=30.0) for _ in range(4)]

    with ThreadPoolExecutor(40) as slots:
        list(slots.map(lambda number: save(stores[number % 4], str(number), number), range(800)))

    assert postgres.rows("SELECT count(*), sum(result::int) FROM jobctl_results") == [(800, sum(range(800)))]
    assert len(server_processes(postgres)) <= POOLED


def server_processes(postgres: Postgres) -> list[tuple[object, ...]]:
    query = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    return postgres.rows(query)


def test_no_session_state_is_left_in_the_poolers_server_connections(pooler: Pooler, open_store: Open) -> None:
    store = open_store(pooler.dsn, timeout_s=7.0)
    with ThreadPoolExecutor(8) as slots:
        list(slots.map(lambda number: save(store, str(number)), range(100)))

    with ExitStack() as clients:
        seen = set()
        for _ in range(POOLED):  # each holds its server connection, as its transaction lasts
            client = clients.enter_context(psycopg.connect(pooler.dsn, cursor_factory=psycopg.ClientCursor))
            query = (
                "SELECT pg_backend_pid(), current_setting('statement_timeout'), count(*) FROM pg_prepared_statements"
            )
            (row,) = client.execute(query).fetchall()
            seen.add(row)

    assert {row[1:] for row in seen} == {("0", 0)}
    assert len(seen) == POOLED


def test_a_pool_grows_to_its_size_and_not_beyond(postgres: Postgres, open_store: Open) -> None:
    store = open_store(f"{postgres.dsn}&application_name=growing", pool_size=3)
    with postgres.locked() as release, ThreadPoolExecutor(12) as slots:
        saves = [slots.submit(save, store, str(number)) for number in range(12)]
        ends_s = time.monotonic() + 5
        while store.pool_use().in_use < 3 and time.monotonic() < ends_s:
            time.sleep(0.01)
        time.sleep(0.1)  # time to grow further
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'growing'"
        ((most,),) = postgres.rows(query)
        use = store.pool_use()
        release()
        for one in saves:
            one.result()

    assert (most, use.in_use, use.size, use.most) == (3, 3, 3, 3)
    assert store.pool_use().in_use == 0


# ------------------------------------------------------------------------------------------------- when it goes wrong


def test_a_write_that_takes_too_long_ends_in_the_server_as_well(postgres: Postgres, open_store: Open) -> None:
    store = open_store(postgres.dsn, timeout_s=0.3)

    with postgres.locked():
        line = refusal(lambda: save(store, "a"))
        # The lock is still held: only the end of the write lets it go.
        wait_until(lambda: not postgres.rows("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))

    assert "did not answer within 0.3 s; check host, port and network, and what holds its locks" in line
    save(store, "a")


def test_a_slot_that_gets_no_connection_is_told_how_to_get_one(postgres: Postgres, open_store: Open) -> None:
    lent, enough = Event(), Event()

    class Holding:
        def waited_for_connection(self, wait_s: float) -> None:
            lent.set()
            enough.wait(10)

    store = open_store(postgres.dsn, pool_size=1, timeout_s=0.3, observer=Holding())
    with ThreadPoolExecutor(1) as slot:
        slot.submit(save, store, "a")
        lent.wait(10)
        line = refusal(lambda: save(store, "b"))
        enough.set()

    assert "had all 1 connections of the pool in use for 0.3 s; raise --db-pool-size" in line


def test_a_database_that_is_frozen_holds_no_slot_beyond_the_deadline(pooler: Pooler, open_store: Open) -> None:
    store = open_store(pooler.dsn, timeout_s=0.5)
    save(store, "a")

    os.kill(pooler.process.pid, signal.SIGSTOP)
    try:
        started_s = time.monotonic()
        line = refusal(lambda: save(store, "b"))
        took_s = time.monotonic() - started_s
    finally:
        os.kill(pooler.process.pid, signal.SIGCONT)

    assert "did not answer within 0.5 s" in line
    assert 0.5 <= took_s < 2.0
    save(store, "b")


def test_a_slot_that_is_interrupted_leaves_the_pool_whole(postgres: Postgres, open_store: Open) -> None:
    class TimeIsUp(Exception):
        pass

    store = open_store(postgres.dsn, pool_size=1, timeout_s=10.0)
    with postgres.locked(), ThreadPoolExecutor(1) as slot:
        thread_id = slot.submit(threading.get_ident).result()
        blocked = slot.submit(save, store, "a")
        while store.pool_use().in_use == 0:
            time.sleep(0.005)
        time.sleep(0.05)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), ctypes.py_object(TimeIsUp))
        assert isinstance(blocked.exception(timeout=2.0), TimeIsUp)  # long before its own deadline

    save(store, "b")
    assert stored(postgres, "b") is None


def test_a_restart_of_the_database_costs_no_result(
    postgres: Postgres, open_store: Open, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(postgres.dsn, pool_size=4, timeout_s=10.0)
    with ThreadPoolExecutor(8) as slots:
        list(slots.map(lambda number: save(store, f"before {number}"), range(40)))
        postgres.stop()
        meanwhile = [slots.submit(save, store, f"meanwhile {number}") for number in range(8)]
        time.sleep(0.2)
        postgres.start()
        for one in meanwhile:
            one.result()
        list(slots.map(lambda number: save(store, f"after {number}"), range(40)))

    assert postgres.rows("SELECT count(*) FROM jobctl_results") == [(88,)]
    assert caplog.records == []


def test_a_pooler_outlasts_a_restart_of_the_database(postgres: Postgres, pooler: Pooler, open_store: Open) -> None:
    store = open_store(pooler.dsn, timeout_s=10.0)
    save(store, "a")
    postgres.stop()
    postgres.start()

    save(store, "b")

    assert postgres.rows("SELECT job_id FROM jobctl_results ORDER BY job_id") == [("a",), ("b",)]


def test_a_database_that_is_away_fails_each_write_in_time_and_is_told_of_in_two_lines(
    postgres: Postgres, open_store: Open, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(postgres.dsn, timeout_s=0.4)
    postgres.stop()
    try:
        started_s = time.monotonic()
        with ThreadPoolExecutor(6) as slots:
            failures = [slots.submit(save, store, str(number)) for number in range(12)]
            errors = [one.exception() for one in failures]
        took_s = time.monotonic() - started_s
    finally:
        postgres.start()
    save(store, "back")

    assert {type(error) for error in errors} == {ServiceUnavailable}
    assert took_s < 3.0
    assert [(record.levelno, record.getMessage().split(":")[0]) for record in caplog.records] == [
        (logging.ERROR, "results cannot be stored"),
        (logging.WARNING, "results are stored again"),
    ]
    assert PASSWORD not in caplog.text


def test_each_write_tells_how_long_it_waited_for_a_connection(postgres: Postgres, open_store: Open) -> None:
    class Waits(list[float]):
        waited_for_connection = list.append

    waits = Waits()
    store = open_store(postgres.dsn, observer=waits)
    save(store, "a")
    save(store, "b")

    assert len(waits) == 2
    assert all(0 <= wait_s < 5 for wait_s in waits)


# ----------------------------------------------------------------------------------------------------------- at start


def test_a_database_without_the_table_is_refused_with_the_command_that_makes_it(postgres: Postgres) -> None:
    postgres.rows("DROP TABLE jobctl_results, jobctl_migrations")

    line = refusal(PostgresResults(postgres.dsn, pool_size=1, timeout_s=5.0, option="DATABASE_URL").open)

    assert line.startswith("DATABASE_URL: Postgres at /")
    assert line.endswith("lacks the table for results or a column of it; run `jobctl migrate` with the same database")


def test_the_check_at_start_leaves_no_row(postgres: Postgres, open_store: Open) -> None:
    open_store(postgres.dsn)

    assert postgres.rows("SELECT count(*) FROM jobctl_results") == [(0,)]


def test_a_role_that_may_not_write_is_refused_at_start(postgres: Postgres) -> None:
    postgres.rows(f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")
    try:
        for grants in ("", "GRANT SELECT, INSERT ON jobctl_results TO reader"):  # then row security is left
            if grants:
                postgres.rows(grants)
            dsn = postgres.dsn.replace("ql://postgres", "ql://reader")
            line = refusal(PostgresResults(dsn, pool_size=1, timeout_s=5.0).open)
            assert "refused (" in line
            assert line.endswith("; connect as the role that ran `jobctl migrate`")
    finally:
        postgres.rows("DROP OWNED BY reader")
        postgres.rows("DROP ROLE reader")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("postgres:", "nobody:"), "password authentication failed"),
        ((PASSWORD, "wrong-horse"), "password authentication failed"),
        (("/postgres?", "/elsewhere?"), 'database "elsewhere" does not exist'),
        (("port=5432", "port=5433"), "No such file or directory"),
    ],
)
def test_a_database_that_cannot_be_had_is_one_line(change: tuple[str, str], problem: str, postgres: Postgres) -> None:
    dsn = postgres.dsn.replace(*change)

    line = refusal(PostgresResults(dsn, pool_size=1, timeout_s=5.0).open)

    assert problem in line
    assert "wrong-horse" not in line
    assert line.endswith("; start it, or check host, port and password")


def test_a_startup_parameter_that_a_pooler_does_not_know_is_named(pooler: Pooler) -> None:
    line = refusal(PostgresResults(f"{pooler.dsn}&options=-cjit%3Doff", pool_size=1, timeout_s=5.0).open)

    assert "unsupported startup parameter: options" in line


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://joe:two/parts@host:6543/db",
        "postgresql://joe:12/parts@host:6543/db",
        "postgresql://joe:two@parts@host:6543/db",
        "postgresql://joe:two%zzparts@host:6543/db",
        "postgresql://host:two/db?speed=parts",
        "host=db password='two parts",
        "host=db password=two parts",
        "nonsense",
    ],
)
def test_a_dsn_that_does_not_parse_is_refused_without_showing_any_of_it(dsn: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        PostgresResults(dsn, pool_size=1, timeout_s=5.0, option="DATABASE_URL")

    line = str(caught.value)
    assert line.startswith("DATABASE_URL: ")
    assert len(line.splitlines()) == 1
    for secret in ("two", "parts", "joe", "nonsense"):
        assert secret not in line


def test_words_in_place_of_a_url_and_options_of_the_user_are_obeyed(postgres: Postgres, open_store: Open) -> None:
    directory = postgres.dsn.partition("host=")[2].partition("&")[0]
    words = f"host={directory} user=postgres password='{PASSWORD}' dbname=postgres application_name=mine"
    save(open_store(words), "a")

    assert postgres.rows("SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name = 'mine'") == [
        ("postgres",)
    ]


# --------------------------------------------------------------------------------------------------------- migrations


def test_a_migration_is_applied_once(postgres: Postgres) -> None:
    postgres.rows("DROP TABLE jobctl_results, jobctl_migrations")

    assert migrate(postgres.dsn, timeout_s=5.0) == ["0001_results"]
    assert migrate(postgres.dsn, timeout_s=5.0) == []
    assert postgres.rows("SELECT name FROM jobctl_migrations") == [("0001_results",)]


def test_of_many_that_migrate_at_once_through_a_pooler_one_does(postgres: Postgres, pooler: Pooler) -> None:
    postgres.rows("DROP TABLE jobctl_results, jobctl_migrations")

    with ThreadPoolExecutor(5) as deploys:
        applied = list(deploys.map(lambda _: migrate(pooler.dsn, timeout_s=20.0), range(5)))

    assert sorted(applied) == [[], [], [], [], ["0001_results"]]


def test_a_migration_that_fails_leaves_nothing_half_done(postgres: Postgres) -> None:
    postgres.rows("DROP TABLE jobctl_results, jobctl_migrations")
    postgres.rows("CREATE TABLE jobctl_results_by_type ()")  # the name of the index that comes after the table
    try:
        line = refusal(lambda: migrate(postgres.dsn, timeout_s=5.0))
        tables = postgres.rows("SELECT to_regclass('jobctl_results'), to_regclass('jobctl_migrations')")
    finally:
        postgres.rows("DROP TABLE jobctl_results_by_type")

    assert 'refused (relation "jobctl_results_by_type" already exists)' in line
    assert tables == [(None, None)]


def test_nobody_but_the_owner_sees_a_row(postgres: Postgres, open_store: Open) -> None:
    save(open_store(postgres.dsn), "a")
    postgres.rows(f"CREATE ROLE browser LOGIN PASSWORD '{PASSWORD}'")
    try:
        postgres.rows("GRANT ALL ON jobctl_results, jobctl_migrations TO browser")
        with psycopg.connect(postgres.dsn.replace("ql://postgres", "ql://browser")) as connection:
            tables = ("jobctl_results", "jobctl_migrations")
            seen = [connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables]
    finally:
        postgres.rows("DROP OWNED BY browser")
        postgres.rows("DROP ROLE browser")

    assert seen == [[], []]


@pytest.mark.parametrize(
    "said",
    [
        "FATAL: sorry, too many clients already",
        "FATAL: remaining connection slots are reserved for roles with the SUPERUSER attribute",
        "FATAL: no more connections allowed (max_client_conn)",
        "FATAL: Max client connections reached",
    ],
)
def test_a_database_without_a_connection_left_is_not_told_as_one_that_is_away(said: str) -> None:
    error = Server("postgresql://u@h/d", 1.0, "--database-url").explain(psycopg.OperationalError(said))

    assert "has no connection left" in error.problem
    assert "smaller pools" in error.remedy

from __future__ import annotations

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
from typing import Any

import psycopg
import pytest
from support.databases import PASSWORD, POOLED, Pooler, Postgres

from jobctl.adapters.postgres import PostgresResults, migrate
from jobctl.errors import InvalidOption, ServiceUnavailable

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
    answer = {"model": "openai/gpt-4o-mini", "prompt_tokens": 7, "completion_tokens": 11, "cost_usd": 0.25, "content": "hi"}
    save(open_store(postgres.dsn), "a", answer)

    columns = "queue, job_type, attempt, started_at, finished_at, result, model, prompt_tokens, completion_tokens, cost_usd"
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
    def __repr__(self) -> str:
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
        ({"at": datetime(2025, 1, 2, tzinfo=UTC)}, {"at": "datetime.datetime(2025, 1, 2, 0, 0, tzinfo=datetime.timezone.utc)"}),
        ([b"\x00\xff", Path("/a")], ["b'\\x00\\xff'", "PosixPath('/a')"]),
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
def test_any_result_is_kept_and_fails_no_job(result: object, kept: object, postgres: Postgres, open_store: Open) -> None:
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
            query = "SELECT pg_backend_pid(), current_setting('statement_timeout'), count(*) FROM pg_prepared_statements"
            (row,) = client.execute(query).fetchall()
            seen.add(row)

    assert {row[1:] for row in seen} == {("0", 0)}
    assert len(seen) == POOLED


def test_a_pool_grows_to_its_size_and_not_beyond(postgres: Postgres, open_store: Open) -> None:
    store = open_store(postgres.dsn, pool_size=3)
    most = 0
    with postgres_lock(postgres) as release, ThreadPoolExecutor(12) as slots:
        saves = [slots.submit(save, store, str(number)) for number in range(12)]
        ends_s = time.monotonic() + 5
        while store.pool_use().in_use < 3 and time.monotonic() < ends_s:
            time.sleep(0.01)
        time.sleep(0.1)  # time to grow further
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'jobctl'"
        ((most,),) = postgres.rows(query)  # type: ignore[assignment]
        use = store.pool_use()
        release()
        for one in saves:
            one.result()

    assert (most, use.in_use, use.size) == (3, 3, 3)
    assert store.pool_use().in_use == 0


class Lock(ExitStack):
    """Somebody else's transaction that holds the table of results."""


def postgres_lock(postgres: Postgres) -> Any:
    from contextlib import contextmanager

    @contextmanager
    def locked() -> Iterator[Callable[[], None]]:
        with psycopg.connect(postgres.dsn) as other:
            other.execute("LOCK TABLE jobctl_results")
            yield other.rollback

    return locked()

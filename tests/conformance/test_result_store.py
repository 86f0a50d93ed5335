"""One suite for every store of results: the in-memory twin, and Postgres with and without a pooler before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from jobctl.adapters.memory import MemoryResults
from jobctl.adapters.postgres import PostgresResults
from jobctl.errors import ServiceUnavailable
from jobctl.ports import ResultStore
from support.databases import Postgres


@dataclass
class Store:
    results: ResultStore
    kept: Callable[[], dict[str, Any]]
    break_down: Callable[[], object]


@pytest.fixture(params=["memory", "postgres", "pooler"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    if request.param == "memory":
        memory = MemoryResults()
        yield Store(
            memory,
            lambda: {job_id: row["result"] for job_id, row in memory.kept.items()},
            lambda: setattr(memory, "refusing", True),
        )
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    server = request.getfixturevalue(request.param)
    results = PostgresResults(server.dsn, pool_size=2, timeout_s=2.0)
    results.open()
    yield Store(results, lambda: dict(postgres.rows("SELECT job_id, result FROM jobctl_results")), results.close)  # type: ignore[arg-type]
    results.close()


def save(store: Store, job_id: str, result: object) -> None:
    store.results.save(
        job_id=job_id, queue="q", job_type="m.f", attempt=1, started_s=1.0, finished_s=2.0, result=result
    )


def test_a_result_is_kept_under_its_jobs_id(store: Store) -> None:
    save(store, "a", {"text": "ä", "numbers": [1, 2.5, None, True]})
    save(store, "b", None)

    assert store.kept() == {"a": {"text": "ä", "numbers": [1, 2.5, None, True]}, "b": None}


def test_the_first_result_of_a_job_stands(store: Store) -> None:
    save(store, "a", "first")
    save(store, "a", "second")

    assert store.kept() == {"a": "first"}


def test_a_store_that_cannot_keep_a_result_says_so(store: Store) -> None:
    store.break_down()

    with pytest.raises(ServiceUnavailable):
        save(store, "a", 1)


def test_nothing_is_in_use_once_everything_is_kept(store: Store) -> None:
    save(store, "a", 1)

    assert store.results.pool_use().in_use == 0

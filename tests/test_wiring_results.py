from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from jobctl.errors import InvalidOption, ServiceUnavailable
from jobctl.settings import load
from jobctl.wiring.results import make_results, migrate_results
from support.databases import Pooler, Postgres


def test_without_a_database_there_is_no_store_and_no_driver_is_imported(tmp_path: Path) -> None:
    probe = (
        "import sys; from jobctl.settings import load; from jobctl.wiring.results import make_results;"
        "assert make_results(load({}, env={})) is None;"
        "print('psycopg' in sys.modules or 'psycopg_pool' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"


@pytest.mark.parametrize(("given", "size"), [({}, 4), ({"JOB_DB_POOL_SIZE": "9"}, 9), ({"JOB_CONCURRENCY": "100"}, 7)])
def test_a_pool_is_as_large_as_its_slots_need_unless_it_is_said(
    given: dict[str, str], size: int, pooler: Pooler, tmp_path: Path
) -> None:
    store = make_results(load({}, env={"DATABASE_URL": pooler.dsn, **given}, directory=tmp_path))

    assert store is not None
    try:
        assert store._pool.max_size == size  # type: ignore[attr-defined]
    finally:
        store.close()


def test_a_configured_store_keeps_results(postgres: Postgres, tmp_path: Path) -> None:
    store = make_results(load({}, env={"DATABASE_URL": postgres.dsn}, directory=tmp_path))

    assert store is not None
    store.save(job_id="a", queue="q", job_type="m.f", attempt=1, started_s=1.0, finished_s=2.0, result=[1])
    store.close()
    assert postgres.rows("SELECT job_id, result FROM jobctl_results") == [("a", [1])]


def test_an_error_names_the_setting_that_named_the_database(postgres: Postgres, tmp_path: Path) -> None:
    postgres.rows("DROP TABLE jobctl_results, jobctl_migrations")
    from_file = tmp_path / "jobctl.toml"
    from_file.write_text(f'database_url = "{postgres.dsn}"')

    with pytest.raises(ServiceUnavailable, match=r"^DATABASE_URL: .* run `jobctl migrate`"):
        make_results(load({}, env={"DATABASE_URL": postgres.dsn}, directory=tmp_path))
    with pytest.raises(ServiceUnavailable, match=r"^jobctl\.toml: .* run `jobctl migrate`"):
        make_results(load({}, env={}, directory=tmp_path))


def test_migrating_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidOption, match="--database-url: is not given; give the database's URL, or set DATABASE_URL"
    ):
        migrate_results(load({}, env={}, directory=tmp_path))

from __future__ import annotations

from pathlib import Path

import pytest

from jobctl.cli.main import run
from support.databases import PASSWORD, Postgres


@pytest.fixture(autouse=True)
def _clean_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATABASE_URL", raising=False)


def migrate(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run ``jobctl migrate``: its exit code, its output and its complaint."""
    with pytest.raises(SystemExit) as ended:
        run(["migrate", *arguments])
    said = capsys.readouterr()
    return int(str(ended.value.code)), said.out, said.err


def test_it_says_what_it_applied_and_then_that_there_is_nothing_to_apply(
    postgres: Postgres, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres.rows("DROP TABLE jobctl_results, jobctl_migrations")

    assert migrate(capsys, "--database-url", postgres.dsn) == (0, "jobctl migrate: applied 0001_results\n", "")
    monkeypatch.setenv("DATABASE_URL", postgres.dsn)
    assert migrate(capsys) == (0, "jobctl migrate: nothing to apply\n", "")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "--database-url: is not given; give the database's URL, or set DATABASE_URL"),
        (["--database-url", f"mysql://joe:{PASSWORD}@h/d"], "'--database-url': is not a Postgres connection string"),
        (
            ["--database-url", f"postgresql://joe:{PASSWORD}/x@h/d"],
            "--database-url: names no valid host, port and data",
        ),
        (
            ["--database-url", f"postgresql://joe:{PASSWORD}@/d?host=/nowhere"],
            "--database-url: Postgres at /nowhere:5432/d",
        ),
        (["--database-url", "postgresql://h/d", "--db-timeout", "2m"], "'--db-timeout': '2m' is too long; give less"),
    ],
)
def test_a_database_that_cannot_be_had_is_one_line_and_exit_code_two(
    arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, said, complaint = migrate(capsys, *arguments)

    assert (status, said) == (2, "")
    assert len(complaint.splitlines()) == 1
    assert problem in complaint
    assert PASSWORD not in complaint

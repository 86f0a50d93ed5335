"""The example app by itself: with plain RQ and with our worker, with a Postgres and with none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lock import REPOSITORY

from jobctl.core.service import Constant
from support.databases import Postgres
from support.running_mock import KEY, Mock, running

WORKERS = {
    "rq": ["rq", "worker", "--burst", "desk"],
    "jobctl": ["jobctl", "work", "--burst", "--queues", "desk"],
}


@pytest.fixture
def mock() -> Iterator[Mock]:
    with running(Constant(0.01), {}) as mock:
        yield mock


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """The app, with two tickets."""
    shutil.copytree(REPOSITORY / "examples" / "support_desk", tmp_path, dirs_exist_ok=True)
    tickets = (tmp_path / "tickets.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "two.jsonl").write_text("".join(tickets[:2]), encoding="utf-8")
    return tmp_path


def run(desk: Path, *command: str, **variables: str) -> str:
    """Run a command in the app's directory; it must succeed. Gives what it printed."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
        "HOME": str(desk),
        "LANG": "C.UTF-8",
        **variables,
    }
    done = subprocess.run(
        command, cwd=desk, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("worker", WORKERS)
@pytest.mark.usefixtures("redis")
def test_either_worker_answers_the_tickets_and_keeps_the_answers(
    worker: str, desk: Path, mock: Mock, redis_url: str, postgres: Postgres
) -> None:
    postgres.rows("DROP TABLE IF EXISTS answers")
    told = {
        "REDIS_URL": redis_url,
        "DESK_DATABASE_URL": postgres.dsn,
        "OPENROUTER_BASE_URL": mock.url,
        "OPENROUTER_API_KEY": KEY,
    }
    assert run(desk, "python", "-m", "support_desk", "setup", **told) == "table answers: ready\n"
    assert run(desk, "python", "-m", "support_desk", "enqueue", "two.jsonl", **told) == "queue desk: 2 jobs\n"
    run(desk, *WORKERS[worker], **told)

    rows = postgres.rows("SELECT ticket, answer <> '', tokens > 0 FROM answers ORDER BY ticket")
    assert rows == [(1001, True, True), (1002, True, True)]


def test_without_a_database_the_answer_is_what_the_job_returns(desk: Path, mock: Mock) -> None:
    told = {"OPENROUTER_BASE_URL": mock.url, "OPENROUTER_API_KEY": KEY}
    code = "from support_desk.tasks import answer_ticket; print(answer_ticket(1, 'Is it open?'))"

    assert "answers are not kept" in run(desk, "python", "-m", "support_desk", "setup", **told)
    assert "'ticket': 1, 'answer': '" in (said := run(desk, "python", "-c", code, **told))
    assert "'kept': False" in said


def test_the_app_knows_nothing_of_jobctl() -> None:
    sources = (REPOSITORY / "examples" / "support_desk" / "support_desk").glob("*.py")

    assert [path.name for path in sources if "jobctl" in path.read_text(encoding="utf-8")] == []

"""The commands of the how-tos, run as they are written, in a fresh directory, on real parts."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from lock import REPOSITORY

from support.console import Ran, commands, run
from support.databases import Postgres

#: Comparing two runs of the same code finds something once in twenty times, by design.
_MAY_FIND = {0, 97, 98}


def test_benching_a_job_of_ones_own_goes_as_it_is_written(postgres: Postgres, tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {**here(tmp_path), "DESK_DATABASE_URL": postgres.dsn}
    shown = commands(REPOSITORY / "docs" / "howto" / "bench-your-own-job.md")
    assert sum(one.command.startswith("jobctl") for one in shown) == 5

    for one, ran in zip(shown, run([one.command for one in shown], tmp_path, environment, 180), strict=True):
        if not could_not_measure(ran):
            assert ran.status in (_MAY_FIND if one.command.startswith("jobctl compare") else {0}), ran.output
            assert ran.missing(one.lines) == [], ran.output

    assert postgres.rows("SELECT count(*) FROM answers") == [(10,)]


def test_gating_a_pull_request_goes_as_it_is_written(tmp_path: Path) -> None:
    shown = commands(REPOSITORY / "docs" / "howto" / "gate-a-pull-request.md")
    assert [one.lines for one in shown if one.command == "echo $?"] == [("97",), ("2",)]

    for one, ran in zip(shown, run([one.command for one in shown], tmp_path, here(tmp_path), 60), strict=True):
        if not could_not_measure(ran):
            assert ran.missing(one.lines) == [], ran.output
        if one.command == "echo $?":
            assert ran.output.split() == list(one.lines)


def test_the_gates_that_are_shown_are_those_of_the_example() -> None:
    document = (REPOSITORY / "docs" / "howto" / "bench-your-own-job.md").read_text(encoding="utf-8")
    shown = re.search(r"^```toml\n(.+?)^```$", document, re.MULTILINE | re.DOTALL)
    assert shown is not None
    example = (REPOSITORY / "examples" / "support_desk" / "gates.toml").read_text(encoding="utf-8")

    assert example.endswith(f"\n\n{shown[1]}")


def here(home: Path) -> dict[str, str]:
    """The environment of a person with this jobctl on PATH and nothing set."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"
    return {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8"}


def could_not_measure(ran: Ran) -> bool:
    """Whether the machine was too busy to send on time, which is no fault of what is written."""
    return ran.status == 97 and "the generator fell behind" in " ".join(ran.output.split())

"""`jobctl bench --baseline` on real parts: the code before ran, the verdict is right, and nothing is left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

import jobctl
from jobctl.cli import main
from support.benches import run, started

LOAD = ("--rate", "60", "--duration", "1.5s", "--rounds", "1", "--replicas", "1", "--max-schedule-lag", "10s")
#: A job whose time tells which code ran: it takes long with a jobctl from elsewhere.
COMMITTED = """
import time
import jobctl
def work():
    time.sleep(0.03 if jobctl.__file__.startswith(__file__.removesuffix("jobs.py")) else 0.5)
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a jobctl whose committed job takes 30 ms, and the one in the tree, of no commit, four times."""
    place = tmp_path / "repository"
    ours = Path(jobctl.__file__).parent
    shutil.copytree(ours, place / "src" / "jobctl", ignore=shutil.ignore_patterns("__pycache__"))
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "before"]):
        if words[0] == "add":
            (place / "jobs.py").write_text(COMMITTED)
        who = ["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *who, *words], cwd=place, check=True)
    (place / "jobs.py").write_text("import time\ndef work():\n    time.sleep(0.12)\n")
    return place


def test_slower_jobs_than_those_of_a_revision_are_a_regression_that_a_repeat_confirms(repository: Path) -> None:
    status, document, bench = run("--baseline", "HEAD", "--job", "jobs.work", *LOAD, directory=repository)

    assert status == 98, bench.output
    comparison = document["comparison"]
    lines = {line["name"]: line for line in comparison["lines"]}
    assert 0.029 < lines["service.p50"]["baseline"] < 0.1, (
        "its workers are of its own jobctl; a busy machine adds to it"
    )
    assert lines["service.p50"]["new"] > 0.119
    assert (comparison["confirmed"], comparison["rounds"]) == (True, {"first": 1, "repeat": 1})
    assert document["config"]["duration_s"] == pytest.approx(0.15 + 2 * 1.35)
    assert document["jobs"]["scheduled"] == document["jobs"]["finished"] > 100
    for name, part in (("bench", document), ("compare", comparison)):
        schema = json.loads(files("jobctl").joinpath(f"schemas/{name}.json").read_text(encoding="utf-8"))
        assert list(Draft202012Validator(schema).iter_errors(part)) == []
    assert "A regression over 1 round and 1 more." in bench.output
    worktrees = subprocess.run(["git", "worktree", "list"], cwd=repository, check=True, capture_output=True, text=True)
    assert len(worktrees.stdout.splitlines()) == 1
    assert bench.left_behind() == []


def test_an_interrupted_comparison_reports_what_it_has(repository: Path) -> None:
    words = ("--baseline", "HEAD", "--job", "jobs.work", *LOAD, "--rounds", "4", "--json", "r.json")
    with started(*words, directory=repository) as bench:
        bench.wait_for("round 2, baseline", timeout_s=60)
        os.kill(bench.process.pid, signal.SIGTERM)
        status = bench.finish()

    assert status == 105, bench.output
    document = json.loads((repository / "r.json").read_text())
    assert document["interrupted"]
    assert document["jobs"]["finished"] > 0
    assert bench.left_behind() == []


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--baseline", "no-such-branch"], "--baseline"),
        (["--baseline", "./nowhere"], "--baseline"),
        (["--baseline", "HEAD", "--no-workers"], "--no-workers"),
        (["--baseline", "HEAD", "--find-max"], "--find-max"),
        (["--baseline", "HEAD", "--chaos", "replica_killed:1@1s"], "--chaos"),
        (["--baseline", "HEAD", "--rounds", "0"], "--rounds"),
        (["--rounds", "4"], "--rounds"),
        (["--relative-floor", "4%"], "--relative-floor"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_started(
    words: list[str],
    named: str,
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(repository)
    with pytest.raises(SystemExit) as ended:
        main.run(["bench", *words, "--rate", "5", "--duration", "5s"])

    assert ended.value.code == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert named in line
    assert ";" in line

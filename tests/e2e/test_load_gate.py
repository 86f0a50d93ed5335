"""What runs the gate on GitHub and GitLab, run here: every shell step, in a copy of the repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest
from lock import REPOSITORY

from support.environments import copy_repository, make_environment
from support.github import TOKEN, Job, PullRequest, read_yaml

ACTION = read_yaml(REPOSITORY / "action.yml")
GITLAB = read_yaml(REPOSITORY / "docs" / "ci" / "gitlab-ci.yml")["load-gate"]
#: A short load; a busy machine wakes the generator late, which is not the subject.
QUICK = '--rate 20 --job sleep --service-time 50ms --warmup 0s --max-schedule-lag "10 s"'
REPORTS = {"bench.json", "report.html", "junit.xml", "report.md"}


@dataclass(frozen=True)
class Machine:
    """A checkout, and the Python on PATH beside it, which has what jobctl needs but not jobctl.

    Attributes:
        checkout: A copy of the repository.
        environment: What every command is given.
    """

    checkout: Path
    environment: dict[str, str]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    root = tmp_path_factory.mktemp("machine")
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    needed = [*project["project"]["dependencies"], *project["build-system"]["requires"], "pip"]
    programs = make_environment(root / "python", needed)
    # pip is to build with what is there and to fetch nothing; its variable says no by saying 0.
    offline = {"PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_INDEX": "1", "PIP_NO_CACHE_DIR": "1"}
    environment = {"PATH": f"{programs}{os.pathsep}{os.defpath}", "HOME": str(root), "LANG": "C.UTF-8", **offline}
    return Machine(copy_repository(root / "checkout"), environment)


@pytest.fixture
def fresh_job(machine: Machine, tmp_path: Path) -> Job:
    """A job whose Python has no jobctl yet."""
    return make_job(machine.checkout, tmp_path, machine.environment)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job whose Python has one."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"
    return make_job(tmp_path, tmp_path, {"PATH": path, "HOME": str(tmp_path), "LANG": "C.UTF-8"})


def make_job(directory: Path, runner: Path, environment: dict[str, str]) -> Job:
    action = directory if (directory / "action.yml").exists() else REPOSITORY
    event = runner / "event.json"
    event.write_text('{"pull_request": {"number": 7}}')
    github = {"action_path": f"{action}/./", "event_name": "pull_request", "token": TOKEN}
    return Job(directory, runner, {**environment, "GITHUB_EVENT_PATH": str(event)}, github)


def test_the_action_installs_benches_keeps_the_reports_comments_and_passes(fresh_job: Job) -> None:
    job, pull = fresh_job, PullRequest()
    with pull.serving(job.runner) as served:
        job.environment = {**job.environment, **served}
        outputs = job.run(ACTION, {"duration": "3s", "gate": "lost == 0\nservice.p50 < 5s\n", "args": QUICK})

    assert (outputs["verdict"], outputs["exit-code"]) == ("kept", "0"), job.log
    assert job.ran == {"Install jobctl": 0, "Bench": 0, "Comment": 0, "Verdict": 0}
    assert {path.name for path in Path(outputs["directory"]).iterdir()} == REPORTS
    document = json.loads(Path(outputs["json"]).read_text(encoding="utf-8"))
    assert [gate["verdict"] for gate in document["gates"]] == ["kept", "kept"]
    assert len(ElementTree.parse(outputs["junit"]).findall(".//testcase")) >= 2
    markdown = Path(outputs["markdown"]).read_text(encoding="utf-8")
    assert [comment["body"].partition("\n")[2] for comment in pull.comments] == [markdown]
    assert markdown.strip() in job.summary.read_text(encoding="utf-8")
    assert job.used["actions/upload-artifact@v7"]["path"] == outputs["directory"]
    assert "::notice title=Load gate::kept" in job.log


def test_bad_input_fails_the_job_and_says_so(job: Job) -> None:
    outputs = job.run(ACTION, {"gate": "wiat.p95 < 1s"})

    assert (outputs["verdict"], outputs["exit-code"], job.ran["Verdict"]) == ("failed", "2", 2)
    assert "wiat" in job.log
    assert "there is no pull request or no report to comment" in job.log


@pytest.mark.parametrize("text", ["$(touch ran)", "`touch ran`", "1; touch ran", "x' && touch ran; '", "a b", "*"])
def test_inputs_reach_jobctl_as_they_are_and_none_is_run(job: Job, tmp_path: Path, text: str) -> None:
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\nexit 99\n")
    python.chmod(0o755)
    job.environment = {**job.environment, "PATH": f"{python.parent}{os.pathsep}{os.defpath}"}
    names = ["per-day", "duration", "job", "args-from", "gates", "gate", "baseline"]
    job.run(ACTION, dict.fromkeys(names, text), only="Bench")

    assert job.ran == {"Bench": 0}
    assert {f"--{name}={text}" for name in names} <= set(job.log.splitlines())
    assert not (job.directory / "ran").exists()


def test_options_with_an_open_quote_fail_the_job(job: Job) -> None:
    job.run(ACTION, {"args": '--slo "p95 wait <= 1s'}, only="Bench")

    assert job.ran["Bench"] != 0


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (0, "::notice title=Load gate::kept"),
        (1, "jobctl itself failed (1)"),
        (2, "bad input"),
        (97, "inconclusive (97)"),
        (98, "regression (98)"),
        (99, "broken (99)"),
        (105, "interrupted (105)"),
    ],
)
def test_the_log_tells_the_exit_codes_apart_and_the_job_ends_with_them(job: Job, status: int, said: str) -> None:
    steps = [
        {**step, "env": {"STATUS": str(status)}} for step in ACTION["runs"]["steps"] if step.get("name") == "Verdict"
    ]
    job.run({**ACTION, "runs": {"steps": steps}}, {}, only="Verdict")

    assert job.ran == {"Verdict": status}
    assert said in job.log


def test_the_script_for_gitlab_keeps_the_reports_of_a_broken_gate_and_exits_with_99(machine: Machine) -> None:
    (machine.checkout / "strict.toml").write_text('[[gate]]\ncheck = "lost > 0"\n')  # whatever else is measured
    variables = {**GITLAB["variables"], "PER_DAY": "2M", "DURATION": "3s", "GATES": "strict.toml"}
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", "\n".join(GITLAB["script"])],
        cwd=machine.checkout,
        env={**machine.environment, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 99, done.stdout + done.stderr
    (kept,) = GITLAB["artifacts"]["paths"]
    assert {path.name for path in (machine.checkout / kept).iterdir()} == REPORTS
    cases = ElementTree.parse(machine.checkout / GITLAB["artifacts"]["reports"]["junit"])
    assert cases.findall(".//testcase/failure")

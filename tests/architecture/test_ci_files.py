"""The files that run the gate on GitHub and GitLab: well formed, by the platforms' own schemas, and safe to run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lock import REPOSITORY

from support.github import read_yaml

ACTION = REPOSITORY / "action.yml"
WORKFLOW = REPOSITORY / ".github" / "workflows" / "load-gate.yml"
GITLAB = REPOSITORY / "docs" / "ci" / "gitlab-ci.yml"
SCHEMAS = {ACTION: "github-actions", WORKFLOW: "github-workflows", GITLAB: "gitlab-ci"}


def scripts() -> list[tuple[str, str]]:
    """Each step's shell, with what it is called."""
    steps = [(step["name"], step["run"]) for step in read_yaml(ACTION)["runs"]["steps"] if "run" in step]
    of_workflow = [step for job in read_yaml(WORKFLOW)["jobs"].values() for step in job["steps"]]
    steps += [(step["name"], step["run"]) for step in of_workflow if "run" in step]
    return [*steps, ("gitlab", "\n".join(read_yaml(GITLAB)["load-gate"]["script"]))]


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_each_file_is_what_its_platform_says_it_must_be(path: Path) -> None:
    assert faults(path, SCHEMAS[path]) == ""


def test_the_workflow_to_copy_is_what_github_says_and_gives_the_action_what_it_takes(tmp_path: Path) -> None:
    document = (REPOSITORY / "docs" / "howto" / "gate-a-pull-request.md").read_text(encoding="utf-8")
    shown = re.search(r"^```yaml\n(.+?)^```$", document, re.MULTILINE | re.DOTALL)
    assert shown is not None
    copied = tmp_path / "load-gate.yml"
    copied.write_text(shown[1])
    workflow = read_yaml(copied)
    job = workflow["jobs"]["load-gate"]

    assert faults(copied, "github-workflows") == ""
    assert set(job["steps"][-1]["with"]) <= set(read_yaml(ACTION)["inputs"])
    ours = read_yaml(WORKFLOW)
    assert (workflow["permissions"], job["permissions"], job["steps"][0]) == (
        ours["permissions"], ours["jobs"]["load-gate"]["permissions"], ours["jobs"]["load-gate"]["steps"][0],
    )  # fmt: skip
    documented = set(re.findall(r"`([a-z-]+)`", "".join(re.findall(r"^\|[^|]+\|", document, re.MULTILINE))))
    assert set(read_yaml(ACTION)["inputs"]) <= documented


def test_a_file_that_its_platform_would_refuse_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "load-gate.yml"
    wrong.write_text(WORKFLOW.read_text(encoding="utf-8").replace("runs-on:", "run-on:"))

    assert "run-on" in faults(wrong, "github-workflows")


def faults(path: Path, schema: str) -> str:
    """What a platform's schema finds in a file; empty where it finds nothing."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize(("name", "script"), scripts(), ids=[name for name, _ in scripts()])
def test_shellcheck_finds_nothing(name: str, script: str) -> None:
    program = REPOSITORY / ".tools" / "bin" / "shellcheck"
    done = subprocess.run([program, "--shell=bash", "-"], input=script, capture_output=True, text=True, check=False)

    assert done.stdout + done.stderr == ""


@pytest.mark.parametrize(("name", "script"), scripts(), ids=[name for name, _ in scripts()])
def test_no_expression_becomes_part_of_a_script(name: str, script: str) -> None:
    assert "${{" not in script


def test_every_input_is_used_and_every_one_that_is_used_exists() -> None:
    text = ACTION.read_text(encoding="utf-8")

    assert set(re.findall(r"inputs\.([\w-]+)", text)) == set(read_yaml(ACTION)["inputs"])


def test_the_workflow_gives_the_action_inputs_that_it_has() -> None:
    step = read_yaml(WORKFLOW)["jobs"]["load-gate"]["steps"][-1]

    assert step["uses"] == "./"
    assert set(step["with"]) <= set(read_yaml(ACTION)["inputs"])


def test_the_workflow_may_read_and_write_a_comment_and_nothing_else() -> None:
    workflow = read_yaml(WORKFLOW)
    job = workflow["jobs"]["load-gate"]

    assert workflow["permissions"] == {"contents": "read"}
    assert job["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert "pull_request_target" not in workflow["on"]  # it would run a stranger's code with our rights
    assert job["steps"][0]["with"]["persist-credentials"] is False


def test_other_peoples_actions_are_pinned_to_a_release() -> None:
    used = re.findall(r"uses: (\S+)", ACTION.read_text("utf-8") + WORKFLOW.read_text("utf-8"))

    assert {one.partition("@")[0] for one in used} == {
        "./", "actions/checkout", "actions/setup-python", "actions/upload-artifact",
    }  # fmt: skip
    assert all(one == "./" or re.search(r"@v\d+$", one) for one in used)


def gated_options(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z-]+", text))


def test_both_platforms_get_the_same_reports() -> None:
    reports = {"--json", "--html", "--junit", "--markdown", "--gates"}
    of_action: dict[str, Any] = next(one for one in read_yaml(ACTION)["runs"]["steps"] if one.get("id") == "bench")

    assert reports <= gated_options(of_action["run"])
    assert reports <= gated_options(read_yaml(GITLAB)["load-gate"]["script"][-1])

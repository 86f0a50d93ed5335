"""The tutorial's commands in order, in one shell and an empty directory, on real parts; its benches are shorter."""

from __future__ import annotations

import re
from pathlib import Path

from lock import REPOSITORY

from support.console import Ran, commands, here, run

TUTORIAL = REPOSITORY / "docs" / "tutorial.md"
#: A busy machine wakes the generator late; where lateness is not the subject it may be.
LATE = "--max-schedule-lag 5s"


def shorter(command: str) -> str:
    """A command that takes seconds: less load, an earlier fault, and less simulation where chance decides nothing."""
    if command.startswith("jobctl bench"):
        return re.sub(r"@\d+s", "@2s", re.sub(r"--duration \d+s", f"--duration 8s {LATE}", command))
    return f"{command} --budget 1s" if command.startswith("jobctl plan") else command


def test_the_tutorial_goes_as_it_is_written(tmp_path: Path) -> None:
    shown = commands(TUTORIAL)
    environment = {**here(tmp_path), "JOB_RECOVER_AFTER": "2"}

    all_ran = run([shorter(one.command) for one in shown], tmp_path, environment, 120)

    for one, ran in zip(shown, all_ran, strict=True):
        assert ran.status == 0, f"{one.command}\n{ran.output}"
        assert ran.missing(one.lines) == [], f"{one.command}\n{ran.output}"
    the_first_plan_is_to_the_letter(all_ran[1], shown[1].lines)
    the_plan_became_the_deployment(tmp_path / "fleet")


def the_first_plan_is_to_the_letter(ran: Ran, lines: tuple[str, ...]) -> None:
    """It does not depend on what was measured."""
    told = lines[: lines.index("...")]
    assert [line for line in ran.output.splitlines() if line.strip()][: len(told)] == list(told)


def the_plan_became_the_deployment(fleet: Path) -> None:
    """The number of replicas that was planned is the one that is deployed and watched."""
    (planned,) = re.findall(r"^replicas = (\d+)", (fleet / "monitoring" / "slo.toml").read_text(), re.MULTILINE)
    (deployed,) = re.findall(r'"numReplicas": (\d+)', (fleet / "railway.json").read_text())
    assert planned == deployed

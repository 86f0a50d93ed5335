"""What README and docs say is checked against the program, so that neither can drift."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from jobctl.cli.exit_status import ExitStatus
from jobctl.cli.main import app
from jobctl.settings import FIELDS

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
)
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]


def mentioned_commands(text: str) -> list[tuple[list[str], list[str]]]:
    """Words and options of each `jobctl ...` in backticks or after a prompt."""
    lines = [*re.findall(r"`jobctl ([a-z][^`\n]*)`", text), *re.findall(r"^\$ jobctl (.+)$", text, re.MULTILINE)]
    return [(line.split(), re.findall(r"(?<!\S)--[a-z-]+", line)) for line in lines]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_that_is_mentioned_exists_with_its_options(document: Path) -> None:
    for (verb, *words), options in mentioned_commands(document.read_text(encoding="utf-8")):
        if verb.startswith("-"):
            continue
        assert verb in COMMANDS, verb
        command = COMMANDS[verb]
        if hasattr(command, "commands") and words:  # a group: `jobctl dead list|show` names several of it
            command, *others = [command.commands[word] for word in words[0].split("|")]
            assert not (others and options), f"jobctl {verb} {words[0]}"
        known = {option for parameter in command.params for option in parameter.opts}
        assert set(options) <= known, f"jobctl {verb}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), target


def test_the_planned_example_is_what_the_program_prints() -> None:
    command, answer = re.search(r"^\$ jobctl (plan .+)\n(.+)$", README, re.MULTILINE).groups()  # type: ignore[union-attr]
    result = subprocess.run(
        [sys.executable, "-m", "jobctl", *command.split()], capture_output=True, text=True, check=True
    )

    assert result.stdout.splitlines()[0] == answer


def shown_plans() -> list[tuple[str, list[str]]]:
    """Each plan of the how-to whose screen is shown: the command, and the lines up to the dots."""
    text = (ROOT / "docs" / "howto" / "plan-a-fleet.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^\$ jobctl (plan .+)\n((?:(?!\$|```).*\n)+)", text, re.MULTILINE)
    return [(command, screen.partition("...\n")[0].splitlines()) for command, screen in blocks]


@pytest.mark.parametrize(("command", "lines"), shown_plans(), ids=[command for command, _ in shown_plans()])
def test_a_plan_that_the_howto_shows_is_what_the_program_prints(
    command: str, lines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for field in FIELDS:
        monkeypatch.delenv(field.env, raising=False)
    words = [sys.executable, "-m", "jobctl", *shlex.split(command)]
    result = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=False)

    assert result.stdout.splitlines()[: len(lines)] == lines
    assert result.returncode in {int(ExitStatus.PASS), int(ExitStatus.BROKEN)}


def test_the_table_of_settings_names_each_with_its_variable_and_default() -> None:
    for field in FIELDS:
        row = next(line for line in README.splitlines() if f"`{field.name}`" in line)
        assert f"`{field.env}`" in row
        if isinstance(field.default, int):
            assert f"| {field.default} " in row


def test_the_table_of_exit_codes_has_every_code_that_can_come_out() -> None:
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}

    assert listed == {int(status) for status in ExitStatus}


def test_every_decision_is_in_the_architectures_list() -> None:
    architecture = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for decision in (ROOT / "docs" / "decisions").glob("*.md"):
        assert f"decisions/{decision.name}" in architecture

"""Every figure of docs/HIGH_LOAD_OPTIMIZATION.md is what the command or the file beside it says."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path

import high_load
import pytest
from lock import REPOSITORY
from shown_benches import benches
from typer.testing import CliRunner

from jobctl.cli.exit_status import ExitStatus
from jobctl.cli.main import app
from jobctl.settings import FIELDS
from support.console import Shown, commands

DOCUMENT = high_load.DOCUMENT
TEXT = DOCUMENT.read_text(encoding="utf-8")
SHOWN = commands(DOCUMENT)
#: What no test runs: there is no engine here.
NOT_RUN = {"cd monitoring", "docker compose up -d"}
#: The rows of the first table that are judged again here; `make check` judges all.
SAMPLED_S = (1.0,)
#: Less simulation than the plans of the document have by themselves: what it shows of them is far from any edge.
BUDGET = ("--budget", "1s")


def computed() -> list[Shown]:
    """The commands whose answer does not depend on the machine."""
    return [shown for shown in SHOWN if " plan " in shown.command or shown.command.endswith("doctor")]


@pytest.mark.parametrize("shown", computed(), ids=[shown.command for shown in computed()])
def test_what_is_shown_of_a_command_is_what_it_prints(
    shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for field in FIELDS:
        monkeypatch.delenv(field.env, raising=False)
    monkeypatch.chdir(tmp_path)
    words = shlex.split(shown.command)
    while "=" in words[0]:
        monkeypatch.setenv(*words.pop(0).split("=", 1))
    sooner = BUDGET if words[1] == "plan" and "--audit" not in words else ()
    result = CliRunner().invoke(app, [*words[1:], *sooner])

    assert result.exit_code in {int(ExitStatus.PASS), int(ExitStatus.BROKEN)}, result.output
    assert shown.lines
    assert passages_not_in(shown.lines, result.output) == []


@pytest.mark.parametrize("verb", ["monitoring", "deploy"])
def test_what_is_made_from_the_promises_is_up_to_date_as_the_document_says(
    verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = f"{verb} render --check"
    assert f"\n$ jobctl {command}\n" in TEXT
    monkeypatch.chdir(REPOSITORY)

    assert CliRunner().invoke(app, command.split()).exit_code == 0


def test_every_command_is_run_by_a_test_or_it_is_said_why_not() -> None:
    run = {shown.command for shown in computed()} | set(benches(TEXT))
    run |= {f"jobctl {verb} render --check" for verb in ("monitoring", "deploy")}

    assert {shown.command for shown in SHOWN} == run | NOT_RUN


def test_what_is_shown_of_a_bench_is_what_was_measured() -> None:
    assert high_load.told(TEXT, high_load.RECORD.read_text(encoding="utf-8")) == TEXT


def test_what_was_measured_tells_when_and_on_what() -> None:
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC, \d+ cores", high_load.RECORD.read_text(encoding="utf-8"))


@pytest.mark.parametrize("service_s", SAMPLED_S)
def test_a_row_of_the_audit_is_what_the_command_above_it_answers(service_s: float) -> None:
    command = high_load.taking(service_s)
    assert f"$ jobctl {high_load.taking(high_load.VARIED_S)}\n" in TEXT
    answer = high_load.asked(command)

    row = list(high_load.by_service_time(dict.fromkeys(high_load.SERVICE_S, answer)))[
        2 + high_load.SERVICE_S.index(service_s)
    ]
    assert f"\n{row}\n" in TEXT


def test_what_is_varied_in_the_second_table_is_an_option_of_the_command() -> None:
    answer = high_load.asked(high_load.varying("--spare 0"))

    needs = [str(row["needed"]) for row in answer["rows"]]
    assert f"| `--spare 0` | {high_load.VARIATIONS['--spare 0']} | {' | '.join(needs)} |" in TEXT


def test_every_figure_that_names_a_file_stands_in_it() -> None:
    quoted = re.findall(r"\[(\d[\d.,]*(?: s)?)\]\((figures/[\w.]+)\)", TEXT)

    assert len(quoted) >= 7
    for figure, name in quoted:
        source = (DOCUMENT.parent / name).read_text(encoding="utf-8")
        assert re.search(rf"(?<![\d.,]){re.escape(figure)}(?![\d])", source), f"{figure} in {name}"


def test_every_figure_of_what_the_audit_says_stands_in_the_audit() -> None:
    audit = TEXT.partition("## The audit\n")[2].partition("What this says about the claims:")
    for figure in re.findall(r"\d+\.\d+", audit[2].partition("### What else moves it")[0]):
        assert re.search(rf"(?<![\d.]){re.escape(figure)}(?!\d)", audit[0]), figure


def test_each_change_says_what_was_reported_and_where_it_falls_short() -> None:
    changes = re.split(
        r"^### (\d+)\. ", TEXT.partition("## The eight changes")[2].partition("## The audit")[0], flags=re.M
    )

    assert [int(number) for number in changes[1::2]] == list(range(1, 9))
    for change in changes[2::2]:
        assert "*Reported:*" in change
        assert "**Falls short.**" in change


def test_each_next_step_is_there() -> None:
    steps = [int(number) for number in re.findall(r"^### (\d+)\. ", TEXT.partition("## The ten next steps")[2], re.M)]

    assert steps == list(range(1, 11))


def test_the_picture_shows_every_service_time_of_the_table() -> None:
    picture = high_load.PICTURE.read_text(encoding="utf-8")

    assert f"]({high_load.PICTURE.relative_to(DOCUMENT.parent)})" in TEXT
    for service_s in high_load.SERVICE_S:
        assert f">{service_s:g} s</text>" in picture


def passages_not_in(lines: tuple[str, ...], output: str) -> list[str]:
    """What is shown between dots and is not printed in one piece, or not in that order."""
    printed = [line.rstrip() for line in output.splitlines() if line.strip()]
    text = "\n".join(["", *printed, ""])
    cuts = [-1, *(place for place, line in enumerate(lines) if line == "..."), len(lines)]
    missing, position = [], 0
    for before, after in pairwise(cuts):
        passage = [line.rstrip() for line in lines[before + 1 : after]]
        if not passage:
            continue
        found = text.find("\n".join(["", *passage, ""]), position)
        if found < 0:
            missing.append("\n".join(passage))
        position = max(found, position)
    return missing

"""The generated pages and pictures are those that the program makes now, and what has drifted is found."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pictures
import pytest
import reference
from typer.main import get_command

from jobctl.cli.exit_status import ExitStatus
from jobctl.cli.main import VERBS, app
from jobctl.core.queueing import predict_wait
from jobctl.settings import FIELDS


@pytest.mark.parametrize("made", [reference.main, pictures.main])
def test_what_is_made_is_up_to_date(made: object) -> None:
    assert callable(made)
    assert made(["--check"]) == 0


def test_a_page_that_has_drifted_is_named_and_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reference, "REFERENCE", tmp_path)
    assert reference.main([]) == 0
    page = tmp_path / "settings.md"
    page.write_text(page.read_text(encoding="utf-8").replace("JOB_CONCURRENCY", "JOB_SLOTS"), encoding="utf-8")
    capsys.readouterr()

    assert reference.main(["--check"]) == 1
    assert capsys.readouterr().err == "reference: settings.md out of date; run: make docs\n"
    assert reference.main([]) == 0
    assert reference.main(["--check"]) == 0


def test_a_picture_that_has_drifted_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pictures, "IMAGES", tmp_path)
    assert pictures.main([]) == 0
    (tmp_path / "wait-when-pooled.svg").write_text("<svg/>", encoding="utf-8")
    capsys.readouterr()

    assert pictures.main(["--check"]) == 1
    assert capsys.readouterr().err == "pictures: wait-when-pooled.svg out of date; run: make docs\n"


def test_the_command_line_is_told_verb_by_verb_with_every_option() -> None:
    text = reference.pages()["cli.md"]
    commands = dict(reference.commands())

    assert {words[0] for words in commands} == set(VERBS)
    assert ("dead", "retry") in commands
    for words, command in commands.items():
        section = text.split(f" jobctl {' '.join(words)}\n")[1].partition("\n## ")[0]
        shown = {option for option in command.params if not getattr(option, "hidden", False)}
        for option in (name for parameter in shown for name in parameter.opts if name.startswith("--")):
            assert option in section, f"{words}: {option}"


@pytest.mark.parametrize("words", [words for words, _ in reference.commands()], ids=" ".join)
def test_help_in_the_reference_is_that_of_the_program(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    get_command(app).main([*words, "--help"], prog_name="jobctl", standalone_mode=False, terminal_width=80)

    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert "\n".join(printed) in reference.pages()["cli.md"]


def test_settings_and_exit_codes_are_complete() -> None:
    made = reference.pages()

    for field in FIELDS:
        assert f"| `{field.env}` | `{field.name}` |" in made["settings.md"]
    assert re.findall(r"^\| (\d+) \| \S", made["exit-codes.md"], re.MULTILINE) == [str(int(one)) for one in ExitStatus]


def test_every_key_of_every_document_is_told_with_what_it_may_hold_and_means() -> None:
    text = reference.pages()["documents.md"]
    told = set(re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE))

    assert {"verdict", "signals.wait.p95", "errors[].jobs", "versions.*"} - told == set()
    assert '| `verdict` | `"kept"`, `"broken"`, `"inconclusive"` |' in text
    assert [line for line in text.splitlines() if line.endswith("|  |")] == [], "each has a description in its schema"
    for path in reference.SCHEMAS.glob("*.json"):
        title = json.loads(path.read_text(encoding="utf-8"))["title"].partition(":")[0]
        assert f"## {title}\n" in text


def test_pictures_show_what_the_formula_says() -> None:
    apart = predict_wait(arrival_rate_per_s=2.5, mean_service_s=8, slots=25).mean_s
    shared = predict_wait(arrival_rate_per_s=5, mean_service_s=8, slots=50).mean_s
    account = pictures.wait_when_pooled().account

    assert f"{apart:.3g} s with a queue for each and {shared:.3g} s with one for both" in account
    assert "0.335 s" in account


def test_both_loops_measure_one_system_and_only_the_open_one_sees_the_stall() -> None:
    """50 calls are due in the stall; the n-th takes 5.05 s - n / 10, which is more than a second for 41 of them."""
    opened, closed = pictures.open_loop(), pictures.closed_loop()

    assert (len(opened), sum(took > 1 for took in opened.values())) == (300, 41)
    assert (len(closed), sum(took > 1 for took in closed.values())) == (251, 1)
    assert max(opened.values()) == max(closed.values()) == pytest.approx(5.05)

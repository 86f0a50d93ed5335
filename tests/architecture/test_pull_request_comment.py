"""The comment that the GitHub action keeps on a pull request, against a server with GitHub's paths."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pull_request_comment import LONGEST, fitted, main, marker

from support.github import PullRequest


@pytest.fixture
def report(tmp_path: Path) -> str:
    path = tmp_path / "report.md"
    path.write_text("**kept**")
    return str(path)


def test_the_first_report_is_a_new_comment_and_the_next_takes_its_place(tmp_path: Path, report: str) -> None:
    pull = PullRequest()
    with pull.serving(tmp_path) as environment:
        assert main(["load-gate", report], environment) == 0
        Path(report).write_text("**broken**")
        assert main(["load-gate", report], environment) == 0

    assert [comment["body"] for comment in pull.comments] == [f"{marker('load-gate')}\n**broken**"]


def test_two_gates_have_a_comment_each(tmp_path: Path, report: str) -> None:
    pull = PullRequest()
    with pull.serving(tmp_path) as environment:
        main(["load-gate", report], environment)
        main(["load-gate of chat", report], environment)

    assert len(pull.comments) == 2


def test_an_old_comment_is_found_behind_a_hundred_others(tmp_path: Path, report: str) -> None:
    pull = PullRequest()
    for number in range(150):
        pull.add(f"comment {number}", "User")
    pull.add(f"{marker('load-gate')}\nold")
    with pull.serving(tmp_path) as environment:
        main(["load-gate", report], environment)

    assert len(pull.comments) == 151
    assert pull.comments[-1]["body"].endswith("**kept**")


def test_a_comment_of_a_person_is_never_overwritten(tmp_path: Path, report: str) -> None:
    pull = PullRequest()
    pull.add(f"{marker('load-gate')}\nquoted by a person", "User")
    with pull.serving(tmp_path) as environment:
        main(["load-gate", report], environment)

    assert [comment["user"]["type"] for comment in pull.comments] == ["User", "Bot"]
    assert pull.comments[0]["body"].endswith("quoted by a person")


def test_a_run_for_a_fork_that_may_not_write_says_so_and_fails_nothing(
    tmp_path: Path, report: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with PullRequest(refuses=403).serving(tmp_path) as environment:
        assert main(["load-gate", report], environment) == 0

    assert "GitHub says 403: see the summary" in capsys.readouterr().out


def test_a_server_that_is_away_fails_nothing(tmp_path: Path, report: str, capsys: pytest.CaptureFixture[str]) -> None:
    with PullRequest().serving(tmp_path) as environment:
        pass
    assert main(["load-gate", report], environment) == 0

    assert "::warning" in capsys.readouterr().out


@pytest.mark.parametrize("event", [{}, {"pull_request": {}}, {"issue": {"number": 7}}])
def test_without_a_pull_request_nobody_is_asked(tmp_path: Path, report: str, event: dict[str, object]) -> None:
    pull = PullRequest()
    with pull.serving(tmp_path) as environment:
        Path(environment["GITHUB_EVENT_PATH"]).write_text(json.dumps(event))
        assert main(["load-gate", report], environment) == 0

    assert pull.asked == []


def test_without_a_report_nobody_is_asked(tmp_path: Path) -> None:
    pull = PullRequest()
    with pull.serving(tmp_path) as environment:
        assert main(["load-gate", str(tmp_path / "none.md")], environment) == 0

    assert pull.asked == []


def test_a_report_longer_than_a_comment_is_cut_and_says_so() -> None:
    assert fitted("a" * LONGEST) == "a" * LONGEST
    cut = fitted("a" * (LONGEST + 1))
    assert len(cut) == LONGEST
    assert "the artifact has all of it" in cut


def test_a_name_cannot_end_the_line_that_nobody_sees() -> None:
    assert marker("x --> y").count("-->") == 1

"""The comparison of what a document shows with what its commands print finds what has changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.console import Ran, commands, run

SHOWN = [
    "At 4.96 jobs/s two replicas were 10% busy;",
    "one would carry it.",
    "...",
    "p95     1.36 ms 1.16..2.12 ms   no change",
]


@pytest.mark.parametrize(
    "output",
    [
        "At 4.96 jobs/s two replicas were 10% busy;\none would carry it.\n3\np95     1.36 ms 1.16..2.12 ms   no change",
        "up\nAt 12 jobs/s two replicas\nwere 9.5% busy; one would carry\nit.\np95 2 s 970..999 µs cannot tell\ndown",
    ],
)
def test_figures_units_findings_and_breaks_of_lines_may_differ(output: str) -> None:
    assert Ran(0, output).missing(SHOWN) == []


@pytest.mark.parametrize(
    ("output", "missing"),
    [
        ("At 4.96 jobs/s two replicas were 10% busy;\nthree would carry it.\np95 1 s 1..2 s no change", 0),
        ("At 4.96 jobs/s two replicas were 10% busy; one would carry it.\np99 1 s 1..2 s no change", 1),
        ("p95 1 s 1..2 s no change\nAt 4.96 jobs/s two replicas were 10% busy; one would carry it.", 1),
        ("At 4.96 jobs/s two replicas were 10% busy; one would carry it.\np95 - 1..2 s no change", 1),
    ],
)
def test_another_word_another_order_and_a_figure_that_is_not_there_are_found(output: str, missing: int) -> None:
    assert len(Ran(0, output).missing(SHOWN)) == 1
    assert Ran(0, output).missing(SHOWN)[0].startswith(("At", "p95")[missing])


def test_commands_share_a_shell_and_tell_their_exit_codes(tmp_path: Path) -> None:
    document = tmp_path / "howto.md"
    document.write_text("```console\n$ cd sub\n$ false \\\n    --really\n$ echo $?; pwd\n1\n.../sub\n```\n")
    (tmp_path / "sub").mkdir()
    shown = commands(document)

    assert [one.command for one in shown] == ["cd sub", "false \\\n    --really", "echo $?; pwd"]
    assert shown[-1].lines == ("1", ".../sub")
    ran = run([one.command for one in shown], tmp_path, {"PATH": "/usr/bin:/bin"}, timeout_s=10)
    assert [one.status for one in ran] == [0, 1, 0]
    assert ran[-1].output == f"1\n{tmp_path}/sub\n"

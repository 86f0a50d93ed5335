"""The script that unpacks the servers of the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tools


@pytest.mark.parametrize("program", sorted(one for tool in tools.TOOLS.values() for one in tool.programs))
def test_every_program_of_the_table_is_unpacked_and_runs(program: str) -> None:
    launcher = tools.ROOT / "bin" / Path(program).name

    run = subprocess.run([launcher, "--version"], capture_output=True, text=True, check=False)

    assert run.returncode in {0, 2}  # hey knows no --version and tells its usage
    assert any(character.isdigit() for character in run.stdout + run.stderr)


def test_what_is_there_is_left_alone_without_asking_apt() -> None:
    for name in tools.TOOLS:
        before = (tools.ROOT / name).stat().st_ino
        run = subprocess.run(
            [sys.executable, tools.__file__, name],
            env={"PATH": "/nowhere"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (run.returncode, run.stderr) == (0, "")
        assert (tools.ROOT / name).stat().st_ino == before


def test_a_machine_without_apt_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(tools.ToolsError) as caught:
        tools.provide("pgbouncer", tmp_path / "tools")

    assert str(caught.value) == (
        "there is no apt-get here; run this on Debian or Ubuntu, where the tests find their servers"
    )
    assert not tools.present("pgbouncer", tmp_path / "tools")


def test_a_name_that_is_not_in_the_table_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert tools.main(["nothing"]) == 2
    assert "tools: 'nothing' is none of chromium, prometheus" in capsys.readouterr().err


def fake_apt(directory: Path, script: str) -> None:
    """A command ``apt-get`` that notes how it was called."""
    path = directory / "apt-get"
    path.write_text(f'#!/bin/sh\necho "$@" >>"{directory}/calls"\n{script}\n')
    path.chmod(0o755)


def test_lists_are_fetched_once_when_apt_does_not_know_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_apt(tmp_path, 'echo "E: Unable to locate package pgbouncer" >&2; [ "$2" = update ]')
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    with pytest.raises(
        tools.ToolsError, match=r"^apt-get -q failed \(E: Unable to locate package pgbouncer\); check apt"
    ):
        tools.provide("pgbouncer", tmp_path / "tools")

    assert [line.split()[1] for line in (tmp_path / "calls").read_text().splitlines()] == [
        "install",
        "update",
        "install",
    ]


def test_another_table_is_unpacked_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tools.present("pgbouncer", tools.ROOT)
    monkeypatch.setitem(tools.TOOLS, "pgbouncer", tools.Tool(("pgbouncer", "more"), ("usr/sbin/pgbouncer",)))

    assert not tools.present("pgbouncer", tools.ROOT)

"""The script that unpacks the servers of the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import tools

DATA = "/usr/share/thing/data"


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


@pytest.fixture
def unpack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Unpack a package of our own whose program prints the words in a directory; gives where."""

    def unpack_it(looks_for: str) -> Path:
        program, data = tmp_path / "package/usr/bin/thing", tmp_path / "package/usr/share/thing/data/words"
        control = tmp_path / "package/DEBIAN/control"
        for path, text in (
            (program, f'#!/bin/sh\ncat "{looks_for}/words"\n'),
            (data, "found\n"),
            (control, "Package: thing\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDescription: a thing\n"),
        ):
            path.parent.mkdir(parents=True)
            path.write_text(text)
        program.chmod(0o755)
        subprocess.run(["dpkg-deb", "--build", tmp_path / "package", tmp_path / "thing.deb"], check=True)
        download = f'cp "{tmp_path}/thing.deb" .'
        fake_apt(tmp_path, f'if [ "$2" = download ]; then {download}; else echo "Inst thing (1 here)"; fi')
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setitem(tools.TOOLS, "thing", tools.Tool(("thing",), ("usr/bin/thing",), data=DATA))
        tools.provide("thing", tmp_path / "tools")
        return tmp_path / "tools"

    return unpack_it


def test_a_program_finds_its_data_where_they_were_unpacked(unpack: Callable[[str], Path]) -> None:
    root = unpack(DATA)

    assert subprocess.run([root / "bin/thing"], capture_output=True, text=True, check=True).stdout == "found\n"


def test_data_that_no_program_looks_for_are_a_mistake_in_the_table(
    unpack: Callable[[str], Path], tmp_path: Path
) -> None:
    with pytest.raises(tools.ToolsError, match=f"no program of thing looks for {DATA}; mend the table"):
        unpack("/usr/share/other/data")

    assert not tools.present("thing", tmp_path / "tools")

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from jobctl.adapters.processes import ProcessGroup
from jobctl.errors import JobctlError

SLEEP = ["sleep", "60"]
#: Ignores SIGTERM and says when it does.
STUBBORN = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 60; done"]
#: Writes a file when SIGTERM reaches it.
ORDERLY = ["sh", "-c", 'trap "echo $0 >> $1; exit 0" TERM; echo ready; while :; do sleep 0.01; done']


def start_and_hear(group: ProcessGroup, argv: list[str]) -> subprocess.Popen[bytes]:
    """Start a child and wait until it has said its first word."""
    process = group.spawn(argv, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.stdout.close()
    return process


def test_leaving_the_group_ends_every_child_and_removes_the_directory() -> None:
    with ProcessGroup() as group:
        children = [group.spawn(SLEEP), group.spawn(SLEEP)]
        (group.directory / "deep").mkdir()
        (group.directory / "deep" / "file").write_text("x")

    assert [child.returncode for child in children] == [-15, -15]
    assert not group.directory.exists()


def test_leaving_the_group_leaves_no_process_of_its_own_behind() -> None:
    before = {process.pid for process in psutil.Process().children(recursive=True)}

    with ProcessGroup() as group:
        group.spawn(SLEEP)
        during = {process.pid for process in psutil.Process().children(recursive=True)}

    assert len(during - before) == 3  # the child, the guardian and its anchor
    assert {process.pid for process in psutil.Process().children(recursive=True)} == before


def test_closing_twice_is_harmless() -> None:
    group = ProcessGroup()
    group.close()
    group.close()

    assert not group.directory.exists()


def test_the_directory_is_private() -> None:
    with ProcessGroup() as group:
        assert stat.S_IMODE(group.directory.stat().st_mode) == 0o700


@pytest.mark.parametrize("temporary", ["long", "missing"])
def test_a_socket_fits_into_the_directory_whatever_tmpdir_is(temporary: str, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    if temporary == "long":
        deep.mkdir()

    script = "from jobctl.adapters.processes import ProcessGroup\nwith ProcessGroup() as group: print(group.directory)"
    said = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "TMPDIR": str(deep)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert len(said.stdout.strip()) + len("/redis.sock") < 104


def test_two_groups_at_once_do_not_touch_each_other() -> None:
    with ProcessGroup() as first:
        child = first.spawn(SLEEP)
        with ProcessGroup() as second:
            second.spawn(SLEEP)
            assert second.directory != first.directory
        assert child.poll() is None
        assert first.directory.is_dir()


def test_children_end_in_reverse_order_of_their_start(tmp_path: Path) -> None:
    order = tmp_path / "order"

    with ProcessGroup() as group:
        for name in ("redis", "worker", "load"):
            start_and_hear(group, [*ORDERLY, name, str(order)])

    assert order.read_text().split() == ["load", "worker", "redis"]


def test_a_child_that_ignores_sigterm_is_killed_when_its_time_is_up() -> None:
    with ProcessGroup() as group:
        child = start_and_hear(group, STUBBORN)
        group.stop(child, timeout_s=0.05)

        assert child.returncode == -9


def test_a_frozen_child_is_thawed_so_that_it_can_end_in_order(tmp_path: Path) -> None:
    order = tmp_path / "order"

    with ProcessGroup() as group:
        child = start_and_hear(group, [*ORDERLY, "thawed", str(order)])
        psutil.Process(child.pid).suspend()
        group.stop(child)

    assert child.returncode == 0
    assert order.read_text() == "thawed\n"


def test_stopping_a_child_that_has_ended_does_nothing() -> None:
    with ProcessGroup() as group:
        child = group.spawn(["true"])
        child.wait()
        group.stop(child)

        assert child.returncode == 0


def test_grandchildren_end_with_the_group() -> None:
    with ProcessGroup() as group:
        child = group.spawn(["sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE)
        assert child.stdout is not None
        grandchild = psutil.Process(int(child.stdout.readline()))
        child.stdout.close()

    assert not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE


def test_children_have_nothing_on_their_standard_input() -> None:
    with ProcessGroup() as group:
        child = group.spawn(["cat"])

        assert child.wait(5) == 0


def test_children_do_not_inherit_the_pipe_that_keeps_the_guardian_waiting() -> None:
    list_open = "import os\nfor fd in range(3, 256):\n try: os.fstat(fd)\n except OSError: continue\n print(fd)"
    with ProcessGroup() as group:
        child = group.spawn([sys.executable, "-I", "-S", "-c", list_open], stdout=subprocess.PIPE)

        assert child.communicate()[0] == b""


def test_a_program_that_is_not_there_is_one_line_with_its_name() -> None:
    with ProcessGroup() as group, pytest.raises(JobctlError, match=r"^the load cannot be started: No such file"):
        group.spawn(["/nowhere/at-all"], name="the load")


def test_a_closed_group_starts_nothing_more() -> None:
    with ProcessGroup() as group:
        pass

    with pytest.raises(JobctlError, match=r"^sleep cannot be started"):
        group.spawn(SLEEP)


def test_an_interrupt_while_closing_still_ends_everything() -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGALRM, interrupt)
    group = ProcessGroup()
    child = start_and_hear(group, STUBBORN)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            group.close()
    finally:
        signal.signal(signal.SIGALRM, previous)

    assert child.returncode == -9
    assert not group.directory.exists()


def test_a_machine_without_a_writable_directory_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobctl.adapters.processes._parents", lambda: iter([Path("/proc/none")]))

    with pytest.raises(JobctlError, match="set TMPDIR to one"):
        ProcessGroup()


def test_a_directory_with_a_blank_in_its_name_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis tells of its clients in words with blanks between; a socket path must not hold one."""
    place = Path(tempfile.mkdtemp(prefix="a b"))
    try:
        monkeypatch.setattr(tempfile, "tempdir", str(place))
        with ProcessGroup() as group:
            assert " " not in str(group.directory)
    finally:
        place.rmdir()

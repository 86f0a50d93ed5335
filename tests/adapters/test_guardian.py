"""Every way in which a parent may end, tried on real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

import jobctl.adapters.processes

GUARDIAN = Path(jobctl.adapters.processes.__file__).with_name("guardian.py")

#: A parent that starts children, says that it did, and ends as the test wants it.
PARENT = """
import os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests may have both ignored
signal.signal(signal.SIGINT, signal.default_int_handler)
from jobctl.adapters.processes import ProcessGroup
group = ProcessGroup()
group.spawn(["sleep", "60"])
frozen = group.spawn(["sleep", "60"])
os.kill(frozen.pid, signal.SIGSTOP)
{more}
print(group.directory, flush=True)
{ending}
"""
WITH_REDIS = "from jobctl.adapters import embedded_redis; embedded_redis.start(group)"
WAIT = "signal.pause()"

ENDINGS = {
    "a normal end without close": "pass",
    "sys.exit": "sys.exit(3)",
    "an exception": "raise RuntimeError('on purpose')",
    "os._exit": "os._exit(1)",
    "an abort": "import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); os.abort()",
    "exec of another program": "os.execvp('true', ['true'])",
    "close": "group.close()",
}


@dataclass
class Family:
    """A parent, all that descends from it, and their directory."""

    parent: subprocess.Popen[str]
    members: list[psutil.Process]
    directory: Path

    @property
    def guardian(self) -> psutil.Process:
        return next(member for member in self.members if GUARDIAN.name in " ".join(member.cmdline()))

    def is_gone(self) -> bool:
        return not self.directory.exists() and not any(is_alive(member) for member in self.members)


def is_alive(process: psutil.Process) -> bool:
    """Whether it does anything still; a zombie waits only for its new parent to notice."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def start(ending: str = WAIT, more: str = "") -> Family:
    """Start a parent; its end waits until the family was counted."""
    gate = "sys.stdin.readline()"
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.format(more=more, ending=f"{gate}\n{ending}")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert parent.stdout is not None
    directory = Path(parent.stdout.readline().strip())
    return Family(parent, psutil.Process(parent.pid).children(recursive=True), directory)


@pytest.fixture
def families() -> Iterator[list[Family]]:
    """Those that a test started; what it left of them ends."""
    started: list[Family] = []
    yield started
    for family in started:
        family.parent.kill()
        wait_for_the_end(family)


def wait_for_the_end(family: Family) -> None:
    """Let the parent end and give the guardian two seconds."""
    if family.parent.returncode is None:
        family.parent.communicate("end\n")
    deadline_s = time.monotonic() + 2
    while not family.is_gone() and time.monotonic() < deadline_s:
        time.sleep(0.01)


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS.keys())
def test_nothing_is_left_after(ending: str, families: list[Family]) -> None:
    family = start(ending)
    families.append(family)
    assert len(family.members) == 4  # two children, the guardian and the anchor

    wait_for_the_end(family)

    assert family.is_gone()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGSEGV])
def test_nothing_is_left_after_the_parent_dies_of(number: signal.Signals, families: list[Family]) -> None:
    family = start(more="import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0))")
    families.append(family)

    family.parent.send_signal(number)
    wait_for_the_end(family)

    assert family.is_gone()


def test_nothing_is_left_of_redis_and_its_socket_after_kill_9_of_the_parent(families: list[Family]) -> None:
    family = start(more=WITH_REDIS)
    families.append(family)
    assert len(family.members) == 5
    assert (family.directory / "redis.sock").is_socket()

    family.parent.kill()
    wait_for_the_end(family)

    assert family.is_gone()


def test_a_parent_whose_guardian_was_killed_still_ends_everything_when_it_closes(families: list[Family]) -> None:
    family = start("group.close()")
    families.append(family)

    family.guardian.kill()
    wait_for_the_end(family)

    assert family.parent.returncode == 0
    assert family.is_gone()


def test_killing_the_guardian_does_not_lift_the_guard(families: list[Family]) -> None:
    family = start()
    families.append(family)

    family.guardian.kill()
    family.parent.kill()
    wait_for_the_end(family)

    assert family.is_gone()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_guardian_outlives_a_signal_sent_to_everybody(number: signal.Signals, families: list[Family]) -> None:
    family = start()
    families.append(family)

    guardian = family.guardian
    guardian.send_signal(number)
    with pytest.raises(psutil.TimeoutExpired):
        guardian.wait(0.1)


def test_ctrl_c_reaches_the_parent_and_neither_its_children_nor_the_guardian(families: list[Family]) -> None:
    family = start("pass", more="signal.signal(signal.SIGINT, signal.SIG_IGN)")
    families.append(family)

    os.killpg(family.parent.pid, signal.SIGINT)
    time.sleep(0.1)

    assert all(is_alive(member) for member in family.members)


@pytest.mark.parametrize("parent_reads", [True, False])
def test_a_parent_killed_while_the_guardian_starts_leaves_no_directory(parent_reads: bool, tmp_path: Path) -> None:
    guardian = subprocess.Popen(
        [sys.executable, "-I", "-S", str(GUARDIAN), str(tmp_path / "early-")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert guardian.stdin is not None
    assert guardian.stdout is not None
    guardian.stdin.close()
    if not parent_reads:
        guardian.stdout.close()
    guardian.wait(10)
    guardian.stdout.close()
    assert guardian.stderr is not None
    assert guardian.stderr.read() == b""
    guardian.stderr.close()

    assert guardian.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_a_guardian_without_a_usable_directory_says_so(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-I", "-S", str(GUARDIAN), str(tmp_path / "nowhere" / "x-")],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
    )

    assert ended.returncode != 0
    assert ended.stdout == ""
    assert "No such file or directory" in ended.stderr.splitlines()[-1]

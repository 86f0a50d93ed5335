"""Child processes that never outlive their parent, and a private directory that goes with them.

A guardian (see ``guardian.py``) holds a pipe to this process. However this process ends, the guardian kills what is
left of the children and removes the directory. A plain ``os.fork()`` of this process without an exec would hold the
pipe open too and postpone that; starting programs, as everything here does, would not.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from jobctl.errors import JobctlError

__all__ = ["ProcessGroup", "keep_time", "log_lines"]

_GUARDIAN: Final = Path(__file__).with_name("guardian.py")
#: Longest path the directory may be made in: a unix socket's may have 103 bytes on macOS and 107 on Linux.
_LONGEST_PARENT: Final = 60
#: How long the children may take to end after SIGTERM before they are killed, seconds.
_PATIENCE_S: Final = 3.0
#: How long killed grandchildren may take to vanish, seconds; until they are reaped they hold nothing but their number.
_DYING_S: Final = 0.1
_LOOK_S: Final = 0.002
#: Niceness of a process that must be on time.
_PUNCTUAL: Final = -10


class ProcessGroup:
    """A guarded group of child processes with a private directory.

    Use it as a context manager. Grandchildren belong to the group too, unless they leave it on purpose.

    Attributes:
        directory: A directory of mode 0700 with a short path; it vanishes with the group.

    Raises:
        JobctlError: No directory can be made, or the guardian did not start.
    """

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []
        self._closed = False
        self._guardian = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_GUARDIAN), str(_short_parent() / "jobctl-")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
        )
        assert self._guardian.stdout is not None
        anchor, _, directory = os.fsdecode(self._guardian.stdout.readline().rstrip(b"\n")).partition("\t")
        if not directory:
            reason = self._guardian.communicate()[1].decode(errors="replace").strip().splitlines()
            raise JobctlError(f"the guardian process did not start: {reason[-1] if reason else 'it was killed'}")
        self._anchor = int(anchor)
        self.directory = Path(directory)

    def spawn(
        self,
        argv: Sequence[str],
        *,
        name: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdout: int | IO[Any] | None = subprocess.DEVNULL,
        stderr: int | IO[Any] | None = subprocess.DEVNULL,
        pass_fds: Sequence[int] = (),
    ) -> subprocess.Popen[bytes]:
        """Start a child inside the group, with nothing on its standard input.

        Args:
            argv: Program and arguments.
            name: What an error calls it; the program when None.
            env: Its whole environment; this process's own when None.
            cwd: Its working directory; this process's own when None.
            stdout: Where its output goes.
            stderr: Where its errors go.
            pass_fds: File descriptors it inherits.

        Raises:
            JobctlError: It cannot be started, or somebody ended the group.
        """
        try:
            process = subprocess.Popen(
                argv,
                env=env,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                pass_fds=pass_fds,
                process_group=self._anchor,
            )
        except OSError as error:
            raise JobctlError(f"{name or argv[0]} cannot be started: {error.strerror}") from error
        self._processes.append(process)
        return process

    def stop(self, process: subprocess.Popen[bytes], timeout_s: float = _PATIENCE_S) -> None:
        """End a child: SIGTERM, and SIGKILL when it has not ended in time. A frozen child is thawed to end by itself.

        Args:
            process: The child.
            timeout_s: Its time to end by itself.
        """
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGCONT)
            try:
                process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def close(self) -> None:
        """End every child, last started first, and remove the directory; returns when nothing is left.

        One after the other, because the later need the earlier: a worker takes itself off the books of a Redis that
        was started before it. All of them share one time limit. An interrupt (a second Ctrl-C) ends the courtesy, not
        the cleaning.
        """
        if self._closed:
            return
        self._closed = True
        deadline_s = time.monotonic() + _PATIENCE_S
        try:
            for process in reversed(self._processes):
                self.stop(process, max(0.0, deadline_s - time.monotonic()))
        finally:
            self._dismiss_guardian()
            for process in self._processes:
                process.wait()
            self._wait_until_empty()

    def _dismiss_guardian(self) -> None:
        """Let the guardian clean up and wait for its end; where somebody killed it, do its work."""
        self._guardian.communicate()  # closes its standard input, which is its sign
        if self._guardian.returncode != 0:
            with suppress(ProcessLookupError, PermissionError):  # the anchor may have been faster
                os.killpg(self._anchor, signal.SIGKILL)
            shutil.rmtree(self.directory, ignore_errors=True)

    def _wait_until_empty(self) -> None:
        """Wait for the ends of grandchildren, which nobody else does; as process 1 of a container, reap them too."""
        deadline_s = time.monotonic() + _DYING_S
        with suppress(ProcessLookupError, PermissionError):
            while time.monotonic() < deadline_s:
                with suppress(ChildProcessError):
                    os.waitpid(-self._anchor, os.WNOHANG)
                os.killpg(self._anchor, 0)
                time.sleep(_LOOK_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def keep_time() -> None:
    """Make this process punctual, as far as it is allowed.

    What is alive now is kept from the garbage collector, whose full collections take tens of milliseconds beside
    Locust, and the operating system prefers the process to the system under load.
    """
    gc.collect()
    gc.freeze()
    with suppress(PermissionError):  # only root may
        os.setpriority(os.PRIO_PROCESS, 0, _PUNCTUAL)


def log_lines(log: Path) -> list[str]:
    """What a child wrote to its log, without empty lines; at least one line, which says so where it wrote nothing."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines or ["it wrote nothing"]


def _short_parent() -> Path:
    """The first usable directory whose path is short enough for a socket below it."""
    for candidate in _parents():
        text = os.fsencode(candidate)
        is_plain = not any(chr(byte).isspace() for byte in text)  # Redis separates what it tells of a client by blanks
        if is_plain and len(text) <= _LONGEST_PARENT and os.access(candidate, os.W_OK | os.X_OK):
            return candidate
    raise JobctlError("no writable directory with a short path was found; set TMPDIR to one")


def _parents() -> Iterator[Path]:
    with suppress(FileNotFoundError):  # no temporary directory is usable
        yield Path(tempfile.gettempdir()).absolute()
    yield from (Path("/tmp"), Path(f"/run/user/{os.getuid()}"), Path("/var/tmp"), Path("/dev/shm"))
    with suppress(RuntimeError):  # no home directory is known
        yield Path.home()

"""The processes of a bench: embedded Redis, mock and workers, as far as nobody else runs them.

All of them belong to one guarded process group, so none outlives the bench however it ends. Each writes to a log file
in the group's private directory; the last lines of it are what an error quotes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.machinery import PathFinder
from pathlib import Path
from secrets import token_urlsafe
from typing import Final

from jobctl.adapters.mock_control import MockControl
from jobctl.adapters.processes import ProcessGroup, log_lines
from jobctl.core.usage import UsageReading
from jobctl.errors import JobctlError, ServiceUnavailable

__all__ = ["Rig", "has_module"]

#: How long a process may take to say that it is ready.
_READY_S: Final = 30.0
_LOOK_S: Final = 0.01
#: How long a worker may take to stop; its jobs have ended by then.
_STOP_S: Final = 5.0


def has_module(code: Path, function: str) -> bool:
    """Whether workers that run in a directory, as :meth:`Rig.renew_workers` has it, find a function's package there."""
    own = (path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and not os.path.isabs(path))
    roots = [str(code / part) for part in ("src", "", *own)]
    return PathFinder.find_spec(function.partition(".")[0], roots) is not None


@dataclass(frozen=True, slots=True)
class _Fleet:
    """How a worker is started.

    Attributes:
        arguments: Of ``jobctl``, without a name.
        names: What the workers' names begin with.
        env: Further variables.
        directory: Where it runs; None for here.
    """

    arguments: tuple[str, ...]
    names: str
    env: Mapping[str, str]
    directory: Path | None


class Rig:
    """Starts and stops a bench's processes, and breaks its workers on demand.

    Args:
        group: The guarded process group they join.
    """

    def __init__(self, group: ProcessGroup) -> None:
        self._group = group
        self._logs: dict[int, Path] = {}
        self._mock: subprocess.Popen[bytes] | None = None
        self._fleet: _Fleet | None = None
        self._first_fleet: _Fleet | None = None
        self._lives: dict[int, int] = {}
        self._killed: set[int] = set()
        self._spent_cpu_s = 0.0
        #: Held while a worker is killed or replaced: others may read the books meanwhile.
        self._changing = threading.Lock()
        self.workers: list[subprocess.Popen[bytes]] = []
        #: Imposes faults on the mock; None until there is one.
        self.mock: MockControl | None = None

    def start_mock(self, options: Sequence[str], secret_variable: str) -> str:
        """Start a mock OpenRouter on a free port.

        Args:
            options: Of ``jobctl mock``.
            secret_variable: In which it is given the secret by which faults are imposed on it.

        Returns:
            Its base URL.

        Raises:
            ServiceUnavailable: It did not start; its own message says why.
        """
        secret = token_urlsafe()
        mock = self._launch("mock", ["mock", "--port", "0", *options], {secret_variable: secret})
        url = next(word for word in self._ready_line(mock, "listening on").split() if word.startswith("http://"))
        self._mock, self.mock = mock, MockControl(url, secret)
        return url

    def start_workers(
        self,
        replicas: int,
        concurrency: int,
        queues: Sequence[str],
        redis_url: str,
        env: Mapping[str, str],
        *,
        secluded: bool = False,
    ) -> None:
        """Start workers and wait until all of them listen.

        Args:
            replicas: How many.
            concurrency: Slots of each.
            queues: The queues they listen to, the most urgent first.
            redis_url: Where it is; it travels in the environment, for it may hold a password.
            env: Further variables for them.
            secluded: Whether they run where no ``jobctl.toml`` is, and so cannot import what is here.

        Raises:
            ServiceUnavailable: One did not start.
        """
        self._fleet = self._first_fleet = _Fleet(
            arguments=("work", "--queues", ",".join(queues), "--concurrency", str(concurrency)),
            names=queues[0],
            env={**env, "REDIS_URL": redis_url},
            directory=self._group.directory if secluded else None,
        )
        self.workers = [self._launch_worker(self._fleet, number) for number in range(1, replicas + 1)]
        for worker in self.workers:
            self._ready_line(worker, "listening on")

    def renew_workers(self, code: Path | None = None) -> None:
        """Stop the workers and start as many afresh.

        Args:
            code: A directory to run in, whose modules and those of its ``src`` come before all others; None for where
                the first ones ran.

        Raises:
            ServiceUnavailable: One did not start.
        """
        assert self._first_fleet is not None, "no workers were started"
        self.stop_workers()
        self._fleet = self._first_fleet
        if code is not None:
            path = os.pathsep.join(filter(None, [str(code / "src"), str(code), os.environ.get("PYTHONPATH")]))
            self._fleet = replace(self._fleet, env={**self._fleet.env, "PYTHONPATH": path}, directory=code)
        self.workers = [self._launch_worker(self._fleet, number) for number in range(1, len(self.workers) + 1)]
        for worker in self.workers:
            self._ready_line(worker, "listening on")

    def ended_parts(self) -> list[str]:
        """What became of the workers and the mock that ended although nobody told them to."""
        parts = {f"worker {number}": one for number, one in enumerate(self.workers, 1) if number not in self._killed}
        if self._mock is not None:
            parts["the mock"] = self._mock
        return [
            f"{name} (pid {part.pid}) ended with status {part.returncode}"
            for name, part in parts.items()
            if part.poll() is not None
        ]

    def read_usage(self) -> UsageReading | None:
        """What the workers have used so far; None without workers of ours, or where the system does not tell.

        Those that were killed on purpose count with what they had used until then.
        """
        with self._changing:
            alive = [worker for number, worker in enumerate(self.workers, 1) if number not in self._killed]
            try:
                used = [_process_usage(worker.pid) for worker in alive]
            except (OSError, ValueError, IndexError):  # one has ended, or there is no /proc
                return None
            spent_cpu_s, workers = self._spent_cpu_s, len(self.workers)
        if not used:
            return None
        cpu_s, memory_bytes = zip(*used, strict=True)
        return UsageReading(time.time(), spent_cpu_s + sum(cpu_s), max(memory_bytes), workers)

    def kill(self, number: int) -> str:
        """Kill a worker without a word, as a system does that runs out of memory.

        Args:
            number: Which one, from 1; likewise below.

        Returns:
            What was done.

        Raises:
            JobctlError: It had ended already; likewise below.
        """
        worker = self._living(number)
        with self._changing:
            with suppress(OSError, ValueError, IndexError):  # there is no /proc: then nothing is read at all
                self._spent_cpu_s += _process_usage(worker.pid)[0]
            self._killed.add(number)
            worker.kill()
            worker.wait()
        return f"worker {number} (pid {worker.pid}) killed"

    def restart(self, number: int) -> str:
        """Start a worker that was killed again, as a platform does, and do not wait until it listens."""
        if self._fleet is None or number not in self._killed:
            raise JobctlError(f"worker {number} was not killed")
        with self._changing:
            worker = self.workers[number - 1] = self._launch_worker(self._fleet, number)
            self._killed.discard(number)
        return f"started again (pid {worker.pid})"

    def freeze(self, number: int) -> str:
        """Stop a worker where it stands."""
        worker = self._living(number)
        worker.send_signal(signal.SIGSTOP)
        return f"worker {number} (pid {worker.pid}) frozen"

    def thaw(self, number: int) -> None:
        """Let a worker go on, if it is still there."""
        self.workers[number - 1].send_signal(signal.SIGCONT)

    def revive(self) -> None:
        """Start the workers again that were killed and stayed dead, and wait until they listen."""
        killed = sorted(self._killed)
        for number in killed:
            self.restart(number)
        for number in killed:
            self._ready_line(self.workers[number - 1], "listening on")

    def _living(self, number: int) -> subprocess.Popen[bytes]:
        worker = self.workers[number - 1]
        if worker.poll() is not None:
            raise JobctlError(f"worker {number} (pid {worker.pid}) had ended before")
        return worker

    def stop_workers(self) -> None:
        """Stop the workers, all at the same time, so that each can take itself off Redis' books."""
        for worker in self.workers:
            if worker.poll() is None:
                worker.terminate()
        for worker in self.workers:
            self._group.stop(worker, timeout_s=_STOP_S)

    def _launch_worker(self, fleet: _Fleet, number: int) -> subprocess.Popen[bytes]:
        """Start a worker. Its name is a fresh one each time: that of a killed worker is taken for alive for a while."""
        life = self._lives[number] = self._lives.get(number, 0) + 1
        name = f"worker-{number}" if life == 1 else f"worker-{number}-{life}"
        arguments = [*fleet.arguments, "--name", f"{fleet.names}-{name}"]
        return self._launch(name, arguments, fleet.env, fleet.directory)

    def _launch(
        self, name: str, arguments: Sequence[str], env: Mapping[str, str], directory: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start ``jobctl ARGUMENTS`` without waiting, here or in a directory; no secret may be among them."""
        log = self._group.directory / f"{name}.log"
        with log.open("wb") as stream:
            process = self._group.spawn(
                [sys.executable, "-P", "-m", "jobctl", *arguments],  # -P: a stat.py in this directory is not Python's
                env={**os.environ, **env},
                cwd=directory,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        self._logs[process.pid] = log
        return process

    def _ready_line(self, process: subprocess.Popen[bytes], marker: str) -> str:
        """Wait for the line by which a process says that it is ready."""
        log = self._logs[process.pid]
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            ended = process.poll() is not None
            for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
                if marker in line:
                    return line
            if ended:
                raise ServiceUnavailable(log.stem, f"ended with status {process.returncode}", log_lines(log)[-1])
            time.sleep(_LOOK_S)
        raise ServiceUnavailable(log.stem, f"was not ready within {_READY_S:g} s", "is the machine overloaded?")


def _process_usage(pid: int) -> tuple[float, int]:
    """CPU seconds of a process since it began, its own and the kernel's on its behalf, and its resident memory, bytes.

    Raises:
        OSError: It has ended, or the system keeps no such books; likewise the others.
        ValueError: The books are not Linux's.
        IndexError: Likewise.
    """
    # proc(5): the name in parentheses may hold anything; fields 14 and 15 of the line are utime and stime.
    after_name = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    resident_pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    ticks = int(after_name[11]) + int(after_name[12])
    return ticks / os.sysconf("SC_CLK_TCK"), resident_pages * os.sysconf("SC_PAGE_SIZE")

"""The processes of a bench: embedded Redis, mock, workers and the load generator, as far as nobody else runs them.

All of them belong to one guarded process group, so none outlives the bench however it ends. Each writes to a log file
in the group's private directory; the last lines of it are what an error quotes.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from jobctl.adapters.processes import ProcessGroup
from jobctl.core.usage import UsageReading
from jobctl.errors import JobctlError, RunFailed, ServiceUnavailable

__all__ = ["LoadProcess", "Rig"]

#: How long a process may take to say that it is ready.
_READY_S: Final = 30.0
_LOOK_S: Final = 0.01
#: How long the load generator may say nothing; a frozen Redis silences it.
_SILENCE_S: Final = 60.0
_CHUNK: Final = 1 << 16
#: How long a worker may take to stop; its jobs have ended by then.
_STOP_S: Final = 5.0


class Rig:
    """Starts and stops a bench's processes.

    Args:
        group: The guarded process group they join.
    """

    def __init__(self, group: ProcessGroup) -> None:
        self._group = group
        self._logs: dict[int, Path] = {}
        self.workers: list[subprocess.Popen[bytes]] = []

    def start_mock(self, options: Sequence[str]) -> str:
        """Start a mock OpenRouter on a free port.

        Returns:
            Its base URL.

        Raises:
            ServiceUnavailable: It did not start; its own message says why.
        """
        mock = self._launch("mock", ["mock", "--port", "0", *options], {})
        return next(word for word in self._ready_line(mock, "listening on").split() if word.startswith("http://"))

    def start_workers(
        self,
        replicas: int,
        concurrency: int,
        queue: str,
        redis_url: str,
        env: Mapping[str, str],
        *,
        secluded: bool = False,
    ) -> None:
        """Start workers and wait until all of them listen.

        Args:
            replicas: How many.
            concurrency: Slots of each.
            queue: The queue they listen to.
            redis_url: Where it is; it travels in the environment, for it may hold a password.
            env: Further variables for them.
            secluded: Whether they run where no ``jobctl.toml`` is, and so cannot import what is here.

        Raises:
            ServiceUnavailable: One did not start.
        """
        directory = self._group.directory if secluded else None
        arguments = ["work", "--queues", queue, "--concurrency", str(concurrency)]
        self.workers = [
            self._launch(
                f"worker-{number}",
                [*arguments, "--name", f"{queue}-worker-{number}"],
                {**env, "REDIS_URL": redis_url},
                directory,
            )
            for number in range(1, replicas + 1)
        ]
        for worker in self.workers:
            self._ready_line(worker, "listening on")

    def ended_workers(self) -> list[str]:
        """What became of workers that ended although nobody told them to."""
        return [
            f"worker {number} (pid {worker.pid}) ended with status {worker.returncode}"
            for number, worker in enumerate(self.workers, 1)
            if worker.poll() is not None
        ]

    def read_usage(self) -> UsageReading | None:
        """What the workers have used so far; None without workers of ours, or where the system does not tell."""
        try:
            used = [_process_usage(worker.pid) for worker in self.workers]
        except (OSError, ValueError, IndexError):  # one has ended, or there is no /proc
            return None
        if not used:
            return None
        cpu_s, memory_bytes = zip(*used, strict=True)
        return UsageReading(time.time(), sum(cpu_s), max(memory_bytes), len(used))

    def stop_workers(self) -> None:
        """Stop the workers, all at the same time, so that each can take itself off Redis' books."""
        for worker in self.workers:
            if worker.poll() is None:
                worker.terminate()
        for worker in self.workers:
            self._group.stop(worker, timeout_s=_STOP_S)

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
                raise ServiceUnavailable(log.stem, f"ended with status {process.returncode}", _last_line(log))
            time.sleep(_LOOK_S)
        raise ServiceUnavailable(log.stem, f"was not ready within {_READY_S:g} s", "is the machine overloaded?")


class LoadProcess:
    """The load generator: Locust in a process of its own, heard through a pipe.

    It runs in the group's private directory, with that as its home and without Locust's environment variables, because
    Locust's own settings (tags, more processes, files to write) would change what is measured.

    Args:
        group: The guarded process group it joins.
        locustfile: What Locust runs; an absolute path.
        spec: The load, as JSON.
        redis_url: Where jobs go.
    """

    def __init__(self, group: ProcessGroup, locustfile: Path, spec: str, redis_url: str) -> None:
        self._group = group
        name = f"load-{uuid4().hex[:8]}"
        self._log = group.directory / f"{name}.log"
        self._is_ready = False
        load = group.directory / f"{name}.json"
        load.write_text(spec, encoding="utf-8")
        reader, writer = os.pipe()
        try:
            with self._log.open("wb") as stream:
                self._process = group.spawn(
                    [sys.executable, "-m", "locust", "-f", str(locustfile), "--headless", "--only-summary"],
                    name="load generator",
                    env={
                        **{name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")},
                        "HOME": str(group.directory),
                        "JOBCTL_EVENTS_FD": str(writer),
                        "JOBCTL_LOAD_SPEC": str(load),
                        "PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), os.getcwd()])),
                        "REDIS_URL": redis_url,
                    },
                    cwd=group.directory,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    pass_fds=(writer,),
                )
        finally:
            os.close(writer)
        self._events = reader

    def events(self) -> Iterator[dict[str, Any]]:
        """What the generator says, message by message, until it ends.

        Raises:
            RunFailed: It has said nothing for long; it speaks about once a second while it is well.
        """
        buffer = b""
        while True:
            if not select.select([self._events], [], [], _SILENCE_S)[0]:
                raise RunFailed(f"the load generator said nothing for {_SILENCE_S:g} s; does Redis still answer?")
            chunk = os.read(self._events, _CHUNK)
            if not chunk:
                return
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in lines:
                self._is_ready = True
                yield json.loads(line)

    def interrupt(self) -> None:
        """Ask it to stop sending, count and end; its last messages still arrive."""
        self._process.terminate()

    def failure(self) -> JobctlError:
        """Why it ended without a result: a run that failed, or, when it never began, a locustfile that cannot run."""
        status = self._process.wait()
        if self._is_ready:
            return RunFailed(f"the load generator ended with status {status} in the middle of the run")
        return ServiceUnavailable(
            "load generator", f"ended early: {_telling_line(self._log)}", "give --locustfile another file or mend it"
        )

    def close(self) -> None:
        """End it if it still runs."""
        self._group.stop(self._process, timeout_s=2.0)
        os.close(self._events)


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


def _last_line(log: Path) -> str:
    return _lines(log)[-1]


def _telling_line(log: Path) -> str:
    """The last line that tells of an error; Locust prints its tables after it."""
    lines = _lines(log)
    return next((line for line in reversed(lines) if "Error" in line or "ERROR" in line), lines[-1])


def _lines(log: Path) -> list[str]:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines or ["it wrote nothing"]

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

from jobctl.adapters.processes import ProcessGroup
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
        self, replicas: int, concurrency: int, queue: str, redis_url: str, env: Mapping[str, str]
    ) -> None:
        """Start workers and wait until all of them listen.

        Args:
            replicas: How many.
            concurrency: Slots of each.
            queue: The queue they listen to.
            redis_url: Where it is; it travels in the environment, for it may hold a password.
            env: Further variables for them.

        Raises:
            ServiceUnavailable: One did not start.
        """
        arguments = ["work", "--queues", queue, "--concurrency", str(concurrency)]
        self.workers = [
            self._launch(
                f"worker-{number}", [*arguments, "--name", f"{queue}-worker-{number}"], {"REDIS_URL": redis_url, **env}
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

    def stop_workers(self) -> None:
        """Stop the workers, all at the same time, so that each can take itself off Redis' books."""
        for worker in self.workers:
            if worker.poll() is None:
                worker.terminate()
        for worker in self.workers:
            self._group.stop(worker, timeout_s=_STOP_S)

    def _launch(self, name: str, arguments: Sequence[str], env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start ``jobctl ARGUMENTS`` without waiting; no secret may be among them."""
        log = self._group.directory / f"{name}.log"
        with log.open("wb") as stream:
            process = self._group.spawn(
                [sys.executable, "-P", "-m", "jobctl", *arguments],  # -P: a stat.py in this directory is not Python's
                env={**os.environ, **env},
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
        self._log = group.directory / "load.log"
        self._is_ready = False
        load = group.directory / "load.json"
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


def _last_line(log: Path) -> str:
    return _lines(log)[-1]


def _telling_line(log: Path) -> str:
    """The last line that tells of an error; Locust prints its tables after it."""
    lines = _lines(log)
    return next((line for line in reversed(lines) if "Error" in line or "ERROR" in line), lines[-1])


def _lines(log: Path) -> list[str]:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines or ["it wrote nothing"]

"""Real benches in processes of their own, watched from outside."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil


def environment(directory: Path, **more: str) -> dict[str, str]:
    """The environment without our variables, and with a temporary directory that tells what is left behind."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("REDIS_", "JOB_", "OPENROUTER_"))}
    place = directory / "t"
    place.mkdir(exist_ok=True)
    return {**kept, "TMPDIR": str(place), **more}


class Bench:
    """A running ``jobctl bench``."""

    def __init__(
        self, words: tuple[str, ...], directory: Path, command: tuple[str, ...] = ("-m", "jobctl", "bench"), **env: str
    ) -> None:
        self.directory = directory
        self._lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, *command, *words],
            cwd=directory,
            env=environment(directory, **env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            for line in self.process.stdout:
                self._lines.append(line)

    @property
    def output(self) -> str:
        """What it printed so far."""
        return "".join(self._lines)

    def wait_for(self, pattern: str, timeout_s: float = 30.0) -> re.Match[str]:
        """Wait until it printed something."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            found = re.search(pattern, self.output)
            if found:
                return found
            if self.process.poll() is not None:
                self._reader.join(5)
                found = re.search(pattern, self.output)
                if found:
                    return found
                break
            time.sleep(0.02)
        raise AssertionError(f"{pattern!r} never came; status {self.process.poll()}, output:\n{self.output}")

    def worker_pids(self) -> list[int]:
        """Its workers."""
        return [int(pid) for pid in self.wait_for(r"\(pid ([\d, ]+)\)")[1].split(", ")]

    def redis_url(self) -> str:
        """Its Redis."""
        return self.wait_for(r"Redis (\w+://[^;\s]+)")[1]

    def finish(self, timeout_s: float = 60.0) -> int:
        """Wait for its end; its exit code."""
        status = self.process.wait(timeout_s)
        self._reader.join(5)
        return status

    def left_behind(self, patience_s: float = 5.0) -> list[str]:
        """Processes and files that its end did not remove."""
        deadline_s = time.monotonic() + patience_s
        while (left := [*self._processes(), *self._files()]) and time.monotonic() < deadline_s:
            time.sleep(0.05)
        return left

    def _files(self) -> list[str]:
        return [str(path) for path in (self.directory / "t").iterdir()]

    def _processes(self) -> Iterator[str]:
        place = str(self.directory / "t")
        for process in psutil.process_iter():
            try:
                if process.status() != psutil.STATUS_ZOMBIE and process.environ().get("TMPDIR") == place:
                    yield f"{process.pid} {process.cmdline()}"
            except psutil.Error:
                continue


@contextmanager
def started(*words: str, directory: Path, **more: Any) -> Iterator[Bench]:
    """A bench that is ended with the block, however that ends."""
    bench = Bench(words, directory, **more)
    try:
        yield bench
    finally:
        if bench.process.poll() is None:
            bench.process.send_signal(signal.SIGKILL)
        bench.finish()


def run(*words: str, directory: Path, **more: Any) -> tuple[int, Mapping[str, Any], Bench]:
    """A whole bench: its exit code, its document and what it printed."""
    with started(*words, "--json", "r.json", directory=directory, **more) as bench:
        status = bench.finish()
    path = directory / "r.json"
    return status, json.loads(path.read_text()) if path.exists() else {}, bench

"""The bench at full length on real parts: an honest schedule, complete books, the truth about a fleet that froze."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobctl.core.arrivals import Arrivals, Stage, digest, make_schedule
from jobctl.core.units import SECONDS_PER_DAY


@dataclass
class Run:
    """A bench in a process of its own, and after it has ended what it wrote."""

    process: psutil.Popen
    started: float
    target: Path

    def processes(self, verb: str) -> list[psutil.Process]:
        """Its processes that run one verb of jobctl."""
        return [child for child in self.process.children(recursive=True) if verb in child.cmdline()]

    def log(self) -> str:
        """What it has said so far."""
        return self.target.with_suffix(".log").read_text(encoding="utf-8")

    def end(self) -> tuple[float, dict[str, Any]]:
        """Wait for it; returns how long it took and its document."""
        code = self.process.wait(120)
        assert code == 0, self.log()
        return time.monotonic() - self.started, json.loads(self.target.read_text(encoding="utf-8"))


@contextmanager
def bench(directory: Path, *arguments: str) -> Iterator[Run]:
    """Start a bench; it does not outlive the block."""
    target = directory / "result.json"
    command = [sys.executable, "-m", "jobctl", "bench", *arguments, "--json", str(target)]
    with target.with_suffix(".log").open("w", encoding="utf-8") as log:
        started = time.monotonic()
        process = psutil.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield Run(process, started, target)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def books_balance(document: dict[str, Any]) -> None:
    """Nothing dropped, lost or done twice."""
    jobs = document["jobs"]
    assert jobs["scheduled"] == jobs["enqueued"] == jobs["finished"]
    assert (jobs["rejected"], jobs["failed"], jobs["in_flight"], jobs["lost"], jobs["duplicated"]) == (0, 0, 0, 0, 0)
    assert document["offered"]["dropped"] == 0


@pytest.mark.parametrize("seed", [1, 20])
def test_450_000_jobs_a_day_arrive_on_schedule_and_all_are_done(tmp_path: Path, seed: int) -> None:
    with bench(tmp_path, "--per-day", "450000", "--duration", "30s", "--seed", str(seed)) as run:
        took_s, document = run.end()
    schedule = make_schedule(Arrivals.POISSON, [Stage.steady(450_000 / SECONDS_PER_DAY, 30)], seed)
    assert document["config"]["schedule_digest"] == digest(schedule)
    assert document["jobs"]["scheduled"] == len(schedule)
    books_balance(document)
    assert document["offered"]["schedule_lag_s"]["p99"] < 0.010
    assert document["achieved"]["rate_per_s"] == pytest.approx(document["offered"]["rate_per_s"])
    assert took_s <= 30 + 8


def test_200_jobs_a_second_are_all_done(tmp_path: Path) -> None:
    load = ("--rate", "200", "--duration", "20s", "--job", "sleep", "--service-time", "100ms", "--replicas", "2")
    with bench(tmp_path, *load) as run:
        _, document = run.end()
    books_balance(document)
    assert document["jobs"]["scheduled"] > 3_500
    assert document["offered"]["schedule_lag_s"]["p99"] < 0.020


def test_a_fleet_frozen_for_five_seconds_shows_in_the_sojourn_and_not_in_the_offer(tmp_path: Path) -> None:
    """At 5.208 jobs/s five seconds are 26 arrivals, more or less 5."""
    with bench(tmp_path, "--rate", "5.208", "--duration", "30s", "--replicas", "2") as run:
        time.sleep(15)
        workers = run.processes("work")
        assert len(workers) >= 2, run.log()
        for worker in workers:
            worker.send_signal(signal.SIGSTOP)
        try:
            time.sleep(5)
        finally:
            for worker in workers:
                worker.send_signal(signal.SIGCONT)
        _, document = run.end()
    books_balance(document)
    assert document["offered"]["schedule_lag_s"]["p99"] < 0.010
    assert document["signals"]["sojourn"]["max"] >= 5 - 1 / 5.208
    assert 11 <= document["backlog"]["max"] <= 41

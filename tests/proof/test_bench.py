"""The bench at full length on real parts: an honest schedule, complete books, the truth about a fleet that froze."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from jobctl.core.arrivals import POISSON, Stage, digest, make_schedule
from jobctl.core.units import SECONDS_PER_DAY
from support.benches import Bench, run, started

Figure = Callable[[str, str, str], None]


def books_balance(document: Mapping[str, Any]) -> None:
    """Nothing dropped, lost or done twice."""
    jobs = document["jobs"]
    assert jobs["scheduled"] == jobs["enqueued"] == jobs["finished"]
    assert (jobs["rejected"], jobs["failed"], jobs["in_flight"], jobs["lost"], jobs["duplicated"]) == (0, 0, 0, 0, 0)
    assert document["offered"]["dropped"] == 0


def lag_p99_s(document: Mapping[str, Any]) -> float:
    return float(document["offered"]["schedule_lag_s"]["p99"])


@pytest.mark.parametrize("seed", [1, 20])
def test_450_000_jobs_a_day_arrive_on_schedule_and_all_are_done(tmp_path: Path, seed: int, figure: Figure) -> None:
    began_s = time.monotonic()
    status, document, bench = run("--per-day", "450000", "--duration", "30s", "--seed", str(seed), directory=tmp_path)
    took_s = time.monotonic() - began_s
    figure(
        f"450,000 jobs a day for 30 s, seed {seed}: schedule lag p99", f"{lag_p99_s(document) * 1000:.1f} ms", "< 10 ms"
    )
    figure(f"450,000 jobs a day for 30 s, seed {seed}: the whole command", f"{took_s:.1f} s", "<= 38 s")

    assert status == 0, bench.output
    schedule = make_schedule(POISSON, [Stage.steady(450_000 / SECONDS_PER_DAY, 30)], seed)
    assert document["config"]["schedule_digest"] == digest(schedule)
    assert document["jobs"]["scheduled"] == len(schedule)
    books_balance(document)
    assert lag_p99_s(document) < 0.010
    assert document["achieved"]["rate_per_s"] == document["offered"]["rate_per_s"]
    assert took_s <= 30 + 8
    assert bench.left_behind() == []


def test_200_jobs_a_second_are_all_done(tmp_path: Path, figure: Figure) -> None:
    status, document, bench = run(
        *("--rate", "200", "--duration", "20s", "--job", "sleep", "--service-time", "100ms", "--replicas", "2"),
        directory=tmp_path,
    )
    wait = document["signals"]["wait"]
    figure("200 jobs/s for 20 s: schedule lag p99", f"{lag_p99_s(document) * 1000:.1f} ms", "< 20 ms")
    figure("200 jobs/s for 20 s: wait p99", f"{wait['p99'] * 1000:.1f} ms", "")

    assert status == 0, bench.output
    books_balance(document)
    assert document["jobs"]["scheduled"] > 3_500
    assert lag_p99_s(document) < 0.020


def freeze(bench: Bench, seconds: float) -> None:
    """Stop every worker of a bench for a while."""
    pids = bench.worker_pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(seconds)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize(("frozen_s", "expected_backlog"), [(5.0, 26), (20.0, 104)], ids=["5 seconds", "20 seconds"])
def test_a_frozen_fleet_shows_in_the_sojourn_and_not_in_the_offer(
    tmp_path: Path, frozen_s: float, expected_backlog: int, figure: Figure
) -> None:
    """At 5.208 jobs/s so many arrive in that time, give or take three standard deviations of a Poisson count."""
    load = ("--rate", "5.208", "--duration", f"{frozen_s + 25:g}s", "--replicas", "2", "--json", "r.json")
    with started(*load, directory=tmp_path) as bench:
        bench.wait_for(r"sent \d")
        time.sleep(10)
        freeze(bench, frozen_s)
        bench.finish(120)

    document = json.loads((tmp_path / "r.json").read_text())
    sojourn_s, backlog = document["signals"]["sojourn"]["max"], document["backlog"]["max"]
    figure(
        f"every worker frozen for {frozen_s:g} s at 5.208 jobs/s: longest sojourn",
        f"{sojourn_s:.1f} s",
        f">= {frozen_s:g} s",
    )
    figure(f"every worker frozen for {frozen_s:g} s at 5.208 jobs/s: backlog", str(backlog), f"near {expected_backlog}")
    books_balance(document)
    assert lag_p99_s(document) < 0.010
    assert sojourn_s >= frozen_s - 1 / 5.208
    assert abs(backlog - expected_backlog) <= 3 * expected_backlog**0.5

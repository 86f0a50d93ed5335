"""Faults on a timetable at full length: what a sceptic would do to a fleet, and what the bench says of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jobctl.core.units import SECONDS_PER_DAY
from support.benches import Bench, started

Figure = Callable[[str, str, str], None]

RATE_PER_S = 450_000 / SECONDS_PER_DAY
#: Where the generator's lateness is not the subject it may be late.
LATE = ("--max-schedule-lag", "2s")


def play(*words: str, directory: Path, **env: str) -> tuple[int, Mapping[str, Any], Bench]:
    """A bench of some minutes: its exit code, its document and what it printed."""
    with started(*words, "--json", "r.json", directory=directory, **env) as bench:
        status = bench.finish(300)
    return status, json.loads((directory / "r.json").read_text()), bench


def nothing_lost(document: Mapping[str, Any]) -> None:
    jobs = document["jobs"]
    assert jobs["scheduled"] == jobs["enqueued"] == jobs["finished"] + jobs["failed"]
    assert (jobs["rejected"], jobs["in_flight"], jobs["lost"]) == (0, 0, 0)
    assert document["offered"]["dropped"] == 0


def test_a_fleet_that_stands_still_for_20_seconds_of_60(tmp_path: Path, figure: Figure) -> None:
    """Of the 54 s of the window 20 are the stall: jobs that arrive in it wait for its rest, evenly from 20 s to 0.

    Jobs of the second before were in service and take 20 s longer. So the sojourn exceeds x for a share of
    (20 - x + 1) / 54, and its p95 is near 21 - 0.05 x 54 = 18.3 s.
    """
    status, document, bench = play("--scenario", "chaos-frozen-fleet", directory=tmp_path)
    sojourn, backlog = document["signals"]["sojourn"], document["backlog"]["max"]
    lag_s = document["offered"]["schedule_lag_s"]["p99"]
    expected = RATE_PER_S * 20
    figure("every worker frozen for 20 s of 60 by --chaos: sojourn p95", f"{sojourn['p95']:.1f} s", "near 18 s")
    figure("the same: backlog at most", str(backlog), f"near {expected:.0f}")
    figure("the same: schedule lag p99", f"{lag_s * 1000:.1f} ms", "< 50 ms")

    nothing_lost(document)
    assert status == 0, bench.output
    assert document["jobs"]["failed"] == 0
    assert lag_s < 0.050
    assert 15 <= sojourn["p95"] <= 20.5
    assert sojourn["max"] >= 20 - 3 / RATE_PER_S
    assert abs(backlog - expected) <= 3 * expected**0.5


def test_a_worker_that_is_killed_amid_its_jobs(tmp_path: Path, figure: Figure) -> None:
    """40 jobs/s of 1 s are 40 in service on two workers, some 20 of them on the one that is killed."""
    status, document, bench = play(
        *("--rate", "40", "--duration", "60s", "--job", "sleep", "--service-time", "1s", "--concurrency", "40"),
        *("--chaos", "replica_killed:2@20s+5s", *LATE),
        directory=tmp_path,
        JOB_RECOVER_AFTER="10s",
    )
    jobs, longest_s = document["jobs"], document["signals"]["sojourn"]["max"]
    figure("a worker killed amid 20 jobs: jobs that ran again", str(jobs["retried"]), "1 to 40, none lost")
    figure("the same: longest sojourn, with 10 s of recovery", f"{longest_s:.1f} s", "<= 13 s")

    nothing_lost(document)
    assert status == 0, bench.output
    assert 1 <= jobs["retried"] <= 40
    assert jobs["failed"] == 0
    assert longest_s <= 10 + 3


def test_an_upstream_that_is_away_for_10_seconds(tmp_path: Path, figure: Figure) -> None:
    """Jobs of the outage run again until they succeed; with ten attempts none is given up."""
    status, document, bench = play(
        *("--per-day", "450000", "--duration", "2m", "--attempts", "10", "--chaos", "mock_outage@20s+10s", *LATE),
        directory=tmp_path,
    )
    jobs = document["jobs"]
    figure("the mock away for 10 s of 120 at 5.2 jobs/s: jobs that ran again", str(jobs["retried"]), "> 20, none lost")
    figure("the same: jobs that failed for good", str(jobs["failed"]), "0")

    nothing_lost(document)
    assert status == 0, bench.output
    assert jobs["retried"] > 20
    assert jobs["failed"] == 0


def test_a_storm_of_429_spends_no_attempt(tmp_path: Path, figure: Figure) -> None:
    status, document, bench = play(
        *("--per-day", "450000", "--duration", "60s", "--chaos", "rate_limited@15s+15s", *LATE), directory=tmp_path
    )
    jobs = document["jobs"]
    figure("15 s of 429 at 5.2 jobs/s: attempts spent by it", str(jobs["failed_attempts"]), "0")

    nothing_lost(document)
    if status:  # the limiter has its rate back after a minute or more, which may be later than the load ends
        assert status == 99, bench.output
        assert [reason for reason in document["reasons"] if "grew after the last fault" not in reason] == []
    assert jobs["failed_attempts"] == jobs["failed"] == 0


def test_a_redis_that_stands_still_is_seen_as_lag_of_the_generator(tmp_path: Path, figure: Figure) -> None:
    status, document, bench = play(
        *("--rate", "50", "--duration", "30s", "--job", "noop", "--chaos", "redis_stalled@10s+5s"), directory=tmp_path
    )
    lag_s, sojourn_s = document["offered"]["schedule_lag_s"]["max"], document["signals"]["sojourn"]["max"]
    figure("Redis stopped for 5 s: longest schedule lag, and the verdict", f"{lag_s:.1f} s, exit {status}", "5 s, 97")

    nothing_lost(document)
    assert status == 97, bench.output
    assert lag_s >= 4.5
    assert sojourn_s >= 4.5

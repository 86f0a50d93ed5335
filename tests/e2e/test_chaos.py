"""Faults on a timetable, on real parts: scaled twins of the proofs of the same name."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from support.benches import run

#: A busy machine wakes the generator late; where lateness is not the subject it may be.
LATE = ("--max-schedule-lag", "5s")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def retries_of(jobs: list[dict[str, str]], start_s: float, end_s: float) -> list[int]:
    """How often the jobs that arrived between two instants of the schedule ran again."""
    return [int(job["retries"]) for job in jobs if start_s <= float(job["intended_s"]) < end_s]


def books_are_clean(document: dict[str, Any]) -> None:
    jobs = document["jobs"]
    assert jobs["scheduled"] == jobs["enqueued"] == jobs["finished"]
    assert (jobs["lost"], jobs["failed"], jobs["in_flight"], jobs["rejected"]) == (0, 0, 0, 0)


def test_frozen_workers_delay_jobs_and_not_the_load(tmp_path: Path) -> None:
    """20 jobs/s while every worker is frozen for 2 s: 40 jobs wait, the schedule does not notice, nothing is lost."""
    _, document, bench = run(
        *("--rate", "20", "--duration", "6s", "--warmup", "0", "--arrivals", "constant"),
        *("--job", "sleep", "--service-time", "20ms", "--chaos", "replica_frozen:all@2s+2s"),
        directory=tmp_path,
    )

    books_are_clean(document)
    assert document["jobs"]["scheduled"] == 120
    assert document["offered"]["schedule_lag_s"]["p99"] < 1.5  # were the load frozen too, it would be 1.9 s
    (fault,) = document["faults"]
    frozen_s = fault["until_s"] - fault["at_s"]
    assert frozen_s >= 1.9
    assert document["signals"]["sojourn"]["max"] >= frozen_s - 0.1
    assert document["signals"]["sojourn"]["p95"] >= 0.75 * frozen_s  # of 120 jobs 40 wait, the 6th longest for 1.7 s
    late_s = document["offered"]["schedule_lag_s"]["max"]  # a job that the machine sent late waits from then on
    assert 20 * (frozen_s - late_s) - 10 <= document["backlog"]["max"] <= 80
    assert document["verdict"] != "broken", bench.output
    assert "replica_frozen from" in bench.output
    assert bench.left_behind() == []


def test_a_killed_worker_and_an_upstream_that_is_away_make_jobs_run_again_and_lose_none(tmp_path: Path) -> None:
    """Every call fails for a second; later the only worker is killed amid its jobs and started again."""
    _, document, bench = run(
        *("--rate", "6", "--duration", "7s", "--warmup", "0", "--arrivals", "constant", "--records", "r.csv"),
        *("--latency", "constant:500ms", "--replicas", "1", *LATE),
        *("--attempts", "20", "--retry-base", "500ms", "--retry-cap", "1s"),
        *("--chaos", "mock_outage@1s+1s", "--chaos", "replica_killed@4500ms+500ms"),
        directory=tmp_path,
        JOB_RECOVER_AFTER="2s",
    )

    books_are_clean(document)
    outage, killed = document["faults"]
    assert [outage["kind"], killed["kind"]] == ["mock_outage", "replica_killed"]
    assert "started again" in killed["what"]
    jobs = rows(tmp_path / "r.csv")
    assert max(retries_of(jobs, killed["at_s"] - 0.5, killed["at_s"])) >= 1
    assert max(retries_of(jobs, outage["at_s"], outage["until_s"])) >= 1
    assert not any("ended with status" in reason for reason in document["reasons"])
    assert bench.left_behind() == []


def test_a_stalled_redis_delays_the_generator_and_makes_the_run_inconclusive(tmp_path: Path) -> None:
    status, document, bench = run(
        *("--rate", "20", "--duration", "4s", "--warmup", "0", "--job", "noop"),
        *("--chaos", "redis_stalled@1s+1s"),
        directory=tmp_path,
    )

    assert status == 97, bench.output
    books_are_clean(document)
    assert "fell behind" in " ".join(document["reasons"])
    assert document["offered"]["schedule_lag_s"]["max"] >= 0.8
    assert document["signals"]["sojourn"]["max"] >= 0.8

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from jobctl.apps.bench.records import COLUMNS, to_lines
from jobctl.core.evidence import from_csv
from jobctl.core.records import JobRecord, Outcome
from jobctl.core.traces import parse_trace

START_S = 1_790_000_000.0


def record(number: int, outcome: Outcome = Outcome.FINISHED, retries: int = 0, failed_s: float = 0.0) -> JobRecord:
    """Arrives at so many seconds, is enqueued 1 ms later, waits 0.25 s and takes 2 s."""
    at_s = START_S + number
    ended = outcome in {Outcome.FINISHED, Outcome.FAILED}
    return JobRecord(
        f"run-{number}",
        'a "type", quoted',
        at_s,
        None if outcome is Outcome.REJECTED else at_s + 0.001,
        at_s + 0.251 if ended else None,
        at_s + 2.251 if ended else None,
        outcome,
        retries=retries,
        failed_s=failed_s,
    )


def rows(*records: JobRecord) -> list[dict[str, str]]:
    return list(csv.DictReader(to_lines(records, START_S)))


def test_a_row_tells_a_jobs_instants_in_seconds_since_the_runs_start() -> None:
    (row,) = rows(record(3, retries=1, failed_s=0.5))

    assert row == {
        "job_id": "run-3",
        "job_type": 'a "type", quoted',
        "arrival_s": "3.000000",
        "service_s": "2.000000",
        "intended_s": "3.000000",
        "enqueued_s": "3.001000",
        "started_s": "3.251000",
        "finished_s": "5.251000",
        "outcome": "finished",
        "retries": "1",
        "failed_s": "0.500000",
    }


@pytest.mark.parametrize("outcome", [Outcome.REJECTED, Outcome.IN_FLIGHT, Outcome.LOST])
def test_what_did_not_happen_is_an_empty_cell(outcome: Outcome) -> None:
    (row,) = rows(record(3, outcome))

    assert (row["service_s"], row["started_s"], row["finished_s"]) == ("", "", "")
    assert (row["enqueued_s"] == "") == (outcome is Outcome.REJECTED)


def test_the_header_stands_even_without_jobs() -> None:
    assert list(to_lines([], START_S)) == [",".join(COLUMNS)]


def test_the_rows_are_a_trace_of_the_run() -> None:
    trace = parse_trace(list(to_lines([record(number) for number in (1, 2, 4)], START_S)), "r.csv")

    assert trace.arrivals_s.tolist() == pytest.approx([0.0, 1.0, 3.0])
    assert trace.services_s is not None
    assert trace.services_s.tolist() == pytest.approx([2.0, 2.0, 2.0])


def test_the_rows_are_evidence_of_what_was_measured() -> None:
    jobs = [record(1), record(2), record(3, Outcome.FAILED, 2, 1.0), record(4, retries=1, failed_s=0.3)]
    evidence = from_csv(list(to_lines([*jobs, record(5, Outcome.IN_FLIGHT)], START_S)), "r.csv")

    assert evidence.samples == 3
    assert evidence.service is not None
    assert evidence.service.mean_s == pytest.approx(2.0)
    assert evidence.arrival_rate_per_s == pytest.approx(1.0)
    assert evidence.failure_rate == pytest.approx(4 / 7)  # 1 + 1 + 3 + 2 attempts, of which 3 + 1 failed
    assert evidence.failed_s == pytest.approx((2.0 + 1.0 + 0.3) / 4)
    assert evidence.wait is not None
    assert (evidence.wait.jobs, evidence.wait.mean_s) == pytest.approx((2, 0.25))


def test_the_reference_tells_every_column_in_its_order() -> None:
    reference = Path(__file__).parents[3] / "docs/reference/bench-records.md"
    told = re.findall(r"^\| `(\w+)` \|", reference.read_text(encoding="utf-8"), re.MULTILINE)

    assert tuple(told) == COLUMNS

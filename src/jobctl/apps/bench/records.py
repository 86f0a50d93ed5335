"""The jobs of a bench as the rows of a CSV file, for ``--records``.

The columns are told in ``docs/reference/bench-records.md``. All instants are seconds since the run's start, to the
microsecond. What did not happen is an empty cell.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Final

from jobctl.core.records import JobRecord

__all__ = ["COLUMNS", "to_lines"]

#: The header.
COLUMNS: Final = (
    "job_id",
    "job_type",
    "arrival_s",
    "service_s",
    "intended_s",
    "enqueued_s",
    "started_s",
    "finished_s",
    "outcome",
    "retries",
    "failed_s",
)


def to_lines(records: Iterable[JobRecord], start_s: float) -> Iterator[str]:
    """The header and one line a job, in the order of the records, without line ends.

    Args:
        records: The jobs.
        start_s: The run's start, seconds since the epoch.
    """
    yield _line(COLUMNS)
    for record in records:
        yield _line(
            (
                record.job_id,
                record.job_type,
                _instant(record.intended_s, start_s),
                _seconds(record.service_s),
                _instant(record.intended_s, start_s),
                _instant(record.enqueued_s, start_s),
                _instant(record.started_s, start_s),
                _instant(record.finished_s, start_s),
                record.outcome.value,
                str(record.retries),
                _seconds(record.failed_s),
            )
        )


def _line(cells: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()


def _instant(instant_s: float | None, start_s: float) -> str:
    return "" if instant_s is None else _seconds(instant_s - start_s)


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.6f}"

"""A report as CSV: one row for each figure, so that a spreadsheet filters and pivots it without further work."""

from __future__ import annotations

import csv
import io
from typing import Final

from jobctl.apps.report.figures import Report, statistics
from jobctl.apps.report.words import exact

__all__ = ["COLUMNS", "to_csv"]

#: The columns. ``value`` is empty where nothing was measured.
COLUMNS: Final = ("subject", "name", "measure", "statistic", "unit", "value")


def to_csv(report: Report) -> str:
    """The rows, below their header."""
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    writer.writerow(COLUMNS)
    for each in statistics(report):
        writer.writerow(
            (each.subject, _no_formula(each.name), each.measure, each.statistic, each.unit, exact(each.value))
        )
    return rows.getvalue()


def _no_formula(name: str) -> str:
    """A name that a spreadsheet takes for text, whatever it begins with."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name

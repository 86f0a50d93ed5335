"""A report as Markdown: short enough for a comment on a pull request, the details folded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from jobctl.apps.report.figures import STATISTICS, JobType, Report, Signal
from jobctl.apps.report.words import (
    NOT_MEASURED,
    equation,
    exact,
    gate_figures,
    gate_name,
    headline,
    quantity,
    reasons_of,
    title,
)
from jobctl.core.slo import Verdict
from jobctl.core.units import format_duration

__all__ = ["to_markdown"]

_MARKS: Final = {Verdict.KEPT: "✅", Verdict.BROKEN: "❌", Verdict.INCONCLUSIVE: "⚠️"}
#: What Markdown or HTML would take for itself.
_SPECIAL: Final = re.compile(r"[\\`*_{}\[\]<>#|~@&]")
_MOST_ERRORS: Final = 5
_TAILS: Final = ("wait", "service", "sojourn")


def to_markdown(report: Report) -> str:
    """The text."""
    parts = [
        f"### {_MARKS[report.verdict]} jobctl bench: {_plain(title(report))}",
        _plain(report.sentence),
        "\n".join(f"- {_plain(reason)}" for reason in reasons_of(report)),
        *_gates(report),
        _percentiles(report.signals),
        *_details(report),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _gates(report: Report) -> Iterator[str]:
    if not report.gates:
        return
    rows = []
    for gate in report.gates:
        measured, threshold = gate_figures(gate)
        verdict = f"{_MARKS[gate.verdict]} {gate.verdict}" + (", a warning" if gate.severity == "warning" else "")
        rows.append([gate_name(gate), measured, threshold, verdict])
    yield _table(["gate", "measured", "allowed", "verdict"], rows)


def _percentiles(signals: Sequence[Signal]) -> str:
    rows = [[name, *(quantity(signal.values[name], "s") for signal in signals)] for name in STATISTICS]
    rows.append(["jobs", *(f"{signal.jobs:,}" for signal in signals)])
    return _table(["", *(signal.name for signal in signals)], rows)


def _details(report: Report) -> Iterator[str]:
    yield "<details><summary>Details</summary>"
    yield _table(["", ""], [[name, value] for name, value in _lines(report)])
    if len(report.by_job) > 1:
        yield _table(
            ["job type", "share", "finished", *(f"p95 {name}" for name in _TAILS)],
            [_row(each) for each in report.by_job],
        )
    for error, jobs in report.errors[:_MOST_ERRORS]:
        yield f"- {jobs:,} x {_plain(error)}"
    yield "Seconds, to the digit:"
    yield _table(
        ["", *(signal.name for signal in report.signals)],
        [[name, *(exact(signal.values[name]) or NOT_MEASURED for signal in report.signals)] for name in STATISTICS],
    )
    yield "</details>"


def _lines(report: Report) -> Iterator[tuple[str, str]]:
    yield "load", f"{headline(report)}, of which {format_duration(report.warmup_s)} warm-up"
    yield "offered", quantity(report.offered_per_s, "jobs/s")
    yield "achieved", quantity(report.achieved_per_s, "jobs/s")
    yield "utilisation", quantity(report.utilisation, "")
    yield "backlog", f"most {quantity(report.backlog_max, 'jobs')}"
    yield "schedule lag", f"p99 {quantity(report.schedule_lag['p99'], 's')}, {quantity(report.dropped, 'jobs')} dropped"
    yield "jobs", equation(report)
    if report.predicted is not None:
        yield "predicted", f"utilisation {quantity(report.predicted.utilisation, '')}, p95 wait {_expected(report)}"
    if report.maximum is not None:
        low, high = quantity(report.maximum.low_per_s, "jobs/s"), quantity(report.maximum.high_per_s, "jobs/s")
        yield "maximum", f"between {low} and {high}; limit: {report.maximum.limit or 'not known'}"
    if report.comparison is not None:
        yield "against the baseline", "; ".join((report.comparison.finding, *report.comparison.reasons))
    for fault in report.faults:
        yield "fault", f"{fault.what} at {format_duration(fault.at_s)}"


def _expected(report: Report) -> str:
    return NOT_MEASURED if report.predicted is None else quantity(report.predicted.wait["p95"], "s")


def _row(each: JobType) -> list[str]:
    tails = {signal.name: signal.values["p95"] for signal in each.signals}
    finished = f"{each.jobs['finished']:,}" if "finished" in each.jobs else NOT_MEASURED
    return [each.job, quantity(each.share, ""), finished, *(quantity(tails.get(name), "s") for name in _TAILS)]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *([_plain(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(words: str) -> str:
    """Text that stays what it is: on one line, and nothing in it is markup, a mention or a cell's end."""
    return _SPECIAL.sub(lambda match: f"&#{ord(match[0])};", " ".join(words.split()))

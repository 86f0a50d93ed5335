"""A report as Markdown: short enough for a comment on a pull request, the details folded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from jobctl.apps.report.figures import STATISTICS, JobType, Report, Signal
from jobctl.apps.report.words import (
    NOT_MEASURED,
    changed,
    comparison_in_words,
    duration_of,
    equation,
    exact,
    gate_figures,
    gate_name,
    headline,
    maximum_in_words,
    quantity,
    reasons_of,
    title,
    tried,
)
from jobctl.core.markdown import plain, table
from jobctl.core.overall import overall
from jobctl.core.units import format_duration

__all__ = ["to_markdown"]

_MARKS: Final = {"kept": "✅", "broken": "❌", "regression": "❌", "inconclusive": "⚠️"}
_MOST_ERRORS: Final = 5
_TAILS: Final = ("wait", "service", "sojourn")


def to_markdown(report: Report) -> str:
    """The text."""
    parts = [
        f"### {_MARKS[overall(report.verdict.value, report.finding)]} jobctl bench: {plain(title(report))}",
        plain(report.sentence),
        "\n".join(f"- {plain(reason)}" for reason in reasons_of(report)),
        *_comparison(report),
        *_gates(report),
        _percentiles(report.signals),
        *_details(report),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _comparison(report: Report) -> Iterator[str]:
    """The lines that decide; all of them are in the page."""
    if report.comparison is not None:
        yield plain(f"Against the baseline: {comparison_in_words(report.comparison)}")
        rows = [changed(change) for change in report.comparison.changes if change.decides]
        yield table(["", "baseline", "new", "change lies in", "finding"], rows)


def _gates(report: Report) -> Iterator[str]:
    if not report.gates:
        return
    rows = []
    for gate in report.gates:
        measured, threshold = gate_figures(gate)
        warns = gate.severity == "warning" and gate.verdict != "kept"
        verdict = f"{'⚠️' if warns else _MARKS[gate.verdict]} {gate.verdict}" + (", a warning" if warns else "")
        rows.append([gate_name(gate), measured, threshold, verdict])
    yield table(["gate", "measured", "allowed", "verdict"], rows)


def _percentiles(signals: Sequence[Signal]) -> str:
    rows = [[name, *(duration_of(signal, name) for signal in signals)] for name in STATISTICS]
    rows.append(["jobs", *(f"{signal.jobs:,}" for signal in signals)])
    return table(["", *(signal.name for signal in signals)], rows)


def _details(report: Report) -> Iterator[str]:
    yield "<details><summary>Details</summary>"
    yield table(["", ""], [[name, value] for name, value in _lines(report)])
    if len(report.by_job) > 1:
        yield table(
            ["job type", "share", "finished", *(f"p95 {name}" for name in _TAILS)],
            [_row(each) for each in report.by_job],
        )
    if report.maximum is not None:
        heads = ["jobs/s", "for", "phase", "verdict", "throughput", "p95 wait", "utilisation", ""]
        yield table(heads, [tried(probe) for probe in report.maximum.probes])
    for error, jobs in report.errors[:_MOST_ERRORS]:
        yield f"- {jobs:,} x {plain(error)}"
    yield "Seconds, to the digit:"
    yield table(
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
    if report.maximum is not None and (answer := maximum_in_words(report.maximum)) != report.sentence:
        yield "maximum", answer
    for fault in report.faults:
        yield "fault", f"{fault.what} at {format_duration(fault.at_s)}"


def _expected(report: Report) -> str:
    return NOT_MEASURED if report.predicted is None else quantity(report.predicted.wait["p95"], "s")


def _row(each: JobType) -> list[str]:
    tails = {signal.name: signal.values["p95"] for signal in each.signals}
    finished = f"{each.jobs['finished']:,}" if "finished" in each.jobs else NOT_MEASURED
    return [each.job, quantity(each.share, ""), finished, *(quantity(tails.get(name), "s") for name in _TAILS)]

"""A report as one HTML page that opens anywhere and can be kept and sent.

``core.pages`` says what the page is made of. Figures are written short, and stand in ``<data value="...">`` to the
digit of the document, so that whoever reads the page by a program gets the figure itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from jobctl.apps.report.figures import STATISTICS, Gate, Report, Scalars, Signal
from jobctl.apps.report.pictures import over_time, spectrum
from jobctl.apps.report.words import (
    NOT_MEASURED,
    bounds,
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
from jobctl.core.charts import text
from jobctl.core.overall import overall
from jobctl.core.pages import facts, figure, page, section, state, table_of, tabulated
from jobctl.core.units import format_duration
from jobctl.core.words import count_of

__all__ = ["to_html"]

_KINDS: Final = {"kept": "good", "broken": "bad", "regression": "bad", "inconclusive": "doubt"}
#: What a generator used of the CPU, in words.
_SPENT: Final = {"cpu_s": "CPU", "cpu_s_per_job": "CPU a job"}
#: Windows of a gate that are listed.
_MOST_WINDOWS: Final = 5
_EARLIER: Final = '<p class="soft">The document has no timeline: an earlier release wrote it.</p>'


def to_html(report: Report) -> str:
    """The page."""
    return page(
        f"jobctl bench: {title(report)}",
        [
            *_verdict(report),
            *section("The maximum", _maximum(report)),
            *section("Against the baseline", _comparison(report)),
            *section("Gates", _gates(report.gates)),
            *section("Latency", _latency(report)),
            *section("Over time", _time(report)),
            *section("Replicas", _replicas(report)),
            *section("Predicted and measured", _predicted(report)),
            *section("By job type", _by_job(report)),
            *section("Faults", _faults(report)),
            *section("Where every job went", _jobs(report)),
            *section("The load generator", _generator(report)),
            *section("What was run", _config(report)),
            f"<footer><p>Measured {text(report.started_at)} by jobctl {text(_version(report))}.</p></footer>",
        ],
    )


def _verdict(report: Report) -> Iterator[str]:
    yield f'<header><p class="soft">jobctl bench: {text(headline(report))}</p><h1>{text(report.sentence)}</h1>'
    yield f"<p>{state(title(report), _KINDS[overall(report.verdict.value, report.finding)])}</p>"
    reasons = "".join(f"<li>{text(reason)}</li>" for reason in reasons_of(report))
    errors = "".join(f"<li>{jobs:,} x {text(error)}</li>" for error, jobs in report.errors)
    if reasons or errors:
        yield f"<ul>{reasons}{errors}</ul>"
    yield from facts(_facts(report))
    yield "</header>"


def _facts(report: Report) -> Iterator[tuple[str, str, str]]:
    """Name, value and remark of the figures at the top."""
    yield "offered", quantity(report.offered_per_s, "jobs/s"), f"{quantity(report.asked_per_s, 'jobs/s')} asked"
    yield "achieved", quantity(report.achieved_per_s, "jobs/s"), quantity(report.achieved_jobs, "jobs")
    for name in ("wait", "sojourn"):
        signal = report.signal(name)
        if signal is not None:
            yield f"p95 {name}", duration_of(signal, "p95"), bounds(signal.intervals["p95"])
    yield "utilisation", quantity(report.utilisation, ""), _slots(report)
    yield "failed or lost", quantity(_failed(report), "jobs"), f"of {report.jobs['scheduled']:,}"
    yield "backlog", f"most {quantity(report.backlog_max, 'jobs')}", _trend(report)
    if report.cost:
        yield "cost", *_cost(report.cost)


def _version(report: Report) -> str:
    return str(report.versions.get("jobctl", "of an unknown version"))


def _slots(report: Report) -> str:
    replicas, slots = report.config.get("replicas"), report.config.get("concurrency")
    if isinstance(replicas, int) and isinstance(slots, int):
        return f"{count_of(replicas, 'replica')} of {slots} slots"
    return ""


def _failed(report: Report) -> int:
    return report.jobs["failed"] + report.jobs["lost"]


def _trend(report: Report) -> str:
    return f"trend {report.backlog_slope_per_s:+.3f} jobs/s"


def _cost(cost: Scalars) -> tuple[str, str]:
    total, each = (value if isinstance(value, float | int) else None for value in map(cost.get, ("usd", "usd_per_job")))
    return quantity(total, "USD"), "" if each is None else f"{quantity(each, 'USD')} a job"


def _gates(gates: Sequence[Gate]) -> Iterator[str]:
    if not gates:
        return
    rows = []
    for gate in gates:
        _, allowed = gate_figures(gate)
        badge = state(gate.verdict.value, _KINDS[gate.verdict]) + (
            " <small>a warning</small>" if gate.severity == "warning" and gate.verdict != "kept" else ""
        )
        remark = "; ".join(filter(None, (gate.reason, _windows(gate))))
        samples = "" if gate.samples is None else f"{gate.samples:,}"
        rows.append([text(gate_name(gate)), _data(gate.value, gate.unit), text(allowed), badge, samples, text(remark)])
    yield table_of("words", "Gates", ["gate", "measured", "allowed", "verdict", "jobs", ""], rows)


def _windows(gate: Gate) -> str:
    if not gate.failed_windows:
        return ""
    first = ", ".join(f"{start:g} to {end:g} s" for start, end in gate.failed_windows[:_MOST_WINDOWS])
    more = len(gate.failed_windows) - _MOST_WINDOWS
    return f"did not hold from {first}" + (f" and {more} more" if more > 0 else "")


def _latency(report: Report) -> Iterator[str]:
    yield _percentiles("Latency", report.signals)
    yield (
        '<p class="soft">Enqueue: sent until Redis had it. Wait: enqueued to started. Service: on a slot. '
        "Sojourn: from the intended arrival to the end. Below a percentile stands the interval it lies in, each bound "
        "at 95 %.</p>"
    )
    chart = spectrum(report)
    if chart is not None:
        yield f"<h3>{text(chart.name)}</h3>{figure(chart)}"


def _percentiles(name: str, signals: Sequence[Signal]) -> str:
    rows = [["jobs", *(f"{signal.jobs:,}" for signal in signals)]]
    rows += [[statistic, *(_percentile(signal, statistic) for signal in signals)] for statistic in STATISTICS]
    return table_of("figures", name, ["", *(signal.name for signal in signals)], rows)


def _percentile(signal: Signal, statistic: str) -> str:
    interval = bounds(signal.intervals.get(statistic))
    value = signal.values[statistic]
    if value is None:
        return text(duration_of(signal, statistic))
    return _data(value, "s") + (f"<br><small>{text(interval)}</small>" if interval else "")


def _time(report: Report) -> Iterator[str]:
    yield figure(over_time(report))
    yield (
        '<p class="soft">Durations stand where the job was meant to arrive, so a stall shows in the jobs that it hit; '
        "achieved and failed jobs stand where they ended.</p>"
    )
    if report.timeline is None:
        yield _EARLIER


def _replicas(report: Report) -> Iterator[str]:
    if report.replicas:
        rows = [
            [
                text(each.name),
                "" if each.jobs is None else f"{each.jobs:,}",
                _data(each.utilisation, ""),
                _bar(each.utilisation),
            ]
            for each in report.replicas
        ]
        yield table_of("replicas", "Replicas", ["replica", "jobs", "busy", ""], rows)


def _bar(value: float | None) -> str:
    return "" if value is None else f'<div class="bar"><div style="width:{min(1.0, value):.1%}"></div></div>'


def _predicted(report: Report) -> Iterator[str]:
    predicted, wait = report.predicted, report.signal("wait")
    if predicted is None:
        return
    rows = [["utilisation", _data(predicted.utilisation, ""), _data(report.utilisation, "")]]
    for statistic in ("mean", "p95", "p99"):
        measured = None if wait is None else wait.values[statistic]
        expected = predicted.wait[statistic]
        shown = _data(expected, "s") if expected is not None else "without end"
        rows.append([f"{statistic} wait", shown, _data(measured, "s")])
    yield table_of("figures", "Predicted and measured", ["", "predicted", "measured"], rows)
    yield f'<p class="soft">Predicted of the load that was offered, by {text(predicted.method)}.</p>'


def _by_job(report: Report) -> Iterator[str]:
    if not report.by_job:
        return
    heads = ["job type", "share", "queue", "finished", "failed", "p50 wait", "p95 wait", "p95 service", "p95 sojourn"]
    rows = []
    for each in report.by_job:
        by_name = {signal.name: signal.values for signal in each.signals}
        ends = (f"{each.jobs[name]:,}" if name in each.jobs else NOT_MEASURED for name in ("finished", "failed"))
        tails = (("wait", "p50"), ("wait", "p95"), ("service", "p95"), ("sojourn", "p95"))
        durations = (_data(by_name.get(name, {}).get(statistic), "s") for name, statistic in tails)
        rows.append([text(each.job), _data(each.share, ""), text(each.queue or ""), *ends, *durations])
    yield table_of("figures", "By job type", heads, rows)


def _comparison(report: Report) -> Iterator[str]:
    comparison = report.comparison
    if comparison is None:
        return
    yield f"<p>{text(comparison_in_words(comparison))}</p>"
    heads = ["", "baseline", "new", "change lies in", "finding"]
    rows = [changed(change) for change in comparison.changes]
    yield tabulated("figures", "Against the baseline", heads, rows, [change.decides for change in comparison.changes])
    yield '<p class="soft">The lines set off decide.</p>'


def _maximum(report: Report) -> Iterator[str]:
    maximum = report.maximum
    if maximum is None:
        return
    answer = maximum_in_words(maximum)
    if answer != report.sentence:
        yield f"<p>{text(answer)}</p>"
    heads = ["jobs/s", "for", "phase", "verdict", "throughput", "p95 wait", "utilisation", ""]
    yield tabulated("words", "Rates that were tried", heads, [tried(probe) for probe in maximum.probes])


def _faults(report: Report) -> Iterator[str]:
    if report.faults:
        rows = [
            [
                fault.kind,
                fault.what,
                format_duration(fault.at_s),
                "" if fault.until_s is None else format_duration(fault.until_s),
            ]
            for fault in report.faults
        ]
        yield tabulated("words", "Faults", ["fault", "what was done", "from", "to"], rows)


def _jobs(report: Report) -> Iterator[str]:
    yield f"<p>{text(equation(report))}.</p>"
    yield f"<p>{report.jobs['duplicated']:,} duplicated, {report.jobs['retried']:,} retried.</p>"


def _generator(report: Report) -> Iterator[str]:
    rows = [[f"schedule lag {name}", _data(value, "s")] for name, value in report.schedule_lag.items()]
    rows.append(["arrivals never sent", _data(report.dropped, "jobs")])
    rows += [[_SPENT.get(name, text(name)), _spent(name, value)] for name, value in report.generator.items()]
    yield table_of("words", "The load generator", ["", ""], rows)


def _spent(name: str, value: str | float | bool) -> str:
    return _data(value, "s") if name in _SPENT and not isinstance(value, str) else text(str(value))


def _config(report: Report) -> Iterator[str]:
    for heading, about in (("asked", report.asked), ("host", report.host), ("version of", report.versions)):
        if about:
            rows = [[name.replace("_", " "), str(value)] for name, value in about.items()]
            yield tabulated("words", heading, [heading, ""], rows)


def _data(value: float | None, unit: str) -> str:
    """A figure, short to read and exact to take."""
    shown = text(quantity(value, unit))
    return shown if value is None else f'<data value="{exact(value)}" title="{exact(value)}">{shown}</data>'

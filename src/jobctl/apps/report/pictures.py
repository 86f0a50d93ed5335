"""The charts of a report: how long jobs took by percentile, and the run over time.

Over time everything stands on one axis, seconds since the run's start, with the warm-up, the drain and every fault
marked. Rates are of at most sixty stretches, because counts of a short stretch are mostly chance; counts add up, so
nothing is averaged. Quantiles do not, and stay as they were measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Final

from jobctl.apps.report.figures import Fault, Gate, Report, Timeline
from jobctl.apps.report.words import quantity
from jobctl.core.charts import (
    Axis,
    Chart,
    Form,
    Panel,
    Point,
    Series,
    Span,
    Threshold,
    duration_ticks,
    log_duration_ticks,
)
from jobctl.core.units import format_duration
from jobctl.core.words import number

__all__ = ["over_time", "spectrum"]

_MOST_STRETCHES: Final = 60
#: Workers that are drawn one by one; of more the least and the most busy.
_MOST_LINES: Final = 3
#: A line goes on across so many steps in which no job arrived, and breaks at a longer silence.
_LONGEST_GAP: Final = 10
#: From this percentile on all values fit the axis; what is shorter, of a single job maybe, is drawn at its foot.
_FIRST_FITTED: Final = 5.0
#: The shortest duration that the spectrum shows, seconds.
_LEAST_DRAWN_S: Final = 1e-6
#: From the back to the front: a service of next to no wait hides its sojourn, and not the other way round.
_DRAWN_FIRST: Final = ("sojourn", "service", "wait", "enqueue")
#: A gate so many times above all that was measured is not drawn.
_TALLEST: Final = 3.0
_TONES: Final = {"wait": 2, "service": 3, "sojourn": 1, "enqueue": 2}
#: Percentiles that are written on the axis; beyond these it goes on with one more 9 each.
_PERCENTILES: Final = (0.0, 50.0, 90.0, 99.0)


def spectrum(report: Report) -> Chart | None:
    """How long jobs took by percentile, the axis stretched towards 100 so that each 9 more has the same width."""
    drawn = {name: report.spectra[name] for name in _DRAWN_FIRST if report.spectra.get(name)}
    if not drawn:
        return None
    high = max(_nines(percentile) for points in drawn.values() for percentile, _ in points)
    shown = [value_s for points in drawn.values() for percentile, value_s in points if percentile >= _FIRST_FITTED]
    least_s = max(_LEAST_DRAWN_S, min(shown, default=_LEAST_DRAWN_S))
    panel = Panel(
        "seconds, logarithmic",
        tuple(
            Series(
                name, tuple(Point(_nines(percentile), value_s) for percentile, value_s in points), _TONES.get(name, 1)
            )
            for name, points in drawn.items()
        ),
        Form.LINES,
        height=240.0,
        write=format_duration,
        ticks=partial(log_duration_ticks, low_s=least_s),
        is_log=True,
    )
    account = "; ".join(
        f"{name}: {quantity(points[-1][1], 's')} at the {points[-1][0]:.6g}th percentile"
        for name, points in drawn.items()
    )
    axis = Axis(
        0.0, max(high, 1.0), tuple(_percentile_ticks(high)), step=0.0, name="percent of the jobs took no longer"
    )
    return Chart("Latency by percentile", f"{account}.", axis, (panel,))


def over_time(report: Report) -> Chart:
    """The run over time; of a document without a timeline the backlog alone."""
    end_s = report.duration_s
    panels: list[Panel] = []
    timeline = report.timeline
    if timeline is None:
        panels.append(_backlog_alone(report))
    else:
        end_s = max(end_s, timeline.steps * timeline.step_s)
        panels += [_rates(timeline), *_latencies(timeline, report.gates), _levels(timeline), *_busy(timeline)]
    ticks = tuple((tick, format_duration(tick)) for tick in duration_ticks(end_s) if tick <= end_s)
    axis = Axis(0.0, end_s, ticks, step=0.0, name="since the run's start", spans=tuple(_spans(report, end_s)))
    account = (
        f"Over {format_duration(end_s)}: {quantity(report.offered_per_s, 'jobs/s')} offered, "
        f"{quantity(report.achieved_per_s, 'jobs/s')} achieved, at most {quantity(report.backlog_max, 'jobs')} waiting."
    )
    return Chart("The run over time", account, axis, tuple(panels))


def _nines(percentile: float) -> float:
    """Where a percentile stands: 0 at 0, 1 at 90, 2 at 99, 3 at 99.9."""
    return -math.log10(1 - percentile / 100)


def _percentile_ticks(high: float) -> Iterator[tuple[float, str]]:
    for percentile in _PERCENTILES:
        if _nines(percentile) <= high + 1e-9:
            yield _nines(percentile), f"{percentile:g}"
    for nines in range(3, math.floor(high + 1e-9) + 1):
        yield float(nines), f"99.{'9' * (nines - 2)}"


def _spans(report: Report, end_s: float) -> Iterator[Span]:
    if report.warmup_s:
        yield Span(0.0, report.warmup_s, "warm-up, not judged")
    if end_s > report.duration_s:
        yield Span(report.duration_s, end_s, "drain")
    for fault in report.faults:
        yield Span(fault.at_s, fault.at_s if fault.until_s is None else fault.until_s, _named(fault), is_fault=True)


def _named(fault: Fault) -> str:
    until = "" if fault.until_s is None else f" to {format_duration(fault.until_s)}"
    return f"{fault.what}, {format_duration(fault.at_s)}{until}"


def _rates(timeline: Timeline) -> Panel:
    together = math.ceil(timeline.steps / _MOST_STRETCHES)
    rows = {"offered": timeline.offered, "achieved": timeline.achieved, "failed": timeline.failed}
    tones = {"offered": 1, "achieved": 2, "failed": 3}
    series = tuple(
        Series(name, tuple(_per_s(counts, timeline.step_s, together)), tones[name])
        for name, counts in rows.items()
        if name != "failed" or any(counts)
    )
    return Panel("jobs/s", series, Form.LINES, write=number)


def _per_s(counts: Sequence[float | None], step_s: float, together: int) -> Iterator[Point]:
    """The rate of each stretch of so many steps, at its middle."""
    edges = [*range(0, len(counts), together), len(counts)]
    for first, beyond in pairwise(edges):
        total = sum(count or 0.0 for count in counts[first:beyond])
        yield Point((first + beyond) / 2 * step_s, total / ((beyond - first) * step_s))


def _latencies(timeline: Timeline, gates: Sequence[Gate]) -> Iterator[Panel]:
    for name, spread in timeline.signals.items():
        rows = (("max", spread.max, 2), ("p95", spread.p95, 1), ("p50", spread.p50, 3))  # the last one lies on top
        series = tuple(Series(word, tuple(_at_steps(values, timeline.step_s)), tone) for word, values, tone in rows)
        most_s = max((value for value in spread.max if value is not None), default=0.0)
        yield Panel(
            f"{name}, by arrival",
            series,
            Form.LINES,
            tuple(_limits(gates, name, most_s)),
            note=f"most {format_duration(most_s)}" if most_s else "",
            write=format_duration,
            ticks=duration_ticks,
        )


def _limits(gates: Sequence[Gate], signal: str, most_s: float) -> Iterator[Threshold]:
    """What gates allow of a signal, unless it is so far above that nothing else could be seen."""
    for gate in gates:
        if gate.unit == "s" and signal in gate.check and gate.threshold and gate.threshold <= _TALLEST * most_s:
            yield Threshold(gate.threshold, gate.check)


def _levels(timeline: Timeline) -> Panel:
    rows = (("waiting", timeline.backlog, 1), ("in service", timeline.in_service, 3))
    series = tuple(Series(name, tuple(_at_steps(values, timeline.step_s)), tone) for name, values, tone in rows)
    return Panel("jobs in the system", series, Form.LINES, write=number)


def _busy(timeline: Timeline) -> Iterator[Panel]:
    rows = list(timeline.busy.items())
    if not rows:
        return
    if len(rows) > _MOST_LINES:
        shares = [[share for share in step if share is not None] for step in zip(*timeline.busy.values(), strict=False)]
        rows = [
            (f"most busy of {len(rows)}", tuple(max(step, default=None) for step in shares)),
            ("mean", tuple(sum(step) / len(step) if step else None for step in shares)),
            ("least busy", tuple(min(step, default=None) for step in shares)),
        ]
    series = tuple(
        Series(name, tuple(_at_steps(values, timeline.step_s)), tone) for tone, (name, values) in enumerate(rows, 1)
    )
    full = (Threshold(1.0, "all slots busy"),)
    yield Panel("utilisation by replica", series, Form.LINES, full, write="{:.0%}".format)


def _at_steps(values: Sequence[float | None], step_s: float) -> Iterator[Point]:
    """The values at the middle of their steps; a short silence is passed over, a long one breaks the line."""
    silent = 0
    for place, value in enumerate(values):
        silent = silent + 1 if value is None else 0
        if value is not None or silent == _LONGEST_GAP:
            yield Point((place + 0.5) * step_s, value)


def _backlog_alone(report: Report) -> Panel:
    series, length_s = report.backlog, report.duration_s - report.warmup_s
    points = tuple(
        Point(report.warmup_s + place / max(1, len(series) - 1) * length_s, value) for place, value in enumerate(series)
    )
    return Panel("jobs waiting", (Series("", points),), Form.LINES, write=number)

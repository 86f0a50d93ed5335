"""A plan as a report that can be kept and sent: one HTML page, or its charts as SVG.

``core.pages`` says what the page is made of; this module, what it says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath
from typing import Final

from jobctl.apps.plan.document import error_band
from jobctl.apps.plan.explain import steps
from jobctl.apps.plan.steps import SYMBOLS, Note, Step
from jobctl.apps.plan.steps import figure as figure_of
from jobctl.apps.plan.why import day_of, is_spared, why_it_binds
from jobctl.apps.plan.words import (
    count_of,
    moment,
    needed_by,
    number,
    probability,
    roughly,
    seconds,
    share,
    usd,
    window_read,
    within,
    yes,
)
from jobctl.core.charts import (
    Axis,
    Chart,
    Form,
    Panel,
    Point,
    Series,
    Threshold,
    draw,
    duration_ticks,
    fixed_style,
    log_duration_ticks,
    text,
    theme_style,
    to_svg,
)
from jobctl.core.demand import Assumption
from jobctl.core.pages import WIDE, facts, figure, page, state, tabulated
from jobctl.core.plans import Binding, Fleet, Hour, Plan
from jobctl.core.prices import RAILWAY, Prices, fleet_cost
from jobctl.core.slo import Objective
from jobctl.core.units import SECONDS_PER_DAY, format_duration
from jobctl.errors import InvalidOption

__all__ = ["Format", "Report", "check_report_target", "to_html", "to_svg_file"]

#: Waits shorter than this are drawn as this, seconds.
_LEAST_DRAWN_S: Final = 1e-3


class Format(StrEnum):
    """What a report may be written as, by the ending of its file."""

    HTML = ".html"
    SVG = ".svg"
    PNG = ".png"


@dataclass(frozen=True, slots=True)
class Report:
    """What a report tells.

    Attributes:
        plan: The answer.
        answer: The same in one sentence.
        assumptions: The figures it rests on, with their sources.
        version: Of jobctl.
        prices: What the platform asks.
    """

    plan: Plan
    answer: str
    assumptions: tuple[Assumption, ...]
    version: str
    prices: Prices = RAILWAY


def check_report_target(path: str, option: str = "--report") -> Format:
    """The format that a file's ending asks for.

    Raises:
        InvalidOption: It is none that can be written.
    """
    ending = PurePath(path).suffix.lower()
    if ending not in set(Format):
        known = ", ".join(Format)
        raise InvalidOption(option, f"{path!r} does not end in {known}", "give a file name such as plan.html")
    return Format(ending)


def to_svg_file(report: Report, *, themed: bool = True) -> str:
    """The charts below each other, the answer above them.

    Args:
        report: What to tell.
        themed: Whether colours follow the reader's theme; else they are light and written out, for renderers that know
            no variables.
    """
    drawings = [draw(chart, WIDE) for chart in _charts(report.plan)]
    return to_svg(drawings, theme_style() if themed else fixed_style(), report.answer)


def to_html(report: Report) -> str:
    """The page."""
    return page(
        report.answer,
        [
            *_answer(report),
            *_table(report),
            *_figures(report.plan),
            *_windows(report.plan),
            *_sensitivity(report.plan),
            *_assumptions(report),
            *_explanation(report),
            *_footer(report),
        ],
    )


def _answer(report: Report) -> Iterator[str]:
    plan = report.plan
    yield f'<header><p class="soft">jobctl plan</p><h1>{text(report.answer)}</h1>'
    words, kind = {
        True: ("holds", "good"),
        False: ("does not hold", "bad"),
        None: ("could not be told", "doubt"),
    }[plan.feasible]
    if plan.edge is not None:
        words, kind = f"on the edge: {plan.edge[0]:,} or {plan.edge[1]:,} replicas", "bad"
    yield f"<p>{state(words, kind)}</p>"
    binding = f"{plan.binding.value}, for {why_it_binds(plan)}"
    relief = "" if plan.feasible and plan.binding is Binding.REDUNDANCY else plan.relief
    for name, words in (("", plan.reason), ("What binds: ", binding), ("What would relieve it: ", relief)):
        if words:
            yield f"<p>{name}{text(words.removesuffix('.'))}.</p>"
    yield from facts(_facts(report))
    yield "</header>"


def _facts(report: Report) -> Iterator[tuple[str, str, str]]:
    """Name, value and remark of the figures at the top."""
    plan, fleet = report.plan, report.plan.all_running
    yield "replicas", f"{fleet.replicas:,}", f"{fleet.slots:,} slots"
    yield "utilisation at the peak", share(fleet.utilisation), f"full at {number(fleet.ceiling_per_s)} jobs/s"
    yield "p95 wait", seconds(fleet.wait.p95_s), within(fleet.bands.get("p95"))
    gone = plan.spare_gone
    if plan.demand.spare:
        left = "nothing left" if gone is None else seconds(gone.wait.p95_s)
        yield f"p95 wait with {plan.demand.spare} gone", left, "" if gone is None else within(gone.bands.get("p95"))
    if plan.max_sustainable_per_day is not None:
        jobs = f"jobs a day, {plan.demand.spare} gone" if is_spared(plan) else "jobs a day"
        yield "most that it holds", roughly(plan.max_sustainable_per_day), jobs
    if plan.backlog_growth_per_day > 0:
        yield "backlog grows by", number(plan.backlog_growth_per_day), "jobs a day"
    cost = fleet_cost(fleet.replicas, plan.demand.machine, plan.limits, report.prices)
    if cost is not None:
        yield "cost a month", usd(cost.per_month_usd), f"{usd(cost.per_million_jobs_usd)} per million jobs"


def _table(report: Report) -> Iterator[str]:
    plan = report.plan
    heads = ["replicas", "holds", "one gone", "utilisation", "P(wait)", "p50", "p95", "95 % band", "p99", "slots"]
    rows = []
    for fleet, one_gone in zip(_rows(plan), plan.holds_one_gone or (None,), strict=True):
        cost = fleet_cost(fleet.replicas, plan.demand.machine, plan.limits, report.prices)
        row = [f"{fleet.replicas:,}", yes(fleet.holds), yes(one_gone), share(fleet.utilisation)]
        row += [probability(fleet.wait.p_wait), seconds(fleet.wait.p50_s), seconds(fleet.wait.p95_s)]
        row += [within(fleet.bands.get("p95")) or "-", seconds(fleet.wait.p99_s), f"{fleet.slots:,}"]
        rows.append(row + ([usd(cost.per_month_usd)] if cost else []))
    if rows and len(rows[0]) > len(heads):
        heads.append("cost a month")
    chosen = [fleet.replicas == plan.all_running.replicas for fleet in _rows(plan)]
    yield "<section><h2>The answer and its neighbours</h2>"
    yield tabulated("figures", "The answer and its neighbours", heads, rows, chosen)
    yield f'<p class="soft">Waits of {text(plan.all_running.method)}: {text(error_band(plan, plan.all_running))}.</p>'
    yield "</section>"


def _figures(plan: Plan) -> Iterator[str]:
    for chart in _charts(plan):
        yield f"<section><h2>{text(chart.name)}</h2>{figure(chart)}</section>"


def _windows(plan: Plan) -> Iterator[str]:
    fleet = day_of(plan)
    if fleet is None or not fleet.readings:
        return
    rows = [
        [
            window_read(window),
            moment(reading.start_s, plan.demand.profile.period_s),
            *(seconds(value) for value in (reading.waits.mean_s, reading.waits.p95_s, reading.waits.p99_s)),
        ]
        for window, reading in fleet.readings.items()
    ]
    yield f"<section><h2>Waits by window, {text(count_of(fleet.replicas, 'replica'))}</h2>"
    yield tabulated("figures", "Waits by window", ["window", "from", "mean", "p95", "p99"], rows)
    extremes = []
    if fleet.backlog_max is not None:
        extremes.append(f"The backlog reaches {count_of(fleet.backlog_max, 'job')}")
    if fleet.drain_s is not None:
        extremes.append(f"the largest takes {seconds(fleet.drain_s)} to clear")
    if fleet.burst_clear_s is not None:
        extremes.append(f"the last job of a spike has started after {seconds(fleet.burst_clear_s)}")
    if extremes:
        yield f"<p>{text('; '.join(extremes))}.</p>"
    yield "</section>"


def _sensitivity(plan: Plan) -> Iterator[str]:
    if not plan.sensitivity and plan.answers.whole_day is None and plan.answers.busiest_hour is None:
        return
    spare = plan.demand.spare
    rows = [["as asked", _count(plan.answers.with_spare, 0)]]
    rows.append(["read over the whole day", _count(plan.answers.whole_day, spare)])
    rows.append(["read over the busiest hour", _count(plan.answers.busiest_hour, spare)])
    rows += [[other.change, needed_by(other)] for other in plan.sensitivity]
    yield "<section><h2>What another question would need</h2>"
    head = f"replicas, {spare} spare among them" if spare else "replicas"
    yield tabulated("words", "What another question would need", ["question", head], rows)
    yield "</section>"


def _assumptions(report: Report) -> Iterator[str]:
    if not report.assumptions:
        return
    rows = [[assumption.name, assumption.value, assumption.source] for assumption in report.assumptions]
    yield "<section><h2>What it rests on</h2>"
    yield tabulated("words", "What it rests on", ["figure", "value", "from"], rows)
    yield "</section>"


def _explanation(report: Report) -> Iterator[str]:
    yield f'<section><h2>How it was computed</h2><p class="soft">{text(SYMBOLS)}.</p></section>'
    for step in steps(report.plan, report.assumptions):
        yield f'<section class="step"><h3>{text(step.name)}</h3>'
        yield from _noted(step) if isinstance(step, Note) else _computed(step)
        yield "</section>"


def _noted(note: Note) -> Iterator[str]:
    yield f"<p>{text(note.words)}</p>"


def _computed(step: Step) -> Iterator[str]:
    numbers = f"= {step.numbers} " if step.numbers else ""
    breaks = f". Breaks {step.breaks}" if step.breaks else ""
    yield f"<code>{text(step.formula)}</code>"
    yield f"<code>{text(numbers)}= <strong>{text(figure_of(step.result))}</strong> {text(step.unit)}</code>"
    yield f'<p class="soft">Source: {text(step.source)}{text(breaks)}.</p>'


def _footer(report: Report) -> Iterator[str]:
    plan = report.plan
    how = f"{plan.simulated_jobs:,} jobs simulated" if plan.simulated_jobs else "closed forms alone, nothing simulated"
    yield f"<footer><p>jobctl {text(report.version)}, seed {plan.seed}, {how}.</p>"
    if fleet_cost(plan.all_running.replicas, plan.demand.machine, plan.limits, report.prices) is not None:
        yield f"<p>Prices: {text(report.prices.source)}.</p>"
    yield "</footer>"


def _charts(plan: Plan) -> Iterator[Chart]:
    """The day hour by hour where it was simulated, and the waits of more and fewer replicas."""
    fleet = day_of(plan)
    if fleet is not None:
        yield _day(plan, fleet)
    yield _neighbours(plan)


def _day(plan: Plan, fleet: Fleet) -> Chart:
    hours, period_s = fleet.hours, plan.demand.profile.period_s
    busiest = max(hours, key=lambda hour: hour.arrival_rate_per_s)
    slowest = max(hours, key=lambda hour: hour.wait_p95_s or 0.0)
    fullest = max(hours, key=lambda hour: hour.backlog_max)
    limits = sorted({limit.threshold_s for limit in plan.demand.objectives if _is_p95_wait(limit)})[:1]
    panels = (
        Panel(
            "arrivals, jobs/s",
            (_bars(hours, [hour.arrival_rate_per_s for hour in hours], 1),),
            note=_most(busiest.arrival_rate_per_s, number, busiest, period_s),
        ),
        Panel(
            "utilisation",
            (_bars(hours, [hour.utilisation for hour in hours], 1),),
            thresholds=(Threshold(1.0, "all slots busy"),),
            write="{:.0%}".format,
        ),
        Panel(
            "p95 wait",
            (_bars(hours, [hour.wait_p95_s for hour in hours], 2),),
            thresholds=tuple(Threshold(limit, f"p95 wait <= {format_duration(limit)}") for limit in limits),
            note=_most(slowest.wait_p95_s, seconds, slowest, period_s),
            write=format_duration,
            ticks=duration_ticks,
            endless="backlog grows without end",
        ),
        Panel(
            "largest backlog, jobs",
            (_bars(hours, [hour.backlog_max for hour in hours], 3),),
            note=_most(fullest.backlog_max, number, fullest, period_s),
            write=number,
        ),
    )
    ends = [(hour.start_s, moment(hour.start_s, period_s)) for hour in hours] + [(period_s, moment(period_s, period_s))]
    name = "" if period_s == SECONDS_PER_DAY else "since the beginning"
    step_s = period_s / len(hours)
    account = (
        f"{count_of(fleet.replicas, 'replica')}: arrivals peak at {number(busiest.arrival_rate_per_s)} jobs per second "
        f"at {moment(busiest.start_s, period_s)}, the p95 wait at {seconds(slowest.wait_p95_s)} at "
        f"{moment(slowest.start_s, period_s)}, the backlog at {fullest.backlog_max:,} jobs."
    )
    title = "The day hour by hour" if period_s == SECONDS_PER_DAY else "The trace step by step"
    axis = Axis(0.0, period_s, tuple(ends), step_s, name)
    gone = plan.all_running.replicas - fleet.replicas
    title = f"{title}, {count_of(fleet.replicas, 'replica')}" + (f" ({gone} gone)" if gone else "")
    return Chart(title, account, axis, panels)


def _most(value: float | None, write: Callable[[float], str], hour: Hour, period_s: float) -> str:
    """Where a figure is highest; nothing where it always is 0."""
    return f"most {write(value)} at {moment(hour.start_s, period_s)}" if value else "none"


def _neighbours(plan: Plan) -> Chart:
    fleets = _rows(plan)
    named = (("p50", 3, "p50_s"), ("p95", 1, "p95_s"), ("p99", 2, "p99_s"))
    series = tuple(
        Series(
            f"{name} wait",
            tuple(_dot(place, fleet, name, getattr(fleet.wait, field)) for place, fleet in enumerate(fleets)),
            tone,
        )
        for name, tone, field in named
    )
    limits = [limit for limit in plan.demand.objectives if limit.signal == "wait"]
    panel = Panel(
        "wait",
        series,
        Form.LINES,
        thresholds=tuple(Threshold(limit.threshold_s, str(limit)) for limit in limits),
        height=240.0,
        write=lambda value_s: "<1 ms" if value_s <= _LEAST_DRAWN_S else format_duration(value_s),
        ticks=log_duration_ticks,
        is_log=True,
        endless="backlog grows without end",
    )
    ticks = tuple((float(place), f"{fleet.replicas:,}") for place, fleet in enumerate(fleets))
    chosen = next(place for place, fleet in enumerate(fleets) if fleet.replicas == plan.all_running.replicas)
    account = "; ".join(f"{count_of(fleet.replicas, 'replica')}: p95 {seconds(fleet.wait.p95_s)}" for fleet in fleets)
    axis = Axis(0.0, float(len(fleets)), ticks, 1.0, "replicas running", float(chosen))
    return Chart("Wait against replicas", f"{account}.", axis, (panel,))


def _dot(place: int, fleet: Fleet, name: str, value_s: float | None) -> Point:
    band = fleet.bands.get(name)
    return Point(place, value_s, band.low_s if band else None, band.high_s if band else None)


def _bars(hours: Sequence[Hour], values: Sequence[float | None], tone: int) -> Series:
    return Series("", tuple(Point(hour.start_s, value) for hour, value in zip(hours, values, strict=True)), tone)


def _rows(plan: Plan) -> tuple[Fleet, ...]:
    """The answer among its neighbours, or alone where these were not computed."""
    return plan.around or (plan.all_running,)


def _is_p95_wait(objective: Objective) -> bool:
    return objective.signal == "wait" and objective.quantile == 0.95


def _count(replicas: int | None, spare: int) -> str:
    return "-" if replicas is None else f"{replicas + spare:,}"

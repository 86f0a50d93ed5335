"""Charts as SVG text: some panels over one axis, with bars or lines, bands and thresholds.

A chart is a frozen value; :func:`draw` lays it out for a width and :func:`to_svg` makes a file of one or more drawings.
Every colour is a class of the stylesheet, so a page themes all its charts at once by the variables that
:data:`LIGHT` and :data:`DARK` name. Nothing outside the file is needed, and no script.

Layout. All words stand outside the plot: the panel's name, its legend and its thresholds' names above it, the values on
the left, the positions below the last panel. The left margin is as wide as its widest word, by widths of
characters that no common font exceeds, so nothing is cut off or written over. Stretches of the axis that are marked
for all panels are named above the first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from itertools import pairwise
from typing import Final

from jobctl.core.words import writable

__all__ = [
    "DARK",
    "LIGHT",
    "RULES",
    "Axis",
    "Chart",
    "Drawing",
    "Form",
    "Panel",
    "Point",
    "Series",
    "Span",
    "Threshold",
    "draw",
    "duration_ticks",
    "even_ticks",
    "fixed_style",
    "log_duration_ticks",
    "text",
    "theme_style",
    "to_svg",
]

#: The colours by the names of their CSS variables, which a page may use for the rest of it.
LIGHT: Final = {
    "paper": "#ffffff",
    "ink": "#1b2430",
    "muted": "#566171",
    "grid": "#e2e7ed",
    "tint": "#e9f0fc",
    "tone1": "#2b66c9",
    "tone2": "#c9701a",
    "tone3": "#7a55c7",
    "good": "#1b7f47",
    "alarm": "#c2303b",
}
DARK: Final = {
    "paper": "#11151b",
    "ink": "#e7ebf0",
    "muted": "#9ba6b4",
    "grid": "#2b333e",
    "tint": "#1a273b",
    "tone1": "#74a7ff",
    "tone2": "#f2ab62",
    "tone3": "#b9a2f5",
    "good": "#5bcb8d",
    "alarm": "#ff7d85",
}
#: What a chart's classes look like, in terms of the variables.
RULES: Final = """\
.c-paper{fill:var(--paper)}
.c-text{fill:var(--ink);font-size:12px}
.c-head{fill:var(--ink);font-size:13px;font-weight:bold}
.c-soft{fill:var(--muted);font-size:12px}
.c-bold{fill:var(--ink);font-size:12px;font-weight:bold}
.c-grid{stroke:var(--grid);stroke-width:1}
.c-base{stroke:var(--muted);stroke-width:1}
.c-tint{fill:var(--tint)}
.c-void{fill:var(--alarm);fill-opacity:.16}
.c-aside{fill:var(--muted);fill-opacity:.14}
.c-fault{fill:var(--alarm);fill-opacity:.2}
.c-event{stroke:var(--alarm);stroke-width:2;stroke-dasharray:2 2}
.c-fill1{fill:var(--tone1)}
.c-fill2{fill:var(--tone2)}
.c-fill3{fill:var(--tone3)}
.c-over{fill:var(--alarm)}
.c-line1{fill:none;stroke:var(--tone1);stroke-width:2}
.c-line2{fill:none;stroke:var(--tone2);stroke-width:2}
.c-line3{fill:none;stroke:var(--tone3);stroke-width:2;stroke-dasharray:5 3}
.c-band1{stroke:var(--tone1);stroke-width:9;stroke-opacity:.35}
.c-band2{stroke:var(--tone2);stroke-width:9;stroke-opacity:.35}
.c-band3{stroke:var(--tone3);stroke-width:9;stroke-opacity:.35}
.c-limit{stroke:var(--alarm);stroke-width:1.5;stroke-dasharray:6 3}
"""
_FONT: Final = 'system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif'
_FIXED_FONT: Final = '"DejaVu Sans",sans-serif'

#: Widths of characters over the font's size, for layout: digits and most letters of the widest common sans serif, and
#: those that are wider.
_USUAL_WIDTH: Final = 0.64
_BROAD_WIDTH: Final = 1.02
_BROAD: Final = frozenset("mwMWQOG@%&+=<>~#±µ≤≥…—")
_FIRST_BROAD: Final = "\u0250"
_SIZE: Final = 12
_HEAD_SIZE: Final = 14.6  # 13 in bold, which is wider
_LINE: Final = 18
_GAP: Final = 8
_HEAD_GAP: Final = 14
_PANEL_GAP: Final = 16
_SWATCH: Final = 16
#: Dots closer than this would run into each other, pixels; the line alone is drawn then.
_DOT_ROOM: Final = 16
#: Classes that fill an area.
_SHADES: Final = frozenset({"c-void", "c-aside", "c-fault"})
#: Less than this is drawn as 0.
_NOTHING: Final = 1e-12
#: Steps between the marks of a linear axis of durations, and the marks of a logarithmic one, seconds.
_DURATION_STEPS_S: Final = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 18_000, 43_200, 86_400)
_LOG_DURATIONS_S: Final = (
    1e-6,
    1e-5,
    1e-4,
    1e-3,
    1e-2,
    0.1,
    1.0,
    10.0,
    60.0,
    600.0,
    3600.0,
    36_000.0,
    432_000.0,
    4_320_000.0,
)


class Form(StrEnum):
    """How a panel shows its series."""

    #: A bar from the axis up, as wide as the axis's step; beyond the first threshold in the colour of alarm.
    BARS = "bars"
    #: Dots joined by lines, broken where a value is missing; lines alone where the dots would be too many.
    LINES = "lines"


@dataclass(frozen=True, slots=True)
class Point:
    """One value.

    Attributes:
        x: Its position, in the axis's unit; with bars the left edge.
        y: The value; None where there is none, infinite where it has no end.
        low: Where a band about it begins; None without a band.
        high: Where that ends.
    """

    x: float
    y: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """Values of one kind.

    Attributes:
        name: What the legend calls it; no legend where it is empty.
        points: From left to right.
        tone: Which of the three colours.
    """

    name: str
    points: tuple[Point, ...]
    tone: int = 1


@dataclass(frozen=True, slots=True)
class Threshold:
    """A value that is drawn across the panel.

    Attributes:
        value: Where.
        name: What it is.
    """

    value: float
    name: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot of a chart.

    Attributes:
        name: What it shows, unit included.
        series: The values.
        form: Bars or lines.
        thresholds: Lines across it.
        height: Of the plot, pixels.
        note: A remark beside the name, such as the peak.
        write: Writes a value of the vertical axis.
        ticks: Chooses the values that are written, from the greatest value that must fit; None for the usual ones.
        is_log: Whether the vertical axis is logarithmic; ``ticks`` are then to be given, and what is smaller than the
            first of them is drawn there.
        endless: What an infinite value means; its whole column is shaded and the legend says so.
    """

    name: str
    series: tuple[Series, ...]
    form: Form = Form.BARS
    thresholds: tuple[Threshold, ...] = ()
    height: float = 90.0
    note: str = ""
    write: Callable[[float], str] = "{:g}".format
    ticks: Callable[[float], Sequence[float]] | None = None
    is_log: bool = False
    endless: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the axis that is marked in every panel; a line where it has no length.

    Attributes:
        low: Where it begins.
        high: Where it ends.
        name: What it is; spans of one name have one entry in the legend.
        is_fault: Whether it is something that went wrong, else a stretch that is only set apart.
    """

    low: float
    high: float
    name: str
    is_fault: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """The horizontal axis that the panels share.

    Attributes:
        low: Its left end.
        high: Its right end.
        ticks: Positions and what is written there; only as many are written as fit.
        step: Width of a bar or column; dots stand in its middle. 0 for a continuous axis.
        name: What it shows.
        chosen: The position whose column is set off and written in bold; None for none.
        spans: Stretches of it that are marked.
    """

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    step: float = 1.0
    name: str = ""
    chosen: float | None = None
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Chart:
    """Panels over one axis.

    Attributes:
        name: What the chart shows.
        account: The same for those who cannot see it, in a sentence with figures.
        axis: The shared axis.
        panels: From top to bottom.
    """

    name: str
    account: str
    axis: Axis
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A chart laid out.

    Attributes:
        width: Pixels.
        height: Pixels.
        body: SVG elements.
        name: The chart's name.
        account: The chart's account.
    """

    width: float
    height: float
    body: str
    name: str
    account: str


def text(value: str) -> str:
    """Text for an element or attribute of HTML or SVG: escaped, and what XML cannot hold replaced."""
    return escape(writable(value))


def theme_style() -> str:
    """The stylesheet of a file or page that follows the reader's light or dark theme."""
    light, dark = (";".join(f"--{name}:{colour}" for name, colour in theme.items()) for theme in (LIGHT, DARK))
    return (
        f":root{{color-scheme:light dark;{light}}}\n@media (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
        f"svg text{{font-family:{_FONT}}}\n{RULES}"
    )


def fixed_style() -> str:
    """The same in the light theme without variables, for renderers that know none."""
    rules = re.sub(r"var\(--(\w+)\)", lambda match: LIGHT[match[1]], RULES)
    return f"text{{font-family:{_FIXED_FONT}}}\n{rules}"


def to_svg(drawings: Sequence[Drawing], style: str, heading: str = "") -> str:
    """One file of drawings below each other.

    Args:
        drawings: From top to bottom, of one width.
        style: From :func:`theme_style` or :func:`fixed_style`; empty inside a page that has it.
        heading: Text above them, folded to the width.
    """
    width = max(drawing.width for drawing in drawings)
    parts, y = [], 0.0
    if heading:
        for line in _folded(heading, width - 2 * _GAP):
            y += _LINE
            parts.append(f'<text class="c-head" x="{_GAP}" y="{_px(y)}">{text(line)}</text>')
        y += _GAP
    for drawing in drawings:
        if len(drawings) > 1:
            y += _LINE + _GAP
            parts.append(f'<text class="c-head" x="{_GAP}" y="{_px(y)}">{text(drawing.name)}</text>')
            y += _GAP
        parts.append(f'<g transform="translate(0 {_px(y)})">{drawing.body}</g>')
        y += drawing.height
    name = text("; ".join(drawing.name for drawing in drawings))
    account = text(" ".join(drawing.account for drawing in drawings))
    ground = f'<style>{style}</style><rect class="c-paper" width="{_px(width)}" height="{_px(y)}"/>' if style else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_px(width)} {_px(y)}" width="{_px(width)}" '
        f'height="{_px(y)}" role="img" aria-label="{name}"><title>{name}</title><desc>{account}</desc>{ground}'
        f"{''.join(parts)}</svg>"
    )


def draw(chart: Chart, width: float) -> Drawing:
    """Lay a chart out for a width in pixels."""
    scales = [_Scale.of(panel) for panel in chart.panels]
    left = _GAP + max(_wide(word) for scale in scales for word in scale.words.values()) + _GAP
    right = width - _GAP - max((_wide(word) / 2 for _, word in chart.axis.ticks), default=0)
    parts: list[str] = []
    y = 0.0
    legend = list({span.name: ("c-text", span.name, _mark(span)) for span in chart.axis.spans}.values())
    if legend:
        y = _add_lines(parts, _laid_out(legend, _GAP, width - _GAP), y) + _GAP
    for panel, scale in zip(chart.panels, scales, strict=True):
        y = _add_lines(parts, _head(panel, left=_GAP, right=width - _GAP), y) + _HEAD_GAP
        plot = _Plot(chart.axis, scale, left, right, y, y + panel.height)
        parts += _panel(panel, plot)
        y += panel.height + _PANEL_GAP
    parts += _foot(chart.axis, left, right, y)
    y += _LINE * (2 if chart.axis.name else 1)
    return Drawing(width, y, "".join(parts), chart.name, chart.account)


def even_ticks(high: float) -> list[float]:
    """From 0 past a value in three to five even steps of 1, 2 or 5 times a power of ten."""
    if high < _NOTHING:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(high))
    step = next(step for step in (power / 10 * m for m in (1, 2, 5, 10, 20, 50)) if high / step <= 4)
    return [step * number for number in range(math.ceil(high / step - 1e-9) + 1)]


def duration_ticks(high_s: float) -> list[float]:
    """The same for seconds, in steps that are whole minutes or hours where they are long."""
    if high_s <= 4 * _DURATION_STEPS_S[0] or high_s > 4 * _DURATION_STEPS_S[-1]:
        return even_ticks(high_s)
    step = next(step for step in _DURATION_STEPS_S if high_s / step <= 4)
    return [float(step * number) for number in range(math.ceil(high_s / step - 1e-9) + 1)]


def log_duration_ticks(high_s: float, low_s: float = 1e-3) -> list[float]:
    """From ``low_s`` or what is next below it past ``high_s``, each about ten times the last, as people say them."""
    first = max((place for place, value in enumerate(_LOG_DURATIONS_S) if value <= low_s), default=0)
    last = next((place for place, value in enumerate(_LOG_DURATIONS_S) if value >= high_s), len(_LOG_DURATIONS_S) - 1)
    return list(_LOG_DURATIONS_S[first : max(last, first + 1) + 1])


@dataclass(frozen=True, slots=True)
class _Scale:
    """The vertical axis of a panel: from ``low`` at the bottom to ``high`` at the top, and the words beside it."""

    low: float
    high: float
    words: dict[float, str]
    is_log: bool

    @classmethod
    def of(cls, panel: Panel) -> _Scale:
        shown = [value for series in panel.series for point in series.points for value in (point.y, point.high)]
        values = [value for value in shown if value is not None and math.isfinite(value)]
        most = max([*values, *(threshold.value for threshold in panel.thresholds)], default=0.0)
        ticks = (panel.ticks or even_ticks)(most)
        return cls(ticks[0], ticks[-1], {tick: panel.write(tick) for tick in ticks}, panel.is_log)

    def share(self, value: float) -> float:
        """How far up a value stands, 0 at the bottom to 1 at the top."""
        inside = min(max(value, self.low), self.high)
        if self.is_log:
            return math.log(inside / self.low) / math.log(self.high / self.low)
        return (inside - self.low) / (self.high - self.low)


@dataclass(frozen=True, slots=True)
class _Plot:
    """Where a panel's plot is, and where a value of it comes to be."""

    axis: Axis
    scale: _Scale
    left: float
    right: float
    top: float
    bottom: float

    def x(self, position: float) -> float:
        return _across(self.axis, position, self.left, self.right)

    def y(self, value: float) -> float:
        return self.bottom - self.scale.share(value) * (self.bottom - self.top)


def _panel(panel: Panel, plot: _Plot) -> Iterator[str]:
    if plot.axis.chosen is not None:
        yield _column("c-tint", plot, plot.axis.chosen)
    for span in plot.axis.spans:
        yield _spanned(span, plot)
    for value in plot.scale.words:
        yield _across_line("c-grid", plot, value)
    for position in sorted({point.x for series in panel.series for point in series.points if _is_endless(point)}):
        yield _column("c-void", plot, position)
    for series in panel.series:
        yield from _bars(panel, series, plot) if panel.form is Form.BARS else _lines(series, plot)
    yield _across_line("c-base", plot, plot.scale.low)
    for threshold in panel.thresholds:
        yield _across_line("c-limit", plot, threshold.value)
    for value, word in plot.scale.words.items():
        yield _words("c-soft", plot.left - _GAP, plot.y(value) + 4, word, "end")


def _bars(panel: Panel, series: Series, plot: _Plot) -> Iterator[str]:
    limit = panel.thresholds[0].value if panel.thresholds else math.inf
    width = plot.x(plot.axis.low + plot.axis.step) - plot.x(plot.axis.low)
    for point in series.points:
        if point.y is not None and math.isfinite(point.y) and point.y > 0:
            height = max(1.0, plot.bottom - plot.y(point.y))
            kind = "c-over" if point.y > limit else f"c-fill{series.tone}"
            yield _box(kind, plot.x(point.x) + 0.1 * width, plot.bottom - height, 0.8 * width, height)


def _lines(series: Series, plot: _Plot) -> Iterator[str]:
    half = plot.axis.step / 2
    run: list[tuple[float, float]] = []
    dots: list[str] = []
    for point in series.points:
        if point.y is None or math.isinf(point.y):
            yield from _joined(series, run, dots)
            run = []
            continue
        x, y = plot.x(point.x + half), plot.y(point.y)
        if point.low is not None and point.high is not None:
            ends = f'y1="{_px(plot.y(point.low))}" y2="{_px(plot.y(point.high))}"'
            yield f'<line class="c-band{series.tone}" x1="{_px(x)}" x2="{_px(x)}" {ends}/>'
        run.append((x, y))
    yield from _joined(series, run, dots)
    yield from dots


def _joined(series: Series, run: Sequence[tuple[float, float]], dots: list[str]) -> Iterator[str]:
    """The line through a run of points; their dots are added to those that are drawn over all lines."""
    if len(run) > 1:
        points = " ".join(f"{_px(x)},{_px(y)}" for x, y in run)
        yield f'<polyline class="c-line{series.tone}" points="{points}"/>'
    if len(run) == 1 or (run and run[-1][0] - run[0][0] >= _DOT_ROOM * (len(run) - 1)):
        dots += (f'<circle class="c-fill{series.tone}" cx="{_px(x)}" cy="{_px(y)}" r="3"/>' for x, y in run)


def _head(panel: Panel, left: float, right: float) -> list[str]:
    """The lines above a plot, each from its own baseline: name and note, then the legend and the thresholds' names."""
    words = [("c-head", panel.name, "")]
    words += [("c-soft", panel.note, "")] if panel.note else []
    words += [("c-text", series.name, f"c-line{series.tone}") for series in panel.series if series.name]
    words += [("c-text", threshold.name, "c-limit") for threshold in panel.thresholds]
    if panel.endless and any(_is_endless(point) for series in panel.series for point in series.points):
        words.append(("c-text", panel.endless, "c-void"))
    return _laid_out(words, left, right)


def _laid_out(words: Sequence[tuple[str, str, str]], left: float, right: float) -> list[str]:
    """Class, text and swatch of each word, in as many lines as they need."""
    lines, x = [""], left
    for kind, word, swatch in words:
        indent = _SWATCH + 6 if swatch else 0
        size = _HEAD_SIZE if kind == "c-head" else _SIZE
        if x > left and x + indent + _wide(word, size) > right:
            lines.append("")
            x = left
        first, *more = _folded(word, right - x - indent, size)
        lines[-1] += (_sample(swatch, x) if swatch else "") + _words(kind, x + indent, 0, first)
        x += indent + _wide(first, size) + 2 * _GAP
        for piece in more:
            lines.append(_words(kind, left + indent, 0, piece))
            x = left + indent + _wide(piece, size) + 2 * _GAP
    return lines


def _add_lines(parts: list[str], lines: Sequence[str], y: float) -> float:
    """Put lines below each other, and tell where the last one stands."""
    for line in lines:
        y += _LINE
        parts.append(f'<g transform="translate(0 {_px(y)})">{line}</g>')
    return y


def _mark(span: Span) -> str:
    if not span.is_fault:
        return "c-aside"
    return "c-fault" if span.high > span.low else "c-event"


def _spanned(span: Span, plot: _Plot) -> str:
    low, high = (min(max(place, plot.axis.low), plot.axis.high) for place in (span.low, span.high))
    x = _px(plot.x(low))
    if span.high > span.low:
        return _box(_mark(span), plot.x(low), plot.top, plot.x(high) - plot.x(low), plot.bottom - plot.top)
    return f'<line class="{_mark(span)}" x1="{x}" x2="{x}" y1="{_px(plot.top)}" y2="{_px(plot.bottom)}"/>'


def _sample(kind: str, x: float) -> str:
    """A piece of a line, or of a shade, before a legend's word."""
    if kind in _SHADES:
        return _box(kind, x, -9, _SWATCH, 10)
    return f'<line class="{kind}" x1="{_px(x)}" x2="{_px(x + _SWATCH)}" y1="-4" y2="-4"/>'


def _foot(axis: Axis, left: float, right: float, y: float) -> Iterator[str]:
    half = axis.step / 2 if axis.chosen is not None else 0.0
    for position, word in _fitting(axis, left, right):
        kind = "c-bold" if position == axis.chosen else "c-soft"
        yield _words(kind, _across(axis, position + half, left, right), y, word, "middle")
    if axis.name:
        yield _words("c-soft", (left + right) / 2, y + _LINE, axis.name, "middle")


def _fitting(axis: Axis, left: float, right: float) -> Sequence[tuple[float, str]]:
    """As many ticks as have room beside each other, evenly chosen."""
    room = max((_wide(word) for _, word in axis.ticks), default=0) + _GAP
    for stride in (1, 2, 3, 4, 6, 8, 12, 24):
        chosen = axis.ticks[::stride]
        places = [_across(axis, position, left, right) for position, _ in chosen]
        if all(after - before >= room for before, after in pairwise(places)):
            return chosen
    return axis.ticks[:1]


def _column(kind: str, plot: _Plot, position: float) -> str:
    start, end = plot.x(position), plot.x(position + plot.axis.step)
    return _box(kind, start, plot.top, end - start, plot.bottom - plot.top)


def _across_line(kind: str, plot: _Plot, value: float) -> str:
    y = _px(plot.y(value))
    return f'<line class="{kind}" x1="{_px(plot.left)}" x2="{_px(plot.right)}" y1="{y}" y2="{y}"/>'


def _across(axis: Axis, position: float, left: float, right: float) -> float:
    return left + (position - axis.low) / (axis.high - axis.low) * (right - left)


def _box(kind: str, x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="{kind}" x="{_px(x)}" y="{_px(y)}" width="{_px(width)}" height="{_px(height)}"/>'


def _words(kind: str, x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{_px(x)}" y="{_px(y)}" text-anchor="{anchor}">{text(words)}</text>'


def _is_endless(point: Point) -> bool:
    return point.y is not None and math.isinf(point.y)


def _folded(words: str, width: float, size: float = _HEAD_SIZE) -> list[str]:
    """Text broken into lines that fit a width; a word that is longer than a line is cut."""
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if _wide(longer, size) <= width:
            lines[-1] = longer
            continue
        lines.append("")
        for character in word:
            if lines[-1] and _wide(lines[-1] + character, size) > width:
                lines.append("")
            lines[-1] += character
    return [line for line in lines if line] or [""]


def _wide(words: str, size: float = _SIZE) -> float:
    """An upper bound of a text's width, pixels."""
    broad = sum(character in _BROAD or character >= _FIRST_BROAD for character in words)
    return size * (_BROAD_WIDTH * broad + _USUAL_WIDTH * (len(words) - broad))


def _px(value: float) -> str:
    """A length to a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")

"""Charts: well-formed, within their frame, and no word on a plot."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree as Xml

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.core.charts import (
    DARK,
    LIGHT,
    RULES,
    Axis,
    Chart,
    Form,
    Panel,
    Point,
    Series,
    Span,
    Threshold,
    draw,
    duration_ticks,
    even_ticks,
    fixed_style,
    log_duration_ticks,
    text,
    theme_style,
    to_svg,
)

SVG = "{http://www.w3.org/2000/svg}"
#: Widths of DejaVu Sans' digits and of most of its letters, over the font's size: as wide as a common font gets.
DIGIT = 0.636
WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=60)
VALUES = st.none() | st.floats(0, 1e12) | st.just(math.inf)


@dataclass(frozen=True)
class Box:
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


def hours(*values: float | None, tone: int = 1, name: str = "") -> Series:
    return Series(name, tuple(Point(place, value) for place, value in enumerate(values)), tone)


def chart(*panels: Panel, columns: int = 24, chosen: float | None = None, name: str = "") -> Chart:
    ticks = tuple((float(hour), f"{hour:02}:00") for hour in range(columns + (chosen is None)))
    return Chart("A day", "What happens.", Axis(0, columns, ticks, 1.0, name, chosen), panels)


def tree(one: Chart, width: float = 720) -> Xml.Element:
    return Xml.fromstring(to_svg([draw(one, width)], theme_style()))


def placed(node: Xml.Element, x: float = 0.0, y: float = 0.0) -> Iterator[tuple[Xml.Element, float, float]]:
    """Every element, with what its groups move it by."""
    for child in node:
        moved = re.fullmatch(r"translate\((\S+) (\S+)\)", child.get("transform", ""))
        dx, dy = (float(moved[1]), float(moved[2])) if moved else (0.0, 0.0)
        yield child, x + dx, y + dy
        yield from placed(child, x + dx, y + dy)


def words_of(root: Xml.Element) -> Iterator[tuple[str, Box]]:
    for node, dx, dy in placed(root):
        if node.tag == f"{SVG}text":
            size = 13 if node.get("class") == "c-head" else 12
            wide = DIGIT * size * len(node.text or "")
            left = (
                float(node.get("x", 0))
                + dx
                - {"start": 0, "middle": wide / 2, "end": wide}[node.get("text-anchor", "start")]
            )
            base = float(node.get("y", 0)) + dy
            yield node.text or "", Box(left, base - 0.75 * size, left + wide, base + 0.2 * size)


def plots_of(root: Xml.Element) -> Iterator[Box]:
    """The ground that the grid of each panel covers."""
    grid: list[tuple[float, float, float]] = []
    for node, _, dy in placed(root):
        if node.tag == f"{SVG}line" and node.get("class") == "c-grid":
            grid.append((float(node.get("x1", 0)), float(node.get("x2", 0)), float(node.get("y1", 0)) + dy))
        elif node.tag == f"{SVG}line" and node.get("class") == "c-base":
            yield Box(grid[0][0], min(y for *_, y in grid), grid[0][1], max(y for *_, y in grid))
            grid = []


@given(
    st.lists(VALUES, min_size=1, max_size=30),
    WORDS,
    WORDS,
    WORDS,
    st.floats(1e-3, 1e9),
    st.sampled_from([344, 720, 880]),
)
@settings(max_examples=80)
def test_no_word_lies_on_a_plot_or_beyond_the_frame(
    values: list[float | None], name: str, note: str, legend: str, limit: float, width: int
) -> None:
    thresholds = (Threshold(limit, f"limit {legend}"),)
    bars = Panel(name, (hours(*values),), thresholds=thresholds, note=note, write="{:.3g}".format)
    lines = Panel(
        name,
        (hours(*values, name=legend), hours(*reversed(values), tone=2, name="other")),
        Form.LINES,
        thresholds,
        ticks=log_duration_ticks,
        is_log=True,
        endless="without end",
    )
    root = tree(chart(bars, lines, columns=len(values), name=note), width)
    height = float(root.get("height", 0))
    plots = list(plots_of(root))
    assert len(plots) == 2
    for word, box in words_of(root):
        assert box.left >= 0, word
        assert box.right <= width, word
        assert box.bottom <= height, word
        assert not any(box.meets(plot) for plot in plots), word


@given(st.lists(VALUES, min_size=1, max_size=30))
def test_whatever_is_drawn_is_drawn_within_the_plot_and_as_a_number(values: list[float | None]) -> None:
    panel = Panel("wait", (hours(*values),), Form.LINES, ticks=log_duration_ticks, is_log=True)
    root = tree(chart(panel, Panel("jobs", (hours(*values),)), columns=len(values)))
    plots = list(plots_of(root))
    for node, _, _ in placed(root):
        if node.tag == f"{SVG}circle":
            assert plots[0].top <= float(node.get("cy", "nan")) <= plots[0].bottom
        if node.tag == f"{SVG}rect" and (node.get("class") or "").startswith("c-fill"):
            top = float(node.get("y", "nan"))
            assert plots[1].top - 0.1 <= top <= top + float(node.get("height", "nan")) <= plots[1].bottom + 0.1


def test_a_bar_is_as_high_as_its_value() -> None:
    root = tree(chart(Panel("jobs", (hours(0, 1, 2, 4, None),)), columns=5))
    (plot,) = plots_of(root)
    bars = [float(node.get("height", 0)) for node in root.iter(f"{SVG}rect") if node.get("class") == "c-fill1"]
    assert bars == pytest.approx([(plot.bottom - plot.top) * value / 4 for value in (1, 2, 4)], abs=0.1)


def test_a_bar_beyond_the_threshold_is_set_off() -> None:
    root = tree(chart(Panel("wait", (hours(0.5, 1.0, 1.5),), thresholds=(Threshold(1.0, "limit"),)), columns=3))
    assert [node.get("class") for node in root.iter(f"{SVG}rect")][1:] == ["c-fill1", "c-fill1", "c-over"]


def test_the_threshold_lies_in_the_plot_even_if_all_values_are_far_below_it() -> None:
    root = tree(chart(Panel("wait", (hours(0.01, 0.02),), thresholds=(Threshold(60.0, "limit"),)), columns=2))
    (plot,) = plots_of(root)
    lines = [node for node in root.iter(f"{SVG}line") if node.get("class") == "c-limit"]
    sample, line = lines
    assert float(sample.get("y1", 0)) < 0
    assert plot.top <= float(line.get("y1", 0)) <= plot.bottom


def test_a_missing_value_breaks_the_line_and_an_endless_one_shades_its_column() -> None:
    panel = Panel("wait", (hours(1, 2, None, 3, 4, math.inf, name="p95"),), Form.LINES, endless="without end")
    root = tree(chart(panel, columns=6))
    lines = [node.get("points", "") for node in root.iter(f"{SVG}polyline")]
    assert [len(points.split()) for points in lines] == [2, 2]
    shaded = [node for node in root.iter(f"{SVG}rect") if node.get("class") == "c-void"]
    assert len(shaded) == 2  # the column, and its sample in the legend
    assert "without end" in {word for word, _ in words_of(root)}


def test_a_legend_names_what_is_shaded_only_where_something_is() -> None:
    root = tree(chart(Panel("wait", (hours(1, 2, name="p95"),), Form.LINES, endless="without end"), columns=2))
    assert "without end" not in {word for word, _ in words_of(root)}


def test_the_chosen_column_is_set_off_and_its_tick_is_bold() -> None:
    root = tree(chart(Panel("wait", (hours(3, 2, 1),), Form.LINES), columns=3, chosen=1.0))
    bold = [node.text for node in root.iter(f"{SVG}text") if node.get("class") == "c-bold"]
    assert bold == ["01:00"]
    assert len([node for node in root.iter(f"{SVG}rect") if node.get("class") == "c-tint"]) == 1


def test_as_many_ticks_are_written_as_fit() -> None:
    def written(width: float) -> list[str]:
        words = [word for word, _ in words_of(tree(chart(Panel("jobs", (hours(1),))), width))]
        return [word for word in words if re.fullmatch(r"\d\d:00", word)]

    assert len(written(1600)) == 25
    assert written(344) == ["00:00", "06:00", "12:00", "18:00", "24:00"]


def test_words_are_escaped_and_what_xml_cannot_hold_is_replaced() -> None:
    name = 'a <b> & "c" \x00 \ud800'
    root = tree(chart(Panel(name, (hours(1, name=name),), Form.LINES, note=name), columns=1))
    assert any(word.startswith('a <b> & "c" \ufffd') for word, _ in words_of(root))
    assert text("'\x0b") == "&#x27;\ufffd"


def test_every_colour_is_a_variable_of_both_themes() -> None:
    assert LIGHT.keys() == DARK.keys()
    assert set(re.findall(r"var\(--(\w+)\)", RULES)) <= LIGHT.keys()
    assert "var(" not in fixed_style()
    assert "prefers-color-scheme:dark" in theme_style()


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_words_and_lines_stand_out_from_the_paper_as_wcag_asks(theme: dict[str, str]) -> None:
    def contrast(name: str, ground: str) -> float:
        one, other = sorted((luminance(theme[name]), luminance(theme[ground])))
        return (other + 0.05) / (one + 0.05)

    for name in ("ink", "muted", "good", "alarm"):
        assert contrast(name, "paper") >= 4.5, name
    for name in ("ink", "muted"):
        assert contrast(name, "tint") >= 4.5, name
    for name in ("tone1", "tone2", "tone3"):
        assert contrast(name, "paper") >= 3, name


@given(st.floats(0, 1e12))
def test_ticks_reach_past_the_greatest_value_in_few_even_steps(high: float) -> None:
    for ticks in (even_ticks(high), duration_ticks(high)):
        assert ticks[0] == 0
        assert ticks[-1] >= high * (1 - 1e-6)
        assert 2 <= len(ticks) <= 6
        assert ticks == pytest.approx([ticks[1] * place for place in range(len(ticks))])


@given(st.floats(1e-3, 4e6))
def test_logarithmic_ticks_reach_past_the_greatest_value(high: float) -> None:
    assert log_duration_ticks(high)[0] == 1e-3
    assert log_duration_ticks(high)[-1] >= high


def test_long_durations_are_marked_at_whole_minutes_and_hours() -> None:
    assert duration_ticks(700) == [0, 300, 600, 900]
    assert duration_ticks(15_000) == [0, 7200, 14_400, 21_600]


def test_drawings_are_stacked_under_the_heading() -> None:
    one = draw(chart(Panel("jobs", (hours(1, 2),)), columns=2), 344)
    root = Xml.fromstring(to_svg([one, one], theme_style(), "an answer " * 20))
    assert float(root.get("height", 0)) > 2 * one.height
    plots = list(plots_of(root))
    assert len(plots) == 2
    assert not plots[0].meets(plots[1])
    heads = [word for word, box in words_of(root) if box.top < plots[0].top]
    assert " ".join(heads).startswith("an answer an answer")


def timed(panel: Panel, *spans: Span) -> Chart:
    ticks = tuple((float(tick), f"{tick} s") for tick in range(0, 61, 20))
    return Chart("A run", "What happens.", Axis(0.0, 60.0, ticks, 0.0, "", spans=spans), (panel, panel))


def marked(root: Xml.Element, kind: str, tag: str) -> list[Xml.Element]:
    return [node for node in root.iter(f"{SVG}{tag}") if node.get("class") == kind]


@given(st.floats(-10, 70), st.floats(-10, 70), WORDS)
def test_a_stretch_is_marked_in_every_panel_within_its_plot_and_named_once(one: float, other: float, name: str) -> None:
    span = Span(min(one, other), max(one, other), name, is_fault=True)
    root = tree(timed(Panel("jobs", (hours(1, 2),), Form.LINES), Span(0, 6, "warm-up"), span))
    plots = list(plots_of(root))
    shades = [node for node in marked(root, "c-fault", "rect") if float(node.get("height", 0)) > 20]
    if span.high > span.low:
        assert len(shades) == 2
    for node in shades:
        assert float(node.get("x", 0)) >= plots[0].left - 0.1
        assert float(node.get("x", 0)) + float(node.get("width", 0)) <= plots[0].right + 0.2
    words = [word for word, _ in words_of(root)]
    assert words.count("warm-up") == 1


def test_a_moment_is_a_line_in_every_panel() -> None:
    root = tree(timed(Panel("jobs", (hours(1, 2),), Form.LINES), Span(30, 30, "killed", is_fault=True)))
    plots = list(plots_of(root))
    lines = [line for line in marked(root, "c-event", "line") if line.get("x1") == line.get("x2")]

    assert len(lines) == 2
    middle = (plots[0].left + plots[0].right) / 2
    assert all(float(line.get("x1", 0)) == pytest.approx(middle, abs=0.1) for line in lines)


@pytest.mark.parametrize(("points", "dots"), [(5, 5), (300, 0)])
def test_dots_are_drawn_where_they_can_be_told_apart(points: int, dots: int) -> None:
    series = Series("", tuple(Point(60 * place / points, 1.0) for place in range(points)))
    root = tree(Chart("A run", "", Axis(0.0, 60.0, ((0.0, "0 s"),), 0.0), (Panel("jobs", (series,), Form.LINES),)))

    assert len(marked(root, "c-fill1", "circle")) == dots
    assert len(marked(root, "c-line1", "polyline")) == 1


def test_a_value_between_two_gaps_is_a_dot_however_many_there_are() -> None:
    values = [1.0 if place % 2 else None for place in range(300)]
    series = Series("", tuple(Point(place / 5, value) for place, value in enumerate(values)))
    root = tree(Chart("A run", "", Axis(0.0, 60.0, ((0.0, "0 s"),), 0.0), (Panel("jobs", (series,), Form.LINES),)))

    assert len(marked(root, "c-fill1", "circle")) == 150


@given(st.floats(1e-6, 4e6), st.floats(1e-6, 4e6))
def test_logarithmic_ticks_begin_below_the_least_value(low: float, high: float) -> None:
    ticks = log_duration_ticks(high, low)
    assert ticks[0] <= low
    assert ticks[-1] >= high or len(ticks) == 2
    assert ticks == sorted(set(ticks))

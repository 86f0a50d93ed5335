"""The report: whole, self-contained, and true to the plan."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as Xml

import pytest

from jobctl.apps.plan.report import Format, Report, check_report_target, to_html, to_svg_file
from jobctl.core.demand import Assumption, Machine
from jobctl.core.plans import Answers, Binding, Hour, Plan
from jobctl.core.profiles import Spike, diurnal_profile
from jobctl.core.slo import Objective, Window
from jobctl.core.traces import parse_trace
from jobctl.errors import InvalidOption
from support.plans import ASSUMPTIONS, make_demand, make_plan, make_plan_on_the_edge

#: HTML's elements without an end.
VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """The text of each element's kind, and whether every element ends where it should."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[tuple[str, str]] = []
        self.links: list[tuple[str, str]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [(tag, name) for name, _ in attrs if name in {"src", "href", "srcset", "action", "xlink:href"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and self.open:
            self.words.append((self.open[-1], data.strip()))

    def of(self, tag: str) -> list[str]:
        return [words for kind, words in self.words if kind == tag]


def report(plan: Plan, answer: str = "2 replicas of 25 slots carry it.", **changes: object) -> Report:
    return replace(Report(plan, answer, ASSUMPTIONS, "1.2.3"), **changes)  # type: ignore[arg-type]


def page(plan: Plan, **changes: object) -> Page:
    parsed = Page(to_html(report(plan, **changes)))
    assert parsed.open == []
    return parsed


def a_day(**changes: object) -> Plan:
    demand = make_demand(
        5.2,
        12.0,
        scv=2,
        profile=diurnal_profile(5.2, 2.5),
        machine=Machine(cpu_per_job_s=0.02, memory_bytes=180e6),
        **changes,  # type: ignore[arg-type]
    )
    return make_plan(demand, simulated=True)


def test_the_page_tells_the_answer_and_how_it_stands() -> None:
    shown = page(make_plan())
    assert shown.of("h1") == ["2 replicas of 25 slots carry it."]
    assert shown.of("title")[0] == "2 replicas of 25 slots carry it."
    assert "holds" in shown.of("span")
    assert "does not hold" in page(make_plan(make_demand(4.5), 1)).of("span")
    assert "on the edge: 3 or 4 replicas" in page(make_plan_on_the_edge()).of("span")


def test_each_row_of_the_table_is_one_number_of_replicas() -> None:
    plan = a_day()
    rows = re.findall(r"<tr(?: class=chosen)?><td>(\d+)</td><td>(yes|no|\?)</td>", to_html(report(plan)))
    assert rows == [(str(fleet.replicas), "yes" if fleet.holds else "no") for fleet in plan.around]
    chosen = re.findall(r"<tr class=chosen><td>(\d+)</td>", to_html(report(plan)))
    assert chosen == [str(plan.all_running.replicas)]


def test_costs_are_shown_where_they_are_known_and_are_never_nothing() -> None:
    assert "cost a month" in page(a_day()).of("dt")
    assert any(words.startswith("Prices:") for words in page(a_day()).of("p"))
    plain = page(make_plan())
    assert "cost a month" not in plain.of("dt")
    assert "cost a month" not in plain.of("th")


def test_all_sections_are_there_for_a_simulated_day() -> None:
    heads = page(a_day()).of("h2")
    assert [head.split(",")[0] for head in heads] == [
        "The answer and its neighbours",
        "The day hour by hour",
        "Wait against replicas",
        "Waits by window",
        "What another question would need",
        "What it rests on",
        "How it was computed",
    ]


def test_a_plan_by_closed_form_has_no_day_and_says_so() -> None:
    shown = page(make_plan())
    assert not any("hour by hour" in head or "by window" in head for head in shown.of("h2"))
    assert "jobctl 1.2.3, seed 1, closed forms alone, nothing simulated." in shown.of("p")


def test_the_day_is_that_of_the_fleet_that_the_promise_is_made_for() -> None:
    plan = a_day()
    assert plan.spare_gone is not None
    assert f"The day hour by hour, {plan.spare_gone.replicas} replicas (1 gone)" in page(plan).of("h2")
    whole = replace(plan, required=frozenset({Binding.SLOTS}))
    assert f"The day hour by hour, {plan.all_running.replicas} replicas" in page(whole).of("h2")


def test_every_assumption_stands_beside_its_source() -> None:
    cells = page(make_plan()).of("td")
    place = cells.index("service-time")
    assert cells[place : place + 3] == ["service-time", "8 s", "bench r.json"]


def test_the_page_asks_for_nothing_and_runs_nothing() -> None:
    text = to_html(report(a_day()))
    shown = Page(text)
    assert shown.links == []
    assert "script" not in text
    assert not re.search(r"@import|url\(", text)
    assert "default-src 'none'" in text


def test_whatever_comes_from_outside_is_escaped() -> None:
    evil = '<script>alert(1)</script> & "it\'s" \x00'
    plan = replace(a_day(), reason=evil, relief=evil)
    plan = replace(plan, demand=replace(plan.demand, profile=replace(plan.demand.profile, name=evil)))
    text = to_html(report(plan, answer=evil, assumptions=(Assumption(evil, evil, evil),), version=evil))
    assert "<script" not in text
    assert "\x00" not in text
    assert Page(text).open == []
    assert any('<script>alert(1)</script> & "it\'s"' in words for words in Page(text).of("td"))


def test_long_names_and_huge_numbers_are_no_matter() -> None:
    plan = make_plan(make_demand(1e9 / 86_400, 30.0, concurrency=100), simulated=True)
    long = Assumption("from", "x" * 400, "redis://" + "y" * 400)
    shown = page(plan, assumptions=(long,), answer="very " * 100 + "long")
    assert "x" * 400 in shown.of("td")
    assert any(re.fullmatch(r"\d,\d{3}", words) for words in shown.of("td"))


def test_nothing_that_was_not_computed_is_shown_as_a_number() -> None:
    plan = make_plan(make_demand(4.5), 1, answers=Answers(None, None, None), sensitivity=())
    text = to_html(report(plan))
    assert not re.search(r"\b(nan|inf|None)\b", text)
    assert "What another question would need" not in text
    assert "endless" in Page(text).of("dd")


def test_a_plan_without_neighbours_shows_the_answer_alone() -> None:
    plan = make_plan(around=(), holds_one_gone=())
    shown = page(plan)
    assert shown.of("th")[0] == "replicas"
    assert Xml.fromstring(to_svg_file(report(plan))).get("width") == "880"


def test_a_trace_of_an_hour_is_counted_from_its_beginning() -> None:
    trace = parse_trace(["arrival_s", *map(str, range(3600))], "hour.csv")
    plan = make_plan(make_demand(profile=trace.profile, trace=trace), 3, simulated=True)
    length_s = trace.profile.period_s / 24
    parts = tuple(Hour(place * length_s, 1.0, 0.3, None if place == 5 else 0.1, 3) for place in range(24))
    plan = replace(plan, required=frozenset({Binding.SLOTS}), all_running=replace(plan.all_running, hours=parts))
    shown = page(plan)
    assert "The trace step by step, 3 replicas" in shown.of("h2")
    assert {"0 s", "60 min", "since the beginning"} <= set(shown.of("text"))


def test_spikes_and_backlogs_are_told() -> None:
    profile = replace(diurnal_profile(5.2, 2.5), spikes=(Spike(5000, 43_200.0),))
    plan = make_plan(make_demand(5.2, 12.0, profile=profile), simulated=True)
    plan = replace(plan, required=frozenset({Binding.SLOTS}))
    plan = replace(plan, all_running=replace(plan.all_running, backlog_max=4321, drain_s=77.0, burst_clear_s=66.0))
    assert (
        "The backlog reaches 4,321 jobs; the largest takes 77.0 s to clear; the last job of a spike has started after "
        "66.0 s."
    ) in page(plan).of("p")


def test_the_worst_hour_is_called_so() -> None:
    cells = page(a_day()).of("td")
    assert "the worst hour" in cells
    assert "the busiest hour" in cells


def test_the_limit_line_is_that_of_the_objective() -> None:
    plan = a_day(promises=(Objective("wait", 0.95, 2.5), Objective("wait", None, 0.5, Window.WHOLE_DAY)))
    words = page(plan).of("text")
    assert words.count("p95 wait <= 2.5 s") == 4  # in both charts, each for a wide and for a narrow screen
    assert "mean wait <= 500 ms over the whole day" in words


@pytest.mark.parametrize("plan", [make_plan(), a_day(), make_plan(make_demand(4.5), 1), make_plan_on_the_edge()])
@pytest.mark.parametrize("themed", [True, False])
def test_the_charts_are_one_svg_file_with_the_answer_above_them(plan: Plan, themed: bool) -> None:
    svg = to_svg_file(report(plan), themed=themed)
    root = Xml.fromstring(svg)
    words = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert words[0] == "2 replicas of 25 slots carry it."
    assert ("var(" in svg) == themed
    assert "nan" not in svg
    assert not re.search(r'="-?inf', svg)
    assert math.isfinite(float(root.get("height", "inf")))


def test_the_ending_of_the_file_says_what_is_written() -> None:
    assert check_report_target("plan.html") is Format.HTML
    assert check_report_target("a/b.SVG") is Format.SVG
    assert check_report_target("plan.png") is Format.PNG


@pytest.mark.parametrize("name", ["plan", "plan.pdf", "plan.html.gz", ".html", ""])
def test_another_ending_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        check_report_target(name)
    assert str(caught.value) == (
        f"--report: {name!r} does not end in .html, .svg, .png; give a file name such as plan.html"
    )

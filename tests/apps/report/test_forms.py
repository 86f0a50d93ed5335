"""All forms of a report tell the same figures, and none of them breaks on what a document may hold."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from jobctl.apps.report.figures import STATISTICS, Report, statistics
from jobctl.apps.report.forms import Form, tell
from jobctl.apps.report.reading import read_report
from jobctl.apps.report.words import quantity
from jobctl.errors import InvalidValue
from support.whole_documents import OPTIONAL, make_document, make_gate

SIGNALS = ("enqueue", "wait", "service", "sojourn")
DOCUMENT = make_document()
SMALL = make_document(duration_s=20.0, steps=12)


def read(**changes: Any) -> Report:
    return read_report(json.loads(json.dumps({**DOCUMENT, **changes})), "r.json")


class Cells(HTMLParser):
    """The cells of each table of a page by the table's name: what is shown, and the figure behind it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[tuple[str, float | None]]]] = {}
        self._name = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "div" and given.get("role") == "region":
            self._name = given["aria-label"] or ""
            self.tables[self._name] = []
        elif tag == "tr":
            self.tables[self._name].append([])
        elif tag in {"td", "th"}:
            self.tables[self._name][-1].append(("", None))
        elif tag == "data":
            shown, _ = self.tables[self._name][-1][-1]
            self.tables[self._name][-1][-1] = (shown, float(given["value"] or "nan"))

    def handle_data(self, data: str) -> None:
        if self._name and self.tables[self._name]:
            shown, value = self.tables[self._name][-1][-1] if self.tables[self._name][-1] else ("", None)
            if self.tables[self._name][-1]:
                self.tables[self._name][-1][-1] = (shown + data, value)


def in_json(report: Report) -> dict[tuple[str, str], float]:
    return {(signal, name): DOCUMENT["signals"][signal][name] for signal in SIGNALS for name in STATISTICS}


def in_html(report: Report) -> dict[tuple[str, str], float]:
    head, *rows = Cells(tell(report, Form.HTML)).tables["Latency"]
    names = [shown for shown, _ in head[1:]]
    found = {}
    for (statistic, _), *cells in rows:
        for name, (shown, value) in zip(names, cells, strict=True):
            if statistic in STATISTICS:
                assert value is not None
                assert shown.startswith(quantity(value, "s"))
                found[name, statistic] = value
    return found


def in_markdown(report: Report) -> dict[tuple[str, str], float]:
    _, _, table = tell(report, Form.MARKDOWN).partition("to the digit:\n\n")
    head, _, *rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("|")]
    return {(name, row[0]): float(value) for row in rows for name, value in zip(head, row[1:], strict=True)}


def in_junit(report: Report) -> dict[tuple[str, str], float]:
    properties = {
        node.get("name", ""): node.get("value", "")
        for node in Xml.fromstring(tell(report, Form.JUNIT)).iterfind("testsuite/properties/property")
    }
    return {(signal, name): float(properties[f"{signal}.{name}"]) for signal in SIGNALS for name in STATISTICS}


def in_csv(report: Report) -> dict[tuple[str, str], float]:
    rows = csv.DictReader(tell(report, Form.CSV).splitlines())
    return {
        (row["measure"], row["statistic"]): float(row["value"])
        for row in rows
        if row["subject"] == "run" and row["measure"] in SIGNALS and row["statistic"] in STATISTICS
    }


def in_openmetrics(report: Report) -> dict[tuple[str, str], float]:
    samples = (s for family in text_string_to_metric_families(tell(report, Form.OPENMETRICS)) for s in family.samples)
    return {
        (name[1], sample.labels["statistic"]): sample.value
        for sample in samples
        if (name := re.fullmatch(r"jobctl_bench_(enqueue|wait|service|sojourn)_seconds", sample.name))
        and set(sample.labels) == {"statistic"}
        and sample.labels["statistic"] in STATISTICS
    }


@pytest.mark.parametrize("found", [in_html, in_markdown, in_junit, in_csv, in_openmetrics])
def test_every_percentile_agrees_with_the_document_to_the_digit(found: Any) -> None:
    expected = in_json(read())

    assert len(expected) == 24
    assert found(read()) == expected


def test_the_short_figures_of_the_page_and_the_markdown_are_the_same_words() -> None:
    report = read()
    _, *rows = Cells(tell(report, Form.HTML)).tables["Latency"]
    shown = {row[0][0]: [cell.partition(" ")[0] for cell, _ in row[1:]] for row in rows}
    lines = [line.strip("| ").split(" | ") for line in tell(report, Form.MARKDOWN).splitlines()]
    told = {line[0]: [cell.partition(" ")[0] for cell in line[1:]] for line in lines if line[0] in STATISTICS}

    for statistic in ("p50", "p95", "max"):
        first = next(line for line in lines if line[0] == statistic)
        assert [cell.partition(" ")[0] for cell in first[1:]] == shown[statistic]
    assert set(told) == set(STATISTICS)


def test_every_figure_is_in_the_csv_the_junit_and_the_openmetrics() -> None:
    report = read()
    known = [each.value for each in statistics(report) if each.value is not None]
    rows = list(csv.DictReader(tell(report, Form.CSV).splitlines()))
    samples = [s for f in text_string_to_metric_families(tell(report, Form.OPENMETRICS)) for s in f.samples]

    assert [float(row["value"]) for row in rows if row["value"]] == known
    assert sorted(s.value for s in samples if "statistic" in s.labels) == sorted(known)
    assert len({(s.name, *sorted(s.labels.items())) for s in samples}) == len(samples)
    for each in statistics(report):
        assert f'.{each.statistic}"' in tell(report, Form.JUNIT)


def test_openmetrics_end_as_they_must() -> None:
    assert tell(read(), Form.OPENMETRICS).endswith("# EOF\n")


@pytest.mark.parametrize(
    "missing", [(key,) for key in OPTIONAL] + [OPTIONAL], ids=lambda keys: keys[0] if len(keys) == 1 else "all"
)
@pytest.mark.parametrize("form", Form)
def test_whatever_is_null_or_missing_is_left_out_or_called_not_measured(missing: tuple[str, ...], form: Form) -> None:
    nulls = {**SMALL, **dict.fromkeys(missing)}
    lacking = {key: value for key, value in SMALL.items() if key not in missing}

    told = tell(read_report(nulls, "r.json"), form)
    assert told == tell(read_report(lacking, "r.json"), form)
    assert not re.search(r"\bNone\b|\bnan\b|\binf\b", told)


@pytest.mark.parametrize("form", Form)
def test_signals_of_no_job_at_all_are_not_measured(form: Form) -> None:
    nothing = {"n": 0, **dict.fromkeys(STATISTICS), "intervals": dict.fromkeys(("p50", "p90", "p95", "p99"))}
    told = tell(read(signals=dict.fromkeys(SIGNALS, nothing), spectrum={signal: [] for signal in SIGNALS}), form)

    assert not re.search(r"\bNone\b|\bnan\b", told)
    assert "not measured" in told or form in {Form.CSV, Form.OPENMETRICS}


@pytest.mark.parametrize("form", [Form.MARKDOWN, Form.HTML])
def test_a_warning_is_called_one_only_where_it_warns(form: Form) -> None:
    def told(verdict: str) -> str:
        gate = make_gate("spare", "utilisation < 80%", verdict, 0.5, 0.8, "", severity="warning")
        return tell(read(gates=[gate]), form)

    assert "a warning" not in told("kept")
    assert "a warning" in told("broken")
    assert "❌ broken, a warning" not in told("broken")


@pytest.mark.parametrize("form", Form)
def test_an_interrupted_and_an_aborted_run_have_their_report(form: Form) -> None:
    stopped = tell(read(interrupted=True, verdict="inconclusive", reasons=["the run was interrupted"]), form)
    assert "inconclusive" in stopped
    told = tell(read(aborted="gate wait.p95 was broken at 12 s"), form)
    assert "12 s" in told or form in {Form.CSV, Form.OPENMETRICS}


def test_an_hour_at_fifty_jobs_a_second_is_a_page_of_at_most_600_kb() -> None:
    document = make_document(rate_per_s=50, duration_s=3600, workers=100)
    assert len(tell(read_report(document, "r.json"), Form.HTML).encode()) <= 600_000


@pytest.mark.parametrize("form", [Form.HTML, Form.MARKDOWN, Form.JUNIT])
def test_nothing_that_a_document_says_is_taken_for_markup(form: Form) -> None:
    bad = "<script>alert(1)</script> | @everyone ](x) ]]> &amp; \x00"
    document = json.loads(
        json.dumps({**SMALL, "sentence": bad, "reasons": [bad], "errors": [{"error": bad, "jobs": 1}]})
    )
    document["gates"][0]["name"] = document["by_job"][0]["job"] = document["faults"][0]["what"] = bad
    told = tell(read_report(document, "r.json"), form)

    assert "<script" not in told
    assert "\x00" not in told
    if form is Form.MARKDOWN:
        assert "@everyone" not in told
    if form is Form.JUNIT:
        assert Xml.fromstring(told) is not None


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value of a document; of a long list those of its first."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, inner in items:
        yield from leaves(inner, (*path, key))


@given(
    st.sampled_from([path for path in leaves(SMALL) if path]),
    st.sampled_from([None, True, -1, 0, 1.5, 1e308, 10**400, math.nan, math.inf, "", "x", [], [1], {}, [{}], {"x": 1}]),
)
@settings(max_examples=150)
def test_a_document_with_any_value_changed_is_told_or_refused_and_nothing_else(path: Any, value: Any) -> None:
    document = json.loads(json.dumps(SMALL))
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    try:
        report = read_report(document, "r.json")
    except InvalidValue:
        return
    for form in Form:
        tell(report, form)
    Xml.fromstring(tell(report, Form.JUNIT))
    list(text_string_to_metric_families(tell(report, Form.OPENMETRICS)))


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "no result of a bench"),
        ({}, "no result of a bench"),
        ({"schema": "jobctl.bench/2"}, "a document of jobctl.bench/2"),
        ({"schema": "jobctl.plan/1"}, "a document of jobctl.plan/1"),
        ({"schema": "jobctl.bench/1"}, "lacks config.duration_s"),
        ({**SMALL, "verdict": "good"}, "verdict is 'good'"),
        ({**SMALL, "signals": []}, "inside an object"),
    ],
)
def test_another_document_is_refused_in_one_line(document: object, words: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        read_report(document, "r.json")
    assert words in str(refused.value)


def test_the_page_refers_to_nothing_outside_of_it() -> None:
    told = tell(read(), Form.HTML)

    assert not re.search(r"://(?!www\.w3\.org/2000/svg)|\b(src|href|srcset|action)=|url\(|@import|<script", told)
    assert "default-src 'none'" in told


def test_no_name_is_a_formula_to_a_spreadsheet() -> None:
    gates = [make_gate(name, "lost == 0", "kept", 0, 0, "jobs") for name in ("=1+1", "@x", "plain")]
    told = tell(read(gates=gates), Form.CSV)

    assert [name for name in ("'=1+1", "'@x", "plain") if f"\ngate,{name},gate,value" in told] == [
        "'=1+1",
        "'@x",
        "plain",
    ]

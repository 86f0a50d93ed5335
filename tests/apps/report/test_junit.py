"""JUnit: it fails exactly where the run did, and is what every reader of it understands."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any
from xml.etree import ElementTree as Xml

import pytest

from jobctl.apps.report.junit import PROMISES, to_junit
from jobctl.apps.report.reading import read_report
from jobctl.core.judging import Circumstances, judge
from jobctl.core.records import JobRecord, Outcome
from jobctl.core.summary import Window, summarise
from support.whole_documents import make_document, make_gate

DOCUMENT = make_document(duration_s=20.0, steps=12)
#: Attributes and children, in their order, as the schema of the Ant tasks and that of Jenkins both allow them.
SCHEMA = {
    "testsuites": (set(), "(testsuite )*"),
    "testsuite": (
        {"id", "package", "name", "tests", "failures", "errors", "skipped", "time", "timestamp", "hostname"},
        "properties (testcase )*system-out system-err ",
    ),
    "properties": (set(), "(property )*"),
    "property": ({"name", "value"}, ""),
    "testcase": ({"classname", "name", "time"}, "((failure|error|skipped) )?"),
    "failure": ({"message", "type"}, ""),
    "error": ({"message", "type"}, ""),
    "skipped": ({"message"}, ""),
    "system-out": (set(), ""),
    "system-err": (set(), ""),
}


def suite(**changes: Any) -> Xml.Element:
    root = Xml.fromstring(to_junit(read_report({**DOCUMENT, **changes}, "r.json")))
    found = root.find("testsuite")
    assert found is not None
    return found


def fates(found: Xml.Element) -> dict[str, str]:
    return {case.get("name", ""): case[0].tag if len(case) else "passed" for case in found.iterfind("testcase")}


def test_it_keeps_to_the_common_schemas() -> None:
    root = Xml.fromstring(to_junit(read_report(DOCUMENT, "r.json")))
    for node in root.iter():
        attributes, children = SCHEMA[node.tag]
        assert set(node.attrib) == attributes, node.tag
        assert re.fullmatch(children, "".join(f"{child.tag} " for child in node)), node.tag
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", root[0].get("timestamp", ""))


def test_each_gate_is_a_case_and_a_warning_never_fails() -> None:
    gates = [
        make_gate("kept", "wait.p95 < 1s", "kept", 0.5, 1.0, "s"),
        make_gate("broken", "wait.p95 < 0.1s", "broken", 0.5, 0.1, "s", reason="wait.p95 is 0.5 s"),
        make_gate("unknown", "wait.p99 < 1s", "inconclusive", None, 1.0, "s", reason="too few jobs"),
        make_gate("warned", "cost < 1", "broken", 2.0, 1.0, "USD", severity="warning"),
    ]
    found = suite(gates=gates, reasons=["broken: wait.p95 is 0.5 s"], comparison=None)

    assert [fates(found)[f"{gate['name']}: {gate['check']}"] for gate in gates] == [
        "passed", "failure", "error", "skipped",
    ]  # fmt: skip
    failure = found.find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == "wait.p95 is 0.5 s; measured 500 ms, allowed 100 ms"
    counted = Counter(fates(found).values())
    assert [int(found.get(key, -1)) for key in ("failures", "errors", "skipped")] == [1, 1, counted["skipped"]]
    assert int(found.get("tests", -1)) == sum(counted.values())


def record(position: int, **changes: Any) -> JobRecord:
    at_s = position / 10
    given = {
        "job_id": str(position), "job_type": "sleep",
        "intended_s": at_s, "enqueued_s": at_s, "started_s": at_s, "finished_s": at_s + 0.1,
        "outcome": Outcome.FINISHED, "successes": 1,
    }  # fmt: skip
    return JobRecord(**{**given, **changes})


@pytest.mark.parametrize(
    ("promise", "changes", "asked"),
    [
        ("no job is lost", {"outcome": Outcome.LOST, "finished_s": None, "successes": 0}, {}),
        ("every job ends within the drain", {"outcome": Outcome.IN_FLIGHT, "finished_s": None, "successes": 0}, {}),
        ("no job runs to success twice", {"successes": 2}, {}),
        ("no more jobs fail than may", {"outcome": Outcome.FAILED, "successes": 0}, {}),
        ("the load was offered as scheduled", {}, {"dropped": 3}),
        ("the load was offered as scheduled", {}, {"max_schedule_lag_s": -1.0}),
        ("the load was offered as scheduled", {}, {"interrupted": True}),
        ("the backlog does not rise", {"started_s": 200.0, "finished_s": 200.1}, {}),
    ],
)
def test_the_reason_of_every_promise_is_told_in_its_case(
    promise: str, changes: dict[str, Any], asked: dict[str, Any]
) -> None:
    records = [record(position, **(changes if position > 30 else {})) for position in range(200)]
    summary = summarise(records, Window(0.0, 20.0), 2)
    given = {"dropped": 0, "max_schedule_lag_s": 0.05, "injected_share": 0.0, **asked}
    judgement = judge(summary, Circumstances(**given))
    found = suite(gates=[], verdict=judgement.verdict.value, reasons=list(judgement.reasons))

    assert fates(found)[promise] == ("failure" if judgement.verdict == "broken" else "error")
    assert "the run as a whole" not in fates(found)


def test_what_was_not_looked_at_is_not_called_passed() -> None:
    found = fates(suite(gates=[], verdict="broken", reasons=["3 of 100 jobs were lost"]))

    assert found["no job is lost"] == "failure"
    assert found["no job runs to success twice"] == "passed"
    assert found["the backlog does not rise"] == "skipped"


@pytest.mark.parametrize(("verdict", "fate"), [("broken", "failure"), ("inconclusive", "error")])
@pytest.mark.parametrize("reasons", [["a reason nobody knows"], []])
def test_a_run_that_was_not_kept_never_passes(verdict: str, fate: str, reasons: list[str]) -> None:
    found = fates(suite(gates=[], verdict=verdict, reasons=reasons))

    assert found["the run as a whole"] == fate


def test_a_run_that_was_kept_passes() -> None:
    found = fates(suite(gates=[], verdict="kept", reasons=[], comparison=None))

    assert found == dict.fromkeys([promise.name for promise in PROMISES], "passed")


@pytest.mark.parametrize(
    ("finding", "fate"),
    [("regression", "failure"), ("cannot tell", "error"), ("no change", "passed"), ("improvement", "passed")],
)
def test_a_comparison_is_a_case_and_fails_where_the_bench_does(finding: str, fate: str) -> None:
    comparison = {**DOCUMENT["comparison"], "finding": finding}
    found = fates(suite(gates=[], verdict="kept", reasons=[], comparison=comparison))

    assert found.pop("no regression against the baseline") == fate
    assert set(found.values()) == {"passed"}


def test_a_gate_makes_the_promise_of_its_signal_instead() -> None:
    found = fates(suite(gates=[make_gate("lost <= 3", "lost <= 3", "kept", 2, 3, "jobs")], verdict="kept", reasons=[]))

    assert found["lost <= 3"] == "passed"
    assert "no job is lost" not in found
    assert "no job runs to success twice" in found

"""A report as JUnit XML, which every CI knows how to show.

One testcase for each gate, for the comparison with a baseline and for each promise that holds without gates. What was
broken is a failure, what could not be told is an error. A gate of severity ``warning`` never is either: it is skipped,
with what it found, and so is what was not judged because something else had failed before. A reason of none of them
has a testcase of its own, so the file fails exactly where the run did. Every figure is a property, to the digit
of the document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from xml.etree import ElementTree as Xml

from jobctl.apps.report.figures import Report, Statistic, Subject, statistics
from jobctl.apps.report.words import (
    NOT_MEASURED,
    comparison_in_words,
    equation,
    exact,
    gate_figures,
    gate_name,
    reasons_of,
)
from jobctl.core.slo import Verdict
from jobctl.core.words import writable

__all__ = ["PROMISES", "Promise", "to_junit"]


@dataclass(frozen=True, slots=True)
class Promise:
    """A promise that holds without gates.

    Attributes:
        name: In words.
        reasons: A pattern of the reasons that tell of it.
        stage: A run is judged in stages; what comes after one that was not kept was not looked at.
        signal: A gate on this one makes the promise instead; empty where none can.
    """

    name: str
    reasons: str
    stage: int
    signal: str = ""


PROMISES: Final = (
    Promise("no job is lost", r"\d+ of \d+ jobs were lost", 0, "lost"),
    Promise("every job ends within the drain", r"[\d,]+ jobs? (was|were) still waiting or running", 0),
    Promise("no job runs to success twice", r"[\d,]+ jobs? ran to success more than once", 0, "duplicated"),
    Promise("no more jobs fail than may", r"\d+ of \d+ jobs failed, more than", 0, "error_rate"),
    Promise(
        "the load was offered as scheduled",
        r"the run was interrupted|Redis refused|[\d,]+ arrivals? (was|were) due|the generator fell behind|too few jobs",
        1,
    ),
    Promise(
        "the backlog does not rise",
        r"the backlog (still )?grew|\d+ jobs still waited at the end of the window|a load of .* erlangs is",
        2,
    ),
)
#: What a comparison found that is no success.
_VERDICTS: Final = {"regression": Verdict.BROKEN, "cannot tell": Verdict.INCONCLUSIVE}
_SUITE: Final = "jobctl bench"


@dataclass(frozen=True, slots=True)
class _Case:
    """A testcase: what it is about, how it stands, and why."""

    group: str
    name: str
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    is_skipped: bool = False


def to_junit(report: Report) -> str:
    """The file."""
    cases = [*_of_gates(report), *_of_comparison(report), *_of_promises(report)]
    root = Xml.Element("testsuites")
    suite = Xml.SubElement(root, "testsuite", _head(report, cases))
    properties = Xml.SubElement(suite, "properties")
    for name, value in _properties(report):
        Xml.SubElement(properties, "property", {"name": writable(name), "value": writable(value)})
    for case in cases:
        _add(suite, case)
    told = [report.sentence, *reasons_of(report), equation(report)]
    Xml.SubElement(suite, "system-out").text = writable("\n".join(told))
    Xml.SubElement(suite, "system-err")
    Xml.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{Xml.tostring(root, encoding="unicode")}\n'


def _head(report: Report, cases: Sequence[_Case]) -> dict[str, str]:
    """The attributes of the suite: those that the strictest of the schemas asks for, and no others."""
    judged = [case.verdict for case in cases if not case.is_skipped]
    return {
        "id": "0",
        "package": "jobctl",
        "name": _SUITE,
        "tests": str(len(cases)),
        "failures": str(judged.count(Verdict.BROKEN)),
        "errors": str(judged.count(Verdict.INCONCLUSIVE)),
        "skipped": str(len(cases) - len(judged)),
        "time": f"{report.duration_s:.3f}",
        "timestamp": _instant(report.started_at),
        "hostname": writable(str(report.host.get("name") or "unknown")),
    }


def _of_gates(report: Report) -> Iterator[_Case]:
    for gate in report.gates:
        measured, threshold = gate_figures(gate)
        figures = f"measured {measured}, allowed {threshold}"
        reasons = () if gate.verdict is Verdict.KEPT else tuple(filter(None, (gate.reason, figures)))
        is_skipped = gate.severity == "warning" and gate.verdict is not Verdict.KEPT
        yield _Case("gates", gate_name(gate), gate.verdict, reasons, is_skipped)


def _of_comparison(report: Report) -> Iterator[_Case]:
    if report.comparison is not None:
        verdict = _VERDICTS.get(report.comparison.finding, Verdict.KEPT)
        reasons = () if verdict is Verdict.KEPT else (comparison_in_words(report.comparison),)
        yield _Case("comparison", "no regression against the baseline", verdict, reasons)


def _of_promises(report: Report) -> Iterator[_Case]:
    """Those that hold without gates, as the reasons tell."""
    asked = " ".join(gate.check for gate in report.gates)
    made = [promise for promise in PROMISES if not promise.signal or not re.search(rf"\b{promise.signal}\b", asked)]
    told = {promise: [reason for reason in report.reasons if re.match(promise.reasons, reason)] for promise in made}
    last = min((promise.stage for promise, reasons in told.items() if reasons), default=len(PROMISES))
    for promise, reasons in told.items():
        if promise.stage > last:
            yield _Case("promises", promise.name, Verdict.KEPT, ("not judged",), is_skipped=True)
        else:
            yield _Case("promises", promise.name, report.verdict if reasons else Verdict.KEPT, tuple(reasons))
    known = {reason for reasons in told.values() for reason in reasons}
    others = tuple(reason for reason in report.reasons if reason not in known and not _is_of_a_gate(reason, report))
    gates_tell = any(gate.verdict is report.verdict and gate.severity != "warning" for gate in report.gates)
    if others or (report.verdict is not Verdict.KEPT and not known and not gates_tell):
        yield _Case("promises", "the run as a whole", report.verdict, others or (f"the run is {report.verdict}",))


def _is_of_a_gate(reason: str, report: Report) -> bool:
    return any(gate.check in reason or gate.name in reason for gate in report.gates)


def _properties(report: Report) -> Iterator[tuple[str, str]]:
    yield "verdict", report.verdict.value
    for name, value in report.config.items():
        yield f"config.{name}", str(value)
    for name, value in report.versions.items():
        yield f"version.{name}", str(value)
    for each in statistics(report):
        yield _property(each), exact(each.value) or NOT_MEASURED


def _property(each: Statistic) -> str:
    subject = "" if each.subject is Subject.RUN else f"{each.subject} {each.name}: "
    return f"{subject}{each.measure}.{each.statistic}"


def _add(suite: Xml.Element, case: _Case) -> None:
    element = Xml.SubElement(suite, "testcase", {"classname": f"jobctl.{case.group}", "name": writable(case.name)})
    element.set("time", "0")
    message = writable("; ".join(case.reasons))
    if case.is_skipped:
        Xml.SubElement(element, "skipped", {"message": message})
    elif case.verdict is not Verdict.KEPT:
        kind = "failure" if case.verdict is Verdict.BROKEN else "error"
        Xml.SubElement(element, kind, {"message": message, "type": case.verdict.value}).text = message


def _instant(started_at: str) -> str:
    """As the schema has it: UTC without an offset, to the second."""
    try:
        return datetime.fromisoformat(started_at).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    except (ValueError, OverflowError):
        return "1970-01-01T00:00:00"

"""Wiring of reports: a bench's document read back, and written in the forms that were asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any, Final

from jobctl import settings
from jobctl.adapters.files import append_text, read_json, replace_text
from jobctl.apps.report.figures import Report
from jobctl.apps.report.forms import Form, tell
from jobctl.apps.report.reading import read_report
from jobctl.core.documents import settle
from jobctl.core.words import writable_throughout
from jobctl.errors import InvalidOption, InvalidValue

__all__ = ["read_bench_document", "write_reports"]

_ARGUMENT: Final = "RESULT"
_REMEDY: Final = "give what jobctl bench --json FILE wrote"


def read_bench_document(path: str) -> dict[str, Any]:
    """The document of a file, complete enough for every report.

    Raises:
        InvalidOption: It holds something else, or cannot be read.
    """
    document = read_json(path, _ARGUMENT, _REMEDY)
    try:
        read_report(document, path)
        settled = settle(document, _schema("bench"), path)
        if settled["comparison"] is not None:
            settled["comparison"] = settle(settled["comparison"], _schema("compare"), f"{path}: comparison")
    except InvalidValue as error:
        raise InvalidOption(_ARGUMENT, error.problem, error.remedy) from None
    except RecursionError:
        raise InvalidOption(_ARGUMENT, f"{path!r} is nested too deeply", _REMEDY) from None
    return settled


def write_reports(
    document: Mapping[str, Any], targets: Mapping[Form, str], out: Callable[[str], None], say: Callable[[str], None]
) -> None:
    """Write a document in every form that was asked for, and append it to the summary of a step of GitHub Actions.

    Args:
        document: What a bench wrote.
        targets: Where each form goes; ``-`` for standard output.
        out: Takes what goes there.
        say: Takes a line for the person who waits, should something not be writable.

    Raises:
        InvalidOption: A file cannot be written; the others were, or ``say`` was told why not.
    """
    summary = settings.step_summary()
    if not targets and summary is None:
        return
    report, failed = read_report(writable_throughout(document), "the document"), None
    for form, target in targets.items():
        if target == "-":
            out(tell(report, form))
            continue
        try:
            replace_text(target, tell(report, form), f"--{form}")
        except InvalidOption as error:
            if failed is not None:
                say(str(failed))
            failed = error
    if summary is not None:
        _summarise(report, summary, say)
    if failed is not None:
        raise failed


def _summarise(report: Report, path: str, say: Callable[[str], None]) -> None:
    """The summary is a courtesy: that it cannot be written does not change what a run found."""
    try:
        append_text(path, tell(report, Form.MARKDOWN) + "\n", settings.STEP_SUMMARY)
    except InvalidOption as error:
        say(str(error))


def _schema(name: str) -> dict[str, Any]:
    text = resources.files("jobctl").joinpath("schemas", f"{name}.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema

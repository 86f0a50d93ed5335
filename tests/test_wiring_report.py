"""Reports are read and written where they were asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobctl.apps.report.forms import Form
from jobctl.errors import InvalidOption
from jobctl.settings import STEP_SUMMARY, step_summary
from jobctl.wiring.report import read_bench_document, write_reports
from support.whole_documents import make_document

DOCUMENT = make_document(duration_s=20.0, steps=12)


def write(targets: dict[Form, str]) -> tuple[list[str], list[str]]:
    """What went to standard output, and what was said."""
    out: list[str] = []
    said: list[str] = []
    write_reports(DOCUMENT, targets, out.append, said.append)
    return out, said


def test_every_form_goes_where_it_was_asked_for(tmp_path: Path) -> None:
    targets = {form: str(tmp_path / f"r.{form}") for form in Form if form is not Form.CSV}
    out, said = write({**targets, Form.CSV: "-"})

    assert said == []
    assert out[0].startswith("subject,name,measure")
    begins = {"html": "<!doctype html>", "junit": "<?xml", "markdown": "### ", "openmetrics": "# HELP"}
    for name, beginning in begins.items():
        assert (tmp_path / f"r.{name}").read_text(encoding="utf-8").startswith(beginning)


def test_a_document_that_was_written_reads_back_to_the_same_reports(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(json.dumps(DOCUMENT), encoding="utf-8")
    read = read_bench_document(str(tmp_path / "r.json"))
    out: list[str] = []
    write_reports(read, {Form.MARKDOWN: "-"}, out.append, out.append)

    assert out == write({Form.MARKDOWN: "-"})[0]


def test_a_document_that_goes_too_deep_is_refused(tmp_path: Path) -> None:
    deep = json.dumps({**DOCUMENT, "config": {**DOCUMENT["config"], "deep": "here"}})
    (tmp_path / "r.json").write_text(deep.replace('"here"', "[" * 700 + "]" * 700), encoding="utf-8")

    with pytest.raises(InvalidOption, match="nested too deeply"):
        read_bench_document(str(tmp_path / "r.json"))


def test_the_summary_of_a_step_gets_the_markdown_after_what_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n", encoding="utf-8")
    monkeypatch.setenv(STEP_SUMMARY, str(summary))
    write({})
    write({})

    text = summary.read_text(encoding="utf-8")
    assert text.startswith("before\n### ❌ jobctl bench: broken")
    assert text.count("### ") == 2


def test_a_summary_that_cannot_be_written_changes_nothing_but_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STEP_SUMMARY, str(tmp_path / "missing" / "summary.md"))
    out, said = write({Form.MARKDOWN: "-"})

    assert len(out) == 1
    assert len(said) == 1
    assert said[0].startswith("GITHUB_STEP_SUMMARY: ")


@pytest.mark.parametrize(("env", "expected"), [({}, None), ({STEP_SUMMARY: " "}, None), ({STEP_SUMMARY: "/s"}, "/s")])
def test_there_is_a_summary_where_github_names_one(env: dict[str, str], expected: str | None) -> None:
    assert step_summary(env) == expected


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("\n", "is empty"),
        ("<html>", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('{"schema": "jobctl.plan/1"}', "is a document of jobctl.plan/1"),
        ('{"schema": "jobctl.bench/0"}', "is a document of jobctl.bench/0"),
        (json.dumps({**DOCUMENT, "utilisation": float("nan")}), "holds NaN"),
        (json.dumps(DOCUMENT)[:-20], "is not JSON"),
        ("5", "is no result of a bench"),
    ],
)
def test_a_file_that_is_no_result_is_refused_in_one_line(content: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InvalidOption) as refused:
        read_bench_document(str(path))

    assert words in str(refused.value)
    assert str(refused.value).startswith("RESULT: ")
    assert "\n" not in str(refused.value)

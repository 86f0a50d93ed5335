"""``jobctl report``: one result, told again."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from jobctl.cli.bench_render import render_report
from jobctl.cli.compare_render import render_comparison
from jobctl.cli.find_max_render import render_maximum
from jobctl.cli.main import run
from jobctl.errors import InvalidOption
from jobctl.wiring.report import read_bench_document
from support.whole_documents import make_document

DOCUMENT = make_document(duration_s=20.0, steps=12)
LONG = "a_module_with_a_rather_long_name.and_a_function_of_a_name_that_is_longer_still.and_longer_and_longer"


@pytest.fixture
def result(tmp_path: Path) -> Path:
    path = tmp_path / "r.json"
    path.write_text(json.dumps(DOCUMENT), encoding="utf-8")
    return path


def report(*words: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jobctl", "report", *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **env},
        timeout=60,
        check=False,
    )


def screen(document: dict[str, Any]) -> list[str]:
    """What is shown of a bench, of a search's answer and of a comparison on a terminal of 100 columns."""
    out = StringIO()
    console = Console(file=out, width=100, force_terminal=False)
    render_report(console, document)
    if document["maximum"] is not None:
        render_maximum(console, document)
    if document["comparison"] is not None:
        render_comparison(console, document["comparison"])
    return out.getvalue().splitlines()


def test_without_an_option_it_prints_what_the_bench_printed(result: Path, tmp_path: Path) -> None:
    plain = {**DOCUMENT, "maximum": None}
    result.write_text(json.dumps(plain), encoding="utf-8")
    told = report("r.json", cwd=tmp_path, COLUMNS="100")

    assert told.returncode == 0
    assert told.stdout.splitlines() == screen(plain)
    assert told.stderr == ""


def test_of_a_search_it_prints_the_answer(result: Path, tmp_path: Path) -> None:
    told = report("r.json", cwd=tmp_path, COLUMNS="100")

    assert told.stdout.splitlines()[1] == DOCUMENT["maximum"]["sentence"]


def test_a_model_that_the_mock_does_not_know_is_shown_with_the_option_that_serves_it() -> None:
    error = {"error": "UpstreamStatus: HTTP 400: acme/x is not a valid model ID", "jobs": 9}
    hints = []
    for mock in (["latency constant:1s"], None):
        document = {**DOCUMENT, "config": {**DOCUMENT["config"], "mock": mock}, "errors": [error]}
        hints.append(any("--serve-model AUTHOR/SLUG" in line for line in screen(document)))
    assert hints == [True, False]


def test_commands_to_a_terminal_and_what_no_file_can_hold_are_shown_as_such(result: Path, tmp_path: Path) -> None:
    document = copy.deepcopy(DOCUMENT)
    foul = "\x1b[31m[/red]\ud800"
    document["errors"] = [{"error": foul, "jobs": 1}]
    document["comparison"]["lines"][0]["name"] = document["by_job"][0]["job"] = document["gates"][0]["name"] = foul
    for maximum in (None, DOCUMENT["maximum"]):
        result.write_text(json.dumps({**document, "maximum": maximum, "reasons": [foul]}), encoding="utf-8")
        shown = report("r.json", cwd=tmp_path)
        told = report("r.json", "--csv", "c.csv", "--openmetrics", "o.prom", "--markdown", "-", cwd=tmp_path)

        assert (shown.returncode, shown.stderr, told.returncode, told.stderr) == (0, "", 0, "")
        assert "\ufffd[31m[/red]\ufffd" in shown.stdout
        assert "\x1b" not in shown.stdout + told.stdout + (tmp_path / "c.csv").read_text(encoding="utf-8")


def test_it_writes_every_form_at_once_and_nothing_else(result: Path, tmp_path: Path) -> None:
    told = report(
        "r.json", "--html", "r.html", "--junit", "r.xml", "--markdown", "-", "--csv", "r.csv",
        "--openmetrics", "r.prom", cwd=tmp_path,
    )  # fmt: skip

    assert told.returncode == 0
    assert told.stdout.startswith("### ")
    assert told.stderr == ""
    assert {path.name for path in tmp_path.iterdir()} == {"r.json", "r.html", "r.xml", "r.csv", "r.prom"}


def test_it_adds_to_the_summary_of_a_step(result: Path, tmp_path: Path) -> None:
    told = report("r.json", "--csv", "-", cwd=tmp_path, GITHUB_STEP_SUMMARY=str(tmp_path / "summary.md"))

    assert told.stdout.startswith("subject,")
    assert (tmp_path / "summary.md").read_text(encoding="utf-8").startswith("### ")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["missing.json"], "RESULT"),
        (["."], "RESULT"),
        (["r.json", "--html", "missing/r.html"], "--html"),
        (["r.json", "--html", "r.json"], "--html"),
        (["r.json", "--html", "a", "--junit", "a"], "--junit"),
        (["r.json", "--markdown", "-", "--csv", "-"], "--csv"),
        ([], "RESULT"),
    ],
)
def test_bad_input_is_one_line_that_names_the_place(
    words: list[str], named: str, result: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(result.parent)
    with pytest.raises(SystemExit) as ended:
        run(["report", *words])

    told = capfd.readouterr()
    assert (ended.value.code, told.out) == (2, "")
    assert named in told.err
    assert len(told.err.splitlines()) == 1
    assert json.loads(result.read_text(encoding="utf-8")) == DOCUMENT


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"config": {**DOCUMENT["config"], "job": LONG}, "sentence": "At 5 jobs/s it was busy. " * 9},
        {"reasons": [f"{LONG}: {LONG}"], "errors": [{"error": "E" * 300, "jobs": 3}]},
        {
            "gates": [{**DOCUMENT["gates"][0], "name": LONG, "check": LONG}],
            "by_job": [{**DOCUMENT["by_job"][0], "job": LONG}] * 2,
            "faults": [{**DOCUMENT["faults"][0], "what": f"{LONG} {LONG}"}],
        },
        {"interrupted": True, "verdict": "inconclusive"},
        dict.fromkeys(("timeline", "predicted", "utilisation", "cost", "usage")),
    ],
    ids=["whole", "a long job", "long reasons", "long names", "interrupted", "little measured"],
)
def test_the_screen_fits_100_columns(changes: dict[str, Any]) -> None:
    lines = screen({**DOCUMENT, **changes})

    assert len(lines) > 15
    assert max(map(len, lines)) <= 100


def test_what_earlier_releases_did_not_write_is_not_needed_for_the_screen(result: Path) -> None:
    earlier = {
        "schema", "verdict", "reasons", "interrupted", "errors", "started_at", "config", "offered", "achieved", "jobs",
        "signals", "utilisation", "backlog", "predicted", "sentence", "tool_statistics", "host", "versions",
    }  # fmt: skip
    result.write_text(json.dumps({key: value for key, value in DOCUMENT.items() if key in earlier}), encoding="utf-8")
    lines = screen(read_bench_document(str(result)))

    assert any("schedule lag" in line for line in lines)


@given(
    st.sampled_from(
        [(key, inner) for key, value in DOCUMENT.items() for inner in (value if isinstance(value, dict) else [None])]
    ),
    st.sampled_from([None, True, -1, 0, 1.5, "", "x", "[red]", [], [1], {}, [{}]]),
)
@settings(max_examples=100)
def test_what_can_be_read_can_be_shown(
    tmp_path_factory: pytest.TempPathFactory, path: tuple[str, str | None], value: Any
) -> None:
    document = json.loads(json.dumps(DOCUMENT))
    if path[1] is None:
        document[path[0]] = value
    else:
        document[path[0]][path[1]] = value
    file = tmp_path_factory.getbasetemp() / "changed.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    try:
        read = read_bench_document(str(file))
    except InvalidOption:
        return
    screen(read)

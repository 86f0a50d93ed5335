"""The report of a bench in a real browser."""

from __future__ import annotations

import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest

from jobctl.apps.report.forms import Form
from jobctl.apps.report.html import to_html
from jobctl.apps.report.reading import read_report
from jobctl.core.charts import DARK, LIGHT
from support.browser import corner_of, measure, photograph, visit
from support.whole_documents import make_document

LONG = "a_module_with_a_rather_long_name.and_a_function_of_a_name_that_is_longer_still"


@pytest.fixture(scope="module")
def page() -> str:
    return to_html(read_report(make_document(workers=7, sentence='"Kept" <b>&</b> measured.'), "r.json"))


def test_it_opens_without_an_error_a_request_or_a_script(page: str, tmp_path: Path) -> None:
    (tmp_path / "r.html").write_text(page, encoding="utf-8")
    seen = visit(tmp_path / "r.html", tmp_path)

    assert seen.console == []
    assert seen.requests == []
    head = re.search(r"<h1>(.*?)</h1>", seen.dom)
    assert head is not None
    assert unescape(head[1]) == '"Kept" <b>&</b> measured.'


@pytest.mark.parametrize("width", [390, 1100])
@pytest.mark.parametrize("workers", [2, 7])
def test_it_fits_a_phone_and_a_desk_and_no_word_of_a_chart_is_cut_or_written_over(
    width: int, workers: int, tmp_path: Path
) -> None:
    document = make_document(workers=workers)
    document["config"]["job"] = LONG
    document["by_job"][0]["job"] = LONG
    found = measure(to_html(read_report(document, "r.json")), tmp_path, width)

    assert found["wide"] <= width
    assert found["charts"] == 2
    assert found["seen"] > 40
    assert found["astray"] == []


def test_it_follows_the_readers_theme(page: str, tmp_path: Path) -> None:
    (tmp_path / "r.html").write_text(page, encoding="utf-8")
    pictures = {dark: photograph(tmp_path / "r.html", tmp_path, dark=dark) for dark in (False, True)}

    assert corner_of(pictures[False]) == LIGHT["paper"]
    assert corner_of(pictures[True]) == DARK["paper"]
    assert min(map(len, pictures.values())) > 40_000, "an empty page"


def test_a_bench_writes_what_the_report_of_its_document_writes_later(tmp_path: Path) -> None:
    def jobctl(*words: str) -> int:
        return subprocess.run(
            [sys.executable, "-m", "jobctl", *words], cwd=tmp_path, capture_output=True, timeout=60, check=False
        ).returncode

    def targets(name: str) -> list[str]:
        return [word for form in Form for word in (f"--{form}", f"{name}.{form}")]

    load = ("--rate", "25", "--duration", "3s", "--job", "sleep", "--service-time", "10ms")
    bench = jobctl("bench", *load, "--gate", "service.p50 < 1h", "--json", "r.json", *targets("bench"))
    report = jobctl("report", "r.json", *targets("report"))

    assert (bench in {0, 97}, report) == (True, 0), "a busy machine may have made the generator late"
    for form in Form:
        assert (tmp_path / f"bench.{form}").read_bytes() == (tmp_path / f"report.{form}").read_bytes()
    assert "service.p50" in (tmp_path / "bench.markdown").read_text(encoding="utf-8")

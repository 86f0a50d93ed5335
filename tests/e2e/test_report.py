"""The report of a plan in a real browser."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest

from jobctl.apps.plan.report import Report, to_html
from jobctl.core.demand import Assumption, Machine
from jobctl.core.profiles import diurnal_profile
from support.browser import measure, visit
from support.plans import ASSUMPTIONS, make_demand, make_plan

ANSWER = 'Replicas carry 449,280 jobs/day <b>&</b> "p95 wait <= 1 s" holds, even with 1 gone.'


@pytest.fixture
def page() -> str:
    demand = make_demand(
        5.2, 12.0, scv=2, profile=diurnal_profile(5.2, 2.5), machine=Machine(cpu_per_job_s=0.02, memory_bytes=180e6)
    )
    long = Assumption("from", "x" * 400, "redis://" + "y" * 400)
    return to_html(Report(make_plan(demand, simulated=True), ANSWER, (*ASSUMPTIONS, long), "1.2.3"))


def test_the_report_opens_without_an_error_a_request_or_a_script(page: str, tmp_path: Path) -> None:
    (tmp_path / "plan.html").write_text(page, encoding="utf-8")
    seen = visit(tmp_path / "plan.html", tmp_path)
    assert seen.console == []
    assert seen.requests == []
    head = re.search(r"<h1>(.*?)</h1>", seen.dom)
    assert head is not None
    assert unescape(head[1]) == ANSWER
    assert "How it was computed" in seen.dom


def test_a_page_that_asks_for_more_would_be_found_out(tmp_path: Path) -> None:
    (tmp_path / "bad.html").write_text('<img src="http://127.0.0.1:9/x.png"><script>missing()</script>')
    seen = visit(tmp_path / "bad.html", tmp_path)
    assert "http://127.0.0.1:9/x.png" in seen.requests
    assert any("missing is not defined" in line for line in seen.console)


@pytest.mark.parametrize("width", [390, 1100])
def test_it_fits_a_phone_and_a_desk_and_no_word_of_a_chart_is_cut_or_written_over(
    width: int, page: str, tmp_path: Path
) -> None:
    found = measure(page, tmp_path, width)
    assert found["wide"] <= width
    assert found["charts"] == 2
    assert found["seen"] > 30
    assert found["astray"] == []

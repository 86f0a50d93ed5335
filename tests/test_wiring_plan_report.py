"""``jobctl plan --report``: the file that comes out."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from jobctl.apps.plan.report import Report
from jobctl.errors import InvalidOption
from jobctl.wiring.plan_report import write_report
from support.plans import ASSUMPTIONS, make_plan

REPORT = Report(make_plan(simulated=True), "2 replicas carry it.", ASSUMPTIONS, "1.2.3")


def test_a_page_a_drawing_or_a_picture_is_written_by_the_ending(tmp_path: Path) -> None:
    for ending in ("html", "svg", "png"):
        write_report(str(tmp_path / f"plan.{ending}"), REPORT)
    assert (tmp_path / "plan.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert Xml.parse(tmp_path / "plan.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"
    assert (tmp_path / "plan.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plan.html", "plan.png", "plan.svg"]


def test_an_old_report_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "plan.svg").write_text("old")
    write_report(str(tmp_path / "plan.svg"), REPORT)
    assert (tmp_path / "plan.svg").read_text(encoding="utf-8").startswith("<svg")


def test_the_same_plan_gives_the_same_file(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        write_report(str(tmp_path / name), REPORT)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("name", ["plan.pdf", "missing/plan.html"])
def test_what_cannot_be_written_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidOption, match=r"^--report: ") as caught:
        write_report(str(tmp_path / name), REPORT)
    assert "\n" not in str(caught.value)

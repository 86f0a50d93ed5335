"""The runbook has a section for every alert, and what it tells to ask exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from jobctl.apps.monitoring.rules import alerts
from jobctl.core.operations import Operations
from jobctl.core.rules import Alert, Urgency, anchor
from jobctl.core.slo import Objective
from support.monitoring import promtool
from support.promql import selectors
from support.series import known_series

ROOT = Path(__file__).resolve().parents[2]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
OPERATIONS = Operations(promises=(Objective("wait", 0.95, 1.0),), error_rate=0.01)
ALERTS = alerts(OPERATIONS, 1.0)
SECTIONS = dict(re.findall(r"^## (\w+)\n\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL))


def queries() -> list[str]:
    inline = [text for text in re.findall(r"`([^`\n]+)`", RUNBOOK) if re.search(r"\b(rate|sum|max)\(", text)]
    return [*(text.strip() for text in re.findall(r"```promql\n(.*?)```", RUNBOOK, re.DOTALL)), *inline]


def test_every_alert_has_a_section_and_every_section_an_alert() -> None:
    assert set(SECTIONS) == {alert.name for alert in ALERTS}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_a_section_says_how_urgent_it_is_and_what_to_look_at_do_and_leave(alert: Alert) -> None:
    section = SECTIONS[alert.name]

    if alert.urgency is not Urgency.WATCHDOG:
        assert section.startswith(f"**{alert.urgency.value.capitalize()}.** ")
        assert re.search(r"```(promql|console)\n", section), "nothing to paste"
    assert "First look" in section
    assert re.search(r"\bDo not\b|[Dd]o not\b", section), "nothing is advised against"


def test_a_heading_is_found_under_the_address_that_alerts_link_to() -> None:
    for name in SECTIONS:
        assert anchor(name) == re.sub(r"[^\w\- ]", "", name).lower()


def test_every_query_reads_series_that_exist() -> None:
    known = known_series(OPERATIONS).keys()

    assert len(queries()) > 20
    for query in queries():
        names = {selector.partition("{")[0] for selector in selectors(query)}
        assert names, query
        assert names <= known, query
    mentioned = set(re.findall(r"\bjobctl[_:][\w:]+", RUNBOOK))
    assert mentioned <= known


def test_every_query_is_promql(tmp_path: Path) -> None:
    rules = [{"record": f"runbook:{number}", "expr": query} for number, query in enumerate(queries())]
    file = tmp_path / "runbook.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "runbook", "rules": rules}]}), encoding="utf-8")

    assert f"{len(rules)} rules found" in promtool("check", "rules", str(file))


def test_alerts_that_a_section_sends_to_exist() -> None:
    assert set(re.findall(r"\bJobctl\w+", RUNBOOK)) == {alert.name for alert in ALERTS}

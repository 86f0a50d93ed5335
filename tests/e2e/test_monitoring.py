"""A fleet at work, watched by the real Prometheus and Alertmanager through what is rendered, until it is killed.

Everything runs a hundred times as fast as in life: five minutes are three seconds. The story is played once, in one
test, so that tests in parallel do not play it each; what it shows is reported claim by claim.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from jobctl.apps.monitoring.panels import dashboard
from jobctl.core.operations import Operations
from jobctl.core.rules import anchor
from support.monitoring import Prometheus, soon
from support.notified import TOKEN, Notice
from support.promql import expressions, lacking, opened, selectors, unfiltered
from support.watched_fleet import RUNBOOK, watching_fleet

SCALE = 100.0
#: Before it is scaled: two scrapes a second, with half a second for each.
INTERVAL_S = 50.0
PROMISED_S = 60.0
#: Seconds in which the longest window of the past is full.
FILLED_S = 30.0


@dataclass
class Story:
    """What was seen.

    Attributes:
        lacks: What expressions of panels and rules lack to be answered; by expression.
        panels: The expressions of the panels.
        recordings: Those of recording rules.
        alerts: Those of alerts.
        sick: Rules that Prometheus could not evaluate, and its reasons.
        below: What Alertmanager was told after one worker was killed.
        early: What was heard of a fleet that is down while it was not.
        down: What was heard after the other was killed as well.
        heard_s: From that kill until it was heard, seconds.
        resolved: What was heard after both were started again.
        beats: What was heard of the watchdog.
    """

    lacks: dict[str, list[str]] = field(default_factory=dict)
    panels: list[str] = field(default_factory=list)
    recordings: list[str] = field(default_factory=list)
    alerts: list[str] = field(default_factory=list)
    sick: dict[str, str] = field(default_factory=dict)
    below: list[dict[str, Any]] = field(default_factory=list)
    early: list[Notice] = field(default_factory=list)
    down: list[Notice] = field(default_factory=list)
    heard_s: float = math.inf
    resolved: list[Notice] = field(default_factory=list)
    beats: list[Notice] = field(default_factory=list)


def play(directory: Path) -> Story:
    """The whole of it."""
    told = Story()
    with watching_fleet(directory, SCALE, INTERVAL_S) as watch:
        fleet, receiver = watch.fleet, watch.receiver
        _ask_everything(told, watch.prometheus, watch.operations)
        fleet.kill(fleet.workers[0])
        told.below = soon(lambda: watch.alertmanager.active("JobctlWorkersBelowPlan"))
        told.early = receiver.of("JobctlFleetDown", "firing")
        killed_s = fleet.kill(fleet.workers[1])
        told.down = soon(lambda: receiver.of("JobctlFleetDown", "firing", killed_s), PROMISED_S)
        told.heard_s = min((notice.at_s for notice in told.down), default=math.inf) - killed_s
        fleet.start()
        told.resolved = soon(lambda: receiver.of("JobctlFleetDown", "resolved"))
        told.beats = receiver.of("JobctlWatchdog", "firing")
    print(f"from the kill to the webhook: {told.heard_s:.1f} s")
    return told


def _ask_everything(told: Story, prometheus: Prometheus, operations: Operations) -> None:
    """Ask each expression until it is answered: windows of the past have to fill first."""
    rules = prometheus.rules()
    recorded = {rule["name"]: rule["query"] for rule in rules if rule["type"] == "recording" and not rule.get("labels")}
    told.panels = expressions(dashboard(operations, SCALE))
    told.recordings = [rule["query"] for rule in rules if rule["type"] == "recording"]
    told.alerts = [rule["query"] for rule in rules if rule["type"] == "alerting"]
    told.lacks = {one: ["was not asked"] for one in (*told.panels, *told.recordings, *told.alerts)}

    def all_answered() -> bool:
        absent = {name: query for name, query in recorded.items() if not prometheus.query(name)}
        conditions = {name: query for name, query in absent.items() if unfiltered(query) != query}
        for expression in [one for one, lacks in told.lacks.items() if lacks]:
            told.lacks[expression] = lacking(prometheus, expression, conditions)
        return not any(told.lacks.values())

    soon(all_answered, FILLED_S)
    told.sick = {rule["name"]: rule["lastError"] for rule in prometheus.rules() if rule["health"] != "ok"}


def every_panel_is_answered_from_the_live_run(story: Story) -> None:
    assert len(story.panels) > 40
    assert {one: story.lacks[one] for one in story.panels if story.lacks[one]} == {}


def every_recording_rule_is_answered_from_the_live_run(story: Story) -> None:
    assert len(story.recordings) > 20
    assert {one: story.lacks[one] for one in story.recordings if story.lacks[one]} == {}


def every_alert_has_its_series_in_the_live_run_and_their_labels_match(story: Story) -> None:
    assert len(story.alerts) > 20
    assert {one: story.lacks[one] for one in story.alerts if story.lacks[one]} == {}
    assert story.sick == {}


def a_worker_that_was_killed_makes_a_ticket(story: Story) -> None:
    (alert,) = story.below
    assert alert["labels"]["severity"] == "ticket"
    assert [receiver["name"] for receiver in alert["receivers"]] == ["ticket"]
    assert alert["annotations"]["summary"] == "Only 1 workers, fewer than planned"
    assert alert["annotations"]["description"].startswith("2 are planned.")


def a_killed_fleet_reaches_the_webhook_within_a_minute(story: Story) -> None:
    assert story.early == []
    assert story.heard_s < PROMISED_S
    notice = story.down[0]
    assert notice.labels["severity"] == "page"
    assert notice.annotations["runbook_url"] == RUNBOOK + "#" + anchor("JobctlFleetDown")
    assert notice.annotations["summary"]


def a_fleet_that_is_back_resolves_the_alert(story: Story) -> None:
    assert [notice.labels for notice in story.resolved] == [notice.labels for notice in story.down]
    assert story.resolved[0].at_s > story.down[0].at_s


def every_message_bears_the_token_and_the_watchdog_beats(story: Story) -> None:
    notices = [*story.down, *story.resolved, *story.beats]
    assert {notice.authorization for notice in notices} == {f"Bearer {TOKEN}"}
    assert len(story.beats) >= 2


CLAIMS: Final[tuple[Callable[[Story], None], ...]] = (
    every_panel_is_answered_from_the_live_run,
    every_recording_rule_is_answered_from_the_live_run,
    every_alert_has_its_series_in_the_live_run_and_their_labels_match,
    a_worker_that_was_killed_makes_a_ticket,
    a_killed_fleet_reaches_the_webhook_within_a_minute,
    a_fleet_that_is_back_resolves_the_alert,
    every_message_bears_the_token_and_the_watchdog_beats,
)


def test_a_fleet_is_watched_and_when_it_is_killed_somebody_is_told(tmp_path: Path, subtests: pytest.Subtests) -> None:
    story = play(tmp_path)

    for claim in CLAIMS:
        with subtests.test(claim.__name__.replace("_", " ")):
            claim(story)


@pytest.mark.parametrize(
    ("expression", "selected", "whole"),
    [
        ('a{x="y>}"} > 1', ['a{x="y>}"}'], 'a{x="y>}"} > bool 1'),
        ("sum by (q) (rate(a[5m]))/b>=bool 2", ["a", "b"], "sum by (q) (rate(a[5m]))/b>=bool 2"),
        ("a unless on (x, y) b == 0", ["a", "b"], "a and on (x, y) b == bool 0"),
        ('absent(up{job="w"}) or vector(1)', ['up{job="w"}'], 'count(up{job="w"}) or vector(1)'),
        ("a < on (x) group_left(c) d offset 5m", ["a", "d"], "a < bool on (x) group_left(c) d offset 5m"),
        ("jobtcl:a:b + 1", ["jobtcl:a:b"], "jobtcl:a:b + 1"),
    ],
)  # fmt: skip
def test_what_an_expression_selects_is_read_from_it(expression: str, selected: list[str], whole: str) -> None:
    assert selectors(expression) == selected
    assert unfiltered(expression) == whole


def test_a_recorded_series_that_is_not_always_there_is_replaced_by_its_rule() -> None:
    assert opened("a:b and c > 1", {"a:b": "d > 0"}) == "(d > bool 0) and c > bool 1"

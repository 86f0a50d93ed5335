"""The tests of the alerts hold on the real promtool, cover every alert both ways, and fail when an alert is broken."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobctl.apps.monitoring.prometheus import rules_document
from jobctl.apps.monitoring.rule_tests import budget_tests, rule_tests
from jobctl.apps.monitoring.rules import alert_groups, recording_groups
from jobctl.core.operations import Fleet, Operations, Thresholds
from jobctl.core.rules import Alert, Group
from jobctl.core.slo import Objective
from support.monitoring import promtool

OPERATIONS = Operations(promises=(Objective("wait", 0.95, 1.0),), error_rate=0.01)
#: One bound for two objectives, a budget that hardly burns, and thresholds of its own.
OTHERS = Operations(
    promises=(
        Objective("wait", 0.95, 2.5),
        Objective("wait", 0.999, 2.5),
    ),
    error_rate=0.3,
    fleet=Fleet(replicas=5),
    thresholds=Thresholds(rate_limited=0.0, credit_usd=0.0, key_usd=1234.5, redis_memory=0.99, dead_jobs=1500),
)

Documents = dict[str, dict[str, Any]]


def documents(operations: Operations) -> Documents:
    """The files by their paths, as Prometheus has them."""
    runbook = operations.notify.runbook
    return {
        "alerts/recording-rules.yml": rules_document(recording_groups(operations, 1.0), runbook, 1.0),
        "alerts/worker-alerts.yml": rules_document(alert_groups(operations, 1.0), runbook, 1.0),
        "tests/worker.yml": rule_tests(operations),
        "tests/budget.yml": budget_tests(operations),
    }


def put(files: Documents, directory: Path) -> None:
    """Write them."""
    for name, document in files.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(yaml.safe_dump(document), encoding="utf-8")


def keep(files: Documents, alerts: Iterable[str]) -> None:
    """Keep the cases of these alerts, and the groups of rules that hold or feed one: each case works out all rules."""
    wanted = set(alerts)
    for name in ("tests/worker.yml", "tests/budget.yml"):
        cases = files[name]["tests"]
        files[name]["tests"] = [case for case in cases if case["alert_rule_test"][0]["alertname"] in wanted]
    groups = files["alerts/worker-alerts.yml"]["groups"]
    kept = [group for group in groups if wanted & {rule["alert"] for rule in group["rules"]}]
    files["alerts/worker-alerts.yml"]["groups"] = kept
    if "jobctl-promises" not in {group["name"] for group in kept}:
        rules = files["alerts/recording-rules.yml"]
        rules["groups"] = [group for group in rules["groups"] if group["name"] == "jobctl-fleet"]


def hold(files: Documents, directory: Path) -> None:
    """Run the tests, which must succeed."""
    put(files, directory)
    named = [str(directory / name) for name, document in files.items() if document.get("tests")]
    assert "SUCCESS" in promtool("test", "rules", *named)


@pytest.mark.parametrize("group", alert_groups(OPERATIONS, 1.0), ids=lambda group: group.name)
def test_every_alert_fires_when_it_should_and_only_then(group: Group, tmp_path: Path) -> None:
    files = documents(OPERATIONS)
    keep(files, (rule.name for rule in group.rules if isinstance(rule, Alert)))

    hold(files, tmp_path)


def test_the_cases_follow_other_promises(tmp_path: Path) -> None:
    files = documents(OTHERS)
    keep(files, {case["alert_rule_test"][0]["alertname"] for case in files["tests/budget.yml"]["tests"]})

    hold(files, tmp_path)


def test_the_cases_follow_other_thresholds(tmp_path: Path) -> None:
    files = documents(OTHERS)
    mine = ("RateLimited", "OpenRouter", "RedisMemory", "DeadSet", "WorkersBelow")
    names = {case["alert_rule_test"][0]["alertname"] for case in files["tests/worker.yml"]["tests"]}
    keep(files, {name for name in names if name.removeprefix("Jobctl").startswith(mine)})

    hold(files, tmp_path)


@pytest.mark.parametrize("operations", [OPERATIONS, OTHERS, Operations()])
def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(operations: Operations) -> None:
    kinds: dict[str, set[bool]] = defaultdict(set)
    for document in (rule_tests(operations), budget_tests(operations)):
        for case in document["tests"]:
            (asked,) = case["alert_rule_test"]
            kinds[asked["alertname"]].add("exp_alerts" in asked)
    names = {rule.name for group in alert_groups(operations, 1.0) for rule in group.rules}  # type: ignore[union-attr]

    assert kinds.pop("JobctlWatchdog") == {True}  # it always fires
    assert set(kinds) == names - {"JobctlWatchdog"}
    assert all(kind == {True, False} for kind in kinds.values()), kinds


def test_every_case_has_a_name_of_its_own() -> None:
    names = [case["name"] for document in (rule_tests(OTHERS), budget_tests(OTHERS)) for case in document["tests"]]

    assert len(set(names)) == len(names)


def inverted(rule: dict[str, Any]) -> None:
    assert rule["expr"].endswith("< 20")
    rule["expr"] = rule["expr"].replace("< 20", "> 20")


def renamed(rule: dict[str, Any]) -> None:
    assert "jobctl_scheduler_up" in rule["expr"]
    rule["expr"] = rule["expr"].replace("jobctl_scheduler_up", "jobctl_schedulers_up")


def summed(rule: dict[str, Any]) -> None:
    assert "sum by (model)" in rule["expr"]
    rule["expr"] = rule["expr"].replace("sum by (model)", "sum")


def impatient(rule: dict[str, Any]) -> None:
    del rule["for"]


def without_the_short_window(rule: dict[str, Any]) -> None:
    rule["expr"] = "\n".join(line for line in rule["expr"].splitlines() if "rate5m" not in line)


def less_urgent(rule: dict[str, Any]) -> None:
    rule["labels"]["severity"] = "ticket"


@pytest.mark.parametrize(
    ("alert", "mutation"),
    [
        ("JobctlOpenRouterCreditLow", inverted),
        ("JobctlSchedulerAbsent", renamed),
        ("JobctlRateLimited", summed),
        ("JobctlFleetDown", impatient),
        ("JobctlSuccessBudgetBurnsFast", without_the_short_window),
        ("JobctlRedisEvicts", less_urgent),
    ],
)
def test_an_alert_that_is_broken_fails_its_cases(
    alert: str, mutation: Callable[[dict[str, Any]], None], tmp_path: Path
) -> None:
    files = documents(OPERATIONS)
    keep(files, [alert])
    rules = [rule for group in files["alerts/worker-alerts.yml"]["groups"] for rule in group["rules"]]
    mutation(next(rule for rule in rules if rule["alert"] == alert))
    put(files, tmp_path)

    said = promtool("test", "rules", str(tmp_path / "tests/worker.yml"), str(tmp_path / "tests/budget.yml"), status=1)

    assert f"alertname: {alert}" in said

"""The tests of the alerts, for ``promtool test rules``: what a fleet goes through, and what each alert makes of it.

Every alert has a case in which it fires and one, nearly the same, in which it does not. The cases follow ``slo.toml``:
with another promise or threshold they are about that.

Windows of a budget are hours, and its alerts need no time to be sure. So their tests look every twenty minutes only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from jobctl.apps.monitoring.budget_cases import budget_cases
from jobctl.apps.monitoring.job_cases import job_cases
from jobctl.apps.monitoring.prometheus import RULE_FILES, texts
from jobctl.apps.monitoring.rule_cases import Case
from jobctl.apps.monitoring.rules import alert_groups, alerts, recording_groups
from jobctl.apps.monitoring.service_cases import service_cases
from jobctl.apps.monitoring.worker_cases import worker_cases
from jobctl.core.operations import Operations
from jobctl.core.rules import Alert, duration

__all__ = ["budget_tests", "rule_tests"]

_TEMPLATE: Final = re.compile(r"\{\{.*?\}\}")


def rule_tests(operations: Operations) -> dict[str, Any]:
    """What ``prometheus/tests/worker-alerts.test.yml`` holds: the tests of every alert but those on budgets."""
    return _file(operations, _fleet_cases(operations), "1m")


def budget_tests(operations: Operations) -> dict[str, Any]:
    """What ``prometheus/tests/budget-alerts.test.yml`` holds: the tests of the alerts on budgets."""
    return _file(operations, budget_cases(operations), "20m")


def _fleet_cases(operations: Operations) -> Iterator[Case]:
    yield from job_cases(operations)
    yield from worker_cases(operations)
    yield from service_cases(operations)


def _file(operations: Operations, cases: Iterable[Case], interval: str) -> dict[str, Any]:
    groups = (*recording_groups(operations, 1.0), *alert_groups(operations, 1.0))
    told = alerts(operations, 1.0)
    return {
        "rule_files": [f"../{path}" for path in RULE_FILES],
        "evaluation_interval": interval,
        "group_eval_order": [group.name for group in groups],
        "tests": [_test(case, told, operations.notify.runbook) for case in cases],
    }


def _test(case: Case, alerts: Sequence[Alert], runbook: str) -> dict[str, Any]:
    told = []
    for firing in case.firing:
        alert = next(one for one in alerts if one.name == case.alert and one.labels.items() <= firing.labels.items())
        told.append(
            {
                "exp_labels": {**firing.labels, "severity": alert.urgency.value},
                "exp_annotations": _said(texts(alert, runbook), firing.says),
            }
        )
    asked: dict[str, Any] = {"eval_time": duration(60 * case.minutes), "alertname": case.alert}
    return {
        "name": f"{case.alert}: {case.story}",
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
        "alert_rule_test": [{**asked, "exp_alerts": told} if told else asked],
    }


def _said(templates: dict[str, str], says: tuple[str, ...]) -> dict[str, str]:
    """Annotations with what stands for their templates, in order."""
    values = iter(says)
    return {name: _TEMPLATE.sub(lambda _: next(values), text) for name, text in templates.items()}

"""Recording rules and alerts: what they read exists, each alert is there with its urgency, and every time is scaled."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from typer.main import get_command

from jobctl.apps.monitoring.budgets import FAST, SLOW, WINDOWS_S, success_budget, wait_budgets
from jobctl.apps.monitoring.prometheus import rules_document
from jobctl.apps.monitoring.rules import alert_groups, recording_groups
from jobctl.cli.main import app
from jobctl.core.metrics import BUCKETS_S, EXPORTER, FLEET, WORKER, Kind
from jobctl.core.operations import Fleet, Operations, Scrape, Thresholds
from jobctl.core.rules import Alert, Group, Recording, Urgency
from jobctl.core.slo import Objective, Window
from support.monitoring import promtool
from support.promql import selectors

OPERATIONS = Operations(promises=(Objective("wait", 0.95, 1.0), Objective("wait", 0.99, 10.0)), error_rate=0.01)
URGENCY = {
    "JobctlSuccessBudgetBurnsFast": "page",
    "JobctlSuccessBudgetBurnsSlowly": "ticket",
    "JobctlWaitBudgetBurnsFast": "page",
    "JobctlWaitBudgetBurnsSlowly": "ticket",
    "JobctlJobsStuck": "page",
    "JobctlFleetUndersized": "page",
    "JobctlLimiterBound": "ticket",
    "JobctlNoCallSucceeds": "page",
    "JobctlRateLimited": "ticket",
    "JobctlBreakerOpen": "page",
    "JobctlOpenRouterCreditLow": "ticket",
    "JobctlOpenRouterKeyLimitLow": "ticket",
    "JobctlDeadSetGrows": "ticket",
    "JobctlJobsAbandoned": "ticket",
    "JobctlSchedulerAbsent": "page",
    "JobctlWorkersBelowPlan": "ticket",
    "JobctlFleetDown": "page",
    "JobctlSlotsStuck": "ticket",
    "JobctlDatabasePoolSaturated": "ticket",
    "JobctlRedisDown": "page",
    "JobctlRedisMemoryHigh": "ticket",
    "JobctlRedisNotPersistent": "ticket",
    "JobctlRedisEvicts": "page",
    "JobctlCrashLoop": "page",
    "JobctlExporterAbsent": "ticket",
    "JobctlWatchdog": "watchdog",
}
#: What Prometheus and prometheus_client's ProcessCollector add, of what the rules read.
OTHERS = {"up": set[str](), "process_start_time_seconds": set[str]()}


def rules_of(groups: tuple[Group, ...]) -> list[Any]:
    return [rule for group in groups for rule in group.rules]


def alerts(operations: Operations = OPERATIONS, time_scale: float = 1.0) -> list[Alert]:
    return rules_of(alert_groups(operations, time_scale))


def recordings(operations: Operations = OPERATIONS, time_scale: float = 1.0) -> list[Recording]:
    return rules_of(recording_groups(operations, time_scale))


def known_series() -> dict[str, set[str]]:
    """Every series that workers and exporters expose or that is recorded, with its labels."""
    known = dict(OTHERS)
    for metric in (*WORKER, *FLEET, *EXPORTER):
        names = {Kind.HISTOGRAM: ("_bucket", "_sum", "_count")}.get(metric.kind, ("",))
        known |= {metric.full_name + name: {*metric.labels, "le"} for name in names}
    for rule in recordings():
        known.setdefault(rule.record, set()).update(rule.labels)
    return known


def test_every_alert_is_there_with_its_urgency() -> None:
    assert {alert.name: alert.urgency.value for alert in alerts()} == URGENCY


def test_every_series_that_is_read_exists_with_its_labels() -> None:
    known = known_series()
    queries = [query for alert in alerts() for query in re.findall(r"query `([^`]*)`", alert.description)]
    for expression in [*(rule.expr for rule in (*alerts(), *recordings())), *queries]:
        for selector in selectors(expression):
            name, _, matchers = selector.partition("{")
            assert name in known, expression
            assert set(re.findall(r"(\w+)\s*(?:=~|!=|!~|=)", matchers)) <= known[name] | {"job", "instance"}, selector


def test_what_one_process_tells_for_all_is_never_added_up() -> None:
    told_once = re.compile(r"(max|min)(?: by \(\w+\))?\s*\(last_over_time\((\w+)\[")
    expressions = [rule.expr for rule in (*alerts(), *recordings())]
    read = [name for one in expressions for name in selectors(one) if name in {metric.full_name for metric in FLEET}]
    safe = [name for one in expressions for _, name in told_once.findall(one)]

    assert sorted(read) == sorted(safe)
    assert len(set(read)) > 10


def test_a_series_is_recorded_before_it_is_read() -> None:
    for group in recording_groups(OPERATIONS, 1.0):
        recorded = [rule.record for rule in group.rules if isinstance(rule, Recording)]
        for place, rule in enumerate(group.rules):
            for name in {selector.partition("{")[0] for selector in selectors(rule.expr)} & set(recorded):
                assert recorded.index(name) < place, f"{rule.expr} reads {name} of the time before"


def test_no_two_rules_record_the_same_series() -> None:
    objective = Objective("wait", 0.95, 1.0)
    twice = Operations(promises=(objective, objective, Objective("wait", 0.95, 1.0, Window.BUSIEST_HOUR)))
    recorded = [(rule.record, tuple(rule.labels.items())) for rule in recordings(twice)]

    assert len(set(recorded)) == len(recorded)
    assert len([alert for alert in alerts(twice) if alert.name == "JobctlWaitBudgetBurnsFast"]) == 2


@pytest.mark.parametrize(
    "operations",
    [
        OPERATIONS,
        Operations(),
        Operations(error_rate=0.5, scrape=Scrape(interval_s=60.0)),
        Operations(
            promises=(Objective("wait", 0.9999, 0.001), Objective("wait", 0.99, 0.001)), fleet=Fleet(replicas=1)
        ),
    ],
)
@pytest.mark.parametrize("time_scale", [1.0, 60.0, 1000.0])
def test_prometheus_takes_the_rules_of_any_fleet(operations: Operations, time_scale: float, tmp_path: Path) -> None:
    for name, groups in (
        ("recording.yml", recording_groups(operations, time_scale)),
        ("alerts.yml", alert_groups(operations, time_scale)),
    ):
        document = rules_document(groups, "docs/runbook.md", time_scale)
        (tmp_path / name).write_text(yaml.safe_dump(document), encoding="utf-8")

    said = promtool("check", "rules", "--lint-fatal", str(tmp_path / "recording.yml"), str(tmp_path / "alerts.yml"))

    assert f"{len(rules_of(alert_groups(operations, time_scale)))} rules found" in said


def test_every_time_is_scaled() -> None:
    def times(time_scale: float) -> list[str]:
        texts = [rule.expr for rule in (*alerts(time_scale=time_scale), *recordings(time_scale=time_scale))]
        return [
            found for text in texts for found in re.findall(r"\[(\w+)\]|offset (\w+)", text) for found in found if found
        ]

    in_life, fast = times(1.0), times(60.0)
    known = {"1m": "1s", "5m": "5s", "10m": "10s", "15m": "15s", "30m": "30s", "1h": "1m", "2h": "2m", "6h": "6m"}

    assert [(known | {"1d": "24m", "3d": "1h12m"})[time] for time in in_life] == fast
    assert "oldest_age_seconds:max > 60\n" in "".join(rule.expr for rule in recordings())
    assert "oldest_age_seconds:max > 1\n" in "".join(rule.expr for rule in recordings(time_scale=60.0))


def test_no_window_is_shorter_than_four_scrapes() -> None:
    slow = Operations(error_rate=0.01, promises=OPERATIONS.promises, scrape=Scrape(interval_s=60.0))
    windows = {window for rule in (*alerts(slow), *recordings(slow)) for window in re.findall(r"\[(\w+)\]", rule.expr)}

    assert windows == {"4m", *WINDOWS_S, "10m", "15m"}


def test_a_bound_of_the_histogram_is_written_as_workers_expose_it() -> None:
    registry = CollectorRegistry()
    Histogram("wait", "Waits.", registry=registry, buckets=BUCKETS_S).observe(1.0)
    exposed = set(re.findall(r'le="([^"]+)"', generate_latest(registry).decode()))
    promised = Operations(promises=tuple(Objective("wait", 0.99, float(bound)) for bound in BUCKETS_S))
    read = {bound for rule in recordings(promised) for bound in re.findall(r'le="([^"]+)"', rule.expr)}

    assert read == exposed - {"+Inf"}


def test_a_budget_burns_at_the_rates_of_the_workbook() -> None:
    fast, slow = (
        next(alert for alert in alerts() if alert.name == f"JobctlSuccessBudgetBurns{pace}")
        for pace in ("Fast", "Slowly")
    )
    compared = re.compile(r"rate(\w+) > ([\d.]+)")

    assert compared.findall(fast.expr) == [("1h", "0.144"), ("5m", "0.144"), ("6h", "0.06"), ("30m", "0.06")]
    assert compared.findall(slow.expr) == [("1d", "0.03"), ("2h", "0.03"), ("3d", "0.01"), ("6h", "0.01")]
    assert re.findall(r"increase\w+ >= (\d+)", fast.expr + slow.expr) == 4 * ["10"]


@pytest.mark.parametrize(
    ("error_rate", "rates"),
    [(0.01, [14.4, 6, 3, 1]), (0.069, [14.4, 6, 3, 1]), (0.1, [6, 3, 1]), (0.2, [3, 1]), (0.5, [1])],
)
def test_a_burn_that_would_take_more_than_everything_is_left_out(error_rate: float, rates: list[float]) -> None:
    budget = success_budget(Operations(error_rate=error_rate))
    assert budget is not None
    told = {alert.name for alert in alerts(Operations(error_rate=error_rate)) if "Success" in alert.name}

    assert [burn.rate for burn in (*budget.burns(FAST), *budget.burns(SLOW))] == rates
    assert ("JobctlSuccessBudgetBurnsFast" in told) == (rates[0] >= 6)
    assert "JobctlSuccessBudgetBurnsSlowly" in told


def test_what_is_not_promised_has_no_alert() -> None:
    names = {alert.name for alert in alerts(Operations(promises=(Objective("sojourn", 0.95, 10.0),)))}

    assert names == {name for name in URGENCY if "Budget" not in name}
    assert wait_budgets(Operations()) == ()


def test_thresholds_come_from_the_file() -> None:
    mine = Operations(
        fleet=Fleet(replicas=7),
        thresholds=Thresholds(rate_limited=0.11, credit_usd=22.0, key_usd=3.3, redis_memory=0.44, dead_jobs=55),
    )
    exprs = {alert.name: alert.expr for alert in alerts(mine)}

    assert "> 0.11\n" in exprs["JobctlRateLimited"]
    assert exprs["JobctlOpenRouterCreditLow"].endswith("< 22")
    assert exprs["JobctlOpenRouterKeyLimitLow"].endswith("< 3.3")
    assert exprs["JobctlRedisMemoryHigh"].endswith("> 0.44")
    assert exprs["JobctlDeadSetGrows"].endswith("> 55")
    assert "vector(7)" in exprs["JobctlWorkersBelowPlan"]


def test_what_alerts_advise_to_run_exists_with_its_options() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    options = {option for verb in ("work", "exporter") for one in commands[verb].params for option in one.opts}
    advised = [text for alert in alerts() for text in re.findall(r"`([^`{}]+)`", alert.description) if "(" not in text]

    for text in advised:
        words = shlex.split(text)
        if words[0] != "jobctl":
            assert words[0] in options, text
            continue
        found = commands[words[1]]
        assert len(words) == 2 or words[2] in found.commands, text
    assert {"jobctl dead list", "jobctl plan", "--db-pool-size"} <= set(advised)


def test_every_alert_says_what_to_do_first_in_whole_sentences() -> None:
    for alert in alerts():
        assert 15 < len(alert.summary) < 120, alert.name
        assert not alert.summary.endswith("."), alert.name
        assert alert.description.endswith("."), alert.name
        assert alert.description.count(". ") >= 1, f"{alert.name} says what is wrong, and not what to do"
        assert (alert.urgency is Urgency.WATCHDOG) == (alert.name == "JobctlWatchdog")

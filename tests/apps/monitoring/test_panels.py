"""The dashboard's panels: what they ask exists, is PromQL, and says what it should of fleets that are known."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from jobctl.apps.monitoring.panels import dashboard
from jobctl.apps.monitoring.prometheus import rules_document
from jobctl.apps.monitoring.rules import recording_groups
from jobctl.cli.main import app
from jobctl.core.operations import Fleet, Operations, Scrape, Thresholds
from jobctl.core.panels import GRID, Dashboard, Form, Panel, Query
from jobctl.core.rules import Group
from jobctl.core.slo import Objective
from jobctl.core.tiers import parse_tier
from support.monitoring import promtool
from support.promql import expressions, selectors
from support.series import known_series

OPERATIONS = Operations(
    promises=(Objective("wait", 0.95, 1.0), Objective("wait", 0.999, 30.0)),
    error_rate=0.01,
    fleet=Fleet(db_pool_size=5, db_tier=parse_tier("small")),
)


def _panels(shown: Dashboard) -> dict[str, Panel]:
    return {panel.title: panel for row in shown.rows for panel in row.panels}


def _queries(shown: Dashboard) -> list[tuple[Panel, Query]]:
    return [(panel, query) for panel in _panels(shown).values() for query in panel.queries]


def test_every_series_that_is_asked_for_exists_with_its_labels() -> None:
    known = known_series(OPERATIONS)
    shown = dashboard(OPERATIONS, 1.0)

    chosen = [re.sub(r"^label_values\((.*), \w+\)$", r"\1", variable.values) for variable in shown.variables]
    for expression in [*expressions(shown), *chosen]:
        for selector in selectors(expression):
            name, _, matchers = selector.partition("{")
            assert name in known, expression
            assert {*re.findall(r"(\w+)\s*(?:=~|!=|!~|=)", matchers)} <= known[name], selector


def test_every_expression_is_promql(tmp_path: Path) -> None:
    rules = [{"record": "x", "expr": one} for scale in (1.0, 60.0) for one in expressions(dashboard(OPERATIONS, scale))]
    for number, rule in enumerate(rules):
        rule["record"] = f"panel:{number}"
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}), encoding="utf-8")

    assert f"{len(rules)} rules found" in promtool("check", "rules", str(file))


def test_a_legend_names_only_labels_that_its_query_keeps() -> None:
    for _, query in _queries(dashboard(OPERATIONS, 1.0)):
        for label in re.findall(r"\{\{(\w+)\}\}", query.legend):
            branches = query.expr.split("\nor ")
            assert all(re.search(rf"\bby \([^)]*\b{label}\b[^)]*\)", branch) for branch in branches), query
    for mark in dashboard(OPERATIONS, 1.0).marks:
        assert all(f"by ({label})" in mark.expr for label in re.findall(r"\{\{(\w+)\}\}", mark.text))


def test_a_query_of_one_series_has_no_legend_that_another_one_of_its_panel_has() -> None:
    for panel in _panels(dashboard(OPERATIONS, 1.0)).values():
        legends = [query.legend for query in panel.queries]
        assert len(set(legends)) == len(legends), panel.title


@pytest.mark.parametrize(
    "operations", [OPERATIONS, Operations(), Operations(error_rate=0.001)], ids=["all", "none", "failures"]
)
def test_lines_of_panels_fill_the_width(operations: Operations) -> None:
    for row in dashboard(operations, 1.0).rows:
        width = 0
        for panel in row.panels:
            width += panel.width
            assert width <= GRID, panel.title
            width %= GRID
        assert width == 0, row.title


def test_titles_are_unique_and_everything_is_explained() -> None:
    shown = dashboard(OPERATIONS, 1.0)
    panels = [panel for row in shown.rows for panel in row.panels]

    assert len(_panels(shown)) == len(panels)
    assert len({row.title for row in shown.rows}) == len(shown.rows)
    for panel in panels:
        assert len(panel.description) > 40
        assert panel.description.endswith("."), panel.title
        assert bool(panel.states) == (panel.form is Form.STATES)
        assert not panel.steps or panel.steps[0].at is None
        beginnings = [step.at for step in panel.steps if step.at is not None]
        assert beginnings == sorted(set(beginnings))


def test_commands_that_a_description_names_exist() -> None:
    commands = get_command(app)
    named = [
        words.split()
        for panel in _panels(dashboard(OPERATIONS, 1.0)).values()
        for words in re.findall(r"\bjobctl ((?:dead )?[a-z]+)", panel.description)
    ]

    assert ["dead", "retry"] in named
    for words in named:
        command: Any = commands
        for word in words:
            assert word in command.commands, words
            command = command.commands[word]


def test_what_is_promised_and_where_alerts_begin_is_drawn() -> None:
    operations = Operations(
        promises=(Objective("wait", 0.99, 5.0),),
        error_rate=0.002,
        thresholds=Thresholds(rate_limited=0.07, credit_usd=33, key_usd=11, redis_memory=0.6),
        fleet=Fleet(replicas=7, db_tier=parse_tier("medium:direct")),
    )
    panels = _panels(dashboard(operations, 1.0))

    def begins(title: str) -> list[float | None]:
        return [step.at for step in panels[title].steps]

    def targets(title: str) -> list[str]:
        return [query.expr for query in panels[title].queries if query.target]

    assert targets("Waits") == ["vector(5)"]
    assert [query.legend for query in panels["Waits"].queries] == ["p50", "p95", "p99", "promised: p99 wait <= 5 s"]
    assert [query.legend for query in panels["Error budgets left, of 30 days"].queries] == [
        "error_rate <= 0.2%",
        "p99 wait <= 5 s",
    ]
    assert begins("How fast the budgets burn") == [None, 1, 3, 6, 14.4]
    assert begins("429, of all answers") == [None, 0.07]
    assert begins("Credit left") == [None, 33, 66]
    assert begins("Left of the key's limit") == [None, 11, 22]
    assert begins("CPU of each worker") == [None, 0.7]  # what jobctl plan counts with
    assert "max(jobctl_redis_maxmemory_bytes) * 0.6" in targets("Redis' memory")
    assert "vector(120)" in targets("Database connections of the fleet")
    assert any("vector(7)" in target for target in targets("Replicas"))


def test_without_promises_there_are_waits_and_no_budgets() -> None:
    first = dashboard(Operations(), 1.0).rows[0]

    assert [panel.title for panel in first.panels] == ["Waits"]
    assert not any(query.target for query in first.panels[0].queries)


def test_an_objective_with_another_percentile_is_drawn_too() -> None:
    waits = _panels(dashboard(OPERATIONS, 1.0))["Waits"]

    assert [query.legend for query in waits.queries][:4] == ["p50", "p95", "p99", "p99.9"]


def test_the_runbook_is_linked_where_a_browser_can_open_it() -> None:
    assert dashboard(OPERATIONS, 1.0).runbook is None  # docs/runbook.md
    notify = type(OPERATIONS.notify)(runbook="https://runbook.example.com/")
    assert dashboard(Operations(notify=notify), 1.0).runbook == "https://runbook.example.com/"


def test_windows_are_shortened_with_everything_else() -> None:
    def windows(operations: Operations, time_scale: float) -> set[str]:
        panel = _panels(dashboard(operations, time_scale))["Latency of calls"]
        return {window for query in panel.queries for window in re.findall(r"\[(\w+)\]", query.expr)}

    assert windows(OPERATIONS, 1.0) == {"5m"}
    assert windows(OPERATIONS, 60.0) == {"5s"}
    assert windows(MINUTELY, 1.0) == {"5m"}  # which holds four scrapes of a minute, the longest interval
    assert not [one for one in expressions(dashboard(OPERATIONS, 60.0)) if re.search(r"[\[:](5m|1h|1d|30d)\]", one)]


# ---------------------------------------------------------------------------------------- what it says of known fleets

#: Samples each minute for an hour, in promtool's notation: begin, step, count.
MINUTES = 60
STILL = f"x{MINUTES}"
MINUTELY = replace(OPERATIONS, scrape=Scrape(interval_s=60.0))
CALM = {
    'up{job="jobctl-worker",instance="a"}': f"1+0{STILL}",
    'up{job="jobctl-worker",instance="b"}': f"1+0{STILL}",
    'jobctl_redis_up{job="jobctl-exporter"}': f"1+0{STILL}",
    "jobctl_exporter_elected": f"1+0{STILL}",
    "jobctl_workers": f"2+0{STILL}",
    'jobctl_slots{instance="a"}': f"25+0{STILL}",
    'jobctl_slots{instance="b"}': f"25+0{STILL}",
    'jobctl_slots_busy{instance="a"}': f"5+0{STILL}",
    'jobctl_slots_busy{instance="b"}': f"10+0{STILL}",
    'jobctl_queue_depth{queue="default"}': f"0+0{STILL}",
    'jobctl_queue_oldest_age_seconds{queue="default"}': f"0+0{STILL}",
    'jobctl_limiter_headroom{model="m"}': f"0.5+0{STILL}",
    'jobctl_breaker_open{model="m"}': f"0+0{STILL}",
}
#: A queue that nobody works off: 4 jobs/s come, and the first still waits.
GROWING = {
    'jobctl_queue_depth{queue="default"}': "0+240x60",
    'jobctl_queue_oldest_age_seconds{queue="default"}': "0+60x60",
}
FULL = {f'jobctl_slots_busy{{instance="{worker}"}}': f"25+0{STILL}" for worker in "ab"}
BOTTLENECKS = {
    "nothing": CALM,
    "nothing although slots are full": CALM | FULL,
    "nothing although no queue was ever used": {name: values for name, values in CALM.items() if "_queue_" not in name},
    "not known": {name: values for name, values in CALM.items() if "_queue_" not in name and "_workers" not in name},
    "slots": CALM | GROWING | FULL,
    "stuck, slots are free": CALM | GROWING,
    "rate limit": CALM | GROWING | {'jobctl_limiter_headroom{model="m"}': f"0+0{STILL}"},
    "OpenRouter fails": CALM | GROWING | FULL | {'jobctl_breaker_open{model="m"}': f"1+0{STILL}"},
    "no worker answers": {name: values for name, values in (CALM | GROWING).items() if not name.startswith("up")},
    "Redis is away or full": {
        name: values for name, values in CALM.items() if "queue_" not in name and "limiter" not in name
    }
    | {'jobctl_redis_up{job="jobctl-exporter"}': f"0+0{STILL}"},
}


def _case(series: dict[str, str], expected: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {"expr": f"round(({expr}), 1e-06)", "eval_time": f"{MINUTES}m", "exp_samples": samples}
            for expr, samples in expected.items()
        ],
    }


def _held(tmp_path: Path, cases: list[dict[str, Any]], groups: Sequence[Group]) -> None:
    """Let promtool compute what the expressions are, with recording rules."""
    rules = rules_document(groups, "", 1.0)
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    test = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": cases}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test), encoding="utf-8")

    promtool("test", "rules", str(tmp_path / "test.yml"))


def _asked(title: str, number: int = 0) -> str:
    """A query of a panel, with everything chosen."""
    shown = dashboard(MINUTELY, 1.0)
    titles = [(panel.title, place) for panel in _panels(shown).values() for place in range(len(panel.queries))]
    return expressions(shown)[titles.index((title, number))]


def test_the_limit_that_binds_is_named(tmp_path: Path) -> None:
    panel = _panels(dashboard(OPERATIONS, 1.0))["What holds the fleet back"]
    value_of = {state.words: state.value for state in panel.states}
    asked = _asked(panel.title)

    assert {words.partition(" although")[0] for words in BOTTLENECKS} == set(value_of)
    _held(
        tmp_path,
        [
            _case(series, {asked: [{"labels": "{}", "value": value_of[words.partition(" although")[0]]}]})
            for words, series in BOTTLENECKS.items()
        ],
        [group for group in recording_groups(MINUTELY, 1.0) if "budgets" not in group.name],
    )


def test_figures_are_those_of_the_whole_fleet(tmp_path: Path) -> None:
    """Two workers that do the same, one process that reads the fleet; 4 jobs/s come, 3 are done and 1 is retried."""
    job = 'queue="default",job_type="t"'
    series = dict(CALM)
    for worker in "ab":
        of_worker = f'{job},instance="{worker}"'
        series |= {
            f"jobctl_jobs_started_total{{{of_worker}}}": "0+120x60",  # 2 a second
            f'jobctl_jobs_finished_total{{{of_worker},outcome="succeeded"}}': "0+84x60",  # 1.4 a second
            f'jobctl_jobs_finished_total{{{of_worker},outcome="retried"}}': "0+30x60",  # 0.5 a second
            f'jobctl_jobs_finished_total{{{of_worker},outcome="dead"}}': "0+6x60",  # 0.1 a second
            f'jobctl_job_wait_seconds_bucket{{{of_worker},le="1.0"}}': "0+108x60",
            f'jobctl_job_wait_seconds_bucket{{{of_worker},le="2.5"}}': "0+120x60",
            f'jobctl_job_wait_seconds_bucket{{{of_worker},le="30.0"}}': "0+120x60",
            f'jobctl_job_wait_seconds_bucket{{{of_worker},le="+Inf"}}': "0+120x60",
            f"jobctl_job_wait_seconds_count{{{of_worker}}}": "0+120x60",
            f'jobctl_upstream_responses_total{{status="200",model="m",instance="{worker}"}}': "0+120x60",
            f'jobctl_cost_usd_total{{model="m",instance="{worker}"}}': "0+0.06x60",  # 0.001 USD a second
            f'process_cpu_seconds_total{{job="jobctl-worker",instance="{worker}"}}': "0+24x60",
            f'jobctl_db_pool_in_use{{instance="{worker}"}}': f"{'1' if worker == 'a' else '4'}+0{STILL}",
            f'jobctl_db_pool_max{{instance="{worker}"}}': f"5+0{STILL}",
        }
    series |= {
        'jobctl_queue_depth{queue="default"}': "0+60x60",  # 1 a second
        "jobctl_openrouter_credit_usd": f"72+0{STILL}",
        "jobctl_planned_replicas": f"3+0{STILL}",
        # another process has just been elected: both tell for five minutes
        'jobctl_queue_depth{queue="default",instance="other"}': "0+60x60",
    }
    one = "{}"

    _held(
        tmp_path,
        [
            _case(
                series,
                {
                    _asked("Arrivals and completions", 0): [{"labels": one, "value": 5.0}],  # 4 begun, 1 more waits
                    _asked("Arrivals and completions", 1): [{"labels": one, "value": 4.0}],
                    _asked("Arrivals and completions", 2): [{"labels": one, "value": 3.0}],
                    _asked("Slots", 0): [{"labels": one, "value": 50}],
                    _asked("Slots", 1): [{"labels": one, "value": 15}],
                    _asked("Failing attempts, by job type"): [{"labels": '{job_type="t"}', "value": 0.3}],
                    # 90 % wait up to 1 s and all up to 2.5 s: the 95th percentile is halfway between
                    _asked("Waits", 1): [{"labels": one, "value": 1.75}],
                    # of 3 jobs/s that end 0.2 are dead: 6.67 % of them, where 1 % may be
                    _asked("How fast the budgets burn", 0): [{"labels": one, "value": 6.666667}],
                    _asked("Error budgets left, of 30 days", 0): [{"labels": one, "value": -5.666667}],
                    # a tenth of the attempts wait longer than 1 s, where a twentieth may
                    _asked("Error budgets left, of 30 days", 1): [{"labels": one, "value": -1}],
                    _asked("429, of all answers"): [{"labels": one, "value": 0}],  # there never was one
                    _asked("The money lasts for", 0): [{"labels": one, "value": 36_000}],  # 72 USD at 0.002 a second
                    _asked("Cost an hour, by model"): [{"labels": '{model="m"}', "value": 7.2}],
                    _asked("CPU of each worker"): [
                        {"labels": f'{{instance="{worker}"}}', "value": 0.4} for worker in "ab"
                    ],
                    _asked("The fullest pool"): [{"labels": one, "value": 0.8}],
                    _asked("Replicas", 0): [{"labels": one, "value": 3}],
                    _asked("Replicas", 2): [{"labels": one, "value": 2}],
                    _asked("Waiting, by queue"): [{"labels": '{queue="default"}', "value": 3600}],
                },
            ),
            _case(  # nothing is there: nothing is made up, but that no worker answers
                {},
                {
                    _asked("Replicas", 2): [{"labels": one, "value": 0}],
                    _asked("Who reads the fleet's metrics"): [{"labels": one, "value": 0}],
                    **{
                        _asked(title): []
                        for title in (
                            "Error budgets left, of 30 days",
                            "Arrivals and completions",
                            "Slots",
                            "429, of all answers",
                            "The money lasts for",
                            "The fullest pool",
                        )
                    },
                },
            ),
        ],
        recording_groups(MINUTELY, 1.0),
    )

"""Prometheus' own files: whom it asks and whom it tells, and rules in its notation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from jobctl.core.metrics import EXPORTER_JOB, WORKER_JOB
from jobctl.core.operations import Operations, Scrape
from jobctl.core.rules import Alert, Group, Recording, anchor, duration

__all__ = ["RULE_FILES", "prometheus_config", "rules_document", "texts"]

#: The files with rules, by their path beside ``prometheus.yml``.
RULE_FILES: Final = ("alerts/recording-rules.yml", "alerts/worker-alerts.yml")
#: Where rules that are none of ours may be; it is no fault when there are none.
_OWN_RULES: Final = "alerts/own/*.yml"


def prometheus_config(operations: Operations, time_scale: float) -> dict[str, Any]:
    """What ``prometheus.yml`` holds.

    Args:
        operations: Where the fleet is.
        time_scale: By how much faster than in life it asks.
    """
    scrape = operations.scrape
    interval = duration(scrape.interval_s, time_scale)
    jobs = [{"job_name": WORKER_JOB, **_workers(scrape, interval)}]
    if scrape.exporter:
        jobs.append({"job_name": EXPORTER_JOB, "static_configs": [{"targets": [scrape.exporter]}]})
    return {
        "global": {"scrape_interval": interval, "evaluation_interval": interval},
        "rule_files": [*RULE_FILES, _OWN_RULES],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [scrape.alertmanager]}]}]},
        "scrape_configs": jobs,
    }


def _workers(scrape: Scrape, interval: str) -> dict[str, Any]:
    if scrape.workers:
        return {"static_configs": [{"targets": list(scrape.workers)}]}
    host, _, port = scrape.worker_dns.rpartition(":")
    return {
        "dns_sd_configs": [{"names": [host], "type": scrape.dns_type, "port": int(port), "refresh_interval": interval}],
    }


def rules_document(groups: Iterable[Group], runbook: str, time_scale: float) -> dict[str, Any]:
    """A file of rules.

    Args:
        groups: The rules.
        runbook: Where the runbook is read.
        time_scale: By how much faster than in life alerts have to last and groups are evaluated.
    """
    return {"groups": [_group(group, runbook, time_scale) for group in groups]}


def _group(group: Group, runbook: str, time_scale: float) -> dict[str, Any]:
    interval = {} if group.interval_s is None else {"interval": duration(group.interval_s, time_scale)}
    return {"name": group.name, **interval, "rules": [_rule(rule, runbook, time_scale) for rule in group.rules]}


def _rule(rule: Recording | Alert, runbook: str, time_scale: float) -> dict[str, Any]:
    if isinstance(rule, Recording):
        labels = {"labels": dict(rule.labels)} if rule.labels else {}
        return {"record": rule.record, "expr": rule.expr, **labels}
    return {
        "alert": rule.name,
        "expr": rule.expr,
        **({"for": duration(rule.for_s, time_scale)} if rule.for_s else {}),
        "labels": {**rule.labels, "severity": rule.urgency.value},
        "annotations": texts(rule, runbook),
    }


def texts(alert: Alert, runbook: str) -> dict[str, str]:
    """What an alert says, with the address of its section of the runbook."""
    return {
        "summary": alert.summary,
        "description": alert.description,
        "runbook_url": f"{runbook}#{anchor(alert.name)}",
    }

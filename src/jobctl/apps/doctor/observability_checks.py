"""Whether somebody is told when something goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from jobctl.apps.doctor.findings import Check, Finding, Group, answering, fail, ok, on, unchecked, warn
from jobctl.apps.doctor.set_up import SetUp
from jobctl.apps.doctor.words import listed
from jobctl.core.facts import MetricsFacts, PrometheusFacts, Unreachable
from jobctl.core.metrics import EXPORTER_JOB, WORKER_JOB
from jobctl.core.words import count_of, number

__all__ = ["CHECKS"]

_RULES: Final = "run `jobctl monitoring render`, and load prometheus/alerts/*.yml"
_MISSING: Final = unchecked("no Prometheus is named", "give --prometheus URL")


def _sentry(set_up: SetUp) -> Finding:
    sentry = set_up.sentry
    if sentry is None:
        return unchecked("errors go nowhere", "set SENTRY_DSN")
    if isinstance(sentry, Unreachable):
        return fail(sentry.problem, sentry.remedy)
    if sentry.full:
        return warn(
            f"Sentry drops what is sent, for it is too much ({sentry.full})", "raise the quota, or send fewer events"
        )
    if sentry.refusal:
        return fail(f"Sentry refuses this DSN ({sentry.refusal})", "copy it from the project's settings, Client Keys")
    return ok("Sentry takes what is sent")


def _metrics(set_up: SetUp) -> Finding:
    """Whether each worker that was named shows metrics."""
    away = [facts for facts in set_up.metrics if isinstance(facts, Unreachable)]
    if away:
        return fail(away[0].problem, away[0].remedy)
    shown = [facts for facts in set_up.metrics if isinstance(facts, MetricsFacts)]
    if not shown:
        return unchecked("no worker's metrics are named", "give --metrics URL of each worker")
    strange = [facts.url for facts in shown if not facts.versions]
    if strange:
        return fail(f"{listed(strange)} shows no metrics of jobctl", "give the URL of a worker's --metrics-port")
    slotless = [facts.url for facts in shown if "slots" not in facts.values]
    if slotless:
        return fail(f"{listed(slotless)} is an exporter, and no worker", "give the URL of a worker's --metrics-port")
    return ok(f"{count_of(len(shown), 'worker')} {'shows' if len(shown) == 1 else 'show'} metrics")


def _scraped(set_up: SetUp, prometheus: PrometheusFacts) -> Finding:
    ours = [target for target in prometheus.targets if target.job in {WORKER_JOB, EXPORTER_JOB}]
    workers = [target for target in ours if target.job == WORKER_JOB]
    remedy = "use prometheus.yml of `jobctl monitoring render`, and give workers --metrics-port 9100"
    if not workers:
        return fail(f"Prometheus scrapes no {WORKER_JOB}", remedy)
    down = [target for target in ours if target.error]
    if down:
        names = listed([f"{target.instance} ({target.error})" for target in down])
        return fail(f"{len(down)} of {count_of(len(ours), 'target')} cannot be scraped: {names}", remedy)
    if len(workers) == len(ours) and not prometheus.values.get("exporter_elected"):
        return warn(
            "nobody exposes what the whole fleet shares", f"run `jobctl exporter`, and scrape it as {EXPORTER_JOB}"
        )
    planned = set_up.intent.replicas
    if planned is not None and len(workers) < planned:
        return warn(f"scrapes {count_of(len(workers), 'worker')} of {planned} planned", remedy)
    return ok(f"{count_of(len(ours), 'target')} scraped")


def _planned(set_up: SetUp, prometheus: PrometheusFacts) -> Finding:
    told, planned = prometheus.values.get("planned_replicas"), set_up.intent.replicas
    remedy = f"give the exporter --planned-replicas {planned or 'N'}"
    if told is None:
        return warn("the exporter does not know the plan: alerts go by that of the last render", remedy)
    if planned is not None and told != planned:
        return warn(f"the exporter was told {number(told)} replicas, and planned are {planned}", remedy)
    return ok(f"planned replicas known: {number(told)}")


def _rules(set_up: SetUp, prometheus: PrometheusFacts) -> Finding:
    if prometheus.broken_rules:
        return fail(f"rules cannot be evaluated: {listed(prometheus.broken_rules)}", _RULES)
    missing = sorted(set_up.intent.alerts - prometheus.alerts)
    if missing and len(missing) == len(set_up.intent.alerts):
        return fail("no alert of ours is loaded", _RULES)
    if missing:
        return warn(f"{count_of(len(missing), 'alert')} not loaded: {listed(missing)}", _RULES)
    if not set_up.intent.alerts:
        return unchecked("which alerts there should be is not known", "give --slo-file")
    return ok(f"{count_of(len(set_up.intent.alerts), 'alert')} loaded")


def _told(set_up: SetUp, prometheus: PrometheusFacts) -> Finding:
    if not prometheus.alertmanagers:
        return fail("Prometheus knows no Alertmanager: nobody is told", "name it in alerting of prometheus.yml")
    if prometheus.unheard:
        return fail(
            "no alert ever reached an Alertmanager: nobody is told",
            "start it, or mend its address in alerting of prometheus.yml; then wait a minute for the next alert",
        )
    return ok(f"tells {count_of(prometheus.alertmanagers, 'Alertmanager')}")


def _prometheus(set_up: SetUp) -> PrometheusFacts | Unreachable | None:
    return set_up.prometheus


def _check(name: str, title: str, judge: Callable[[SetUp, PrometheusFacts], Finding]) -> Check:
    return Check(name, Group.OBSERVABILITY, title, on(_prometheus, "Prometheus", _MISSING, judge))


CHECKS: Final = (
    Check("sentry", Group.OBSERVABILITY, "Sentry", _sentry),
    Check("metrics-shown", Group.OBSERVABILITY, "metrics", _metrics),
    Check(
        "prometheus-answers",
        Group.OBSERVABILITY,
        "Prometheus",
        answering(_prometheus, _MISSING, lambda prometheus: "Prometheus answers"),
    ),
    _check("metrics-scraped", "scraping", _scraped),
    _check("plan-exposed", "plan", _planned),
    _check("rules-loaded", "alerts", _rules),
    _check("alertmanager", "Alertmanager", _told),
)

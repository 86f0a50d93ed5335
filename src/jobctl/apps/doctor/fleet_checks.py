"""Whether the workers are as many as planned, alike, and let their jobs end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from jobctl.apps.doctor.findings import Check, Finding, Group, fail, ok, on, unchecked, warn
from jobctl.apps.doctor.set_up import SetUp
from jobctl.apps.doctor.words import listed
from jobctl.core.facts import MetricsFacts, PrometheusFacts, RqFacts, Unreachable
from jobctl.core.units import SECONDS_PER_DAY, format_duration
from jobctl.core.words import count_of, number

__all__ = ["CHECKS"]

_MISSING: Final = unchecked("no Redis is named", "give --redis-url, or set REDIS_URL")
_UNWATCHED: Final = unchecked("no metrics are named", "give --prometheus URL, or --metrics URL of each worker")


def _workers(set_up: SetUp, rq: RqFacts) -> Finding:
    there, planned = len(rq.workers), set_up.intent.replicas
    if not there:
        return fail("no worker is alive", "start `jobctl work`")
    if planned is None:
        return ok(count_of(there, "worker"))
    if there < planned:
        return warn(f"{count_of(there, 'worker')} of {planned} planned", "start the others, or plan anew")
    return ok(f"{count_of(there, 'worker')}, {planned} planned")


def _drain(set_up: SetUp) -> Finding:
    drain_s, job_s = set_up.intent.drain_timeout_s, set_up.intent.job_timeout_s
    if drain_s >= job_s:
        return ok(f"drains for {format_duration(drain_s)}, jobs take at most {format_duration(job_s)}")
    return warn(
        f"a stop waits {format_duration(drain_s)}, and jobs may take {format_duration(job_s)}: longer ones begin anew",
        f"give --drain-timeout {job_s:g}s to `jobctl work`, or set [fleet] job_timeout in slo.toml",
    )


def _rate(set_up: SetUp) -> Finding:
    """Whether the volume fits below the limit that the fleet sets itself, at one call a job."""
    intent = set_up.intent
    if intent.rpm is None:
        return unchecked("the fleet has no limit of its own", "give --openrouter-rpm")
    if intent.jobs_per_day is None:
        return unchecked("the volume is not known", "give --per-day")
    needed = intent.jobs_per_day / (SECONDS_PER_DAY / 60)
    told = f"{number(needed)} calls a minute on average, {number(intent.rpm)} allowed to a model"
    if needed > intent.rpm:
        return warn(f"{told}: the backlog grows", "raise --openrouter-rpm, or spread jobs over models")
    return ok(told)


def _versions(set_up: SetUp) -> Finding:
    seen = _seen(set_up)
    if not seen:
        return _UNWATCHED
    here = set_up.intent.versions.get("jobctl", "")
    others = sorted({version for facts in seen for version in facts.versions} - {here})
    if others:
        return warn(f"workers run jobctl {listed(others)}, and here is {here}", "deploy one version to all")
    return ok("one version of jobctl")


def _stuck(set_up: SetUp) -> Finding:
    seen = _seen(set_up)
    if not seen:
        return _UNWATCHED
    stuck = round(sum(facts.values.get("slots_stuck", 0.0) for facts in seen))
    if stuck:
        return warn(
            f"{count_of(stuck, 'slot')} stuck: the job was given up and its thread has not come back",
            "restart that worker, and give the job's calls timeouts of their own",
        )
    return ok("no slot is stuck")


def _seen(set_up: SetUp) -> list[PrometheusFacts | MetricsFacts]:
    """Prometheus, which knows all workers; else those that were named."""
    if isinstance(set_up.prometheus, PrometheusFacts):
        return [set_up.prometheus]
    one_by_one: Iterable[MetricsFacts | Unreachable] = set_up.metrics
    return [facts for facts in one_by_one if isinstance(facts, MetricsFacts)]


CHECKS: Final = (
    Check("fleet-workers", Group.FLEET, "workers", on(lambda set_up: set_up.rq, "Redis", _MISSING, _workers)),
    Check("fleet-drain", Group.FLEET, "drain", _drain),
    Check("fleet-rate", Group.FLEET, "rate limit", _rate),
    Check("fleet-versions", Group.FLEET, "versions", _versions),
    Check("fleet-stuck", Group.FLEET, "stuck slots", _stuck),
)

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
    """Whether they are as many as planned. One of RQ's own that takes jobs from the same queues is no replica."""
    there, planned = len(rq.workers), set_up.intent.replicas
    ours = [worker for worker in rq.workers if worker.ours]
    shared = {name for worker in ours for name in worker.queues}.union(set_up.intent.queues or ())
    beside = [worker for worker in rq.workers if not worker.ours and not shared.isdisjoint(worker.queues)]
    if not there:
        return fail("no worker is alive", "start `jobctl work`")
    if planned is None and not beside:
        return ok(count_of(there, "worker"))
    if planned is not None and len(ours) < planned:
        others = f", and {count_of(len(beside), 'worker')} of RQ's own: one job at a time" if beside else ""
        return warn(f"{count_of(len(ours), 'worker')} of {planned} planned{others}", "start the others, or plan anew")
    if beside:
        return warn(
            f"{count_of(len(beside), 'worker')} of RQ's own beside: one job at a time, and no rate limit",
            "start `jobctl work` instead, or give it queues of its own",
        )
    return ok(f"{count_of(len(ours), 'worker')}, {planned} planned")


def _drain(set_up: SetUp) -> Finding:
    drain_s, job_s = set_up.intent.drain_timeout_s, set_up.intent.job_timeout_s
    if drain_s >= job_s:
        return ok(f"drains for {format_duration(drain_s)}, jobs take at most {format_duration(job_s)}")
    waits, also = (
        ("a stop waits", "") if set_up.intent.drain_told else ("unless told otherwise a stop waits", " and here")
    )
    return warn(
        f"{waits} {format_duration(drain_s)}, and jobs may take {format_duration(job_s)}: longer ones begin anew",
        f"give --drain-timeout {job_s:g}s to `jobctl work`{also}, or set [fleet] job_timeout in slo.toml",
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
        return warn(
            f"workers run jobctl {listed(others)}, and here is {here}",
            "deploy one version to all, or wait for the deploy that is under way",
        )
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

"""Whether somebody is there for every job: for those that wait, those that are due later, those that were begun."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from jobctl.apps.doctor.findings import Check, Finding, Group, fail, ok, on, unchecked, warn
from jobctl.apps.doctor.set_up import SetUp
from jobctl.apps.doctor.words import listed, meant_by
from jobctl.core.facts import RqFacts, Unreachable
from jobctl.core.units import format_duration
from jobctl.core.words import count_of

__all__ = ["CHECKS"]

#: A scheduler looks at least each second; a job that has been due for longer than this is not looked at, seconds.
_OVERDUE_S: Final = 60.0
_MISSING: Final = unchecked("no Redis is named", "give --redis-url, or set REDIS_URL")


def _versions(set_up: SetUp, rq: RqFacts) -> Finding:
    """RQ writes jobs and registries otherwise from one major version to the next."""
    here = set_up.intent.versions.get("rq", "")
    told = ", ".join(f"{name} {version}" for name, version in set_up.intent.versions.items())
    others = sorted({worker.rq_version for worker in rq.workers if worker.rq_version not in {"", here}})
    if not others:
        return ok(told)
    detail = f"workers run RQ {listed(others)}, and here is {here}"
    remedy = "deploy one version to enqueuers and workers alike"
    apart = any(other.partition(".")[0] != here.partition(".")[0] for other in others)
    return (fail if apart else warn)(detail, remedy)


def _suspended(set_up: SetUp, rq: RqFacts) -> Finding:
    if rq.suspended:
        return fail("work is suspended: workers begin no job", "run `rq resume`")
    return ok("not suspended")


def _heard(set_up: SetUp, rq: RqFacts) -> Finding:
    """Whether each queue with jobs, and each that workers are to listen to, has a worker."""
    listening = {name for worker in rq.workers for name in worker.queues}
    unheard = [queue for queue in rq.queues if queue.waiting + queue.scheduled and queue.name not in listening]
    if unheard:
        jobs = sum(queue.waiting + queue.scheduled for queue in unheard)
        names = listed([queue.name for queue in unheard])
        told = f"nobody listens to {names}: {count_of(jobs, 'job')} {'waits' if jobs == 1 else 'wait'} there"
        if not rq.workers:
            return fail(told, "start `jobctl work`")
        like = meant_by(unheard[0].name, listening)
        other = f", or enqueue to {like}, if that was meant" if like else ""
        return fail(told, f"name it in --queues of a worker{other}")
    meant = [name for name in set_up.intent.queues or () if name not in listening]
    if meant and rq.workers:
        return warn(f"no worker listens to {listed(meant)}", "name it in --queues of a worker")
    strange = sorted(listening - {queue.name for queue in rq.queues})
    empty = f", {listed(strange)} never had a job" if strange else ""
    return ok(f"every queue is listened to{empty}" if rq.workers else "no jobs wait")


def _scheduler(set_up: SetUp, rq: RqFacts) -> Finding:
    """Whether somebody moves what is due later, retries above all, into its queue."""
    remedy = "run `jobctl work`, or RQ's workers --with-scheduler, on that queue"
    waiting = [queue for queue in rq.queues if queue.scheduled and not queue.has_scheduler]
    if waiting:
        jobs = sum(queue.scheduled for queue in waiting)
        names = listed([queue.name for queue in waiting])
        return fail(f"no scheduler for {names}: {count_of(jobs, 'scheduled job')} will never run", remedy)
    late = [queue for queue in rq.queues if queue.overdue_s > _OVERDUE_S]
    if late:
        worst_s = max(queue.overdue_s for queue in late)
        names = listed([queue.name for queue in late])
        return fail(
            f"the scheduler of {names} stands still: a job has been due for {format_duration(worst_s)}",
            "restart the worker that holds the scheduler's lock",
        )
    listening = {name for worker in rq.workers for name in worker.queues}
    without = [queue.name for queue in rq.queues if queue.name in listening and not queue.has_scheduler]
    if without:
        return warn(f"no scheduler for {listed(without)}: a job that is to be tried again would wait for ever", remedy)
    return ok("scheduler present" if rq.workers else "nothing is scheduled")


def _abandoned(set_up: SetUp, rq: RqFacts) -> Finding:
    left = [queue for queue in rq.queues if queue.abandoned]
    if not left:
        return ok("no abandoned jobs")
    jobs, names = sum(queue.abandoned for queue in left), listed([queue.name for queue in left])
    return fail(
        f"{count_of(jobs, 'job')} of {names} {'counts' if jobs == 1 else 'count'} as running, and the worker is gone",
        "run `jobctl work` on that queue: it puts back what was abandoned",
    )


def _rq(set_up: SetUp) -> RqFacts | Unreachable | None:
    return set_up.rq


def _check(name: str, title: str, judge: Callable[[SetUp, RqFacts], Finding]) -> Check:
    return Check(name, Group.RQ, title, on(_rq, "Redis", _MISSING, judge))


CHECKS: Final = (
    _check("rq-versions", "versions", _versions),
    _check("rq-suspended", "suspension", _suspended),
    _check("rq-queues", "queues", _heard),
    _check("rq-scheduler", "scheduler", _scheduler),
    _check("rq-abandoned", "abandoned jobs", _abandoned),
)

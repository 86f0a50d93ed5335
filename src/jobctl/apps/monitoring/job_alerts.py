"""Alerts on jobs that are not worked off: what piles up, and which of three reasons it has.

A queue *grows* when its next job has waited for more than a minute and for longer than five minutes ago, while at least
as many jobs wait as did. (A burst that is being worked off gets older as well, but shorter; it needs no alert.) Then
exactly one reason is told::

    OpenRouter's limit leaves nothing, or its breaker is open     LimiterBound     replicas will not help
    else slots are full                                           FleetUndersized  replicas will help
    else                                                          JobsStuck        nobody takes the jobs

Where that limit leaves nothing and no call has succeeded for a quarter of an hour, the third is no matter of pace any
more: the fleet stands still, and somebody is called (NoCallSucceeds). One call that succeeds anywhere shows that it
does not, however long jobs take.

Workers that tell of no slots, because none is there or none is scraped, are another alert's matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from jobctl.apps.monitoring.asking import OF_WORKERS
from jobctl.apps.monitoring.times import Times
from jobctl.apps.monitoring.worker_alerts import UP, planned_replicas
from jobctl.core.operations import Operations
from jobctl.core.rules import Alert, Recording, Urgency
from jobctl.core.units import SECONDS_PER_HOUR

__all__ = ["job_alerts", "job_recordings"]

#: A job that has waited for less is none that piles up, seconds.
_AGED_S: Final = 60.0
#: Over how long a queue is compared with itself, and slots and limits are averaged, seconds.
_SMOOTH_S: Final = 300.0
#: How long nothing succeeds before that is no pause any more, seconds.
_STANDS_S: Final = 600.0
#: From this share of busy slots on, they are full: between two jobs a slot is free for a moment.
_FULL: Final = 0.95
#: Below this share of the limiter's allowance, nothing is left.
_NOTHING_LEFT: Final = 0.1


def job_recordings(times: Times) -> Iterator[Recording]:
    """The fleet's state, as one series each whichever process tells it."""
    smooth = times.window(_SMOOTH_S)
    for metric in ("queue_oldest_age_seconds", "queue_depth", "scheduled_jobs", "dead_jobs"):
        yield Recording(f"jobctl:{metric}:max", f"max by (queue) ({times.last(f'jobctl_{metric}')})")
    yield Recording("jobctl:limiter_headroom:min", f"min({times.last('jobctl_limiter_headroom')})")
    yield Recording("jobctl:slots_busy:ratio", "sum(jobctl_slots_busy) / (sum(jobctl_slots) > 0)")
    yield Recording(
        "jobctl:queue_growing_age_seconds:max",
        f"jobctl:queue_oldest_age_seconds:max > {times.number(_AGED_S)}\n"
        f"and jobctl:queue_oldest_age_seconds:max > jobctl:queue_oldest_age_seconds:max offset {smooth}\n"
        f"and avg_over_time(jobctl:queue_depth:max[{smooth}])"
        f" >= avg_over_time(jobctl:queue_depth:max[{smooth}] offset {smooth})",
    )


def job_alerts(operations: Operations, times: Times) -> Iterator[Alert]:
    """All of them."""
    smooth, hour = times.window(_SMOOTH_S), times.window(SECONDS_PER_HOUR)
    busy = f"avg_over_time(jobctl:slots_busy:ratio[{smooth}])"
    limited = (
        f"avg_over_time(jobctl:limiter_headroom:min[{smooth}]) < {_NOTHING_LEFT}\n"
        f"  or max({times.last('jobctl_breaker_open')}) == 1"
    )
    yield Alert(
        "JobctlJobsStuck",
        f"jobctl:queue_growing_age_seconds:max\nand on () ({busy} < {_FULL})\nunless on () (\n  {limited}\n)",
        300,
        Urgency.PAGE,
        "Jobs of queue {{ $labels.queue }} are not taken, although slots are free",
        "The next one has waited for {{ $value | humanizeDuration }}. Check that a worker listens to this queue "
        "(`--queues`), and start again the one that does and takes nothing.",
    )
    yield Alert(
        "JobctlFleetUndersized",
        f"jobctl:queue_growing_age_seconds:max\nand on () ({busy} >= {_FULL})\nunless on () (\n  {limited}\n)",
        300,
        Urgency.PAGE,
        "Queue {{ $labels.queue }} grows, and every slot is busy",
        "The next job has waited for {{ $value | humanizeDuration }}. The plan asks for "
        f"{{{{ query `{planned_replicas(operations, times)}` | first | value }}}} replicas, and "
        f"{{{{ query `sum({UP}) or vector(0)` | first | value }}}} answer. Start what is missing; if none is, ask "
        "`jobctl plan` again with the service time and the rate of today.",
    )
    yield Alert(
        "JobctlLimiterBound",
        "(\n"
        "  jobctl:queue_growing_age_seconds:max\n"
        "  or (\n"
        f"    avg_over_time(jobctl:scheduled_jobs:max[{smooth}])"
        f" > avg_over_time(jobctl:scheduled_jobs:max[{smooth}] offset {smooth})\n"
        f'    and on (queue) sum by (queue) (rate(jobctl_jobs_finished_total{{outcome="postponed"}}[{smooth}])) > 0\n'
        "  )\n"
        ")\n"
        f"and on () (\n  {limited}\n)",
        300,
        Urgency.TICKET,
        "OpenRouter's limit holds the jobs of queue {{ $labels.queue }} back",
        "They pile up because no call is allowed, not for want of slots: more replicas will not help. Ask for a higher "
        "limit, spread the load, or use another model.",
    )
    yield Alert(
        "JobctlNoCallSucceeds",
        "(\n"
        f"  jobctl:queue_oldest_age_seconds:max > {times.number(_STANDS_S)}\n"
        f'  or sum by (queue) (rate(jobctl_jobs_finished_total{{outcome="postponed"}}[{smooth}])) > 0\n'
        ")\n"
        f"and on () (\n  {limited}\n)\n"
        f'unless on () (sum(rate(jobctl_upstream_responses_total{{status="200"}}[{smooth}])) > 0)\n'
        f"and on () (sum({UP}) > 0)",
        _STANDS_S,
        Urgency.PAGE,
        "Jobs of queue {{ $labels.queue }} wait, and no call of OpenRouter succeeds",
        "For a quarter of an hour no call was allowed, or every one was refused. None of these jobs is lost, and none "
        "ends. See what the upstream answers; use another key or another model if it lasts.",
    )
    yield Alert(
        "JobctlDeadSetGrows",
        f"jobctl:dead_jobs:max - min_over_time(jobctl:dead_jobs:max[{hour}]) > {operations.thresholds.dead_jobs}",
        0,
        Urgency.TICKET,
        "{{ $value | humanize }} more dead jobs of queue {{ $labels.queue }} within an hour",
        "They failed for good, and Redis keeps them. See why: `jobctl dead list`.",
    )
    yield Alert(
        "JobctlJobsAbandoned",
        _abandoned(times),
        0,
        Urgency.TICKET,
        'Workers died at work: {{ $value | printf "%.0f" }} jobs were taken over within an hour',
        "They run again, from their beginning. Find out what ends the workers: memory, or a stop that does not wait as "
        "long as `--drain-timeout`.",
    )
    yield Alert(
        "JobctlSchedulerAbsent",
        f"jobctl:scheduled_jobs:max > 0\nand on (queue) max by (queue) ({times.last('jobctl_scheduler_up')}) == 0",
        120,
        Urgency.PAGE,
        "Nobody moves the {{ $value | humanize }} scheduled jobs of queue {{ $labels.queue }} to it",
        "Retries and delayed jobs wait for ever. Start a worker that listens to this queue: `jobctl work` has a "
        "scheduler.",
    )


def _abandoned(times: Times) -> str:
    """Jobs taken over within an hour: what a counter rose by, or all of one that began within the hour.

    A worker takes over what it finds at its start, before it is asked for the first time. Where it is the only one, no
    counter is ever seen to rise.
    """
    total, hour = "jobctl_abandoned_total", times.window(SECONDS_PER_HOUR)
    young = f"time() - process_start_time_seconds{OF_WORKERS} < {times.number(SECONDS_PER_HOUR)}"
    return f"sum(increase({total}[{hour}]) > 0 or ({total} and on (instance) ({young}))) > 0"

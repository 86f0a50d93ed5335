"""The dashboard of a fleet: from whether the promise is kept, over what holds it back, to what it runs on."""

from __future__ import annotations

from typing import Final

from jobctl.apps.monitoring.fleet_panels import database, redis, workers
from jobctl.apps.monitoring.job_panels import job_types, load, queues
from jobctl.apps.monitoring.promise_panels import limits, promises
from jobctl.apps.monitoring.times import Times
from jobctl.apps.monitoring.upstream_panels import spending, upstream
from jobctl.core.metrics import EXPORTER_JOB, WORKER_JOB
from jobctl.core.operations import Operations
from jobctl.core.panels import Dashboard, Mark, Tone, Variable

__all__ = ["dashboard"]

#: What can be chosen, in the order in which the choices narrow each other.
_VARIABLES: Final = (
    Variable(
        "queue",
        "Queue",
        "label_values(jobctl_queue_depth, queue)",
        "Of which queues. Slots, budgets, OpenRouter, workers and Redis are the whole fleet's always.",
    ),
    Variable(
        "job_type",
        "Job type",
        'label_values(jobctl_jobs_started_total{queue=~"$queue"}, job_type)',
        "Of which functions. What is read from Redis is known by queue only.",
    ),
)
_STARTED: Final = 'max by (instance) (process_start_time_seconds{{job="{}"}}) * 1000'
_MARKS: Final = (
    Mark("Workers start", _STARTED.format(WORKER_JOB), "worker {{instance}} started", Tone.PLAIN),
    Mark("The exporter starts", _STARTED.format(EXPORTER_JOB), "exporter {{instance}} started", Tone.PLAIN),
)


def dashboard(operations: Operations, time_scale: float) -> Dashboard:
    """What to look at when somebody asks how the fleet is.

    Args:
        operations: How it is operated: its promises and thresholds are lines and colours.
        time_scale: By how much faster than in life every window is.
    """
    runbook, times = operations.notify.runbook, Times.of(operations, time_scale)
    return Dashboard(
        uid="jobctl-fleet",
        title="jobctl: the fleet",
        description="Is the promise kept, what holds the fleet back, what does it cost, what does it run on.",
        rows=(
            promises(operations, times),
            limits(operations, times),
            load(times),
            job_types(times),
            queues(times),
            upstream(operations, times),
            spending(operations, times),
            workers(operations, times),
            database(operations, times),
            redis(operations),
        ),
        variables=_VARIABLES,
        marks=_MARKS,
        runbook=runbook if runbook.startswith(("http://", "https://")) else None,
    )

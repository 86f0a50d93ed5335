"""Alerts on the workers themselves, on whoever tells of the fleet, and on the watch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from jobctl.apps.monitoring.asking import OF_WORKERS
from jobctl.apps.monitoring.times import Times
from jobctl.core.operations import Operations
from jobctl.core.rules import Alert, Urgency

__all__ = ["UP", "planned_replicas", "worker_alerts"]

#: Whether each worker that Prometheus knows of answers it.
UP: Final = f"up{OF_WORKERS}"
#: So many starts of each worker within a quarter of an hour are a loop; a deploy is one.
_STARTS: Final = 3
_STARTS_S: Final = 900.0


def planned_replicas(operations: Operations, times: Times) -> str:
    """How many workers the plan asks for: as the exporter was told, else as slo.toml says."""
    return f"max({times.last('jobctl_planned_replicas')}) or vector({operations.fleet.replicas})"


def worker_alerts(operations: Operations, times: Times) -> Iterator[Alert]:
    """All of them."""
    yield Alert(
        "JobctlFleetDown",
        f"(sum({UP}) or vector(0)) == 0",
        120,
        Urgency.PAGE,
        "No worker answers",
        "None is there, or none can be reached. Start them, and read the last lines of their logs.",
    )
    yield Alert(
        "JobctlCrashLoop",
        _crash_loop(times),
        0,
        Urgency.PAGE,
        "Workers start again and again",
        "Within a quarter of an hour there were as many starts as three for each worker, or one started three times. "
        "Read the last lines of a worker's log before it ends.",
    )
    yield Alert(
        "JobctlWorkersBelowPlan",
        f"max({times.last('jobctl_workers')}) < ({planned_replicas(operations, times)})\n"
        f"or\n"
        f"sum({UP}) < ({planned_replicas(operations, times)})",
        600,
        Urgency.TICKET,
        "Only {{ $value }} workers, fewer than planned",
        f"{{{{ query `{planned_replicas(operations, times)}` | first | value }}}} are planned. Look for those that "
        "are missing, or do not answer Prometheus, before one more goes.",
    )
    yield Alert(
        "JobctlSlotsStuck",
        "max by (instance) (jobctl_slots_stuck) > 0",
        600,
        Urgency.TICKET,
        "{{ $value | humanize }} slots of worker {{ $labels.instance }} do not come back",
        "Their jobs were given up at their timeout, and the code still holds the thread. Start this worker again, and "
        "give every call in that job a timeout of its own.",
    )
    yield Alert(
        "JobctlExporterAbsent",
        "(sum(jobctl_exporter_elected) or vector(0)) != 1",
        300,
        Urgency.TICKET,
        "{{ $value | humanize }} processes tell of the fleet, in place of one",
        "Without it nobody sees queues, dead jobs, limits and Redis. Start `jobctl exporter`, with the workers' Redis.",
    )
    yield Alert(
        "JobctlWatchdog",
        "vector(1)",
        0,
        Urgency.WATCHDOG,
        "Alerts are evaluated and delivered",
        "It always fires. Whoever receives it has to tell somebody when it stops.",
    )


def _crash_loop(times: Times) -> str:
    """A worker that started again at its address, or workers that come and go, as on a platform that moves them.

    The latter are held against the most that there were at once: a fleet that grew and shrank again is no loop.
    """
    span = times.window(_STARTS_S)
    started = f"process_start_time_seconds{OF_WORKERS}"
    return (
        f"max(changes({started}[{span}])) >= {_STARTS}\n"
        "or\n"
        f"count(last_over_time({started}[{span}]) unless {started} offset {span})"
        f" >= {_STARTS} * max_over_time(count({UP})[{span}:])"
    )

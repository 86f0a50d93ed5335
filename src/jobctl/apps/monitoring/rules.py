"""Every rule of Prometheus: what is recorded, and what somebody is told of."""

from __future__ import annotations

from typing import Final

from jobctl.apps.monitoring.budgets import WINDOWS_S, burn_alerts, burn_recordings, success_budget, wait_budgets
from jobctl.apps.monitoring.job_alerts import job_alerts, job_recordings
from jobctl.apps.monitoring.service_alerts import service_alerts
from jobctl.apps.monitoring.times import Times
from jobctl.apps.monitoring.worker_alerts import worker_alerts
from jobctl.core.operations import Operations
from jobctl.core.rules import Alert, Group

__all__ = ["alert_groups", "alerts", "recording_groups"]

#: Windows from this length on are read every two minutes, seconds: they move slowly, and hold many samples. A value may
#: be five minutes old before Prometheus takes it for gone.
_LONG_S: Final = 7200
_LONG_INTERVAL_S: Final = 120.0


def recording_groups(operations: Operations, time_scale: float) -> tuple[Group, ...]:
    """What is recorded, for alerts and the dashboard.

    Args:
        operations: What is promised.
        time_scale: By how much faster than in life every window is; the names stay.
    """
    times = Times.of(operations, time_scale)
    return (
        Group("jobctl-fleet", tuple(job_recordings(times))),
        *(
            Group(f"jobctl-budgets-{window}", tuple(burn_recordings(operations, times, window)), _every_s(window))
            for window in WINDOWS_S
        ),
    )


def alert_groups(operations: Operations, time_scale: float) -> tuple[Group, ...]:
    """What somebody is told of.

    Args:
        operations: What is promised, and where alerts begin.
        time_scale: By how much faster than in life every window is.
    """
    times = Times.of(operations, time_scale)
    success = success_budget(operations)
    budgets = (*([] if success is None else [success]), *wait_budgets(operations))
    groups = (
        Group("jobctl-promises", tuple(alert for budget in budgets for alert in burn_alerts(budget))),
        Group("jobctl-jobs", tuple(job_alerts(operations, times))),
        Group("jobctl-workers", tuple(worker_alerts(operations, times))),
        Group("jobctl-services", tuple(service_alerts(operations, times))),
    )
    return tuple(group for group in groups if group.rules)


def alerts(operations: Operations, time_scale: float) -> tuple[Alert, ...]:
    """The alerts of all groups, in order; a name may stand for several, one for each objective.

    Args:
        operations: What is promised, and where alerts begin.
        time_scale: By how much faster than in life every window is.
    """
    rules = [rule for group in alert_groups(operations, time_scale) for rule in group.rules]
    return tuple(rule for rule in rules if isinstance(rule, Alert))


def _every_s(window: str) -> float | None:
    return _LONG_INTERVAL_S if WINDOWS_S[window] >= _LONG_S else None

"""What ``docker-compose.yml`` takes from ``slo.toml``: the services that it extends."""

from __future__ import annotations

from typing import Any

from jobctl.core.operations import Operations

__all__ = ["fleet_services"]


def fleet_services(operations: Operations) -> dict[str, Any]:
    """What ``fleet.yml`` holds: how many workers, the settings of each, and how long a stop of theirs may last."""
    fleet = operations.fleet
    planned = {"JOB_PLANNED_REPLICAS": str(fleet.replicas)}
    pool = {} if fleet.db_pool_size is None else {"JOB_DB_POOL_SIZE": str(fleet.db_pool_size)}
    return {
        "services": {
            "worker": {
                "deploy": {"replicas": fleet.replicas},
                "stop_grace_period": f"{fleet.draining_s}s",
                "environment": {
                    "JOB_QUEUES": fleet.queues,
                    "JOB_CONCURRENCY": str(fleet.concurrency),
                    "JOB_DRAIN_TIMEOUT": f"{fleet.job_timeout_s:.10g}s",
                    **pool,
                    **planned,
                },
            },
            "exporter": {"environment": planned},
        }
    }

"""What a plan asks of a ``railway.json``."""

from __future__ import annotations

from jobctl.core.plans import Plan
from jobctl.core.railway_rewriting import Deploy

__all__ = ["deploy_of", "replicas_of"]


def replicas_of(plan: Plan) -> int:
    """How many a plan asks for, the spare included; one whose number is on the edge gives the larger one."""
    return plan.all_running.replicas if plan.edge is None else max(plan.all_running.replicas, *plan.edge)


def deploy_of(plan: Plan, drain_timeout_s: float) -> Deploy:
    """What a plan asks for.

    Args:
        plan: The plan.
        drain_timeout_s: How long a stop waits for jobs that have no timeout of their own, seconds.
    """
    demand = plan.demand
    return Deploy(
        replicas=replicas_of(plan),
        concurrency=demand.concurrency,
        drain_timeout_s=drain_timeout_s if demand.job_timeout_s is None else demand.job_timeout_s,
        db_pool_size=demand.database.connections_per_replica,
    )

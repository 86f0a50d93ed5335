from __future__ import annotations

from jobctl.apps.plan.railway import deploy_of
from jobctl.core.demand import Database
from jobctl.core.railway_rewriting import Deploy
from support.plans import make_demand, make_plan


def test_a_plan_asks_for_its_job_timeout_as_the_drain_and_for_its_pool() -> None:
    plan = make_plan(make_demand(job_timeout_s=90.0, database=Database(max_clients=400, connections_per_replica=6)))

    assert deploy_of(plan, 25.0) == Deploy(plan.all_running.replicas, 25, 90.0, 6)


def test_a_plan_without_a_job_timeout_keeps_the_drain_that_is_set_and_one_on_the_edge_gives_the_larger_number() -> None:
    plan = make_plan(make_demand(), edge=(6, 7))

    assert deploy_of(plan, 25.0) == Deploy(7, 25, 25.0, None)

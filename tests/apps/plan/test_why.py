from __future__ import annotations

from dataclasses import replace

import pytest

from jobctl.apps.plan.why import promises_of, why_it_binds
from jobctl.core.plans import Binding, Plan
from jobctl.core.slo import DEFAULT_OBJECTIVE, Cover
from support.plans import make_demand, make_plan, make_plan_on_the_edge

ONLY_SLOTS = frozenset({Binding.SLOTS})


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        (make_plan(), '2 replicas with 1 gone would break "p95 wait <= 1 s"'),
        (make_plan(make_demand(spare=0)), '1 replica would break "p95 wait <= 1 s"'),
        (make_plan(binding=Binding.SLOTS), "2 replicas with 1 gone could not keep up"),
        (make_plan(make_demand(), 3, binding=Binding.NONE), "2 replicas with 1 gone would do as well"),
        (make_plan(make_demand(), 3, binding=Binding.NONE, required=ONLY_SLOTS), "2 replicas would keep up as well"),
        (make_plan(make_demand(), 1, binding=Binding.SLOTS, required=ONLY_SLOTS), "there is no fewer than one replica"),
        (make_plan(make_demand(0.1), binding=Binding.REDUNDANCY), "1 replica carries the load, the rest is spare"),
        (make_plan(make_demand(), 2), "it holds, until 1 is gone"),
        (make_plan(make_demand(3.75), 1), "the load fills more slots than there are"),
        (make_plan_on_the_edge(), "two numbers are too close to be told apart"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_limit_is_explained_by_what_one_replica_fewer_would_do(plan: Plan, why: str) -> None:
    assert why_it_binds(plan) == why


@pytest.mark.parametrize("binding", Binding)
@pytest.mark.parametrize("feasible", [True, False])
def test_every_limit_has_a_reason(binding: Binding, feasible: bool) -> None:
    assert why_it_binds(replace(make_plan(), binding=binding, feasible=feasible))


def test_several_promises_are_listed_as_one_says_them() -> None:
    both = make_plan(make_demand(promises=(DEFAULT_OBJECTIVE, Cover(0.99))))
    assert promises_of(both) == '"p95 wait <= 1 s" and "cover 99% of the day"'

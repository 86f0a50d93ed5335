"""The planner's answers over demands that nobody chose, against simulations that share nothing with it."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable

import pytest

from jobctl.core.demand import Retries
from jobctl.core.planning import plan
from jobctl.core.plans import Plan
from jobctl.core.slo import DEFAULT_OBJECTIVE, Cover, Window
from support.brute_force import judge
from support.plan_cases import FAMILIES, any_of
from support.plans import make_demand

Figure = Callable[[str, str, str], None]
#: Cases of each family; those whose brute force is slow have fewer.
CASES = {"day": 8, "burst": 8, "retries": 12, "upstream": 12, "connections": 8}


@pytest.mark.parametrize("family", FAMILIES)
def test_counts_and_waits_stand_up_to_brute_force(family: str, figure: Figure) -> None:
    judged, simulated, wrongly_refused = {}, set(), []
    for number in range(CASES.get(family, 16)):
        case = any_of(family, number)
        found = plan(case.demand, extras=False)
        if found.feasible:
            judged[case.name] = judge(case, found)
            if found.spare_gone is not None and found.spare_gone.method == "simulation":
                simulated.add(case.name)
        elif case.holds(8 * math.ceil(found.limits.offered_load_erlangs) * case.demand.concurrency):
            wrongly_refused.append(case.name)
    wrong = {name: one for name, one in judged.items() if not one.is_right}
    edges = sum(one.edge is not None for one in judged.values())
    waits = [agrees for name in simulated for agrees in judged[name].waits_agree.values()]
    figure(f"{family}: counts that brute force refutes", f"{len(wrong)} of {len(judged)}", "0")
    decided = sum(one.holds is True and one.fewer_holds is False for one in judged.values())
    figure(f"{family}: counts that brute force confirms, the others being too close to tell", f"{decided}", "")
    figure(f"{family}: answers on the edge", f"{edges} of {len(judged)}", "")
    figure(f"{family}: simulated p95 and p99 that agree", f"{sum(waits)} of {len(waits)}", ">= 90 %")
    assert (wrong, wrongly_refused) == ({}, [])
    assert sum(waits) >= 0.9 * len(waits), {name: judged[name] for name in simulated}


@pytest.mark.parametrize("family", FAMILIES)
def test_ten_seeds_give_one_answer(family: str, figure: Figure) -> None:
    edges, differing = [], {}
    for number in (2, 3):
        case = any_of(family, number)
        found = [plan(case.demand, extras=False, seed=seed) for seed in range(1, 11)]
        edges += [one.edge for one in found if one.edge is not None]
        sure = Counter(one.answers.with_spare for one in found if one.edge is None)
        if len(sure) > 1:
            differing[case.name] = sure
    figure(f"{family}: answers on the edge, of ten seeds for each of two demands", f"{len(edges)} of 20", "")
    assert differing == {}


RATE = 450_000 / 86_400
RETRIES = Retries(attempts=3, failure_rate=0.1, failed_ratio=3.0)
COVERED = (DEFAULT_OBJECTIVE, Cover(0.99))


@pytest.mark.parametrize(
    ("name", "most_s", "search"),
    [
        ("steady", 10.0, lambda: plan(make_demand(RATE))),
        ("a day, retries", 10.0, lambda: plan(make_demand(RATE, peak_factor=2, retries=RETRIES))),
        ("whole day", 10.0, lambda: plan(make_demand(RATE, peak_factor=2, window=Window.WHOLE_DAY))),
        ("every hour", 10.0, lambda: plan(make_demand(RATE, peak_factor=2, window=Window.EVERY_HOUR))),
        ("cover", 10.0, lambda: plan(make_demand(RATE, peak_factor=2, promises=COVERED))),
        ("5 million a day", 10.0, lambda: plan(make_demand(5e6 / 86_400, peak_factor=2))),
        ("a thousand million a day", 2.0, lambda: plan(make_demand(1e9 / 86_400, peak_factor=2))),
        ("closed form", 0.05, lambda: plan(make_demand(RATE, peak_factor=2), budget_s=0.0, extras=False)),
    ],
)
def test_a_search_keeps_its_budget_on_one_core(
    name: str, most_s: float, search: Callable[[], Plan], figure: Figure
) -> None:
    began_s = time.process_time()
    search()
    took_s = time.process_time() - began_s
    figure(f"plan, {name}: CPU", f"{took_s:.2f} s", f"<= {most_s:g} s")
    assert took_s <= most_s

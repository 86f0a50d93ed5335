from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.core.sizing import MAX_SLOTS, Binding, Demand, evaluate, fewest_replicas, plan, replicas_needed
from jobctl.core.slo import DEFAULT_OBJECTIVE, Objective, parse_objective
from jobctl.core.units import SECONDS_PER_DAY
from jobctl.errors import InvalidValue


def demand(
    per_day: float = 450_000,
    service_s: float = 8.0,
    *,
    scv: float = 1.0,
    concurrency: int = 25,
    objective: Objective = DEFAULT_OBJECTIVE,
    spare: int = 1,
) -> Demand:
    return Demand(per_day / SECONDS_PER_DAY, service_s, scv, concurrency, objective, spare)


LOADS = st.floats(0.001, 3000)
OBJECTIVES = st.builds(
    Objective, st.just("wait"), st.sampled_from([None, 0.5, 0.9, 0.95, 0.99, 0.999]), st.floats(1e-6, 100)
)


@given(LOADS, st.integers(1, 100), OBJECTIVES, st.integers(0, 3), st.floats(0, 8))
@settings(max_examples=60)
def test_the_search_finds_the_fewest(
    load: float, concurrency: int, objective: Objective, spare: int, scv: float
) -> None:
    asked = demand(load * SECONDS_PER_DAY, 1.0, scv=scv, concurrency=concurrency, objective=objective, spare=spare)
    answer = plan(asked)
    carrying = answer.all_running.replicas - spare
    assert answer.feasible
    assert evaluate(asked, carrying).holds
    assert carrying == 1 or not evaluate(asked, carrying - 1).holds
    assert answer.spare_gone == evaluate(asked, carrying)


@given(LOADS, st.floats(1, 3), st.integers(1, 50))
@settings(max_examples=60)
def test_more_volume_never_needs_fewer_replicas(load: float, factor: float, concurrency: int) -> None:
    less = fewest_replicas(demand(load * SECONDS_PER_DAY, 1.0, concurrency=concurrency))
    more = fewest_replicas(demand(load * factor * SECONDS_PER_DAY, 1.0, concurrency=concurrency))
    assert less is not None
    assert more is not None
    assert less <= more


@given(LOADS, OBJECTIVES, st.floats(1, 10))
@settings(max_examples=60)
def test_a_stricter_objective_never_needs_fewer_replicas(load: float, objective: Objective, factor: float) -> None:
    looser = Objective("wait", objective.quantile, objective.threshold_s * factor)
    strict = fewest_replicas(demand(load * SECONDS_PER_DAY, 1.0, objective=objective))
    loose = fewest_replicas(demand(load * SECONDS_PER_DAY, 1.0, objective=looser))
    assert strict is not None
    assert loose is not None
    assert loose <= strict


@given(LOADS, st.integers(1, 100))
def test_utilisation_and_headroom_describe_all_that_run(load: float, replicas: int) -> None:
    fleet = evaluate(demand(load * SECONDS_PER_DAY, 1.0), replicas)
    assert fleet.slots == 25 * replicas
    assert fleet.utilisation == pytest.approx(load / fleet.slots)
    assert fleet.headroom == pytest.approx(1 - fleet.utilisation)


@pytest.mark.parametrize(
    ("per_day", "service_s", "objective", "spare", "replicas", "binding"),
    [
        # 5.2 erlangs: one replica would do, the second is the spare
        (450_000, 1.0, "p95 wait <= 1s", 1, 2, Binding.REDUNDANCY),
        (450_000, 1.0, "p95 wait <= 1s", 0, 1, Binding.SLOTS),
        # exactly 25 erlangs fill one replica: two keep up, three with one gone
        (450_000, 4.8, "p95 wait <= 1s", 1, 3, Binding.SLOTS),
        # 41.7 erlangs on 50 slots: p95 is 1.05 s, so 1 s takes a third
        (450_000, 8.0, "p95 wait <= 1s", 0, 3, Binding.OBJECTIVE),
        (450_000, 8.0, "p95 wait <= 1.1s", 0, 2, Binding.SLOTS),
        (450_000, 8.0, "p95 wait <= 1s", 1, 4, Binding.OBJECTIVE),
        (450_000, 8.0, "mean wait <= 150ms", 0, 2, Binding.SLOTS),
        (450_000, 8.0, "p99.9 wait <= 1us", 0, 3, Binding.OBJECTIVE),
        (1, 1.0, "p99.9 wait <= 1us", 3, 4, Binding.REDUNDANCY),
    ],
)
def test_the_search_says_which_limit_binds(
    per_day: float, service_s: float, objective: str, spare: int, replicas: int, binding: Binding
) -> None:
    answer = plan(demand(per_day, service_s, objective=parse_objective(objective), spare=spare))
    assert (answer.all_running.replicas, answer.binding) == (replicas, binding)


OBJECTIVE, SPARE = Binding.OBJECTIVE, Binding.REDUNDANCY


@pytest.mark.parametrize(
    ("replicas", "required", "feasible", "binding"),
    [
        # 41.7 erlangs on 25 slots each; 2 keep up with a p95 of 1.05 s, 3 hold 1 s
        pytest.param(1, {OBJECTIVE, SPARE}, False, Binding.SLOTS, id="one cannot keep up, whatever is asked"),
        pytest.param(1, set(), False, Binding.SLOTS, id="keeping up is always asked"),
        pytest.param(2, set(), True, Binding.SLOTS, id="two keep up, and one fewer would not"),
        pytest.param(2, {OBJECTIVE}, False, Binding.OBJECTIVE, id="two break the objective"),
        pytest.param(2, {SPARE}, False, Binding.REDUNDANCY, id="two keep up until one is gone"),
        pytest.param(3, {SPARE}, True, Binding.SLOTS, id="three keep up with one gone"),
        pytest.param(3, {OBJECTIVE}, True, Binding.OBJECTIVE, id="three hold the objective, and one fewer would not"),
        pytest.param(3, {OBJECTIVE, SPARE}, False, Binding.REDUNDANCY, id="three hold it until one is gone"),
        pytest.param(4, {OBJECTIVE, SPARE}, True, Binding.OBJECTIVE, id="four hold it with one gone"),
        pytest.param(4, {OBJECTIVE}, True, Binding.NONE, id="three would do as well"),
        pytest.param(9, {OBJECTIVE, SPARE}, True, Binding.NONE, id="far fewer would do as well"),
    ],
)
def test_a_given_number_is_held_to_what_is_asked(
    replicas: int, required: set[Binding], feasible: bool, binding: Binding
) -> None:
    answer = plan(demand(450_000, 8.0), replicas, required)
    assert (answer.feasible, answer.binding) == (feasible, binding)
    assert answer.all_running.replicas == replicas


@pytest.mark.parametrize("spare", [2, 3, 50])
def test_a_spare_of_all_there_are_leaves_nothing(spare: int) -> None:
    answer = plan(demand(spare=spare, per_day=1000), 2, {Binding.REDUNDANCY})
    assert answer.spare_gone is None
    assert (answer.feasible, answer.binding) == (False, Binding.REDUNDANCY)


def test_the_neighbours_are_two_fewer_to_three_more() -> None:
    assert [fleet.replicas for fleet in plan(demand(), 5).around] == [3, 4, 5, 6, 7, 8]
    assert [fleet.replicas for fleet in plan(demand(), 1).around] == [1, 2, 3, 4]


def test_a_billion_jobs_a_day_of_a_minute_each_are_planned() -> None:
    # 694,444 erlangs; square-root staffing puts the answer within a few hundred slots of them.
    answer = plan(demand(1e9, 60.0))
    assert answer.spare_gone is not None
    assert 694_444 < answer.spare_gone.slots < 694_444 + math.sqrt(694_444)


@pytest.mark.parametrize("per_day", [1e13, 1e300])
def test_a_load_beyond_any_fleet_is_refused(per_day: float) -> None:
    with pytest.raises(InvalidValue, match="more than 10,000,000 slots"):
        plan(demand(per_day, 60.0))
    assert fewest_replicas(demand(per_day, 60.0)) is None


def test_a_load_that_the_largest_fleet_only_just_misses_is_refused_as_well() -> None:
    load = MAX_SLOTS - 1e-3
    assert fewest_replicas(demand(load * SECONDS_PER_DAY, 1.0, concurrency=10_000)) is None


def test_given_replicas_beyond_any_fleet_are_refused() -> None:
    with pytest.raises(InvalidValue, match="more than 10,000,000 slots"):
        plan(demand(concurrency=10_000), 1001)


def test_an_objective_about_the_sojourn_is_refused() -> None:
    with pytest.raises(InvalidValue, match="not about the wait"):
        demand(objective=parse_objective("p95 sojourn <= 10s"))


def test_replicas_needed_counts_the_spare() -> None:
    needed = [
        replicas_needed(
            arrival_rate_per_s=rate,
            mean_service_s=1.0,
            service_scv=1.0,
            concurrency=25,
            objective=DEFAULT_OBJECTIVE,
            spare=1,
        )
        for rate in (5.2, 100.0, 1e9)
    ]
    assert needed[0] == 2
    assert needed[1] == 6
    assert needed[2] is None

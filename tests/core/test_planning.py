from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.core.arrivals import CONSTANT, POISSON, parse_arrivals
from jobctl.core.demand import Database, Demand, Hold, JobType, Machine, Upstream
from jobctl.core.planning import largest_service_factor, plan
from jobctl.core.plans import Binding, Plan
from jobctl.core.profiles import Spike, diurnal_profile, steady_profile
from jobctl.core.service import Exponential, law_of
from jobctl.core.slo import DEFAULT_OBJECTIVE, Cover, Drain, Window, parse_objective
from jobctl.core.study import Study
from jobctl.core.trials import Purse
from jobctl.core.units import format_duration
from jobctl.core.variations import with_volume
from jobctl.errors import InvalidValue

PER_DAY = 450_000 / 86_400
DEMAND = Demand(
    profile=steady_profile(PER_DAY),
    arrivals=POISSON,
    job_types=(JobType("job", 1.0, Exponential(8.0)),),
    concurrency=25,
    promises=(DEFAULT_OBJECTIVE,),
)
DAILY = replace(DEMAND, profile=diurnal_profile(PER_DAY, 2.0))
#: Few jobs that take long, on replicas of two slots: what takes a day's simulation takes little of it.
SMALL_PER_S = 20_000 / 86_400
SMALL = replace(
    DEMAND, profile=steady_profile(SMALL_PER_S), job_types=(JobType("job", 1.0, Exponential(20.0)),), concurrency=2
)
SMALL_DAY = replace(SMALL, profile=diurnal_profile(SMALL_PER_S, 2.0))
ALL = frozenset({Binding.SLOTS, Binding.OBJECTIVE, Binding.REDUNDANCY})


def replicas_of(answer: Plan) -> list[int]:
    return [fleet.replicas for fleet in answer.around]


def test_the_worked_example_needs_two_replicas_and_a_spare() -> None:
    answer = plan(replace(DEMAND, profile=steady_profile(2.5)), budget_s=1)
    assert (answer.all_running.replicas, answer.binding, answer.feasible) == (3, Binding.OBJECTIVE, True)
    assert answer.answers.with_spare == 3
    assert answer.answers.whole_day == answer.answers.busiest_hour == 2
    assert answer.fewer is not None
    assert (answer.fewer.replicas, answer.fewer.holds) == (1, False)


def test_an_exact_answer_is_confirmed_by_simulation() -> None:
    answer = plan(replace(DEMAND, profile=steady_profile(2.5)), replicas=1, budget_s=2, extras=False)
    fleet = answer.all_running
    assert fleet.method == "M/M/c"
    assert fleet.wait.mean_s is not None
    assert fleet.bands["mean"].low_s < fleet.wait.mean_s < fleet.bands["mean"].high_s
    assert answer.simulated_jobs > 100_000


def test_without_a_budget_nothing_is_simulated() -> None:
    answer = plan(DAILY, budget_s=0)
    assert answer.simulated_jobs == 0
    assert not answer.all_running.hours
    assert answer.all_running.holds


def test_a_day_with_a_peak_is_confirmed_hour_by_hour() -> None:
    answer = plan(SMALL_DAY, budget_s=2)
    assert answer.answers.busiest_hour == 8
    assert answer.answers.whole_day == 7
    assert answer.all_running.replicas == 9
    carrying = answer.spare_gone
    assert carrying is not None
    assert len(carrying.hours) == 24
    assert carrying.method == "simulation"
    busiest = max(carrying.hours, key=lambda hour: hour.utilisation)
    assert 11 * 3600 <= busiest.start_s <= 13 * 3600
    assert busiest.utilisation == pytest.approx(carrying.utilisation, rel=0.1)
    assert sum(hour.arrival_rate_per_s for hour in carrying.hours) / 24 == pytest.approx(SMALL_PER_S, rel=1e-6)


def test_when_the_peak_overloads_the_slots_the_worst_hour_comes_after_the_busiest() -> None:
    fleet = plan(SMALL_DAY, replicas=4, required=ALL, budget_s=0.5).all_running
    assert fleet.holds is False
    assert fleet.stable
    busiest, worst = fleet.readings[Window.BUSIEST_HOUR], fleet.readings[Window.EVERY_HOUR]
    assert worst.start_s > busiest.start_s + 3600
    assert (worst.waits.p95_s or 0) > 1.3 * (busiest.waits.p95_s or 0) > 60
    assert fleet.backlog_max is not None
    assert fleet.backlog_max > 500


def test_the_upstream_admits_too_few_and_replicas_do_not_help() -> None:
    answer = plan(replace(DEMAND, upstream=Upstream(rpm=300)), budget_s=1)
    assert (answer.feasible, answer.binding) == (False, Binding.UPSTREAM)
    assert answer.reason == ("the upstream admits 432,000 of 450,000 jobs/day: +18,000 a day; replicas will not help")
    assert answer.backlog_growth_per_day == pytest.approx(18_000)
    assert answer.answers.with_spare is None
    assert "312.5" not in answer.relief
    assert "313 calls" in answer.relief


def test_an_upstream_that_is_nearly_full_makes_jobs_wait_however_many_replicas_there_are() -> None:
    answer = plan(replace(SMALL, upstream=Upstream(rpm=15)), budget_s=1, extras=False)
    assert (answer.feasible, answer.binding) == (False, Binding.UPSTREAM)
    assert answer.backlog_growth_per_day == 0
    # M/D/1 at 13.89 of 15 a minute: the mean is u / (2 (1 - u)) of 4 s, the p95 some three times that.
    assert 50 < (answer.all_running.wait.p95_s or 0) < 150


def test_connections_allow_so_many_replicas_and_no_more() -> None:
    answer = plan(replace(DEMAND, database=Database(60, 10)), budget_s=0)
    assert (answer.feasible, answer.binding) == (False, Binding.DATABASE)
    assert answer.limits.max_replicas_database == 3
    assert "counted twice" in answer.reason


def test_a_connection_held_for_the_whole_job_caps_the_slots() -> None:
    answer = plan(replace(DEMAND, database=Database(None, 10, Hold.JOB)), budget_s=0)
    assert (answer.feasible, answer.binding) == (True, Binding.DATABASE)
    assert answer.all_running.slots == answer.all_running.replicas * 10
    assert answer.all_running.replicas > plan(DEMAND, budget_s=0).all_running.replicas


def test_cpu_caps_the_slots_of_a_replica() -> None:
    answer = plan(replace(DEMAND, machine=Machine(cpu_per_job_s=0.4)), budget_s=0)
    assert answer.binding is Binding.CPU
    assert answer.limits.effective_slots_per_replica == 14


def test_a_platform_that_allows_too_few_is_named() -> None:
    answer = plan(replace(DEMAND, max_replicas=3, max_replicas_reason="Railway Hobby"), budget_s=0)
    assert (answer.feasible, answer.binding) == (False, Binding.PLATFORM)
    assert answer.reason == "4 replicas are needed, and Railway Hobby allows 3"


def test_a_small_load_needs_its_spare_and_nothing_else() -> None:
    answer = plan(replace(DEMAND, profile=steady_profile(0.1)), budget_s=0)
    assert (answer.all_running.replicas, answer.binding) == (2, Binding.REDUNDANCY)


def test_a_given_number_is_held_to_what_was_asked() -> None:
    demand = replace(DEMAND, profile=steady_profile(2.5))
    assert plan(demand, replicas=1, required=frozenset(), budget_s=0).feasible
    assert plan(demand, replicas=1, required=frozenset({Binding.OBJECTIVE}), budget_s=0).binding is Binding.OBJECTIVE
    redundant = plan(demand, replicas=1, required=frozenset({Binding.REDUNDANCY}), budget_s=0)
    assert (redundant.feasible, redundant.binding, redundant.spare_gone) == (False, Binding.REDUNDANCY, None)


def test_exactly_full_slots_cannot_keep_up() -> None:
    full = replace(
        DEMAND, profile=steady_profile(1_350_000 / 86_400), job_types=(JobType("job", 1.0, Exponential(4.8)),)
    )
    answer = plan(full, replicas=3, budget_s=0)
    assert (answer.feasible, answer.binding) == (False, Binding.SLOTS)
    assert answer.reason.endswith("every slot is always busy")


def test_batches_are_simulated_for_no_formula_tells_them() -> None:
    demand = replace(DEMAND, arrivals=parse_arrivals("batch:50"), job_types=(JobType("job", 1.0, Exponential(2.0)),))
    answer = plan(demand, budget_s=1, extras=False)
    assert answer.all_running.replicas == 4
    assert answer.fewer is not None
    assert answer.fewer.method == "simulation"


def test_a_spike_is_told_by_when_its_last_job_starts() -> None:
    demand = replace(SMALL, profile=steady_profile(SMALL_PER_S).with_spikes([Spike(500, 50_000.0)]))
    fleet = plan(demand, replicas=5, required=frozenset(), budget_s=2).all_running
    # All ten slots work on it, first come, first served: 500 jobs of 20 s.
    assert fleet.burst_clear_s == pytest.approx(500 * 20 / 10, rel=0.1)
    # Until nobody waits any more takes what the load leaves free.
    assert fleet.drain_s == pytest.approx(500 / (10 / 20 - SMALL_PER_S), rel=0.1)


def test_a_drain_is_promised_by_arithmetic() -> None:
    demand = replace(DEMAND, promises=(DEFAULT_OBJECTIVE, Drain(10_000, 300.0)), spare=0)
    answer = plan(demand, budget_s=0.3)
    needed = 8 * (10_000 / 300 + PER_DAY) / 25
    assert answer.all_running.replicas == -(-needed // 1)


def test_a_cover_judges_the_day_stretch_by_stretch() -> None:
    loose = plan(replace(DAILY, promises=(DEFAULT_OBJECTIVE, Cover(0.5))), budget_s=0, extras=False)
    tight = plan(replace(DAILY, promises=(DEFAULT_OBJECTIVE, Cover(1.0))), budget_s=0, extras=False)
    assert loose.all_running.replicas < tight.all_running.replicas


def test_a_sojourn_takes_the_service_in() -> None:
    demand = replace(DEMAND, promises=(parse_objective("p95 sojourn <= 25s"),))
    answer = plan(demand, budget_s=0.3)
    # The p95 of the service alone is 8 ln 20 = 24 s, and 50 slots add a wait of 0.14 s on average.
    assert answer.answers.busiest_hour == 2


def test_the_same_seed_gives_the_same_answer() -> None:
    demand = replace(SMALL_DAY, job_types=(JobType("job", 1.0, law_of(20.0, 4.0)),))
    first, second = (plan(demand, seed=3, budget_s=0.2) for _ in range(2))
    other = plan(demand, seed=4, budget_s=0.2, extras=False)
    assert first == second
    assert first.all_running.replicas == other.all_running.replicas
    assert first.fewer != other.fewer


def test_millions_of_slots_are_a_mistaken_unit() -> None:
    with pytest.raises(InvalidValue, match="more than 10,000,000 slots"):
        plan(replace(DEMAND, profile=steady_profile(1e9)), budget_s=0)
    with pytest.raises(InvalidValue, match="more than 10,000,000 slots"):
        plan(DEMAND, replicas=1_000_000, budget_s=0)


def test_the_largest_volume_is_where_one_more_percent_breaks() -> None:
    demand = replace(DEMAND, spare=0)
    largest = plan(demand, replicas=3, budget_s=0).max_sustainable_per_day
    assert largest is not None
    factor = largest / 450_000
    assert plan(with_volume(demand, factor), replicas=3, required=ALL, budget_s=0).feasible
    assert not plan(with_volume(demand, factor * 1.02), replicas=3, required=ALL, budget_s=0).feasible


def test_the_longest_service_is_where_the_slots_are_nearly_full() -> None:
    factor = largest_service_factor(replace(DEMAND, job_types=(JobType("job", 1.0, Exponential(1.0)),)), 2, budget_s=0)
    assert 0.8 < factor * PER_DAY / 50 < 1


@settings(max_examples=25, deadline=None)
@given(st.floats(0.2, 50), st.floats(0.1, 20), st.floats(0, 4), st.integers(1, 60))
def test_the_answer_holds_and_one_fewer_does_not(rate: float, service_s: float, scv: float, concurrency: int) -> None:
    demand = Demand(
        profile=steady_profile(rate),
        arrivals=POISSON,
        job_types=(JobType("job", 1.0, law_of(service_s, scv)),),
        concurrency=concurrency,
        promises=(DEFAULT_OBJECTIVE,),
        spare=0,
    )
    answer = plan(demand, budget_s=0, extras=False)
    assert answer.feasible
    assert answer.all_running.holds
    assert answer.fewer is None or answer.fewer.holds is False
    assert replicas_of(answer) == sorted(set(replicas_of(answer)))


#: Batches that come once in three hours, to an upstream that is nearly full at the peak; closed forms know it badly.
RARE_BATCHES = replace(
    DEMAND,
    profile=diurnal_profile(0.0923418, 1.3),
    arrivals=parse_arrivals("batch:1000"),
    job_types=(JobType("job", 1.0, Exponential(0.2)),),
    upstream=Upstream(rpm=6.65),
)
#: Even arrivals, which wait for the upstream far less than Poisson's, whose waits the closed form has.
EVEN = replace(
    DEMAND,
    profile=diurnal_profile(0.06, 1.3),
    arrivals=parse_arrivals("renewal:0.01"),
    promises=(parse_objective("p95 wait <= 0.13s over the whole day"),),
    upstream=Upstream(rpm=7.15),
)


def test_an_hour_in_which_no_simulated_job_came_does_not_make_a_fleet_hold() -> None:
    answer = plan(RARE_BATCHES, budget_s=0.2, extras=False)
    assert (answer.feasible, answer.binding, answer.edge) == (False, Binding.UPSTREAM, None)


def test_what_closed_forms_misjudge_limits_neither_the_volume_nor_what_else_would_do() -> None:
    answer = plan(EVEN, budget_s=0.5)
    assert answer.feasible
    assert answer.max_sustainable_per_day is not None
    assert answer.max_sustainable_per_day >= EVEN.profile.mean_per_s * 86_400 * (1 - 1e-9)
    assert [other for other in answer.sensitivity if other.replicas is None] == []


def test_a_fleet_that_holds_more_than_a_million_times_its_volume_has_no_largest() -> None:
    demand = replace(SMALL, profile=steady_profile(1e-4), job_types=(JobType("job", 1.0, Exponential(1e-4)),))
    assert plan(demand, replicas=3, budget_s=0).max_sustainable_per_day is None


def test_closed_forms_do_not_tell_of_a_fleet_beside_one_that_simulation_could_not_tell() -> None:
    study = Study(replace(DEMAND, arrivals=parse_arrivals("batch:10")), 1, Purse(1.0))
    study.relies_on_closed_forms = True
    assert study.fleet(3).holds is True
    study.laboratory.run_peaks(study.slots(4), 1)
    assert [study.fleet(replicas).holds for replicas in (3, 4, 5)] == [None, None, None]
    assert [study.fleet(replicas).on_edge for replicas in (3, 4, 5)] == [False, True, False]


def test_a_fleet_that_could_not_be_told_is_broken_by_nothing_but_what_surely_is() -> None:
    batches = replace(DEMAND, arrivals=parse_arrivals("batch:10"))
    untold = plan(batches, replicas=4, budget_s=0.01, extras=False)
    too_many = plan(replace(batches, max_replicas=3), replicas=4, budget_s=0.01, extras=False)
    full_when_one_is_gone = plan(batches, replicas=2, budget_s=0.01, extras=False)
    assert (untold.feasible, untold.on_edge, untold.binding) == (None, True, Binding.OBJECTIVE)
    assert (too_many.feasible, too_many.binding) == (False, Binding.PLATFORM)
    assert (full_when_one_is_gone.feasible, full_when_one_is_gone.binding) == (False, Binding.REDUNDANCY)


def test_a_fleet_without_hope_fails_though_its_days_are_too_large_to_simulate() -> None:
    study = Study(with_volume(replace(DAILY, window=Window.EVERY_HOUR), 4.0), 1, Purse(1.0))
    assert study.fleet(7).holds is False  # 333 erlangs at the peak and 167 on the mean, on 175 slots


def test_a_broken_promise_comes_to_the_wait_that_is_shown() -> None:
    study = Study(replace(DEMAND, job_types=(JobType("job", 1.0, law_of(9.55, 0.5)),)), 1, Purse(1.0))
    study.laboratory.run_peaks(study.slots(2), 1)  # too short for a queue on slots of which 99.5 % are busy
    fleet = study.fleet(2)
    assert fleet.method == "M/G/c, Kimura"
    assert fleet.broken == (f"p95 wait <= 1 s (is {format_duration(fleet.wait.p95_s)})",)


@pytest.mark.parametrize("kind", ["peaks", "days"])
def test_replications_without_jobs_spend_the_budget_too(kind: str) -> None:
    study = Study(replace(SMALL_DAY, profile=diurnal_profile(1e-5, 2.0)), 1, Purse(0.1))
    run = {"peaks": study.laboratory.run_peaks, "days": study.laboratory.run_days}[kind]
    trial = run(study.slots(1), 1_000_000)
    assert 50 < max(trial.peaks, trial.days) <= 1_000


def test_a_drain_that_takes_too_long_is_broken_without_simulation() -> None:
    late = parse_objective("drain 100000 jobs <= 1.86s")
    study = Study(replace(DEMAND, arrivals=CONSTANT, promises=(late,)), 1, Purse(1e-6))
    assert study.fleet(10).holds is False

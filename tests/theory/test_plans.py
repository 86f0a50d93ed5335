"""The planner's answers against means that share nothing with it: exact queues, ciw, and simulations by brute force."""

from __future__ import annotations

import gzip
import random
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import ciw
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.core.arrivals import POISSON
from jobctl.core.demand import Database, Demand, Hold, Machine, Retries, Upstream
from jobctl.core.planning import plan
from jobctl.core.plans import Binding, Plan
from jobctl.core.profiles import Spike, steady_profile
from jobctl.core.service import Gamma
from jobctl.core.slo import Objective, Window
from jobctl.core.traces import parse_trace
from support.brute_force import judge
from support.exact_queues import Mdc, fewest_mmc, mean_wait_of_two_erlang_phases, mmc_share_over
from support.independent import Events, Rules, Share, erlang, law, renewal, waits_of
from support.plan_cases import FAMILIES, any_of
from support.plans import make_demand

TRACE = Path(__file__).parents[1] / "data" / "azure_llm_conv_2023.csv.gz"
#: Seconds of simulation, where a small part of the usual budget does.
SMALL = 3.0


def answer(demand: Demand, budget_s: float = SMALL, **options: Any) -> Plan:
    """The answer alone, nothing around it."""
    return plan(demand, budget_s=budget_s, extras=False, **options)


def fewest(demand: Demand, budget_s: float = SMALL) -> int:
    """The replicas, spare included."""
    found = answer(demand, budget_s).answers.with_spare
    assert found is not None
    return found


# --------------------------------------------------------------------------------------------------- the oracles


def test_brute_force_meets_the_exact_queues() -> None:
    slots, load, jobs = 5, 4.0, 12_000.0
    streams = [renewal(load, 1.0)(np.random.default_rng(n), 0.0, jobs / load) for n in range(40)]
    laws = {
        "M/M/c": (law(1.0, 1.0), 1.0, mmc_share_over(Fraction(4), 1.0, slots, 1.0)),
        "M/D/c": (law(1.0, 0.0), 0.7, Mdc(load, slots).share_over(0.7)),
    }
    for services, threshold_s, truth in laws.values():
        times = [services(np.random.default_rng((n, 1)), len(some)) for n, some in enumerate(streams)]
        share = Share.over([some[1500:] for some in waits_of(streams, times, slots)], threshold_s)
        assert abs(share.value - truth) < 4 * share.error < 0.2 * truth
    times = [erlang(1.0, 2)(np.random.default_rng((n, 2)), len(some)) for n, some in enumerate(streams)]
    mean = Share.of([some[1500:] for some in waits_of(streams, times, slots)])
    assert abs(mean.value - mean_wait_of_two_erlang_phases(load, slots)) < 4 * mean.error


def test_the_two_simulations_and_ciw_agree_job_by_job() -> None:
    rng = np.random.default_rng(5)
    arrivals = np.cumsum(rng.gamma(0.25, 4 / 2.0, 1500))
    times = rng.lognormal(0.0, 1.0, 1500)
    (at_once,) = waits_of([arrivals], [times], 4)
    stepped = Events(2, 2, Rules(), rng).play(arrivals, lambda rng, count: np.resize(times, count))
    # Where each job takes the same time, who is served by which slot does not matter.
    same = np.ones(1500)
    (alike,) = waits_of([arrivals], [same], 4)
    events = Events(2, 2, Rules(), rng).play(arrivals, law(1.0, 0.0))
    assert events.waits_between(arrivals, 0.0, arrivals[-1] + 1) == pytest.approx(alike)
    assert stepped.waits_between(arrivals, 0.0, arrivals[-1] + 1) == pytest.approx(at_once)

    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Sequential([arrivals[0], *np.diff(arrivals), float("inf")])],
        service_distributions=[ciw.dists.Sequential(list(times))],
        number_of_servers=[4],
    )
    ciw.seed(1)
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_customers(1500, method="Finish")
    records = sorted(simulation.get_all_records(), key=lambda record: record.arrival_date)
    assert [record.waiting_time for record in records] == pytest.approx(at_once.tolist(), abs=1e-6)


# ------------------------------------------------------------------------------------------------ exact answers


@pytest.mark.parametrize(("load", "spare"), [(4, 1), (20, 0)])
def test_the_count_of_mmc_is_the_exact_chains(load: int, spare: int) -> None:
    for each, q, threshold_s in [(1, 0.95, 1.0), (2, 0.99, 0.5), (5, 0.5, 0.1), (25, 0.9, 4.0)]:
        objective = Objective("wait", q, threshold_s)
        demand = make_demand(load / 2.0, 2.0, concurrency=each, promises=(objective,), spare=spare)
        expected = fewest_mmc(Fraction(load), 2.0, each, q, threshold_s)
        assert fewest(demand) == fewest(demand, 0.0) == expected + spare


@pytest.mark.parametrize(("load", "q", "threshold"), [(0.8, 0.95, 0.5), (4.0, 0.95, 0.4), (9.0, 0.99, 1.2)])
def test_the_count_and_the_p95_of_mdc_are_the_exact_chains(load: float, q: float, threshold: float) -> None:
    slots = int(load) + 1
    while Mdc(load, slots).quantile(q) > threshold:
        slots += 1
    demand = make_demand(load, 1.0, 0.0, concurrency=1, promises=(Objective("wait", q, threshold),), spare=0)
    found = answer(demand)
    assert found.answers.with_spare == slots
    assert found.spare_gone is not None
    exact, band = Mdc(load, slots).quantile(0.95), found.spare_gone.bands["p95"]
    assert band.low_s * 0.98 <= exact <= band.high_s * 1.02 or found.spare_gone.wait.p95_s == pytest.approx(
        exact, rel=0.1
    )


def test_the_mean_wait_of_two_erlang_phases_lies_in_the_interval() -> None:
    demand = make_demand(4.0, 1.0, concurrency=5, promises=(Objective("wait", None, 0.5),), spare=0)
    demand = replace(demand, job_types=tuple(replace(kind, service=Gamma(1.0, 0.5)) for kind in demand.job_types))
    found = answer(demand, 10.0)
    assert found.answers.with_spare == 1
    assert found.spare_gone is not None
    assert found.spare_gone.wait.mean_s == pytest.approx(mean_wait_of_two_erlang_phases(4.0, 5), rel=0.1)


# ------------------------------------------------------------------------------------------ answers by brute force


@pytest.mark.parametrize(
    "family", [pytest.param(one, marks=[pytest.mark.proof] if one == "day" else []) for one in FAMILIES]
)
def test_the_count_stands_up_to_brute_force(family: str) -> None:
    case = any_of(family, 0)
    judged = judge(replace(case, replications=case.replications // 3), answer(case.demand))
    assert judged.is_right, (case.name, judged)
    assert all(judged.waits_agree.values()), (case.name, judged)


@pytest.mark.parametrize("concurrency", [5, 25])
def test_a_replayed_trace_needs_exactly_what_playing_it_shows(concurrency: int) -> None:
    lines = gzip.decompress(TRACE.read_bytes()).decode().splitlines()
    trace = parse_trace(lines, "azure", "1.0 + 0.05 * generated_tokens")
    rows = np.array([[float(cell) for cell in line.split(",")] for line in lines[1:]])
    arrivals, times = rows[:, 0], 1.0 + 0.05 * rows[:, 2]
    replicas = int(times.sum() / arrivals[-1]) // concurrency  # fewer slots than are busy on average never keep up
    while np.quantile(waits_of([arrivals], [times], replicas * concurrency)[0], 0.95, method="inverted_cdf") > 1.0:
        replicas += 1
    demand = make_demand(concurrency=concurrency, trace=trace, profile=trace.profile, spare=0)
    found = answer(demand)
    assert (found.answers.with_spare, found.edge) == (replicas, None)
    (waits,) = waits_of([arrivals], [times], replicas * concurrency)
    assert found.spare_gone is not None
    assert found.spare_gone.wait.p95_s == pytest.approx(np.quantile(waits, 0.95, method="inverted_cdf"), abs=1e-6)
    assert found.spare_gone.wait.mean_s == pytest.approx(waits.mean(), rel=1e-6)


def test_slots_are_no_more_than_connections_held_for_the_job_or_than_the_cpu_runs() -> None:
    plain = make_demand(4.0, 1.0, concurrency=3, spare=0)
    expected = fewest(plain)
    held = Database(max_clients=1000, connections_per_replica=3, hold=Hold.JOB)
    assert fewest(replace(plain, concurrency=25, database=held)) == expected
    cpu = Machine(cpu_per_job_s=0.7 / 3)
    assert fewest(replace(plain, concurrency=25, machine=cpu)) == expected


def test_an_interpreter_slower_than_its_jobs_makes_them_hold_their_slot_for_longer() -> None:
    # 1 s of CPU at 0.7 of a core takes 1.43 s, on one slot, however short the job would be.
    slow = make_demand(0.5, 0.5, 0.0, concurrency=25, machine=Machine(cpu_per_job_s=1.0), spare=0)
    same = make_demand(0.5, 1 / 0.7, 0.0, concurrency=1, spare=0)
    assert fewest(slow) == fewest(same)


def test_an_upstream_that_admits_less_than_arrives_is_infeasible_and_says_by_how_much() -> None:
    found = answer(make_demand(450_000 / 86_400, 8.0, upstream=Upstream(rpm=300)))
    assert (found.feasible, found.binding) == (False, Binding.UPSTREAM)
    assert found.backlog_growth_per_day == pytest.approx(18_000)


# ------------------------------------------------------------------------------------------------- seeds, readings


@pytest.mark.parametrize("family", ["heavy", "retries"])
def test_no_seed_changes_an_answer_that_is_sure(family: str) -> None:
    case = any_of(family, 0)
    answers = [answer(case.demand, 2.0, seed=seed) for seed in range(1, 5)]
    sure = Counter(found.answers.with_spare for found in answers if found.edge is None)
    assert len(sure) <= 1, (case.name, sure)
    assert all(number in found.edge for found in answers for number in sure if found.edge is not None)


def test_every_slot_second_of_a_simulated_day_is_asked_for_by_a_job() -> None:
    retries = Retries(attempts=3, failure_rate=0.2, failed_ratio=2.0)
    demand = make_demand(0.5, 20.0, peak_factor=2.0, concurrency=5, spare=0, retries=retries)
    found = plan(demand, budget_s=1.5)
    hours = found.all_running.hours
    busy_s = sum(hour.utilisation * found.all_running.slots * 3600 for hour in hours)
    jobs = sum(hour.arrival_rate_per_s * 3600 for hour in hours)
    assert jobs == pytest.approx(0.5 * 86_400, rel=1e-6)
    # About 100,000 attempts over two days: the sum of their times is known to some 0.5 %.
    assert busy_s == pytest.approx(jobs * found.limits.slot_seconds_per_job, rel=0.02)


def test_a_burst_starts_as_the_slots_turn_over_and_drains_as_a_fluid() -> None:
    jobs, rate, mean_s = 4000, 1.0, 8.0
    profile = steady_profile(rate).with_spikes((Spike(jobs, 13.5 * 3600.0),))
    demand = make_demand(rate, mean_s, 0.0, profile=profile, concurrency=10, spare=0, window=Window.WHOLE_DAY)
    fleet = answer(demand, 1.0, replicas=2).all_running
    # The burst's own jobs are first in, first out: later ones take none of their slots. The queue is empty only later.
    assert fleet.burst_clear_s == pytest.approx((jobs - (fleet.slots - rate * mean_s)) * mean_s / fleet.slots, rel=0.03)
    assert fleet.drain_s == pytest.approx(jobs / (fleet.slots / mean_s - rate), rel=0.08)


# ------------------------------------------------------------------------------------------------------ properties

DEMANDS = st.builds(
    make_demand,
    st.floats(0.05, 20),
    st.floats(0.1, 10),
    st.sampled_from([0.0, 0.5, 1.0, 4.0]),
    st.sampled_from([1.0, 1.5, 3.0]),
    concurrency=st.sampled_from([1, 3, 10, 25]),
    promises=st.builds(
        lambda q, t: (Objective("wait", q, t),), st.sampled_from([None, 0.5, 0.95, 0.99]), st.floats(0.05, 20)
    ),
    spare=st.integers(0, 2),
)


@settings(max_examples=8, deadline=None)
@given(DEMANDS, st.floats(1.01, 3))
def test_a_larger_volume_never_needs_fewer_replicas_by_closed_form(demand: Demand, factor: float) -> None:
    assert fewest(replace(demand, profile=demand.profile.scaled(factor)), 0.0) >= fewest(demand, 0.0)


@settings(max_examples=8, deadline=None)
@given(DEMANDS)
def test_a_given_number_is_judged_as_the_search_found_by_closed_form(demand: Demand) -> None:
    needed = fewest(demand, 0.0)
    assert answer(demand, 0.0, replicas=needed).feasible
    assert needed == 1 or not answer(demand, 0.0, replicas=needed - 1).feasible


@settings(max_examples=2, deadline=None)
@given(st.integers(0, 10_000))
def test_in_the_table_more_replicas_never_wait_longer_than_their_intervals_allow(number: int) -> None:
    chance = random.Random(number)
    demand = make_demand(chance.uniform(0.5, 3), chance.uniform(1, 8), chance.choice([0, 1, 4]), arrivals=POISSON)
    around = [fleet for fleet in plan(replace(demand, concurrency=2), budget_s=0.5).around if fleet.stable]
    for fewer, more in pairwise(around):
        band = fewer.bands.get("p95")
        assert (more.wait.p95_s or 0.0) <= max(fewer.wait.p95_s or 0.0, band.high_s if band else 0.0) + 1e-9
    held = [fleet.holds for fleet in around]
    assert True not in held or False not in held[held.index(True) :]


@pytest.mark.parametrize("scv", [1.0, pytest.param(4.0, marks=pytest.mark.proof)])
def test_the_largest_volume_is_held_and_a_twentieth_more_is_not(scv: float) -> None:
    demand = make_demand(3.0, 4.0, scv, concurrency=3, spare=0)
    found = plan(demand, budget_s=2.0)
    assert found.max_sustainable_per_day is not None
    factor = found.max_sustainable_per_day / (3.0 * 86_400)
    assert factor >= 0.99
    more = answer(replace(demand, profile=demand.profile.scaled(1.05 * factor)))
    assert more.answers.with_spare is not None
    assert found.answers.with_spare is not None
    assert more.answers.with_spare > found.answers.with_spare or more.edge is not None

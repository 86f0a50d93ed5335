from __future__ import annotations

import math
import random
from dataclasses import replace
from heapq import heapify, heappop, heappush

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.arrivals import POISSON
from jobctl.core.capacity import attempts_per_job, backlog_growth_per_day, limits_of, pool_wait_s
from jobctl.core.demand import Database, Demand, Hold, JobType, Machine, Retries, Upstream
from jobctl.core.plans import Binding
from jobctl.core.profiles import diurnal_profile, steady_profile
from jobctl.core.service import Constant, Exponential, law_of
from jobctl.core.slo import DEFAULT_OBJECTIVE

DEMAND = Demand(
    profile=steady_profile(2.5),
    arrivals=POISSON,
    job_types=(JobType("job", 1.0, Exponential(8.0)),),
    concurrency=25,
    promises=(DEFAULT_OBJECTIVE,),
)


def test_the_worked_example_offers_twenty_erlangs() -> None:
    limits = limits_of(DEMAND)
    assert limits.offered_load_erlangs == pytest.approx(20)
    assert (limits.attempts_per_job, limits.job_failure_rate) == (1.0, 0.0)
    assert (limits.effective_slots_per_replica, limits.capped_by) == (25, None)


@pytest.mark.parametrize(
    ("failure_rate", "attempts", "expected"),
    [
        (0.0, 5, 1.0),
        (0.5, 3, 1.75),  # 1 + 1/2 + 1/4
        (1.0, 4, 4.0),  # (1 - f^m) / (1 - f) has no value here, its limit has
        (0.1, 1, 1.0),
    ],
)
def test_attempts_are_a_geometric_sum(failure_rate: float, attempts: int, expected: float) -> None:
    assert attempts_per_job(failure_rate, attempts) == pytest.approx(expected)


@given(st.floats(0, 1), st.integers(1, 30))
def test_a_job_takes_between_one_and_all_its_attempts(failure_rate: float, attempts: int) -> None:
    assert 1 <= attempts_per_job(failure_rate, attempts) <= attempts


def test_failures_that_last_longer_weigh_more() -> None:
    limits = limits_of(replace(DEMAND, retries=Retries(attempts=5, failure_rate=0.1, failed_ratio=3.0)))
    tries = 1 + 0.1 + 0.01 + 0.001 + 0.0001
    assert limits.attempts_per_job == pytest.approx(tries)
    assert limits.job_failure_rate == pytest.approx(1e-5)
    assert limits.slot_s == pytest.approx(0.9 * 8 + 0.1 * 24)
    assert limits.slot_seconds_per_job == pytest.approx(tries * 9.6)
    # E[S^2] of an exponential is 2 S^2.
    assert limits.slot_scv == pytest.approx((0.9 * 2 * 8**2 + 0.1 * 2 * 24**2) / 9.6**2 - 1)


def test_failed_attempts_may_take_a_fixed_time() -> None:
    limits = limits_of(replace(DEMAND, retries=Retries(attempts=2, failure_rate=0.5, failed_s=2.0)))
    assert limits.slot_s == pytest.approx(0.5 * 8 + 0.5 * 2)


def test_a_timeout_cuts_long_attempts_off_and_fails_them() -> None:
    limits = limits_of(replace(DEMAND, job_timeout_s=8.0, retries=Retries(attempts=2)))
    over = math.exp(-1)  # of an exponential, P(S > mean)
    assert limits.slot_s == pytest.approx(8 * (1 - over), rel=1e-6)
    assert limits.attempts_per_job == pytest.approx(1 + over, rel=1e-6)
    assert limits.job_failure_rate == pytest.approx(over**2, rel=1e-6)


def test_a_connection_held_for_the_job_caps_the_slots() -> None:
    limits = limits_of(replace(DEMAND, database=Database(60, 10, Hold.JOB)))
    assert (limits.effective_slots_per_replica, limits.capped_by) == (10, Binding.DATABASE)
    assert limits.max_replicas_database == 3  # 60 / (2 x 10): a deploy counts twice


@given(st.integers(0, 20_000), st.integers(1, 300))
def test_two_generations_of_the_most_replicas_fit_the_database_and_of_one_more_do_not(clients: int, pool: int) -> None:
    most = limits_of(replace(DEMAND, database=Database(clients, pool))).max_replicas_database
    assert most is not None
    assert 2 * most * pool <= clients < 2 * (most + 1) * pool


def test_an_interpreter_runs_no_more_than_its_cpu_allows() -> None:
    limits = limits_of(replace(DEMAND, machine=Machine(cpu_per_job_s=0.4)))
    assert (limits.effective_slots_per_replica, limits.capped_by) == (14, Binding.CPU)  # 0.7 x 8 / 0.4


def test_a_job_of_nothing_but_cpu_leaves_one_slot_that_is_slower() -> None:
    limits = limits_of(replace(DEMAND, machine=Machine(cpu_per_job_s=8.0)))
    assert limits.effective_slots_per_replica == 1
    assert limits.slot_s == pytest.approx(8 / 0.7)


def test_the_upstream_admits_fewer_jobs_where_they_are_retried() -> None:
    limits = limits_of(
        replace(
            DEMAND,
            retries=Retries(attempts=2, failure_rate=0.5),
            upstream=Upstream(rpm=600, calls_per_job=2, tpm=90_000, tokens_per_job=1000),
        )
    )
    assert limits.upstream_per_s == pytest.approx(1.5 / 1.5)  # 90 jobs' tokens a minute bind before 300 jobs' calls


def test_growth_is_told_by_what_admits_the_fewest() -> None:
    demand = replace(DEMAND, profile=steady_profile(450_000 / 86_400), upstream=Upstream(rpm=300))
    assert backlog_growth_per_day(demand, limits_of(demand), 1000) == pytest.approx(18_000)
    assert backlog_growth_per_day(DEMAND, limits_of(DEMAND), 25) == 0
    assert backlog_growth_per_day(DEMAND, limits_of(DEMAND), 10) == pytest.approx((2.5 - 1.25) * 86_400)


def test_the_peak_of_a_day_is_its_highest_rate() -> None:
    limits = limits_of(replace(DEMAND, profile=diurnal_profile(2.5, 2.0)))
    assert limits.arrival_rate_per_s == pytest.approx(2.5)
    assert limits.peak_arrival_rate_per_s == pytest.approx(5.0, rel=1e-3)


def test_enough_connections_make_nobody_wait() -> None:
    assert pool_wait_s(25, 25, 0.5, 8.0) == 0
    assert pool_wait_s(25, 5, 0.0, 8.0) == 0


def test_one_connection_for_two_slots_is_the_smallest_repair_shop() -> None:
    # n = 2, k = 1, think = service = 1: p = (1/5, 2/5, 2/5); 2/5 wait, and (2 x 1/5 + 1 x 2/5) ask each second.
    assert pool_wait_s(2, 1, 0.5, 2.0) == pytest.approx((2 / 5) / (4 / 5))


@pytest.mark.parametrize(("slots", "connections", "share"), [(10, 2, 0.2), (25, 5, 0.3), (6, 3, 0.8)])
def test_waits_for_a_connection_agree_with_a_simulation(slots: int, connections: int, share: float) -> None:
    slot_s, rng = 1.0, random.Random(7)
    thinking = [(rng.expovariate(1 / ((1 - share) * slot_s)), slot) for slot in range(slots)]
    heapify(thinking)
    free = [0.0] * connections
    waits = []
    for _ in range(60_000):
        asks_s, slot = heappop(thinking)
        begins_s = max(asks_s, heappop(free))
        waits.append(begins_s - asks_s)
        ends_s = begins_s + rng.expovariate(1 / (share * slot_s))
        heappush(free, ends_s)
        heappush(thinking, (ends_s + rng.expovariate(1 / ((1 - share) * slot_s)), slot))
    assert pool_wait_s(slots, connections, share, slot_s) == pytest.approx(sum(waits) / len(waits), rel=0.05)


def test_a_mix_holds_its_slots_for_its_mean() -> None:
    kinds = (JobType("short", 0.75, Constant(1.0)), JobType("long", 0.25, law_of(9.0, 4.0)))
    limits = limits_of(replace(DEMAND, job_types=kinds))
    assert limits.slot_s == pytest.approx(3.0)
    assert limits.slot_scv == pytest.approx((0.75 * 1 + 0.25 * 81 * 5) / 9 - 1)

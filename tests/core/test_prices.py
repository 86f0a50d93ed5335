from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.demand import Machine, Retries
from jobctl.core.prices import RAILWAY, RAILWAY_REPLICAS, Prices, cost_of, fleet_cost, parse_prices
from jobctl.errors import InvalidOption
from support.plans import make_demand, make_limits


def test_one_core_and_one_gigabyte_for_a_month_cost_what_railway_says_they_do() -> None:
    core = cost_of(1, cores=1.0, memory_bytes=0.0, jobs_per_day=1e6)
    gigabyte = cost_of(1, cores=0.0, memory_bytes=1e9, jobs_per_day=1e6)

    assert core is not None
    assert gigabyte is not None
    # 0.000463 x 60 x 24 x 30 = 20.0016 and 0.000231 x 43,200 = 9.9792: its page rounds them to 20 and 10 dollars.
    assert core.per_month_usd == pytest.approx(20.0016)
    assert gigabyte.per_month_usd == pytest.approx(9.9792)


def test_replicas_cost_memory_and_jobs_cost_cpu() -> None:
    # A day: 450,000 x 10 ms = 4,500 core seconds = 75 core minutes; 2 x 0.1 GB x 1,440 minutes = 288 GB minutes.
    cost = cost_of(2, cores=450_000 * 0.010 / 86_400, memory_bytes=100e6, jobs_per_day=450_000)

    assert cost is not None
    per_day = 75 * 0.000463 + 288 * 0.000231
    assert cost.per_month_usd == pytest.approx(30 * per_day)
    assert cost.per_million_jobs_usd == pytest.approx(per_day / 0.45)


@pytest.mark.parametrize(("cores", "memory"), [(None, 1e8), (0.1, None), (None, None)])
def test_what_is_not_known_has_no_cost(cores: float | None, memory: float | None) -> None:
    assert cost_of(2, cores=cores, memory_bytes=memory, jobs_per_day=450_000) is None


def test_a_fleet_pays_for_the_cpu_of_every_attempt() -> None:
    machine = Machine(cpu_per_job_s=0.01, memory_bytes=0.0)
    demand = make_demand(machine=machine)
    once = make_limits(demand)
    retried = make_limits(replace(demand, retries=Retries(attempts=2, failure_rate=0.5)))  # 1 + 0.5 attempts

    plain, dearer = fleet_cost(2, machine, once), fleet_cost(2, machine, retried)

    assert plain is not None
    assert dearer is not None
    assert dearer.per_month_usd == pytest.approx(1.5 * plain.per_month_usd)
    assert plain.per_million_jobs_usd == pytest.approx(1e6 * 0.01 / 60 * 0.000463)


@pytest.mark.parametrize("machine", [Machine(cpu_per_job_s=0.01), Machine(memory_bytes=1e8), Machine()])
def test_a_fleet_whose_machine_was_not_measured_has_no_cost(machine: Machine) -> None:
    assert fleet_cost(2, machine, make_limits(make_demand(machine=machine))) is None


@given(st.integers(1, 1000), st.floats(0, 100), st.floats(0, 1e10), st.floats(1, 1e9))
def test_the_month_is_thirty_days_of_what_the_jobs_cost(
    replicas: int, cores: float, memory: float, jobs_per_day: float
) -> None:
    cost = cost_of(replicas, cores=cores, memory_bytes=memory, jobs_per_day=jobs_per_day)

    assert cost is not None
    assert cost.per_month_usd == pytest.approx(cost.per_million_jobs_usd * jobs_per_day * 30 / 1e6)


def test_ones_own_prices_stand_in_for_railways_and_what_is_left_out_is_railways() -> None:
    place = "jobctl.toml: plan.prices"

    assert parse_prices({"vcpu_minute_usd": 0.001, "source": "our contract"}, place) == Prices(
        0.001, RAILWAY.gb_minute_usd, "our contract"
    )
    assert parse_prices({"gb_minute_usd": 0}, place) == Prices(RAILWAY.vcpu_minute_usd, 0.0, place)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"cpu": 1}, "prices: unknown key 'cpu'; known keys: vcpu_minute_usd, gb_minute_usd, source"),
        ({"gb_minute_usd": -1}, "prices.gb_minute_usd: must not be negative, got '-1'; give a number of at least 0"),
        ({"vcpu_minute_usd": float("nan")}, "prices.vcpu_minute_usd: 'nan' is not a finite number; "),
        ({"vcpu_minute_usd": True}, "prices.vcpu_minute_usd: 'True' is not a number; "),
    ],
)
def test_a_price_that_means_nothing_is_named(table: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidOption) as refused:
        parse_prices(table, "prices")

    assert str(refused.value).startswith(message)


def test_a_dearer_plan_of_railways_never_allows_fewer_replicas() -> None:
    assert list(RAILWAY_REPLICAS.values()) == sorted(RAILWAY_REPLICAS.values())
    assert [RAILWAY_REPLICAS[name] for name in ("hobby", "pro", "enterprise")] == [6, 42, 50]

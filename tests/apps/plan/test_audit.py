from __future__ import annotations

import json
import math
from dataclasses import replace
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from jobctl.apps.plan.audit import Audit, Claim, Row, audit, parse_claim, parse_rows, to_document
from jobctl.core.arrivals import POISSON
from jobctl.core.demand import Assumption, Demand, JobType, Machine, Upstream
from jobctl.core.plans import Binding
from jobctl.core.profiles import diurnal_profile, steady_profile
from jobctl.core.service import Exponential, Law, law_of
from jobctl.core.slo import DEFAULT_OBJECTIVE
from jobctl.errors import InvalidValue

TABLE = "2:450000,3:1350000,5:2250000,3:1000000,5:1000000"
SCHEMA = json.loads((files("jobctl") / "schemas" / "audit.json").read_text())


def make_demand(service: Law | float = 1.0, **changes: Any) -> Demand:
    """Replicas of 25 slots, exponential service of that mean, a steady load of a volume that does not matter."""
    law = Exponential(service) if isinstance(service, float) else service
    demand = Demand(steady_profile(1.0), POISSON, (JobType("jobs", 1.0, law),), 25, (DEFAULT_OBJECTIVE,))
    return replace(demand, **changes)


def judge(demand: Demand, table: str = TABLE, *claims: str, **changes: Any) -> Audit:
    """By closed form, which is exact for exponential service."""
    return audit(demand, parse_rows(table), [parse_claim(text) for text in claims], budget_s=0, **changes)


def test_at_one_second_every_row_holds_and_the_table_asks_for_more_than_it_takes() -> None:
    audited = judge(make_demand(1.0))
    needed = [judged.needed for judged in audited.rows]

    assert audited.kept
    # 5.2, 15.6 and 26.0 erlangs on 25 slots a replica: one, one and two without the spare, which counts as one more.
    assert needed[:3] == [2, 2, 3]
    assert [judged.spare for judged in audited.rows[:3]] == [1, 2, 3]


def test_at_four_point_eight_seconds_the_rows_of_three_and_five_are_exactly_full() -> None:
    audited = judge(make_demand(4.8))
    first, third, fifth = audited.rows[:3]

    assert not audited.kept
    assert [judged.plan.feasible for judged in audited.rows] == [True, False, False, True, True]
    assert third.plan.all_running.utilisation == fifth.plan.all_running.utilisation == pytest.approx(1.0)
    assert third.plan.binding is fifth.plan.binding is Binding.SLOTS
    assert first.plan.all_running.utilisation == pytest.approx(0.5)


def test_no_service_time_is_too_long_where_a_timeout_ends_every_attempt() -> None:
    audited = judge(make_demand(1.0, job_timeout_s=5.0), "9:45000", "2x@45k")  # 2.6 erlangs at most

    assert audited.rows[0].longest_service_s == audited.claims[0].longest_service_s == math.inf
    document = to_document(audited)
    assert (document["rows"][0]["longest_service_s"], document["claims"][0]["longest_service_s"]) == (None, None)


def test_rows_share_the_budget() -> None:
    demand = make_demand(law_of(1.0, 0.5))
    both = audit(demand, parse_rows("2:450k,2:450k"), budget_s=0.2)
    alone = audit(demand, parse_rows("2:450k"), budget_s=0.1)

    assert alone.rows[0].plan.simulated_jobs > 0
    assert [judged.plan.simulated_jobs for judged in both.rows] == [alone.rows[0].plan.simulated_jobs] * 2


def test_a_row_without_a_spare_holds_unless_the_spare_binds() -> None:
    (judged,) = judge(make_demand(4.8), "2:450000").rows
    (held,) = judge(make_demand(4.8), "2:450000", spare_binds=True).rows

    # 25 erlangs: two replicas hold, one alone is full.
    assert judged.plan.feasible
    assert judged.plan.all_running.holds
    assert judged.holds_spare_gone is False
    assert judged.spare == 0
    assert not held.plan.feasible
    assert held.plan.binding is Binding.REDUNDANCY


def test_a_row_of_the_spare_alone_does_not_hold_without_it() -> None:
    (judged,) = judge(make_demand(1.0), "1:450000").rows

    assert judged.plan.feasible
    assert judged.holds_spare_gone is False
    assert judged.longest_service_spare_gone_s is None


def test_a_row_holds_up_to_its_longest_service_time_and_no_further() -> None:
    (judged,) = judge(make_demand(1.0), "2:450000").rows
    longest_s = judged.longest_service_s
    assert longest_s is not None

    # It is known to a thousandth.
    (below,) = judge(make_demand(longest_s), "2:450000").rows
    (above,) = judge(make_demand(longest_s * 1.002), "2:450000").rows

    assert below.plan.all_running.holds
    assert not above.plan.all_running.holds
    assert judged.longest_service_spare_gone_s == judge(make_demand(1.0), "1:450000").rows[0].longest_service_s


@pytest.mark.parametrize(
    ("claim", "headroom_x", "longest_s"),
    [
        ("33x@135000", 32.0, 50 / 33 / (135_000 / 86_400)),  # 50 slots full at 50/S jobs/s: S = 50/(33 x 1.5625)
        ("10x@450000", 9.6, 50 / 10 / (450_000 / 86_400)),
        ("9.6x@450000", 9.6, 1.0),
    ],
)
def test_a_claim_is_held_against_the_rate_at_which_the_first_row_is_full(
    claim: str, headroom_x: float, longest_s: float
) -> None:
    (judged,) = judge(make_demand(1.0), TABLE, claim).claims

    assert judged.replicas == 2
    assert judged.headroom_x == pytest.approx(headroom_x)
    assert judged.longest_service_s == pytest.approx(longest_s)
    assert judged.is_true == (judged.longest_service_s >= 1.0 - 1e-9)


def test_claims_do_not_break_an_audit() -> None:
    assert judge(make_demand(1.0), "2:450000", "33x@135000").kept


def test_a_claim_at_a_peak_is_about_the_peak() -> None:
    (steady,) = judge(make_demand(1.0), "2:450k", "5x@450k").claims
    (daily,) = judge(make_demand(1.0, profile=diurnal_profile(1.0, 2.0)), "2:450k", "5x@450k").claims

    assert daily.headroom_x == pytest.approx(steady.headroom_x / 2, rel=1e-3)
    assert steady.is_true
    assert not daily.is_true


def test_no_service_time_makes_a_claim_true_that_the_upstream_stops() -> None:
    demand = make_demand(1.0, upstream=Upstream(rpm=600))  # ten a second, at whatever service time
    (judged,) = judge(demand, "2:450k", "10x@450k").claims

    assert judged.headroom_x == pytest.approx(600 / 60 / (450_000 / 86_400))
    assert judged.longest_service_s is None


def test_a_row_that_the_upstream_stops_needs_a_number_that_does_not_exist() -> None:
    (judged,) = judge(make_demand(1.0, upstream=Upstream(rpm=300)), "2:450k").rows

    assert not judged.plan.feasible
    assert judged.plan.binding is Binding.UPSTREAM
    assert judged.needed is None
    assert judged.spare is None
    assert judged.longest_service_s is None


def test_the_volumes_of_the_table_replace_that_of_the_demand() -> None:
    one = judge(make_demand(1.0, profile=steady_profile(1.0)), "2:450k")
    other = judge(make_demand(1.0, profile=steady_profile(77.0)), "2:450k")

    assert one.rows[0].plan.limits.arrival_rate_per_s == pytest.approx(450_000 / 86_400)
    assert one.rows[0].plan.limits.arrival_rate_per_s == pytest.approx(other.rows[0].plan.limits.arrival_rate_per_s)


def test_simulation_confirms_what_the_closed_form_says_of_a_clear_case() -> None:
    demand = make_demand(law_of(1.0, 4.0))
    simulated = audit(demand, parse_rows("2:450k,3:2250k"), budget_s=1.0, seed=3)

    assert [judged.plan.feasible for judged in simulated.rows] == [True, True]
    assert [judged.needed for judged in simulated.rows] == [2, 3]
    assert all(judged.plan.simulated_jobs > 0 for judged in simulated.rows)


ASSUMPTIONS = (Assumption("service-time", "1 s", "flag --service-time"),)


@pytest.mark.parametrize(
    ("demand", "table", "claims"),
    [
        (make_demand(1.0), TABLE, ("33x@135000", "10x@450000")),
        (make_demand(4.8), TABLE, ()),
        (make_demand(4.8, spare=0), "1:450k", ("1x@1",)),
        (make_demand(1.0, upstream=Upstream(rpm=300)), "2:450k", ("10x@450k",)),
        (make_demand(1.0, machine=Machine(cpu_per_job_s=0.1)), "2:450k", ("10x@450k",)),
        (make_demand(1.0, profile=diurnal_profile(1.0, 3.0)), "2:450k,9:4.5M", ("2x@450k",)),
    ],
)
def test_the_document_keeps_its_schema(demand: Demand, table: str, claims: tuple[str, ...]) -> None:
    document = to_document(judge(demand, table, *claims), ASSUMPTIONS)

    Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(document, allow_nan=False)))
    assert [row["replicas"] for row in document["rows"]] == [row.replicas for row in parse_rows(table)]


def test_what_has_no_finite_value_is_null_in_the_document() -> None:
    document = to_document(judge(make_demand(4.8), "3:1350000"))
    (row,) = document["rows"]

    assert row["wait"] == {"p_wait": 1.0, "mean": None, "p50": None, "p95": None, "p99": None}
    assert (row["holds"], row["holds_with_spare_gone"], row["spare_there"], row["needed"]) == (False, False, -1, 5)


def test_a_table_is_read_with_its_short_numbers_and_in_its_order() -> None:
    assert parse_rows(" 2:450k, 3 : 1.35M ,5:2250000,") == (
        Row(2, 450_000.0),
        Row(3, 1_350_000.0),
        Row(5, 2_250_000.0),
    )


@given(st.lists(st.tuples(st.integers(1, 1_000_000), st.integers(1, 10**9)), min_size=1, max_size=5))
def test_every_table_that_means_something_is_read(rows: list[tuple[int, int]]) -> None:
    text = ",".join(f"{replicas}:{volume}" for replicas, volume in rows)

    assert parse_rows(text) == tuple(Row(replicas, float(volume)) for replicas, volume in rows)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "names no row"),
        (" , ", "names no row"),
        ("2", "row '2' has no colon"),
        ("2:450k,3", "row '3' has no colon"),
        ("0:450k", "row '0:450k': 0 is out of range"),
        ("-1:450k", "row '-1:450k': -1 is out of range"),
        ("1.5:450k", "row '1.5:450k': '1.5' is not a whole number"),
        ("2:lots", "row '2:lots': 'lots' is not a number"),
        ("2:0", "row '2:0': must be above 0, got '0'"),
        ("2:nan", "row '2:nan': 'nan' is not a number"),
        ("2:1e10", "row '2:1e10': '1e10' jobs a day are out of range"),
        ("2:0.5", "row '2:0.5': '0.5' jobs a day are out of range"),
        ("2:450k:7", "row '2:450k:7': '450k:7' is not a number"),
    ],
)
def test_a_row_that_means_nothing_is_named_with_the_remedy(text: str, problem: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        parse_rows(text)

    assert refused.value.problem == problem
    assert refused.value.remedy == "write REPLICAS:JOBS_PER_DAY, commas between, such as 2:450k,3:1.35M"


@pytest.mark.parametrize("text", ["33x@135000", "33X@135k", " 33 x @ 135000 "])
def test_a_claim_is_read(text: str) -> None:
    assert parse_claim(text) == Claim(33.0, 135_000.0)


@given(st.floats(0.01, 1e6), st.floats(1, 1e9))
def test_a_claim_is_written_so_that_it_reads_the_same(factor: float, volume: float) -> None:
    claim = Claim(float(f"{factor:.6g}"), float(f"{volume:.6g}"))

    assert parse_claim(str(claim)) == claim


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("33", "'33' is no claim"),
        ("33@135000", "'33@135000' is no claim"),
        ("x@135000", "'x@135000' is no claim"),
        ("-3x@135000", "'-3x@135000': must be above 0, got '-3'"),
        ("33x@none", "'33x@none': 'none' is not a number"),
        ("nanx@1", "'nanx@1': 'nan' is not a finite number"),
    ],
)
def test_a_claim_that_means_nothing_is_named(text: str, problem: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        parse_claim(text)

    assert refused.value.problem == problem
    assert refused.value.remedy == "write TIMESx@JOBS_PER_DAY, such as 33x@135000"


@settings(max_examples=30, deadline=None)
@given(replicas=st.integers(1, 30), per_day=st.floats(1e4, 1e7), service_s=st.floats(0.1, 20))
def test_verdict_spare_and_longest_service_never_contradict_each_other(
    replicas: int, per_day: float, service_s: float
) -> None:
    (judged,) = judge(make_demand(service_s), f"{replicas}:{per_day:.0f}").rows
    assert judged.spare is not None

    assert judged.plan.feasible == (judged.spare >= 0)
    assert judged.holds_spare_gone == (judged.spare >= 1 and replicas > 1)
    longest_s = judged.longest_service_s or 0.0
    if not math.isclose(longest_s, service_s, rel_tol=2e-3):
        assert judged.plan.feasible == (service_s <= longest_s)

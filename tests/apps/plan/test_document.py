from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from jobctl.apps.plan.document import SCHEMA, error_band, to_document
from jobctl.core.arrivals import POISSON, parse_arrivals
from jobctl.core.demand import Database, Demand, Hold, JobType, Machine, Retries, Upstream
from jobctl.core.plans import Binding, Plan, Waits
from jobctl.core.prices import Prices
from jobctl.core.profiles import Spike
from jobctl.core.service import Constant, Exponential
from jobctl.core.slo import Cover, Drain, Objective, Window
from jobctl.core.traces import Trace
from support.plans import ASSUMPTIONS, DAY_S, make_demand, make_fleet, make_plan, make_plan_on_the_edge, make_profile

SCHEMA_DOCUMENT: dict[str, Any] = json.loads((files("jobctl") / "schemas" / "plan.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA_DOCUMENT)
#: What the first documents had; whoever reads these reads those of now.
FIRST_KEYS = {
    *("schema", "feasible", "replicas", "spare", "binding", "required", "arrival_rate_per_s"),
    *("peak_arrival_rate_per_s", "mean_service_s", "service_scv", "concurrency", "slo", "slo_holds"),
    *("offered_load_erlangs", "slots", "utilisation", "headroom", "predicted", "with_spare_gone", "table"),
}
ROW_KEYS = {
    *("replicas", "holds", "stable", "utilisation", "headroom_x", "ceiling_per_s", "wait", "windows"),
    *("backlog_max", "drain_s", "burst_clear_s", "interval", "cost", "slots", "headroom", "slo_holds"),
}


def written(plan: Plan, **given: Any) -> dict[str, Any]:
    """The document as it is read back from a file, which NaN and infinity cannot pass; valid."""
    document: dict[str, Any] = json.loads(json.dumps(to_document(plan, ASSUMPTIONS, **given), allow_nan=False))
    VALIDATOR.validate(document)
    return document


@st.composite
def demands(draw: st.DrawFn) -> Demand:
    promises = [
        Objective("wait", 0.95, draw(st.floats(1e-3, 100))),
        *draw(
            st.lists(st.sampled_from([Objective("wait", None, 5.0, Window.EVERY_HOUR), Drain(1000, 600.0), Cover(0.9)]))
        ),
    ]
    return make_demand(
        draw(st.floats(1e-6, 200)),
        draw(st.floats(1e-3, 20)),
        draw(st.floats(0, 8)),
        draw(st.sampled_from([1.0, 1.5, 2.0, 4.0])),
        spare=draw(st.integers(0, 3)),
        promises=tuple(promises),
        window=draw(st.sampled_from(Window)),
        arrivals=draw(st.sampled_from([POISSON, parse_arrivals("renewal:4"), parse_arrivals("batch:50")])),
        retries=Retries(draw(st.integers(1, 5)), draw(st.floats(0, 0.5)), draw(st.floats(0.1, 3))),
        job_timeout_s=draw(st.none() | st.floats(10, 1000)),
        upstream=Upstream(rpm=draw(st.none() | st.floats(1, 1e6)), burst=draw(st.integers(0, 10))),
        database=Database(
            draw(st.none() | st.integers(1, 1000)), draw(st.none() | st.integers(1, 40)), draw(st.sampled_from(Hold))
        ),
        machine=Machine(draw(st.none() | st.floats(1e-3, 0.5)), memory_bytes=draw(st.none() | st.floats(1e6, 1e9))),
        max_replicas=draw(st.none() | st.integers(1, 50)),
    )


@settings(max_examples=40)
@given(
    demands(),
    st.none() | st.integers(1, 300),
    st.sets(st.sampled_from([Binding.OBJECTIVE, Binding.REDUNDANCY])),
    st.booleans(),
)
def test_every_plan_is_valid_and_holds_no_endless_number(
    demand: Demand, replicas: int | None, required: set[Binding], simulated: bool
) -> None:
    written(make_plan(demand, replicas, simulated=simulated, required=frozenset(required | {Binding.SLOTS})))


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA_DOCUMENT)


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Every object that the schema describes."""
    for inner in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else []:
        yield from objects(inner)
    if isinstance(schema, dict) and schema.get("type") == "object":
        yield schema


def test_the_schema_lets_no_key_pass_that_it_does_not_require() -> None:
    described = list(objects(SCHEMA_DOCUMENT))
    assert len(described) > 10
    for schema in described:
        assert schema["additionalProperties"] is False
        assert schema["required"] == list(schema["properties"])


def test_the_keys_that_were_promised_first_are_still_there() -> None:
    document = written(make_plan(simulated=True))
    assert document.keys() >= FIRST_KEYS
    assert all(row.keys() >= ROW_KEYS for row in document["table"])


def test_the_worked_example_as_a_document() -> None:
    document = written(make_plan(make_demand(), 1, required=frozenset({Binding.SLOTS})))
    assert document["schema"] == SCHEMA == "jobctl.plan/1"
    assert (document["feasible"], document["replicas"], document["concurrency"]) == (True, 1, 25)
    assert document["arrival_rate_per_s"] == document["peak_arrival_rate_per_s"] == 2.5
    assert (document["offered_load_erlangs"], document["slots"]) == (20.0, 25)
    assert (document["utilisation"], document["headroom"]) == (0.8, pytest.approx(0.2))
    assert (document["headroom_x"], document["ceiling_per_s"]) == (1.25, 3.125)
    assert document["predicted"]["wait"] == {
        "p_wait": pytest.approx(0.2091, abs=5e-5),
        "mean": pytest.approx(0.335, abs=5e-4),
        "p50": 0.0,
        "p95": pytest.approx(2.29, abs=5e-3),
        "p99": pytest.approx(4.86, abs=5e-3),
    }
    assert document["predicted"]["method"] == "M/M/c"
    assert document["with_spare_gone"] is None
    assert document["holds"] is document["slo_holds"] is False
    assert document["slo"] == document["promises"][0] == "p95 wait <= 1 s"
    assert (document["arrivals"], document["shape"], document["period_s"]) == ("poisson", "steady", DAY_S)


def test_a_wait_without_end_is_null_and_never_zero() -> None:
    document = written(make_plan(make_demand(rate_per_s=3.75), 1))
    assert document["predicted"]["wait"] == {"p_wait": 1.0, "mean": None, "p50": None, "p95": None, "p99": None}
    assert (document["utilisation"], document["headroom"]) == (1.2, pytest.approx(-0.2))
    assert (document["stable"], document["feasible"], document["binding"]) == (False, False, "slots")
    assert document["backlog_growth_per_day"] == pytest.approx((3.75 - 25 / 8) * DAY_S)
    assert document["reason"]


def test_what_was_not_computed_is_null_and_never_zero() -> None:
    bare = make_plan(answers=make_plan().answers.__class__(None, None, None), max_sustainable_per_day=None)
    document = written(bare)
    for name in ("windows", "backlog_max", "drain_s", "burst_clear_s", "hours", "cost", "max_sustainable_per_day"):
        assert document[name] is None, name
    assert set(document["interval"].values()) == {None}
    assert set(document["answers"].values()) == {None}
    assert document["max_replicas_by"] == {"database": None, "platform": None}
    assert document["upstream_admits_per_s"] is None
    assert document["simulated_jobs"] == 0


def test_an_unknown_wait_is_null_and_a_wait_of_nothing_is_zero() -> None:
    fleet = replace(make_fleet(make_demand(), 1), wait=Waits(p_wait=0.0, mean_s=0.0))
    document = written(make_plan(all_running=fleet))
    assert document["predicted"]["wait"] == {"p_wait": 0.0, "mean": 0.0, "p50": None, "p95": None, "p99": None}


def test_the_figures_describe_all_that_run_and_the_rest_stands_beside_them() -> None:
    document = written(make_plan(make_demand(rate_per_s=5.125)))
    beside = document["with_spare_gone"]
    assert document["slots"] == 25 * document["replicas"]
    assert beside["replicas"] == document["replicas"] - 1
    assert beside["utilisation"] == pytest.approx(41.0 / beside["slots"])
    assert beside["holds"] is True
    assert document["one_fewer"]["replicas"] == beside["replicas"] - 1
    assert document["one_fewer"]["holds"] is False
    assert math.isclose(document["utilisation"], 41.0 / document["slots"])
    assert [row["replicas"] for row in document["table"]] == [1, 2, 3, 4, 5, 6]
    assert [row["holds_one_gone"] for row in document["table"]] == [False, False, True, True, True, True]


def test_each_reading_of_the_day_stands_under_its_name_with_its_interval() -> None:
    plan = make_plan(make_demand(peak_factor=2.0), 2, simulated=True)
    document = written(plan)
    windows = document["windows"]
    assert windows["whole_day"]["length_s"] == DAY_S
    assert windows["busiest_hour"]["length_s"] == 3600.0
    assert windows["worst_hour"]["p95"] == plan.all_running.readings[Window.EVERY_HOUR].waits.p95_s
    low, high = document["interval"]["wait_p95"]
    assert low < document["predicted"]["wait"]["p95"] < high
    assert [hour["start_s"] for hour in document["hours"]] == [3600.0 * hour for hour in range(24)]
    assert sum(hour["arrival_rate_per_s"] for hour in document["hours"]) / 24 == pytest.approx(2.5)


def test_retries_and_limits_are_told_per_new_job() -> None:
    document = written(
        make_plan(
            make_demand(
                retries=Retries(attempts=3, failure_rate=0.5),
                upstream=Upstream(rpm=1050),
                database=Database(max_clients=200, connections_per_replica=10, hold=Hold.JOB),
                max_replicas=42,
            )
        )
    )
    assert document["attempts_per_job"] == 1.75
    assert document["job_failure_rate"] == 0.125
    assert document["slot_seconds_per_job"] == 14.0
    assert document["upstream_admits_per_s"] == pytest.approx(10.0)
    assert document["max_replicas_by"] == {"database": 10, "platform": 42}
    assert (document["effective_slots_per_replica"], document["slots_capped_by"]) == (10, "database")


def test_a_mix_of_jobs_has_one_mean_and_its_parts() -> None:
    mix = (JobType("short", 0.75, Constant(2.0)), JobType("long", 0.25, Exponential(10.0)))
    document = written(make_plan(make_demand(job_types=mix)))
    assert document["mean_service_s"] == pytest.approx(4.0)
    assert document["service_scv"] == pytest.approx((0.75 * 4 + 0.25 * 200) / 16 - 1)
    assert [(part["name"], part["share"], part["mean_service_s"]) for part in document["job_types"]] == [
        ("short", 0.75, 2.0),
        ("long", 0.25, 10.0),
    ]


def test_the_service_times_of_a_trace_take_the_place_of_the_mix() -> None:
    trace = Trace("jobs.csv", array("d", [0.0, 10.0, 20.0]), array("d", [1.0, 2.0, 6.0]))
    document = written(make_plan(make_demand(trace=trace)))
    assert document["trace"] == "jobs.csv"
    assert document["mean_service_s"] == pytest.approx(3.0)


def test_a_cost_is_of_those_that_run_and_says_whose_prices_it_uses() -> None:
    demand = make_demand(machine=Machine(cpu_per_job_s=0.012, memory_bytes=1e9))
    prices = Prices(vcpu_minute_usd=0.5, gb_minute_usd=0.1, source="ours, 2026")
    document = written(make_plan(demand, 3), prices=prices)
    a_minute_usd = 2.5 * 0.012 * 0.5 + 3 * 0.1
    assert document["cost"]["per_month_usd"] == pytest.approx(a_minute_usd * 60 * 24 * 30)
    assert document["cost"]["per_million_jobs_usd"] == pytest.approx(a_minute_usd / 150 * 1e6)
    assert document["cost"]["price"] == {"vcpu_minute_usd": 0.5, "gb_minute_usd": 0.1}
    assert document["cost"]["source"] == "ours, 2026"
    costs = [row["cost"]["per_month_usd"] for row in document["table"]]
    assert costs == sorted(set(costs))


def test_an_answer_on_the_edge_names_both_numbers_and_claims_neither() -> None:
    document = written(make_plan_on_the_edge())
    assert document["edge"] == [document["replicas"], document["replicas"] + 1]
    assert document["holds"] is None


def test_a_spike_has_its_own_time_to_clear() -> None:
    demand = make_demand(profile=make_profile(spikes=[Spike(10_000, 43_200.0)]))
    assert written(make_plan(demand, 2, simulated=True))["burst_clear_s"] == pytest.approx(10_000 * 8 / 50)


def test_each_assumption_keeps_its_source() -> None:
    assert written(make_plan())["assumptions"][1] == {"name": "service-time", "value": "8 s", "source": "bench r.json"}


def test_the_error_band_says_exact_only_where_the_formula_is() -> None:
    def said(demand: Demand, replicas: int = 1, *, simulated: bool = False) -> str:
        plan = make_plan(demand, replicas, simulated=simulated)
        return error_band(plan, plan.all_running)

    assert said(make_demand()).startswith("exact")
    assert "10 %" in said(make_demand(scv=2.0))
    assert said(make_demand(3.75)).startswith("none")
    assert said(make_demand(), simulated=True) == "p95 in 2.11..2.47 s with 95 % confidence"
    assert not said(make_demand(retries=Retries(3, 0.01))).startswith("exact")
    assert not said(make_demand(peak_factor=1.1)).startswith("exact")


@pytest.mark.parametrize(
    "broken",
    [
        {"feasible": "no"},
        {"binding": "luck"},
        {"utilisation": -0.1},
        {"surprise": 1},
        {"edge": [3]},
        {"job_failure_rate": 1.5},
        {"hours": []},
        {"max_replicas_by": {"database": 3}},
    ],
    ids=str,
)
def test_the_schema_refuses_what_is_no_plan(broken: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid(to_document(make_plan()) | broken)

from __future__ import annotations

import json
import math
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from jobctl.apps.plan.document import SCHEMA, error_band, to_document
from jobctl.core.sizing import Binding, Demand, plan
from jobctl.core.slo import DEFAULT_OBJECTIVE

SCHEMA_DOCUMENT: dict[str, Any] = json.loads((files("jobctl") / "schemas" / "plan.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA_DOCUMENT)


def demand(load: float = 20.0, scv: float = 1.0, spare: int = 1) -> Demand:
    return Demand(load / 8.0, 8.0, scv, 25, DEFAULT_OBJECTIVE, spare)


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA_DOCUMENT)


@given(
    st.floats(1e-6, 5000),
    st.floats(0, 8),
    st.integers(0, 3),
    st.none() | st.integers(1, 300),
    st.sets(st.sampled_from([Binding.OBJECTIVE, Binding.REDUNDANCY])),
)
def test_every_plan_is_valid_and_holds_no_endless_number(
    load: float, scv: float, spare: int, replicas: int | None, required: set[Binding]
) -> None:
    document = to_document(plan(demand(load, scv, spare), replicas, required))
    VALIDATOR.validate(json.loads(json.dumps(document, allow_nan=False)))


def test_the_worked_example_as_a_document() -> None:
    document = to_document(plan(demand(), 1, set()))
    assert document["schema"] == SCHEMA == "jobctl.plan/1"
    assert (document["feasible"], document["replicas"], document["binding"]) == (True, 1, "slots")
    assert document["arrival_rate_per_s"] == document["peak_arrival_rate_per_s"] == 2.5
    assert (document["offered_load_erlangs"], document["slots"]) == (20.0, 25)
    assert (document["utilisation"], document["headroom"]) == (0.8, pytest.approx(0.2))
    assert document["predicted"]["wait"] == {
        "p_wait": pytest.approx(0.2091, abs=5e-5),
        "mean": pytest.approx(0.335, abs=5e-4),
        "p50": 0.0,
        "p95": pytest.approx(2.29, abs=5e-3),
        "p99": pytest.approx(4.86, abs=5e-3),
    }
    assert document["predicted"]["method"] == "M/M/c"
    assert document["with_spare_gone"] is None
    assert document["slo_holds"] is False


def test_a_wait_without_end_is_null_and_never_zero() -> None:
    document = to_document(plan(demand(load=30.0), 1))
    assert document["predicted"]["wait"] == {"p_wait": 1.0, "mean": None, "p50": None, "p95": None, "p99": None}
    assert (document["utilisation"], document["headroom"]) == (1.2, pytest.approx(-0.2))
    VALIDATOR.validate(document)


def test_the_figures_describe_all_that_run_and_the_rest_stands_beside_them() -> None:
    document = to_document(plan(demand(load=41.0)))
    beside = document["with_spare_gone"]
    assert document["slots"] == 25 * document["replicas"]
    assert beside["replicas"] == document["replicas"] - 1
    assert beside["utilisation"] == pytest.approx(41.0 / beside["slots"])
    assert beside["slo_holds"] is True
    assert math.isclose(document["utilisation"], 41.0 / document["slots"])


def test_the_error_band_says_exact_only_where_the_formula_is() -> None:
    exact, approximate, none = plan(demand()), plan(demand(scv=2.0)), plan(demand(30.0), 1)
    assert error_band(exact.all_running, 1.0).startswith("exact")
    assert "10 %" in error_band(approximate.all_running, 2.0)
    assert error_band(none.all_running, 1.0).startswith("none")


@pytest.mark.parametrize("broken", [{"feasible": None}, {"binding": "luck"}, {"utilisation": -0.1}, {"surprise": 1}])
def test_the_schema_refuses_what_is_no_plan(broken: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid(to_document(plan(demand())) | broken)

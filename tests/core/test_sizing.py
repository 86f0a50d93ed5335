from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.queueing import predict_wait
from jobctl.core.sizing import MAX_SLOTS, bisected, replicas_needed
from jobctl.core.slo import DEFAULT_OBJECTIVE, Objective


def needed(rate_per_s: float, service_s: float, scv: float = 1.0, concurrency: int = 25) -> int | None:
    return replicas_needed(
        arrival_rate_per_s=rate_per_s,
        mean_service_s=service_s,
        service_scv=scv,
        concurrency=concurrency,
        objective=DEFAULT_OBJECTIVE,
    )


@pytest.mark.parametrize(
    ("rate_per_s", "service_s", "expected"),
    [
        (2.5, 8.0, 2),  # one replica of the worked example has a p95 of 2.29 s
        (450_000 / 86_400, 4.8, 2),  # 25 erlangs fill one replica exactly
        (450_000 / 86_400, 1.0, 1),
        (0.001, 1.0, 1),
    ],
)
def test_the_fewest_replicas_of_a_steady_load(rate_per_s: float, service_s: float, expected: int) -> None:
    assert needed(rate_per_s, service_s) == expected


def test_no_fleet_carries_a_load_that_was_meant_in_another_unit() -> None:
    assert needed(1e9, 8.0) is None
    assert needed(MAX_SLOTS - 1e-6, 1.0, concurrency=MAX_SLOTS + 1) is None


def test_a_mean_may_be_promised_as_well() -> None:
    assert (
        replicas_needed(
            arrival_rate_per_s=2.5,
            mean_service_s=8.0,
            service_scv=1.0,
            concurrency=25,
            objective=Objective("wait", None, 0.34),
        )
        == 1
    )


@given(st.floats(0.01, 1e4), st.floats(0.01, 100), st.floats(0, 9), st.integers(1, 500))
def test_the_answer_holds_and_one_fewer_does_not(
    rate_per_s: float, service_s: float, scv: float, concurrency: int
) -> None:
    replicas = needed(rate_per_s, service_s, scv, concurrency)
    assert replicas is not None

    def p95_s(number: int) -> float:
        if number == 0:
            return math.inf
        return predict_wait(
            arrival_rate_per_s=rate_per_s, mean_service_s=service_s, slots=number * concurrency, service_scv=scv
        ).quantile_s(0.95)

    assert p95_s(replicas) <= 1.0 < p95_s(replicas - 1)


@given(st.integers(0, 1000), st.integers(1, 1000))
def test_bisecting_finds_the_first_that_holds(low: int, width: int) -> None:
    first = low + 1 + width // 2
    assert bisected(lambda number: number >= first, low, max(first, low + width)) == first

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.queueing import (
    WaitPrediction,
    erlang_b,
    erlang_c,
    halfin_whitt,
    has_steady_state,
    offered_load_erlangs,
    predict_wait,
)


def predict(slots: int, load: float, arrival_scv: float = 1.0, service_scv: float = 1.0) -> WaitPrediction:
    return predict_wait(
        arrival_rate_per_s=load, mean_service_s=1.0, slots=slots, arrival_scv=arrival_scv, service_scv=service_scv
    )


@given(st.integers(1, 200), st.floats(0.01, 0.98), st.floats(1.0001, 1.02))
def test_the_probability_to_wait_rises_with_the_load(slots: int, utilisation: float, factor: float) -> None:
    assert erlang_c(slots, slots * utilisation) <= erlang_c(slots, slots * utilisation * factor)


@given(st.integers(1, 300), st.floats(0.05, 0.999), st.floats(0, 10))
def test_one_slot_more_never_waits_longer(slots: int, utilisation: float, service_scv: float) -> None:
    load = slots * utilisation
    fewer, more = predict(slots, load, service_scv=service_scv), predict(slots + 1, load, service_scv=service_scv)
    assert more.p_wait <= fewer.p_wait
    assert more.mean_s <= fewer.mean_s
    assert more.quantile_s(0.95) <= fewer.quantile_s(0.95) + 1e-12


@given(st.integers(1, 300), st.floats(0.05, 0.999), st.floats(0, 10), st.floats(0, 10))
def test_steadier_service_never_waits_longer(slots: int, utilisation: float, one: float, other: float) -> None:
    steadier, burstier = sorted((one, other))
    load = slots * utilisation
    assert (
        predict(slots, load, service_scv=steadier).mean_s <= predict(slots, load, service_scv=burstier).mean_s + 1e-12
    )


@given(st.integers(2, 300), st.floats(0.05, 0.999))
def test_constant_service_waits_between_half_and_all_of_exponential_service(slots: int, utilisation: float) -> None:
    exponential, constant = predict(slots, slots * utilisation), predict(slots, slots * utilisation, service_scv=0.0)
    assert 0.5 * exponential.mean_s <= constant.mean_s <= exponential.mean_s


@pytest.mark.parametrize(
    ("slots", "utilisation", "ratio"),
    [
        # (1 + (1-r)(c-1)(sqrt(4+5c)-2)/(16 r c)) / 2
        (1, 0.9, 0.5),
        (2, 0.8, (1 + 0.2 * 1 * (math.sqrt(14) - 2) / (16 * 0.8 * 2)) / 2),  # 0.50680
        (10, 0.9, (1 + 0.1 * 9 * (math.sqrt(54) - 2) / (16 * 0.9 * 10)) / 2),  # 0.51671
    ],
)
def test_constant_service_gains_what_cosmetatos_says(slots: int, utilisation: float, ratio: float) -> None:
    load = slots * utilisation
    assert predict(slots, load, service_scv=0.0).mean_s / predict(slots, load).mean_s == pytest.approx(ratio)


def test_service_of_any_variability_is_bounded_by_the_allen_cunneen_factor() -> None:
    # The factor of one slot, (1 + scv) / 2, is the largest that Kimura's interpolation reaches above an scv of 1.
    for service_scv in (1.5, 4.0, 1e6, 1e300):
        ratio = predict(25, 22.5, service_scv=service_scv).mean_s / predict(25, 22.5).mean_s
        assert 1 < ratio <= (1 + service_scv) / 2


def test_arrivals_other_than_poisson_take_the_allen_cunneen_form() -> None:
    wait = predict(25, 20.0, arrival_scv=0.0, service_scv=1.0)
    assert wait.mean_s == pytest.approx(predict(25, 20.0).mean_s / 2)
    assert wait.method == "GI/G/c, Allen-Cunneen"
    assert predict(25, 20.0, arrival_scv=0.0, service_scv=0.0).mean_s == 0


@pytest.mark.parametrize("load", [25.0, 26.0, 1e300, 450_000 / 86_400 * 4.8])
def test_slots_that_are_full_have_no_steady_state(load: float) -> None:
    # 450,000 a day x 4.8 s is 25 erlangs; the last rounds to 24.999999999999996.
    wait = predict(25, load)
    assert not has_steady_state(25, load)
    assert (wait.p_wait, wait.mean_s, wait.quantile_s(0.5), wait.exceeding(1e9)) == (1.0, math.inf, math.inf, 1.0)
    assert erlang_c(25, load) == 1.0


@pytest.mark.parametrize("load", [0.0, 1e-320, 1e-9])
@pytest.mark.parametrize("service_scv", [0.0, 1.0, 4.0])
def test_next_to_no_load_waits_next_to_nothing(load: float, service_scv: float) -> None:
    wait = predict(25, load, service_scv=service_scv)
    assert 0 <= wait.p_wait < 1e-9
    assert 0 <= wait.mean_s < 1e-9
    assert wait.quantile_s(0.99) == 0
    assert wait.exceeding(1.0) < 1e-9


def test_no_slots_block_everything() -> None:
    assert erlang_b(0, 0.0) == 1.0
    assert erlang_b(0, 3.0) == 1.0
    assert erlang_b(5, 0.0) == 0.0


def test_blocking_too_rare_for_a_float_is_zero() -> None:
    assert erlang_b(100_000, 10.0) == 0.0


@given(st.integers(1, 100), st.floats(0.3, 0.99), st.floats(0.5, 0.999))
def test_the_quantile_inverts_the_tail(slots: int, utilisation: float, q: float) -> None:
    wait = predict(slots, slots * utilisation)
    quantile_s = wait.quantile_s(q)
    if quantile_s > 0:
        assert wait.exceeding(quantile_s) == pytest.approx(1 - q)
    else:
        assert wait.p_wait <= 1 - q


def test_square_root_staffing_tells_the_probability_to_wait_of_many_slots() -> None:
    load = 1e6
    slots = round(load + math.sqrt(load))
    assert halfin_whitt(slots, load) == pytest.approx(0.22336, abs=1e-5)  # Halfin & Whitt at a safety of 1
    assert halfin_whitt(slots, load) == pytest.approx(erlang_c(slots, load), rel=1e-3)


@given(st.integers(10, 500), st.floats(0.7, 0.99))
def test_square_root_staffing_is_near_erlang_c_for_busy_slots(slots: int, utilisation: float) -> None:
    load = slots * utilisation
    assert halfin_whitt(slots, load) == pytest.approx(erlang_c(slots, load), abs=0.06)


@pytest.mark.parametrize(("load", "probability"), [(0.0, 0.0), (25.0, 1.0), (30.0, 1.0)])
def test_square_root_staffing_at_the_ends(load: float, probability: float) -> None:
    assert halfin_whitt(25, load) == probability


def test_the_offered_load_is_rate_times_service_time() -> None:
    assert offered_load_erlangs(2.5, 8.0) == 20.0

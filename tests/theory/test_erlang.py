"""Exact rational arithmetic as the oracle of the M/M/c formulas."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.queueing import erlang_b, erlang_c, predict_wait


def exact_erlang_b(slots: int, load: Fraction) -> Fraction:
    """The blocked share of M/M/c/c, from its stationary law: pi(k) is proportional to a^k / k!."""
    weights = [Fraction(1)]
    for busy in range(1, slots + 1):
        weights.append(weights[-1] * load / busy)
    return weights[-1] / sum(weights)


def exact_wait(slots: int, load: Fraction, mean_service: Fraction) -> tuple[Fraction, Fraction]:
    """P(wait) and the mean wait of M/M/c, from the birth-death chain: beyond c the weights fall by r = a/c each."""
    weights = [Fraction(1)]
    for busy in range(1, slots + 1):
        weights.append(weights[-1] * load / busy)
    ratio = load / slots
    all_busy = weights[-1] / (1 - ratio)
    total = sum(weights[:-1]) + all_busy
    queue = weights[-1] * ratio / (1 - ratio) ** 2 / total
    return all_busy / total, queue / (load / mean_service)


SLOTS = st.integers(1, 120)
UTILISATION = st.fractions(Fraction(1, 50), Fraction(99, 100), max_denominator=200)


@given(SLOTS, st.fractions(Fraction(1, 10), Fraction(200), max_denominator=50))
def test_erlang_b_equals_the_exact_blocking_probability(slots: int, load: Fraction) -> None:
    assert erlang_b(slots, float(load)) == pytest.approx(float(exact_erlang_b(slots, load)), rel=1e-12)


@given(SLOTS, UTILISATION)
def test_erlang_c_equals_the_exact_birth_death_chain(slots: int, utilisation: Fraction) -> None:
    p_wait, _ = exact_wait(slots, utilisation * slots, Fraction(1))
    assert erlang_c(slots, float(utilisation * slots)) == pytest.approx(float(p_wait), rel=1e-11)


@given(SLOTS, UTILISATION, st.fractions(Fraction(1, 100), Fraction(100), max_denominator=100))
def test_the_mean_wait_equals_the_exact_birth_death_chain(
    slots: int, utilisation: Fraction, mean_service: Fraction
) -> None:
    load = utilisation * slots
    _, mean_wait = exact_wait(slots, load, mean_service)
    predicted = predict_wait(
        arrival_rate_per_s=float(load / mean_service), mean_service_s=float(mean_service), slots=slots
    )
    assert predicted.mean_s == pytest.approx(float(mean_wait), rel=1e-10)


@pytest.mark.parametrize("missing", [Fraction(1, 10**3), Fraction(1, 10**6), Fraction(1, 10**9)])
def test_it_stays_exact_where_the_slots_are_nearly_full(missing: Fraction) -> None:
    load = 25 * (1 - missing)
    p_wait, _ = exact_wait(25, Fraction(float(load)), Fraction(1))
    assert erlang_c(25, float(load)) == pytest.approx(float(p_wait), rel=1e-13)
    assert erlang_c(25, float(load)) < 1


@pytest.mark.parametrize(
    ("slots", "load"), [(1_000_000, 999_000), (1_000_000, 990_000), (20_000, 19_999), (5_000, 6_000)]
)
def test_a_million_slots_lose_no_digits(slots: int, load: int) -> None:
    # The recursion 1/B(k) = 1 + k/(a B(k-1)) in 40 digits, as sum of falling factorials over powers.
    with localcontext() as context:
        context.prec = 40
        term = total = Decimal(1)
        for busy in range(slots, 0, -1):
            term = term * busy / load
            total += term
            if busy < load and term < total * Decimal("1e-30"):
                break
        exact = float(1 / total)
    assert erlang_b(slots, float(load)) == pytest.approx(exact, rel=1e-11)


def test_the_textbook_values_of_erlang_b() -> None:
    # Tables of Erlang B: 10 erlangs on 15 trunks block 3.650 %, 5 on 10 block 1.838 %.
    assert erlang_b(15, 10) == pytest.approx(0.03650, abs=5e-6)
    assert erlang_b(10, 5) == pytest.approx(0.01838, abs=5e-6)


@given(st.floats(0.01, 0.99), st.floats(0.01, 100))
def test_one_slot_is_the_closed_form_of_mm1(utilisation: float, mean_service_s: float) -> None:
    # M/M/1: P(wait) = r, W = r S / (1 - r), and the q-quantile is S / (1 - r) ln(r / (1 - q)).
    wait = predict_wait(arrival_rate_per_s=utilisation / mean_service_s, mean_service_s=mean_service_s, slots=1)
    assert wait.p_wait == pytest.approx(utilisation)
    assert wait.mean_s == pytest.approx(utilisation * mean_service_s / (1 - utilisation), rel=1e-9)
    p95 = max(0.0, mean_service_s / (1 - utilisation) * math.log(utilisation / 0.05))
    assert wait.quantile_s(0.95) == pytest.approx(p95, rel=1e-9, abs=1e-9)


@given(st.floats(0.01, 0.99), st.floats(0, 50))
def test_one_slot_is_the_pollaczek_khinchine_formula_for_every_scv(utilisation: float, scv: float) -> None:
    wait = predict_wait(arrival_rate_per_s=utilisation, mean_service_s=1.0, slots=1, service_scv=scv)
    assert wait.mean_s == pytest.approx(utilisation * (1 + scv) / 2 / (1 - utilisation), rel=1e-9)


def test_the_worked_example() -> None:
    # 2.5/s x 8 s = 20 erlangs; on 25 slots, twice that on 50, and 23.75 erlangs on 25.
    wait = predict_wait(arrival_rate_per_s=2.5, mean_service_s=8, slots=25)
    assert (wait.p_wait, wait.mean_s) == (pytest.approx(0.2091, abs=5e-5), pytest.approx(0.335, abs=5e-4))
    assert wait.quantile_s(0.95) == pytest.approx(2.29, abs=5e-3)
    assert wait.quantile_s(0.99) == pytest.approx(4.86, abs=5e-3)
    shared = predict_wait(arrival_rate_per_s=5, mean_service_s=8, slots=50)
    assert shared.mean_s == pytest.approx(0.070, abs=5e-4)
    fuller = predict_wait(arrival_rate_per_s=23.75 / 8, mean_service_s=8, slots=25)
    assert fuller.mean_s == pytest.approx(4.66, abs=5e-3)

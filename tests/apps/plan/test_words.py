from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.apps.plan.words import clock_time, number, probability, roughly, seconds, share, three_digits, usd, within
from jobctl.core.plans import Band


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (seconds(None), "-"),
        (seconds(math.inf), "endless"),
        (seconds(0.0), "0 s"),
        (seconds(1e-6), "<0.001 s"),
        (seconds(0.0335), "0.0335 s"),
        (seconds(2.0), "2.00 s"),
        (seconds(999.4), "999 s"),
        (seconds(3600.0), "60 min"),
        (probability(None), "-"),
        (probability(0.0), "0"),
        (probability(1e-9), "<0.0001"),
        (probability(0.2091), "0.2091"),
        (three_digits(1.25), "1.25"),
        (three_digits(312_500.0), "312,500"),
        (roughly(704_407.0), "704,000"),
        (roughly(12.34), "12.3"),
        (clock_time(45_000.0), "12:30"),
        (clock_time(86_400.0), "24:00"),
    ],
)
def test_figures_read_as_a_person_writes_them(shown: str, expected: str) -> None:
    assert shown == expected


@pytest.mark.parametrize(
    ("band", "expected"),
    [
        (None, ""),
        (Band(2.0, 2.0), ""),
        (Band(1e-6, 2e-6), ""),
        (Band(1.0, math.inf), ""),
        (Band(0.0, 0.313), "0..0.313"),
        (Band(1e-6, 0.313), "<0.001..0.313"),
        (Band(2.11, 2.47), "2.11..2.47"),
        (Band(900.0, 7200.0), "15 min..2 h"),
        (Band(3600.0, 3720.0), "60..62 min"),
        (Band(992.0, 1120.0), "16.5..18.7 min"),
    ],
)
def test_an_interval_shares_the_unit_of_its_figure(band: Band | None, expected: str) -> None:
    assert within(band) == expected


@given(st.floats(0, 1e9))
def test_no_figure_has_an_exponent_above_a_thousand(value: float) -> None:
    shown = " ".join([seconds(value), share(value), number(value), three_digits(value), usd(value), clock_time(value)])
    assert "e+" not in shown

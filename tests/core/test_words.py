from __future__ import annotations

import pytest

from jobctl.core.words import count_of, number, share, usd


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (share(0.8), "80.0%"),
        (share(0.9996), "99.96%"),
        (share(1.0), "100.0%"),
        (share(1 - 1e-12), "100.0%"),
        (share(0.0002), "0.02%"),
        (share(1e-6), "<0.01%"),
        (number(5.208333), "5.208"),
        (number(450_000.0), "450,000"),
        (usd(3.0344), "$3.03"),
        (usd(1234.5), "$1,234"),
        (count_of(1, "replica"), "1 replica"),
        (count_of(0, "job"), "0 jobs"),
        (count_of(1200, "job"), "1,200 jobs"),
    ],
)
def test_figures_read_as_a_person_writes_them(shown: str, expected: str) -> None:
    assert shown == expected

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.pooling import pool_size


@pytest.mark.parametrize(
    ("slots", "share", "connections"),
    [
        (25, 0.05, 4),  # ceil(1.25) + 2
        (25, 0.01, 3),
        (100, 0.05, 7),
        (250, 0.02, 7),
        (25, 0.0, 2),
        (1, 0.05, 1),  # a slot holds at most one
        (25, 1.0, 25),
    ],
)
def test_a_pool_has_the_mean_in_use_rounded_up_and_two_more(slots: int, share: float, connections: int) -> None:
    assert pool_size(slots, share) == connections


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_a_pool_is_never_smaller_than_the_mean_in_use_nor_larger_than_the_slots(slots: int, share: float) -> None:
    assert min(slots, slots * share) <= pool_size(slots, share) <= slots

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.pooling import most_replicas, pool_size
from jobctl.core.tiers import parse_tier


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


@given(st.integers(0, 20_000), st.integers(1, 300))
def test_two_generations_of_the_most_replicas_fit_the_pooler_and_of_one_more_do_not(clients: int, pool: int) -> None:
    replicas = most_replicas(clients, pool)

    assert 2 * replicas * pool <= clients < 2 * (replicas + 1) * pool


def test_supabases_smallest_pooler_carries_twenty_five_replicas_of_twenty_five_slots() -> None:
    assert most_replicas(parse_tier("micro").most, pool_size(25)) == 25

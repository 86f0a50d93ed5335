from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.tiers import SUPABASE, parse_tier
from jobctl.errors import InvalidValue


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("supabase-small", 400),
        ("small", 400),
        (" Small ", 400),
        ("small:pooler", 400),
        ("small:direct", 90),
        ("SUPABASE-16XL:direct", 500),
        ("nano", 200),
        ("2xl", 1_500),
    ],
)
def test_a_size_takes_the_poolers_clients_unless_asked_for_direct_connections(text: str, most: int) -> None:
    assert parse_tier(text).most == most


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tiny", "'tiny' is no database size"),
        ("", "'' is no database size"),
        ("small:fast", "'small:fast' names no way to connect"),
        ("small:", "'small:' names no way to connect"),
    ],
)
def test_an_unknown_size_or_way_is_named(text: str, problem: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        parse_tier(text)

    assert refused.value.problem == problem


def test_the_remedy_lists_the_sizes() -> None:
    with pytest.raises(InvalidValue, match=r"nano, micro, small, medium, large, xl, 2xl, 4xl, 8xl, 12xl, 16xl$"):
        parse_tier("huge")


@given(st.sampled_from(sorted(SUPABASE)), st.sampled_from(["pooler", "direct"]))
def test_what_was_read_is_written_so_that_it_reads_the_same(name: str, way: str) -> None:
    clients = parse_tier(f"{name}:{way}")

    assert parse_tier(str(clients)) == clients


def test_a_larger_size_never_takes_fewer_connections() -> None:
    for smaller, larger in pairwise(SUPABASE.values()):
        assert smaller.direct <= larger.direct < larger.pooler
        assert smaller.pooler <= larger.pooler

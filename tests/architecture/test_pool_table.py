"""The table of pool sizes in the documents is what the formula gives."""

from __future__ import annotations

from pathlib import Path

from jobctl.core.pooling import most_replicas, pool_size
from jobctl.core.tiers import SUPABASE

PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "results-in-postgres.md"


def test_the_table_of_pool_sizes_is_what_the_formula_gives() -> None:
    small, large = pool_size(25), pool_size(100)
    head = f"| most workers of 25 slots (pool of {small}) | most workers of 100 slots (pool of {large}) |"
    rows = [
        f"| {name} | {clients:,} | {most_replicas(clients, small):,} | {most_replicas(clients, large):,} |"
        for name, clients in ((tier.name, tier.pooler) for tier in SUPABASE.values())
    ]
    page = PAGE.read_text(encoding="utf-8")

    assert head in page
    assert "\n".join(rows) in page

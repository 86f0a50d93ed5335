"""The table of pool sizes in the documents is what the formulas give."""

from __future__ import annotations

from pathlib import Path

from jobctl.core.capacity import limits_of
from jobctl.core.demand import Database
from jobctl.core.pooling import pool_size
from jobctl.core.tiers import SUPABASE
from support.plans import make_demand

PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "results-in-postgres.md"


def most_replicas(clients: int, pool: int) -> int:
    most = limits_of(make_demand(database=Database(clients, pool))).max_replicas_database
    assert most is not None
    return most


def test_the_table_of_pool_sizes_is_what_the_formulas_give() -> None:
    small, large = pool_size(25), pool_size(100)
    head = f"| most workers of 25 slots (pool of {small}) | most workers of 100 slots (pool of {large}) |"
    rows = [
        f"| {name} | {clients:,} | {most_replicas(clients, small):,} | {most_replicas(clients, large):,} |"
        for name, clients in ((tier.name, tier.pooler) for tier in SUPABASE.values())
    ]
    page = PAGE.read_text(encoding="utf-8")

    assert head in page
    assert "\n".join(rows) in page

"""Databases by the name of their size: how many connections Supabase's compute sizes take.

Two numbers belong to each. The *pooler's clients* are connections to port 6543, where each transaction borrows a server
process; workers write their results that way, so this number counts unless told otherwise. *Direct* connections, to
port 5432 of the database itself, are server processes of Postgres; Supabase's own services hold some of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from jobctl.errors import InvalidValue

__all__ = ["SUPABASE", "Clients", "Tier", "parse_tier"]


@dataclass(frozen=True, slots=True)
class Tier:
    """A compute size.

    Attributes:
        name: As Supabase writes it.
        direct: Connections to Postgres itself.
        pooler: Clients of the pooler in transaction mode.
    """

    name: str
    direct: int
    pooler: int


#: The sizes by their name in lower case, smallest first (Supabase, "How to change max database connections",
#: 2025-01-18; the page "Compute and Disk" of the same documentation gives the same figures).
SUPABASE: Final[Mapping[str, Tier]] = {
    tier.name.lower(): tier
    for tier in (
        Tier("Nano", 60, 200),
        Tier("Micro", 60, 200),
        Tier("Small", 90, 400),
        Tier("Medium", 120, 600),
        Tier("Large", 160, 800),
        Tier("XL", 240, 1_000),
        Tier("2XL", 380, 1_500),
        Tier("4XL", 480, 3_000),
        Tier("8XL", 490, 6_000),
        Tier("12XL", 500, 9_000),
        Tier("16XL", 500, 12_000),
    )
}
_PREFIX: Final = "supabase-"
_WAYS: Final = ("pooler", "direct")


@dataclass(frozen=True, slots=True)
class Clients:
    """The connections of a size by one of the two ways.

    Attributes:
        tier: The size.
        way: ``pooler`` or ``direct``.
    """

    tier: Tier
    way: str

    @property
    def most(self) -> int:
        """The most connections that it takes."""
        return self.tier.direct if self.way == "direct" else self.tier.pooler

    def __str__(self) -> str:
        return f"supabase-{self.tier.name.lower()}:{self.way}"


def parse_tier(text: str) -> Clients:
    """Read ``supabase-small``, ``small`` or ``small:direct``; without a way the pooler's clients count.

    Raises:
        InvalidValue: There is no such size or no such way.
    """
    name, colon, way = text.strip().lower().removeprefix(_PREFIX).partition(":")
    tier = SUPABASE.get(name.strip())
    if tier is None:
        raise InvalidValue(f"{text!r} is no database size", f"give one of Supabase's: {', '.join(SUPABASE)}")
    if colon and way.strip() not in _WAYS:
        raise InvalidValue(f"{text!r} names no way to connect", f"give {name.strip()}:pooler or {name.strip()}:direct")
    return Clients(tier, way.strip() or "pooler")

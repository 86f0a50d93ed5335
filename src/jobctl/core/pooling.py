"""How many database connections one replica needs.

A slot holds a connection only while it writes a job's result, never while it waits for the upstream. Of the S seconds
that a job takes, t_db are spent in the database, so of c slots, c t_db/S connections are in use on average (Little's
law); the two beyond that take up the variance. How many replicas a database carries is for :mod:`jobctl.core.capacity`.
"""

from __future__ import annotations

import math
from typing import Final

__all__ = ["DATABASE_SHARE", "pool_size"]

#: Connections beyond the mean that take up the variance.
_SPARE: Final = 2
#: The share of a job's time in the database where nobody measured it: 50 ms, a slow write, beside a job of 1 s.
DATABASE_SHARE: Final = 0.05


def pool_size(slots: int, database_share: float = DATABASE_SHARE) -> int:
    """Connections that one replica needs: ceil(slots x t_db/S) + 2, and never more than slots.

    Args:
        slots: Jobs in flight in the replica.
        database_share: t_db/S, the share of a job's time that it spends in the database, in 0..1.
    """
    return min(slots, math.ceil(slots * database_share) + _SPARE)

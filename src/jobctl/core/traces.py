"""Real arrivals, replayed. (contract; being written)"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

__all__ = ["Trace"]


@dataclass(frozen=True, slots=True)
class Trace:
    """Real arrivals, and how long each job took where that is known.

    Attributes:
        name: Where they come from.
        arrivals_s: Seconds after the first, ascending.
        services_s: Service time of each, seconds; None where the trace holds none.
    """

    name: str
    arrivals_s: array[float]
    services_s: array[float] | None = None

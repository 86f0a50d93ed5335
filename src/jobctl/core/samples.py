"""How many jobs tell what."""

from __future__ import annotations

import math
from typing import Final

__all__ = ["CONFIDENCE", "MIN_JOBS", "samples_needed"]

#: Each bound of an interval holds with this probability.
CONFIDENCE: Final = 0.95
#: Fewer window jobs than this tell nothing about a trend.
MIN_JOBS: Final = 20


def samples_needed(quantile: float) -> int:
    """The fewest values from which a quantile has an upper bound: the least n with q^n <= 1 - confidence."""
    return math.ceil(math.log(1 - CONFIDENCE) / math.log(quantile))

"""One arrival process of every kind, and how samples are compared with what theory says of them."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence

from jobctl.core.arrivals import parse_arrivals

ARRIVALS = tuple(map(parse_arrivals, ("poisson", "constant", "renewal:4", "renewal:0.5", "batch:50")))

#: Kolmogorov and Smirnov's statistic times the square root of n exceeds this once in 10,000 times.
_CRITICAL = 2.23


def follows(draws: Sequence[float], below: Callable[[float], float]) -> bool:
    """Whether draws follow a continuous distribution, by Kolmogorov's test; ``below`` is its distribution function."""
    n, shares = len(draws), [below(draw) for draw in sorted(draws)]
    distance = max(max((i + 1) / n - share, share - i / n) for i, share in enumerate(shares))
    return distance < _CRITICAL / math.sqrt(n)


def are_alike(some: Sequence[float], others: Sequence[float]) -> bool:
    """Whether two samples come from one distribution, by Smirnov's test."""
    first, second = sorted(some), sorted(others)
    n, m = len(first), len(second)
    distance = max(abs(bisect_right(first, x) / n - bisect_right(second, x) / m) for x in first + second)
    return distance < _CRITICAL * math.sqrt((n + m) / (n * m))

"""A law of durations from a histogram: counts between bounds, and the mean of all values.

What lies between two bounds is not known. Of all laws with these counts and this mean the one of greatest entropy is
taken (Jaynes 1957, "Information theory and statistical mechanics"): its density is ``exp(-t x)`` in each bucket, up to
a factor of the bucket's own, with one t for all. So an exponential law is met exactly and the mean always; any quantile
is at most off by the width of its bucket. In a bucket of width w the mean lies ``1/t - w/(exp(t w) - 1)`` above its
lower bound; in the last one, which has no upper bound, 1/t, and there t is above 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Final

from jobctl.core.service import Empirical
from jobctl.core.units import format_duration

__all__ = ["law_of_histogram", "resolution"]

#: Values that stand for the law.
_VALUES: Final = 4000
#: t is sought as a hyperbolic sine between these: up to a million per second, either way.
_LARGEST: Final = 15.0
_STEPS: Final = 100
#: Below this t w a bucket is filled evenly, and above its inverse at one end.
_EVEN: Final = 1e-8
_STEEP: Final = 700.0

#: Lower bound, upper bound and count.
_Bucket = tuple[float, float, float]


def law_of_histogram(cumulative: Mapping[float, float], mean_s: float) -> Empirical | None:
    """The law behind a histogram.

    Args:
        cumulative: How many values were at most each bound, seconds; the bound of all is infinite. Counts may be
            fractions, as an extrapolated increase is.
        mean_s: Mean of the values.

    Returns:
        None where there are no values.
    """
    buckets = [bucket for bucket in _buckets(cumulative) if bucket[2] > 0]
    total = math.fsum(count for _, _, count in buckets)
    if not buckets or not mean_s > 0:
        return None
    slope = _slope(buckets, mean_s * total)
    values: list[float] = []
    level = 0.0
    for low, high, count in buckets:
        first, level = len(values), level + count
        inside = round(level / total * _VALUES) - first
        values += (_inside(low, high, slope, (nth + 0.5) / inside) for nth in range(inside))
    scale = mean_s / (math.fsum(values) / len(values))  # what is lost by so few values, or by counts that contradict it
    return Empirical(tuple(value * scale for value in values))


def resolution(cumulative: Mapping[float, float]) -> str:
    """Between which bounds the median lies, in words; empty without values."""
    buckets = _buckets(cumulative)
    half = math.fsum(count for _, _, count in buckets) / 2
    level = 0.0
    for low, high, count in buckets:
        level += count
        if count and level >= half:
            at_least = format_duration(low)
            return f"above {at_least}" if high == math.inf else f"between {at_least} and {format_duration(high)}"
    return ""


def _buckets(cumulative: Mapping[float, float]) -> list[_Bucket]:
    """What lies between two bounds; counts that go down, as those of scrapes a moment apart may, are none."""
    bounds = [(0.0, 0.0), *sorted(cumulative.items())]
    return [(low, high, max(0.0, upto - before)) for (low, before), (high, upto) in pairwise(bounds)]


def _slope(buckets: list[_Bucket], sum_s: float) -> float:
    """The t by which the buckets' values have that sum, or come nearest to it."""

    def sum_at(slope: float) -> float:
        return math.fsum(count * (low + _mean_above(high - low, slope)) for low, high, count in buckets)

    is_open = any(high == math.inf for _, high, _ in buckets)
    return _falling_root(lambda scaled: sum_at(math.sinh(scaled)) - sum_s, 0.0 if is_open else -_LARGEST, _LARGEST)


def _falling_root(falls: Callable[[float], float], low: float, high: float) -> float:
    """The hyperbolic sine of where a falling function is 0, by bisection; of the nearer end where it never is."""
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if falls(middle) > 0 else (low, middle)
    return math.sinh((low + high) / 2)


def _mean_above(width_s: float, slope: float) -> float:
    """How far the mean of a bucket lies above its lower bound, seconds."""
    if width_s == math.inf:
        return 1 / slope
    steepness = slope * width_s
    if abs(steepness) < _EVEN:
        return width_s / 2
    if abs(steepness) > _STEEP:
        return 1 / slope if slope > 0 else width_s + 1 / slope
    return 1 / slope - width_s / math.expm1(steepness)


def _inside(low_s: float, high_s: float, slope: float, share: float) -> float:
    """The value below which that share of a bucket lies."""
    width_s = high_s - low_s
    if abs(slope * width_s) < _EVEN:
        return low_s + share * width_s
    if slope < 0:
        return high_s - (_inside(0.0, width_s, -slope, 1 - share))
    return low_s - math.log1p(share * math.expm1(-slope * width_s)) / slope

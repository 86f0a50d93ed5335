"""Percentiles that can be merged, and how sure one may be of them.

A :class:`Sample` keeps an HDR histogram (Tene's HdrHistogram, three significant digits from a microsecond to a day), so
two of them merge without loss and no percentile is ever averaged.

Intervals are distribution-free: the q-quantile lies between the order statistics whose ranks bound a binomial(n, q)
count (David & Nagaraja, "Order Statistics", 7.1), each bound one-sided at 95 %. An upper bound for q therefore needs
q^n <= 0.05: 5 values for the median, 59 for p95, 299 for p99. With fewer the quantile is None: too few samples.

Waits of neighbouring jobs resemble each other, so n jobs tell less than n independent values would. The ranks are
widened by the variance inflation of the exceedance indicator measured over ten consecutive batches, with Student's t
for so few (batch means, Law & Kelton, "Simulation Modeling and Analysis", 9.5.3). In simulated queues at a utilisation
of 0.8 the two bounds then hold together in 85 to 90 % of runs, the more the longer the run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from hdrh.histogram import HdrHistogram

__all__ = ["CONFIDENCE", "QUANTILES", "Sample", "samples_needed"]

#: The quantiles every report shows, with their names.
QUANTILES: Final = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99}
#: Each bound of an interval holds with this probability.
CONFIDENCE: Final = 0.95
#: The quantile of CONFIDENCE: of the normal, for independent values, and of Student's t with 9 degrees of freedom,
#: where the variance comes from ten batches.
_Z: Final = 1.6448536269514722
_T: Final = 1.8331129326536333
#: Microseconds: the histogram counts whole ones.
_PER_SECOND: Final = 1e6
_HIGHEST: Final = 24 * 3600 * 1_000_000
_BATCHES: Final = 10
#: Independent values show a greater inflation than this once in twenty times: chi-square(9) at 0.95, over 9.
_NOTICEABLE: Final = 16.9190 / 9


def samples_needed(quantile: float) -> int:
    """The fewest values from which a quantile has an upper bound: the least n with q^n <= 1 - confidence."""
    return math.ceil(math.log(1 - CONFIDENCE) / math.log(quantile))


class Sample:
    """Durations of one kind, in seconds, in the order the jobs were meant to arrive.

    Args:
        values: Seconds; a negative value (a clock that stepped) counts as 0, one above a day as a day, and both are
            counted in ``clipped``.
    """

    def __init__(self, values: Iterable[float] = ()) -> None:
        self._histogram = HdrHistogram(1, _HIGHEST, 3)
        self._ordered: list[float] = []
        self.clipped = 0
        for value in values:
            self._add(value)

    def _add(self, seconds: float) -> None:
        inside = min(max(seconds, 0.0), _HIGHEST / _PER_SECOND)
        self.clipped += inside != seconds
        self._ordered.append(inside)
        self._histogram.record_value(max(1, round(inside * _PER_SECOND)))

    def __len__(self) -> int:
        return len(self._ordered)

    def merge(self, other: Sample) -> None:
        """Add the other sample's values to this one."""
        self._histogram.add(other._histogram)
        self._ordered.extend(other._ordered)
        self.clipped += other.clipped

    @property
    def mean(self) -> float | None:
        """Arithmetic mean in seconds; None without values."""
        return math.fsum(self._ordered) / len(self) if self._ordered else None

    @property
    def scv(self) -> float | None:
        """Squared coefficient of variation, the sample variance over the squared mean; None below two values."""
        mean = self.mean
        if mean is None or len(self) < 2 or mean == 0:
            return None
        return math.fsum((value - mean) ** 2 for value in self._ordered) / (len(self) - 1) / mean**2

    @property
    def max(self) -> float | None:
        """The longest, in seconds; None without values."""
        return max(self._ordered, default=None)

    def quantile(self, q: float) -> float | None:
        """The q-quantile in seconds; None where there are too few samples to bound it."""
        if len(self) < samples_needed(q):
            return None
        return min(self._at_rank(math.ceil(q * len(self))), max(self._ordered))

    def census(self, q: float) -> float | None:
        """The q-quantile of these very values, when they are the whole population and nothing is inferred."""
        return sorted(self._ordered)[math.ceil(q * len(self)) - 1] if self._ordered else None

    def interval(self, q: float) -> tuple[float, float] | None:
        """Bounds of the q-quantile, each one-sided at 95 %.

        None where there are too few samples, or where they resemble each other so much that the longest of them is no
        upper bound: n / inflation counts as the independent values.
        """
        n = len(self)
        if n < samples_needed(q):
            return None
        inflation = self._inflation(q)
        if inflation > _NOTICEABLE and n / inflation < samples_needed(q):
            return None
        spread = (_T if inflation > 1 else _Z) * math.sqrt(n * q * (1 - q) * inflation)
        lower = max(1, math.floor(n * q - spread))
        upper = min(n, math.ceil(n * q + spread) + 1)
        return self._at_rank(lower), min(self._at_rank(upper), max(self._ordered))

    def _at_rank(self, rank: int) -> float:
        value: int = self._histogram.get_value_at_percentile(100.0 * rank / len(self))
        return value / _PER_SECOND

    def _inflation(self, q: float) -> float:
        """How much more the share above the quantile varies than independent values would; at least 1."""
        threshold = self._at_rank(math.ceil(q * len(self)))
        return max(1.0, _variance_inflation([value > threshold for value in self._ordered]))


def _variance_inflation(indicator: Sequence[bool]) -> float:
    """Variance of batch means times the batch size, over the variance of one value."""
    size = len(indicator) // _BATCHES
    share = sum(indicator) / len(indicator)
    if size < 2 or not 0 < share < 1:
        return 1.0
    means = [sum(indicator[start : start + size]) / size for start in range(0, size * _BATCHES, size)]
    centre = sum(means) / _BATCHES
    between = sum((mean - centre) ** 2 for mean in means) / (_BATCHES - 1)
    return between * size / (share * (1 - share))

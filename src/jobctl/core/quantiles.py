"""Percentiles that can be merged, and how sure one may be of them.

A :class:`Sample` keeps an HDR histogram (Tene's HdrHistogram, three significant digits from a microsecond to a day), so
two of them merge without loss and no percentile is ever averaged.

Intervals are distribution-free: the q-quantile lies between the order statistics whose ranks bound a binomial(n, q)
count (David & Nagaraja, "Order Statistics", 7.1), each bound one-sided at 95 %. An upper bound for q therefore needs
q^n <= 0.05: 5 values for the median, 59 for p95, 299 for p99. With fewer the quantile is None: too few samples.

Waits of neighbouring jobs resemble each other, so n jobs tell less than n independent values would: n over the
variance inflation of the exceedance indicator. The ranks are widened by that inflation, and where it leaves fewer
than an upper bound needs, the interval is None: the quantile is that of these jobs, and no more is claimed. The
inflation is the larger of two: the variance over ten consecutive batches, with Student's t for so few (batch means,
Law & Kelton, "Simulation Modeling and Analysis", 9.5.3); and, since a short run that met no busy spell looks
independent, what a queue under the measured load does in theory, where that load is known (``relaxation``). In seeded
simulations of M/M/c at utilisations of 0.5 to 0.9 more than 95 % of the intervals held the truth. Without a known
load the batches alone decide, and of the few tail intervals that a short run at 0.8 or 0.9 then has most are too low.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate
from operator import ne
from typing import Final

from hdrh.histogram import HdrHistogram

from jobctl.core.samples import samples_needed

__all__ = ["QUANTILES", "Sample", "rank_of"]

#: The quantiles every report shows, with their names.
QUANTILES: Final = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99}
#: The quantile of CONFIDENCE: of the normal, for independent values, and of Student's t with 9 degrees of freedom,
#: where the variance comes from ten batches.
_Z: Final = 1.6448536269514722
_T: Final = 1.8331129326536333
#: Microseconds: the histogram counts whole ones.
_PER_SECOND: Final = 1e6
_HIGHEST: Final = 24 * 3600 * 1_000_000
_BATCHES: Final = 10
#: Points of a spectrum for each halving of the distance to 100 %.
_TICKS: Final = 4
#: Independent values show a greater inflation than this once in twenty times: chi-square(9) at 0.95, over 9.
_NOTICEABLE: Final = 16.9190 / 9


def rank_of(q: float, n: int) -> int:
    """The rank, from 1, of the order statistic that is the q-quantile of n values."""
    return max(1, math.ceil(q * n))


class Sample:
    """Durations of one kind, in seconds, in the order the jobs were meant to arrive.

    Args:
        values: Seconds; a negative value (a clock that stepped) counts as 0, one above a day as a day, and both are
            counted in ``clipped``.
        relaxation: Values in which the queue they come from forgets where it was, the unit of time of its reflected
            Brownian motion; 0 when they come from none, infinite when it never does.
    """

    def __init__(self, values: Iterable[float] = (), relaxation: float = 0.0) -> None:
        given, highest_s = list(values), _HIGHEST / _PER_SECOND
        self._relaxation = relaxation
        self._ordered = [min(max(value, 0.0), highest_s) for value in given]
        self.clipped = sum(map(ne, given, self._ordered))
        self._counted: tuple[HdrHistogram, list[int]] | None = None

    def __len__(self) -> int:
        return len(self._ordered)

    def merge(self, other: Sample) -> None:
        """Add the other sample's values to this one."""
        self._counted = None
        self._ordered.extend(other._ordered)
        self.clipped += other.clipped
        self._relaxation = max(self._relaxation, other._relaxation)

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
        """The q-quantile in seconds; None where there are too few samples to bound it, were they independent."""
        if len(self) < samples_needed(q):
            return None
        return self._value(q)

    def census(self, q: float) -> float | None:
        """The q-quantile of these very values, when they are the whole population and nothing is inferred."""
        return sorted(self._ordered)[rank_of(q, len(self)) - 1] if self._ordered else None

    def spectrum(self) -> list[tuple[float, float]]:
        """The whole distribution in few points, closer to each other the nearer they are to the longest.

        As HdrHistogram prints it: each time the distance to 100 % has halved, four more points, up to the last value.

        Returns:
            Percentiles, 0 to 100, and seconds.
        """
        if not self._ordered:
            return []
        shares = [step / 10 for step in range(5)]
        left = 0.5
        while left * len(self) >= 1:
            shares += [1 - left + left / 2 * step / _TICKS for step in range(_TICKS)]
            left /= 2
        return [(100 * q, self._value(q)) for q in shares if (1 - q) * len(self) >= 1 or q == 0] + [
            (100.0, max(self._ordered))
        ]

    def encoded(self) -> str | None:
        """The histogram of whole microseconds, as HdrHistogram encodes it (version 2, base64); None without values."""
        return self._histogram()[0].encode().decode() if self._ordered else None

    def interval(self, q: float) -> tuple[float, float] | None:
        """Bounds of the q-quantile, each one-sided at 95 %; None where the samples tell too little."""
        if not self._is_bounded(q):
            return None
        n = len(self)
        inflation = self._inflation(q)
        spread = (_T if inflation > 1 else _Z) * math.sqrt(n * q * (1 - q) * inflation)
        lower = max(1, math.floor(n * q - spread))
        upper = min(n, math.ceil(n * q + spread) + 1)
        longest = max(self._ordered)
        return min(self._at_rank(lower), longest), min(self._at_rank(upper), longest)

    def _is_bounded(self, q: float) -> bool:
        """Whether the values are worth as many independent ones as an upper bound needs."""
        if len(self) < samples_needed(q):
            return False
        inflation = self._inflation(q)
        if self._relaxation == 0 and inflation <= _NOTICEABLE:
            return True
        return len(self) / inflation >= samples_needed(q)

    def _value(self, q: float) -> float:
        return min(self._at_rank(rank_of(q, len(self))), max(self._ordered))

    def _at_rank(self, rank: int) -> float:
        """The value of a rank, from 1; the histogram's own percentile walks all buckets each time."""
        histogram, totals = self._histogram()
        value: int = histogram.get_value_from_index(bisect_left(totals, rank))
        return float(histogram.get_highest_equivalent_value(value)) / _PER_SECOND

    def _histogram(self) -> tuple[HdrHistogram, list[int]]:
        """All values counted, and how many there are up to each bucket; made when it is first asked for."""
        if self._counted is None:
            histogram = HdrHistogram(1, _HIGHEST, 3)
            for value, count in Counter(max(1, round(each * _PER_SECOND)) for each in self._ordered).items():
                histogram.record_value(value, count)
            self._counted = histogram, list(accumulate(histogram.counts[:]))  # ctypes take three times as long
        return self._counted

    def _inflation(self, q: float) -> float:
        """How much more the share above the quantile varies than that of independent values; at least 1."""
        threshold = self._at_rank(math.ceil(q * len(self)))
        return max(
            1.0,
            _queue_inflation(q, self._relaxation),
            _variance_inflation([value > threshold for value in self._ordered]),
        )


def _queue_inflation(q: float, relaxation: float) -> float:
    """The variance inflation of exceeding the q-quantile, in theory.

    For a diffusion with density f and variance 1 the share of time with g = 1 has the asymptotic variance
    4 ∫ (∫ (g - p) f)² / f, and reflected Brownian motion of drift -1 has f = 2 exp(-2x). With g = 1 above the quantile,
    p = 1 - q of the time, that is 2 p (1 - p - p ln(1/p)), over p (1 - p) for independent values.
    """
    p = 1 - q
    return 2 * (1 - p * math.log(1 / p) / (1 - p)) * relaxation


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

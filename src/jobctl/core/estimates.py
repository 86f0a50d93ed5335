"""What replications of one simulated window tell about its waits, and how surely.

Model: each replication is an independent draw of the same window; its jobs resemble each other, so the replications,
and not the jobs, are the sample. All their jobs are pooled. A share or a mean over the pool is a ratio of two sums,
over replications of n_i jobs each; with the residuals d_i = k_i - p n_i its variance is R/(R-1) sum d_i² / (sum n_i)²
(Cochran, "Sampling Techniques", 6.3; in simulation the regenerative method of Crane and Lemoine), and Student's t with
R - 1 degrees of freedom bounds it.

*Quantiles.* "The q-quantile is at most L" says the same as "the share of waits over L is at most p = 1 - q". A band
inverts this (Woodruff 1952): it holds those values whose share in the pool is within t deviations of p, with the
deviation found at the quantile itself and below it. To decide a promise the share over L is tested against p.

*The deviation under the null hypothesis* is sqrt(p (1 - p) f / n), where n jobs are worth n/f independent ones (as in
Wilson's score interval, and the design effect of survey sampling). f, the inflation, is the estimated variance of the
share over that of independent jobs: the larger of the one at the quantile and the one at L, and at least 1. So where no
job at all waits for longer than L, nothing is certain either: with f = 1 and 99 % confidence a p95 takes a hundred jobs
and more, as by the rule of three. Where a replication is too short to show how waits cluster (fewer than ten are
expected over the quantile), or all are equal, f is at least ten. A band takes the largest f of all levels up to its
own: in a queue f grows with the level (:mod:`jobctl.core.quantiles` has the formula), but far out it is found from the
few busy spells there were, and where those were mild both the tail and f come out too low. Of 770 bands of p95 and p99
in M/M/10 at a utilisation of 0.9, simulated on until they are precise, so 94 % hold the truth, and else 90 %.

*Means* of waits scatter upwards: their logarithms are nearer to normal, so the bounds are m exp(±t s/m), s the
deviation of the mean m.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

__all__ = ["CONFIDENCE", "Estimate", "student_t", "student_tail"]

#: Of bands.
CONFIDENCE: Final = 0.95
#: A shorter wait is none: rounding leaves some where a slot becomes free just when a job arrives.
_INSTANT_S: Final = 1e-6
#: Jobs that are taken to wait together where the sample is too short to tell, and the fewest from which it can.
_CLUSTER: Final = 10
#: Levels below a quantile at which a band looks for clusters too.
_BULK: Final = (0.5, 0.8, 0.9, 0.95)
#: No share that is counted comes nearer than that to another.
_ROUNDING: Final = 1e-9


class Estimate:
    """The waits (or sojourns) of one window, pooled over replications; seconds.

    Attributes:
        jobs: How many there are.
        replications: In how many replications.
        is_exact: Whether they are the whole truth, because nothing was random: then there is no band and no doubt.
    """

    def __init__(self) -> None:
        self.jobs = 0
        self.is_exact = False
        self._samples: list[_Sample] = []

    def add(self, waits: Sequence[float], *, exact: bool = False) -> None:
        """Add one replication, in any order.

        Args:
            waits: Its waits; there may be none.
            exact: Whether nothing in it was random, as in a trace with its service times.
        """
        self.is_exact = exact and (self.is_exact or not self._samples)
        self._samples.append(_Sample(waits))
        self.jobs += len(waits)

    @property
    def replications(self) -> int:
        """How many were added."""
        return len(self._samples)

    @property
    def p_wait(self) -> float:
        """The share of jobs that wait at all.

        Raises:
            ValueError: There is no job.
        """
        return self.share_over(0.0)

    @property
    def mean(self) -> float:
        """The mean wait.

        Raises:
            ValueError: There is no job.
        """
        return math.fsum(sample.total_s for sample in self._samples) / self._some_jobs()

    def share_over(self, threshold_s: float) -> float:
        """The share of jobs that wait longer.

        Raises:
            ValueError: There is no job.
        """
        return sum(sample.over(threshold_s) for sample in self._samples) / self._some_jobs()

    def quantile(self, q: float) -> float:
        """The smallest wait that at least a share q of the jobs does not exceed.

        Raises:
            ValueError: There is no job.
        """
        spared = self.jobs - max(1, math.ceil(q * self._some_jobs() - _ROUNDING))
        low_s, high_s = 0.0, max(sample.longest_s for sample in self._samples)
        if self._over(low_s) <= spared:
            return 0.0
        # Bisect until no number lies between: the upper end is then the wait itself.
        while low_s < (middle_s := (low_s + high_s) / 2) < high_s:
            if self._over(middle_s) <= spared:
                high_s = middle_s
            else:
                low_s = middle_s
        return high_s

    def band(self, q: float, confidence: float = CONFIDENCE) -> tuple[float, float] | None:
        """Between which waits the true q-quantile lies, with that confidence.

        Returns:
            Both bounds; None where the replications do not tell, and where nothing is random.
        """
        if not self._can_tell():
            return None
        thresholds_s = [self.quantile(level) for level in (*_BULK, q) if level <= q]
        reach = student_t((1 + confidence) / 2, self.replications - 1) * self._deviation(q, *thresholds_s)
        if q + reach >= 1:
            return None
        return self.quantile(max(0.0, q - reach)), self.quantile(q + reach)

    def mean_band(self, confidence: float = CONFIDENCE) -> tuple[float, float] | None:
        """Between which values the mean lies, with that confidence; None as in :meth:`band` and where no job waits."""
        if not self._can_tell() or self._over(0.0) == 0:
            return None
        factor = math.exp(student_t((1 + confidence) / 2, self.replications - 1) * self._relative_deviation_of_mean())
        return self.mean / factor, self.mean * factor

    def decide(self, q: float, threshold_s: float, confidence: float = 0.99) -> bool | None:
        """Whether the q-quantile is at most the threshold.

        Args:
            q: Which quantile.
            threshold_s: What it is held against.
            confidence: Of either answer.

        Returns:
            None where the replications cannot tell with that confidence, or there is no job.
        """
        if self.is_exact and self.jobs:
            return self.share_over(threshold_s) <= 1 - q + _ROUNDING
        if not self._can_tell():
            return None
        reach = student_t(confidence, self.replications - 1) * self._deviation(q, self.quantile(q), threshold_s)
        return _side(self.share_over(threshold_s), reach, 1 - q)

    def decide_mean(self, threshold_s: float, confidence: float = 0.99) -> bool | None:
        """Whether the mean is at most the threshold; None as in :meth:`decide`.

        Where no job waits there is no deviation to go by: then it takes as many jobs as show that 95 % of all do not.
        """
        if self.is_exact and self.jobs:
            return self.mean <= threshold_s * (1 + _ROUNDING)
        if not self._can_tell():
            return None
        if self._over(0.0) == 0:
            return self.decide(0.95, 0.0, confidence)
        reach = student_t(confidence, self.replications - 1) * self._relative_deviation_of_mean()
        return _side(math.log(self.mean), reach, math.log(threshold_s)) if threshold_s > 0 else False

    def _can_tell(self) -> bool:
        return not self.is_exact and self.jobs > 0 and self.replications > 1

    def _some_jobs(self) -> int:
        if not self.jobs:
            raise ValueError("an estimate of no jobs")
        return self.jobs

    def _over(self, threshold_s: float) -> int:
        return sum(sample.over(threshold_s) for sample in self._samples)

    def _deviation(self, q: float, *thresholds_s: float) -> float:
        """Of the share of waits over the q-quantile, were it at these values: sqrt(p (1 - p) f / n)."""
        independent = q * (1 - q) / self.jobs
        inflations = [self._inflation(threshold_s) for threshold_s in thresholds_s]
        return math.sqrt(independent * self._worst(inflations, (1 - q) * self.jobs))

    def _inflation(self, threshold_s: float) -> float | None:
        """The variance of the share over a threshold, over that of independent jobs; None where all are on one side."""
        counts = [sample.over(threshold_s) for sample in self._samples]
        share = sum(counts) / self.jobs
        if not 0 < share < 1:
            return None
        return self._ratio_variance(counts, share) / (share * (1 - share) / self.jobs)

    def _relative_deviation_of_mean(self) -> float:
        """Of the logarithm of the mean, which is the relative one of the mean; there are waits."""
        mean_s = self.mean
        independent = (math.fsum(sample.squares for sample in self._samples) / self.jobs - mean_s**2) / self.jobs
        found = self._ratio_variance([sample.total_s for sample in self._samples], mean_s)
        inflation = found / independent if independent > 0 else None
        return math.sqrt(max(0.0, independent) * self._worst([inflation], self._over(0.0))) / mean_s

    def _worst(self, inflations: Iterable[float | None], clustering: float) -> float:
        """The largest inflation, and at least one cluster's where too few jobs show how they cluster."""
        known = [inflation for inflation in inflations if inflation is not None]
        least = 1.0 if known and clustering >= _CLUSTER * self.replications else float(_CLUSTER)
        return max([least, *known])

    def _ratio_variance(self, sums: Sequence[float], ratio: float) -> float:
        """The variance of a ratio: the sums over replications, over their jobs."""
        residuals = (part - ratio * sample.jobs for part, sample in zip(sums, self._samples, strict=True))
        count = self.replications
        return count / (count - 1) * math.fsum(residual**2 for residual in residuals) / self.jobs**2


class _Sample:
    """One replication: how many jobs, and the waits of those that wait, sorted.

    Attributes:
        jobs: All.
        total_s: The sum of their waits.
        squares: The sum of the squares.
    """

    __slots__ = ("_waits", "jobs", "squares", "total_s")

    def __init__(self, waits: Sequence[float]) -> None:
        ordered = sorted(waits)
        self._waits = array("d", ordered[bisect_right(ordered, _INSTANT_S) :])
        self.jobs = len(ordered)
        self.total_s = math.fsum(self._waits)
        self.squares = math.fsum(wait_s * wait_s for wait_s in self._waits)

    def over(self, threshold_s: float) -> int:
        """How many wait longer."""
        return len(self._waits) - bisect_right(self._waits, threshold_s)

    @property
    def longest_s(self) -> float:
        """The longest wait; 0 where nobody waits."""
        return self._waits[-1] if self._waits else 0.0


def _side(value: float, reach: float, bound: float) -> bool | None:
    """Whether a value is at most a bound, where it may be off by so much; None where that reaches across."""
    if value + reach <= bound + _ROUNDING:
        return True
    return False if value - reach > bound + _ROUNDING else None


@lru_cache(maxsize=1024)
def student_t(probability: float, degrees: int) -> float:
    """Student's t: the value that is not exceeded with a probability above one half.

    With t = sqrt(v) tan(x), P(|T| <= t) is a finite sum of powers of cos x (Abramowitz & Stegun 26.7.3 and 26.7.4),
    which grows with x; it is bisected.
    """
    low, high = 0.0, math.pi / 2
    while low < (middle := (low + high) / 2) < high:
        if _t_within(middle, degrees) < 2 * probability - 1:
            low = middle
        else:
            high = middle
    return math.sqrt(degrees) * math.tan(high)


def student_tail(value: float, degrees: int) -> float:
    """The probability that Student's t exceeds a value."""
    within = _t_within(math.atan(abs(value) / math.sqrt(degrees)), degrees)
    return (1 - within) / 2 if value >= 0 else (1 + within) / 2


def _t_within(angle: float, degrees: int) -> float:
    """P(|T| <= sqrt(degrees) tan(angle)).

    v even: sin x (1 + 1/2 cos² x + (1·3)/(2·4) cos⁴ x + ... up to cos^(v-2)).
    v odd: (2/π) (x + sin x (cos x + 2/3 cos³ x + (2·4)/(3·5) cos⁵ x + ... up to cos^(v-2))).
    """
    odd = degrees % 2
    cosine = math.cos(angle)
    term = cosine if odd else 1.0
    total = 0.0
    for power in range(2 + odd, degrees + 1, 2):
        total += term
        term *= cosine * cosine * (power - 1) / power
    return 2 / math.pi * (angle + math.sin(angle) * total) if odd else math.sin(angle) * total

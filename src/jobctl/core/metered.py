"""Evidence from counters and histograms that workers expose, as somebody has read them over a stretch of time.

New jobs are those that ended for good; where jobctl enqueued more of them, the backlog grew meanwhile, and these count.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from jobctl.core.demand import JobType
from jobctl.core.events import JobOutcome
from jobctl.core.evidence import Evidence, MeasuredWait
from jobctl.core.histograms import law_of_histogram, resolution
from jobctl.core.service import Empirical, Law, Mixture
from jobctl.core.units import format_duration

__all__ = ["ENDED_FOR_GOOD", "Histogram", "Metered", "from_metrics"]

#: What the last attempt of a job leads to.
ENDED_FOR_GOOD: Final = (JobOutcome.SUCCEEDED, JobOutcome.DEAD, JobOutcome.STOPPED)
_FAILED: Final = (JobOutcome.RETRIED, JobOutcome.DEAD)
#: How many times as many jobs must be enqueued as end, so that it is no matter of when the counters were read.
_GROWTH: Final = 1.05


@dataclass(frozen=True, slots=True)
class Histogram:
    """Values of one kind.

    Attributes:
        cumulative: How many were at most each bound, seconds; the bound of all is infinite.
        sum_s: Their sum.
    """

    cumulative: Mapping[float, float]
    sum_s: float

    @property
    def count(self) -> float:
        """How many there are; a fraction where it is extrapolated."""
        return self.cumulative.get(math.inf, 0.0)

    @property
    def law(self) -> Empirical | None:
        """The law behind it; None without values."""
        return law_of_histogram(self.cumulative, self.sum_s / self.count) if self.count > 0 else None


@dataclass(frozen=True, slots=True)
class Metered:
    """What the metrics say of a stretch of time.

    Attributes:
        span_s: Its length, seconds, as far as there are samples.
        service: Slot time of attempts that were spent, by job type.
        wait: Time from the queue to the slot.
        outcomes: Attempts by what they led to.
        enqueued: Jobs that jobctl enqueued; 0 where other clients did.
        peak_per_s: Rate at which jobs ended in the busiest hour; None for a shorter stretch.
        slots: Slots of one worker; None where not told.
        workers: Workers that run now; None likewise.
    """

    span_s: float
    service: Mapping[str, Histogram]
    wait: Histogram
    outcomes: Mapping[str, float]
    enqueued: float
    peak_per_s: float | None
    slots: int | None
    workers: int | None


def from_metrics(source: str, seen: Metered) -> Evidence:
    """What metrics tell.

    Args:
        source: What they come from.
        seen: The metrics; at least one value of service time.
    """
    laws = {name: law for name, histogram in seen.service.items() if (law := histogram.law) is not None}
    total = math.fsum(seen.service[name].count for name in laws)
    job_types = tuple(
        JobType(name, seen.service[name].count / total, law)
        for name, law in sorted(laws.items(), key=lambda item: -seen.service[item[0]].count)
    )
    ended = math.fsum(seen.outcomes.get(outcome, 0.0) for outcome in ENDED_FOR_GOOD)
    failed = math.fsum(seen.outcomes.get(outcome, 0.0) for outcome in _FAILED)
    spent = failed + seen.outcomes.get(JobOutcome.SUCCEEDED, 0.0)
    return Evidence(
        source=source,
        service=_mixed(job_types),
        samples=round(total),
        job_types=job_types,
        arrival_rate_per_s=(seen.enqueued if _grew(seen, ended) else ended) / seen.span_s or None,
        peak_factor=None if seen.peak_per_s is None or not ended else max(1.0, seen.peak_per_s / (ended / seen.span_s)),
        failure_rate=failed / spent if spent else None,
        concurrency=seen.slots,
        replicas=seen.workers,
        wait=_wait(seen.wait),
        notes=tuple(_notes(seen, ended, failed)),
    )


def _grew(seen: Metered, ended: float) -> bool:
    """Whether the backlog grew."""
    return seen.enqueued > _GROWTH * ended


def _mixed(job_types: tuple[JobType, ...]) -> Law | None:
    if len(job_types) < 2:
        return job_types[0].service if job_types else None
    return Mixture(tuple((job_type.share, job_type.service) for job_type in job_types))


def _wait(histogram: Histogram) -> MeasuredWait | None:
    law = histogram.law
    if law is None:
        return None
    ordered = sorted(law.values)
    quantiles = (ordered[math.ceil(q * len(ordered)) - 1] for q in (0.50, 0.95, 0.99))
    return MeasuredWait(round(histogram.count), law.mean_s, *quantiles)


def _notes(seen: Metered, ended: float, failed: float) -> Iterator[str]:
    widest = max(seen.service.values(), key=lambda histogram: histogram.count)
    yield (
        f"service times are known by the histogram's buckets, such as {resolution(widest.cumulative)} for the median; "
        "only their mean is exact"
    )
    yield f"rates are means over {format_duration(seen.span_s)}"
    if _grew(seen, ended):
        yield "more jobs were enqueued than ended: the backlog grew, and the rate is that of the enqueued ones"
    if failed:
        yield "service times include those of failed attempts"

"""How panels ask Prometheus: the pieces that their queries are put together from.

A worker's metric is summed over the fleet. A fleet's metric comes from one elected process and is never summed over
processes: when another one is elected, both series are there for five minutes.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from jobctl.apps.monitoring.times import Times
from jobctl.core.metrics import WORKER_JOB
from jobctl.core.panels import Query

__all__ = [
    "JOBS",
    "OF_WORKERS",
    "QUEUES",
    "growth_per_queue",
    "per_queue",
    "quantile",
    "quantiles",
    "rate",
    "rate_window",
]

#: The series of the workers among those that every process has.
OF_WORKERS: Final = f'{{job="{WORKER_JOB}"}}'
#: What was chosen, for series with a queue, and for those with a job type as well.
QUEUES: Final = 'queue=~"$queue"'
JOBS: Final = 'queue=~"$queue",job_type=~"$job_type"'
#: Seconds over which rates are taken: four scrapes at the longest interval. A rate needs two, and one may fail.
_RATE_S: Final = 300.0
#: The quantiles that are shown of a time.
_SHOWN: Final = (0.5, 0.95, 0.99)


def rate_window(times: Times) -> str:
    """The window of rates, five minutes."""
    return times.window(_RATE_S)


def rate(series: str, window: str, by: str = "") -> str:
    """The rate of a counter of the workers, a second, over the fleet.

    Args:
        series: The counter, with what is chosen of it.
        window: Over how long.
        by: The labels to keep, with commas.
    """
    return f"sum{f' by ({by}) ' if by else ''}(rate({series}[{window}]))"


def quantile(share: float, series: str, window: str, by: str = "") -> str:
    """A quantile of a histogram of the workers, over the fleet.

    Args:
        share: Which, in (0, 1).
        series: Its buckets, with what is chosen of them.
        window: Over how long.
        by: The labels to keep besides the buckets'.
    """
    return f"histogram_quantile({share:.10g}, {rate(series, window, f'le, {by}' if by else 'le')})"


def quantiles(series: str, window: str, further: Collection[float] = ()) -> tuple[Query, ...]:
    """The lines of a panel about a time: p50, p95 and p99 over the fleet.

    Args:
        series: The buckets of its histogram, with what is chosen of them.
        window: Over how long.
        further: Other quantiles that are shown among these.
    """
    shares = sorted({*_SHOWN, *further})
    return tuple(Query(quantile(share, series, window), f"p{100 * share:.10g}") for share in shares)


def growth_per_queue(window: str) -> str:
    """Jobs a second by which each queue grows, over a window; below 0 where it shrinks."""
    return f"max by (queue) (deriv(jobctl_queue_depth{{{QUEUES}}}[{window}]))"


def per_queue(gauge: str) -> str:
    """A gauge of the fleet by queue, of whichever process tells it."""
    return f"max by (queue) ({gauge}{{{QUEUES}}})"

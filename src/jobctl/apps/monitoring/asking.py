"""How panels ask Prometheus: the pieces that their queries are put together from.

A worker's metric is summed over the fleet. A fleet's metric comes from one elected process and is never summed over
processes: when another one is elected, both series are there for five minutes.
"""

from __future__ import annotations

from typing import Final

from jobctl.apps.monitoring.times import Times

__all__ = ["EXPORTER_JOB", "JOBS", "QUEUES", "WORKER_JOB", "per_queue", "quantile", "rate", "rate_window"]

#: The names of Prometheus' jobs.
WORKER_JOB: Final = "jobctl-worker"
EXPORTER_JOB: Final = "jobctl-exporter"
#: What was chosen, for series with a queue, and for those with a job type as well.
QUEUES: Final = 'queue=~"$queue"'
JOBS: Final = 'queue=~"$queue",job_type=~"$job_type"'
#: Seconds over which rates are taken; a rate needs two scrapes, and one may fail.
_RATE_S: Final = 300.0
_SCRAPES: Final = 4


def rate_window(times: Times) -> str:
    """The window of rates: five minutes, or four scrapes where those take longer."""
    return times.window(max(_RATE_S, _SCRAPES * times.interval_s))


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


def per_queue(gauge: str) -> str:
    """A gauge of the fleet by queue, of whichever process tells it."""
    return f"max by (queue) ({gauge}{{{QUEUES}}})"

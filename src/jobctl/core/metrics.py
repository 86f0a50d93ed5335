"""Every metric that jobctl exposes: its name, kind, labels and meaning. Prometheus, the reference and alerts follow it.

A *worker* metric is what one worker saw of itself, so the sum over workers is the fleet's. A *fleet* metric is read
from what all workers share, and one process exposes it: the sum over N processes would be N times too much.

No label is a job's id or a worker's name, and those whose values come with the jobs are bounded (:func:`bounded`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = [
    "BUCKETS_S",
    "EXPORTER",
    "EXPORTER_JOB",
    "FLEET",
    "OTHER",
    "PREFIX",
    "UNKNOWN",
    "WORKER",
    "WORKER_JOB",
    "Kind",
    "Metric",
    "bounded",
]

PREFIX: Final = "jobctl_"
#: The jobs of Prometheus that scrape the workers and the fleet's exporter.
WORKER_JOB: Final = "jobctl-worker"
EXPORTER_JOB: Final = "jobctl-exporter"
#: The label's value for what came after a label had as many values as it may.
OTHER: Final = "other"
#: The label's value where there is none to be told.
UNKNOWN: Final = "unknown"
#: Upper bounds of the histograms' buckets, seconds: an empty job takes about a millisecond, a slow model minutes.
BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Kind(StrEnum):
    """How a metric's samples are to be read."""

    #: Only goes up, and begins at 0 with its process.
    COUNTER = "counter"
    #: What holds now.
    GAUGE = "gauge"
    #: How many values were at most each of :data:`BUCKETS_S`, their sum and their number.
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric.

    Attributes:
        name: Its name, without the prefix.
        kind: How to read it.
        labels: Its labels' names.
        meaning: One sentence, with the unit where the name has none.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    meaning: str

    @property
    def full_name(self) -> str:
        """As Prometheus has it."""
        return PREFIX + self.name


_JOB: Final = ("queue", "job_type")

WORKER: Final = (
    Metric("jobs_started_total", Kind.COUNTER, _JOB, "Attempts begun."),
    Metric("jobs_finished_total", Kind.COUNTER, (*_JOB, "outcome"), "Attempts ended, by what they led to."),
    Metric("retries_total", Kind.COUNTER, (*_JOB, "reason"), "Attempts that failed and will be made again."),
    Metric("abandoned_total", Kind.COUNTER, (), "Jobs of dead workers that this worker put back or gave up."),
    Metric("job_wait_seconds", Kind.HISTOGRAM, _JOB, "Time from a job's queue to its slot."),
    Metric("job_service_seconds", Kind.HISTOGRAM, _JOB, "Time on the slot, of attempts that were spent."),
    Metric("slots", Kind.GAUGE, (), "Slots of this worker."),
    Metric("slots_busy", Kind.GAUGE, (), "Slots in use, the stuck ones included."),
    Metric("slots_stuck", Kind.GAUGE, (), "Slots whose job was given up and whose thread has not come back."),
    Metric("upstream_responses_total", Kind.COUNTER, ("status", "model"), "Answers of OpenRouter, and their absence."),
    Metric("upstream_latency_seconds", Kind.HISTOGRAM, (), "Time of one call of OpenRouter, whatever its end."),
    Metric("limiter_wait_seconds", Kind.HISTOGRAM, (), "Time that the limiter made a call or a job wait."),
    Metric("tokens_total", Kind.COUNTER, ("kind", "model"), "Tokens billed, by prompt and completion."),
    Metric("cost_usd_total", Kind.COUNTER, ("model",), "What answers cost, US dollars."),
    Metric("db_pool_in_use", Kind.GAUGE, (), "Database connections lent to jobs."),
    Metric("db_pool_size", Kind.GAUGE, (), "Database connections open."),
    Metric("db_pool_max", Kind.GAUGE, (), "Database connections that the pool may open; 0 without a database."),
    Metric("db_pool_wait_seconds", Kind.HISTOGRAM, (), "Time that a job waited for a database connection."),
    Metric("last_heartbeat_seconds", Kind.GAUGE, (), "When this worker last reached Redis, seconds since the epoch."),
    Metric("build_info", Kind.GAUGE, ("version",), "Always 1; the version of jobctl is its label."),
)

FLEET: Final = (
    Metric("jobs_enqueued_total", Kind.COUNTER, ("queue",), "Jobs that jobctl enqueued; other clients keep no count."),
    Metric("queue_depth", Kind.GAUGE, ("queue",), "Jobs that wait in the queue."),
    Metric("queue_oldest_age_seconds", Kind.GAUGE, ("queue",), "How long the next job of the queue has waited."),
    Metric("scheduled_jobs", Kind.GAUGE, ("queue",), "Jobs that are due later, retries included."),
    Metric("dead_jobs", Kind.GAUGE, ("queue",), "Jobs that failed for good and are still kept."),
    Metric("scheduler_up", Kind.GAUGE, ("queue",), "Whether a scheduler holds the queue's lock: 1 or 0."),
    Metric("workers", Kind.GAUGE, (), "Workers that are alive, by their own sign in Redis."),
    Metric("planned_replicas", Kind.GAUGE, (), "Workers that the plan asks for, where it was set."),
    Metric("limiter_headroom", Kind.GAUGE, ("model",), "Free share of the limiter's allowance, 0 to 1; 0 in a pause."),
    Metric("breaker_open", Kind.GAUGE, ("model",), "Whether the circuit breaker stops calls: 1 or 0."),
    Metric("openrouter_credit_usd", Kind.GAUGE, (), "Credits bought less credits used; needs a management key."),
    Metric("openrouter_key_remaining_usd", Kind.GAUGE, (), "What the key's own limit leaves; absent without a limit."),
    Metric("redis_memory_bytes", Kind.GAUGE, (), "Memory that Redis uses."),
    Metric("redis_maxmemory_bytes", Kind.GAUGE, (), "Memory that Redis may use; absent without a limit."),
    Metric("redis_noeviction", Kind.GAUGE, (), "Whether Redis refuses writes rather than drop keys: 1 or 0."),
    Metric("redis_aof_enabled", Kind.GAUGE, (), "Whether Redis writes an append-only file: 1 or 0."),
    Metric("redis_persistence_ok", Kind.GAUGE, (), "Whether Redis' last write of each kind to disk went well: 1 or 0."),
)

#: What each process that could be the exporter says of itself.
EXPORTER: Final = (
    Metric("redis_up", Kind.GAUGE, (), "Whether Redis answered at this scrape: 1 or 0."),
    Metric("exporter_elected", Kind.GAUGE, (), "Whether this process exposes the fleet's metrics: 1 or 0."),
)


def bounded(most: int) -> Callable[[str], str]:
    """A function that lets the first ``most`` different values through and makes each further one :data:`OTHER`.

    An empty value is :data:`UNKNOWN`. Two threads that bring new values at once may let one more through.
    """
    known: set[str] = set()

    def bound(value: str) -> str:
        if value in known:
            return value
        if len(known) >= most:
            return OTHER
        known.add(value)
        return value

    return lambda value: bound(value) if value else UNKNOWN

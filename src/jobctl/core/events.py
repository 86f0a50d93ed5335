"""What happens in a worker, as frozen values. Observers (metrics, Sentry) are told and decide for themselves.

An *attempt* begins each time a slot begins a job, and is spent unless the job comes back *postponed* or *returned*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["JobEnded", "JobOutcome", "JobStarted", "JobsRecovered", "SlotsChanged"]


class JobOutcome(StrEnum):
    """What an attempt led to."""

    #: It returned.
    SUCCEEDED = "succeeded"
    #: It failed and will run again, after a back-off.
    RETRIED = "retried"
    #: A limit, a breaker or the upstream put it off; no attempt is spent.
    POSTPONED = "postponed"
    #: It failed for good and is in the dead set.
    DEAD = "dead"
    #: Somebody stopped it.
    STOPPED = "stopped"
    #: A drain put it back to the front of its queue; no attempt is spent.
    RETURNED = "returned"
    #: Somebody else had taken it over meanwhile: its result was discarded.
    LATE = "late"


@dataclass(frozen=True, slots=True)
class JobStarted:
    """A slot begins a job.

    Attributes:
        job_id: The job's id in RQ.
        queue: The name of its queue.
        job_type: The dotted path of its function; empty when it cannot be told.
        attempt: Which attempt this is, from 1.
        enqueued_s: When it entered its queue, seconds since the epoch; None when unknown.
        started_s: When the slot began it.
        meta: What its enqueuer attached, decoded; empty when nothing is attached or it cannot be read.
    """

    job_id: str
    queue: str
    job_type: str
    attempt: int
    enqueued_s: float | None
    started_s: float
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def wait_s(self) -> float | None:
        """Seconds between its queue and its slot."""
        return None if self.enqueued_s is None else max(0.0, self.started_s - self.enqueued_s)


@dataclass(frozen=True, slots=True)
class JobEnded:
    """A slot is done with a job.

    Attributes:
        started: How it began.
        ended_s: When its slot had its outcome, seconds since the epoch.
        outcome: What it led to.
        reason: For a retry, a postponement or a death: a short word for why, such as ``timeout`` or ``429``; a label
            value, so from a small set.
        error: What it raised; None where it raised nothing.
    """

    started: JobStarted
    ended_s: float
    outcome: JobOutcome
    reason: str = ""
    error: BaseException | None = None

    @property
    def service_s(self) -> float:
        """Seconds on the slot."""
        return max(0.0, self.ended_s - self.started.started_s)


@dataclass(frozen=True, slots=True)
class JobsRecovered:
    """Jobs of a worker that died were put back to work.

    Attributes:
        worker: The name of the dead worker.
        requeued: How many went back to their queues.
        dead: How many had been abandoned too often and are in the dead set now.
    """

    worker: str
    requeued: int
    dead: int


@dataclass(frozen=True, slots=True)
class SlotsChanged:
    """How many slots of this worker are in use now.

    Attributes:
        slots: All.
        busy: In use, the stuck ones included.
        stuck: Whose job was given up and whose thread has not come back.
    """

    slots: int
    busy: int
    stuck: int

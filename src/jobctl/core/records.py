"""One job of a run, told by its four instants.

Instants are seconds since the epoch on one clock; intervals are derived, never stored. The definitions::

    intended ──lag── enqueued ──wait── started ──service── finished
        └───────────────────── sojourn ─────────────────────┘

so that sojourn = schedule lag + wait + service, and time that the generator lost counts against the system's answer
rather than vanishing. ``started`` and ``finished`` are those of the attempt that decided the outcome; what lies between
``enqueued`` and the ``started`` of a retried job is no wait, for its earlier attempts and their back-off are in it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

__all__ = ["JobRecord", "Outcome"]


class Outcome(StrEnum):
    """What became of a scheduled job."""

    #: It ran and returned.
    FINISHED = "finished"
    #: It ran and its last attempt failed.
    FAILED = "failed"
    #: Redis did not take it: it was scheduled but never enqueued.
    REJECTED = "rejected"
    #: It was still waiting or running when the drain ended.
    IN_FLIGHT = "in_flight"
    #: It was enqueued and is nowhere any more.
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One scheduled job and what became of it.

    Attributes:
        job_id: The job's id in RQ.
        job_type: The name its figures are grouped by.
        intended_s: When the schedule wanted it enqueued.
        enqueued_s: When the generator sent it; None when it was rejected.
        started_s: When a slot began to run it; None while it waits.
        finished_s: When that slot had its outcome; None until then.
        outcome: What became of it.
        retries: Attempts beyond the first.
        successes: How often it ran to success; more than one is a duplicate.
        error: The last line of its error, if it failed.
        failed_s: Seconds for which attempts before the last one held slots, as far as its worker tells.
        entered_s: When it entered its queue for its last attempt, by its queue; None where that does not tell.
        worker: The name of the worker that ran its last attempt; None where that is not known.
        cost_usd: What its result says that it cost, USD; None where that is not said.
        acknowledged_s: When the generator heard that Redis had taken it; None where that was not noted.
    """

    job_id: str
    job_type: str
    intended_s: float
    enqueued_s: float | None
    started_s: float | None
    finished_s: float | None
    outcome: Outcome
    retries: int = 0
    successes: int = 0
    error: str | None = None
    failed_s: float = 0.0
    entered_s: float | None = None
    worker: str | None = None
    cost_usd: float | None = None
    acknowledged_s: float | None = None

    def moved(self, by_s: float) -> JobRecord:
        """The same job, all its instants later by so many seconds."""
        return replace(
            self,
            intended_s=self.intended_s + by_s,
            enqueued_s=_later(self.enqueued_s, by_s),
            started_s=_later(self.started_s, by_s),
            finished_s=_later(self.finished_s, by_s),
            entered_s=_later(self.entered_s, by_s),
            acknowledged_s=_later(self.acknowledged_s, by_s),
        )

    @property
    def enqueue_s(self) -> float | None:
        """Seconds from when it was sent until Redis had taken it, as the generator saw it."""
        if self.enqueued_s is None or self.acknowledged_s is None:
            return None
        return self.acknowledged_s - self.enqueued_s

    @property
    def schedule_lag_s(self) -> float | None:
        """How late the generator sent it, in seconds."""
        return None if self.enqueued_s is None else self.enqueued_s - self.intended_s

    @property
    def wait_s(self) -> float | None:
        """Seconds from enqueued to started; None for a job that was retried."""
        if self.enqueued_s is None or self.started_s is None or self.retries:
            return None
        return self.started_s - self.enqueued_s

    @property
    def service_s(self) -> float | None:
        """Seconds on a slot."""
        if self.started_s is None or self.finished_s is None:
            return None
        return self.finished_s - self.started_s

    @property
    def served_s(self) -> float | None:
        """The service time of a job that finished: one that failed held its slot for another reason, and has none."""
        return self.service_s if self.outcome is Outcome.FINISHED else None

    @property
    def sojourn_s(self) -> float | None:
        """Seconds from the intended arrival to the outcome."""
        return None if self.finished_s is None else self.finished_s - self.intended_s


def _later(instant_s: float | None, by_s: float) -> float | None:
    return None if instant_s is None else instant_s + by_s

"""What became of the jobs: watched while the load runs, counted one by one at the end.

The watch is cheap and may be late; the census at the end asks for every job of the run and decides. Both read RQ's own
data, so workers of any kind are seen alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from jobctl.apps.bench.spec import LoadSpec
from jobctl.core.records import JobRecord, Outcome
from jobctl.ports import Completion, Completions

__all__ = ["Collector"]

#: Jobs looked up in one round trip: small, so that the generator's greenlet is not kept waiting.
_CHUNK: Final = 50
#: RQ's words for a job that ended without success.
_FAILED: Final = frozenset({"failed", "stopped", "canceled"})


class Collector:
    """Follows the jobs of one run.

    Args:
        spec: The load.
        completions: Where outcomes are read.
    """

    def __init__(self, spec: LoadSpec, completions: Completions) -> None:
        self._spec = spec
        self._completions = completions
        self._ended: dict[int, Completion] = {}
        self.failed = 0

    @property
    def ended(self) -> int:
        """How many jobs of the run were seen to end."""
        return len(self._ended)

    def has_ended(self, position: int) -> bool:
        """Whether the job at that position was seen to end."""
        return position in self._ended

    def poll(self) -> Iterator[tuple[int, Completion]]:
        """Jobs seen to end since the last call, with their positions."""
        fresh = [job_id for job_id in self._completions.newly_ended() if self._is_fresh(job_id)]
        for chunk in _chunks(fresh):
            for completion in self._completions.look_up(chunk):
                position = self._spec.position(completion.job_id)
                if position is not None and position not in self._ended and completion.finished_s is not None:
                    self._ended[position] = completion
                    self.failed += completion.status in _FAILED
                    yield position, completion

    def census(self, start_s: float, schedule: Sequence[float], enqueued_s: Sequence[float]) -> Iterator[JobRecord]:
        """The record of each scheduled job, in order.

        Args:
            start_s: The instant of offset 0.
            schedule: Intended offsets of the jobs that were due.
            enqueued_s: When each left; NaN for those the queue refused.
        """
        job_ids = [self._spec.job_id(position) for position in range(len(schedule))]
        found = self._look_up(job_ids)
        open_ids = [completion.job_id for completion in found if _outcome(completion) is None]
        known = self._completions.still_known(open_ids) if open_ids else set()
        # A job that ended between the two looks is in neither.
        missed = {job.job_id: job for job in self._look_up([job_id for job_id in open_ids if job_id not in known])}
        for position, (offset_s, sent_s, first) in enumerate(zip(schedule, enqueued_s, found, strict=False)):
            completion = missed.get(first.job_id, first)
            if completion.status is None:  # it is nowhere now; it may have been seen to end before somebody removed it
                completion = self._ended.get(position, completion)
            yield self._record(start_s + offset_s, sent_s, completion, completion.job_id in known)

    def _look_up(self, job_ids: Sequence[str]) -> list[Completion]:
        return [completion for chunk in _chunks(job_ids) for completion in self._completions.look_up(chunk)]

    def _is_fresh(self, job_id: str) -> bool:
        position = self._spec.position(job_id)
        return position is not None and position not in self._ended

    def _record(self, intended_s: float, enqueued_s: float, completion: Completion, known: bool) -> JobRecord:
        outcome = _outcome(completion)
        if outcome is None:
            refused = math.isnan(enqueued_s) and completion.status is None
            outcome = Outcome.REJECTED if refused else Outcome.IN_FLIGHT if known else Outcome.LOST
        ended = outcome in {Outcome.FINISHED, Outcome.FAILED}
        return JobRecord(
            job_id=completion.job_id,
            job_type=self._spec.workload.job_type,
            intended_s=intended_s,
            enqueued_s=None if math.isnan(enqueued_s) else enqueued_s,
            started_s=completion.started_s,
            finished_s=completion.finished_s if ended else None,
            outcome=outcome,
            retries=completion.retries,
            successes=completion.successes,
            error=completion.error if outcome is Outcome.FAILED else None,
            failed_s=completion.failed_s,
            entered_s=completion.entered_s,
        )


def _outcome(completion: Completion) -> Outcome | None:
    if completion.status == "finished":
        return Outcome.FINISHED
    return Outcome.FAILED if completion.status in _FAILED else None


def _chunks(items: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(items), _CHUNK):
        yield items[first : first + _CHUNK]

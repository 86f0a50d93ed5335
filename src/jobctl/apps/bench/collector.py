"""What became of the jobs: watched while the load runs, counted one by one at the end.

The watch is cheap and may be late; the census at the end asks for every job of the run and decides. Both read RQ's own
data, so workers of any kind are seen alike.

Instants that a worker noted are told in this process's clock: both are compared with Redis' own. Of a worker whose
clock is not known the instants are taken as they are. A job that would then have started before it was sent waited 0 s.
Of a job whose result is not kept the start is what its worker noted before the round trip in which it took the job, so
on a busy machine single jobs look so; where many do, or one by much, the clocks are wrong and the run cannot be called
measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from jobctl.apps.bench.spec import LoadSpec
from jobctl.core.clocks import ClockOffset, ClockTable
from jobctl.core.crew import WHOLE, Shard
from jobctl.core.records import JobRecord, Outcome
from jobctl.ports import Completion, Completions

__all__ = ["Collector"]

#: Jobs looked up in one round trip: few while the generator sends, so that its greenlet is not kept waiting.
_CHUNK: Final = 50
_CENSUS_CHUNK: Final = 500
#: A clock is wrong when more jobs than so many, and than this share of all, seem to start before they are sent, or one
#: of them by more than so many seconds.
_FEW_EARLY: Final = 5
_EARLY_SHARE: Final = 0.05
_MUCH_EARLY_S: Final = 1.0
#: RQ's words for a job that ended without success.
_FAILED: Final = frozenset({"failed", "stopped", "canceled"})


class Collector:
    """Follows the jobs of one run.

    Args:
        spec: The load.
        completions: Where outcomes are read.
        shard: The part of the schedule that is this process's.
    """

    def __init__(self, spec: LoadSpec, completions: Completions, shard: Shard = WHOLE) -> None:
        self._spec = spec
        self._completions = completions
        self._shard = shard
        self._ended: dict[int, Completion] = {}
        self._clocks = ClockTable()
        self._started = 0
        self._early: list[tuple[str | None, float]] = []
        self.failed = 0

    @property
    def ended(self) -> int:
        """How many jobs of the run were seen to end."""
        return len(self._ended)

    def has_ended(self, position: int) -> bool:
        """Whether the job at that position was seen to end."""
        return position in self._ended

    @property
    def clock(self) -> ClockOffset | None:
        """How far Redis' clock is ahead of this process's; None while it is not known."""
        return self._clocks.own

    def poll(self) -> Iterator[tuple[int, Completion]]:
        """Jobs seen to end since the last call, with their positions."""
        fresh = [job_id for job_id in self._completions.newly_ended() if self._is_fresh(job_id)]
        for chunk in _chunks(fresh, _CHUNK):
            for completion in self._completions.look_up(chunk):
                position = self._spec.position(completion.job_id)
                if position is not None and position not in self._ended and completion.finished_s is not None:
                    self._ended[position] = completion
                    self.failed += completion.status in _FAILED
                    yield position, self._in_own_time(completion)

    def compare_clocks(self, own: ClockOffset | None) -> None:
        """Note how far the clocks of this process and of the workers are from Redis'.

        Args:
            own: How far Redis' is ahead of this process's; None where that could not be told.
        """
        if own is not None:
            self._clocks.note_own(own)
        for worker, offset in self._completions.clock_offsets().items():
            self._clocks.note(worker, offset)

    def doubts(self) -> Iterator[str]:
        """Why the instants that the census gave may be wrong."""
        if _is_systematic([early_s for _, early_s in self._early], self._started):
            worker, early_s = max(self._early, key=lambda early: early[1])
            what = "is not known" if not self._clocks.is_known(worker) else "was not what it said"
            yield (
                f"{len(self._early)} jobs started up to {early_s:.3f} s before they were sent: "
                f"the clock of worker {worker} {what}"
            )
        for name, moved_s in self._clocks.moved():
            whose = "this generator" if name is None else f"worker {name}"
            yield f"the clock of {whose} moved by {moved_s:.3f} s against Redis' during the run"

    def ended_record(
        self, position: int, intended_s: float, enqueued_s: float, acknowledged_s: float, completion: Completion
    ) -> JobRecord:
        """The record of a job that was seen to end, before the census.

        Args:
            position: Its place in the whole schedule.
            intended_s: When it was meant to arrive, seconds since the epoch.
            enqueued_s: When it left.
            acknowledged_s: When Redis had taken it.
            completion: What :meth:`poll` said of it.
        """
        job_type = self._spec.workload_at(position).job_type
        return self._record(job_type, intended_s, enqueued_s, acknowledged_s, completion, known=True)

    def census(
        self,
        start_s: float,
        schedule: Sequence[float],
        enqueued_s: Sequence[float],
        acknowledged_s: Sequence[float] | None = None,
    ) -> Iterator[JobRecord]:
        """The record of each scheduled job, in order.

        Args:
            start_s: The instant of offset 0.
            schedule: Intended offsets of the jobs that were due.
            enqueued_s: When each left; NaN for those the queue refused.
            acknowledged_s: When Redis had taken each; NaN likewise, None where that was not noted.
        """
        taken_s = acknowledged_s or [math.nan] * len(schedule)
        positions = [self._shard.position(place) for place in range(len(schedule))]
        found = self._look_up([self._spec.job_id(position) for position in positions])
        self.compare_clocks(None)
        self._started, self._early = 0, []
        open_ids = [completion.job_id for completion in found if _outcome(completion) is None]
        known = self._completions.still_known(open_ids) if open_ids else set()
        # A job that ended between the two looks is in neither.
        missed = {job.job_id: job for job in self._look_up([job_id for job_id in open_ids if job_id not in known])}
        for position, offset_s, sent_s, in_s, first in zip(
            positions, schedule, enqueued_s, taken_s, found, strict=False
        ):
            completion = missed.get(first.job_id, first)
            if completion.status is None:  # it is nowhere now; it may have been seen to end before somebody removed it
                completion = self._ended.get(position, completion)
            completion = self._not_before(sent_s, self._in_own_time(completion))
            job_type = self._spec.workload_at(position).job_type
            yield self._record(job_type, start_s + offset_s, sent_s, in_s, completion, completion.job_id in known)

    def _look_up(self, job_ids: Sequence[str]) -> list[Completion]:
        chunks = _chunks(job_ids, _CENSUS_CHUNK)
        return [completion for chunk in chunks for completion in self._completions.look_up(chunk)]

    def _is_fresh(self, job_id: str) -> bool:
        position = self._spec.position(job_id)
        is_ours = position is not None and self._shard.place(position) is not None
        return is_ours and position not in self._ended

    def _in_own_time(self, completion: Completion) -> Completion:
        """The completion with its worker's instants in this process's time."""
        shift_s = self._clocks.shift_s(completion.worker)
        if not shift_s:
            return completion
        return replace(
            completion,
            started_s=None if completion.started_s is None else completion.started_s + shift_s,
            finished_s=None if completion.finished_s is None else completion.finished_s + shift_s,
        )

    def _not_before(self, sent_s: float, completion: Completion) -> Completion:
        """The completion with no instant before the job was sent; what the clocks do not explain is kept in mind."""
        started_s = completion.started_s
        self._started += started_s is not None
        if started_s is None or not started_s < sent_s:
            return completion
        if sent_s - started_s > self._clocks.tolerance_s(completion.worker):
            self._early.append((completion.worker, sent_s - started_s))
        finished_s = completion.finished_s
        return replace(completion, started_s=sent_s, finished_s=None if finished_s is None else max(sent_s, finished_s))

    def _record(
        self,
        job_type: str,
        intended_s: float,
        enqueued_s: float,
        acknowledged_s: float,
        completion: Completion,
        known: bool,
    ) -> JobRecord:
        outcome = _outcome(completion)
        if outcome is None:
            refused = math.isnan(enqueued_s) and completion.status is None
            outcome = Outcome.REJECTED if refused else Outcome.IN_FLIGHT if known else Outcome.LOST
        ended = outcome in {Outcome.FINISHED, Outcome.FAILED}
        return JobRecord(
            job_id=completion.job_id,
            job_type=job_type,
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
            worker=completion.worker,
            cost_usd=completion.cost_usd,
            acknowledged_s=None if math.isnan(acknowledged_s) else acknowledged_s,
        )


def _outcome(completion: Completion) -> Outcome | None:
    if completion.status == "finished":
        return Outcome.FINISHED
    return Outcome.FAILED if completion.status in _FAILED else None


def _is_systematic(early_s: Sequence[float], started: int) -> bool:
    """Whether jobs that seem to have started before they were sent tell of a wrong clock."""
    many = max(_FEW_EARLY, _EARLY_SHARE * started)
    return len(early_s) > many or max(early_s, default=0.0) > _MUCH_EARLY_S


def _chunks(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]

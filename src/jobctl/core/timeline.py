"""A run over time: what was offered, waited, ran and came out, step by step, and how long jobs took that arrived then.

Which job counts where: offered jobs, waits, services and sojourns stand in the step of the job's *intended* arrival, so
that a stall shows in the jobs it hit; achieved and failed jobs stand in the step in which they ended. Backlog and jobs
in service are those at the end of the step, and a worker's busy share is of its slots over the whole step. Attempts
before the last one are known by their length only and are left out of both.

Blocks cut the window for the block bootstrap: neighbouring jobs wait behind each other, and what one block tells is
nearly independent of the next only if it holds many of them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from jobctl.core.quantiles import Sample, rank_of
from jobctl.core.records import JobRecord, Outcome
from jobctl.core.summary import Window

__all__ = ["SIGNALS", "Blocks", "Spread", "Timeline", "cut_blocks", "timeline_of"]

#: Steps that a person reads easily, seconds; of longer runs their multiples by hours.
_STEPS_S: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0)
_MOST_STEPS: Final = 300
_MOST_BLOCKS: Final = 60
_JOBS_PER_BLOCK: Final = 10
#: The durations of a job, by the name of its field.
SIGNALS: Final = {"wait": "wait_s", "service": "served_s", "sojourn": "sojourn_s"}


@dataclass(frozen=True, slots=True)
class Spread:
    """How long the jobs of each step took, seconds; None where no job was."""

    p50: tuple[float | None, ...]
    p95: tuple[float | None, ...]
    max: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """A run, step by step from its start to the end of the drain.

    Attributes:
        step_s: Length of a step.
        offered: Arrivals intended in each step.
        achieved: Jobs that finished in it.
        failed: Jobs that failed for good in it.
        backlog: Jobs waiting at its end.
        in_service: Jobs on slots at its end.
        signals: Of the jobs that were meant to arrive in it, by the name of the signal.
        busy: Share of its slots that each worker kept busy over the step, by its name; empty where slots are unknown.
    """

    step_s: float
    offered: tuple[int, ...]
    achieved: tuple[int, ...]
    failed: tuple[int, ...]
    backlog: tuple[int, ...]
    in_service: tuple[int, ...]
    signals: Mapping[str, Spread]
    busy: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Blocks:
    """The window cut into equal stretches.

    Attributes:
        length_s: Of each.
        offered: Window jobs intended in each.
        failed: Those of them that failed for good.
        signals: The sample of each, by the name of the signal.
    """

    length_s: float
    offered: tuple[int, ...]
    failed: tuple[int, ...]
    signals: Mapping[str, tuple[Sample, ...]]


def timeline_of(records: Sequence[JobRecord], start_s: float, end_s: float, concurrency: int | None) -> Timeline:
    """Fold the records of a run over time.

    Args:
        records: One per scheduled job.
        start_s: The run's start, seconds since the epoch.
        end_s: The end of its schedule; the timeline goes on to the end of the last job.
        concurrency: Slots of each worker; None when they are not known.
    """
    last_s = max((record.finished_s for record in records if record.finished_s is not None), default=end_s)
    length_s = max(end_s, last_s) - start_s
    step_s = next((step for step in _STEPS_S if length_s <= step * _MOST_STEPS), _hours(length_s))
    steps = max(1, math.ceil(length_s / step_s))

    def counted(instants: Iterable[float | None]) -> list[int]:
        counts = [0] * steps
        for instant_s in instants:
            if instant_s is not None:
                counts[min(steps - 1, max(0, int((instant_s - start_s) / step_s)))] += 1
        return counts

    taken = [record for record in records if record.enqueued_s is not None and record.outcome is not Outcome.REJECTED]
    ended = [_end_of(record) for record in taken]
    began = [
        record.started_s if record.started_s is not None else end for record, end in zip(taken, ended, strict=True)
    ]
    entered = counted(record.enqueued_s for record in taken)
    starts, ends = counted(began), counted(ended)
    return Timeline(
        step_s=step_s,
        offered=tuple(counted(record.intended_s for record in records)),
        achieved=tuple(counted(record.finished_s for record in records if record.outcome is Outcome.FINISHED)),
        failed=tuple(counted(record.finished_s for record in records if record.outcome is Outcome.FAILED)),
        backlog=_level(entered, starts),
        in_service=_level(starts, ends),
        signals={name: _spread(records, field, start_s, step_s, steps) for name, field in SIGNALS.items()},
        busy={} if concurrency is None else _busy(records, start_s, step_s, steps, concurrency),
    )


def cut_blocks(records: Sequence[JobRecord], window: Window) -> Blocks:
    """Cut the window's jobs into stretches of equal length.

    Args:
        records: One per scheduled job.
        window: What is judged.
    """
    inside = [record for record in records if window.holds(record.intended_s)]
    count = max(1, min(_MOST_BLOCKS, len(inside) // _JOBS_PER_BLOCK))
    length_s = window.length_s / count
    blocks: list[list[JobRecord]] = [[] for _ in range(count)]
    for record in inside:
        blocks[min(count - 1, int((record.intended_s - window.start_s) / length_s))].append(record)
    return Blocks(
        length_s=length_s,
        offered=tuple(len(block) for block in blocks),
        failed=tuple(sum(record.outcome is Outcome.FAILED for record in block) for block in blocks),
        signals={name: tuple(Sample(_durations(block, field)) for block in blocks) for name, field in SIGNALS.items()},
    )


def _durations(records: Iterable[JobRecord], field: str) -> Iterable[float]:
    """The known durations of this field."""
    return (value for record in records if (value := getattr(record, field)) is not None)


def _spread(records: Sequence[JobRecord], field: str, start_s: float, step_s: float, steps: int) -> Spread:
    grouped: list[list[JobRecord]] = [[] for _ in range(steps)]
    for record in records:
        grouped[min(steps - 1, max(0, int((record.intended_s - start_s) / step_s)))].append(record)
    values = [sorted(_durations(group, field)) for group in grouped]

    def at(q: float) -> tuple[float | None, ...]:
        return tuple(step[rank_of(q, len(step)) - 1] if step else None for step in values)

    return Spread(at(0.50), at(0.95), at(1.0))


def _end_of(record: JobRecord) -> float | None:
    """When it left its slot; of a lost one nobody knows, and it counts as gone when it began."""
    return record.started_s if record.outcome is Outcome.LOST else record.finished_s


def _level(arrived: Sequence[int], left: Sequence[int]) -> tuple[int, ...]:
    level, levels = 0, []
    for more, fewer in zip(arrived, left, strict=True):
        level += more - fewer
        levels.append(max(0, level))
    return tuple(levels)


def _busy(
    records: Iterable[JobRecord], start_s: float, step_s: float, steps: int, concurrency: int
) -> dict[str, tuple[float, ...]]:
    seconds: dict[str, list[float]] = defaultdict(lambda: [0.0] * steps)
    end_s = start_s + steps * step_s
    for record in records:
        if record.worker is None or record.started_s is None or record.outcome is Outcome.LOST:
            continue
        begin_s, until_s = record.started_s, min(end_s, end_s if record.finished_s is None else record.finished_s)
        busy = seconds[record.worker]
        for step in range(max(0, int((begin_s - start_s) / step_s)), steps):
            edge_s = start_s + step * step_s
            if edge_s >= until_s:
                break
            busy[step] += min(until_s, edge_s + step_s) - max(begin_s, edge_s)
    return {worker: tuple(value / (step_s * concurrency) for value in busy) for worker, busy in sorted(seconds.items())}


def _hours(length_s: float) -> float:
    return 3600.0 * math.ceil(length_s / 3600 / _MOST_STEPS)

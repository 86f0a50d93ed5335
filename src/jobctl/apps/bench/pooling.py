"""Several runs of one load as one run, their jobs merged and nothing averaged.

The pooled run has the warm-ups of all runs first, one upon the other, then their windows one after the other. Every job
keeps its durations and its place within its window. What reaches beyond the end of a window reaches into the next one,
as jobs of that window's own warm-up did.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from jobctl.apps.bench.driver import BenchConfig, BenchResult, Ending, conclude
from jobctl.core.arrivals import Stage
from jobctl.core.records import JobRecord

__all__ = ["offsets_of", "pool"]


def pool(
    config: BenchConfig, results: Sequence[BenchResult], *, interrupted: bool, ended_parts: Sequence[str] = ()
) -> BenchResult:
    """One result of several runs.

    Args:
        config: What was asked of each; its gates are judged over all of them.
        results: The runs; at least one.
        interrupted: Whether there should have been more.
        ended_parts: What became of the workers and the mock that ended by themselves.
    """
    first = results[0]
    start_s, until_s = first.started_at_s, first.summary.window.end_s
    records = list(_moved(first, 0.0, 0.0, first))
    for result in results[1:]:
        window = result.summary.window
        records += _moved(result, until_s - window.start_s, start_s - result.started_at_s, first)
        until_s += window.length_s
    records.sort(key=lambda record: record.intended_s)
    spec = replace(
        config.spec,
        warmup_s=first.summary.window.start_s - start_s,
        stages=tuple(
            _stages(config.spec.stages, [result.summary.window.length_s for result in results], until_s - start_s)
        ),
        instants=None if config.is_steady else offsets_of(records, start_s),
    )
    end = {
        "start_s": start_s,
        "offered_until_s": until_s,
        "dropped": sum(result.dropped for result in results),
        "tool_statistics": [],
        "doubts": list(dict.fromkeys(doubt for result in results for doubt in result.doubts)),
    }
    return conclude(replace(config, spec=spec), records, end, Ending(interrupted, ended_parts))


def offsets_of(records: Sequence[JobRecord], start_s: float) -> tuple[float, ...]:
    """When each job was meant to arrive, seconds from the start."""
    return tuple(record.intended_s - start_s for record in records)


def _moved(result: BenchResult, by_s: float, warmup_by_s: float, like: BenchResult) -> Iterator[JobRecord]:
    """The jobs of a run on another axis of time.

    Args:
        result: The run.
        by_s: By how much the jobs of its window move, seconds.
        warmup_by_s: By how much those of its warm-up do.
        like: A run whose workers' names its own are given, in order.
    """
    names = dict(zip(_workers(result), _workers(like), strict=False))
    for record in result.records:
        shift_s = by_s if record.intended_s >= result.summary.window.start_s else warmup_by_s
        yield replace(record.moved(shift_s), worker=names.get(record.worker or "", record.worker))


def _workers(result: BenchResult) -> list[str]:
    return sorted({record.worker for record in result.records if record.worker is not None})


def _stages(stages: Sequence[Stage], windows_s: Sequence[float], length_s: float) -> Iterator[Stage]:
    """The rate over the pooled run: that of the warm-up, then that of each window.

    Args:
        stages: The rate over one run.
        windows_s: Length of each run's window; shorter than planned where it was cut short.
        length_s: Of the pooled run.
    """
    warmup_s = length_s - sum(windows_s)
    if len({rate for stage in stages for rate in (stage.start_per_s, stage.end_per_s)}) == 1:
        yield Stage.steady(stages[0].start_per_s, length_s)
        return
    yield from _between(stages, 0.0, warmup_s)
    for window_s in windows_s:
        yield from _between(stages, warmup_s, warmup_s + window_s)


def _between(stages: Sequence[Stage], begin_s: float, end_s: float) -> Iterator[Stage]:
    """The part of some stages from one instant to another."""
    at_s = 0.0
    for stage in stages:
        low_s, high_s = max(0.0, begin_s - at_s), min(stage.duration_s, end_s - at_s)
        if high_s > low_s:
            yield Stage(high_s - low_s, stage.rate_at(low_s), stage.rate_at(high_s))
        at_s += stage.duration_s

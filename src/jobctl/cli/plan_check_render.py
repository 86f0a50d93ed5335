"""What ``jobctl plan --check`` says: the run it made, what was predicted and measured, and the verdict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from jobctl.apps.plan.check import Check
from jobctl.apps.plan.words import count_of, seconds, share
from jobctl.core.units import format_duration
from jobctl.core.validation import Comparison, Replay, Validation

__all__ = ["describe_check", "describe_run"]

_NAMES: Final = {
    "utilisation": "utilisation",
    "wait_mean_s": "mean wait",
    "wait_p50_s": "wait p50",
    "wait_p95_s": "wait p95",
}
_HEADS: Final = ("", "predicted", "95 % of simulated runs", "measured", "")
_WIDTHS: Final = (12, 10, 22, 10, 8)


def describe_run(check: Check) -> Iterator[str]:
    """What is about to be run, and in what it differs from the plan."""
    rehearsal = check.rehearsal
    fleet = count_of(rehearsal.replicas, "worker")
    yield (
        f"check: {fleet} of {rehearsal.concurrency} slots, {rehearsal.arrival_rate_per_s:.4g} jobs/s "
        f"for {format_duration(rehearsal.duration_s)}, real Redis and real workers"
    )
    for note in check.notes:
        yield f"  {note}"


def describe_check(validation: Validation) -> Iterator[str]:
    """What came out."""
    if validation.comparisons:
        yield _row(_HEADS)
        for figure in validation.comparisons:
            yield _row(_cells(figure))
    if validation.replay is not None:
        yield ""
        yield _replayed(validation.replay)
    yield f"check: {validation.judgement.verdict.value}, {validation.jobs:,} jobs"
    for reason in validation.judgement.reasons:
        yield f"  {reason}"


def _cells(figure: Comparison) -> tuple[str, ...]:
    show = share if figure.name == "utilisation" else seconds
    interval = f"{show(figure.low)} .. {show(figure.high)}"
    agrees = "agrees" if figure.agrees else "OUTSIDE"
    return _NAMES[figure.name], show(figure.predicted), interval, show(figure.measured), agrees


def _row(cells: tuple[str, ...]) -> str:
    first, *others = cells
    padded = [f"{cell:>{width}}" for cell, width in zip(others, _WIDTHS[1:], strict=True)]
    return "  ".join([f"{first:<{_WIDTHS[0]}}", *padded]).rstrip()


def _replayed(replay: Replay) -> str:
    says = "agrees" if replay.agrees else "DISAGREES"
    return (
        f"replay of the run's own arrivals and service times: mean wait {seconds(replay.replayed_s)}, measured "
        f"{seconds(replay.measured_s)}, allowed to differ by {seconds(replay.allowed_s)}: {says}"
    )

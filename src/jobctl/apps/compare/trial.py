"""A comparison from start to verdict: a measurement, and where it suspects a regression another one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jobctl.core.regression import (
    FALSE_ALARMS,
    FALSE_ALARMS_BEFORE_REPEAT,
    Comparison,
    Floors,
    Line,
    compare,
    conclude,
    suspects,
)
from jobctl.core.resampling import Round

__all__ = ["judge_rounds"]


def judge_rounds(
    first: Sequence[Round],
    floors: Floors,
    repeat: Callable[[Sequence[str]], Sequence[Round]] | None,
    doubts: Callable[[], Sequence[str]] = tuple,
) -> Comparison:
    """Compare both sides of some rounds.

    Args:
        first: The measurement.
        floors: What is too small to matter.
        repeat: Measures again, told the lines on which a regression is suspected; None where nobody can.
        doubts: Tells why what was measured so far is not to be trusted; with any such reason it cannot tell.
    """
    lines = compare(first, floors, false_alarms=FALSE_ALARMS if repeat is None else FALSE_ALARMS_BEFORE_REPEAT)
    suspected = () if doubts() else suspects(lines)
    second = repeat(suspected) if suspected and repeat is not None else ()
    again: Sequence[Line] = ()
    if second:
        again = compare(second, floors, false_alarms=FALSE_ALARMS_BEFORE_REPEAT, seed=2, only=suspected)
    return conclude(lines, again, (len(first), len(second)), floors, doubts())

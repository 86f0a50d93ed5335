"""The shape of a load: how its rate runs from the beginning to the end, at a level that is told apart from it.

Model. A shape is a list of straight lines (:class:`~jobctl.core.arrivals.Stage`), so that the jobs it means are an area
and every arrival process follows it. With L for the level (jobs/s) and T for the length, its mean rate is:

=========  ==========================================================================  ================
steady     L all the time                                                               L
soak       the same, for half an hour unless told                                       L
ramp       a straight line from L/10 up to L                                            0.55 L
steps      five equal steps: L/5, 2L/5, ... L                                           0.6 L
spike      L, and F times L in the middle sixth                                         (1 + (F - 1)/6) L
diurnal    a day with its trough at the beginning and its peak, F times L, at noon      L
a file     a day of times and relative rates                                            L
=========  ==========================================================================  ================

The last two are days of :mod:`jobctl.core.profiles`. Time in them runs K times as fast: a day takes 86400/K seconds
and rates stay, so that a K-th of the day's jobs has the day's shape. Whoever plays less than a day plays its beginning;
whoever plays more plays it again.

A replay is no shape but the recorded instants themselves, all of them nearer by one factor where time runs faster.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Final

from jobctl.core.arrivals import Stage
from jobctl.core.units import SECONDS_PER_DAY, parse_positive
from jobctl.errors import InvalidValue

if TYPE_CHECKING:
    from jobctl.core.profiles import Profile
    from jobctl.core.traces import Trace

__all__ = [
    "BENCH_SHAPES",
    "PLAN_SHAPES",
    "Replay",
    "ShapeKind",
    "WantedShape",
    "cut_replay",
    "day_stages",
    "make_stages",
    "parse_peak_factor",
    "parse_wanted_shape",
    "read_service_rule",
]

#: The ramp begins at this share of its end: from nothing, the first stretch would have too few jobs to tell anything.
_RAMP_FROM: Final = 0.1
_STEPS: Final = 5
#: Where the spike begins and ends, as shares of the length.
_SPIKE: Final = (5 / 12, 7 / 12)
_SPIKE_FACTOR: Final = 10.0
#: A length that differs by less, relatively, is a whole day.
_ROUNDING: Final = 1e-9


class ShapeKind(Enum):
    """The shapes, by their words; the last two are files."""

    STEADY = "steady"
    RAMP = "ramp"
    STEPS = "steps"
    SPIKE = "spike"
    SOAK = "soak"
    DIURNAL = "diurnal"
    FILE = "file"
    REPLAY = "replay"

    @property
    def is_day(self) -> bool:
        """Whether it is a day, in which time may run faster."""
        return self in (ShapeKind.DIURNAL, ShapeKind.FILE)

    @property
    def has_peak(self) -> bool:
        """Whether a factor says how high its peak is."""
        return self in (ShapeKind.DIURNAL, ShapeKind.SPIKE)

    @property
    def has_file(self) -> bool:
        """Whether it is in a file."""
        return self in (ShapeKind.FILE, ShapeKind.REPLAY)


#: The words that a plan reads: days.
PLAN_SHAPES: Final = (ShapeKind.STEADY, ShapeKind.DIURNAL)
#: The words that a load reads.
BENCH_SHAPES: Final = tuple(kind for kind in ShapeKind if not kind.has_file)


@dataclass(frozen=True, slots=True)
class WantedShape:
    """A shape as it was asked for.

    Attributes:
        kind: Which.
        path: The file, for those that have one.
    """

    kind: ShapeKind
    path: str = ""

    def __str__(self) -> str:
        return {ShapeKind.FILE: self.path, ShapeKind.REPLAY: f"replay:{self.path}"}.get(self.kind, self.kind.value)


def parse_wanted_shape(text: str, known: Collection[ShapeKind] = PLAN_SHAPES) -> WantedShape:
    """Read a shape's word, ``replay:FILE`` or the name of a file.

    Args:
        text: What was written.
        known: The words that mean something here; any other is taken for a file.

    Raises:
        InvalidValue: It names nothing.
    """
    word = text.strip()
    kind = next((kind for kind in known if kind.value == word.lower()), None)
    if kind is not None:
        return WantedShape(kind)
    prefix, colon, path = word.partition(":")
    if colon and prefix.lower() == ShapeKind.REPLAY.value:
        word, shape = path.strip(), ShapeKind.REPLAY
    else:
        shape = ShapeKind.FILE
    if not word:
        words = ", ".join(kind.value for kind in known)
        raise InvalidValue(f"{text!r} names no shape", f"give {words}, a file or replay:FILE")
    return WantedShape(shape, word)


def parse_peak_factor(text: str) -> float:
    """Read the busiest rate over the mean or base rate.

    Raises:
        InvalidValue: It is below 1.
    """
    factor = parse_positive(text)
    if factor < 1:
        raise InvalidValue(f"{text!r} is below 1", "give the busiest rate over the mean rate, 1 or more")
    return factor


def read_service_rule(text: str) -> str:
    """The text of a rule for the service times of a replay, once it was seen to be one.

    Raises:
        InvalidValue: It is none.
    """
    from jobctl.core.traces import parse_service_rule

    parse_service_rule(text)
    return text.strip()


def make_stages(
    kind: ShapeKind, level_per_s: float, duration_s: float, peak_factor: float | None = None
) -> tuple[Stage, ...]:
    """The rate of a shape that is no day.

    Args:
        kind: ``steady``, ``soak``, ``ramp``, ``steps`` or ``spike``.
        level_per_s: Its level, jobs per second: the highest rate, but that of a spike.
        duration_s: How long it lasts.
        peak_factor: How many times the level a spike is; None for 10.
    """
    match kind:
        case ShapeKind.RAMP:
            return (Stage(duration_s, level_per_s * _RAMP_FROM, level_per_s),)
        case ShapeKind.STEPS:
            return tuple(Stage.steady(level_per_s * nth / _STEPS, duration_s / _STEPS) for nth in range(1, _STEPS + 1))
        case ShapeKind.SPIKE:
            begin, end = _SPIKE
            top_per_s = level_per_s * (_SPIKE_FACTOR if peak_factor is None else peak_factor)
            return (
                Stage.steady(level_per_s, begin * duration_s),
                Stage.steady(top_per_s, (end - begin) * duration_s),
                Stage.steady(level_per_s, (1 - end) * duration_s),
            )
        case ShapeKind.STEADY | ShapeKind.SOAK:
            return (Stage.steady(level_per_s, duration_s),)
    raise ValueError(f"{kind} is no shape of a level alone")


def day_stages(day: Profile, time_scale: float, duration_s: float) -> tuple[Stage, ...]:
    """The rate of a day in which time runs faster, from its beginning on.

    Args:
        day: The day.
        time_scale: How many times as fast.
        duration_s: For how long, in seconds of the load; a day takes 86400 over the time scale.

    Raises:
        InvalidValue: The scale makes of the day nothing that could be played.
    """
    day_s = SECONDS_PER_DAY / time_scale
    if not 0 < day_s < math.inf:
        raise InvalidValue(f"time cannot run {time_scale:g} times as fast", "give a time scale such as 288")
    fast = replace(
        day, stages=tuple(replace(stage, duration_s=stage.duration_s / time_scale) for stage in day.stages), spikes=()
    )
    if math.isclose(duration_s, fast.period_s, rel_tol=_ROUNDING):
        return fast.stages
    return tuple(fast.between(0.0, duration_s))


@dataclass(frozen=True, slots=True)
class Replay:
    """Recorded arrivals, as a load plays them.

    Attributes:
        instants: Seconds from the start of each, ascending.
        services_s: Service time of each, seconds; None where nobody recorded it.
        stages: The rate they mean, minute by minute.
    """

    instants: tuple[float, ...]
    services_s: tuple[float, ...] | None
    stages: tuple[Stage, ...]


def cut_replay(trace: Trace, duration_s: float | None) -> Replay:
    """The beginning of a trace, or all of it.

    Args:
        trace: The trace, at the speed at which it is to be played.
        duration_s: For how long; None for its whole length.

    Raises:
        InvalidValue: The trace is shorter.
    """
    if duration_s is None:
        return Replay(tuple(trace.arrivals_s), _of(trace.services_s, None), trace.profile.stages)
    if duration_s > trace.length_s:
        raise InvalidValue(
            f"{duration_s:g} s is longer than {trace.name}, which lasts {trace.length_s:.4g} s", "give less, or nothing"
        )
    beyond = bisect_left(trace.arrivals_s, duration_s)
    stages: Sequence[Stage] = trace.profile.between(0.0, duration_s)
    return Replay(tuple(trace.arrivals_s[:beyond]), _of(trace.services_s, beyond), tuple(stages))


def _of(values: array[float] | None, beyond: int | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(values[:beyond])

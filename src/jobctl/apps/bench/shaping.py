"""From the words for a load's shape to the rate over time, or to the very instants of a replay.

What contradicts itself is refused here, by the name of the flag; a scenario's own words have the same names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from jobctl.core.arrivals import Arrivals, Stage
from jobctl.core.evidence import arrivals_of
from jobctl.core.profiles import diurnal_profile, parse_shape, shaped_profile
from jobctl.core.shapes import ShapeKind, WantedShape, cut_replay, day_stages, make_stages
from jobctl.core.traces import parse_trace
from jobctl.core.units import SECONDS_PER_DAY
from jobctl.errors import InvalidOption, InvalidValue

__all__ = ["STEADY", "ShapedLoad", "WantedLoad", "shape_load"]

#: The level when nobody says: 450,000 jobs a day.
_DEFAULT_PER_S: Final = 450_000 / SECONDS_PER_DAY
_DEFAULT_DURATION_S: Final = 30.0
#: How long a load soaks, and how long a day takes, when nobody says, seconds.
_SOAK_S: Final = 1800.0
_DAY_S: Final = 300.0
#: The peak of a diurnal day over its mean, as in a plan.
_DIURNAL_FACTOR: Final = 2.0

STEADY: Final = WantedShape(ShapeKind.STEADY)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WantedLoad:
    """The course of a load as it was asked for; None means "not given".

    Attributes:
        shape: Its shape.
        rate_per_s: Its level, jobs per second.
        duration_s: How long it lasts.
        peak_factor: How high its peak is.
        time_scale: How many times as fast time runs in it.
        service_rule: How columns of a replay become service times.
    """

    shape: WantedShape = STEADY
    rate_per_s: float | None = None
    duration_s: float | None = None
    peak_factor: float | None = None
    time_scale: float | None = None
    service_rule: str | None = None


@dataclass(frozen=True, slots=True)
class ShapedLoad:
    """The course of a load.

    Attributes:
        stages: The rate over time; of a replay, what its instants mean.
        time_scale: How many times as fast time runs in it; None where it does as it does.
        instants: Of a replay, when each job arrives, seconds from the start; None for arrivals that are made.
        services_s: Of a replay, the service time of each job, seconds; None where it has none.
        arrivals: Of a replay, how its gaps vary, as a process that varies as much.
    """

    stages: tuple[Stage, ...]
    time_scale: float | None = None
    instants: tuple[float, ...] | None = None
    services_s: tuple[float, ...] | None = None
    arrivals: Arrivals | None = None


def shape_load(wanted: WantedLoad, lines: Sequence[str] = ()) -> ShapedLoad:
    """Settle the course of a load.

    Args:
        wanted: What was asked for.
        lines: Of the shape's file, if it has one.

    Raises:
        InvalidOption: Something was said that this shape has no use for, or the file is no such file.
    """
    _check(wanted)
    kind = wanted.shape.kind
    if kind is ShapeKind.REPLAY:
        return _replayed(wanted, lines)
    level_per_s = _DEFAULT_PER_S if wanted.rate_per_s is None else wanted.rate_per_s
    if kind.is_day:
        return _day(wanted, level_per_s, lines)
    default_s = _SOAK_S if kind is ShapeKind.SOAK else _DEFAULT_DURATION_S
    duration_s = default_s if wanted.duration_s is None else wanted.duration_s
    option = "--rate" if wanted.peak_factor is None else "--peak-factor"
    return ShapedLoad(_call(option, make_stages, kind, level_per_s, duration_s, wanted.peak_factor))


def _check(wanted: WantedLoad) -> None:
    kind = wanted.shape.kind
    if wanted.peak_factor is not None and not kind.has_peak:
        raise InvalidOption(
            "--peak-factor", f"has no meaning for the shape {wanted.shape}", "drop it, or give --shape spike or diurnal"
        )
    if wanted.time_scale is not None and not (kind.is_day or kind is ShapeKind.REPLAY):
        raise InvalidOption(
            "--time-scale",
            f"has no meaning for the shape {wanted.shape}",
            "drop it, or give --shape diurnal, a file of a day or replay:FILE",
        )
    if wanted.service_rule is not None and kind is not ShapeKind.REPLAY:
        raise InvalidOption("--service-rule", "is about a replay", "add --shape replay:FILE, or drop it")


def _day(wanted: WantedLoad, mean_per_s: float, lines: Sequence[str]) -> ShapedLoad:
    if wanted.shape.kind is ShapeKind.FILE:
        points = _call("--shape", parse_shape, lines, wanted.shape.path)
        day = _call("--shape", shaped_profile, points, mean_per_s, wanted.shape.path)
    else:
        factor = _DIURNAL_FACTOR if wanted.peak_factor is None else wanted.peak_factor
        day = _call("--peak-factor", diurnal_profile, mean_per_s, factor)
    duration_s, time_scale = wanted.duration_s, wanted.time_scale
    if time_scale is None:
        duration_s = _DAY_S if duration_s is None else duration_s
        time_scale = SECONDS_PER_DAY / duration_s
    elif duration_s is None:
        duration_s = SECONDS_PER_DAY / time_scale
    return ShapedLoad(_call("--time-scale", day_stages, day, time_scale, duration_s), time_scale)


def _replayed(wanted: WantedLoad, lines: Sequence[str]) -> ShapedLoad:
    """A trace at the speed that was asked for; a volume asks for one too."""
    rule = wanted.service_rule
    trace = _call("--shape" if rule is None else "--service-rule", parse_trace, lines, wanted.shape.path, rule)
    time_scale = wanted.time_scale
    if wanted.rate_per_s is not None:
        if time_scale is not None:
            raise InvalidOption(
                "--time-scale", "cannot be combined with a volume, which says how fast to replay", "give one of them"
            )
        time_scale = wanted.rate_per_s / trace.mean_per_s
    if time_scale is not None:
        trace = _call("--time-scale", trace.scaled, time_scale)
    replay = _call("--duration", cut_replay, trace, wanted.duration_s)
    varying = arrivals_of(trace.scv, len(trace.arrivals_s) - 1)
    return ShapedLoad(replay.stages, time_scale, replay.instants, replay.services_s, varying)


def _call(option: str, make: Callable[..., T], *arguments: object) -> T:
    try:
        return make(*arguments)
    except InvalidValue as error:
        raise InvalidOption(option, error.problem, error.remedy) from None

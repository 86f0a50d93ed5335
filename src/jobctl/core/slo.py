"""What was promised, and how a promise stands.

An objective bounds one statistic of one signal. Two spellings mean the same: ``p95 wait <= 1s`` and ``wait.p95 < 1s``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from jobctl.core.units import format_duration, parse_positive_duration
from jobctl.errors import InvalidValue

__all__ = ["DEFAULT_OBJECTIVE", "Cover", "Drain", "Objective", "Promise", "Verdict", "Window", "parse_objective"]

_SIGNALS: Final = ("wait", "sojourn")
_REMEDY: Final = (
    'write it as "p95 wait <= 1s" or "wait.p95 < 1s"; signals: wait, sojourn; statistics: mean, p50 .. p99.9'
)
_WORD_FIRST: Final = re.compile(r"(\S+)\s+([a-z]+)\s*(<=?)\s*(.+)")
_DOTTED: Final = re.compile(r"([a-z]+)\.(\S+?)\s*(<=?)\s*(.+)")


class Verdict(StrEnum):
    """How a promise stands. "Could not tell" is neither kept nor broken."""

    KEPT = "kept"
    BROKEN = "broken"
    INCONCLUSIVE = "inconclusive"


class Window(StrEnum):
    """Which jobs of a day an objective is about. The readings differ, and so do the replicas they take."""

    #: All of them.
    WHOLE_DAY = "whole_day"
    #: Those that arrive in the hour with the most arrivals.
    BUSIEST_HOUR = "busiest_hour"
    #: Those of each hour for itself: the hour with the worst waits decides, which may come after the busiest one.
    EVERY_HOUR = "every_hour"


@dataclass(frozen=True, slots=True)
class Objective:
    """A bound on a statistic of a signal.

    Attributes:
        signal: ``wait`` or ``sojourn``.
        quantile: In (0, 1); None for the mean.
        threshold_s: The most it may be, seconds.
        window: Which jobs of the day it is about; None for those that the reader of the objective chooses.
    """

    signal: str
    quantile: float | None
    threshold_s: float
    window: Window | None = None

    def __str__(self) -> str:
        statistic = "mean" if self.quantile is None else f"p{100 * self.quantile:.10g}"
        return f"{statistic} {self.signal} <= {format_duration(self.threshold_s)}"


@dataclass(frozen=True, slots=True)
class Drain:
    """So many jobs, added at once to the load of the busiest hour, are gone within a time.

    Attributes:
        jobs: How many.
        within_s: The longest that it may take, seconds.
    """

    jobs: int
    within_s: float

    def __str__(self) -> str:
        return f"drain {self.jobs} jobs <= {format_duration(self.within_s)}"


@dataclass(frozen=True, slots=True)
class Cover:
    """The objectives hold, stretch of five minutes by stretch, for at least this share of the day.

    Attributes:
        share: In (0, 1].
    """

    share: float

    def __str__(self) -> str:
        return f"cover {100 * self.share:.10g}% of the day"


#: Whatever may be promised.
Promise = Objective | Drain | Cover

#: The objective that holds when nobody gave one.
DEFAULT_OBJECTIVE: Final = Objective("wait", 0.95, 1.0)


def parse_objective(text: str) -> Objective:
    """Read an objective in either spelling.

    Raises:
        InvalidValue: A word is unknown or the threshold is no duration.
    """
    compact = text.strip().lower()
    dotted, plain = _DOTTED.fullmatch(compact), _WORD_FIRST.fullmatch(compact)
    if dotted is not None:
        signal, statistic, threshold = dotted[1], dotted[2], dotted[4]
    elif plain is not None:
        statistic, signal, threshold = plain[1], plain[2], plain[4]
    else:
        raise InvalidValue(f"{text!r} is no objective", _REMEDY)
    if signal not in _SIGNALS:
        raise InvalidValue(f"{text!r} names an unknown signal {signal!r}", _REMEDY)
    return Objective(signal, _quantile(statistic, text), parse_positive_duration(threshold))


def _quantile(statistic: str, text: str) -> float | None:
    if statistic == "mean":
        return None
    match = re.fullmatch(r"p(\d{1,2}(?:\.\d+)?)", statistic)
    if match is None or not 0 < float(match[1]) < 100:
        raise InvalidValue(f"{text!r} has an unknown statistic {statistic!r}", _REMEDY)
    return float(match[1]) / 100

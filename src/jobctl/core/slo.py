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

__all__ = ["DEFAULT_OBJECTIVE", "Objective", "Verdict", "parse_objective"]

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


@dataclass(frozen=True, slots=True)
class Objective:
    """A bound on a statistic of a signal.

    Attributes:
        signal: ``wait`` or ``sojourn``.
        quantile: In (0, 1); None for the mean.
        threshold_s: The most it may be, seconds.
    """

    signal: str
    quantile: float | None
    threshold_s: float

    def __str__(self) -> str:
        statistic = "mean" if self.quantile is None else f"p{100 * self.quantile:.10g}"
        return f"{statistic} {self.signal} <= {format_duration(self.threshold_s)}"


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

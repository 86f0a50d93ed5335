"""What was promised, how it is written, and how a promise stands.

Three kinds of promise, each on one line::

    p95 wait <= 1s                        a bound on a statistic of a signal; wait.p95 < 1s means the same
    mean sojourn <= 10s over every hour   over which jobs of the day: the whole day, the busiest hour, every hour
    drain 10000 jobs <= 5m                a burst on top of the busiest hour is worked off in time
    cover 99% of the day                  the bounds hold, five minutes by five minutes, for that share of the day

A file of them (``slo.toml``) has one table each::

    [[objective]]
    slo = "p95 wait <= 1s"
    over = "busiest hour"                 # may be left out, or stand at the end of the line above

``<`` and ``<=`` mean the same. Case and blanks do not count. Every promise as text reads back as itself.

Such a file may also promise ``error_rate <= 1%``, which no number of replicas changes (:func:`parse_error_rate`), and
say how the fleet is operated (:mod:`jobctl.core.operations`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, Final

from jobctl.core.units import format_duration, parse_count, parse_duration, parse_positive_duration, parse_share
from jobctl.errors import InvalidValue

__all__ = [
    "DEFAULT_OBJECTIVE",
    "Cover",
    "Drain",
    "Objective",
    "Promise",
    "Verdict",
    "Window",
    "check_keys",
    "exact_duration",
    "hint",
    "parse_error_rate",
    "parse_objective",
    "parse_percent",
    "parse_quantile",
    "parse_slo_file",
    "parse_window",
]

#: What an objective may bound. All are durations of a job.
_SIGNALS: Final = ("wait", "sojourn")
#: What begins a promise that is no bound on a signal.
_DRAIN, _COVER = "drain", "cover"
_OBJECTIVE_REMEDY: Final = (
    'write it as "p95 wait <= 1s" or "wait.p95 < 1s"; signals: wait, sojourn; statistics: mean, p50 .. p99.9'
)
_DRAIN_REMEDY: Final = 'write it as "drain 10000 jobs <= 5m"'
_COVER_REMEDY: Final = 'write it as "cover 99% of the day"'
_WINDOW_REMEDY: Final = "give busiest-hour, whole-day or every-hour"
_BOUND: Final = re.compile(r"([^<=>]*?)\s*(?:<=|<|≤)\s*([^<=>]*)")
_QUANTILE: Final = re.compile(r"p(\d{1,2}(?:\.\d{1,6})?)")
_SHARE: Final = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)\s*%(?:\s+of\s+the\s+day)?")
_ERROR_RATE: Final = re.compile(r"error_rate\s*(?:<=|<|≤)\s*(\S+)", re.IGNORECASE)
#: The tables of a file that say something else than what is promised.
_OTHER_TABLES: Final = frozenset({"fleet", "notify", "scrape", "thresholds"})
#: Bursts beyond this many jobs are a mistake in the unit.
_MOST_DRAINED: Final = 1_000_000_000


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

    @property
    def words(self) -> str:
        """As a person says it: ``the busiest hour``, ``the whole day``, ``every hour``."""
        words = self.value.replace("_", " ")
        return words if self is Window.EVERY_HOUR else f"the {words}"


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
        over = "" if self.window is None else f" over {self.window.words}"
        return f"{statistic} {self.signal} <= {exact_duration(self.threshold_s)}{over}"


@dataclass(frozen=True, slots=True)
class Drain:
    """A burst is worked off in time.

    So many jobs wait at one instant, on top of the mean rate of the busiest hour. Within the time after that instant
    the backlog is gone: nobody waits any more, neither of them nor of those that arrived meanwhile. That takes the
    backlog over what the load leaves of the throughput. (All of them have *started* before: those behind wait longer.)

    Attributes:
        jobs: How many.
        within_s: The longest that it may take, seconds.
    """

    jobs: int
    within_s: float

    def __str__(self) -> str:
        return f"{_DRAIN} {self.jobs} jobs <= {exact_duration(self.within_s)}"


@dataclass(frozen=True, slots=True)
class Cover:
    """The objectives hold for at least a share of the day.

    The day is cut into stretches of five minutes. A stretch counts as covered if every objective holds for the jobs
    that arrive in it, or if none arrives. Objectives are then read stretch by stretch instead of over their window.

    Attributes:
        share: Of the stretches, in (0, 1].
    """

    share: float

    def __str__(self) -> str:
        return f"{_COVER} {100 * self.share:.10g}% of the day"


#: Whatever may be promised.
Promise = Objective | Drain | Cover

#: The objective that holds when nobody gave one.
DEFAULT_OBJECTIVE: Final = Objective("wait", 0.95, 1.0)


def parse_objective(text: str) -> Promise:
    """Read a promise of any kind, in either spelling.

    Raises:
        InvalidValue: A word is unknown, or a number means nothing; the word and the nearest known one are named.
    """
    compact = " ".join(text.lower().split())
    kind, _, rest = compact.partition(" ")
    if kind == _COVER:
        return _cover(rest, text)
    bound = _BOUND.fullmatch(compact)
    if bound is None:
        remedy = _DRAIN_REMEDY if kind == _DRAIN else _OBJECTIVE_REMEDY
        raise InvalidValue(f"{text!r} is no objective{hint(kind, (_DRAIN, _COVER))}", remedy)
    if kind == _DRAIN:
        return _drain(bound[1].partition(" ")[2], bound[2], text)
    statistic, signal = _statistic_and_signal(bound[1], text)
    threshold, _, window = bound[2].partition(" over ")
    return Objective(
        signal, _quantile(statistic, text), _duration(threshold, text), parse_window(window) if window else None
    )


def parse_window(text: str) -> Window:
    """Read over which jobs of the day an objective is: ``busiest-hour``, ``the whole day``, ``every_hour``...

    Raises:
        InvalidValue: It is none of them.
    """
    compact = re.sub(r"[\s_-]+", "_", text.strip().lower()).removeprefix("the_")
    if compact not in set(Window):
        words = [window.value for window in Window]
        raise InvalidValue(f"{text!r} is no window{hint(compact, words)}".replace("_", " "), _WINDOW_REMEDY)
    return Window(compact)


def parse_slo_file(content: Mapping[str, Any]) -> tuple[Promise, ...]:
    """Read the promises of a file from its decoded TOML.

    Raises:
        InvalidValue: A key is unknown, a promise means nothing or stands there twice, or there is none; the table is
            named by its number.
    """
    numbers: dict[Promise, int] = {}
    for number, table in _objectives(content):
        try:
            if _failures(table) is None and numbers.setdefault(promise := _promise(table), number) != number:
                raise InvalidValue(f"it is objective {numbers[promise]} once more", "take it out, or change it")
        except InvalidValue as error:
            raise InvalidValue(f"objective {number}: {error.problem}", error.remedy) from None
    return tuple(numbers)


def parse_error_rate(content: Mapping[str, Any]) -> float | None:
    """Read the share of the jobs that may fail for good from a file's decoded TOML; None where it promises nothing.

    Raises:
        InvalidValue: The share means nothing, or it is promised twice.
    """
    shares = [share for _, table in _objectives(content) if (share := _failures(table)) is not None]
    if len(shares) > 1:
        raise InvalidValue("error_rate is promised twice", "leave one of them")
    return shares[0] if shares else None


def _objectives(content: Mapping[str, Any]) -> Iterable[tuple[int, Any]]:
    """The tables of promises, numbered from 1."""
    check_keys(content, {"objective", *_OTHER_TABLES}, "the file")
    tables = content.get("objective")
    if not isinstance(tables, list) or not tables:
        raise InvalidValue("holds no objective", 'write [[objective]] and below it slo = "p95 wait <= 1s"')
    return enumerate(tables, 1)


def _failures(table: object) -> float | None:
    """The share in a promise about failures; None where a table is none."""
    text = table.get("slo") if isinstance(table, Mapping) else None
    bound = _ERROR_RATE.fullmatch(text.strip()) if isinstance(text, str) else None
    if bound is None:
        return None
    share = parse_share(bound[1])
    if not 0 < share < 1:
        raise InvalidValue(f"{text!r} leaves no failure, or every one", 'write it as "error_rate <= 1%"')
    return share


def _promise(table: object) -> Promise:
    if not isinstance(table, Mapping):
        raise InvalidValue(f"{table!r} is no table", 'write [[objective]] and below it slo = "p95 wait <= 1s"')
    check_keys(table, {"slo", "over"}, "it")
    for key, value in table.items():
        if not isinstance(value, str):
            raise InvalidValue(f"{key} = {value!r} is no text", "put it in quotes")
    if "slo" not in table:
        raise InvalidValue("slo is missing", 'add slo = "p95 wait <= 1s"')
    promise = parse_objective(table["slo"])
    if "over" not in table:
        return promise
    if not isinstance(promise, Objective):
        raise InvalidValue(f"over has no meaning for {table['slo']!r}", "leave it out")
    if promise.window is not None:
        raise InvalidValue(f"{table['slo']!r} names its window itself", "leave over out")
    return replace(promise, window=parse_window(table["over"]))


def check_keys(content: Mapping[str, Any], known: Collection[str], place: str) -> None:
    """Refuse a table with a key that it may not have.

    Raises:
        InvalidValue: It has one; the nearest known one is named.
    """
    for key in content:
        if key not in known:
            raise InvalidValue(
                f"{place} has an unknown key {key!r}{hint(key, known)}", f"known keys: {', '.join(sorted(known))}"
            )


def _drain(burst: str, within: str, text: str) -> Drain:
    count, _, noun = burst.partition(" ")
    if noun not in {"", "jobs", "job"}:
        raise InvalidValue(f"{text!r} has an unknown word {noun!r}{hint(noun, ['jobs'])}", _DRAIN_REMEDY)
    try:
        jobs = parse_count(count)
    except InvalidValue as error:
        raise InvalidValue(f"{text!r}: {error.problem}", _DRAIN_REMEDY) from None
    if jobs != int(jobs) or not 1 <= jobs <= _MOST_DRAINED:
        raise InvalidValue(f"{text!r}: {count!r} is no number of jobs", _DRAIN_REMEDY)
    return Drain(int(jobs), _duration(within, text, _DRAIN_REMEDY))


def _cover(rest: str, text: str) -> Cover:
    match = _SHARE.fullmatch(rest)
    share = parse_percent(match[1]) if match else 0.0
    if not 0 < share <= 1:
        raise InvalidValue(f"{text!r} names no share of the day above 0 and up to 100%", _COVER_REMEDY)
    return Cover(share)


def _statistic_and_signal(bounded: str, text: str) -> tuple[str, str]:
    """The words in front of the bound: ``p95 wait`` or ``wait.p95``."""
    if " " in bounded:
        statistic, _, signal = bounded.partition(" ")
    else:
        signal, _, statistic = bounded.partition(".")
    if signal not in _SIGNALS:
        raise InvalidValue(f"{text!r} names an unknown signal {signal!r}{hint(signal, _SIGNALS)}", _OBJECTIVE_REMEDY)
    return statistic, signal


def _quantile(statistic: str, text: str) -> float | None:
    if statistic == "mean":
        return None
    quantile = parse_quantile(statistic)
    if quantile is None:
        near = hint(statistic, ("mean",))
        raise InvalidValue(f"{text!r} has an unknown statistic {statistic!r}{near}", _OBJECTIVE_REMEDY)
    return quantile


def parse_quantile(word: str) -> float | None:
    """The quantile that a word such as ``p95`` or ``p99.9`` stands for; None where it stands for none."""
    match = _QUANTILE.fullmatch(word)
    return parse_percent(match[1]) if match and 0 < float(match[1]) < 100 else None


def parse_percent(digits: str) -> float:
    """The fraction nearest to a percentage; dividing by 100 would miss it by a rounding."""
    return float(f"{digits}e-2")


def _duration(threshold: str, text: str, remedy: str = _OBJECTIVE_REMEDY) -> float:
    try:
        return parse_positive_duration(threshold)
    except InvalidValue as error:
        raise InvalidValue(f"{text!r}: {error.problem}", remedy) from None


def hint(word: str, known: Collection[str]) -> str:
    """The known word that was perhaps meant, in brackets; empty where none is near."""
    near = get_close_matches(word, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def exact_duration(seconds: float) -> str:
    """A duration as a person writes it where three digits say all of it, else to the last digit."""
    shown = format_duration(seconds)
    try:
        exact = parse_duration(shown) == seconds
    except InvalidValue:
        exact = False
    return shown if exact else f"{seconds!r} s"

"""What a gate is and how it is written.

A gate is a bound on one figure of a run, on one line::

    wait.p95 < 1s                         a statistic of a signal; p95 wait < 1s means the same
    error_rate <= 1%                      a share, in percent or as a fraction
    lost == 0                             a number of jobs
    wait.p95 < 1s over 30s                in every stretch of 30 s of the window, each for itself
    wait.p95 < 1s over 10s for 30s        broken only when stretches fail for 30 s on end
    wait.p95 < 1s of chat                 of the jobs of one type

A file of them (``gates.toml``) has one table each::

    [[gate]]
    check = "wait.p95 < 1s"
    job = "chat"                          # the three tails may stand in keys of their own
    window = "10s"
    for = "20s"
    abort = true                          # end the run as soon as it is broken
    min_samples = 59                      # with fewer it is inconclusive
    severity = "warning"                  # it is told and never fails the run
    name = "users do not wait"

``for`` without a window is judged over windows of that length. Every gate as text reads back as the same bound.

Facts and measurements. *Facts* say what became of jobs: they count the whole run and hold however well the load was
offered. *Measurements* are about the window (the schedule without its warm-up), and tell something only where the load
was really offered.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from jobctl.core.samples import MIN_JOBS, samples_needed
from jobctl.core.slo import (
    Objective,
    check_keys,
    exact_duration,
    hint,
    parse_error_rate,
    parse_percent,
    parse_quantile,
    parse_slo_file,
)
from jobctl.core.units import parse_count, parse_positive_duration
from jobctl.errors import InvalidValue

__all__ = [
    "KEYS",
    "SIGNALS",
    "Comparison",
    "Gate",
    "Severity",
    "Signal",
    "Unit",
    "check_gate",
    "parse_gate",
    "parse_gate_tables",
    "parse_gates_file",
]


class Unit(StrEnum):
    """What a figure is counted in."""

    SECONDS = "s"
    JOBS = "jobs"
    RATE = "jobs/s"
    USD = "USD"
    SHARE = ""


class Comparison(StrEnum):
    """How a figure has to stand to its threshold."""

    BELOW = "<"
    AT_MOST = "<="
    ABOVE = ">"
    AT_LEAST = ">="
    EQUAL = "=="

    def holds(self, value: float, threshold: float) -> bool:
        """Whether the figure stands so."""
        match self:
            case Comparison.BELOW:
                return value < threshold
            case Comparison.AT_MOST:
                return value <= threshold
            case Comparison.ABOVE:
                return value > threshold
            case Comparison.AT_LEAST:
                return value >= threshold
            case Comparison.EQUAL:
                return value == threshold

    @property
    def is_upper(self) -> bool:
        """Whether it bounds from above."""
        return self in {Comparison.BELOW, Comparison.AT_MOST}


class Severity(StrEnum):
    """What a gate that does not hold does to the run."""

    #: The run is broken.
    ERROR = "error"
    #: It is told, and changes nothing.
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Signal:
    """A figure that a gate may bound.

    Attributes:
        unit: What it is counted in.
        statistics: The statistics to choose from; empty where the signal is one figure. None: of durations, which have
            ``mean``, ``max`` and any percentile.
        default: The statistic that is meant when none is named; None where there is none.
        is_fact: Whether it says what became of jobs, and not how the system did.
        min_samples: The fewest jobs that it tells something from; a percentile may need more.
        live: The statistics that are known while the run goes on, with "" for the signal itself; None for all.
        has_windows: Whether it may be judged window by window.
        has_types: Whether it may be judged for the jobs of one type.
    """

    unit: Unit
    statistics: tuple[str, ...] | None = ()
    default: str | None = None
    is_fact: bool = False
    min_samples: int = 1
    live: Collection[str] | None = ()
    has_windows: bool = True
    has_types: bool = True

    @property
    def are_durations(self) -> bool:
        """Whether it is a duration of each job."""
        return self.statistics is None


_DURATIONS: Final = Signal(Unit.SECONDS, statistics=None, live=None)

#: Every signal, in the order in which gates are judged: what became of jobs first, latency after it.
SIGNALS: Final[Mapping[str, Signal]] = {
    "lost": Signal(Unit.JOBS, is_fact=True),
    "duplicated": Signal(Unit.JOBS, is_fact=True),
    "error_rate": Signal(Unit.SHARE, is_fact=True, min_samples=MIN_JOBS, live={""}),
    "retried": Signal(Unit.JOBS, is_fact=True, live={""}),
    "backlog": Signal(Unit.JOBS, ("max", "slope"), live={"max"}),
    "achieved/offered": Signal(Unit.SHARE, min_samples=MIN_JOBS),
    "throughput": Signal(Unit.RATE, min_samples=MIN_JOBS),
    "goodput": Signal(Unit.RATE, min_samples=MIN_JOBS),
    "drain_time": Signal(Unit.SECONDS, has_windows=False),
    "utilisation": Signal(Unit.SHARE),
    "enqueue": _DURATIONS,
    "wait": _DURATIONS,
    "service": _DURATIONS,
    "sojourn": _DURATIONS,
    "schedule_lag": _DURATIONS,
    "cost": Signal(Unit.USD, ("total", "per_job"), default="total", is_fact=True, live=None),
}

_REMEDY: Final = 'write it as "wait.p95 < 1s", "error_rate <= 1%" or "lost == 0"'
_FILE_REMEDY: Final = 'write [[gate]] and below it check = "wait.p95 < 1s"'
_FORM: Final = re.compile(r"\s*([^<>=≤≥]+?)\s*(<=|>=|==|<|>|≤|≥)\s*([^<>=≤≥]+?)\s*")
_TAIL: Final = re.compile(r"\s+(over|for|of)\s+", re.IGNORECASE)
_PERCENT: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*%")
_ZERO: Final = re.compile(r"[+-]?0+(\.0*)?")
#: What a table of a file may say.
KEYS: Final = {"check", "job", "window", "for", "abort", "min_samples", "severity", "name"}
#: The key of a table that says the same as a tail of the line.
_KEY_OF_TAIL: Final = {"of": "job", "over": "window", "for": "for"}
_SIGNS: Final = {"≤": "<=", "≥": ">="}
#: What may stand behind a number, by its unit.
_UNIT_WORDS: Final = {
    Unit.JOBS: ("jobs", "job"),
    Unit.RATE: ("jobs/s", "job/s", "/s"),
    Unit.USD: ("usd", "$"),
}
_EXAMPLES: Final = {
    Unit.SECONDS: "a duration such as 250ms",
    Unit.JOBS: "a number of jobs such as 500",
    Unit.RATE: "jobs per second such as 4.9",
    Unit.USD: "dollars such as 2.50",
    Unit.SHARE: "a share such as 1% or 0.01",
}


@dataclass(frozen=True, slots=True)
class Gate:
    """A bound on one figure of a run.

    Attributes:
        signal: A key of :data:`SIGNALS`.
        statistic: ``mean``, ``max``, a percentile such as ``p95``, or one of the signal's own; None where the signal is
            one figure.
        comparison: How the figure has to stand to the threshold.
        threshold: In the signal's unit; shares as fractions.
        job: The type whose jobs alone it is about; None for all.
        window_s: The length of the windows that are judged each for itself, seconds; None for the run as a whole.
        for_s: How long windows must fail on end to break it, seconds; None where one failing window does.
        abort: Whether the run ends as soon as it is broken.
        fewest: The fewest jobs to judge from, if that was said.
        severity: What becomes of the run when it does not hold.
        name: What a person calls it; None without a name.
    """

    signal: str
    statistic: str | None
    comparison: Comparison
    threshold: float
    job: str | None = None
    window_s: float | None = None
    for_s: float | None = None
    abort: bool = False
    fewest: int | None = None
    severity: Severity = Severity.ERROR
    name: str | None = None

    @property
    def kind(self) -> Signal:
        """The signal it bounds."""
        return SIGNALS[self.signal]

    @property
    def unit(self) -> Unit:
        """The unit of its figure."""
        return Unit.RATE if self.statistic == "slope" else self.kind.unit

    @property
    def quantile(self) -> float | None:
        """The quantile it bounds; None for other statistics."""
        return parse_quantile(self.statistic or "")

    @property
    def min_samples(self) -> int:
        """With fewer jobs than this it is inconclusive.

        By default what the figure needs: a percentile of waits as many as bound it (59 for p95, 299 for p99), a mean,
        share or rate as many as a trend. Schedule lags are all there are, so nothing is inferred from them.
        """
        if self.fewest is not None:
            return self.fewest
        if self.signal == "schedule_lag":
            return self.kind.min_samples
        if self.quantile is not None:
            return samples_needed(self.quantile)
        return MIN_JOBS if self.statistic in {"mean", "slope"} else self.kind.min_samples

    @property
    def figure(self) -> str:
        """What is bounded: ``wait.p95``, ``error_rate``, ``cost.per_job``."""
        shown = self.statistic is not None and self.statistic != self.kind.default
        return f"{self.signal}.{self.statistic}" if shown else self.signal

    def __str__(self) -> str:
        tails = [
            f" over {exact_duration(self.window_s)}" if self.window_s is not None else "",
            f" for {exact_duration(self.for_s)}" if self.for_s is not None else "",
            f" of {self.job}" if self.job is not None else "",
        ]
        return f"{self.figure} {self.comparison} {_written(self.threshold, self.unit)}{''.join(tails)}"


def parse_gate(text: str) -> Gate:
    """Read a gate from its line.

    Raises:
        InvalidValue: A word is unknown, a number or its unit means nothing; the nearest known word is named.
    """
    return _checked(_gate_of(text), text)


def _gate_of(text: str) -> Gate:
    """A gate as its line says it, still without what follows from that."""
    form = _FORM.fullmatch(text)
    if form is None:
        raise InvalidValue(f"{text!r} is no gate", _REMEDY)
    signal, statistic = _figure(" ".join(form[1].lower().split()), text)
    threshold, *tails = _TAIL.split(form[3])
    keywords = [keyword.lower() for keyword in tails[::2]]
    for keyword in keywords:
        if keywords.count(keyword) > 1:
            raise InvalidValue(f"{text!r} says {keyword!r} twice", "keep one")
    said = dict(zip(keywords, tails[1::2], strict=True))
    gate = Gate(signal, statistic, Comparison(_SIGNS.get(form[2], form[2])), 0.0)
    gate = replace(gate, threshold=_threshold(threshold, gate, text))
    if gate.comparison is Comparison.EQUAL and gate.unit not in {Unit.JOBS, Unit.SHARE}:
        raise InvalidValue(f"{text!r} wants a measured {gate.figure} to equal a number", "use <, <=, > or >=")
    _refuse_what_is_certain(gate, text)
    return _with_tails(gate, said, text)


def parse_gates_file(content: Mapping[str, Any]) -> tuple[Gate, ...]:
    """Read the gates of a file from its decoded TOML.

    A file of promises (``slo.toml``) is one as well: each bound in it is a gate.

    Raises:
        InvalidValue: A key is unknown, a gate means nothing, or there is none; the table is named by its number.
    """
    if "objective" in content:
        return _promised(content)
    check_keys(content, {"gate"}, "the file")
    gates = parse_gate_tables(content.get("gate"))
    if not gates:
        raise InvalidValue("holds no gate", _FILE_REMEDY)
    return gates


def _promised(content: Mapping[str, Any]) -> tuple[Gate, ...]:
    """The gates of a file of promises (``slo.toml``); those about a whole day or a burst are not about a run."""
    rate = parse_error_rate(content)
    bounds = [] if rate is None else [f"error_rate <= {rate!r}"]
    promises = parse_slo_file(content)
    bounds += [str(one) for one in promises if isinstance(one, Objective) and one.window is None]
    if not bounds:
        raise InvalidValue("promises nothing that a run could show", 'add an objective such as slo = "p95 wait <= 1s"')
    return tuple(parse_gate(bound) for bound in bounds)


def parse_gate_tables(tables: object) -> tuple[Gate, ...]:
    """Read the ``[[gate]]`` tables of a file; none where it has none.

    Raises:
        InvalidValue: A key is unknown or a gate means nothing; the table is named by its number.
    """
    if tables is None:
        return ()
    if not isinstance(tables, list):
        raise InvalidValue("gate is not a list of tables", _FILE_REMEDY)
    gates = []
    for number, table in enumerate(tables, 1):
        try:
            gates.append(_gate(table))
        except InvalidValue as error:
            raise InvalidValue(f"gate {number}: {error.problem}", error.remedy) from None
    return tuple(gates)


def check_gate(gate: Gate, *, job_types: Collection[str], judged_s: float, knows_slots: bool) -> None:
    """Refuse a gate that a run can never judge.

    Args:
        gate: The gate.
        job_types: The types of job that the run enqueues.
        judged_s: The length of the window that is judged, seconds.
        knows_slots: Whether the slots of the workers are known.

    Raises:
        InvalidValue: A type is not enqueued, a window or ``for`` is longer than the run, or slots are not known.
    """
    if gate.job is not None and gate.job not in job_types:
        raise InvalidValue(
            f"{str(gate)!r} is about jobs that are not enqueued{hint(gate.job, job_types)}",
            f"name one of: {', '.join(job_types)}",
        )
    longest_s = max(gate.window_s or 0.0, gate.for_s or 0.0)
    if longest_s > judged_s:
        raise InvalidValue(
            f"{str(gate)!r} needs {longest_s:g} s, and {judged_s:g} s are judged", "lengthen the run or shorten it"
        )
    if gate.signal == "utilisation" and not knows_slots:
        raise InvalidValue(
            f"{str(gate)!r} needs to know the slots", "give --replicas and --concurrency of your workers"
        )


def _figure(words: str, text: str) -> tuple[str, str | None]:
    """The signal and its statistic from ``wait.p95``, ``p95 wait`` or ``lost``."""
    compact = re.sub(r"\s*([/.])\s*", r"\1", words)
    statistic: str | None
    if " " in compact:
        statistic, _, name = compact.partition(" ")
    else:
        name, dot, statistic = compact.partition(".")
        if name not in SIGNALS and dot and "." in statistic:
            raise InvalidValue(f"{text!r} is no gate", _REMEDY)
        statistic = statistic if dot else None
    if name not in SIGNALS:
        raise InvalidValue(
            f"{text!r} names an unknown signal {name!r}{hint(name, SIGNALS)}", f"signals: {', '.join(SIGNALS)}"
        )
    return name, _statistic(statistic, name, text)


def _statistic(word: str | None, name: str, text: str) -> str | None:
    signal = SIGNALS[name]
    if word is None:
        if signal.default is not None or signal.statistics == ():
            return signal.default
        raise InvalidValue(f"{text!r} names no statistic of {name}", f"write {_choices(name)}")
    if signal.are_durations:
        quantile = parse_quantile(word)
        if quantile is not None:
            return f"p{100 * quantile:.10g}"
    known = ("mean", "max") if signal.statistics is None else signal.statistics
    if word not in known:
        remedy = f"write {_choices(name)}" if known else f"write {name} alone"
        raise InvalidValue(f"{text!r} has an unknown statistic {word!r}{hint(word, known)}", remedy)
    return word


def _choices(name: str) -> str:
    statistics = SIGNALS[name].statistics
    if statistics is None:
        return f"{name}.mean, {name}.p50 .. {name}.p99.9 or {name}.max"
    return " or ".join(f"{name}.{statistic}" for statistic in statistics)


def _threshold(word: str, gate: Gate, text: str) -> float:
    unit = gate.unit
    try:
        if unit is Unit.SECONDS:
            return parse_positive_duration(word)
        value = _share(word) if unit is Unit.SHARE else _number(word, _UNIT_WORDS[unit])
        if value < 0 and gate.statistic != "slope":
            raise InvalidValue("is below 0", "")
    except InvalidValue:
        raise InvalidValue(f"{text!r}: {word!r} does not fit {gate.figure}", f"give {_EXAMPLES[unit]}") from None
    return value


def _refuse_what_is_certain(gate: Gate, text: str) -> None:
    """Refuse a gate that holds, or fails, whatever is measured: it judges nothing."""
    figure, threshold = gate.figure, gate.threshold
    if gate.statistic != "slope" and threshold == 0 and gate.comparison in {Comparison.BELOW, Comparison.AT_LEAST}:
        raise InvalidValue(f"{text!r}: {figure} is never below 0", "use == 0, <= 0 or > 0")
    if gate.unit is Unit.SHARE and threshold == 1 and gate.comparison in {Comparison.ABOVE, Comparison.AT_MOST}:
        raise InvalidValue(f"{text!r}: {figure} is never above 100%", "use a smaller share")
    if gate.unit is Unit.JOBS and gate.comparison is Comparison.EQUAL and not threshold.is_integer():
        raise InvalidValue(f"{text!r}: {figure} is a whole number", "give a whole number")


def _share(word: str) -> float:
    """A share in 0..1; a bare number above 1 is taken for a forgotten %."""
    percent = _PERCENT.fullmatch(word)
    share = parse_percent(percent[1]) if percent else _number(word, ())
    if share > 1:
        raise InvalidValue(f"{word!r} is more than all", "")
    return share


def _number(word: str, units: Collection[str]) -> float:
    """A finite number, of either sign or zero, with or without its unit."""
    digits = word.lower().removeprefix("$") if "$" in units else word.lower()
    for unit in units:
        if digits.endswith(unit):
            digits = digits.removesuffix(unit)
            break
    digits = digits.strip()
    if _ZERO.fullmatch(digits):
        return 0.0
    return -parse_count(digits[1:]) if digits.startswith("-") else parse_count(digits)


def _with_tails(gate: Gate, said: Mapping[str, str], text: str) -> Gate:
    """The gate with what ``over``, ``for`` and ``of`` say."""
    try:
        window_s = parse_positive_duration(said["over"]) if "over" in said else None
        for_s = parse_positive_duration(said["for"]) if "for" in said else None
    except InvalidValue as error:
        raise InvalidValue(f"{text!r}: {error.problem}", error.remedy) from None
    return replace(gate, job=said.get("of"), window_s=window_s, for_s=for_s)


def _checked(gate: Gate, text: str) -> Gate:
    """The gate with the window that ``for`` alone means; what has no meaning for its signal is refused."""
    gate, kind = replace(gate, window_s=gate.for_s if gate.window_s is None else gate.window_s), gate.kind
    if gate.window_s is not None and not kind.has_windows:
        raise InvalidValue(f"{text!r}: {gate.figure} is one figure of the whole run", "leave the window out")
    if gate.for_s is not None and gate.window_s is not None and gate.for_s < gate.window_s:
        raise InvalidValue(f"{text!r} fails for less than one of its windows", "give 'for' at least the window")
    if gate.abort and kind.live is not None and (gate.statistic or "") not in kind.live:
        raise InvalidValue(f"{text!r}: {gate.figure} is known only at the end", "leave abort out")
    if gate.abort and gate.severity is Severity.WARNING:
        raise InvalidValue(f"{text!r} is a warning, and a warning ends no run", "leave abort or severity out")
    if gate.abort and gate.signal == "backlog" and (gate.job is not None or gate.window_s is not None):
        raise InvalidValue(f"{text!r}: while it runs only the whole backlog is seen", "leave abort out")
    return gate


def _gate(table: object) -> Gate:
    """A gate from a table of a file."""
    if not isinstance(table, Mapping):
        raise InvalidValue(f"{table!r} is no table", _FILE_REMEDY)
    check_keys(table, KEYS, "it")
    for key in ("check", "job", "window", "for", "severity", "name"):
        if key in table and (not isinstance(table[key], str) or not table[key].strip()):
            raise InvalidValue(f"{key} = {table[key]!r} is no text", "put it in quotes")
    if "check" not in table:
        raise InvalidValue("check is missing", 'add check = "wait.p95 < 1s"')
    text, gate = table["check"], _gate_of(table["check"])
    said = {tail: table[key] for tail, key in _KEY_OF_TAIL.items() if key in table}
    for tail, known in (("of", gate.job), ("over", gate.window_s), ("for", gate.for_s)):
        if tail in said and known is not None:
            raise InvalidValue(f"{text!r} says {tail!r} itself", f"leave {_KEY_OF_TAIL[tail]} out")
    tailed = _with_tails(gate, said, text)
    gate = replace(
        gate,
        job=gate.job or tailed.job,
        window_s=gate.window_s or tailed.window_s,
        for_s=gate.for_s or tailed.for_s,
        abort=_flag(table),
        fewest=_fewest(table),
        severity=_severity(table),
        name=table.get("name"),
    )
    return _checked(gate, text)


def _flag(table: Mapping[str, Any]) -> bool:
    abort = table.get("abort", False)
    if not isinstance(abort, bool):
        raise InvalidValue(f"abort = {abort!r} is neither true nor false", "give one of them, without quotes")
    return abort


def _fewest(table: Mapping[str, Any]) -> int | None:
    fewest = table.get("min_samples")
    if fewest is not None and (isinstance(fewest, bool) or not isinstance(fewest, int) or fewest < 1):
        raise InvalidValue(f"min_samples = {fewest!r} is not a whole number above 0", "give 1 or more")
    return fewest


def _severity(table: Mapping[str, Any]) -> Severity:
    word = table.get("severity", Severity.ERROR.value)
    known = [severity.value for severity in Severity]
    if word not in known:
        raise InvalidValue(f"severity = {word!r} is unknown{hint(word, known)}", f"give {' or '.join(known)}")
    return Severity(word)


def _written(threshold: float, unit: Unit) -> str:
    """A threshold as a person writes it, to the last digit that counts."""
    if unit is Unit.SECONDS:
        return exact_duration(threshold)
    if unit is Unit.SHARE:
        percent = f"{100 * threshold:.10f}".rstrip("0").rstrip(".")
        return f"{percent}%" if parse_percent(percent) == threshold else repr(threshold)
    number = f"{threshold:.10g}"
    number = number if float(number) == threshold else repr(threshold)
    return number if unit is Unit.JOBS else f"{number} {unit}"

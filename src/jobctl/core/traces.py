"""Real arrivals, replayed: read from a table with one row per job.

The table is comma, semicolon or tab separated. A column of instants is needed: seconds, those since the epoch also in
milliseconds, microseconds or nanoseconds, or ISO 8601. A column of service times is used where there is one; in place
of it, a rule can turn other columns into seconds, such as ``1.0 + 0.05 * generated_tokens``. Other columns are ignored,
and so are blank lines and lines that start with #. Without a header there are one or two columns: instants, service
times.
"""

from __future__ import annotations

import csv
import math
import re
from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from itertools import pairwise
from statistics import fmean
from typing import Final, TypeVar

from jobctl.core.arrivals import Stage
from jobctl.core.profiles import Profile
from jobctl.core.service import Empirical
from jobctl.errors import InvalidValue

__all__ = ["ARRIVAL_COLUMNS", "ServiceRule", "Table", "Trace", "parse_service_rule", "parse_trace"]

T = TypeVar("T")

#: Length of the stretches over which a trace's rate is told.
_STRETCH_S: Final = 60.0
#: The most of these; a trace of more than two months is told by longer ones.
_MOST_STRETCHES: Final = 100_000
#: A shorter or longer trace is a column of something else.
_LENGTHS_S: Final = (1e-3, 1e9)
#: Numbers above these are since the epoch and in this unit: in the next longer one they would be beyond the year 5000.
_EPOCH_UNITS_S: Final = ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3))
#: Names of the column of instants; the first of them that a table has is taken.
ARRIVAL_COLUMNS: Final = (
    *("arrival_s", "arrival", "arrivals", "arrived_s", "arrived", "arrived_at", "arrival_time", "intended_s"),
    *("timestamp", "ts", "time", "datetime", "date", "enqueued_s", "enqueued", "enqueued_at", "created_at"),
    *("submitted_at", "started_at", "start_time"),
)
#: Names of the column of service times, likewise; each may end in _s or _seconds, or in _ms for milliseconds.
_SERVICE: Final = ("service", "service_time", "duration", "latency", "runtime", "run_time", "elapsed", "execution_time")
_UNITS_S: Final = {"_s": 1.0, "": 1.0, "_seconds": 1.0, "_sec": 1.0, "_ms": 1e-3}
_TERM: Final = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)\s*(?:\*\s*(?P<factor_of>[A-Za-z_]\w*))?"
    r"|(?P<column>[A-Za-z_]\w*))\s*"
)
_RULE_REMEDY: Final = "write a sum of NUMBER, COLUMN and NUMBER * COLUMN, such as 1.0 + 0.05 * generated_tokens"


@dataclass(frozen=True)  # without slots, for what is worked out once
class Trace:
    """Real arrivals, and how long each job took where that is known.

    Attributes:
        name: Where they come from.
        arrivals_s: Seconds after the first, ascending; at least two, not all at once.
        services_s: Service time of each, seconds; None where the trace holds none.
    """

    name: str
    arrivals_s: array[float]
    services_s: array[float] | None = None

    @property
    def length_s(self) -> float:
        """How long it lasts: to the last arrival, and a mean gap more, after which the first would come again."""
        return self.arrivals_s[-1] * len(self.arrivals_s) / (len(self.arrivals_s) - 1)

    @property
    def mean_per_s(self) -> float:
        """Mean rate of arrivals."""
        return len(self.arrivals_s) / self.length_s

    @property
    def scv(self) -> float:
        """Squared coefficient of variation of the gaps between arrivals."""
        gaps = [later - earlier for earlier, later in pairwise(self.arrivals_s)]
        mean = fmean(gaps)
        return fmean((gap / mean - 1) ** 2 for gap in gaps)

    @cached_property
    def service_law(self) -> Empirical | None:
        """Its service times as a law; None where it holds none."""
        return None if self.services_s is None else Empirical(tuple(self.services_s))

    @cached_property
    def profile(self) -> Profile:
        """Its rate, minute by minute: as many equal stretches of about a minute as it has, each with its mean rate."""
        count = max(1, min(_MOST_STRETCHES, round(self.length_s / _STRETCH_S)))
        stretch_s = self.length_s / count
        edges = [bisect_left(self.arrivals_s, nth * stretch_s) for nth in range(count)] + [len(self.arrivals_s)]
        rates = [(beyond - first) / stretch_s for first, beyond in pairwise(edges)]
        return Profile(self.name, tuple(Stage.steady(rate, stretch_s) for rate in rates))

    def scaled(self, time_scale: float) -> Trace:
        """The same jobs so many times as fast: gaps shrink, service times stay.

        Raises:
            InvalidValue: The scale is not above 0.
        """
        if not (math.isfinite(time_scale) and time_scale > 0):
            raise InvalidValue(f"time cannot run {time_scale} times as fast", "give a time scale above 0")
        return replace(self, arrivals_s=array("d", [arrival_s / time_scale for arrival_s in self.arrivals_s]))


@dataclass(frozen=True, slots=True)
class ServiceRule:
    """Service time as a sum over columns.

    Attributes:
        terms: What is summed: seconds, or seconds per unit of a column and its name.
    """

    terms: tuple[tuple[float, str | None], ...]


def parse_service_rule(text: str) -> ServiceRule:
    """Read a sum of ``NUMBER``, ``COLUMN`` and ``NUMBER * COLUMN``; nothing in it is evaluated.

    Raises:
        InvalidValue: The text is something else.
    """
    terms: list[tuple[float, str | None]] = []
    position = -1
    while position < len(text):
        term = _TERM.match(text, position + 1)
        if term is None or text[term.end() : term.end() + 1] not in ("", "+"):
            raise InvalidValue(f"{text!r} is no rule for service times", _RULE_REMEDY)
        number = float(term["number"] or 1)
        if not math.isfinite(number):
            raise InvalidValue(f"{text!r} holds {term['number']}, which is no finite number", _RULE_REMEDY)
        column = term["factor_of"] or term["column"]
        terms.append((number, _plain(column) if column else None))
        position = term.end()
    return ServiceRule(tuple(terms))


def parse_trace(lines: Sequence[str], place: str, service_rule: str | None = None) -> Trace:
    """Read a trace.

    Args:
        lines: Of the file.
        place: Its name, for messages.
        service_rule: How other columns become service times; None to use the table's own, where it has them.

    Raises:
        InvalidValue: It is no such table, is empty, or is not sorted by time; the line is named.
    """
    rule = None if service_rule is None else parse_service_rule(service_rule)
    table = Table.read(lines, place)
    arrivals = table.instants()
    return Trace(place, arrivals, table.services() if rule is None else table.services_by(rule))


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under named columns.

    Attributes:
        place: Where it comes from, for messages.
        columns: Position of each column by its plain name.
        rows: The cells.
        numbers: The line of each row.
    """

    place: str
    columns: dict[str, int]
    rows: list[list[str]]
    numbers: list[int]

    @classmethod
    def read(cls, lines: Sequence[str], place: str) -> Table:
        """Split lines into cells and find the header."""
        kept = [(n, line) for n, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")]
        if not kept:
            raise InvalidValue(f"{place} is empty", "give a file with one row per job")
        first = kept[0][1]
        if first.lstrip()[0] in "[{":
            raise InvalidValue(f"{place} is JSON and no table", "write one row per job, cells with commas between")
        delimiter = max(",;\t", key=first.count)
        try:
            rows = list(csv.reader((line for _, line in kept), delimiter=delimiter, strict=True))
        except csv.Error as error:
            raise InvalidValue(
                f"{place} is no table ({error})", "write one row per job, cells with commas between"
            ) from None
        numbers = [n for n, _ in kept]
        if len(rows) != len(numbers):
            raise InvalidValue(f"{place} has a quoted cell over several lines", "write one row per line")
        header = [_plain(cell) for cell in rows[0]]
        if not _is_instant(header[0]):
            return cls(place, {name: position for position, name in enumerate(header)}, rows[1:], numbers[1:])
        if len(header) > 2:
            raise InvalidValue(
                f"{place} has {len(header)} columns and no header",
                f"name them in the first line, one of them {ARRIVAL_COLUMNS[0]}",
            )
        return cls(place, dict(zip(("arrival_s", "service_s"), range(len(header)), strict=False)), rows, numbers)

    def first_of(self, *names: str) -> str | None:
        """The first of these columns that it has."""
        return next((name for name in names if name in self.columns), None)

    def texts(self, column: str | None) -> list[str]:
        """A column as it stands; nothing but empty cells where there is no such column."""
        return [""] * len(self.rows) if column is None else [self._cell(row, self.columns[column]) for row in self.rows]

    def known_instants(self, column: str | None) -> list[float | None]:
        """Instants of a column, seconds since any; None for empty cells."""
        texts = [text for text in self.texts(column) if text]
        if column is None or not texts:
            return [None] * len(self.rows)
        known = self._known(column, _read_number if _is_number(texts[0]) else _read_date)
        unit_s = _epoch_unit_s(max(abs(instant) for instant in known if instant is not None))
        return [None if instant is None else instant * unit_s for instant in known]

    def known_services(self) -> list[float | None]:
        """Service times, seconds; None for empty cells, or for all without a column of them."""
        column, unit_s = self._service_column()
        if column is None:
            return [None] * len(self.rows)
        known = self._known(column, partial(_read_amount, column))
        return [None if service is None else service * unit_s for service in known]

    def instants(self) -> array[float]:
        """Seconds after the first arrival."""
        column = self.first_of(*ARRIVAL_COLUMNS)
        if column is None:
            raise InvalidValue(
                f"{self.place} has no column of arrivals; it has {', '.join(self.columns)}",
                "call one of them arrival_s, arrival, arrived_at, timestamp, time, enqueued_at or created_at",
            )
        if not self.rows:
            raise InvalidValue(f"{self.place} is empty", "give a file with one row per job")
        sample = self._cell(self.rows[0], self.columns[column])
        instants = self._column(column, _read_number if _is_number(sample) else _read_date)
        unit_s = _epoch_unit_s(instants[0])
        for (earlier, later), number in zip(pairwise(instants), self.numbers[1:], strict=True):
            if later < earlier:
                raise InvalidValue(f"{self.place} line {number}: it arrived before the job above", "sort it by time")
        first, length_s = instants[0], (instants[-1] - instants[0]) * unit_s
        if length_s < _LENGTHS_S[0]:
            raise InvalidValue(f"{self.place} holds no two arrivals at different times", "give a longer trace")
        if length_s > _LENGTHS_S[1]:
            raise InvalidValue(f"{self.place} lasts {length_s:.3g} s", "give its instants in seconds")
        return array("d", [(instant - first) * unit_s for instant in instants])

    def services(self) -> array[float] | None:
        """Service times, seconds; None without a column of them."""
        column, unit_s = self._service_column()
        if column is None:
            return None
        services = self._column(column, partial(_read_amount, column))
        return self._checked(array("d", [service * unit_s for service in services]))

    def services_by(self, rule: ServiceRule) -> array[float]:
        """Service times by a rule, seconds."""
        services = [0.0] * len(self.rows)
        for factor_s, column in rule.terms:
            if column is None:
                services = [service + factor_s for service in services]
            elif column in self.columns:
                values = self._column(column, partial(_read_amount, column))
                services = [service + factor_s * value for service, value in zip(services, values, strict=True)]
            else:
                known = ", ".join(self.columns)
                raise InvalidValue(f"{self.place} has no column {column}; it has {known}", "use one of them")
        return self._checked(array("d", services))

    def _checked(self, services: array[float]) -> array[float]:
        if not any(services):
            raise InvalidValue(f"{self.place} holds no service time above 0", "drop the column, or mend it")
        return services

    def _service_column(self) -> tuple[str | None, float]:
        """The column of service times, and the seconds of its unit."""
        names = ((f"{name}{unit}", factor) for name in _SERVICE for unit, factor in _UNITS_S.items())
        return next(((name, factor) for name, factor in names if name in self.columns), (None, 1.0))

    def _known(self, name: str, read: Callable[[str], float]) -> list[float | None]:
        return self._column(name, lambda text: read(text) if text else None)

    def _column(self, name: str, read: Callable[[str], T]) -> list[T]:
        values = []
        for text, number in zip(self.texts(name), self.numbers, strict=True):
            try:
                values.append(read(text))
            except InvalidValue as error:
                raise InvalidValue(f"{self.place} line {number}: {error.problem}", error.remedy) from None
        return values

    @staticmethod
    def _cell(row: Sequence[str], position: int) -> str:
        return row[position].strip() if position < len(row) else ""


def _plain(name: str) -> str:
    """A column's name as it is compared: without case, blanks or dashes."""
    return re.sub(r"[\s-]+", "_", name.strip().lstrip("\ufeff").lower())


def _epoch_unit_s(instant: float) -> float:
    return next((unit_s for least, unit_s in _EPOCH_UNITS_S if instant > least), 1.0)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_instant(text: str) -> bool:
    """Whether a first cell is a value, so that the line is no header."""
    return bool(re.match(r"[-+.]?\d", text)) or text in ("nan", "inf")


def _read_number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise InvalidValue(f"{text!r} is no number", "give seconds, or all of them as dates") from None
    if not math.isfinite(value):
        raise InvalidValue(f"{text!r} is no finite number", "give seconds")
    return value


def _read_date(text: str) -> float:
    """Seconds since the epoch; a date without a zone is UTC."""
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidValue(
            f"{text!r} is neither a number nor a date", "give seconds, or dates such as 2026-01-31T14:30:05"
        ) from None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def _read_amount(column: str, text: str) -> float:
    """A value of at least 0."""
    remedy = "give a number of at least 0, or remove the row"
    if not _is_number(text):
        raise InvalidValue(f"{column} is {text!r}, no number", remedy)
    value = float(text)
    if not (math.isfinite(value) and value >= 0):
        raise InvalidValue(f"{column} is {text}", remedy)
    return value

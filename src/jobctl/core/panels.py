"""A dashboard as values: rows of panels, what each asks of Prometheus, and where each lies.

Nothing here knows Grafana. Its grid is taken over: a row is :data:`GRID` columns wide, heights are lines of the grid.
A query may hold the dashboard's variables, as ``queue=~"$queue"``; whoever looks at it chooses their values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = [
    "EVERYTHING",
    "GRID",
    "Dashboard",
    "Form",
    "Mark",
    "Panel",
    "Place",
    "Query",
    "Row",
    "State",
    "Step",
    "Tone",
    "Unit",
    "Variable",
    "places",
]

#: Columns of a dashboard.
GRID: Final = 24
#: What a variable is when everything is chosen: a pattern that matches every value, and a label that is absent.
EVERYTHING: Final = ".*"


class Form(StrEnum):
    """How a panel shows what it was told."""

    #: Lines over time.
    LINES = "lines"
    #: The newest value of each series, in large digits. An old value is not shown: no data is said instead.
    FIGURE = "figure"
    #: Over time, which of some states held.
    STATES = "states"


class Unit(StrEnum):
    """What a panel's numbers are."""

    COUNT = "count"
    #: In 0..1, or below 0 where more than all is gone.
    SHARE = "share"
    #: How many times as fast as allowed.
    TIMES = "times"
    SECONDS = "seconds"
    BYTES = "bytes"
    USD = "usd"
    JOBS_PER_S = "jobs_per_s"
    CALLS_PER_S = "calls_per_s"
    TOKENS_PER_S = "tokens_per_s"
    #: Seconds of CPU a second.
    CORES = "cores"


class Tone(StrEnum):
    """What a colour says."""

    GOOD = "good"
    WARNING = "warning"
    ALARM = "alarm"
    #: Nothing to be glad or afraid of.
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of Prometheus.

    Attributes:
        expr: PromQL, with the dashboard's variables.
        legend: The series' name, in which ``{{label}}`` is the label's value.
        target: Whether it is a line that others are held against, and no measurement.
    """

    expr: str
    legend: str
    target: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """From a value on, what it says.

    Attributes:
        at: The value; None for the lowest.
        tone: What it says, up to the next step.
    """

    at: float | None
    tone: Tone


@dataclass(frozen=True, slots=True)
class State:
    """What a number stands for.

    Attributes:
        value: The number.
        words: Its name.
        tone: What it says.
    """

    value: int
    words: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture.

    Attributes:
        title: Its name; no two of a dashboard are alike.
        description: How it is read, and what to do when it is not as it should be.
        queries: What it shows.
        unit: Of its numbers.
        form: How it shows them.
        width: Columns.
        height: Lines of the grid.
        steps: Where numbers begin to be bad, lowest first; the first has no value. Lines are drawn at the others.
        states: What the numbers stand for, in place of steps.
        floor: The least that the axis shows; None to fit it.
        ceiling: The most that the axis shows if no value is above; None to fit it.
        stacked: Whether the lines are put on top of each other.
        nothing: What is said where there is no data.
    """

    title: str
    description: str
    queries: tuple[Query, ...]
    unit: Unit
    form: Form = Form.LINES
    width: int = 8
    height: int = 8
    steps: tuple[Step, ...] = ()
    states: tuple[State, ...] = ()
    floor: float | None = 0.0
    ceiling: float | None = None
    stacked: bool = False
    nothing: str = "no data"


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading.

    Attributes:
        title: The heading.
        panels: From left to right, line by line.
    """

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice that whoever looks makes, of any number of values.

    Attributes:
        name: As queries have it, after ``$``.
        label: As it is shown.
        values: What Grafana asks for the values, ``label_values(series, label)``.
        description: What it chooses.
    """

    name: str
    label: str
    values: str
    description: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Moments that are marked in every picture.

    Attributes:
        name: Of them.
        expr: PromQL: for each series, when it was, milliseconds since the epoch.
        text: What is said there, in which ``{{label}}`` is the label's value.
        tone: What it says.
    """

    name: str
    expr: str
    text: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class Dashboard:
    """All of it.

    Attributes:
        uid: By what it is found again, in any Grafana.
        title: Its name.
        description: What it is for.
        rows: From top to bottom.
        variables: What can be chosen.
        marks: What is marked.
        runbook: The address of the runbook; None where it has none that a browser opens.
    """

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = ()
    marks: tuple[Mark, ...] = ()
    runbook: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where something lies.

    Attributes:
        heading: The heading of the row that it is, or is in.
        panel: The panel; None for the heading itself.
        x: Columns left of it.
        y: Lines above it.
        width: Columns.
        height: Lines.
    """

    heading: str
    panel: Panel | None
    x: int
    y: int
    width: int
    height: int


def places(rows: Iterable[Row]) -> Iterator[Place]:
    """Lay rows out: each heading takes a line, and panels follow each other until a line is full.

    A line of panels is as high as the highest of them.
    """
    y = 0
    for row in rows:
        yield Place(row.title, None, 0, y, GRID, 1)
        y += 1
        x = height = 0
        for panel in row.panels:
            if x + panel.width > GRID:
                x, y, height = 0, y + height, 0
            yield Place(row.title, panel, x, y, panel.width, panel.height)
            x += panel.width
            height = max(height, panel.height)
        y += height

"""What a fleet goes through in the tests of alerts: series as they develop, and who is told of what.

A series is written as promtool reads it, a value a minute: ``0+5x9`` begins at 0 and rises by 5 nine times, ``_x3`` is
three minutes without a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from jobctl.core.metrics import EXPORTER_JOB, WORKER_JOB

__all__ = [
    "FIRST",
    "QUEUE",
    "SECOND",
    "Case",
    "Firing",
    "Stretch",
    "both",
    "case",
    "counted",
    "exporter",
    "number",
    "worker",
]

#: The addresses of two workers and of the exporter.
FIRST: Final = "10.0.0.1:9100"
SECOND: Final = "10.0.0.2:9100"
_EXPORTER: Final = f'instance="exporter:9200",job="{EXPORTER_JOB}"'
#: The selector of the queue that things happen to.
QUEUE: Final = 'queue="default"'


@dataclass(frozen=True, slots=True)
class Firing:
    """An alert that is told.

    Attributes:
        labels: Its labels, but its name and its severity.
        says: What stands for each template of its summary and then of its description.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    says: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """What happens to a fleet, and whether an alert tells it.

    Attributes:
        alert: The alert's name.
        story: What happens.
        series: Series by their name with labels, as they develop.
        minutes: When it is asked whether the alert fires.
        firing: What it tells then; nothing where it must be quiet.
    """

    alert: str
    story: str
    series: Mapping[str, str]
    minutes: int
    firing: tuple[Firing, ...] = ()


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some time in which things happen evenly.

    Attributes:
        minutes: How long.
        per_minute: How many there are in a minute.
        wrong: The share of them that goes wrong.
    """

    minutes: int
    per_minute: float
    wrong: float = 0.0


def case(alert: str, story: str, *series: Mapping[str, str], minutes: int, tells: Firing | None = None) -> Case:
    """A case in which one alert fires, or none."""
    together = {name: values for some in series for name, values in some.items()}
    return Case(alert, story, together, minutes, () if tells is None else (tells,))


def worker(metric: str, values: str, labels: str = "", instance: str = FIRST) -> Mapping[str, str]:
    """A series of one worker."""
    return {f"{metric}{{{_labels(_worker(instance), labels)}}}": values}


def both(metric: str, values: str, labels: str = "") -> Mapping[str, str]:
    """The same series of each of the two workers."""
    return {**worker(metric, values, labels), **worker(metric, values, labels, SECOND)}


def exporter(metric: str, values: str, labels: str = "") -> Mapping[str, str]:
    """A series of the fleet, told by the exporter."""
    return {f"{metric}{{{_labels(_EXPORTER, labels)}}}": values}


def _worker(instance: str) -> str:
    return f'instance="{instance}",job="{WORKER_JOB}"'


def _labels(*labels: str) -> str:
    return ",".join(filter(None, labels))


def counted(*stretches: tuple[int, float]) -> str:
    """A counter that begins at 0, from stretches of minutes and how much it rises in each."""
    parts, value = ["0"], 0.0
    for minutes, step in stretches:
        parts.append(f"{number(value + step)}+{number(step)}x{minutes - 1}")
        value += minutes * step
    return " ".join(parts)


def number(value: float) -> str:
    """A number as promtool reads it, to nine decimals."""
    return f"{value:.9f}".rstrip("0").rstrip(".")

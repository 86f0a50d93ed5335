"""What Prometheus is told to compute and to notice, as values: recording rules, alerts and their groups.

Every time constant passes through :func:`duration`, so one factor makes a set of rules for tests whose windows are
seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

__all__ = ["Alert", "Group", "Recording", "Urgency", "anchor", "duration"]

_UNITS_MS: Final = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))


class Urgency(StrEnum):
    """Who is told, and when: the label ``severity``."""

    #: Somebody is woken.
    PAGE = "page"
    #: Somebody looks at it the same day.
    TICKET = "ticket"
    #: Nobody: it always fires, and whoever watches the watch notices when it stops.
    WATCHDOG = "watchdog"


@dataclass(frozen=True, slots=True)
class Recording:
    """A query whose answer is kept as a series.

    Attributes:
        record: The series' name, as level:metric:operation.
        expr: PromQL.
        labels: Labels that it gets.
    """

    record: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition that somebody is told of.

    Attributes:
        name: In CamelCase; the runbook has a section of this name.
        expr: PromQL; it fires for each series that it returns.
        for_s: How long that has to last, seconds, before it is scaled.
        urgency: Who is told.
        summary: One line, with Prometheus' templates.
        description: What is wrong and what to do first, with templates.
        labels: Further labels.
    """

    name: str
    expr: str
    for_s: float
    urgency: Urgency
    summary: str
    description: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated one after the other.

    Attributes:
        name: Of the group.
        rules: In order: a rule may use what one before it recorded.
        interval_s: How often, seconds, before it is scaled; None for Prometheus' own interval.
    """

    name: str
    rules: tuple[Recording | Alert, ...]
    interval_s: float | None = None


def duration(seconds: float, time_scale: float = 1.0) -> str:
    """A duration as Prometheus and Alertmanager write it, such as ``5m`` or ``1h30m``; never below 1 ms.

    Args:
        seconds: How long.
        time_scale: By how much faster everything is than it would be.
    """
    rest_ms = max(1, round(1000 * seconds / time_scale))
    text = ""
    for unit, unit_ms in _UNITS_MS:
        count, rest_ms = divmod(rest_ms, unit_ms)
        text += f"{count}{unit}" if count else ""
    return text


def anchor(alert: str) -> str:
    """The part of the runbook's address that leads to an alert's section."""
    return alert.lower()

"""Figures of a report in words: short for a person, exact for whoever reads them with a program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from jobctl.apps.report.figures import Change, Comparison, Gate, Maximum, Probe, Report, Signal
from jobctl.core.overall import overall_in_words
from jobctl.core.units import format_duration, format_interval
from jobctl.core.words import count_of, number, share, usd

__all__ = [
    "NOT_MEASURED",
    "bounds",
    "changed",
    "comparison_in_words",
    "duration_of",
    "equation",
    "exact",
    "gate_figures",
    "gate_name",
    "headline",
    "in_words",
    "maximum_in_words",
    "quantity",
    "reasons_of",
    "title",
    "tried",
]

#: Stands wherever there is no figure.
NOT_MEASURED: Final = "not measured"
#: Stands for a quantile that so few jobs do not bound.
TOO_FEW: Final = "too few jobs"
#: Below this a sum of dollars is shown to three digits, not to the cent.
_SMALL_USD: Final = 1.0


def _usd(value: float) -> str:
    return usd(value) if value >= _SMALL_USD else f"${value:.3g}"


def _jobs(value: float) -> str:
    return count_of(int(value), "job") if value == int(value) else f"{number(value)} jobs"


#: How a figure of each unit is written; the others are a number and the unit.
_WRITERS: Final[Mapping[str, Callable[[float], str]]] = {
    "s": format_duration,
    "": share,
    "USD": _usd,
    "jobs": _jobs,
    "bytes": lambda value: f"{number(value / 1e6)} MB",
}

#: What is greater is no float.
_GREATEST: Final = 1e300
#: A rate that was tried holds or fails; "kept" is what a promise is.
_TOLD_BY_PROBES: Final = {"kept": "held", "broken": "failed", "inconclusive": "not told"}
#: The unit of a figure by how its key ends; an ending that is no word of its own is left out of the name.
_UNITS_OF_KEYS: Final[Mapping[str, str]] = {"_per_s": "jobs/s", "_s": "s", "share": "", "failure_rate": ""}


def quantity(value: float | None, unit: str) -> str:
    """A figure in few digits with its unit.

    Args:
        value: The figure.
        unit: As in :class:`~jobctl.apps.report.figures.Statistic`.
    """
    if value is None:
        return NOT_MEASURED
    if value < 0:
        return f"-{quantity(-value, unit)}"
    write = _WRITERS.get(unit)
    return write(value) if write else f"{number(value)} {unit}"


def duration_of(signal: Signal, statistic: str) -> str:
    """A statistic of a signal in few digits; a quantile that has none had too few jobs."""
    value = signal.values[statistic]
    return TOO_FEW if value is None and signal.jobs else quantity(value, "s")


def exact(value: float | None) -> str:
    """A figure to its last digit, as JSON writes it; empty where there is none."""
    return "" if value is None else repr(value)


def bounds(interval: tuple[float, float] | None) -> str:
    """The interval of a quantile; empty where there is none."""
    return "" if interval is None else format_interval(*interval)


def title(report: Report) -> str:
    """The verdict in a few words."""
    words = overall_in_words(report.verdict.value, report.finding)
    if report.interrupted:
        return f"{words}, interrupted"
    return f"{words}, ended early" if report.aborted else words


def headline(report: Report) -> str:
    """What was offered, in one line."""
    return f"{report.job} at {number(report.asked_per_s)} jobs/s for {format_duration(report.duration_s)}"


def reasons_of(report: Report) -> list[str]:
    """Why the verdict is what it is, one sentence each, why the run ended early first."""
    early = [f"ended early: {report.aborted}"] if report.aborted else []
    stopped = ["interrupted: the figures are of what happened until then"] if report.interrupted else []
    return [*early, *stopped, *report.reasons]


def maximum_in_words(maximum: Maximum) -> str:
    """What a search found, in a sentence or two."""
    if maximum.sentence:
        return maximum.sentence
    low, high = (quantity(rate, "jobs/s") for rate in (maximum.low_per_s, maximum.high_per_s))
    sure = "" if maximum.confidence is None else f", {quantity(maximum.confidence, '')} sure"
    bracket = f"The most that holds is between {low} and {high}{sure}." if maximum.reached else f"At least {low} hold."
    return f"{bracket} What limits it: {maximum.limit or 'not known'}."


def comparison_in_words(comparison: Comparison) -> str:
    """What a comparison found and why."""
    return "; ".join(((comparison.sentence or comparison.finding).removesuffix("."), *comparison.reasons))


def gate_figures(gate: Gate) -> tuple[str, str]:
    """What was measured for a gate, and the least or most that was allowed."""
    return quantity(gate.value, gate.unit), quantity(gate.threshold, gate.unit)


def gate_name(gate: Gate) -> str:
    """What a gate is called and what it asks; one of the two where they are the same."""
    return gate.check if gate.name == gate.check else f"{gate.name}: {gate.check}"


def equation(report: Report) -> str:
    """Where every job ended, as two equations."""
    jobs = {name: f"{count:,}" for name, count in report.jobs.items()}
    return (
        f"scheduled {jobs['scheduled']} = enqueued {jobs['enqueued']} + rejected {jobs['rejected']}; "
        f"enqueued {jobs['enqueued']} = finished {jobs['finished']} + failed {jobs['failed']} + "
        f"in flight {jobs['in_flight']} + lost {jobs['lost']}"
    )


def changed(change: Change) -> list[str]:
    """A line of a comparison for a table: name, baseline, new, interval of the change, finding."""
    lies = NOT_MEASURED if change.baseline is None else ""
    if change.interval is not None:
        lies = " .. ".join(quantity(bound, change.unit) for bound in change.interval)
    values = (quantity(value, change.unit) for value in (change.baseline, change.new))
    return [change.name, *values, lies, change.finding]


def tried(probe: Probe) -> list[str]:
    """A probe of a search for a table: rate, length, phase, verdict, throughput, p95 wait, utilisation, reason."""
    return [
        number(probe.rate_per_s),
        quantity(probe.duration_s, "s"),
        probe.phase,
        _TOLD_BY_PROBES.get(probe.verdict, probe.verdict),
        quantity(probe.throughput_per_s, "jobs/s"),
        quantity(probe.wait_p95_s, "s"),
        quantity(probe.utilisation, ""),
        probe.reason,
    ]


def in_words(values: Mapping[str, Any]) -> dict[str, str]:
    """What was asked, as a person writes it: the unit beside the figure and not in its name; what is empty left out."""
    told = {key: _in_words(key, value) for key, value in values.items()}
    return {_name_of(key): words for key, words in told.items() if words}


def _in_words(key: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {words}" for name, words in in_words(value).items())
    if isinstance(value, list | tuple):
        return "; ".join(_in_words(key, inner) for inner in value)
    if isinstance(value, bool) or not isinstance(value, float | int) or not abs(value) < _GREATEST:
        return str(value)
    for ending, unit in _UNITS_OF_KEYS.items():
        if key.endswith(ending):
            return quantity(value, unit)
    return number(value) if isinstance(value, float) else str(value)


def _name_of(key: str) -> str:
    ending = next((ending for ending in _UNITS_OF_KEYS if ending[0] == "_" and key.endswith(ending)), "")
    return key.removesuffix(ending).replace("_", " ")

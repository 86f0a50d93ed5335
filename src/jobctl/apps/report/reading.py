"""From a document ``jobctl.bench/1`` to a :class:`Report`.

Documents of earlier releases lack what was added since; that counts as not measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from jobctl.apps.report.figures import (
    STATISTICS,
    Change,
    Comparison,
    Fault,
    Gate,
    JobType,
    Maximum,
    Prediction,
    Probe,
    Replica,
    Report,
    Signal,
    Timeline,
)
from jobctl.apps.report.words import in_words
from jobctl.core.documents import Fields, bench_fields
from jobctl.core.slo import Verdict
from jobctl.core.timeline import Spread
from jobctl.errors import InvalidValue

__all__ = ["read_report"]

#: The signals that a document may have, in the order in which they are shown.
_SIGNALS: Final = ("enqueue", "wait", "service", "sojourn")
#: Counts that every release has written, beside those that later ones added.
_COUNTS: Final = (
    "scheduled", "enqueued", "rejected", "finished", "failed", "in_flight", "lost", "duplicated", "retried",
)  # fmt: skip
_REMEDY: Final = "give the file as jobctl bench wrote it"
_QUANTILES: Final = ("p50", "p90", "p95", "p99")


def read_report(document: object, name: str) -> Report:
    """Read a bench's document.

    Args:
        document: The JSON, decoded.
        name: The file's, for messages.

    Raises:
        InvalidValue: It is something else, or a value in it means nothing.
    """
    read = bench_fields(document, name)
    duration_s, warmup_s = (read.needed_number("config", key) for key in ("duration_s", "warmup_s"))
    if not 0 <= warmup_s < duration_s:
        raise InvalidValue(f"{name} has no window to judge", _REMEDY)
    return Report(
        verdict=_verdict(read, name),
        reasons=read.texts("reasons"),
        sentence=read.text("sentence"),
        interrupted=read.flag("interrupted"),
        aborted=read.text_or_none("aborted"),
        errors=tuple((row.text("error"), row.count("jobs") or 0) for row in read.rows("errors")),
        started_at=read.text("started_at"),
        config=read.scalars("config"),
        asked=in_words(read.everything("config")),
        job=read.text("config", "job"),
        duration_s=duration_s,
        warmup_s=warmup_s,
        asked_per_s=read.needed_number("config", "rate_per_s"),
        offered_jobs=read.needed_count("offered", "jobs"),
        offered_per_s=read.needed_number("offered", "rate_per_s"),
        achieved_jobs=read.needed_count("achieved", "jobs"),
        achieved_per_s=read.needed_number("achieved", "rate_per_s"),
        goodput_per_s=read.number("goodput_per_s"),
        drain_s=read.number("drain_s"),
        schedule_lag={key: read.number("offered", "schedule_lag_s", key) for key in ("p50", "p99", "max")},
        dropped=read.needed_count("offered", "dropped"),
        jobs={**{key: read.needed_count("jobs", key) for key in _COUNTS}, **_counts(read)},
        signals=tuple(_signals(read)),
        by_job=tuple(_job_type(row) for row in read.rows("by_job")),
        utilisation=read.number("utilisation"),
        usage=read.scalars("usage"),
        backlog_max=read.needed_count("backlog", "max"),
        backlog_slope_per_s=read.needed_number("backlog", "slope_per_s", least=-math.inf),
        backlog=_backlog(read, name),
        predicted=_prediction(read),
        gates=tuple(_gate(row, name) for row in read.rows("gates")),
        faults=tuple(_fault(row) for row in read.rows("faults")),
        replicas=tuple(
            Replica(row.text("name"), row.count("jobs"), row.number("utilisation")) for row in read.rows("replicas")
        ),
        timeline=_timeline(read, name),
        spectra={signal: tuple(_spectrum(read, signal)) for signal in read.keys("spectrum")},
        cost=read.scalars("cost"),
        generator=read.scalars("generator"),
        maximum=_maximum(read),
        comparison=_comparison(read),
        host=read.scalars("host"),
        versions=read.scalars("versions"),
    )


def _backlog(read: Fields, name: str) -> tuple[float, ...]:
    series = read.numbers("backlog", "series")
    known = tuple(value for value in series if value is not None)
    if not known or len(known) < len(series):
        raise InvalidValue(f"{name}: backlog.series has gaps or is empty", _REMEDY)
    return known


def _verdict(read: Fields, name: str) -> Verdict:
    word = read.text("verdict")
    if word not in set(Verdict):
        raise InvalidValue(f"{name}: verdict is {word!r}", f"known: {', '.join(Verdict)}")
    return Verdict(word)


def _counts(read: Fields) -> dict[str, int]:
    counts = {key: read.count("jobs", key) for key in read.keys("jobs")}
    return {key: count for key, count in counts.items() if count is not None}


def _signals(read: Fields) -> Iterator[Signal]:
    for name in _SIGNALS:
        row = read.inside("signals", name)
        if row is not None:
            values = {statistic: row.number(statistic) for statistic in STATISTICS}
            yield Signal(name, row.count("n") or 0, values, {q: _bounds(row, "intervals", q) for q in _QUANTILES})


def _bounds(row: Fields, *path: str, least: float = 0.0) -> tuple[float, float] | None:
    """Two numbers, or None where either is missing."""
    match row.numbers(*path, least=least):
        case (float() | int() as low, float() | int() as high):
            return low, high
    return None


def _job_type(row: Fields) -> JobType:
    return JobType(row.text("job"), row.number("share"), row.text_or_none("queue"), _counts(row), tuple(_signals(row)))


def _prediction(read: Fields) -> Prediction | None:
    row = read.inside("predicted")
    if row is None:
        return None
    waits = {statistic: row.number("wait", statistic) for statistic in ("p_wait", "mean", "p95", "p99")}
    return Prediction(row.number("utilisation"), waits, row.text_or_none("method") or "")


def _gate(row: Fields, name: str) -> Gate:
    check = row.text("check")
    return Gate(
        name=row.text_or_none("name") or check,
        check=check,
        job=row.text_or_none("job"),
        severity=row.text_or_none("severity") or "error",
        verdict=_verdict(row, name),
        value=row.number("value", least=-math.inf),
        threshold=row.number("threshold", least=-math.inf),
        unit=row.text_or_none("unit") or "",
        samples=row.count("samples"),
        reason=row.text_or_none("reason"),
        failed_windows=_pairs(row, "failed_windows"),
    )


def _pairs(row: Fields, *path: str) -> tuple[tuple[float, float], ...]:
    """Pairs of numbers; what is no whole pair is left out."""
    return tuple(
        (pair[0], pair[1])
        for pair in row.lists(*path)
        if len(pair) == 2 and pair[0] is not None and pair[1] is not None
    )


def _fault(row: Fields) -> Fault:
    kind = row.text("kind")
    return Fault(kind, row.text_or_none("what") or kind, row.number("at_s") or 0.0, row.number("until_s"))


def _spectrum(read: Fields, signal: str) -> Iterator[tuple[float, float]]:
    for percentile, value_s in _pairs(read, "spectrum", signal):
        if 0 <= percentile < 100 and value_s >= 0:
            yield percentile, value_s


def _timeline(read: Fields, name: str) -> Timeline | None:
    row = read.inside("timeline")
    if row is None:
        return None
    step_s = row.needed_number("step_s")
    timeline = Timeline(
        step_s=step_s,
        offered=row.numbers("offered"),
        achieved=row.numbers("achieved"),
        failed=row.numbers("failed"),
        backlog=row.numbers("backlog"),
        in_service=row.numbers("in_service"),
        signals={
            signal: Spread(*(row.numbers(signal, statistic) for statistic in ("p50", "p95", "max")))
            for signal in _SIGNALS
            if row.inside(signal) is not None
        },
        busy={worker: row.numbers("busy", worker) for worker in row.keys("busy")},
    )
    if step_s <= 0 or not timeline.steps:
        raise InvalidValue(f"{name}: timeline has no step", _REMEDY)
    return timeline


def _maximum(read: Fields) -> Maximum | None:
    row = read.inside("maximum")
    if row is None:
        return None
    return Maximum(
        sentence=row.text_or_none("sentence"),
        low_per_s=row.number("low_per_s"),
        high_per_s=row.number("high_per_s"),
        confidence=row.number("confidence"),
        limit=row.text_or_none("limit"),
        reached=row.flag("reached"),
        probes=tuple(_probe(probe) for probe in row.rows("probes")),
    )


def _probe(row: Fields) -> Probe:
    lengths_s = (row.number("push_s") or 0.0, row.number("duration_s"))
    return Probe(
        rate_per_s=row.number("rate_per_s") or 0.0,
        duration_s=None if lengths_s[1] is None else lengths_s[0] + lengths_s[1],
        phase=row.text_or_none("phase") or "",
        verdict=row.text_or_none("verdict") or "",
        reason=row.text_or_none("reason") or "",
        throughput_per_s=row.number("throughput_per_s"),
        wait_p95_s=row.number("wait_p95_s"),
        utilisation=row.number("utilisation"),
    )


def _comparison(read: Fields) -> Comparison | None:
    row = read.inside("comparison")
    if row is None:
        return None
    return Comparison(
        row.text("finding"),
        row.text_or_none("sentence"),
        row.texts("reasons"),
        tuple(_change(line) for line in row.rows("lines")),
    )


def _change(row: Fields) -> Change:
    return Change(
        name=row.text("name"),
        unit=row.text_or_none("unit") or "",
        baseline=row.number("baseline", least=-math.inf),
        new=row.number("new", least=-math.inf),
        interval=_bounds(row, "interval", least=-math.inf),
        decides=row.flag("decides"),
        finding=row.text("finding"),
        reason=row.text_or_none("reason"),
    )

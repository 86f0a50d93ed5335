"""A report as OpenMetrics text, for a Pushgateway, a textfile collector or whatever else draws runs side by side.

Each measure is one gauge, named with its unit; the label ``statistic`` says what of it, and ``job``, ``replica`` or
``gate`` of what. ``jobctl_bench_run_info`` says what ran. A figure that was not measured has no sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest

from jobctl.apps.report.figures import Report, Statistic, Subject, statistics

__all__ = ["to_openmetrics"]

_PREFIX: Final = "jobctl_bench_"
#: What a name ends with, by the unit.
_SUFFIXES: Final = {
    "s": "_seconds",
    "jobs": "_jobs",
    "jobs/s": "_jobs_per_second",
    "bytes": "_bytes",
    "USD": "_usd",
    "0/1": "",
    "": "_ratio",
}


def to_openmetrics(report: Report) -> str:
    """The exposition, to its ``# EOF``."""
    text: bytes = generate_latest(_Exposition(report))  # type: ignore[no-untyped-call]
    return text.decode()


class _Exposition:
    """What the library asks for its metrics."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def collect(self) -> Iterator[Metric]:
        yield _about(self._report)
        families: dict[str, GaugeMetricFamily] = {}
        for each in statistics(self._report):
            if each.value is not None:
                name = _name(each)
                family = families.setdefault(name, GaugeMetricFamily(name, _meaning(each)))
                family.add_sample(name, _labels(each), each.value)
        yield from families.values()


def _about(report: Report) -> Metric:
    said = {name: str(value) for name, value in {**report.config, "started_at": report.started_at}.items()}
    return InfoMetricFamily(f"{_PREFIX}run", "What was measured.", value=said)


def _name(each: Statistic) -> str:
    return f"{_PREFIX}{each.measure}{_SUFFIXES.get(each.unit, '')}".replace("_jobs_jobs", "_jobs")


def _meaning(each: Statistic) -> str:
    return f"{each.measure.replace('_', ' ').capitalize()} of a bench, by statistic."


def _labels(each: Statistic) -> dict[str, str]:
    subject = {} if each.subject is Subject.RUN else {each.subject.value: each.name}
    return {"statistic": each.statistic, **subject}

"""Every series that a Prometheus which watches a fleet can hold: the metrics' own, recorded ones, and its own."""

from __future__ import annotations

from jobctl.apps.monitoring.rules import recording_groups
from jobctl.core.metrics import EXPORTER, FLEET, WORKER, Kind
from jobctl.core.operations import Operations
from jobctl.core.rules import Recording

#: What Prometheus and prometheus_client's ProcessCollector add, with the labels of each.
_OTHERS = {
    "up": set[str](),
    "ALERTS": {"alertname", "alertstate", "severity"},
    "process_start_time_seconds": set[str](),
    "process_cpu_seconds_total": set[str](),
    "process_resident_memory_bytes": set[str](),
}
_TARGET = {"job", "instance"}


def known_series(operations: Operations) -> dict[str, set[str]]:
    """Each series by its name, with the labels that it can have."""
    known = {name: labels | _TARGET for name, labels in _OTHERS.items()}
    for metric in (*WORKER, *FLEET, *EXPORTER):
        labels = {*metric.labels, *_TARGET}
        if metric.kind is Kind.HISTOGRAM:
            known[f"{metric.full_name}_bucket"] = labels | {"le"}
            known |= {f"{metric.full_name}_{part}": labels for part in ("sum", "count")}
        else:
            known[metric.full_name] = labels
    for group in recording_groups(operations, 1.0):
        for rule in group.rules:
            assert isinstance(rule, Recording)
            known.setdefault(rule.record, {"queue", "model"}).update(rule.labels)
    return known

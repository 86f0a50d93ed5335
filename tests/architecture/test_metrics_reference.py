"""The reference of metrics lists what the code exposes, in the code's own words."""

from __future__ import annotations

import re
from pathlib import Path

from jobctl.core.events import JobOutcome
from jobctl.core.metrics import BUCKETS_S, EXPORTER, FLEET, WORKER

REFERENCE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")


def test_the_tables_are_the_catalogue() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*)\| (.+) \|$", REFERENCE, re.MULTILINE)

    listed = [(name, kind, tuple(re.findall(r"\w+", labels)), meaning) for name, kind, labels, meaning in rows]
    assert listed == [
        (metric.full_name, metric.kind.value, metric.labels, metric.meaning) for metric in (*WORKER, *FLEET, *EXPORTER)
    ]


def test_outcomes_and_buckets_are_all_named() -> None:
    assert all(f"`{outcome.value}`" in REFERENCE for outcome in JobOutcome)
    assert ", ".join(f"{bound:g}" for bound in BUCKETS_S) in REFERENCE


def test_every_metric_that_the_text_mentions_exists() -> None:
    known = {metric.full_name for metric in (*WORKER, *FLEET, *EXPORTER)}
    assert set(re.findall(r"\bjobctl_\w+", REFERENCE)) <= known

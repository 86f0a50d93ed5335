from __future__ import annotations

import pytest

from jobctl.core.metrics import BUCKETS_S, EXPORTER, FLEET, OTHER, UNKNOWN, WORKER, Kind, Metric, bounded

ALL = [*WORKER, *FLEET, *EXPORTER]


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_a_name_says_its_unit_and_a_counter_that_it_is_one(metric: Metric) -> None:
    assert metric.full_name == f"jobctl_{metric.name}"
    assert (metric.kind is Kind.COUNTER) == metric.name.endswith("_total")
    assert (metric.kind is not Kind.HISTOGRAM) or metric.name.endswith("_seconds")
    assert metric.meaning.endswith(".")


def test_no_name_stands_twice_and_no_label_is_an_id() -> None:
    names = [metric.name for metric in ALL]
    assert len(set(names)) == len(names)
    labels = {label for metric in ALL for label in metric.labels}
    assert labels == {"queue", "job_type", "outcome", "reason", "status", "kind", "model", "version"}


def test_the_buckets_reach_from_a_millisecond_to_minutes() -> None:
    assert list(BUCKETS_S) == sorted(BUCKETS_S)
    assert (BUCKETS_S[0], BUCKETS_S[-1]) == (0.001, 600)


def test_a_bounded_label_keeps_its_first_values_and_makes_the_others_one() -> None:
    bound = bounded(2)
    assert [bound(value) for value in ("a", "b", "c", "a", "d", "b", "")] == ["a", "b", OTHER, "a", OTHER, "b", UNKNOWN]

"""A run that is judged twice has one verdict."""

from __future__ import annotations

import pytest

from jobctl.core.overall import overall, overall_in_words


@pytest.mark.parametrize(
    ("verdict", "finding", "whole"),
    [
        ("kept", None, "kept"),
        ("kept", "no change", "kept"),
        ("kept", "improvement", "kept"),
        ("kept", "cannot tell", "inconclusive"),
        ("kept", "regression", "regression"),
        ("inconclusive", "no change", "inconclusive"),
        ("inconclusive", "regression", "regression"),
        ("broken", "improvement", "broken"),
        ("broken", "regression", "broken"),
    ],
)
def test_the_worse_of_both_counts(verdict: str, finding: str | None, whole: str) -> None:
    assert overall(verdict, finding) == whole


def test_both_parts_are_named_where_there_are_two() -> None:
    told = "inconclusive (the run by itself: kept; against the baseline: cannot tell)"

    assert overall_in_words("kept", "cannot tell") == told
    assert overall_in_words("kept", None) == "kept"

"""What was asked, in the words of a person."""

from __future__ import annotations

from typing import Any

import pytest

from jobctl.apps.report.reading import read_report
from jobctl.apps.report.words import in_words, title
from support.whole_documents import make_document

DOCUMENT = make_document(duration_s=20.0, steps=12)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"rate_per_s": 10.416666666666668}, {"rate": "10.42 jobs/s"}),
        ({"duration_s": 30.000000000000004, "warmup_s": 0}, {"duration": "30 s", "warmup": "0 s"}),
        ({"per_day": 900000.0}, {"per day": "900,000"}),
        ({"seed": 1, "schedule_digest": "ab", "scenario": None}, {"seed": "1", "schedule digest": "ab"}),
        ({"limit_s": 10**400, "is_open": True}, {"limit": str(10**400), "is open": "True"}),
        ({"chaos": [], "mix": [{"queue": None}]}, {}),
        (
            {"mix": [{"job": "chat", "share": 0.7, "failure_rate": 0.01}, {"job": "summary", "share": 0.3}]},
            {"mix": "job chat, share 70.0%, failure rate 1.0%; job summary, share 30.0%"},
        ),
        (
            {"stages": [{"duration_s": 2.5, "start_per_s": 1.0, "end_per_s": 5.123456}]},
            {"stages": "duration 2.5 s, start 1 jobs/s, end 5.123 jobs/s"},
        ),
    ],
)
def test_figures_are_short_and_have_their_units(asked: dict[str, Any], told: dict[str, str]) -> None:
    assert in_words(asked) == told


def test_a_run_against_a_baseline_has_one_title_that_names_both_verdicts() -> None:
    document = {**DOCUMENT, "verdict": "kept", "interrupted": False, "aborted": None}

    assert title(read_report(document, "r")) == "regression (the run by itself: kept; against the baseline: regression)"
    assert title(read_report({**document, "comparison": None}, "r")) == "kept"

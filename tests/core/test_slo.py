from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.slo import DEFAULT_OBJECTIVE, Objective, parse_objective
from jobctl.errors import InvalidValue


@pytest.mark.parametrize(
    ("text", "objective"),
    [
        ("p95 wait <= 1s", Objective("wait", 0.95, 1.0)),
        ("wait.p95 < 1s", Objective("wait", 0.95, 1.0)),
        ("wait.p95<=250ms", Objective("wait", 0.95, 0.25)),
        ("  P99.9   Sojourn<2m ", Objective("sojourn", 0.999, 120.0)),
        ("mean wait <= 0.5", Objective("wait", None, 0.5)),
        ("sojourn.mean < 1h", Objective("sojourn", None, 3600.0)),
        ("wait.p99.9 < 1s", Objective("wait", 0.999, 1.0)),
        ("p5 wait <= 1us", Objective("wait", 0.05, 1e-6)),
    ],
)
def test_an_objective_is_read_in_either_spelling(text: str, objective: Objective) -> None:
    read = parse_objective(text)
    assert (read.signal, read.threshold_s) == (objective.signal, pytest.approx(objective.threshold_s))
    assert read.quantile == pytest.approx(objective.quantile)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "p95 wait",
        "p95 wait >= 1s",
        "p95 wait <= ",
        "p95 wait <= 0s",
        "p95 wait <= -1s",
        "p95 wait <= 10parsecs",
        "p95 wait <= nan",
        "p95 wait == 1s",
        "p0 wait <= 1s",
        "p100 wait <= 1s",
        "p101 wait <= 1s",
        "p95 weight <= 1s",
        "p95 latency <= 1s",
        "q95 wait <= 1s",
        "max wait <= 1s",
        "p95.wait < 1s",
        "wait.p95",
    ],
)
def test_what_is_no_objective_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        parse_objective(text)
    assert refusal.value.remedy


def test_a_misspelt_signal_is_named() -> None:
    with pytest.raises(InvalidValue, match="'weight'"):
        parse_objective("p95 weight <= 1s")


@given(st.text(max_size=25) | st.from_regex(r"(p[0-9.]{1,4}|mean) (wait|sojourn) ?<=? ?[0-9a-z.]{1,6}", fullmatch=True))
def test_any_text_gives_an_objective_that_means_something_or_a_refusal(text: str) -> None:
    try:
        objective = parse_objective(text)
    except InvalidValue:
        return
    assert objective.threshold_s > 0
    assert objective.quantile is None or 0 < objective.quantile < 1


@given(
    st.sampled_from(["wait", "sojourn"]),
    st.none() | st.integers(1, 99_999).map(lambda thousandths: thousandths / 100_000),
    st.sampled_from([0.001, 0.25, 1.0, 1.5, 30.0, 90.0, 600.0, 7200.0]),
)
def test_an_objective_as_shown_reads_back_as_itself(signal: str, quantile: float | None, threshold_s: float) -> None:
    objective = Objective(signal, quantile, threshold_s)
    again = parse_objective(str(objective))
    assert again.signal == signal
    assert again.threshold_s == pytest.approx(threshold_s)
    assert again.quantile == pytest.approx(quantile)


def test_the_default_objective_is_a_second_at_the_95th_percentile() -> None:
    assert str(DEFAULT_OBJECTIVE) == "p95 wait <= 1 s"

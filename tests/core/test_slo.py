from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.slo import (
    DEFAULT_OBJECTIVE,
    Cover,
    Drain,
    Objective,
    Promise,
    Window,
    parse_objective,
    parse_slo_file,
    parse_window,
)
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
        ("p99.9 wait < 250ms over the whole day", Objective("wait", 0.999, 0.25, Window.WHOLE_DAY)),
        ("p95 wait <= 1s over busiest hour", Objective("wait", 0.95, 1.0, Window.BUSIEST_HOUR)),
        ("mean sojourn ≤ 10s over every hour", Objective("sojourn", None, 10.0, Window.EVERY_HOUR)),
        ("wait.p95 < 1s over the Whole-Day", Objective("wait", 0.95, 1.0, Window.WHOLE_DAY)),
    ],
)
def test_an_objective_is_read_in_either_spelling(text: str, objective: Objective) -> None:
    read = parse_objective(text)
    assert isinstance(read, Objective)
    assert (read.signal, read.threshold_s) == (objective.signal, pytest.approx(objective.threshold_s))
    assert read.window is objective.window
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
        "p95 wait <= 1s <= 2s",
        "p95 wait <= 1s over",
        "p95 wait <= 1s over the weekend",
        "p95 wait <= 1s under load",
        "p95 99 wait <= 1s",
        "drain",
        "drain 10000 jobs",
        "drain <= 5m",
        "drain 0 jobs <= 5m",
        "drain -5 <= 5m",
        "drain 1.5 jobs <= 5m",
        "drain nan jobs <= 5m",
        "drain 10k cows <= 5m",
        "drain 10k <= 0s",
        "drain 10k <= soon",
        "drain 1e300 <= 5m",
        "cover",
        "cover 0% of the day",
        "cover 101% of the day",
        "cover 99",
        "cover 99% of the week",
        "cover nan% of the day",
    ],
)
def test_what_is_no_objective_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        parse_objective(text)
    assert refusal.value.remedy


@pytest.mark.parametrize(
    ("text", "promise"),
    [
        ("drain 10000 jobs <= 5m", Drain(10_000, 300.0)),
        ("drain 10k <= 5m", Drain(10_000, 300.0)),
        ("Drain 1 job < 250ms", Drain(1, 0.25)),
        ("drain 1.5M <= 1h30m", Drain(1_500_000, 5400.0)),
        ("cover 99% of the day", Cover(0.99)),
        ("COVER  99.9 %", Cover(0.999)),
        ("cover 100% of the day", Cover(1.0)),
    ],
)
def test_a_burst_and_a_share_of_the_day_are_read(text: str, promise: Promise) -> None:
    assert parse_objective(text) == promise


@pytest.mark.parametrize(
    ("text", "word", "meant"),
    [
        ("p95 weight <= 1s", "weight", "wait"),
        ("p95 sojurn <= 1s", "sojurn", "sojourn"),
        ("wiat.p95 < 1s", "wiat", "wait"),
        ("maen wait <= 1s", "maen", "mean"),
        ("drain 10k jbos <= 5m", "jbos", "jobs"),
        ("p95 wait <= 1s over the bussiest hour", "bussiest hour", "busiest hour"),
        ("drian 10k within 5m", "", "drain"),
        ("cvoer 99%", "", "cover"),
    ],
)
def test_an_unknown_word_is_named_beside_the_nearest_known_one(text: str, word: str, meant: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        parse_objective(text)
    assert word in refusal.value.problem
    assert f"did you mean {meant!r}?" in refusal.value.problem
    assert len(str(refusal.value).splitlines()) == 1


_WORDS = st.sampled_from(["p95", "mean", "wait", "sojourn", "drain", "cover", "10k", "jobs", "99%", "of", "the", "day"])
_MORE_WORDS = st.sampled_from(["<=", "<", "1s", "5 min", "over", "busiest hour", "every hour", "wait.p99", "nan", "0s"])


@given(st.text(max_size=25) | st.lists(_WORDS | _MORE_WORDS, max_size=8).map(" ".join))
def test_any_text_gives_a_promise_that_means_something_or_a_refusal(text: str) -> None:
    try:
        promise = parse_objective(text)
    except InvalidValue:
        return
    match promise:
        case Objective(quantile=quantile, threshold_s=threshold_s):
            assert threshold_s > 0
            assert quantile is None or 0 < quantile < 1
        case Drain(jobs, within_s):
            assert jobs >= 1
            assert within_s > 0
        case Cover(share):
            assert 0 < share <= 1


_SECONDS = st.sampled_from([1e-6, 0.001, 0.25, 0.7, 1.0, 1.5, 30.0, 90.0, 600.0, 7200.0]) | st.floats(1e-6, 1e6)
_PROMISES = st.one_of(
    st.builds(
        Objective,
        st.sampled_from(["wait", "sojourn"]),
        st.none() | st.integers(1, 99_999).map(lambda thousandths: thousandths / 100_000),
        _SECONDS,
        st.none() | st.sampled_from(Window),
    ),
    st.builds(Drain, st.integers(1, 1_000_000_000), _SECONDS),
    st.builds(Cover, st.integers(1, 100_000).map(lambda thousandths: thousandths / 100_000)),
)


@given(_PROMISES)
def test_a_promise_as_shown_reads_back_as_itself(promise: Promise) -> None:
    assert parse_objective(str(promise)) == promise


@pytest.mark.parametrize("window", Window)
def test_a_window_is_read_as_it_is_said_and_as_it_is_written(window: Window) -> None:
    assert {parse_window(text) for text in (window.words, window.value, window.value.replace("_", "-"))} == {window}


def test_a_file_holds_one_promise_a_table() -> None:
    content = {
        "objective": [
            {"slo": "p95 wait <= 1s", "over": "whole day"},
            {"slo": "mean sojourn <= 10s over every hour"},
            {"slo": "drain 10k <= 5m"},
        ]
    }
    assert parse_slo_file(content) == (
        Objective("wait", 0.95, 1.0, Window.WHOLE_DAY),
        Objective("sojourn", None, 10.0, Window.EVERY_HOUR),
        Drain(10_000, 300.0),
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({}, "no objective"),
        ({"objective": []}, "no objective"),
        ({"objective": "p95 wait <= 1s"}, "no objective"),
        ({"objectives": []}, "'objectives' (did you mean 'objective'?)"),
        ({"objective": ["p95 wait <= 1s"]}, "objective 1"),
        ({"objective": [{}]}, "slo is missing"),
        ({"objective": [{"slo": 5}]}, "no text"),
        ({"objective": [{"slo": "p95 wait <= 1s"}, {"slo": "p95 weight <= 1s"}]}, "objective 2"),
        ({"objective": [{"slo": "p95 wait <= 1s"}, {"slo": "wait.p95 <= 1000ms"}]}, "objective 2: it is objective 1"),
        ({"objective": [{"slo": "p95 wait <= 1s", "ovre": "whole day"}]}, "'ovre' (did you mean 'over'?)"),
        ({"objective": [{"slo": "p95 wait <= 1s", "over": "lunch"}]}, "no window"),
        ({"objective": [{"slo": "p95 wait <= 1s over every hour", "over": "whole day"}]}, "itself"),
        ({"objective": [{"slo": "cover 99% of the day", "over": "whole day"}]}, "no meaning"),
    ],
    ids=str,
)
def test_a_file_that_means_nothing_is_refused_and_the_place_is_named(content: dict[str, object], problem: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        parse_slo_file(content)
    assert problem in refusal.value.problem
    assert refusal.value.remedy


def test_the_default_objective_is_a_second_at_the_95th_percentile() -> None:
    assert str(DEFAULT_OBJECTIVE) == "p95 wait <= 1 s"

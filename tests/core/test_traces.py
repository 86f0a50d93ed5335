from __future__ import annotations

import math
import random
from array import array
from itertools import accumulate
from pathlib import Path
from statistics import fmean, pvariance

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.adapters.files import read_lines
from jobctl.core.service import Empirical
from jobctl.core.traces import ServiceRule, Trace, parse_service_rule, parse_trace
from jobctl.errors import InvalidValue

AZURE = Path(__file__).parents[1] / "data" / "azure_llm_conv_2023.csv.gz"
GAPS = st.lists(st.just(0.0) | st.floats(0.001, 300), min_size=2, max_size=60).filter(any)


@pytest.fixture(scope="module")
def azure() -> Trace:
    lines = read_lines(str(AZURE), "--shape")
    return parse_trace(lines, "azure.csv.gz", service_rule="1.0 + 0.05 * generated_tokens")


# ------------------------------------------------------------------------------------------------- the trace of a day


def test_a_real_trace_has_the_figures_that_its_readme_states(azure: Trace) -> None:
    assert len(azure.arrivals_s) == 19_366
    assert azure.mean_per_s == pytest.approx(5.53, abs=0.005)
    assert azure.scv == pytest.approx(1.20, abs=0.005)
    assert azure.length_s / 60 == pytest.approx(58.4, abs=0.05)


def test_its_rate_drifts_by_the_minute_as_its_readme_states(azure: Trace) -> None:
    profile = azure.profile
    counts = [stage.jobs for stage in profile.stages]
    assert profile.jobs == pytest.approx(19_366)
    assert profile.period_s == pytest.approx(azure.length_s)
    assert profile.peak_per_s / profile.mean_per_s == pytest.approx(1.52, rel=0.02)
    assert pvariance(counts) / fmean(counts) == pytest.approx(16.1, rel=0.05)


def test_its_tokens_become_service_times_by_a_rule(azure: Trace) -> None:
    assert azure.services_s is not None
    assert azure.service_law is not None
    assert azure.service_law.mean_s == pytest.approx(1 + 0.05 * 211, rel=0.002)
    # The SCV of a + b T is that of T times (b mean / (a + b mean))².
    assert azure.service_law.scv == pytest.approx(0.60 * (10.55 / 11.55) ** 2, rel=0.02)
    assert azure.services_s[0] == pytest.approx(1 + 0.05 * 44)


# ------------------------------------------------------------------------------------------------------------- values


@given(GAPS)
def test_a_profile_of_a_trace_holds_its_jobs_where_they_arrived(gaps: list[float]) -> None:
    trace = Trace("t", array("d", accumulate(gaps, initial=0.0)))
    profile = trace.profile
    assert profile.jobs == pytest.approx(len(trace.arrivals_s))
    assert profile.mean_per_s == pytest.approx(trace.mean_per_s)
    for nth, stage in enumerate(profile.stages):
        begin_s, end_s = nth * stage.duration_s, (nth + 1) * stage.duration_s
        inside = sum(begin_s <= arrival_s < end_s for arrival_s in trace.arrivals_s)
        assert stage.jobs == pytest.approx(inside, abs=1.001)  # an arrival on a boundary may round to either side


def test_a_trace_of_years_is_told_by_longer_stretches() -> None:
    profile = Trace("t", array("d", [0.0, 1e8, 2e8])).profile
    assert len(profile.stages) == 100_000
    assert profile.jobs == pytest.approx(3)


def test_gaps_of_a_poisson_trace_have_an_scv_of_1() -> None:
    rng = random.Random(4)
    trace = Trace("t", array("d", accumulate((rng.expovariate(2.0) for _ in range(20_000)), initial=0.0)))
    assert trace.scv == pytest.approx(1, abs=4 * math.sqrt(8 / 20_000))
    assert trace.mean_per_s == pytest.approx(2, rel=0.03)


def test_evenly_spaced_arrivals_come_again_after_the_same_gap() -> None:
    trace = Trace("t", array("d", [0.0, 10.0, 20.0]))
    assert (trace.length_s, trace.mean_per_s, trace.scv) == (30.0, 0.1, 0.0)


def test_time_runs_faster_for_arrivals_and_not_for_services() -> None:
    trace = Trace("t", array("d", [0.0, 10.0, 20.0]), array("d", [1.0, 2.0, 3.0]))
    twice = trace.scaled(2)
    assert list(twice.arrivals_s) == [0.0, 5.0, 10.0]
    assert twice.services_s == trace.services_s
    assert twice.mean_per_s == 2 * trace.mean_per_s
    assert twice.scv == trace.scv


@pytest.mark.parametrize("time_scale", [0.0, -1.0, math.nan, math.inf])
def test_time_runs_at_a_speed_above_zero(time_scale: float) -> None:
    with pytest.raises(InvalidValue):
        Trace("t", array("d", [0.0, 10.0])).scaled(time_scale)


# -------------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize(
    "lines",
    [
        ["0,1", "1.5,2", "4,0.5"],
        ["0;1", "1.5;2", "4;0.5", ""],
        ["0\t1", "1.5\t2", "4\t0.5\r"],
        ["# made by hand", "arrival_s,service_s", "0,1", "", "1.5,2", "4,0.5"],
        ["id,Arrival S,queue,Service-Time", "a,100,q,1", "b,101.5,q,2", "c,104,q,0.5"],
        ["\ufefftimestamp,duration_ms", "1700000000,1000", "1700000001.5,2000", "1700000004,500"],
        ["time,service_s", "1700000000000,1", "1700000001500,2", "1700000004000,0.5"],
        ["time,service_s", "1700000000000000,1", "1700000001500000,2", "1700000004000000,0.5"],
        ["time,service_s", "1700000000000000000,1", "1700000001500000000,2", "1700000004000000000,0.5"],
        ["arrived_at,latency", "2026-03-01T10:00:00Z,1", "2026-03-01T11:00:01.5+01:00,2", "2026-03-01 10:00:04,0.5"],
        ['"arrival","service_seconds","prompt"', '0,1,"one, two"', '1.5,2,"three"', "4,0.5,"],
        ["intended_s,arrival_s,service_s", "9,0,1", "9,1.5,2", "9,4,0.5"],
    ],
)
def test_a_trace_is_read_in_many_forms(lines: list[str]) -> None:
    trace = parse_trace(lines, "t.csv")
    assert list(trace.arrivals_s) == pytest.approx([0.0, 1.5, 4.0])
    assert trace.services_s is not None
    assert list(trace.services_s) == pytest.approx([1.0, 2.0, 0.5])
    assert trace.service_law == Empirical(tuple(trace.services_s))
    assert trace.name == "t.csv"


@pytest.mark.parametrize("lines", [["0", "2"], ["arrival", "0", "2"], ["arrival,tokens", "0,7", "2,9"]])
def test_a_trace_without_service_times_says_so(lines: list[str]) -> None:
    trace = parse_trace(lines, "t.csv")
    assert trace.services_s is None
    assert trace.service_law is None


def test_the_public_form_of_the_azure_trace_is_read_too() -> None:
    lines = ["TIMESTAMP,ContextTokens,GeneratedTokens", "2023-11-16 18:15:46.6805900,374,44",
             "2023-11-16 18:15:50.9951690,396,109"]  # fmt: skip
    trace = parse_trace(lines, "conv.csv", service_rule="0.01 * GeneratedTokens")
    assert list(trace.arrivals_s) == pytest.approx([0, 4.314579], abs=1e-5)
    assert trace.services_s is not None
    assert list(trace.services_s) == pytest.approx([0.44, 1.09])


def test_a_rule_takes_the_place_of_the_tables_own_service_times() -> None:
    trace = parse_trace(["arrival,service,n", "0,1,3", "1,1,5"], "t.csv", service_rule="2 * n + 0.5")
    assert trace.services_s is not None
    assert list(trace.services_s) == [6.5, 10.5]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([], "t.csv is empty"),
        (["", "# nothing"], "t.csv is empty"),
        (["arrival_s,service_s"], "t.csv is empty"),
        (["when,what", "1,2"], "no column of arrivals; it has when, what"),
        (["0,1,2", "1,1,2"], "3 columns and no header"),
        (["arrival", "", "3", "2"], "line 4: it arrived before the job above"),
        (["0,1", "1,-1"], "line 2: service_s is -1"),
        (["0,1", "1"], "line 2: service_s is ''"),
        (["0,1", "1,nan"], "line 2: service_s is nan"),
        (["0", "nan"], "line 2: 'nan' is no finite number"),
        (["nan", "1"], "line 1: 'nan' is no finite number"),
        (["0", "soon"], "line 2: 'soon' is no number"),
        (["time", "2026-03-01", "soon"], "line 3: 'soon' is neither a number nor a date"),
        (["5", "5"], "no two arrivals at different times"),
        (["5"], "no two arrivals at different times"),
        (["0", "1e300"], "lasts 1e+300 s"),
        (["0", "3e9"], "lasts 3e+09 s"),
        (['[{"arrival_s": 0, "service_s": 1},'], "is JSON and no table"),
        (["0", "1e-9"], "no two arrivals at different times"),
        (["0,0", "1,0"], "no service time above 0"),
        (["arrival", '"0', '1"'], "line"),
    ],
)
def test_what_is_no_trace_is_refused_in_one_line(lines: list[str], problem: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        parse_trace(lines, "t.csv")
    assert problem in refusal.value.problem
    assert len(str(refusal.value).splitlines()) == 1
    assert refusal.value.remedy


def test_an_unsorted_trace_is_to_be_sorted() -> None:
    with pytest.raises(InvalidValue) as refusal:
        parse_trace(["2", "1"], "t.csv")
    assert refusal.value.remedy == "sort it by time"


def test_a_rule_over_a_column_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(InvalidValue, match="no column tokens; it has arrival, generated_tokens"):
        parse_trace(["arrival,generated_tokens", "0,1", "1,1"], "t.csv", service_rule="tokens")


@given(st.lists(st.text(max_size=15) | st.from_regex(r"[0-9.]{1,6}[,;][0-9.eE+-]{1,6}", fullmatch=True), max_size=6))
def test_any_file_gives_a_trace_or_a_refusal(lines: list[str]) -> None:
    try:
        trace = parse_trace(lines, "t.csv")
    except InvalidValue:
        return
    assert list(trace.arrivals_s) == sorted(trace.arrivals_s)
    assert trace.profile.jobs == pytest.approx(len(trace.arrivals_s))


# -------------------------------------------------------------------------------------------------------------- rules


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("1.0 + 0.05 * generated_tokens", ((1.0, None), (0.05, "generated_tokens"))),
        ("latency", ((1.0, "latency"),)),
        ("2*a+3+B", ((2.0, "a"), (3.0, None), (1.0, "b"))),
        (" 1e+3 * x ", ((1000.0, "x"),)),
        (".5", ((0.5, None),)),
    ],
)
def test_a_rule_is_a_sum_of_numbers_and_columns(text: str, terms: tuple[tuple[float, str | None], ...]) -> None:
    assert parse_service_rule(text) == ServiceRule(terms)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "+",
            "1 +",
            "+ 1",
            "1 2",
            "a b",
            "a * 2",
            "2 * 3",
            "2 ** a",
            "-1",
            "1 - a",
            "1 / a",
            "1e999",
            "nan(1)",
        ),
        *("__import__('os')", "a; b", "(1)", "a.b", "1,5", "1..2", "2 *"),
    ],
)
def test_what_is_no_rule_is_refused_and_nothing_is_evaluated(text: str) -> None:
    with pytest.raises(InvalidValue, match="write a sum of"):
        parse_service_rule(text)


TERMS = st.tuples(st.floats(0, 1e6), st.none() | st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True))


@given(st.lists(TERMS, min_size=1, max_size=5))
def test_a_rule_reads_back_what_was_written(terms: list[tuple[float, str | None]]) -> None:
    text = " + ".join(f"{number!r} * {column}" if column else repr(number) for number, column in terms)
    assert parse_service_rule(text) == ServiceRule(tuple(terms))

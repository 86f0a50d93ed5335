"""Each stated result is what its formula gives with the stated numbers, by formulas written anew here."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Final

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from jobctl.apps.plan.explain import explain, steps
from jobctl.apps.plan.steps import Step
from jobctl.core.arrivals import parse_arrivals
from jobctl.core.capacity import limits_of
from jobctl.core.demand import Database, Demand, Hold, JobType, Machine, Retries, Upstream
from jobctl.core.planning import plan as make_real_plan
from jobctl.core.plans import Binding, Plan
from jobctl.core.profiles import Spike, diurnal_profile
from jobctl.core.service import law_of
from jobctl.core.slo import DEFAULT_OBJECTIVE, Drain, Objective
from jobctl.core.traces import parse_trace
from support.plans import ASSUMPTIONS, make_demand, make_plan

NORMAL: Final = statistics.NormalDist()


def erlang_c(slots: float, load: float) -> float:
    """By the sum in its definition, each term through its logarithm."""

    def term(busy: float) -> float:
        return math.exp(busy * math.log(load) - math.lgamma(busy + 1) - load)

    waiting = term(slots) * slots / (slots - load)
    return waiting / (math.fsum(term(busy) for busy in range(int(slots))) + waiting)


def pool(slots: float, connections: float, share: float, slot_s: float) -> float:
    """Mean value analysis of a closed network: customers who think, and a station of some servers."""
    think_s, hold_s = (1 - share) * slot_s, share * slot_s
    present = [1.0]  # probability of j at the station, one customer fewer in all
    spent_s = hold_s
    for customers in range(1, int(slots) + 1):
        rates = [min(at, connections) / hold_s for at in range(1, customers + 1)]
        spent_s = sum(at / rate * before for at, (rate, before) in enumerate(zip(rates, present, strict=True), 1))
        throughput = customers / (think_s + spent_s)
        some = [throughput / rate * before for rate, before in zip(rates, present, strict=True)]
        present = [max(0.0, 1 - sum(some)), *some]
    return spent_s - hold_s


NAMES: Final[dict[str, Callable[..., float]]] = {
    "ln": math.log,
    "sqrt": math.sqrt,
    "floor": math.floor,
    "min": min,
    "max": max,
    "C": erlang_c,
    "pool": pool,
    "F": NORMAL.cdf,
    "f": NORMAL.pdf,
}


def evaluate(numbers: str) -> float:
    """What a calculator says to ``2.5 x 8``."""
    plain = re.sub(r"(?<=\d),(?=\d{3})", "", numbers).replace(" x ", " * ").replace("^", "**")
    return float(eval(plain, {"__builtins__": {}}, NAMES))


def stated(lines: list[str]) -> Iterator[tuple[str, float]]:
    """The numbers and the result of each line of text that has both."""
    for line in lines:
        match = re.fullmatch(r" +=(?: (?P<numbers>.+) =)? (?P<result>[-\d.,e+]+)(?: [a-z/]+)?", line)
        if match is not None and match["numbers"]:
            yield match["numbers"], float(match["result"].replace(",", ""))


@cache
def evaluated(demand: Demand, replicas: int) -> Plan:
    """The planner's answer."""
    return make_real_plan(demand, replicas=replicas, budget_s=0, extras=False)


EVERYTHING: Final = make_demand(
    5.2,
    1.9,
    scv=0.5,
    profile=replace(diurnal_profile(5.2, 1.8), spikes=(Spike(2000, 36_000.0),)),
    retries=Retries(attempts=5, failure_rate=0.05, failed_ratio=3.0),
    job_timeout_s=6.0,
    upstream=Upstream(rpm=900, tpm=1e6, tokens_per_job=800),
    database=Database(max_clients=400, connections_per_replica=4, hold=Hold.SHARE, share=0.2),
    machine=Machine(cpu_per_job_s=0.09),
    promises=(DEFAULT_OBJECTIVE, Objective("wait", 0.99, 5.0), Drain(1000, 300.0)),
)
CASES: Final = {
    "worked example": (make_demand(), 1),
    "everything": (EVERYTHING, 3),
    "inside the slot": (replace(EVERYTHING, upstream=Upstream(rpm=900, waits_in_slot=True)), 3),
    "a connection for all the time": (make_demand(database=Database(100, 15, hold=Hold.JOB)), 3),
    "bursty arrivals": (make_demand(scv=4, arrivals=parse_arrivals("renewal:4")), 1),
    "constant service": (make_demand(scv=0), 2),
    "every attempt fails": (make_demand(1.0, 4.0, retries=Retries(3, 1.0, failed_s=2.0)), 2),
    "a CPU that is full": (make_demand(2.5, 0.1, machine=Machine(cpu_per_job_s=0.2)), 3),
    "two job types": (
        make_demand(job_types=(JobType("a", 0.25, law_of(2.0, 1.0)), JobType("b", 0.75, law_of(9.0, 2.0)))),
        2,
    ),
    "too few slots": (make_demand(4.5), 1),
    "an upstream that is too slow": (make_demand(upstream=Upstream(rpm=100)), 3),
}


@pytest.mark.parametrize("case", CASES)
def test_each_result_is_what_its_numbers_give(case: str) -> None:
    results = list(stated(list(explain(evaluated(*CASES[case]), ASSUMPTIONS))))
    assert len(results) >= 5
    for numbers, result in results:
        assert result == pytest.approx(evaluate(numbers), rel=2e-3), numbers


@given(
    rate_per_s=st.floats(0.1, 50),
    mean_s=st.floats(0.05, 60),
    scv=st.sampled_from([0.0, 0.3, 1.0, 4.0]),
    peak_factor=st.floats(1.0, 4.0),
    attempts=st.integers(1, 8),
    failure_rate=st.floats(0, 0.9),
    utilisation=st.floats(0.3, 0.97),
    rpm=st.none() | st.floats(10, 1e5),
    connections=st.none() | st.integers(1, 30),
    seconds=st.none() | st.floats(0.1, 60),
)
@settings(max_examples=80)
def test_each_result_is_what_its_numbers_give_for_any_demand(
    rate_per_s: float,
    mean_s: float,
    scv: float,
    peak_factor: float,
    attempts: int,
    failure_rate: float,
    utilisation: float,
    rpm: float | None,
    connections: int | None,
    seconds: float | None,
) -> None:
    demand = make_demand(
        rate_per_s,
        mean_s,
        scv,
        profile=diurnal_profile(rate_per_s, peak_factor),
        retries=Retries(attempts, failure_rate, failed_s=seconds),
        upstream=Upstream(rpm=rpm),
        database=Database(None, connections, share=0.1),
    )
    limits = limits_of(demand)
    replicas = math.ceil(limits.offered_load_erlangs / limits.effective_slots_per_replica / utilisation)
    assume(replicas <= 200)
    for numbers, result in stated(list(explain(make_plan(demand, replicas)))):
        assert result == pytest.approx(evaluate(numbers), rel=5e-3), numbers


def test_the_results_are_those_of_the_plan() -> None:
    plan = evaluated(EVERYTHING, 3)
    results = {step.name: step.result for step in steps(plan) if isinstance(step, Step)}
    limits, left = plan.limits, plan.spare_gone
    assert left is not None
    expected = {
        "arrival rate, mean over the period": limits.arrival_rate_per_s,
        "arrival rate at the planned peak": limits.peak_arrival_rate_per_s,
        "retry amplification: attempts per job": limits.attempts_per_job,
        "share of jobs that fail for good": limits.job_failure_rate,
        "time that an attempt holds its slot, all in all": limits.slot_s,
        "slot seconds per job": limits.slot_seconds_per_job,
        "offered load: slots kept busy if none waited": limits.offered_load_erlangs,
        "slots that a replica really offers": limits.effective_slots_per_replica,
        "new jobs per second that the upstream admits": limits.upstream_per_s,
        "replicas that the database carries": limits.max_replicas_database,
        "utilisation at the peak, all running": plan.all_running.utilisation,
        "utilisation at the peak, 1 gone": left.utilisation,
    }
    assert {name: results[name] for name in expected} == expected


def test_the_worked_example_is_explained_to_its_four_figures() -> None:
    lines = list(explain(evaluated(*CASES["worked example"])))
    assert "    = 2.5 x 1 x 8 = 20 erlangs" in lines
    assert "    = C(25, 20) = 0.2091" in lines
    assert "    = 0.209103 x 8 / (25 - 20) = 0.3346 s" in lines
    assert any(line.endswith("= 2.289 s") and "ln(0.209103 / (1 - 0.95))" in line for line in lines)


def test_only_formulas_that_apply_are_shown() -> None:
    plain = " ".join(step.name for step in steps(evaluated(make_demand(), 2)))
    for word in (
        "retry",
        "fails",
        "upstream",
        "database",
        "connection",
        "interpreter",
        "drain",
        "really",
        "Cosmetatos",
    ):
        assert word not in plain
    full = " ".join(step.name for step in steps(evaluated(EVERYTHING, 3)))
    for word in ("retry", "fails", "upstream", "database", "connection", "drain", "really", "Cosmetatos"):
        assert word in full


def test_slots_that_do_not_keep_up_have_no_closed_form_and_say_so() -> None:
    names = [step.name for step in steps(evaluated(make_demand(4.5), 1))]
    assert "waits at the peak, all running" in names
    assert "growth of the backlog per day" in names
    assert not any(name.startswith("probability to wait") for name in names)


def test_bursty_arrivals_are_explained_by_allen_and_cunneen_and_what_breaks_it() -> None:
    plan = evaluated(make_demand(arrivals=parse_arrivals("renewal:4")), 1)
    step = next(step for step in steps(plan) if isinstance(step, Step) and "these arrivals" in step.name)
    assert step.source == "Allen 1990 (Allen-Cunneen)"
    assert "bursts" in step.breaks
    assert step.result == pytest.approx(evaluate(step.numbers), rel=1e-3)


def test_a_figure_names_where_it_came_from() -> None:
    lines = list(explain(evaluated(make_demand(), 2), ASSUMPTIONS))
    assert any(line.startswith("    source: flag --per-day") for line in lines)
    assert any(line.startswith("    source: bench r.json") for line in lines)


def test_a_trace_is_explained_by_its_busiest_hour() -> None:
    trace = parse_trace(["arrival_s,service_s", *(f"{second},2" for second in range(0, 7200, 3))], "day.csv")
    plan = make_real_plan(make_demand(profile=trace.profile, trace=trace), replicas=2, budget_s=0, extras=False)
    step = next(step for step in steps(plan) if step.name == "arrival rate at the planned peak")
    assert isinstance(step, Step)
    assert step.result == pytest.approx(1 / 3, rel=1e-2)
    assert step.source == "day.csv"


def test_what_was_simulated_is_told_with_its_intervals_and_its_decision() -> None:
    text = "\n".join(explain(make_plan(make_demand(2.3, profile=diurnal_profile(2.3, 1.2)), simulated=True)))
    assert "1,234,567 jobs in all, seed 1" in text
    assert re.search(r"p95 wait [\d.]+ s \([\d.]+\.\.[\d.]+\)", text)
    assert "every promise holds" in text
    assert "broken: p95 wait <= 1 s" in text


def test_closed_forms_alone_are_called_so() -> None:
    assert list(explain(evaluated(make_demand(), 2)))[-1].strip() == "none: the closed forms alone decided."


def test_lines_fold_to_the_width() -> None:
    lines = list(explain(evaluated(EVERYTHING, 3), ASSUMPTIONS, 72))
    assert max(map(len, lines)) <= 72


def test_no_replica_left_is_no_error() -> None:
    names = [step.name for step in steps(make_plan(make_demand(1.0), 1, required=frozenset({Binding.SLOTS})))]
    assert not any("gone" in name for name in names)

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.apps.plan.check import Check, choose, to_document, why_not
from jobctl.core.arrivals import parse_arrivals
from jobctl.core.capacity import limits_of
from jobctl.core.demand import Database, Demand, Hold, JobType, Retries, Upstream
from jobctl.core.judging import Judgement
from jobctl.core.plans import Plan
from jobctl.core.service import Empirical, Exponential, Mixture
from jobctl.core.slo import Verdict
from jobctl.core.validation import Comparison, Replay, Validation
from jobctl.errors import InvalidOption
from support.plans import make_demand, make_fleet, make_plan

PLAN = make_plan()


def planned(demand: Demand, replicas: int) -> Plan:
    """A fleet under the demand, with the limits that the planner works out."""
    limits = limits_of(demand)
    slots = replicas * limits.effective_slots_per_replica
    fleet = replace(make_fleet(demand, replicas), slots=slots, utilisation=limits.offered_load_erlangs / slots)
    return make_plan(demand, replicas, limits=limits, all_running=fleet, feasible=True)


def chosen(replicas: int = 1, duration_s: float = 60.0, time_scale: float | None = None, **changes: Any) -> Check:
    return choose(planned(make_demand(**changes), replicas), duration_s=duration_s, time_scale=time_scale)


def utilisation(check: Check) -> float:
    """Of the run, from what it is told alone."""
    run = check.rehearsal
    tries = math.fsum(run.retries.failure_rate**tried for tried in range(run.retries.attempts))
    return run.arrival_rate_per_s * tries * run.service.mean_s / run.slots


def test_the_worked_example_runs_ten_times_faster_on_the_same_slots() -> None:
    """20 erlangs on 25 slots: 1,500 attempts in a minute take 0.8 s each instead of 8."""
    check = chosen()
    run = check.rehearsal

    assert (run.replicas, run.concurrency, run.duration_s, run.warmup_s) == (1, 25, 60.0, 6.0)
    assert check.time_scale == pytest.approx(10.0)
    assert run.service == Exponential(pytest.approx(0.8))  # type: ignore[arg-type]
    assert run.arrival_rate_per_s == pytest.approx(25.0)
    assert utilisation(check) == pytest.approx(0.8)
    assert len(check.notes) == 1
    assert check.notes[0].startswith("time runs 10 times faster, as all of what follows: service times of 800 ms")


def test_a_time_scale_that_is_given_is_kept() -> None:
    check = chosen(time_scale=4.0)

    assert check.rehearsal.service.mean_s == pytest.approx(2.0)
    assert check.rehearsal.arrival_rate_per_s == pytest.approx(10.0)


def test_jobs_too_short_to_be_timed_run_slower() -> None:
    check = chosen(rate_per_s=400.0, mean_s=0.005)

    assert check.rehearsal.service.mean_s == pytest.approx(0.1)
    assert utilisation(check) == pytest.approx(400 * 0.005 / 25)
    assert "20 times slower" in check.notes[0]


def test_a_fleet_beyond_one_machine_is_scaled_down_at_its_utilisation_and_that_is_said() -> None:
    check = chosen(replicas=4000, rate_per_s=11_574.0)
    run = check.rehearsal

    assert run.replicas <= 8
    assert run.arrival_rate_per_s <= 150.0
    assert utilisation(check) == pytest.approx(11_574 * 8 / 100_000)
    assert any("of 100,000 slots" in note and "92.6%" in note for note in check.notes)


@given(
    load=st.floats(0.2, 0.99),
    mean_s=st.floats(0.001, 600.0),
    concurrency=st.integers(1, 2000),
    replicas=st.integers(1, 5000),
)
def test_any_fleet_is_run_at_its_utilisation_within_what_one_machine_carries(
    load: float, mean_s: float, concurrency: int, replicas: int
) -> None:
    rate_per_s = load * concurrency * replicas / mean_s
    demand = make_demand(rate_per_s, mean_s, concurrency=concurrency)
    fleet = make_fleet(demand, replicas)
    check = choose(replace(PLAN, demand=demand, limits=limits_of(demand), all_running=fleet))
    run = check.rehearsal

    assert utilisation(check) == pytest.approx(load)
    assert run.arrival_rate_per_s <= 150.0 * (1 + 1e-9)
    assert 1 <= run.replicas <= min(8, replicas)
    assert 1 <= run.concurrency <= min(100, concurrency)
    assert run.service.mean_s >= 0.1 * (1 - 1e-9)
    assert run.service.mean_s * check.time_scale == pytest.approx(mean_s)


def test_a_time_scale_that_leaves_nothing_to_time_is_refused_with_the_largest_that_would_do() -> None:
    with pytest.raises(InvalidOption, match="leaves jobs of 8 ms") as caught:
        chosen(time_scale=1000.0)

    assert caught.value.remedy == "give at most 400"
    assert chosen(time_scale=400.0).rehearsal.service.mean_s == pytest.approx(0.02)


def test_a_run_that_would_see_hardly_a_job_is_refused_before_it_begins() -> None:
    with pytest.raises(InvalidOption, match=r"would see 0\.48 jobs in 60 s"):
        chosen(rate_per_s=0.001, mean_s=0.1 * 8.0, concurrency=1, time_scale=8.0)


def test_what_fails_takes_its_times_along() -> None:
    retries = Retries(attempts=3, failure_rate=0.2, failed_s=4.0, base_s=2.0, cap_s=60.0, factor=3.0, jitter=0.5)
    check = chosen(retries=retries, job_timeout_s=80.0, time_scale=8.0, replicas=2)
    run = check.rehearsal

    assert run.retries == Retries(3, 0.2, failed_s=0.5, base_s=0.25, cap_s=7.5, factor=2.0, jitter=1.0)
    assert run.job_timeout_s == 10.0
    assert check.notes[-1] == "back-off is the worker's: doubled each time, with full jitter"


def test_batches_shrink_with_the_fleet() -> None:
    check = chosen(replicas=40, rate_per_s=100.0, arrivals=parse_arrivals("batch:1000"))
    share = check.rehearsal.slots / 1000

    assert check.rehearsal.arrivals == parse_arrivals(f"batch:{round(1000 * share)}")
    assert f"arrivals are {check.rehearsal.arrivals}" in check.notes


def test_a_day_with_a_peak_is_run_at_its_peak() -> None:
    check = chosen(replicas=2, peak_factor=2.0)

    assert utilisation(check) == pytest.approx(0.8)  # the mean alone would be 0.4
    assert "the load is steady, at the planned peak" in check.notes


def test_a_limit_keeps_its_ratio_to_the_load() -> None:
    check = chosen(upstream=Upstream(rpm=160.0, burst=10))

    assert check.rehearsal.upstream.rpm == pytest.approx(1600.0)
    assert check.rehearsal.upstream.burst == 10
    assert check.rehearsal.arrival_rate_per_s / (check.rehearsal.upstream.rpm or 0) == pytest.approx(2.5 / 160)


@pytest.mark.parametrize(
    "changes",
    [
        {"upstream": Upstream(tpm=1e6, tokens_per_job=100.0)},
        {"upstream": Upstream(rpm=1e4, calls_per_job=2.0)},
        {"upstream": Upstream(rpm=1e4), "retries": Retries(attempts=2, failure_rate=0.1)},
    ],
    ids=["tokens", "two calls", "failures"],
)
def test_a_limit_that_no_run_can_have_is_left_out_and_that_is_said(changes: dict[str, Any]) -> None:
    check = chosen(**changes)

    assert check.rehearsal.upstream == Upstream()
    assert "the upstream's limit is left out" in check.notes[-1]


def test_a_mix_is_run_as_it_is_and_behind_a_limit_as_one_law_of_its_mean_and_variance() -> None:
    parts = (JobType("short", 0.75, Exponential(4.0)), JobType("long", 0.25, Empirical((10.0, 30.0))))
    mix = chosen(job_types=parts)
    limited = chosen(job_types=parts, upstream=Upstream(rpm=6000.0))

    assert isinstance(mix.rehearsal.service, Mixture)
    assert limited.rehearsal.service.mean_s == pytest.approx(mix.rehearsal.service.mean_s)
    assert limited.rehearsal.service.scv == pytest.approx(mix.rehearsal.service.scv)
    assert "one law stands for the mix of service times, of the same mean and variance" in limited.notes


def test_waits_inside_the_slot_are_part_of_the_service_time() -> None:
    few = Database(max_clients=100, connections_per_replica=5, hold=Hold.SHARE, share=0.3)
    demand = make_demand(rate_per_s=1.0, scv=0.5, database=few)
    check = choose(planned(demand, 1))

    assert check.rehearsal.service.scv == pytest.approx(0.5)
    assert utilisation(check) == pytest.approx(limits_of(demand).offered_load_erlangs / 25)
    assert any("longer, for waits inside the slot" in note for note in check.notes)


def test_there_is_nothing_to_check_where_no_plan_is_or_no_figure_would_settle() -> None:
    demand = make_demand()
    crowded = planned(make_demand(peak_factor=1.9), 1)

    assert why_not(planned(demand, 1)) is None
    assert why_not(replace(planned(demand, 1), feasible=False, reason="too few slots")) == (
        "there is no plan to check: too few slots"
    )
    assert "25 slots are asked for 152% of their time" in str(why_not(crowded))


def test_the_document_holds_what_was_run_and_both_judgements() -> None:
    check = chosen()
    figures = (Comparison("utilisation", 0.8, 0.7, 0.9, 0.81), Comparison("wait_p95_s", 0.1, 0.05, 0.2, 0.4))
    broken = Judgement(Verdict.BROKEN, ("predict: wait_p95_s was 0.4",))
    document = to_document(check, Validation(check.rehearsal, 1234, figures, Replay(0.10, 0.12), broken))

    assert document["verdict"] == "broken"
    assert document["run"]["jobs"] == 1234
    assert document["figures"]["wait_p95_s"] == {
        "predicted": 0.1,
        "interval": [0.05, 0.2],
        "measured": 0.4,
        "agrees": False,
    }
    assert document["replay"] == {
        "measured_s": 0.10,
        "replayed_s": 0.12,
        "allowed_s": pytest.approx(0.017),
        "agrees": False,
    }
    nothing = Judgement(Verdict.INCONCLUSIVE, ("too few jobs",))
    assert to_document(check, Validation(check.rehearsal, 0, (), None, nothing))["replay"] is None

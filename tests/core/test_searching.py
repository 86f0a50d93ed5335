"""The search for the highest sustained rate, against simulated fleets whose capacity is known."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.core.demand import Upstream
from jobctl.core.probing import Cause, Finding, Phase, Probe
from jobctl.core.searching import Aim, Bracket, KnownLimit, Stop, answer, needed_s, next_step, resolution
from jobctl.core.service import parse_law
from jobctl.core.slo import Objective, Verdict
from support.searches import MinuteFleet, SimulatedFleet, search


def fleet(slots: int, law: str, **changes: Any) -> SimulatedFleet:
    return replace(SimulatedFleet(slots, parse_law(law), 0.003), **changes)


def holds(bracket: Bracket, truth_per_s: float) -> bool:
    assert bracket.low is not None
    assert bracket.high is not None
    return bracket.low.probe.rate_per_s <= truth_per_s <= bracket.high.probe.rate_per_s


def finding(rate_per_s: float, verdict: Verdict, duration_s: float = 4.0, **changes: Any) -> Finding:
    cause = Cause.TREND if verdict is Verdict.BROKEN else None
    return replace(Finding(Probe(rate_per_s, duration_s, Phase.DOUBLE), verdict, cause=cause, error=0.01), **changes)


def test_a_sustained_end_excludes_the_growth_of_the_widest_bracket_and_a_short_probe_a_quarter() -> None:
    aim = Aim(25.0, max_width=0.08)
    assert resolution(aim, Probe(100.0, 25.0, Phase.SUSTAIN)) == 0.08
    assert resolution(aim, Probe(100.0, 4.0, Phase.DOUBLE)) == resolution(aim, Probe(100.0, 8.0, Phase.BISECT)) == 0.25


def test_the_first_probe_is_the_first_rate_and_the_next_twice_that() -> None:
    aim = Aim(start_per_s=25.0)

    first = next_step(aim, [], 0.0)
    assert isinstance(first, Probe)
    assert (first.rate_per_s, first.phase) == (25.0, Phase.DOUBLE)

    second = next_step(aim, [finding(25.0, Verdict.KEPT)], 7.0)
    assert isinstance(second, Probe)
    assert (second.rate_per_s, second.phase) == (50.0, Phase.DOUBLE)


def test_a_backlog_that_tells_the_capacity_is_aimed_at_from_above_with_a_push() -> None:
    failed = finding(
        400.0,
        Verdict.BROKEN,
        is_saturated=True,
        throughput_per_s=248.0,
        throughput_error_per_s=3.0,
        variability=0.01,
        service_s=0.2,
    )

    step = next_step(Aim(25.0), [finding(200.0, Verdict.KEPT), failed], 30.0)

    assert isinstance(step, Probe)
    assert step.phase is Phase.BISECT
    assert step.push_s > 0
    assert 248.0 < step.rate_per_s < 248.0 * 1.05


def test_where_nothing_tells_the_capacity_the_next_rate_is_the_geometric_mean() -> None:
    failed = finding(400.0, Verdict.BROKEN, cause=Cause.OBJECTIVE)

    step = next_step(Aim(25.0), [finding(100.0, Verdict.KEPT), failed], 20.0)

    assert isinstance(step, Probe)
    assert step.rate_per_s == pytest.approx(200.0)


def test_a_probe_that_could_not_tell_is_run_again_for_longer() -> None:
    unsure = finding(25.0, Verdict.INCONCLUSIVE, cause=Cause.LENGTH)

    step = next_step(Aim(25.0), [unsure], 7.0)

    assert isinstance(step, Probe)
    assert step.rate_per_s == 25.0
    assert step.duration_s >= 8.0


def test_a_generator_that_fell_behind_three_times_ends_the_search_before_a_maximum() -> None:
    behind = finding(800.0, Verdict.INCONCLUSIVE, cause=Cause.GENERATOR)
    findings = [finding(400.0, Verdict.KEPT), behind, behind, behind]

    assert next_step(Aim(25.0), findings[:-1], 23.0) == behind.probe, "a busy moment is no limit"
    end = next_step(Aim(25.0), findings, 30.0)

    assert isinstance(end, Bracket)
    assert end.stop is Stop.GENERATOR
    assert end.low is findings[0]
    assert end.high is None
    assert end.width is None
    assert end.confidence is None


def test_a_push_that_was_worked_off_refutes_the_failure_before_it_and_leads_up_again() -> None:
    failed = finding(100.0, Verdict.BROKEN, is_saturated=True, throughput_per_s=99.0, throughput_error_per_s=3.0)
    worked_off = replace(
        finding(102.0, Verdict.KEPT), probe=Probe(102.0, 8.0, Phase.BISECT, push_s=2.7), throughput_per_s=110.0
    )

    step = next_step(Aim(100.0), [failed, worked_off], 20.0)

    assert isinstance(step, Probe)
    assert (step.rate_per_s, step.push_s) == (102.0, 0.0)


def test_a_fleet_that_does_less_when_overwhelmed_is_not_taken_at_that() -> None:
    """The failure at 1600/s completed 270/s, yet 280/s were then worked off: the search goes on between the two."""
    held = finding(800.0, Verdict.KEPT)
    overwhelmed = finding(1600.0, Verdict.BROKEN, is_saturated=True, throughput_per_s=270.0, throughput_error_per_s=2.0)
    worked_off = replace(finding(280.0, Verdict.KEPT), probe=Probe(280.0, 8.0, Phase.BISECT, push_s=2.7))

    step = next_step(Aim(25.0), [held, overwhelmed, worked_off], 40.0)

    assert isinstance(step, Probe)
    assert step.rate_per_s == pytest.approx((800.0 * 1600.0) ** 0.5)


def test_what_is_to_hold_against_a_limit_of_a_minute_is_sustained_for_longer_than_one() -> None:
    limited = fleet(50, "constant:100ms", upstream=Upstream(1165.0, 24))

    bracket, _, elapsed_s = search(limited, Aim(25.0, memory_s=60.0), seed=1)

    assert bracket.stop is Stop.FOUND
    assert bracket.low is not None
    assert bracket.low.probe.duration_s > 60.0
    assert elapsed_s <= 180.0


MINUTES = Aim(25.0, memory_s=60.0)
CONFIGURED = replace(MINUTES, limit=KnownLimit(20.0, 60.0))


@pytest.mark.parametrize("rpm", [120, 1200, 6000])
def test_an_upstream_that_admits_so_many_calls_in_any_minute_is_told_within_three_minutes(rpm: int) -> None:
    aim = replace(MINUTES, limit=KnownLimit(rpm / 60, 60.0))
    upstream = MinuteFleet(rpm, aim)

    bracket, _, elapsed_s = search(upstream, aim, seed=1, distort=upstream.held)

    assert bracket.stop is Stop.FOUND
    assert bracket.high is not None
    assert bracket.high.cause is Cause.REFUSED
    assert holds(bracket, rpm / 60)
    assert bracket.width is not None
    assert bracket.width <= 0.05
    assert elapsed_s <= 180.0
    assert bracket.confidence is not None
    assert bracket.confidence >= 0.9


def test_a_generator_that_fell_behind_once_is_no_reason_to_leave_a_limit_that_is_known() -> None:
    aim = replace(CONFIGURED, within_s=300.0)
    upstream = MinuteFleet(1200, aim)

    def busy(found: Finding) -> Finding:
        if len(upstream.findings) in {0, 2}:
            found = replace(found, verdict=Verdict.INCONCLUSIVE, cause=Cause.GENERATOR)
        return upstream.held(found)

    bracket, findings, _ = search(upstream, aim, seed=1, distort=busy)

    assert bracket.stop is Stop.FOUND
    assert holds(bracket, 20.0)
    assert len(findings) == 5


def test_a_limit_that_only_refusals_tell_is_searched_once_its_minute_is_over() -> None:
    aim = replace(MINUTES, within_s=360.0)
    upstream = MinuteFleet(1200, aim)

    bracket, findings, elapsed_s = search(upstream, aim, seed=1, distort=upstream.held)

    assert bracket.stop is Stop.FOUND
    assert holds(bracket, 20.0)
    assert bracket.width is not None
    assert bracket.width <= 0.05
    assert elapsed_s <= 300.0
    assert sum(finding.probe.rest_s > 0 for finding in findings) == 1


def test_where_there_is_no_time_to_wait_for_an_upstream_that_refuses_the_search_ends_early() -> None:
    upstream = MinuteFleet(1200, MINUTES)

    bracket, _, elapsed_s = search(upstream, MINUTES, seed=1, distort=upstream.held)

    assert bracket.stop is Stop.REFUSED
    assert elapsed_s < 60.0


def test_a_configured_limit_that_is_not_the_one_that_binds_misleads_nobody() -> None:
    slots = fleet(2, "constant:200ms")
    bracket, _, _ = search(slots, CONFIGURED, seed=1)
    assert bracket.stop is Stop.FOUND
    assert holds(bracket, slots.capacity_per_s)

    wider = MinuteFleet(3000, CONFIGURED)
    bracket, findings, _ = search(wider, replace(CONFIGURED, within_s=200.0), seed=1, distort=wider.held)
    assert findings[2].verdict is Verdict.KEPT, "it is not refused where the hint says so"
    assert bracket.high is None or bracket.high.probe.rate_per_s > 50.0


def test_calls_that_workers_space_evenly_show_their_limit_to_the_first_probe() -> None:
    limited = fleet(50, "constant:100ms", upstream=Upstream(1165.0, 24))

    bracket, findings, elapsed_s = search(limited, replace(MINUTES, limit=KnownLimit(1165.0 / 60)), seed=1)

    assert bracket.stop is Stop.FOUND
    assert holds(bracket, 1165.0 / 60)
    assert len(findings) == 2
    assert elapsed_s <= 110.0


def test_a_limit_beyond_the_highest_rate_that_may_be_tried_changes_nothing() -> None:
    first = next_step(replace(CONFIGURED, most_per_s=20.0), [], 0.0)

    assert isinstance(first, Probe)
    assert (first.rate_per_s, first.phase) == (20.0, Phase.DOUBLE)


def test_what_held_for_less_than_a_limit_remembers_is_no_low_end() -> None:
    findings = [finding(100.0, Verdict.KEPT), finding(104.0, Verdict.BROKEN)]

    assert answer(Aim(25.0), findings, Stop.TIME).low is findings[0]
    assert answer(Aim(25.0, memory_s=60.0), findings, Stop.TIME).low is None


def test_a_low_end_near_the_measured_capacity_is_less_sure() -> None:
    failed = finding(104.0, Verdict.BROKEN, is_saturated=True, throughput_per_s=101.0, throughput_error_per_s=0.5)
    errors = [
        answer(Aim(25.0), [finding(rate_per_s, Verdict.KEPT), failed], Stop.TIME).low_error
        for rate_per_s in (95.0, 100.0, 100.8)
    ]

    assert errors[0] == pytest.approx(0.01)
    assert errors[1] == pytest.approx(0.034, abs=0.01)  # two standard errors below, Student's t with 12 degrees
    assert errors[2] == pytest.approx(0.35, abs=0.03)


def test_of_rates_that_held_equally_surely_the_highest_is_the_low_end() -> None:
    findings = [finding(rate_per_s, Verdict.KEPT) for rate_per_s in (25.0, 50.0, 100.0)]

    bracket = answer(Aim(25.0), [*findings, finding(200.0, Verdict.BROKEN)], Stop.TIME)

    assert bracket.low is findings[-1]
    assert bracket.low_error == pytest.approx(0.4)


def test_what_came_out_of_a_load_that_held_is_no_capacity() -> None:
    failed = finding(10.14, Verdict.BROKEN, 25.0, is_saturated=True, throughput_per_s=9.79, throughput_error_per_s=0.05)
    held = finding(9.67, Verdict.KEPT, 66.0, is_saturated=True, throughput_per_s=9.56, throughput_error_per_s=0.03)

    bracket = answer(Aim(25.0), [failed, held], Stop.TIME)

    assert bracket.capacity is not None
    assert bracket.capacity.rate_per_s == pytest.approx(9.79)
    assert bracket.low is held


def test_the_longer_of_two_probes_that_contradict_each_other_is_believed() -> None:
    short_failure = finding(100.0, Verdict.BROKEN, 4.0)
    long_hold = finding(110.0, Verdict.KEPT, 30.0)
    bracket = answer(Aim(1.0), [short_failure, long_hold], Stop.TIME)
    assert bracket.low is long_hold
    assert bracket.high is None

    long_failure = finding(100.0, Verdict.BROKEN, 60.0)
    bracket = answer(Aim(1.0), [long_hold, long_failure], Stop.TIME)
    assert bracket.low is None
    assert bracket.high is long_failure


@pytest.mark.parametrize(
    ("name", "built", "truths_per_s"),
    [
        ("2 x 25 slots of 200 ms", fleet(50, "constant:200ms"), (250.0 / 1.015, 250.0)),
        ("one slot", fleet(1, "constant:200ms"), (1 / 0.203, 5.0)),
        (
            "a limiter that sends 97 % of 20/s",
            fleet(50, "constant:100ms", upstream=Upstream(1165.0, 24)),
            (19.42, 20.0),
        ),
        ("exponential service", fleet(50, "exponential:200ms"), (246.3,)),
    ],
)
def test_a_bracket_of_five_percent_is_found_within_three_minutes(
    name: str, built: SimulatedFleet, truths_per_s: tuple[float, ...]
) -> None:
    bracket, _, elapsed_s = search(built, Aim(max(2.0, built.slots / 2)), seed=1)

    assert bracket.stop is Stop.FOUND, name
    assert bracket.width is not None
    assert bracket.width <= 0.05
    assert elapsed_s <= 180.0
    assert all(holds(bracket, truth_per_s) for truth_per_s in truths_per_s)
    assert bracket.confidence is not None
    assert bracket.confidence >= 0.9
    assert bracket.low is not None
    assert bracket.high is not None
    assert bracket.low.probe.phase is bracket.high.probe.phase is Phase.SUSTAIN


def test_the_highest_rate_that_may_be_tried_is_sustained_and_no_maximum_is_claimed() -> None:
    bracket, findings, _ = search(fleet(50, "constant:200ms"), Aim(25.0, most_per_s=120.0), seed=1)

    assert bracket.stop is Stop.CAP
    assert bracket.high is None
    assert bracket.low is not None
    assert bracket.low.probe.rate_per_s == 120.0
    assert findings[-1].probe.phase is Phase.SUSTAIN


def test_a_fleet_that_carries_nothing_is_said_to_carry_nothing() -> None:
    impossible = Objective("sojourn", 0.95, 0.1)  # each job takes twice as long

    bracket, _, _ = search(fleet(5, "constant:200ms"), Aim(4.0, least_per_s=1.0), seed=1, objectives=(impossible,))

    assert bracket.stop is Stop.LOWEST
    assert bracket.low is None


def test_an_objective_that_fails_before_the_slots_are_full_ends_the_bracket_there() -> None:
    strict = Objective("wait", 0.95, 0.02)
    built = fleet(5, "exponential:100ms")

    bracket, _, _ = search(built, Aim(2.5, max_width=0.5), seed=3, objectives=(strict,))

    assert bracket.high is not None
    assert bracket.high.cause is Cause.OBJECTIVE
    assert bracket.high.probe.rate_per_s < built.capacity_per_s


def test_jobs_that_vary_foretell_a_longer_search_and_even_ones_do_not() -> None:
    def foretold_s(built: SimulatedFleet) -> float:
        aim = Aim(25.0)
        _, findings, _ = search(built, aim, seed=1)
        first = next(n for n, one in enumerate(findings, 1) if one.probe.phase is Phase.SUSTAIN)
        elapsed_s = sum(one.probe.length_s + 3.0 for one in findings[:first])
        longer_s = needed_s(aim, findings[:first], elapsed_s)
        assert longer_s is not None
        return longer_s

    assert foretold_s(fleet(50, "exponential:1s")) > 240.0
    assert foretold_s(fleet(50, "constant:200ms")) < 180.0
    assert needed_s(Aim(25.0), [], 0.0) is None


def test_time_that_is_over_leaves_a_wider_bracket_and_says_so() -> None:
    bracket, _, elapsed_s = search(fleet(5, "exponential:500ms"), Aim(2.5, within_s=60.0), seed=1)

    assert bracket.stop is Stop.TIME
    assert elapsed_s <= 60.0 + 1e-6
    assert bracket.width is None or bracket.width > 0.05


LAWS = ("constant:{0}s", "exponential:{0}s", "gamma:mean={0}s,scv=0.25", "lognormal:mean={0}s,p95={1}s")


def random_fleet(rng: random.Random) -> SimulatedFleet:
    while True:
        slots, mean_s = rng.choice([1, 5, 25, 50]), rng.choice([0.05, 0.1, 0.2, 0.5])
        if slots / mean_s <= 300:
            return fleet(slots, rng.choice(LAWS).format(mean_s, 2.5 * mean_s))


def test_brackets_hold_the_capacity_as_often_as_they_say() -> None:
    """No wait is bounded, so that the maximum is the capacity itself; every stop counts, and so does every law."""
    rng = random.Random(20)
    lenient = (Objective("wait", 0.95, 3600.0),)
    right, claimed = 0, 0
    for seed in range(40):
        built = random_fleet(rng)
        bracket, _, elapsed_s = search(built, Aim(max(2.0, built.slots / 2)), seed, objectives=lenient)
        assert elapsed_s <= 180.0 + 1e-6
        if (bracket.confidence or 0.0) >= 0.9:
            claimed += 1
            right += holds(bracket, built.capacity_per_s)

    assert claimed >= 33
    assert right >= 0.95 * claimed


@settings(max_examples=12, deadline=None)
@given(
    capacity_per_s=st.floats(1.0, 300.0),
    start_per_s=st.floats(0.5, 400.0),
    service_s=st.floats(0.05, 1.0),
)
def test_from_any_first_rate_the_bracket_of_an_even_fleet_holds_its_capacity(
    capacity_per_s: float, start_per_s: float, service_s: float
) -> None:
    slots = max(1, round(capacity_per_s * service_s))
    built = SimulatedFleet(slots, parse_law(f"constant:{service_s:.6f}s"))

    bracket, _, _ = search(built, Aim(start_per_s, within_s=600.0), seed=1)

    assert bracket.stop is Stop.FOUND
    assert holds(bracket, built.capacity_per_s)

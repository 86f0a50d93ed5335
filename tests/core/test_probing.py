"""What a probe of a fleet of known capacity tells, and what it leaves open."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jobctl.core.demand import Upstream
from jobctl.core.probing import Cause, Finding, Phase, Probe, read_probe
from jobctl.core.records import JobRecord, Outcome
from jobctl.core.service import parse_law
from jobctl.core.slo import DEFAULT_OBJECTIVE, Objective, Verdict
from support.searches import SimulatedFleet

FLEET = SimulatedFleet(50, parse_law("constant:200ms"))


def find(
    probe: Probe,
    fleet: SimulatedFleet = FLEET,
    *,
    seed: int = 1,
    resolution: float = 0.25,
    objective: Objective = DEFAULT_OBJECTIVE,
    **told: Any,
) -> Finding:
    return read_probe(
        probe,
        fleet.run(probe, seed),
        0.0,
        objectives=(objective,),
        slots=fleet.slots,
        resolution=resolution,
        **told,
    )


def test_a_rate_below_the_capacity_holds_and_its_utilisation_is_the_offered_load() -> None:
    finding = find(Probe(200.0, 6.0, Phase.DOUBLE))

    assert finding.verdict is Verdict.KEPT
    assert finding.throughput_per_s == pytest.approx(200.0, rel=0.01)
    assert finding.utilisation == pytest.approx(200.0 * 0.2 / 50, rel=0.02)
    assert finding.wait_p95_s == pytest.approx(0.0, abs=1e-6)
    assert not finding.is_saturated


def test_a_rate_above_it_fails_and_tells_the_capacity() -> None:
    finding = find(Probe(400.0, 4.0, Phase.DOUBLE))

    assert (finding.verdict, finding.cause) == (Verdict.BROKEN, Cause.TREND)
    assert finding.is_saturated
    assert finding.throughput_per_s == pytest.approx(250.0, rel=0.01)
    assert finding.growth_per_s == pytest.approx(150.0, rel=0.02)


def test_a_push_shows_a_drift_of_three_percent_within_seconds() -> None:
    pushed = find(Probe(257.5, 10.0, Phase.SUSTAIN, push_s=2.7))

    assert (pushed.verdict, pushed.cause) == (Verdict.BROKEN, Cause.TREND)
    assert pushed.throughput_per_s == pytest.approx(250.0, rel=0.002)
    assert pushed.wait_p95_s is None


def test_a_pushed_backlog_that_is_worked_off_shows_a_rate_below_the_capacity() -> None:
    assert find(Probe(240.0, 10.0, Phase.BISECT, push_s=2.7)).verdict is Verdict.KEPT


def test_a_full_bucket_of_permits_hides_a_limit_that_a_push_uncovers() -> None:
    limited = SimulatedFleet(50, parse_law("constant:100ms"), upstream=Upstream(rpm=1200.0, burst=60))
    above = Probe(21.0, 15.0, Phase.SUSTAIN)

    assert find(above, limited).verdict is not Verdict.BROKEN
    assert find(replace(above, push_s=4.0), limited).verdict is Verdict.BROKEN


def test_slots_that_were_filled_together_do_not_look_like_noise() -> None:
    """All slots end their jobs at one instant, second after second; the drift is a fiftieth of their number."""
    lockstep = SimulatedFleet(200, parse_law("constant:1s"))

    finding = find(Probe(204.0, 20.0, Phase.SUSTAIN, push_s=3.5), lockstep)

    assert finding.verdict is Verdict.BROKEN
    assert finding.throughput_per_s == pytest.approx(200.0, rel=0.01)


def test_an_objective_may_fail_where_the_backlog_does_not_grow() -> None:
    finding = find(
        Probe(45.0, 60.0, Phase.SUSTAIN),
        SimulatedFleet(5, parse_law("exponential:100ms")),
        resolution=0.5,
        objective=Objective("wait", 0.95, 0.02),
    )

    assert (finding.verdict, finding.cause) == (Verdict.BROKEN, Cause.OBJECTIVE)


def test_few_jobs_confirm_no_quantile_but_may_lead_on() -> None:
    slow = SimulatedFleet(5, parse_law("constant:100ms"))

    assert find(Probe(2.0, 10.0, Phase.DOUBLE), slow).verdict is Verdict.KEPT
    confirming = find(Probe(2.0, 10.0, Phase.SUSTAIN), slow)
    assert (confirming.verdict, confirming.cause) == (Verdict.INCONCLUSIVE, Cause.LENGTH)


def test_jobs_that_outlast_the_probe_tell_nothing() -> None:
    slow = SimulatedFleet(50, parse_law("constant:3s"))

    finding = find(Probe(20.0, 4.0, Phase.DOUBLE), slow)

    assert (finding.verdict, finding.cause) == (Verdict.INCONCLUSIVE, Cause.LENGTH)
    assert "too short" in finding.reason


def test_where_no_job_ends_although_jobs_are_short_the_rate_fails() -> None:
    probe = Probe(20.0, 4.0, Phase.DOUBLE)
    stuck = [JobRecord(f"r-{n}", "sleep", n / 20, n / 20, None, None, Outcome.IN_FLIGHT) for n in range(80)]

    def read(usual_service_s: float | None) -> Finding:
        return read_probe(probe, stuck, 0.0, objectives=(), slots=50, resolution=0.25, usual_service_s=usual_service_s)

    assert read(None).verdict is Verdict.INCONCLUSIVE
    assert read(0.1).cause is Cause.TREND


def test_doubts_about_the_load_are_no_verdict_about_the_fleet() -> None:
    finding = find(Probe(100.0, 4.0, Phase.DOUBLE), doubts=["7 arrivals were due and never sent"])

    assert (finding.verdict, finding.cause) == (Verdict.INCONCLUSIVE, Cause.GENERATOR)
    assert finding.reason == "7 arrivals were due and never sent"


@pytest.mark.parametrize("outcome", [Outcome.LOST, Outcome.FAILED])
def test_lost_and_failed_jobs_break_a_rate_that_is_otherwise_well(outcome: Outcome) -> None:
    probe = Probe(100.0, 4.0, Phase.DOUBLE)
    records = [
        replace(record, outcome=outcome) if n % 20 == 0 else record for n, record in enumerate(FLEET.run(probe, 1))
    ]

    finding = read_probe(probe, records, 0.0, objectives=(), slots=50, resolution=0.25)

    assert (finding.verdict, finding.cause) == (Verdict.BROKEN, Cause.ERRORS)


def test_critical_loads_are_rarely_called_growing() -> None:
    """At the very capacity the backlog has no drift: what is called one is the test's own error of 2.5 %."""
    fleet = SimulatedFleet(10, parse_law("exponential:100ms"))
    probe = Probe(fleet.capacity_per_s, 8.0, Phase.BISECT, push_s=2.6)

    grown = sum(find(probe, fleet, seed=seed).verdict is Verdict.BROKEN for seed in range(120))

    assert grown <= 9  # Binomial(120, 0.025) exceeds 9 once in a thousand times

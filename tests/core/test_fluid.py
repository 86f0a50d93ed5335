from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.core.arrivals import POISSON, parse_arrivals
from jobctl.core.capacity import limits_of
from jobctl.core.demand import Demand, JobType
from jobctl.core.fluid import STRETCH_S, Stretch, hour_edges, stretches_of
from jobctl.core.profiles import Spike, diurnal_profile, steady_profile
from jobctl.core.service import Exponential
from jobctl.core.slo import DEFAULT_OBJECTIVE

STEADY = Demand(
    profile=steady_profile(2.5),
    arrivals=POISSON,
    job_types=(JobType("job", 1.0, Exponential(8.0)),),
    concurrency=25,
    promises=(DEFAULT_OBJECTIVE,),
)
DAY = replace(STEADY, profile=diurnal_profile(2.5, 2.0))


def stretches(demand: Demand, slots: int) -> list[Stretch]:
    return stretches_of(demand, limits_of(demand), slots)


def test_a_steady_rate_is_one_stretch_without_a_backlog() -> None:
    (only,) = stretches(STEADY, 25)
    assert (only.length_s, only.rate_per_s, only.waits_s) == (86_400.0, pytest.approx(2.5), (0.0,))


def test_slots_that_never_keep_up_wait_without_end() -> None:
    assert stretches(DAY, 20)[0].waits_s == (math.inf,)


@settings(max_examples=40)
@given(st.floats(1.01, 20), st.integers(21, 200))
def test_the_stretches_hold_all_jobs_of_the_day_in_order(peak_factor: float, slots: int) -> None:
    demand = replace(STEADY, profile=diurnal_profile(2.5, peak_factor).with_spikes([Spike(1000, 50_000.0)]))
    found = stretches(demand, slots)
    assert math.fsum(stretch.jobs for stretch in found) == pytest.approx(demand.profile.jobs, rel=1e-6)
    assert all(earlier.middle_s <= later.middle_s for earlier, later in pairwise(found))
    assert max(stretch.length_s for stretch in found) <= STRETCH_S + 1e-6


def test_a_peak_above_the_slots_waits_longest_when_the_rate_has_fallen_back_to_what_they_do() -> None:
    found = stretches(DAY, 30)  # 30 / 8 = 3.75 jobs/s, which the rate of 2.5 (1 + cos) is at 60 degrees after noon
    longest = max(found, key=lambda stretch: stretch.waits_s[0])
    assert longest.middle_s == pytest.approx(16 * 3600, abs=2 * STRETCH_S)
    # The backlog then is the area between: 2.5 x 2 (sin 60° - 60° in radians x 1/2) x 86,400 / tau.
    area = 2.5 * 2 * (math.sin(math.pi / 3) - math.pi / 3 / 2) * 86_400 / math.tau
    assert longest.waits_s[0] == pytest.approx(area / 3.75, rel=0.01)


def test_a_spike_starts_what_is_free_and_queues_the_rest() -> None:
    demand = replace(STEADY, profile=steady_profile(2.5).with_spikes([Spike(1000, 43_210.0)]))
    (spike,) = (stretch for stretch in stretches(demand, 50) if not stretch.length_s)
    assert (spike.start_s, spike.jobs) == (43_210.0, 1000)
    assert spike.waits_s[0] == pytest.approx((1000 / 20 - 30) / (50 / 8))  # 30 of 50 slots are free
    assert spike.waits_s[-1] == pytest.approx((1000 * 19 / 20 - 30) / (50 / 8))
    after = next(stretch for stretch in stretches(demand, 50) if stretch.start_s == 43_210.0 and stretch.length_s)
    assert after.waits_s[0] > 60


def test_a_batch_waits_for_itself() -> None:
    demand = replace(STEADY, arrivals=parse_arrivals("batch:100"))
    (only,) = stretches(demand, 50)
    assert only.waits_s[0] == 0
    assert only.waits_s[-1] == pytest.approx((95 - 30) / (50 / 8))


@pytest.mark.parametrize(("period_s", "count"), [(86_400.0, 24), (3504.0, 1), (7000.0, 2), (3 * 86_400.0, 72)])
def test_a_period_is_cut_into_about_as_many_hours_as_it_has(period_s: float, count: int) -> None:
    edges = hour_edges(period_s)
    assert (len(edges) - 1, edges[0], edges[-1]) == (count, 0.0, period_s)

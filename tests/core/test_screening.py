from __future__ import annotations

import math
from array import array
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.core.arrivals import POISSON, parse_arrivals
from jobctl.core.capacity import limits_of
from jobctl.core.demand import Demand, JobType, Retries, Upstream
from jobctl.core.profiles import Spike, diurnal_profile, steady_profile
from jobctl.core.screening import Screen, drain_time_s, is_exact, is_trusted
from jobctl.core.service import Exponential, law_of
from jobctl.core.slo import DEFAULT_OBJECTIVE, Cover, Drain, Window, parse_objective
from jobctl.core.traces import Trace

DEMAND = Demand(
    profile=steady_profile(2.5),
    arrivals=POISSON,
    job_types=(JobType("job", 1.0, Exponential(8.0)),),
    concurrency=25,
    promises=(DEFAULT_OBJECTIVE,),
)


def screen(demand: Demand, slots: int) -> Screen:
    return Screen(demand, limits_of(demand), slots)


def test_the_worked_example_to_four_digits() -> None:
    waits = screen(DEMAND, 25).waits(Window.BUSIEST_HOUR)
    assert [float(f"{value:.4g}") for value in (waits.p_wait, waits.mean_s, waits.p95_s, waits.p99_s)] == [
        0.2091,
        0.3346,
        2.289,
        4.864,
    ]
    assert screen(DEMAND, 25).method == "M/M/c"


def test_every_window_of_a_steady_load_is_like_any_other() -> None:
    fleet = screen(DEMAND, 25)
    assert len({fleet.waits(window) for window in Window}) == 1


def test_slots_that_cannot_keep_up_wait_without_end() -> None:
    fleet = screen(DEMAND, 20)
    assert fleet.waits(Window.WHOLE_DAY).p95_s == math.inf
    assert not fleet.holds
    assert fleet.broken() == ("p95 wait <= 1 s (grows without end)",)


def test_the_busiest_hour_waits_longer_than_the_day() -> None:
    demand = replace(DEMAND, profile=diurnal_profile(2.5, 2.0))
    fleet = screen(demand, 45)
    day, hour = fleet.waits(Window.WHOLE_DAY), fleet.waits(Window.BUSIEST_HOUR)
    assert hour.mean_s > day.mean_s > 0
    # The busiest hour's rate is within 2 % of the peak's, so its wait is near that of a steady load of that rate.
    peak = screen(replace(DEMAND, profile=steady_profile(5.0)), 45).waits(Window.WHOLE_DAY)
    assert 0.6 * peak.mean_s < hour.mean_s < peak.mean_s


def test_a_peak_above_the_slots_builds_a_fluid_backlog_that_is_worst_after_it() -> None:
    demand = replace(DEMAND, profile=diurnal_profile(2.5, 2.0))
    fleet = screen(demand, 35)
    hour, worst = fleet.waits(Window.BUSIEST_HOUR), fleet.waits(Window.EVERY_HOUR)
    assert worst.p95_s > hour.p95_s > 60


def test_a_spike_waits_about_as_long_as_the_slots_need_for_it() -> None:
    demand = replace(DEMAND, profile=steady_profile(2.5).with_spikes([Spike(5000, 43_200.0)]))
    longest = screen(demand, 50).waits(Window.EVERY_HOUR).p99_s
    last_s = 5000 / (50 / 8)  # the fluid spreads a spike over five minutes, so it sees somewhat less
    assert 0.5 * last_s < longest < 1.1 * last_s


def test_a_trace_begins_with_empty_slots() -> None:
    arrivals = array("d", [0.2 * number for number in range(3000)])
    trace = Trace("t", arrivals)
    demand = replace(DEMAND, trace=trace, profile=trace.profile)
    # 5 jobs/s against 20/8: after 600 s some 1,500 wait, and the last of them 600 s; chance adds its part.
    waits = screen(demand, 20).waits(Window.WHOLE_DAY)
    assert 300 < waits.mean_s < 400


def test_the_upstream_is_a_second_station() -> None:
    near = replace(DEMAND, upstream=Upstream(rpm=160))
    roomy = replace(DEMAND, upstream=Upstream(rpm=1600))
    bursty = replace(DEMAND, upstream=Upstream(rpm=160, burst=40))
    plenty = 200
    means = [screen(demand, plenty).waits(Window.WHOLE_DAY).mean_s for demand in (near, bursty, roomy)]
    rate, admitted = 2.5, 160 / 60
    assert means[0] == pytest.approx(rate / admitted / (2 * (1 - rate / admitted) * admitted), rel=1e-6)  # M/D/1
    assert means[0] > means[1] > means[2]


def test_an_upstream_below_the_load_waits_without_end() -> None:
    assert screen(replace(DEMAND, upstream=Upstream(rpm=149)), 500).waits(Window.WHOLE_DAY).mean_s == math.inf


def test_a_mean_sojourn_is_wait_and_slot_and_back_off() -> None:
    demand = replace(
        DEMAND,
        promises=(parse_objective("mean sojourn <= 10s"),),
        retries=Retries(attempts=3, failure_rate=0.5, base_s=4.0, factor=2.0, cap_s=300.0, jitter=1.0),
    )
    objective = demand.objectives[0]
    # 1.75 attempts of 8 s; back-off 0.5 x 4 + 0.25 x 8, half of it on average under full jitter.
    assert screen(demand, 10_000).value_s(objective) == pytest.approx(1.75 * 8 + (0.5 * 4 + 0.25 * 8) / 2)


def test_a_quantile_of_the_sojourn_is_the_services_own_where_nobody_waits() -> None:
    demand = replace(DEMAND, promises=(parse_objective("p95 sojourn <= 60s"),))
    idle, busy = (screen(demand, slots).value_s(demand.objectives[0]) for slots in (1000, 22))
    assert idle == pytest.approx(8 * math.log(20), rel=0.03)
    # M/M/c: the wait is on average p / (c - a) services more.
    assert idle + 1 < busy < idle + screen(demand, 22).waits(Window.WHOLE_DAY).p95_s


def test_draining_takes_the_backlog_over_what_is_left_of_the_slots() -> None:
    assert drain_time_s(DEMAND, limits_of(DEMAND), 50, 1000) == pytest.approx(1000 / (50 / 8 - 2.5))
    assert drain_time_s(DEMAND, limits_of(DEMAND), 20, 1000) == math.inf
    demand = replace(DEMAND, promises=(Drain(1000, 300.0),))
    assert [screen(demand, slots).holds for slots in (40, 50)] == [False, True]


def test_a_cover_is_the_share_of_five_minutes_that_hold() -> None:
    demand = replace(DEMAND, profile=diurnal_profile(2.5, 2.0), promises=(Cover(0.9),))
    fleet = screen(demand, 42)
    assert 0.5 < fleet.share_held() < 1
    assert screen(demand, 100).share_held() == 1


def test_only_a_steady_poisson_stream_of_exponential_attempts_is_exact() -> None:
    def exact(demand: Demand) -> bool:
        return is_exact(demand, limits_of(demand))

    assert exact(DEMAND)
    assert not exact(replace(DEMAND, arrivals=parse_arrivals("renewal:2")))
    assert not exact(replace(DEMAND, job_types=(JobType("job", 1.0, law_of(8.0, 2.0)),)))
    assert not exact(replace(DEMAND, profile=diurnal_profile(2.5, 1.5)))
    assert not exact(replace(DEMAND, retries=Retries(attempts=2, failure_rate=0.1)))
    assert not exact(replace(DEMAND, upstream=Upstream(rpm=1000)))


def test_batches_and_full_slots_are_not_trusted_to_a_closed_form() -> None:
    assert is_trusted(DEMAND, limits_of(DEMAND), 25)
    assert not is_trusted(DEMAND, limits_of(DEMAND), 20)
    batches = replace(DEMAND, arrivals=parse_arrivals("batch:50"))
    assert not is_trusted(batches, limits_of(batches), 100)


@pytest.mark.parametrize(("wait_s", "trusted"), [(1.0, False), (1.5, True)])
def test_an_upstream_is_not_trusted_to_a_closed_form_where_its_own_steps_are_what_jobs_wait_for(
    wait_s: float, trusted: bool
) -> None:
    demand = replace(DEMAND, upstream=Upstream(rpm=480), promises=(replace(DEFAULT_OBJECTIVE, threshold_s=wait_s),))
    assert is_trusted(demand, limits_of(demand), 25) is trusted  # 8 calls a second: 1 s is 8 steps, 1.5 s are 12


@settings(max_examples=30)
@given(st.floats(1.0, 3.0), st.integers(20, 60), st.sampled_from(list(Window)))
def test_more_slots_never_wait_longer(peak_factor: float, slots: int, window: Window) -> None:
    demand = replace(DEMAND, profile=diurnal_profile(2.5, peak_factor))
    fewer, more = screen(demand, slots).waits(window), screen(demand, slots + 5).waits(window)
    assert more.mean_s <= fewer.mean_s * 1.001

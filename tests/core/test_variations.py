from __future__ import annotations

import random
from array import array
from dataclasses import replace

import pytest

from jobctl.core.arrivals import POISSON
from jobctl.core.demand import Demand, JobType, Retries
from jobctl.core.profiles import diurnal_profile, steady_profile
from jobctl.core.service import Constant, Empirical, Exponential, Gamma, Law, Lognormal, Mixture, OpenRouter
from jobctl.core.slo import DEFAULT_OBJECTIVE, Window, parse_objective
from jobctl.core.traces import Trace
from jobctl.core.variations import (
    scaled_law,
    with_failure_rate,
    with_peak,
    with_service,
    with_volume,
    with_window,
)

DEMAND = Demand(
    profile=diurnal_profile(2.5, 2.0),
    arrivals=POISSON,
    job_types=(JobType("short", 0.5, Exponential(2.0)), JobType("long", 0.5, Constant(8.0))),
    concurrency=25,
    promises=(DEFAULT_OBJECTIVE,),
)
TRACE = Trace("t", array("d", [0.0, 1.0, 3.0, 6.0]), array("d", [1.0, 2.0, 3.0, 4.0]))


@pytest.mark.parametrize(
    "law",
    [
        Constant(2.0),
        Exponential(2.0),
        Gamma(2.0, 4.0),
        Lognormal(0.5, 1.2),
        Empirical((1.0, 2.0, 9.0)),
        Mixture(((0.3, Constant(1.0)), (0.7, Exponential(4.0)))),
        OpenRouter(),
    ],
)
def test_a_scaled_law_has_the_scaled_mean_the_same_variation_and_the_scaled_draws(law: Law) -> None:
    scaled = scaled_law(law, 1.5)
    assert scaled.mean_s == pytest.approx(1.5 * law.mean_s)
    assert scaled.scv == pytest.approx(law.scv)
    plain, longer = (one.draw(random.Random(5), 200) for one in (law, scaled))
    assert longer == pytest.approx([1.5 * value for value in plain])


def test_what_no_law_of_ours_is_cannot_be_scaled() -> None:
    class Foreign:
        mean_s, scv = 1.0, 0.0

        def sample(self, rng: random.Random) -> float:
            return 1.0

        def draw(self, rng: random.Random, n: int) -> list[float]:
            return [1.0] * n

    with pytest.raises(TypeError, match="Foreign cannot be scaled"):
        scaled_law(Foreign(), 2.0)


def test_more_volume_keeps_the_shape() -> None:
    more = with_volume(DEMAND, 3.0).profile
    assert more.mean_per_s == pytest.approx(7.5)
    assert more.peak_per_s / more.mean_per_s == pytest.approx(2.0, rel=1e-6)


def test_more_volume_plays_a_trace_faster_and_its_jobs_take_as_long() -> None:
    replayed = replace(DEMAND, trace=TRACE, profile=TRACE.profile)
    faster = with_volume(replayed, 2.0)
    assert faster.trace is not None
    assert list(faster.trace.arrivals_s) == [0.0, 0.5, 1.5, 3.0]
    assert faster.trace.services_s == TRACE.services_s
    assert faster.profile.mean_per_s == pytest.approx(2 * replayed.profile.mean_per_s)


def test_a_longer_service_is_longer_for_every_type_and_every_row_of_a_trace() -> None:
    longer = with_service(replace(DEMAND, trace=TRACE, profile=TRACE.profile), 2.0)
    assert [kind.service.mean_s for kind in longer.job_types] == [4.0, 16.0]
    assert longer.trace is not None
    assert longer.trace.services_s is not None
    assert list(longer.trace.services_s) == [2.0, 4.0, 6.0, 8.0]


def test_one_thing_is_changed_at_a_time() -> None:
    retried = replace(DEMAND, retries=Retries(attempts=3, failure_rate=0.1))
    assert with_failure_rate(retried, 0.2).retries == Retries(attempts=3, failure_rate=0.2)
    assert with_peak(replace(DEMAND, profile=steady_profile(2.5)), 2.0).profile == DEMAND.profile


def test_another_window_is_another_for_objectives_that_name_their_own_too() -> None:
    named = replace(DEMAND, promises=(parse_objective("p95 wait <= 1s over every hour"), DEFAULT_OBJECTIVE))
    changed = with_window(named, Window.WHOLE_DAY)
    assert changed.window is Window.WHOLE_DAY
    assert [objective.window for objective in changed.objectives] == [None, None]

"""The simulation against what theory knows exactly, without any lead-in."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from statistics import fmean

import pytest

from jobctl.core.demand import Retries, Upstream
from jobctl.core.estimates import Estimate, student_t
from jobctl.core.queueing import predict_wait
from jobctl.core.simulation import Served, busy_share, serve, steady_start

Draw = Callable[[random.Random], float]
#: One in a thousand, either side, so that a suite of some dozens does not fail by chance.
CONFIDENCE = 0.999
EXPONENTIAL: Draw = lambda rng: rng.expovariate(1.0)  # noqa: E731 (a table of laws, all of mean 1)
CONSTANT: Draw = lambda rng: 1.0  # noqa: E731
#: exp(sigma²) - 1 = 4.
LOGNORMAL: Draw = lambda rng: rng.lognormvariate(-math.log(5) / 2, math.sqrt(math.log(5)))  # noqa: E731


def window(draw: Draw, slots: int, utilisation: float, jobs: int, rng: random.Random) -> Served:
    """So many jobs of mean 1 s, from a steady start on."""
    rate_per_s = slots * utilisation
    arrivals = []
    now_s = 0.0
    for _ in range(jobs):
        now_s += rng.expovariate(rate_per_s)
        arrivals.append(now_s)
    services = [draw(rng) for _ in range(jobs)]
    return serve(arrivals, services, slots, busy_until=steady_start(slots * utilisation, slots, services, rng))


def estimate(draw: Draw, slots: int, utilisation: float, jobs: int, replications: int) -> Estimate:
    found = Estimate()
    rng = random.Random(f"{slots} slots at {utilisation}")
    for _ in range(replications):
        found.add(window(draw, slots, utilisation, jobs, rng).waits)
    return found


@pytest.mark.parametrize(("slots", "utilisation"), [(1, 0.5), (1, 0.8), (5, 0.7), (25, 0.8), (25, 0.9), (50, 0.9)])
def test_mmc_meets_erlang_c_from_its_first_job_on(slots: int, utilisation: float) -> None:
    found = estimate(EXPONENTIAL, slots, utilisation, jobs=4000, replications=30)
    truth = predict_wait(arrival_rate_per_s=slots * utilisation, mean_service_s=1.0, slots=slots)
    for q in (0.5, 0.95):
        low_s, high_s = found.band(q, CONFIDENCE) or (math.nan, math.nan)
        assert low_s <= truth.quantile_s(q) <= high_s
    low_s, high_s = found.mean_band(CONFIDENCE) or (math.nan, math.nan)
    assert low_s <= truth.mean_s <= high_s
    assert found.p_wait == pytest.approx(truth.p_wait, rel=0.15)


@pytest.mark.parametrize("utilisation", [0.8, 0.9])
@pytest.mark.parametrize(("draw", "scv"), [(CONSTANT, 0.0), (LOGNORMAL, 4.0)])  # exponential: as M/M/1, above
def test_mg1_meets_pollaczek_and_khinchine(draw: Draw, scv: float, utilisation: float) -> None:
    found = estimate(draw, 1, utilisation, jobs=8000, replications=40)
    truth_s = utilisation * (1 + scv) / 2 / (1 - utilisation)
    low_s, high_s = found.mean_band(CONFIDENCE) or (math.nan, math.nan)
    assert low_s <= truth_s <= high_s
    assert high_s < 3 * low_s  # the interval is no excuse


@pytest.mark.parametrize(
    ("draw", "utilisation"), [(CONSTANT, 0.7), (CONSTANT, 0.9), (LOGNORMAL, 0.7), (LOGNORMAL, 0.9)]
)
def test_a_steady_start_is_steady_for_other_laws_too(draw: Draw, utilisation: float) -> None:
    # Short windows from a steady start against windows that come after a long lead-in: their means are alike.
    slots, jobs, replications = 10, 300, 200
    rng = random.Random(f"steady start at {utilisation}")
    early = [fmean(window(draw, slots, utilisation, jobs, rng).waits) for _ in range(replications)]
    late = [fmean(window(draw, slots, utilisation, 5 * jobs, rng).waits[-jobs:]) for _ in range(replications)]
    variance = sum(_variance(means) / replications for means in (early, late))
    assert abs(fmean(early) - fmean(late)) < student_t(CONFIDENCE, replications - 1) * math.sqrt(variance)


def test_constant_service_waits_about_half_as_long_on_many_slots() -> None:
    # Cosmetatos' interpolation of M/D/c is within 2 % here.
    found = estimate(CONSTANT, 10, 0.9, jobs=4000, replications=30)
    truth = predict_wait(arrival_rate_per_s=9, mean_service_s=1.0, slots=10, service_scv=0.0)
    low_s, high_s = found.mean_band(CONFIDENCE) or (math.nan, math.nan)
    assert low_s * 0.98 <= truth.mean_s <= high_s * 1.02


def test_the_busy_share_is_the_offered_load_over_the_slots() -> None:
    rng = random.Random(5)
    served = window(EXPONENTIAL, 20, 0.8, 40_000, rng)
    end_s = served.entries[-1]
    share = busy_share(served.entries, served.entry_waits, served.held, 50.0, end_s, 20)
    assert share == pytest.approx(0.8, rel=4 * math.sqrt(2 / 40_000))


def test_retries_take_the_attempts_and_the_slot_time_that_follow_from_their_rate() -> None:
    # A = (1 - p^m)/(1 - p) attempts a job, p^m of the jobs fail, and a failed attempt takes three times as long.
    rng = random.Random(6)
    jobs, p, m = 40_000, 0.2, 3
    services = [EXPONENTIAL(rng) for _ in range(jobs)]
    arrivals = [number / 20 for number in range(jobs)]
    served = serve(arrivals, services, 80, retries=Retries(m, p, failed_ratio=3.0), rng=rng)
    attempts = (1 - p**m) / (1 - p)
    assert served.attempts / jobs == pytest.approx(attempts, rel=4 * math.sqrt(p / jobs))
    assert served.failed_jobs / jobs == pytest.approx(p**m, rel=4 / math.sqrt(jobs * p**m))
    assert sum(served.held) / jobs == pytest.approx(attempts * (1 - p + 3 * p), rel=4 * math.sqrt(6 / jobs))


def test_an_upstream_before_ample_slots_is_the_queue_md1() -> None:
    # Without burst it serves a call every 60/rpm seconds: M/D/1 at the share of the limit that is used.
    found = Estimate()
    rng = random.Random(7)
    for _ in range(30):
        arrivals, now_s = [], 0.0
        for _ in range(4000):
            now_s += rng.expovariate(0.8)
            arrivals.append(now_s)
        found.add(serve(arrivals, [5.0] * 4000, 100, upstream=Upstream(rpm=60)).waits[500:])
    low_s, high_s = found.mean_band(CONFIDENCE) or (math.nan, math.nan)
    assert low_s <= 0.8 / 2 / (1 - 0.8) <= high_s


def test_an_upstream_that_admits_too_little_makes_the_wait_grow_by_the_excess() -> None:
    # 1.25 jobs/s arrive, 1/s are admitted: after t seconds 0.25 t wait, and the last waits as many seconds.
    arrivals = [number / 1.25 for number in range(5000)]
    served = serve(arrivals, [1.0] * 5000, 1000, upstream=Upstream(rpm=60))
    assert served.waits[-1] == pytest.approx(0.25 * arrivals[-1], rel=1e-3)


def _variance(values: list[float]) -> float:
    mean = fmean(values)
    return sum((value - mean) ** 2 for value in values) / (len(values) - 1)


@pytest.mark.parametrize(
    ("slots", "utilisation", "jobs", "replications"), [(1, 0.7, 1000, 4), (25, 0.8, 1500, 5), (10, 0.9, 3000, 8)]
)
def test_bands_hold_the_truth_and_verdicts_are_right_as_often_as_they_say(
    slots: int, utilisation: float, jobs: int, replications: int
) -> None:
    rng = random.Random(f"bands of {slots} at {utilisation}")
    truth = predict_wait(arrival_rate_per_s=slots * utilisation, mean_service_s=1.0, slots=slots)
    printed = held = wrong = 0
    repetitions = 60
    for _ in range(repetitions):
        found = Estimate()
        for _ in range(replications):
            found.add(window(EXPONENTIAL, slots, utilisation, jobs, rng).waits)
        bands = [(found.band(q), truth.quantile_s(q)) for q in (0.5, 0.95)]
        for band, value_s in [*bands, (found.mean_band(), truth.mean_s)]:
            if band is not None:
                printed += 1
                held += band[0] - 1e-9 <= value_s <= band[1] + 1e-9
        p95_s = truth.quantile_s(0.95)
        wrong += found.decide(0.95, 0.98 * p95_s) is True
        wrong += found.decide(0.95, 1.02 * p95_s) is False
    assert printed >= 2 * repetitions
    assert held >= 0.9 * printed
    assert wrong <= 0.05 * repetitions  # one of a hundred each; three of sixty, by chance

"""A queue played out job by job: what the closed forms claim, and what the summary reads from it."""

from __future__ import annotations

import heapq
import math
import random
from statistics import fmean, stdev

import pytest

from jobctl.core.arrivals import Arrivals, Stage, make_schedule
from jobctl.core.quantiles import Sample
from jobctl.core.queueing import predict_wait
from jobctl.core.records import JobRecord, Outcome
from jobctl.core.service import Constant, Exponential, Law
from jobctl.core.summary import Window, summarise


def play(law: Law, rate_per_s: float, slots: int, duration_s: float, seed: int) -> list[JobRecord]:
    """Jobs in order of arrival, each on the slot that is free first."""
    rng = random.Random(seed)
    free_at = [0.0] * slots
    records = []
    for arrived_s in make_schedule(Arrivals.POISSON, [Stage.steady(rate_per_s, duration_s)], seed):
        started_s = max(arrived_s, heapq.heappop(free_at))
        finished_s = started_s + law.sample(rng)
        heapq.heappush(free_at, finished_s)
        records.append(JobRecord("", "job", arrived_s, arrived_s, started_s, finished_s, Outcome.FINISHED, successes=1))
    return records


def batch_means(values: list[float], batches: int = 20) -> tuple[float, float]:
    """The mean and its standard error, from means of consecutive batches."""
    size = len(values) // batches
    means = [fmean(values[first : first + size]) for first in range(0, size * batches, size)]
    return fmean(means), stdev(means) / math.sqrt(batches)


@pytest.mark.parametrize(("slots", "utilisation"), [(1, 0.6), (5, 0.8), (25, 0.8), (25, 0.9)])
def test_a_simulated_mmc_meets_erlang_c_within_its_own_interval(slots: int, utilisation: float) -> None:
    rate_per_s = slots * utilisation
    duration_s = 60_000 / rate_per_s
    waits = [record.wait_s or 0.0 for record in play(Exponential(1.0), rate_per_s, slots, duration_s, seed=11)][2000:]
    expected = predict_wait(arrival_rate_per_s=rate_per_s, mean_service_s=1.0, slots=slots)

    mean_s, error_s = batch_means(waits)
    assert abs(mean_s - expected.mean_s) < 3.9 * error_s  # Student's t with 19 degrees: once in a thousand
    share, share_error = batch_means([float(wait > 0) for wait in waits])
    assert abs(share - expected.p_wait) < 3.9 * share_error
    beyond, beyond_error = batch_means([float(wait > expected.quantile_s(0.95)) for wait in waits])
    assert abs(beyond - 0.05) < 3.9 * beyond_error
    assert error_s < 0.2 * expected.mean_s  # the interval is no excuse


@pytest.mark.parametrize(("slots", "utilisation"), [(1, 0.7), (2, 0.8), (10, 0.9), (25, 0.9)])
def test_constant_service_is_predicted_within_a_few_percent(slots: int, utilisation: float) -> None:
    # Cosmetatos' formula is off by at most about 2 % at such loads; the rest is the sample's own error.
    rate_per_s = slots * utilisation
    waits = [r.wait_s or 0.0 for r in play(Constant(1.0), rate_per_s, slots, 80_000 / rate_per_s, seed=5)][2000:]
    expected = predict_wait(arrival_rate_per_s=rate_per_s, mean_service_s=1.0, slots=slots, service_scv=0.0)
    mean_s, error_s = batch_means(waits)
    assert abs(mean_s - expected.mean_s) < 3.9 * error_s + 0.02 * expected.mean_s
    assert error_s < 0.1 * expected.mean_s


def test_littles_law_holds_on_the_records() -> None:
    # L = lambda T: the time-average number in system, by a walk over the instants, against rate x mean sojourn.
    records = play(Exponential(1.0), 8.0, 10, 1500.0, seed=3)
    steps = sorted(
        [(record.intended_s, 1) for record in records] + [(record.finished_s or 0.0, -1) for record in records]
    )
    area, inside, last_s = 0.0, 0, 0.0
    for instant_s, change in steps:
        area += inside * (instant_s - last_s)
        inside, last_s = inside + change, instant_s
    summary = summarise(records, Window(0.0, last_s), slots=10)
    assert summary.sojourn.mean is not None
    assert area / last_s == pytest.approx(summary.offered_per_s * summary.sojourn.mean, rel=1e-9)


def test_the_measured_utilisation_approaches_the_offered_load_over_the_slots() -> None:
    records = play(Exponential(1.0), 16.0, 20, 2000.0, seed=9)
    summary = summarise(records, Window(100.0, 2000.0), slots=20)
    # The busy time is a sum of n service times, so its relative error is near sqrt(2/n).
    assert summary.utilisation == pytest.approx(0.8, rel=4 * math.sqrt(2 / 30_400))


def test_the_interval_of_a_waiting_time_quantile_holds_the_truth_as_often_as_it_says() -> None:
    # Waits of neighbours resemble each other, so fewer runs than the 90 % of independent values hold both bounds; the
    # module promises 85 %.
    truth_s = predict_wait(arrival_rate_per_s=8.0, mean_service_s=1.0, slots=10).quantile_s(0.9)
    held = 0
    for seed in range(40):
        waits = [record.wait_s or 0.0 for record in play(Exponential(1.0), 8.0, 10, 600.0, seed)][240:]
        interval = Sample(waits).interval(0.9)
        assert interval is not None
        held += interval[0] <= truth_s <= interval[1]
    assert held >= 34

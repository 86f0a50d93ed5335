"""A queue played out job by job: what the closed forms claim, and what the summary reads from it."""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from statistics import fmean, stdev

import pytest

from jobctl.core.arrivals import CONSTANT, POISSON, Stage, make_schedule
from jobctl.core.judging import Circumstances, judge
from jobctl.core.quantiles import QUANTILES
from jobctl.core.queueing import predict_wait
from jobctl.core.records import JobRecord, Outcome
from jobctl.core.service import Constant, Exponential, Law
from jobctl.core.slo import Verdict
from jobctl.core.summary import Summary, Window, summarise


def play(law: Law, rate_per_s: float, slots: int, duration_s: float, seed: int) -> list[JobRecord]:
    """Jobs in order of arrival, each on the slot that is free first."""
    rng = random.Random(seed)
    free_at = [0.0] * slots
    records = []
    for arrived_s in make_schedule(POISSON, [Stage.steady(rate_per_s, duration_s)], seed):
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


@pytest.mark.parametrize(("slots", "utilisation"), [(1, 0.6), (25, 0.8)])
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
    waits = [r.wait_s or 0.0 for r in play(Constant(1.0), rate_per_s, slots, 50_000 / rate_per_s, seed=5)][2000:]
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


def summaries(
    utilisation: float, slots: int, mean_service_s: float, duration_s: float, seeds: int
) -> Iterator[Summary]:
    """Runs of M/M/c from empty slots on, their first tenth cut off."""
    rate_per_s = utilisation * slots / mean_service_s
    for seed in range(seeds):
        records = play(Exponential(mean_service_s), rate_per_s, slots, duration_s, seed)
        yield summarise(records, Window(duration_s / 10, duration_s), slots)


@pytest.mark.parametrize(
    ("utilisation", "slots", "mean_service_s", "duration_s", "seeds"),
    [
        (0.8, 10, 0.2, 60, 20),
        (0.8, 1, 0.02, 120, 12),
        pytest.param(0.9, 25, 0.05, 60, 8, marks=pytest.mark.proof),
        pytest.param(0.8, 10, 1.0, 600, 30, marks=pytest.mark.proof),
    ],
)
def test_the_printed_intervals_of_waiting_times_hold_the_truth_as_often_as_they_say(
    utilisation: float, slots: int, mean_service_s: float, duration_s: float, seeds: int
) -> None:
    truth = predict_wait(
        arrival_rate_per_s=utilisation * slots / mean_service_s, mean_service_s=mean_service_s, slots=slots
    )
    printed = held = 0
    for summary in summaries(utilisation, slots, mean_service_s, duration_s, seeds):
        for q in QUANTILES.values():
            interval = summary.wait.interval(q)
            if interval is not None:
                printed += 1
                held += interval[0] * 0.999 <= truth.quantile_s(q) + 1e-6 <= interval[1] * 1.001 + 1e-5
    assert printed >= seeds
    assert held >= 0.85 * printed


@pytest.mark.parametrize(
    ("utilisation", "slots", "mean_service_s", "duration_s"), [(0.8, 1, 0.1, 30), (0.9, 4, 1.0, 45), (0.9, 25, 1.0, 60)]
)
def test_a_run_too_short_for_its_queue_claims_no_interval_for_the_tail_of_the_wait(
    utilisation: float, slots: int, mean_service_s: float, duration_s: float
) -> None:
    for summary in summaries(utilisation, slots, mean_service_s, duration_s, seeds=15):
        assert summary.wait.interval(0.95) is None
        assert summary.service.quantile(0.5) is not None


def verdicts(runs: Iterable[Summary]) -> Counter[Verdict]:
    usual = Circumstances(dropped=0, max_schedule_lag_s=0.05, injected_share=0.0)
    return Counter(judge(run, usual).verdict for run in runs)


@pytest.mark.parametrize(("slots", "mean_service_s"), [(1, 0.5), (4, 1.0), (25, 8.0), (10, 1.0)])
def test_a_queue_below_its_capacity_is_hardly_ever_called_broken(slots: int, mean_service_s: float) -> None:
    for utilisation in (0.5, 0.8, 0.9):
        assert verdicts(summaries(utilisation, slots, mean_service_s, 60.0, seeds=50))[Verdict.BROKEN] <= 1


@pytest.mark.parametrize(("slots", "mean_service_s"), [(1, 0.5), (4, 1.0), (25, 8.0), (10, 1.0)])
def test_an_overload_is_never_called_kept(slots: int, mean_service_s: float) -> None:
    for utilisation in (1.1, 1.2):
        assert verdicts(summaries(utilisation, slots, mean_service_s, 60.0, seeds=40))[Verdict.KEPT] == 0


def test_an_overload_is_called_broken_once_its_backlog_shows() -> None:
    assert verdicts(summaries(1.2, 25, 1.0, 90.0, seeds=10))[Verdict.BROKEN] == 10
    assert verdicts(summaries(0.8, 25, 1.0, 90.0, seeds=10))[Verdict.KEPT] == 10


@pytest.mark.parametrize(("slots", "duration_s"), [(1, 30.0), (25, 60.0), (4, 600.0)])
def test_an_even_overload_of_two_percent_is_never_called_kept(slots: int, duration_s: float) -> None:
    for arrivals_per_s, kept in [(0.98, True), (1.02, False)]:
        schedule = make_schedule(CONSTANT, [Stage.steady(arrivals_per_s * slots, duration_s)], 1)
        free_at, records = [0.0] * slots, []
        for arrived_s in schedule:
            started_s = max(arrived_s, heapq.heappop(free_at))
            heapq.heappush(free_at, started_s + 1.0)
            records.append(JobRecord("", "job", arrived_s, arrived_s, started_s, started_s + 1.0, Outcome.FINISHED))
        assert (verdicts([summarise(records, Window(3.0, duration_s), slots)])[Verdict.KEPT] == 1) is kept

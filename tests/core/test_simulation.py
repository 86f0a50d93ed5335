from __future__ import annotations

import math
import random
from bisect import bisect_left
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.core.demand import Retries, Upstream
from jobctl.core.simulation import (
    Served,
    backlog,
    backlog_series,
    busy_series,
    busy_share,
    drain_after,
    serve,
    steady_start,
)
from support.slow_queue import SlowQueue

# Instants in eighths of a second and rates whose gaps are such: floats hold them exactly, and ties are frequent.
TICKS = st.integers(0, 40).map(lambda eighths: eighths / 8)
POSITIVE = st.integers(1, 40).map(lambda eighths: eighths / 8)


def random_jobs(count: int, longest_gap: int, seed: int) -> list[tuple[float, float]]:
    """Gaps before jobs, and their service times."""
    rng = random.Random(seed)
    return [(rng.randint(0, longest_gap) / 8, rng.randint(1, 40) / 8) for _ in range(count)]


#: From a seed, because lists that grow one by one stay short and rarely crowd a slot.
JOBS = st.builds(random_jobs, st.integers(1, 60), st.sampled_from([0, 2, 10, 40]), st.integers(0, 10**6))
SLOTS = st.integers(1, 5)
RETRIES = st.builds(
    Retries,
    attempts=st.integers(1, 4),
    failure_rate=st.sampled_from([0.0, 0.3, 0.7, 1.0]),
    failed_ratio=st.sampled_from([0.5, 1.0, 3.0]),
    failed_s=st.none() | POSITIVE,
    base_s=TICKS,
    factor=st.sampled_from([1.0, 2.0]),
    cap_s=TICKS,
    jitter=st.sampled_from([0.0, 0.5, 1.0]),
)
UPSTREAM = st.builds(
    Upstream,
    rpm=st.sampled_from([15.0, 30.0, 60.0, 120.0, 240.0, None]),
    burst=st.integers(0, 4),
    tpm=st.sampled_from([6000.0, None]),
    tokens_per_job=st.sampled_from([50.0, 100.0, 200.0, None]),
    calls_per_job=st.sampled_from([0.5, 1.0, 2.0, 8.0]),
)


def arrive(jobs: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Gaps and service times, as arrivals and service times."""
    return list(accumulate(gap for gap, _ in jobs)), [service for _, service in jobs]


def served_alike(arrivals: list[float], services: list[float], slots: int, seed: int, **rules: Any) -> Served:
    """Serve, and hold every figure against the slow queue's."""
    served = serve(arrivals, services, slots, rng=random.Random(seed), sojourns=True, **rules)
    slow = SlowQueue(arrivals, services, slots, random.Random(seed), **rules)
    assert served.waits == pytest.approx(slow.waits(), abs=1e-6)
    assert served.entries == pytest.approx([tried.entered_s for tried in slow.attempts], abs=1e-6)
    starts = [entry + wait for entry, wait in zip(served.entries, served.entry_waits, strict=True)]
    assert starts == pytest.approx([tried.started_s for tried in slow.attempts], abs=1e-6)
    assert served.held == pytest.approx([tried.ended_s - tried.started_s for tried in slow.attempts], abs=1e-6)
    assert served.failed_jobs == slow.failed_jobs
    assert served.sojourns == pytest.approx(
        [end - arrival for end, arrival in zip(slow.last_ends(), arrivals, strict=True)], abs=1e-6
    )
    if rules.get("retries", Retries()).jitter == 0 or "retries" not in rules:  # else rounding makes waits of nothing
        assert backlog(served.entries, served.entry_waits)[0] == slow.most_waiting
    return served


@given(JOBS, SLOTS, st.lists(TICKS, max_size=5))
def test_one_attempt_each_is_served_as_the_slow_queue_does(
    jobs: list[tuple[float, float]], slots: int, busy: list[float]
) -> None:
    arrivals, services = arrive(jobs)
    served = served_alike(arrivals, services, slots, 1, busy_until=busy[:slots])
    assert served.attempts == len(jobs)


@given(JOBS, SLOTS, RETRIES, st.none() | POSITIVE, st.integers(0, 9))
def test_retries_and_timeouts_are_served_as_the_slow_queue_does(
    jobs: list[tuple[float, float]], slots: int, retries: Retries, timeout_s: float | None, seed: int
) -> None:
    arrivals, services = arrive(jobs)
    served = served_alike(arrivals, services, slots, seed, retries=retries, timeout_s=timeout_s)
    assert len(jobs) <= served.attempts <= len(jobs) * retries.attempts
    assert all(held <= (timeout_s or math.inf) for held in served.held)


@given(JOBS, SLOTS, RETRIES, st.none() | POSITIVE, UPSTREAM, st.integers(0, 9))
def test_a_limit_outside_the_slot_is_kept_as_the_slow_queue_does(
    jobs: list[tuple[float, float]],
    slots: int,
    retries: Retries,
    timeout_s: float | None,
    upstream: Upstream,
    seed: int,
) -> None:
    arrivals, services = arrive(jobs)
    served_alike(arrivals, services, slots, seed, retries=retries, timeout_s=timeout_s, upstream=upstream)


@given(JOBS, SLOTS, RETRIES, UPSTREAM, st.integers(0, 9))
def test_a_limit_inside_the_slot_is_kept_as_the_slow_queue_does(
    jobs: list[tuple[float, float]], slots: int, retries: Retries, upstream: Upstream, seed: int
) -> None:
    arrivals, services = arrive(jobs)
    served_alike(arrivals, services, slots, seed, retries=retries, upstream=replace(upstream, waits_in_slot=True))


@given(JOBS, SLOTS, UPSTREAM, POSITIVE)
def test_who_waits_too_long_inside_the_slot_gives_up_as_in_the_slow_queue(
    jobs: list[tuple[float, float]], slots: int, upstream: Upstream, timeout_s: float
) -> None:
    arrivals, services = arrive(jobs)
    inside = replace(upstream, waits_in_slot=True)
    served_alike(arrivals, services, slots, 1, timeout_s=timeout_s, upstream=inside)
    # With retries too: all alike, so that it does not matter when chance is asked.
    again = Retries(attempts=3, base_s=0.5, jitter=0.0)
    served_alike(arrivals, [services[0]] * len(jobs), slots, 1, retries=again, timeout_s=timeout_s, upstream=inside)


@given(JOBS)
def test_one_slot_follows_lindleys_recursion(jobs: list[tuple[float, float]]) -> None:
    arrivals, services = arrive(jobs)
    wait, expected = 0.0, [0.0]
    for (before, arrival), service in zip(pairwise(arrivals), services, strict=False):
        wait = max(0.0, wait + service - (arrival - before))
        expected.append(wait)
    assert list(serve(arrivals, services, 1).waits) == expected


@given(JOBS, SLOTS, st.lists(TICKS, max_size=5))
def test_with_a_slot_more_no_job_waits_longer(jobs: list[tuple[float, float]], slots: int, busy: list[float]) -> None:
    arrivals, services = arrive(jobs)
    fewer = serve(arrivals, services, slots, busy_until=busy[:slots])
    more = serve(arrivals, services, slots + 1, busy_until=busy[:slots])
    assert all(wait <= longer for wait, longer in zip(more.waits, fewer.waits, strict=True))


@given(JOBS, SLOTS)
def test_the_area_under_the_backlog_is_the_sum_of_the_waits(jobs: list[tuple[float, float]], slots: int) -> None:
    # Little's law without its limits. The backlog is constant between instants, which are multiples of 1/8 s.
    arrivals, services = arrive(jobs)
    served = serve(arrivals, services, slots)
    end = max(arrivals) + max(served.waits) + 1
    edges = [tick / 8 for tick in range(int(end * 8) + 1)]
    series = backlog_series(arrivals, served.waits, edges)
    assert sum(series) / 8 == sum(served.waits)
    assert max(series) == backlog(arrivals, served.waits)[0]


@given(JOBS, SLOTS, TICKS)
def test_the_queue_is_drained_at_the_first_instant_at_which_nobody_waits(
    jobs: list[tuple[float, float]], slots: int, at_s: float
) -> None:
    arrivals, services = arrive(jobs)
    waits = serve(arrivals, services, slots).waits

    def waiting(now_s: float) -> int:
        return sum(a <= now_s < a + wait for a, wait in zip(arrivals, waits, strict=True))

    instants = sorted([at_s, *(a + wait for a, wait in zip(arrivals, waits, strict=True))])
    first = next(now_s for now_s in instants if now_s >= at_s and not waiting(now_s))
    assert drain_after(arrivals, waits, at_s) == first - at_s


@given(JOBS, SLOTS, RETRIES, st.lists(TICKS, max_size=5), st.lists(TICKS, min_size=2, max_size=6, unique=True))
def test_the_busy_share_is_the_slot_time_that_overlaps_over_the_slot_time_there_is(
    jobs: list[tuple[float, float]], slots: int, retries: Retries, busy: list[float], edges: list[float]
) -> None:
    arrivals, services = arrive(jobs)
    edges = sorted(edges)
    before = [edges[0] + busy_s for busy_s in busy[:slots]]
    served = serve(arrivals, services, slots, busy_until=before, retries=retries, rng=random.Random(1))
    taken = [
        (entry + wait, entry + wait + held)
        for entry, wait, held in zip(served.entries, served.entry_waits, served.held, strict=True)
    ] + [(edges[0], free_s) for free_s in before]
    expected = [
        sum(max(0.0, min(end, last) - max(begin, first)) for begin, end in taken) / (slots * (last - first))
        for first, last in pairwise(edges)
    ]
    assert busy_series(served.entries, served.entry_waits, served.held, edges, slots, before) == pytest.approx(expected)
    share = busy_share(served.entries, served.entry_waits, served.held, edges[0], edges[-1], slots, before)
    assert 0 <= share <= 1 + 1e-9


@given(
    st.builds(random_jobs, st.integers(50, 400), st.sampled_from([0, 2, 10]), st.integers(0, 10**6)),
    st.sampled_from([7.0, 60.0, 100.0]),
    st.integers(0, 20),
    st.sampled_from([1.0, 2.0]),
)
@settings(max_examples=60)
def test_no_minute_sees_more_calls_than_the_limit_and_its_burst(
    jobs: list[tuple[float, float]], rpm: float, burst: int, calls: float
) -> None:
    arrivals, _ = arrive(jobs)
    upstream = Upstream(rpm=rpm, burst=max(burst, int(calls) - 1), calls_per_job=calls)
    served = serve(arrivals, [1.0] * len(arrivals), 500, upstream=upstream)
    assert sum(served.waits) > 0 or len(arrivals) * calls <= 1 + upstream.burst + rpm * arrivals[-1] / 60
    starts = [arrival + wait for arrival, wait in zip(arrivals, served.waits, strict=True)]
    for first, start in enumerate(starts):
        assert (bisect_left(starts, start + 60 - 1e-6) - first) * calls <= rpm + upstream.burst


def test_a_crowd_is_admitted_burst_first_and_then_evenly() -> None:
    served = serve([0.0] * 6, [1.0] * 6, 10, upstream=Upstream(rpm=60, burst=2))
    assert list(served.waits) == [0, 0, 0, 1, 2, 3]
    tokens = serve([0.0] * 4, [1.0] * 4, 10, upstream=Upstream(tpm=6000, tokens_per_job=300, burst=2))
    assert list(tokens.waits) == [0, 3, 6, 9]


def test_a_job_that_waits_for_the_upstream_blocks_its_slot_only_if_it_waits_inside() -> None:
    upstream = Upstream(rpm=15)  # a call every 4 s
    outside = serve([0.0] * 3, [1.0] * 3, 1, upstream=upstream)
    assert (list(outside.waits), list(outside.held)) == ([0, 4, 8], [1, 1, 1])
    inside = serve([0.0] * 3, [1.0] * 3, 1, upstream=replace(upstream, waits_in_slot=True))
    assert (list(inside.waits), list(inside.held)) == ([0, 1, 5], [1, 4, 4])


def test_who_would_be_admitted_only_when_its_time_is_up_leaves_the_call_to_the_next() -> None:
    upstream = Upstream(rpm=15, waits_in_slot=True)
    served = serve([0.0, 0.0, 4.0], [1.0] * 3, 3, upstream=upstream, timeout_s=4.0)
    assert (list(served.held), served.failed_jobs) == ([1, 4, 1], 1)


def test_back_off_grows_by_its_factor_up_to_its_cap() -> None:
    retries = Retries(attempts=6, failure_rate=1.0, failed_s=1.0, base_s=2.0, factor=3.0, cap_s=20.0, jitter=0.0)
    served = serve([0.0], [9.0], 1, retries=retries, rng=random.Random(1), sojourns=True)
    # Waits of 2, 6, 18, 20, 20 s, and a second for each attempt.
    assert list(served.entries) == [0, 3, 10, 29, 50, 71]
    assert (served.failed_jobs, served.sojourns) == (1, [72.0])


def test_jitter_takes_its_share_of_the_wait_off() -> None:
    retries = Retries(attempts=2, failure_rate=1.0, failed_s=1.0, base_s=8.0, jitter=0.25)
    arrivals = [100.0 * number for number in range(500)]
    served = serve(arrivals, [9.0] * 500, 1, retries=retries, rng=random.Random(1))
    backs = [back - arrival - 1 for arrival, back in zip(arrivals, served.entries[1::2], strict=True)]
    assert 6 <= min(backs) < 6.1
    assert 7.9 < max(backs) <= 8
    assert sum(backs) / 500 == pytest.approx(7, abs=4 * 2 / math.sqrt(12 * 500))


def test_a_timeout_that_nothing_reaches_changes_nothing() -> None:
    arrivals, services = [0.0, 0.0, 1.0], [2.0, 3.0, 4.0]
    plain = serve(arrivals, services, 1, sojourns=True)
    timed = serve(arrivals, services, 1, timeout_s=4.0, sojourns=True)
    assert timed == replace(plain, held=[2.0, 3.0, 4.0])
    cut = serve(arrivals, services, 1, timeout_s=3.5)
    assert (list(cut.held), cut.failed_jobs) == ([2, 3, 3.5], 1)


def test_the_same_seed_gives_the_same_run_and_another_one_another() -> None:
    arrivals, services = [float(number) for number in range(200)], [3.0 + number % 5 for number in range(200)]

    def run(seed: int) -> Served:
        return serve(arrivals, services, 6, retries=Retries(3, 0.2), rng=random.Random(seed))

    assert run(1) == run(1) != run(2)


def test_no_jobs_are_served_without_ado() -> None:
    for rules in ({}, {"retries": Retries(3, 0.5), "rng": random.Random(1)}):
        served = serve([], [], 3, **rules)  # type: ignore[arg-type]
        assert (len(served.waits), served.attempts, served.failed_jobs) == (0, 0, 0)
    assert backlog([], []) == (0, 0.0)
    assert backlog_series([], [], [0, 1, 2]) == [0, 0]
    assert drain_after([], [], 5.0) == 0
    assert busy_series([], [], [], [0, 1, 2], 3) == [0, 0]


def test_more_busy_slots_than_slots_and_chance_without_a_source_are_refused() -> None:
    with pytest.raises(ValueError, match="2 of 1 slots"):
        serve([0.0], [1.0], 1, busy_until=[1.0, 2.0])
    for rules in ({"retries": Retries(2, 0.1)}, {"retries": Retries(2), "timeout_s": 1.0}):
        with pytest.raises(ValueError, match="rng"):
            serve([0.0], [1.0], 1, **rules)  # type: ignore[arg-type]


def test_a_million_slots_cost_no_more_than_the_jobs_that_could_take_them() -> None:
    assert list(serve([0.0, 0.0], [1.0, 1.0], 10**12).waits) == [0, 0]


@pytest.mark.parametrize(("load", "slots"), [(0.3, 1), (3.0, 4), (40.0, 50), (900.0, 1000), (2.0, 100)])
def test_a_steady_start_has_as_many_busy_slots_as_the_load_on_average(load: float, slots: int) -> None:
    rng = random.Random(f"{load} of {slots}")
    services = [rng.expovariate(1.0) for _ in range(2000)]
    busy = [len(steady_start(load, slots, services, rng)) for _ in range(400)]
    mean = sum(busy) / 400
    deviation = math.sqrt(sum((number - mean) ** 2 for number in busy) / 399)
    assert abs(mean - load) < 4 * deviation / math.sqrt(400)  # M/M/c keeps a slots busy
    assert max(busy) <= slots


def test_residual_times_are_those_of_the_inspection_paradox() -> None:
    # E[residual] = E[S²] / (2 E[S]): half a second for constant ones, one for exponential ones of mean 1.
    rng = random.Random(4)
    exponential = [rng.expovariate(1.0) for _ in range(20_000)]
    for services, expected, deviation in [([1.0] * 10, 0.5, 0.29), (exponential, 1.0, 1.0)]:
        left = steady_start(4000.0, 8000, services, rng, at_s=7.0)
        assert sum(left) / len(left) - 7 == pytest.approx(expected, abs=4 * deviation / math.sqrt(len(left)) + 0.02)


def test_an_overload_starts_with_all_slots_busy_and_no_queue() -> None:
    assert len(steady_start(12.0, 10, [1.0], random.Random(1))) == 10
    assert max(steady_start(12.0, 10, [1.0], random.Random(1))) <= 1
    assert steady_start(0.0, 10, [1.0], random.Random(1)) == []
    assert steady_start(1.0, 10, [], random.Random(1)) == []

"""Processes that share a limit: what the upstream sees of them."""

from __future__ import annotations

import time
from pathlib import Path
from threading import Thread

import pytest
from redis import Redis

from jobctl.apps.mock.behaviour import Fault
from support.limited_callers import Fleet, Plan, most_in_a_window
from support.limited_workers import ModelMock, demand, kept, workers
from support.servers import FaultyMock, serving

WINDOW_S = 5.0
RPW = 200
BURST = 10


@pytest.mark.serial
@pytest.mark.usefixtures("redis")
def test_four_processes_keep_a_limit_use_it_and_fall_silent_together(redis_url: str) -> None:
    """At three times the demand and a window of five seconds in place of a minute; then a Retry-After of one second."""
    mock = FaultyMock(latency_s=0.2)
    with serving(mock) as origin:
        ends_s = time.time() + 12.5
        tuning = {"window_s": WINDOW_S, "jitter_s": 0.05, "tolerance_s": 0.05}
        plan = Plan(f"{origin}/api/v1", redis_url, RPW, BURST, 3 * RPW / WINDOW_S / 4, ends_s, tuning)
        fleet = Fleet(plan, 4)
        try:
            while not mock.arrived_s:
                time.sleep(0.01)
            began_s = mock.arrived_s[0]
            time.sleep(began_s + 8.0 - time.monotonic())
            mock.demands.append({"X-Mock-Fault": "429", "X-Mock-Retry-After": "1"})
            while mock.demands:
                time.sleep(0.001)
            refused_s = time.monotonic()
            tallies = fleet.tallies(20)
        finally:
            fleet.kill()

    arrived_s = list(mock.arrived_s)
    postponed = sorted(times for tally in tallies for times in tally.postponed)
    assert most_in_a_window(arrived_s, WINDOW_S) <= RPW + BURST
    assert sum(instant_s < began_s + 8.0 for instant_s in arrived_s) >= 0.95 * RPW * 8.0 / WINDOW_S
    assert [instant_s - refused_s for instant_s in arrived_s if 0.2 < instant_s - refused_s < 0.99] == []
    assert 0 < sum(1.0 <= instant_s - refused_s < 1.5 for instant_s in arrived_s) <= 0.5 * RPW / WINDOW_S + BURST + 3
    assert [tally.errors for tally in tallies] == [[]] * 4
    assert sum(postponed) / len(postponed) < 2
    assert postponed[int(0.99 * len(postponed))] <= 6  # 50 ms are all the tolerance there is here


RPM = 1200
STEADY_S = 5.0
#: What the limiter, at 60 s a window, spreads an allowance over, and how unevenly: its tolerance and its jitter.
SPREAD_S, UNEVEN_S = 61.8, 1.8


@pytest.mark.serial
def test_four_workers_keep_a_limit_use_it_and_fall_silent_together(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    """At three times the demand: jobs of a mixed queue come back, those of a queue with a declared model stay in it."""
    models = {"mixed": "openai/gpt-4o-mini", "declared": "openai/gpt-4o"}
    mock, jobs = ModelMock(latency_s=0.1), dict[str, list[str]]()
    words = ["--queues", "mixed,declared", "--queue-model", f"declared={models['declared']}", "--attempts", "2"]
    words += ["--openrouter-rpm", str(RPM), "--concurrency", "10"]
    with serving(mock) as origin, workers(4, tmp_path, redis_url, f"{origin}/api/v1", *words):
        ends_s = time.monotonic() + STEADY_S + 2.5
        source = Thread(target=lambda: jobs.update(demand(redis, models, 3 * RPM / 60, ends_s)))
        source.start()
        while len(mock.called_s) < 2:
            time.sleep(0.01)
        began_s = {model: mock.called_s[model][0] for model in models.values()}
        time.sleep(STEADY_S)
        mock.refusals = {model: {"X-Mock-Fault": "429", "X-Mock-Retry-After": "1"} for model in models.values()}
        source.join()

    for queue, model in models.items():
        called_s = mock.called_s[model]
        steady_s = [instant_s for instant_s in called_s if instant_s < began_s[model] + STEADY_S]
        for window_s in (1.0, 3.0, STEADY_S):
            assert most_in_a_window(called_s, window_s) <= 1 + RPM / SPREAD_S * (window_s + UNEVEN_S)
        assert len(steady_s) >= 0.95 * RPM / 60 * STEADY_S
        later_s = [instant_s - mock.refused_s[model] for instant_s in called_s]
        assert [instant_s for instant_s in later_s if 0.2 < instant_s < 1.0] == []
        assert sum(1.0 <= instant_s < 2.0 for instant_s in later_s) > 0
        assert {int(tries or 0) for tries in kept(redis, jobs[queue], "jobctl_attempts")} <= {0, 1}
        assert redis.zcard(f"rq:failed:{queue}") == 0
        assert redis.zcard(f"rq:finished:{queue}") >= len(called_s) - 1
    assert redis.zcard("rq:scheduled:declared") <= 1
    assert redis.zcard("rq:scheduled:mixed") > 0


@pytest.mark.usefixtures("redis")
def test_a_pool_that_refuses_a_tenth_of_all_calls_costs_pauses_and_not_the_fleet(redis_url: str) -> None:
    """Each refusal pauses the fleet for a second, so about ten calls and those under way go in each second."""
    mock = FaultyMock(latency_s=0.05, faults={Fault.RATE_LIMIT: 0.1})
    with serving(mock) as origin:
        fleet = Fleet(Plan(f"{origin}/api/v1", redis_url, None, 0, 30.0, time.time() + 6.5, {}), 2)
        try:
            tallies = fleet.tallies(20)
        finally:
            fleet.kill()

    postponed = sorted(times for tally in tallies for times in tally.postponed)
    assert [tally.errors for tally in tallies] == [[]] * 2
    assert len(postponed) >= 20
    assert sum(postponed) / len(postponed) <= 5

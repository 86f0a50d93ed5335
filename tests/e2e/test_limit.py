"""Processes that share a limit: what the upstream sees of them."""

from __future__ import annotations

import time

import pytest

from support.limited_callers import Fleet, Plan, most_in_a_window
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
    assert 0 < sum(1.0 <= instant_s - refused_s < 1.5 for instant_s in arrived_s) <= 0.5 * RPW / WINDOW_S + 3
    assert [tally.errors for tally in tallies] == [[]] * 4
    assert sum(postponed) / len(postponed) < 2
    assert postponed[int(0.99 * len(postponed))] <= 6  # 50 ms are all the tolerance there is here

"""The fleet's limit at full length: 600 calls a minute, three times the demand, and a Retry-After of five seconds."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from support.limited_callers import Fleet, Plan, most_in_a_window
from support.servers import FaultyMock, serving

RPM = 600
STEADY_S = 150.0
RETRY_AFTER_S = 5.0

Figure = Callable[[str, str, str], None]


@pytest.mark.usefixtures("redis")
def test_four_processes_keep_600_rpm_use_it_and_fall_silent_for_a_retry_after(redis_url: str, figure: Figure) -> None:
    mock = FaultyMock(latency_s=0.5)
    with serving(mock) as origin:
        plan = Plan(f"{origin}/api/v1", redis_url, RPM, 0, 3 * RPM / 60 / 4, time.time() + STEADY_S + 15, {})
        fleet = Fleet(plan, 4)
        try:
            while not mock.arrived_s:
                time.sleep(0.01)
            began_s = mock.arrived_s[0]
            time.sleep(began_s + STEADY_S - time.monotonic())
            mock.demands.append({"X-Mock-Fault": "429", "X-Mock-Retry-After": f"{RETRY_AFTER_S:g}"})
            while mock.demands:
                time.sleep(0.001)
            refused_s = time.monotonic()
            tallies = fleet.tallies(30)
        finally:
            fleet.kill()

    arrived_s = list(mock.arrived_s)
    postponed = sorted(times for tally in tallies for times in tally.postponed)
    most = most_in_a_window(arrived_s, 60.0)
    used = sum(instant_s < began_s + STEADY_S for instant_s in arrived_s) / (RPM / 60 * STEADY_S)
    silent_from_s = max(instant_s for instant_s in arrived_s if instant_s < refused_s + 1) - refused_s
    resumed_s = min(instant_s for instant_s in arrived_s if instant_s > refused_s + 1) - refused_s
    times = f"{sum(postponed) / len(postponed):.2f} on average, {postponed[-1]} at most"
    figure("limit: most calls in any 60 s, 4 processes, 600 RPM, demand 1800", str(most), "at most 600")
    figure("limit: share of the allowance that was used", f"{used:.3f}", "at least 0.95")
    figure(
        "limit: last call after a 429 with Retry-After 5", f"{max(0.0, silent_from_s) * 1000:.0f} ms", "within 200 ms"
    )
    figure("limit: next call after it", f"{resumed_s:.2f} s", "not before 5 s")
    figure("limit: postponements of a job", times, "few")

    assert most <= RPM
    assert used >= 0.95
    assert postponed[int(0.99 * len(postponed))] <= 3
    assert silent_from_s <= 0.2
    assert RETRY_AFTER_S - 0.01 <= resumed_s <= RETRY_AFTER_S + 1
    assert [tally.errors for tally in tallies] == [[]] * 4

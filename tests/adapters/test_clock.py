from __future__ import annotations

import time

from jobctl.adapters.clock import SystemClock


def test_it_reads_seconds_since_the_epoch() -> None:
    before_s = time.time()
    now_s = SystemClock().now()

    assert before_s - 0.01 <= now_s <= time.time() + 0.01


def test_sleeping_takes_at_least_as_long_as_asked() -> None:
    clock = SystemClock()
    before_s = clock.now()
    clock.sleep(0.02)

    assert clock.now() - before_s >= 0.02


def test_it_never_steps_back() -> None:
    clock = SystemClock()
    readings = [clock.now() for _ in range(1000)]

    assert readings == sorted(readings)

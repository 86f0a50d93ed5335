from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.usage import UsageReading, usage_between

MB = 1_000_000


def reading(at_s: float, cpu_s: float, memory_bytes: int = 50 * MB, workers: int = 2) -> UsageReading:
    return UsageReading(at_s, cpu_s, memory_bytes, workers)


def test_what_a_stretch_used_is_the_difference_of_the_readings_around_it() -> None:
    """Boot took 1.5 CPU seconds; then two workers used 0.4 per second, so 4 from 10 to 20, for 100 attempts."""
    readings = [reading(9.0, 1.5), reading(10.0, 1.9), reading(15.0, 3.9, 60 * MB), reading(21.0, 6.3, 70 * MB)]

    usage = usage_between(readings, 10.0, 20.0, attempts=100)

    assert usage is not None
    assert usage.cpu_s_per_job == pytest.approx(0.04)
    assert usage.cpu_share_per_replica == pytest.approx(0.2)
    assert usage.memory_bytes_per_replica == 60 * MB


@given(st.floats(0, 10), st.floats(0.1, 5), st.lists(st.floats(0.05, 3), min_size=1, max_size=20))
def test_even_use_is_found_whenever_the_readings_came(start_s: float, length_s: float, gaps: list[float]) -> None:
    instants = [start_s - 0.01]
    for gap in gaps:
        instants.append(instants[-1] + gap)
    end_s = start_s + length_s
    if instants[-1] < end_s:
        instants.append(end_s + 0.01)

    usage = usage_between([reading(at_s, 0.3 * at_s) for at_s in instants], start_s, end_s, attempts=10)

    assert usage is not None
    assert usage.cpu_share_per_replica == pytest.approx(0.15)
    assert usage.cpu_s_per_job == pytest.approx(0.03 * length_s)


def test_without_attempts_there_is_no_cpu_time_for_each() -> None:
    usage = usage_between([reading(0.0, 0.0), reading(10.0, 1.0)], 0.0, 10.0, attempts=0)

    assert usage is not None
    assert usage.cpu_s_per_job is None
    assert usage.cpu_share_per_replica == pytest.approx(0.05)


@pytest.mark.parametrize(
    "readings",
    [[], [reading(12.0, 1.0), reading(30.0, 2.0)], [reading(0.0, 1.0), reading(19.0, 2.0)]],
    ids=["none", "they begin too late", "they end too early"],
)
def test_readings_that_do_not_span_the_time_tell_nothing(readings: list[UsageReading]) -> None:
    assert usage_between(readings, 10.0, 20.0, attempts=5) is None

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.rules import anchor, duration

_UNIT_S = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


@pytest.mark.parametrize(
    ("seconds", "time_scale", "text"),
    [
        (300, 1, "5m"),
        (5400, 1, "1h30m"),
        (259_200, 1, "3d"),
        (90_061.5, 1, "1d1h1m1s500ms"),
        (15, 60, "250ms"),
        (259_200, 60, "1h12m"),
        (60, 0.5, "2m"),
        (15, 100_000, "1ms"),
        (0.0001, 1, "1ms"),
        (0.0016, 1, "2ms"),
    ],
)
def test_a_duration_is_written_as_prometheus_reads_it(seconds: float, time_scale: float, text: str) -> None:
    assert duration(seconds, time_scale) == text


@given(st.floats(0.001, 1e9), st.floats(0.01, 1e4))
def test_a_duration_says_all_of_it_to_a_millisecond(seconds: float, time_scale: float) -> None:
    text = duration(seconds, time_scale)
    parts = re.findall(r"(\d+)(ms|[dhms])", text)

    assert "".join(count + unit for count, unit in parts) == text
    assert [list(_UNIT_S).index(unit) for _, unit in parts] == sorted({list(_UNIT_S).index(unit) for _, unit in parts})
    meant_s = max(0.001, seconds / time_scale)
    assert sum(int(count) * _UNIT_S[unit] for count, unit in parts) == pytest.approx(meant_s, abs=0.00051)


def test_an_alert_leads_to_its_section() -> None:
    assert anchor("JobctlFleetDown") == "jobctlfleetdown"

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.records import JobRecord, Outcome

TIMES = st.floats(0, 1e6)


@given(TIMES, TIMES, TIMES, TIMES)
def test_the_sojourn_is_schedule_lag_plus_wait_plus_service(lag: float, wait: float, service: float, at: float) -> None:
    enqueued_s = at + lag
    started_s = enqueued_s + wait
    record = JobRecord("1", "job", at, enqueued_s, started_s, started_s + service, Outcome.FINISHED)
    assert record.schedule_lag_s is not None
    assert record.wait_s is not None
    assert record.service_s is not None
    assert record.sojourn_s == pytest.approx(record.schedule_lag_s + record.wait_s + record.service_s, abs=1e-6)


def test_an_interval_whose_end_has_not_come_is_unknown_rather_than_zero() -> None:
    rejected = JobRecord("1", "job", 5.0, None, None, None, Outcome.REJECTED)
    assert (rejected.schedule_lag_s, rejected.wait_s, rejected.service_s, rejected.sojourn_s) == (None,) * 4
    waiting = JobRecord("1", "job", 5.0, 5.5, None, None, Outcome.IN_FLIGHT)
    assert (waiting.schedule_lag_s, waiting.wait_s, waiting.service_s, waiting.sojourn_s) == (0.5, None, None, None)
    running = JobRecord("1", "job", 5.0, 5.5, 7.5, None, Outcome.IN_FLIGHT)
    assert (running.wait_s, running.service_s, running.sojourn_s) == (2.0, None, None)


def test_the_wait_of_a_retried_job_is_unknown_for_its_earlier_attempts_are_in_it() -> None:
    retried = JobRecord("1", "job", 5.0, 5.0, 25.0, 26.0, Outcome.FINISHED, retries=1, successes=1)
    assert (retried.wait_s, retried.service_s, retried.sojourn_s) == (None, 1.0, 21.0)

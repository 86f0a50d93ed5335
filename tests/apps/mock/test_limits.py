from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.apps.mock.limits import Admission, FreeTier, MinuteLimit


def test_the_limit_admits_that_many_and_says_when_the_next_may_come() -> None:
    limit = MinuteLimit(rpm=2, tpm=None)

    assert [limit.admit(now_s, 10).admitted for now_s in (0.0, 10.0)] == [True, True]
    assert limit.admit(15.0, 10) == Admission(False, 2, 45.0, "requests-per-min")
    assert limit.admit(60.0, 10).admitted


def test_tokens_are_limited_as_well_and_the_wait_is_until_enough_have_left() -> None:
    limit = MinuteLimit(rpm=None, tpm=100)
    for now_s, tokens in ((0.0, 40), (20.0, 30), (30.0, 30)):
        assert limit.admit(now_s, tokens).admitted

    assert limit.admit(40.0, 50) == Admission(False, 100, 40.0, "tokens-per-min")  # 40 + 30 leave: at 80 s
    assert limit.admit(80.0, 50).admitted


def test_of_two_limits_the_one_that_lasts_longer_refuses() -> None:
    limit = MinuteLimit(rpm=2, tpm=100)
    limit.admit(0.0, 10)
    limit.admit(30.0, 90)

    assert limit.admit(40.0, 50) == Admission(False, 100, 50.0, "tokens-per-min")


def test_a_call_larger_than_the_limit_passes_alone() -> None:
    limit = MinuteLimit(rpm=None, tpm=100)
    assert limit.admit(0.0, 500).admitted
    assert limit.admit(1.0, 500) == Admission(False, 100, 59.0, "tokens-per-min")


def test_a_refused_call_leaves_no_trace() -> None:
    limit = MinuteLimit(rpm=1, tpm=None)
    limit.admit(0.0, 1)
    for now_s in range(1, 60):
        assert not limit.admit(float(now_s), 1).admitted
    assert limit.in_window(59.0) == 1
    assert limit.admit(60.0, 1).admitted


@given(
    st.lists(st.tuples(st.floats(0, 5), st.integers(1, 60)), max_size=120),
    st.integers(1, 8) | st.none(),
    st.integers(60, 300) | st.none(),
)
def test_no_sixty_seconds_hold_more_than_the_limits(
    calls: list[tuple[float, int]], rpm: int | None, tpm: int | None
) -> None:
    limit, now_s, passed = MinuteLimit(rpm, tpm), 0.0, []
    for gap_s, tokens in calls:
        now_s += gap_s
        admission = limit.admit(now_s, tokens)
        if admission.admitted:
            passed.append((now_s, tokens))
        else:
            assert 0 < admission.retry_after_s <= 60
        window = [spent for passed_s, spent in passed if passed_s > now_s - 60]
        assert rpm is None or len(window) <= rpm
        assert tpm is None or sum(window) <= tpm


@given(st.lists(st.floats(0, 20), min_size=1, max_size=60), st.integers(1, 3), st.integers(60, 100))
def test_whoever_waits_as_told_is_admitted(gaps: list[float], rpm: int, tpm: int) -> None:
    limit, now_s = MinuteLimit(rpm, tpm), 0.0
    for gap_s in gaps:
        now_s += gap_s
        admission = limit.admit(now_s, 40)
        if not admission.admitted:
            now_s += admission.retry_after_s + 1e-6
            assert limit.admit(now_s, 40).admitted


def test_free_models_take_twenty_a_minute() -> None:
    tier = FreeTier()
    assert all(tier.admit(0.0, 1e9).admitted for _ in range(20))
    assert tier.admit(1.0, 1e9) == Admission(False, 20, 59.0, "free-models-per-min")


def test_free_models_take_a_thousand_a_utc_day() -> None:
    tier, midnight_s = FreeTier(), 86_400.0 * 20_000
    for call in range(1000):
        assert tier.admit(call * 4.0, midnight_s + call * 4.0).admitted

    assert tier.to_document(midnight_s + 4000) == {"limit": 1000, "used": 1000, "remaining": 0}
    refused = tier.admit(4000.0, midnight_s + 4000)
    assert (refused.limit, refused.name) == (1000, "free-models-per-day-high-balance")
    assert refused.retry_after_s == pytest.approx(82_400)
    assert tier.admit(86_400.0, midnight_s + 86_400).admitted

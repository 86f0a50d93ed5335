from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.retrying import RetryPolicy, backoff_s, retry_after_s

POLICY = RetryPolicy(attempts=5, base_s=0.5, cap_s=3.0)


class Highest(random.Random):
    """Always draws the upper bound."""

    def uniform(self, low: float, high: float) -> float:
        return high


def decide(rng: random.Random | None = None, policy: RetryPolicy = POLICY, **changes: object) -> float | None:
    situation = {"attempt": 1, "retryable": True, "asked_s": None, "remaining_s": 100.0, **changes}
    return retry_after_s(policy, rng=rng or Highest(), **situation)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("attempt", "longest_s"),
    [(1, 0.5), (2, 1.0), (3, 2.0), (4, 3.0), (5, 3.0), (10_000, 3.0)],  # 0.5 x 2^(n-1), at most 3
)
def test_the_back_off_doubles_up_to_its_cap(attempt: int, longest_s: float) -> None:
    assert backoff_s(POLICY, attempt, Highest()) == longest_s


def test_the_jitter_is_full_uniform_from_nothing_to_the_back_off() -> None:
    rng = random.Random(1)
    draws = [backoff_s(POLICY, 2, rng) for _ in range(10_000)]

    assert 0 <= min(draws) < 0.01
    assert 0.99 < max(draws) <= 1.0
    assert abs(sum(draws) / len(draws) - 0.5) < 0.012  # four standard errors of sqrt(1/12)/100


def test_what_cannot_heal_is_given_up() -> None:
    assert decide(retryable=False, asked_s=0.0) is None


@pytest.mark.parametrize(("attempt", "again"), [(1, True), (4, True), (5, False), (6, False)])
def test_attempts_are_counted_with_the_first(attempt: int, again: bool) -> None:
    assert (decide(attempt=attempt) is not None) == again


@pytest.mark.parametrize("asked_s", [0.0, 0.1, 7.5, 99.9])
def test_what_the_upstream_asks_for_is_obeyed_exactly_without_jitter_or_cap(asked_s: float) -> None:
    assert decide(random.Random(1), asked_s=asked_s) == asked_s


@pytest.mark.parametrize("asked_s", [100.0, 100.1, 3600.0])
def test_what_the_upstream_asks_for_beyond_the_deadline_is_given_up(asked_s: float) -> None:
    assert decide(asked_s=asked_s) is None


def test_a_back_off_beyond_the_deadline_is_given_up() -> None:
    assert decide(remaining_s=0.5) is None
    assert decide(remaining_s=0.51) == 0.5


@given(
    attempt=st.integers(1, 100),
    asked_s=st.none() | st.floats(0, 1e6),
    remaining_s=st.floats(-10, 1e6),
    seed=st.integers(0, 99),
)
def test_a_wait_always_ends_before_the_deadline_and_never_before_what_was_asked(
    attempt: int, asked_s: float | None, remaining_s: float, seed: int
) -> None:
    wait_s = decide(
        random.Random(seed),
        RetryPolicy(attempts=200),
        attempt=attempt,
        asked_s=asked_s,
        remaining_s=remaining_s,
    )

    if wait_s is not None:
        assert 0 <= wait_s < remaining_s
        assert asked_s is None or wait_s == asked_s

from __future__ import annotations

import random
from email.message import Message
from urllib.error import HTTPError

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import exceptions as redis_errors
from rq.timeouts import JobTimeoutException

from jobctl.core.retrying import (
    Dead,
    Failure,
    Retry,
    RetryPolicies,
    RetryPolicy,
    backoff_s,
    examine,
    parse_policy,
    retry_after_s,
)
from jobctl.core.retrying import decide as decide_job
from jobctl.errors import InvalidValue, JobRefused, UpstreamDisconnected, UpstreamStatus, UpstreamTimeout

POLICY = RetryPolicy(attempts=5, base_s=0.5, cap_s=3.0)


class Highest(random.Random):
    """Always draws the upper bound."""

    def uniform(self, low: float, high: float) -> float:
        return high


class Lowest(random.Random):
    """Always draws the lower bound."""

    def uniform(self, low: float, high: float) -> float:
        return low


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


# ---------------------------------------------------------------------------------------------------- policies of jobs

NOW_S = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT


class Refused(Exception):
    """What somebody else's client raises, with whatever attributes it has."""

    def __init__(self, **attributes: object) -> None:
        vars(self).update(attributes)


class Response:
    """Somebody else's response."""

    def __init__(self, status_code: int, **headers: str) -> None:
        self.status_code = status_code
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Touchy(Exception):
    """Raises when it is looked at, as httpx' errors do before they have a request."""

    @property
    def response(self) -> object:
        raise RuntimeError("there is none")


def verdict(error: BaseException, attempt: int = 1, policy: RetryPolicy = POLICY, **how: bool) -> Retry | Dead:
    return decide_job(policy, attempt=attempt, failure=examine(error, now_s=NOW_S, **how), rng=Highest())


def test_an_exact_type_wins_over_a_pattern_and_a_longer_pattern_over_a_shorter_one() -> None:
    default, exact, near, far = (RetryPolicy(attempts=attempts) for attempts in (1, 2, 3, 4))
    policies = RetryPolicies(default, {"app.*": far, "app.tasks.*": near, "app.tasks.send": exact})

    assert [policies.of(name) for name in ("app.tasks.send", "app.tasks.get", "app.x", "other")] == [
        exact,
        near,
        far,
        default,
    ]


def test_an_error_that_says_nothing_is_tried_again_until_the_attempts_are_spent() -> None:
    # base 0.5 s, cap 3 s: 0.5, 1, 2, 3
    waits = [verdict(KeyError("x"), attempt) for attempt in (1, 2, 3, 4, 5)]

    assert waits == [*(Retry(wait_s, "error") for wait_s in (0.5, 1.0, 2.0, 3.0)), Dead("error", spent=True)]


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 410, 413, 422, 451])
@pytest.mark.parametrize("carry", ["status_code", "status", "response"])
def test_a_client_error_that_cannot_heal_is_given_up_whoever_raises_it(status: int, carry: str) -> None:
    error = Refused(**{carry: Response(status) if carry == "response" else status})

    assert verdict(error) == Dead("4xx", spent=False)


@pytest.mark.parametrize(
    ("status", "reason"), [(408, "timeout"), (409, "4xx"), (425, "4xx"), (429, "429"), (500, "5xx"), (503, "5xx")]
)
def test_a_status_that_may_heal_is_tried_again(status: int, reason: str) -> None:
    assert verdict(Refused(response=Response(status))) == Retry(0.5, reason)


@pytest.mark.parametrize("status", [True, "404", 4040, 4.04, None])
def test_what_is_no_http_status_is_not_taken_for_one(status: object) -> None:
    assert verdict(Refused(status=status)) == Retry(0.5, "error")


@pytest.mark.parametrize(
    ("header", "asked_s"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("Fri, 15 Jan 2027 08:01:00 GMT", 60.0),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        ("9999999999", 86_400.0),
        ("inf", 0.0),
        ("-3", 0.0),
        ("soon", 0.0),
        ("1 Jan 2027 00:00:00 -99999999999999999999", 0.0),
    ],
)
def test_retry_after_delays_the_next_attempt_by_at_least_that_much_and_a_day_at_most(
    header: str, asked_s: float
) -> None:
    error = Refused(response=Response(429, Retry_After=header))

    assert verdict(error) == Retry(asked_s + 0.5, "429")
    assert decide_job(POLICY, attempt=1, failure=examine(error, now_s=NOW_S), rng=Lowest()) == Retry(asked_s, "429")


def test_our_own_errors_know_best_whether_they_heal() -> None:
    healing = UpstreamStatus(402, "in flight", retryable=True, retry_after_s=3.0)
    final = UpstreamStatus(503, "gone for good", retryable=False)

    assert verdict(healing) == Retry(3.5, "4xx")
    assert verdict(final) == Dead("5xx", spent=False)


@pytest.mark.parametrize(
    ("error", "reason"),
    [(JobRefused("not allowed"), "refused"), (InvalidValue("x", "y"), "invalid")],
)
def test_what_was_refused_is_given_up(error: Exception, reason: str) -> None:
    assert verdict(error) == Dead(reason, spent=False)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ModuleNotFoundError("no"), "import"),
        (AttributeError("no"), "import"),
        (UnicodeDecodeError("utf-8", b"", 0, 0, "x"), "data"),
        (JobRefused("pickle"), "refused"),
    ],
)
def test_a_job_that_cannot_be_loaded_is_given_up_and_the_same_error_in_its_body_is_not(
    error: Exception, reason: str
) -> None:
    assert verdict(error, loading=True) == Dead(reason, spent=False)
    if not isinstance(error, JobRefused):
        assert verdict(error) == Retry(0.5, "error")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TimeoutError(), "timeout"),
        (UpstreamTimeout("late", retryable=True), "timeout"),
        (ConnectionResetError(), "connection"),
        (UpstreamDisconnected("cut", retryable=True), "connection"),
        (httpx.ConnectTimeout("late"), "timeout"),
        (httpx.ReadError("cut"), "connection"),
        (httpx.RemoteProtocolError("cut"), "connection"),
        (redis_errors.ConnectionError("cut"), "connection"),
        (redis_errors.TimeoutError("late"), "timeout"),
        (JobTimeoutException("late"), "timeout"),
        (Touchy(), "error"),
        (ZeroDivisionError(), "error"),
    ],
)
def test_reasons_are_a_few_labels(error: Exception, reason: str) -> None:
    assert verdict(error) == Retry(0.5, reason)


def test_the_errors_of_real_clients_are_understood() -> None:
    request = httpx.Request("GET", "http://host/")
    gone = httpx.Response(404, request=request)
    busy = httpx.Response(429, request=request, headers={"retry-after": "7"})

    assert verdict(httpx.HTTPStatusError("no", request=request, response=gone)) == Dead("4xx", spent=False)
    assert verdict(httpx.HTTPStatusError("no", request=request, response=busy)) == Retry(7.5, "429")
    assert verdict(openai.NotFoundError("no", response=gone, body=None)) == Dead("4xx", spent=False)
    assert verdict(openai.RateLimitError("no", response=busy, body=None)) == Retry(7.5, "429")
    assert verdict(HTTPError("http://host/", 404, "no", Message(), None)) == Dead("4xx", spent=False)


@pytest.mark.parametrize(
    ("pattern", "retried"),
    [
        ("builtins.KeyError", True),
        ("builtins.LookupError", True),
        ("LookupError", True),
        ("*Error", True),
        ("builtins.*", True),
        ("builtins.OSError", False),
        ("Key", False),
        ("app.KeyError", False),
    ],
)
def test_a_class_is_named_in_full_bare_or_by_a_pattern_and_its_subclasses_count(pattern: str, retried: bool) -> None:
    only = RetryPolicy(5, 0.5, 3.0, retry_on=(pattern,))
    never = RetryPolicy(5, 0.5, 3.0, never_retry=(pattern,))

    assert isinstance(verdict(KeyError("x"), policy=only), Retry) == retried
    assert isinstance(verdict(KeyError("x"), policy=never), Retry) != retried


def test_never_wins_over_only_and_neither_revives_what_cannot_heal() -> None:
    both = RetryPolicy(retry_on=("Exception",), never_retry=("KeyError",))

    assert verdict(KeyError("x"), policy=both) == Dead("error", spent=False)
    assert verdict(Refused(status_code=404), policy=both) == Dead("4xx", spent=False)


@given(attempt=st.integers(1, 1000), attempts=st.integers(1, 1000), asked_s=st.none() | st.floats(0, 1e9))
def test_a_job_waits_for_a_bounded_time_and_never_beyond_its_attempts(
    attempt: int, attempts: int, asked_s: float | None
) -> None:
    policy = RetryPolicy(attempts, 2.0, 300.0)
    decision = decide_job(policy, attempt=attempt, failure=Failure("x", asked_s=asked_s), rng=random.Random(1))

    assert isinstance(decision, Retry) == (attempt < attempts)
    if isinstance(decision, Retry):
        assert min(asked_s or 0.0, 86_400.0) <= decision.delay_s <= 86_400.0 + 300.0


def test_a_policy_keeps_what_it_does_not_say() -> None:
    assert parse_policy({}, POLICY) == POLICY
    assert parse_policy({"attempts": "7", "base": 1, "cap": "1m", "retry_on": ["a.B"], "never_retry": "C"}, POLICY) == (
        RetryPolicy(7, 1.0, 60.0, ("a.B",), ("C",))
    )

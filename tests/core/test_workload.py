from __future__ import annotations

import random
from importlib import import_module
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.retrying import MOST_ATTEMPTS
from jobctl.core.service import parse_law
from jobctl.core.workload import JOB_TYPES, Workload, draw_attempts, make_workload, parse_service_law, sleep_payload
from jobctl.errors import InvalidValue


def first(workload: Workload, count: int, seed: int = 1) -> list[object]:
    return list(islice(workload.arguments(seed), count))


@pytest.mark.parametrize("job", JOB_TYPES)
def test_every_synthetic_job_is_a_function_that_takes_its_own_arguments(job: str) -> None:
    workload = make_workload(job)
    module, _, name = workload.function.rpartition(".")
    function = getattr(import_module(module), name)

    assert workload.job_type == job
    for args, kwargs in first(workload, 3):
        code = function.__code__
        given_names = {*code.co_varnames[: len(args)], *kwargs}
        assert given_names <= set(code.co_varnames[: code.co_argcount])


def test_without_a_name_it_is_a_chat_completion_with_prompts() -> None:
    workload = make_workload(None)

    assert workload.function == "jobctl.apps.work.tasks.chat_completion"
    assert all(kwargs["prompt"] for _, kwargs in first(workload, 5))


def test_a_function_of_the_users_own_goes_by_its_path_without_arguments() -> None:
    workload = make_workload("myapp.tasks.f")

    assert (workload.job_type, workload.function) == ("myapp.tasks.f", "myapp.tasks.f")
    assert first(workload, 2) == [((), {}), ((), {})]


def test_given_arguments_are_taken_in_turn_and_again_from_the_start() -> None:
    one, two = ((1,), {}), ((), {"a": 2})

    assert first(make_workload("myapp.tasks.f", payloads=[one, two]), 5) == [one, two, one, two, one]


@pytest.mark.parametrize(
    "job", ["", "nope", "chat-completion", "myapp.", ".f", "my app.f", "myapp..f", "a.1f", "os;x.y"]
)
def test_what_is_neither_a_type_nor_a_path_is_refused(job: str) -> None:
    with pytest.raises(InvalidValue, match="is no job; give chat_completion, sleep, noop or a dotted path"):
        make_workload(job)


def test_sleep_jobs_draw_their_seconds_from_the_law_the_same_for_the_same_seed() -> None:
    workload = make_workload("sleep", service_law="exponential:2s")
    drawn = [args[0] for args, _ in first(workload, 20_000)]

    assert first(workload, 20_000) == [((seconds,), {}) for seconds in drawn]
    assert first(workload, 5, seed=2) != first(workload, 5, seed=1)
    assert abs(sum(drawn) / len(drawn) - 2.0) < 0.06  # four standard errors of 2/sqrt(20000)


def test_sleep_jobs_take_a_second_unless_told() -> None:
    assert first(make_workload("sleep"), 2) == [((1.0,), {}), ((1.0,), {})]


def test_given_arguments_of_sleep_jobs_are_theirs_alone() -> None:
    workload = make_workload("sleep", payloads=[((0.5,), {})], service_law="constant:2s")

    assert (workload.service_law, first(workload, 1)) == (None, [((0.5,), {})])


def test_attempts_of_sleep_jobs_fail_as_often_as_was_said_and_hold_their_slot_for_as_long() -> None:
    """With p = 0.2 a job has p / (1 - p) = 0.25 failed attempts on average; four standard errors of 20,000 jobs."""
    workload = make_workload("sleep", service_law="exponential:2s", failure_rate=0.2)
    drawn = [args for args, _ in first(workload, 20_000)]  # type: ignore[misc]
    failed = [seconds for args in drawn if len(args) == 2 for seconds in args[1]]

    assert first(workload, 50) == first(workload, 50) != first(workload, 50, seed=2)
    assert abs(len(failed) / 20_000 - 0.25) < 4 * (0.25 * 1.25 / 20_000) ** 0.5
    assert abs(sum(failed) / len(failed) - 2.0) < 4 * 2.0 / len(failed) ** 0.5


def test_jobs_that_never_fail_are_drawn_as_if_nobody_had_asked() -> None:
    asked, unasked = (
        make_workload("sleep", service_law="exponential:2s", **rate) for rate in ({"failure_rate": 0}, {})
    )

    assert first(asked, 10) == first(unasked, 10)


def test_a_failed_attempt_takes_its_share_or_a_fixed_time_and_no_longer_than_the_timeout() -> None:
    law = parse_law("constant:2s")

    def failing(**how: float) -> set[float]:
        return set(draw_attempts(law, random.Random(1), 0.9, **how)[1])

    assert failing(failed_ratio=3.0) == {6.0}
    assert failing(failed_ratio=3.0, timeout_s=5.0) == {5.0}
    assert failing(failed_s=0.5) == {0.5}
    assert draw_attempts(law, random.Random(1), 0.0) == (2.0, [])


def test_what_always_fails_ends_with_the_most_that_is_ever_tried() -> None:
    seconds, failing = draw_attempts(parse_law("constant:2s"), random.Random(1), 0.0, timeout_s=1.0)

    assert (seconds, failing) == (1.0, [1.0] * MOST_ATTEMPTS)


def test_a_payload_names_failures_only_where_there_are_some() -> None:
    assert sleep_payload(1.23456789) == ((1.234568,), {})
    assert sleep_payload(1.0, [0.5, 0.25]) == ((1.0, [0.5, 0.25]), {})


@pytest.mark.parametrize(
    ("text", "mean_s"),
    [
        ("200ms", 0.2),
        ("1h30m", 5400.0),
        ("0.1us", 1e-7),
        (" 2 ", 2.0),
        ("exponential:200ms", 0.2),
        ("gamma:mean=1s,scv=2", 1.0),
        ("openrouter", parse_law("openrouter").mean_s),
        (" OpenRouter ", parse_law("openrouter").mean_s),
    ],
)
def test_a_service_time_is_a_duration_or_a_law(text: str, mean_s: float) -> None:
    assert parse_law(parse_service_law(text)).mean_s == pytest.approx(mean_s, rel=1e-12)


@given(st.floats(1e-9, 1e9))
def test_any_duration_becomes_a_constant_of_just_that_length(seconds: float) -> None:
    assert parse_law(parse_service_law(f"{seconds!r}s")).mean_s == seconds


@pytest.mark.parametrize(
    "text", ["", "0", "-5s", "abc", "nan", "inf", "10parsecs", "constant", "constant:0s", "x:1s", ":"]
)
def test_what_is_neither_a_duration_nor_a_law_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        parse_service_law(text)

    assert "give" in caught.value.remedy

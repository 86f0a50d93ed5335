"""Who may decide the outcome of a job on a slot."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis
from rq import Queue

from jobctl.adapters.rq_desk import Begun, Place
from jobctl.adapters.rq_running import Running


def ignore(running: Running, exception: BaseException) -> None:
    """Nobody gives up."""


def a_running(redis: Redis, give_up: Callable[[Running, BaseException], None] = ignore) -> Running:
    place = Place("q", "a-job", "an-execution")
    begun = Begun(place, b"", b"", b"", b"", 1, 0, b"", "", b"", None)
    return Running(begun, Queue("q", connection=redis), "w", give_up)


@pytest.fixture
def running(redis: Redis) -> Running:
    return a_running(redis)


def elsewhere(function: Callable[[], Any]) -> Any:
    """What a function returns on another thread."""
    outcomes: list[Any] = []
    thread = threading.Thread(target=lambda: outcomes.append(function()))
    thread.start()
    thread.join()
    return outcomes[0]


def test_the_first_thread_to_claim_finalises_and_may_do_so_again(running: Running) -> None:
    assert not running.claimed
    assert elsewhere(running.claim)
    assert running.claimed
    assert not running.claim()


def test_of_many_threads_one_claims(redis: Redis) -> None:
    for _ in range(50):
        running, start, claimed = a_running(redis), threading.Barrier(4), []

        def claim(running: Running = running, start: threading.Barrier = start, claimed: list[bool] = claimed) -> None:
            start.wait(10)
            claimed.append(running.claim())

        threads = [threading.Thread(target=claim) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(claimed) == [False, False, False, True]


def test_what_was_handed_over_belongs_to_who_takes_it_over(running: Running) -> None:
    elsewhere(running.claim)
    running.take_over()
    assert running.claim()
    assert not elsewhere(running.claim)


def test_a_slot_is_stuck_until_its_thread_leaves(running: Running) -> None:
    assert running.become_stuck()
    assert running.stuck
    assert running.leave()


def test_a_slot_whose_thread_left_in_time_is_not_stuck(running: Running) -> None:
    assert not running.leave()
    assert not running.become_stuck()
    assert not running.stuck


def test_it_is_given_up_on_a_thread_of_its_own(redis: Redis) -> None:
    told: list[tuple[Running, BaseException, str]] = []
    heard = threading.Event()

    def give_up(running: Running, exception: BaseException) -> None:
        told.append((running, exception, threading.current_thread().name))
        heard.set()

    running, error = a_running(redis, give_up), TimeoutError()
    running.abandoned(error)
    assert heard.wait(10)
    assert told == [(running, error, "give-up")]


def test_rqs_execution_is_the_one_on_the_books(running: Running) -> None:
    execution = running.execution
    assert execution is running.execution
    assert (execution.id, execution.job_id, execution.worker_name) == ("an-execution", "a-job", "w")
    assert execution.created_at.timestamp() == pytest.approx(running.started_s, abs=1e-6)

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from rq.timeouts import JobTimeoutException

from jobctl.adapters import rq_deadlines
from jobctl.adapters.rq_deadlines import Region, enter

PATIENCE_S = 10.0


class Running:
    """What runs on a slot, without a worker."""

    def __init__(self) -> None:
        self.region: Region | None = None
        self.cancel_coroutine: Callable[[], None] | None = None
        self.wanted: BaseException | None = None
        self.given_up: list[BaseException] = []

    def abandoned(self, exception: BaseException) -> None:
        self.given_up.append(exception)


@pytest.fixture
def running() -> Iterator[Running]:
    here = Running()
    enter(here)
    yield here
    enter(None)


def spin(seconds: float) -> None:
    """Run Python code, which can be interrupted, as opposed to one long sleep."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.001)


def test_a_body_that_overruns_is_interrupted_and_told_its_limit() -> None:
    began = time.monotonic()
    with (
        pytest.raises(JobTimeoutException, match=r"maximum timeout value \(0.05 seconds\)"),
        Region(0.05, JobTimeoutException),
    ):
        spin(PATIENCE_S)
    assert time.monotonic() - began < PATIENCE_S / 2


@pytest.mark.parametrize("timeout", [None, 0, -1])
def test_a_region_without_a_limit_is_not_interrupted(timeout: float | None) -> None:
    with Region(timeout, JobTimeoutException):
        spin(0.05)


def test_nothing_is_raised_after_the_body_however_close_its_end_is_to_the_deadline() -> None:
    outcomes = set()
    for number in range(150):
        limit = 0.002 + number % 3 * 0.0005
        try:
            with Region(limit, JobTimeoutException):
                spin(0.0025)
            outcomes.add("ended")
        except JobTimeoutException:
            outcomes.add("interrupted")
        spin(0.002)  # would see what came too late
    assert outcomes <= {"ended", "interrupted"}


def test_closing_takes_back_an_exception_that_was_set_and_not_yet_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[type[BaseException] | None] = []
    monkeypatch.setattr(rq_deadlines, "_set_async_exception", lambda thread_id, exception: told.append(exception))
    region = Region(None)
    with region:
        region.interrupt(JobTimeoutException())
    assert told == [JobTimeoutException, None]


def test_what_the_body_raises_by_itself_stands() -> None:
    with pytest.raises(ZeroDivisionError), Region(PATIENCE_S, JobTimeoutException):
        _ = 1 / 0


def test_a_closed_region_cannot_be_interrupted() -> None:
    region = Region(None)
    with region:
        pass
    assert not region.interrupt(JobTimeoutException())


def test_a_region_is_interrupted_once(running: Running) -> None:
    answers = []

    def interrupt() -> None:
        while running.region is None:
            time.sleep(0.001)
        region = running.region
        answers.extend(region.interrupt(JobTimeoutException()) for _ in range(2))

    threading.Thread(target=interrupt).start()
    with pytest.raises(JobTimeoutException), Region(None):
        spin(PATIENCE_S)
    assert answers == [True, False]
    assert running.region is None


def test_an_interruption_wanted_before_a_region_opens_is_delivered_when_it_does(running: Running) -> None:
    running.wanted = JobTimeoutException("early")
    ran = []
    with pytest.raises(JobTimeoutException, match="early"), Region(PATIENCE_S):
        ran.append(True)
    assert ran == []
    assert running.wanted is None
    with Region(PATIENCE_S):  # as a callback's, which is not what was to be stopped
        ran.append(True)
    assert ran == [True]


def test_a_coroutine_is_cancelled_instead(running: Running) -> None:
    cancelled = threading.Event()
    running.cancel_coroutine = cancelled.set
    with Region(0.02, JobTimeoutException):
        assert cancelled.wait(PATIENCE_S)
        spin(0.05)  # no exception is raised in the thread that waits for the coroutine


def test_a_thread_that_does_not_come_back_is_given_up_once(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rq_deadlines, "GRACE_S", 0.1)
    with pytest.raises(JobTimeoutException), Region(0.05, JobTimeoutException):
        time.sleep(0.4)
    assert [str(error) for error in running.given_up] == ["Task exceeded maximum timeout value (0.05 seconds)"]


def test_a_thread_that_comes_back_in_time_is_not_given_up(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rq_deadlines, "GRACE_S", 0.3)
    with pytest.raises(JobTimeoutException), Region(0.02, JobTimeoutException):
        spin(PATIENCE_S)
    time.sleep(0.4)
    assert running.given_up == []


def test_an_interruption_that_went_nowhere_comes_again_before_the_job_is_given_up(running: Running) -> None:
    seen = []

    def swallow_one() -> None:
        with suppress(JobTimeoutException):
            spin(PATIENCE_S)
        seen.append("the first")
        spin(PATIENCE_S)

    with pytest.raises(JobTimeoutException), Region(0.05, JobTimeoutException):
        swallow_one()

    assert seen == ["the first"]
    assert not running.given_up

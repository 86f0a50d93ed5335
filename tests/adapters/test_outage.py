import logging
import threading
import time

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from jobctl.adapters.outage import Outage, Pauses, is_away

LOG = logging.getLogger("test.outage")


class Flaky:
    """A command that fails so often."""

    def __init__(self, failures: int, error: Exception | None = None) -> None:
        self.failures = failures
        self.calls = 0
        self._error = error or RedisConnectionError("Connection refused. Is it there?")

    def __call__(self) -> int:
        self.calls += 1
        if self.calls <= self.failures:
            raise self._error
        return self.calls


def test_pauses_grow_to_two_seconds_and_differ_between_workers() -> None:
    workers = [[pauses.next_s() for _ in range(8)] for pauses in (Pauses(), Pauses())]
    longest_s = [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0]
    for pauses_s in workers:
        assert all(longest / 2 <= pause <= longest for pause, longest in zip(pauses_s, longest_s, strict=True))
    assert workers[0] != workers[1]


def test_one_line_when_redis_goes_and_one_when_it_is_back_however_many_threads_notice(
    caplog: pytest.LogCaptureFixture,
) -> None:
    outage, start = Outage(LOG, "w"), threading.Barrier(8)

    def notice() -> None:
        start.wait(10)
        for _ in range(100):
            outage.began(RedisConnectionError("Connection refused. And more"))

    threads = [threading.Thread(target=notice) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (outage.lasts, outage.count) == (True, 1)
    outage.ended()
    outage.ended()
    assert (outage.lasts, outage.count) == (False, 1)
    gone, back = caplog.messages
    assert gone == "Worker w: Redis is away (Connection refused); trying again until it is back"
    assert back.startswith("Worker w: Redis is back after 0.")


def test_an_answer_that_was_waited_for_during_an_outage_is_no_second_one() -> None:
    outage = Outage(LOG, "w", answer_s=0.2)
    outage.began(RedisConnectionError("gone"))
    outage.ended()
    outage.began(RedisTimeoutError("Timeout reading from socket"))
    assert (outage.lasts, outage.count) == (False, 1)
    outage.began(RedisConnectionError("gone again"))
    assert (outage.lasts, outage.count) == (True, 2)
    outage.ended()
    time.sleep(0.25)
    outage.began(RedisTimeoutError("Timeout reading from socket"))
    assert (outage.lasts, outage.count) == (True, 3)


def test_a_command_outlasts_an_outage() -> None:
    outage, command = Outage(LOG, "w"), Flaky(2)
    assert outage.outlast(command) == 3
    assert (outage.lasts, outage.count) == (False, 1)


@pytest.mark.parametrize(
    "error",
    [
        ReadOnlyError("You can't write against a read only replica."),
        ResponseError("MISCONF Errors writing to the AOF file: No space left on device"),
        ResponseError("NOREPLICAS Not enough good replicas to write."),
        ResponseError("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."),
        ResponseError(
            "ERR Error running script (call to f_0a): @user_script:17: @user_script: 17: -READONLY You can't write"
            " against a read only replica."
        ),
    ],
)
def test_a_redis_that_cannot_write_for_now_counts_as_away(error: Exception) -> None:
    assert is_away(error)
    assert Outage(LOG, "w").outlast(Flaky(1, error)) == 2


def test_what_is_answered_at_once_does_not_end_an_outage_that_others_see() -> None:
    outage = Outage(LOG, "w")
    outage.began(ReadOnlyError("You can't write against a read only replica."))
    assert outage.outlast(Flaky(0)) == 1
    assert outage.lasts


def test_what_waiting_does_not_heal_is_raised_at_once() -> None:
    outage, command = Outage(LOG, "w"), Flaky(1, ResponseError("WRONGTYPE"))
    with pytest.raises(ResponseError):
        outage.outlast(command)
    assert (command.calls, outage.lasts) == (1, False)


def test_who_gives_up_gets_the_error_and_the_outage_goes_on() -> None:
    outage, command = Outage(LOG, "w"), Flaky(9)
    with pytest.raises(RedisConnectionError):
        outage.outlast(command, give_up=lambda: command.calls == 2)
    assert (command.calls, outage.lasts) == (2, True)

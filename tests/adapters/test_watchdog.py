from __future__ import annotations

import threading
import time
from collections.abc import Callable

from jobctl.adapters.watchdog import Watchdog, watchdog

PATIENCE_S = 5.0


class Calls:
    """Records who was called, and waits for them."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._changed = threading.Condition()

    def __getitem__(self, name: str) -> Callable[[], None]:
        def call() -> None:
            with self._changed:
                self.names.append(name)
                self._changed.notify_all()

        return call

    def wait_for(self, *names: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.names) >= len(names), PATIENCE_S), self.names
        assert self.names == list(names)


def in_seconds(seconds: float) -> float:
    return time.monotonic() + seconds


def test_calls_come_in_the_order_of_their_instants_and_never_early() -> None:
    dog, calls, instants = Watchdog(), Calls(), []
    due_s = in_seconds(0.1)
    dog.call_at(due_s + 0.1, calls["later"])
    dog.call_at(due_s, lambda: instants.append(time.monotonic()))
    dog.call_at(due_s + 0.05, calls["sooner"])
    dog.call_at(in_seconds(-10), calls["overdue"])

    calls.wait_for("overdue", "sooner", "later")
    assert instants[0] >= due_s


def test_a_forgotten_call_never_comes() -> None:
    dog, calls = Watchdog(), Calls()
    forgotten = dog.call_at(in_seconds(0.05), calls["forgotten"])
    dog.call_at(in_seconds(0.1), calls["kept"])
    dog.forget(forgotten)
    dog.forget(forgotten)

    calls.wait_for("kept")


def test_forgetting_one_that_was_called_is_no_matter() -> None:
    dog, calls = Watchdog(), Calls()
    alarm = dog.call_at(in_seconds(0), calls["first"])
    calls.wait_for("first")
    dog.forget(alarm)
    dog.call_at(in_seconds(0), calls["second"])

    calls.wait_for("first", "second")


def test_what_was_forgotten_holds_no_memory() -> None:
    """Nearly every deadline is forgotten, and most lie minutes ahead."""
    dog = Watchdog()
    kept = dog.call_at(in_seconds(3000), lambda: None)  # else it would forget them all
    for number in range(5000):
        dog.forget(dog.call_at(in_seconds(3600), lambda: None))
        if number % 100 == 0:
            time.sleep(0.002)
    time.sleep(0.05)
    assert 1 <= dog.kept < 600
    dog.forget(kept)


def test_sweeping_loses_no_call() -> None:
    dog, calls = Watchdog(), Calls()
    kept = [f"{number:03}" for number in range(100)]
    start_s = in_seconds(0.5)
    for number, name in enumerate(kept):
        dog.call_at(start_s + number / 1000, calls[name])
        for _ in range(10):
            dog.forget(dog.call_at(start_s + number / 1000, calls["forgotten"]))

    calls.wait_for(*kept)


def test_an_alarm_further_off_than_a_lock_can_wait_does_not_stop_the_others() -> None:
    dog, calls = Watchdog(), Calls()
    dog.call_at(in_seconds(1e12), calls["never"])
    time.sleep(0.05)
    dog.call_at(in_seconds(0), calls["now"])

    calls.wait_for("now")


def test_many_threads_may_set_and_forget_at_once() -> None:
    dog, calls = Watchdog(), Calls()

    def work() -> None:
        for _ in range(300):
            dog.forget(dog.call_at(in_seconds(0.5), calls["forgotten"]))

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    dog.call_at(in_seconds(0.6), calls["kept"])

    calls.wait_for("kept")


def test_all_alarms_of_a_process_share_one_thread() -> None:
    before = {thread.ident for thread in threading.enumerate()}
    alarms = [watchdog.call_at(in_seconds(60), lambda: None) for _ in range(50)]
    started = [thread for thread in threading.enumerate() if thread.ident not in before]
    for alarm in alarms:
        watchdog.forget(alarm)

    assert len(started) <= 1
    assert all(thread.daemon for thread in started)

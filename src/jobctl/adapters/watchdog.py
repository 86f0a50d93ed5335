"""Calls at their time, on one thread for the whole process.

Deadlines need no thread each. Nearly every alarm is forgotten long before its time, so forgotten ones are swept out
when they are the majority: memory follows what runs, not what ran.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Final

__all__ = ["Alarm", "Watchdog", "watchdog"]


@dataclass(order=True, slots=True)
class Alarm:
    """A call at an instant; the call is None once it is not wanted any more."""

    instant_s: float
    order: int
    call: Callable[[], object] | None = field(compare=False)


class Watchdog:
    """Calls functions at their time."""

    _SWEEP_FROM: Final = 256

    def __init__(self) -> None:
        self._wake = threading.Condition()
        self._alarms: list[Alarm] = []
        self._forgotten = 0
        self._order = count()
        self._thread: threading.Thread | None = None

    def call_at(self, instant_s: float, call: Callable[[], object]) -> Alarm:
        """Call it at that monotonic instant; it must be quick and not raise."""
        with self._wake:
            alarm = Alarm(instant_s, next(self._order), call)
            heapq.heappush(self._alarms, alarm)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
                self._thread.start()
            elif self._alarms[0] is alarm:
                self._wake.notify()
            return alarm

    def forget(self, alarm: Alarm) -> None:
        """The call is not wanted any more."""
        with self._wake:
            if alarm.call is not None:
                alarm.call = None
                self._forgotten += 1
            if self._forgotten > max(self._SWEEP_FROM, len(self._alarms) // 2):
                self._alarms = [alarm for alarm in self._alarms if alarm.call is not None]
                heapq.heapify(self._alarms)
                self._forgotten = 0

    def _run(self) -> None:
        while True:
            call = self._next()
            if call is not None:
                call()

    def _next(self) -> Callable[[], object] | None:
        """Wait for the next alarm and take it; None when it was forgotten."""
        with self._wake:
            while not self._alarms or self._alarms[0].instant_s > time.monotonic():
                self._wake.wait(self._longest_wait_s())
            alarm = heapq.heappop(self._alarms)
            if alarm.call is None:
                self._forgotten -= 1
            call, alarm.call = alarm.call, None
            return call

    def _longest_wait_s(self) -> float | None:
        return min(self._alarms[0].instant_s - time.monotonic(), threading.TIMEOUT_MAX) if self._alarms else None


#: The process's one.
watchdog: Final = Watchdog()

"""Calls at their time, on one thread for the whole process.

Deadlines need no thread each. Those who set alarms take no lock: they are jobs' threads, in which an exception may be
raised from outside between any two bytecodes (see ``rq_deadlines``), also between taking a lock and the ``try`` that
releases it; and a lock that this thread shares with them would then stop every deadline of the process. So alarms are
handed over by a queue, whose ``put`` is one step of the interpreter, and forgotten by one assignment.

The thread looks for new alarms every few milliseconds while it has any to watch, and not at all while it has none.
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from queue import Empty, SimpleQueue
from typing import Final

__all__ = ["Alarm", "Watchdog", "watchdog"]

logger = logging.getLogger("jobctl.watchdog")

#: Seconds between two looks for new alarms: how late one may be that is set for sooner than all others.
_LOOK_S: Final = 0.01
#: So many alarms may be kept before the forgotten ones among them are swept out.
_SWEEP_FROM: Final = 256


@dataclass(order=True, slots=True)
class Alarm:
    """A call at an instant; the call is None once it is not wanted any more."""

    instant_s: float
    order: int
    call: Callable[[], object] | None = field(compare=False)


class Watchdog:
    """Calls functions at their time."""

    def __init__(self) -> None:
        self._new: SimpleQueue[Alarm] = SimpleQueue()
        self._order = count()
        self._thread: threading.Thread | None = None
        #: How many alarms it keeps, forgotten ones included.
        self.kept = 0

    def call_at(self, instant_s: float, call: Callable[[], object]) -> Alarm:
        """Call it at that monotonic instant; it must be quick and not raise."""
        alarm = Alarm(instant_s, next(self._order), call)
        self._new.put(alarm)
        if self._thread is None or not self._thread.is_alive():
            self._start()
        return alarm

    def forget(self, alarm: Alarm) -> None:
        """The call is not wanted any more."""
        alarm.call = None

    def _start(self) -> None:
        """Start a thread; that two are started at once does no harm but for the second one."""
        self._thread = thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
        thread.start()

    def _run(self) -> None:
        alarms: list[Alarm] = []
        sweep_from = _SWEEP_FROM
        while threading.current_thread() is self._thread:
            if not alarms:
                alarms.append(self._new.get())
            self._take_new(alarms)
            while alarms and alarms[0].instant_s <= time.monotonic():
                _ring(heapq.heappop(alarms))
            if len(alarms) > sweep_from:
                alarms = [alarm for alarm in alarms if alarm.call is not None]
                heapq.heapify(alarms)
                sweep_from = max(_SWEEP_FROM, 2 * len(alarms))
            while alarms and alarms[0].call is None:
                heapq.heappop(alarms)
            self.kept = len(alarms)
            if alarms:
                time.sleep(min(_LOOK_S, max(0.0, alarms[0].instant_s - time.monotonic())))
        for alarm in alarms:  # another thread was started beside this one
            self._new.put(alarm)

    def _take_new(self, alarms: list[Alarm]) -> None:
        try:
            while True:
                heapq.heappush(alarms, self._new.get_nowait())
        except Empty:
            pass


def _ring(alarm: Alarm) -> None:
    call, alarm.call = alarm.call, None
    if call is None:
        return
    try:
        call()
    except Exception:
        logger.exception("an alarm raised")


#: The process's one.
watchdog: Final = Watchdog()

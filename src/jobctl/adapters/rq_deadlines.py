"""Interrupting a job on its slot: at its timeout, or on request.

RQ guards a job's body with a *death penalty*: a context manager that interrupts it. RQ's own cannot serve here: the one
by signal works on the main thread only, and the one by timer starts a thread for each job and rewrites the exception
class. So :class:`Region` has the same interface and one watchdog thread for all slots.

How an interruption happens, and why it is safe:

1. For a coroutine its task is cancelled. For a plain function the exception is set asynchronously in its thread
   (``PyThreadState_SetAsyncExc``), which Python raises between two bytecodes.
2. Both happen under the region's lock and only while the region is open. Closing takes the lock and clears an exception
   that was set and not yet raised. So none is ever raised after the body, where it would tear a Redis command apart.
3. A thread that sits in a C call (``time.sleep``, a socket without a timeout) or swallows the exception does not come
   back. After a grace time the region is *abandoned*: its owner is told once, gives the job up and counts the slot as
   stuck.
"""

from __future__ import annotations

import asyncio
import ctypes
import heapq
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Any, Final, Protocol

from rq.timeouts import BaseDeathPenalty, BaseTimeoutException

__all__ = ["GRACE_S", "Interruptible", "Region", "current", "enter"]

#: Seconds between an interruption and giving the thread up.
GRACE_S: Final = 1.0


class Interruptible(Protocol):
    """What runs on a slot, as far as interrupting it is concerned."""

    region: Region | None
    cancel_coroutine: Callable[[], None] | None

    def abandoned(self, exception: BaseException) -> None:
        """The thread did not come back after an interruption."""


class _Here(threading.local):
    running: Interruptible | None = None


_here: Final = _Here()


def enter(running: Interruptible | None) -> None:
    """Say what runs on this thread from now on."""
    _here.running = running


def current() -> Interruptible | None:
    """What runs on this thread."""
    return _here.running


class Region(BaseDeathPenalty):
    """The guarded stretch of a job or callback, with the interface of RQ's death penalties.

    Args:
        timeout: Seconds until it is interrupted; zero, a negative number or None for never.
        exception: Raised in it then.
        **kwargs: RQ passes more; ignored.
    """

    def __init__(self, timeout: float | None, exception: type[Exception] = BaseTimeoutException, **kwargs: Any) -> None:
        super().__init__(timeout, exception, **kwargs)
        self._lock = threading.Lock()
        self._open = False
        self._interruption: BaseException | None = None
        self._running = _here.running
        self._outer: Region | None = None
        self._alarm: _Alarm | None = None

    def setup_death_penalty(self) -> None:
        """Open the region on this thread."""
        self._thread_id = threading.get_ident()
        self._open = True
        if self._running is not None:
            self._outer, self._running.region = self._running.region, self
        if self._timeout is not None and self._timeout > 0:
            message = f"Task exceeded maximum timeout value ({self._timeout} seconds)"
            self._alarm = _watchdog.call_at(
                time.monotonic() + self._timeout, lambda: self.interrupt(self._exception(message))
            )

    def cancel_death_penalty(self) -> None:
        """Close the region: from here on nothing is raised in it any more."""
        with self._lock:
            self._open = False
            if self._interruption is not None:
                _set_async_exception(self._thread_id, None)
        if self._running is not None:
            self._running.region = self._outer
        if self._alarm is not None:
            _watchdog.forget(self._alarm)
            self._alarm = None

    def interrupt(self, exception: BaseException) -> bool:
        """Interrupt the region, from any thread.

        Args:
            exception: What its body is to see.

        Returns:
            Whether it was open and not yet interrupted.
        """
        with self._lock:
            if not self._open or self._interruption is not None:
                return False
            self._interruption = exception
            cancel = self._running.cancel_coroutine if self._running is not None else None
            if cancel is not None:
                cancel()
            else:
                _set_async_exception(self._thread_id, type(exception))
        _watchdog.call_at(time.monotonic() + GRACE_S, self._check_back)
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Close the region; a body that was interrupted sees the exception with its message."""
        while True:
            try:
                self.cancel_death_penalty()
                break
            except BaseException as late:
                # Set before closing, raised within it: what the body returned or raised still stands.
                if self._interruption is None or type(late) is not type(self._interruption):
                    raise
        if self._interruption is not None and isinstance(error, (type(self._interruption), asyncio.CancelledError)):
            raise self._interruption.with_traceback(trace) from None
        return False

    def _check_back(self) -> None:
        with self._lock:
            lost = self._open
        if lost and self._running is not None and self._interruption is not None:
            self._running.abandoned(self._interruption)


@dataclass(order=True, slots=True)
class _Alarm:
    """A call at an instant; None once it is not wanted any more."""

    instant_s: float
    order: int
    call: Callable[[], object] | None = field(compare=False)


class _Watchdog:
    """Calls functions at their time, on one thread for the whole process.

    Nearly every alarm is forgotten long before its time, so forgotten ones are swept out when they are the majority:
    memory follows the jobs that run, not those that ran.
    """

    _SWEEP_FROM: Final = 256

    def __init__(self) -> None:
        self._wake = threading.Condition()
        self._alarms: list[_Alarm] = []
        self._forgotten = 0
        self._order = count()
        self._thread: threading.Thread | None = None

    def call_at(self, instant_s: float, call: Callable[[], object]) -> _Alarm:
        """Call it at that monotonic instant; it must be quick and not raise."""
        with self._wake:
            alarm = _Alarm(instant_s, next(self._order), call)
            heapq.heappush(self._alarms, alarm)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
                self._thread.start()
            elif self._alarms[0] is alarm:
                self._wake.notify()
            return alarm

    def forget(self, alarm: _Alarm) -> None:
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
                self._wake.wait(self._alarms[0].instant_s - time.monotonic() if self._alarms else None)
            alarm = heapq.heappop(self._alarms)
            if alarm.call is None:
                self._forgotten -= 1
            call, alarm.call = alarm.call, None
            return call


_watchdog: Final = _Watchdog()


def _set_async_exception(thread_id: int, exception: type[BaseException] | None) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread_id), None if exception is None else ctypes.py_object(exception)
    )

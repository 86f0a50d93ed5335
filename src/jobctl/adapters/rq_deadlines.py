"""Interrupting a job on its slot: at its timeout, or on request.

RQ guards a job's body with a *death penalty*: a context manager that interrupts it. RQ's own cannot serve here: the one
by signal works on the main thread only, and the one by timer starts a thread for each job and rewrites the exception
class. So :class:`Region` has the same interface and one watchdog thread for all slots.

How an interruption happens:

1. For a coroutine its task is cancelled. For a plain function the exception is set asynchronously in its thread
   (``PyThreadState_SetAsyncExc``), which Python raises between two bytecodes.
2. Both happen under the region's lock and only while the region is open. Closing takes the lock and clears an exception
   that was set and not yet raised. So none is ever raised after the body, where it would tear the worker's own Redis
   commands apart.
3. A thread that sits in a C call (``time.sleep``, a socket without a timeout) or swallows the exception does not come
   back. After a grace time the region is *abandoned*: its owner is told once, gives the job up and counts the slot as
   stuck. A coroutine that blocks the shared loop keeps the cancellations of all others from arriving: each fails at its
   own timeout in the same way, and with half the slots stuck the worker is restarted.

What an asynchronous exception can break: it may be raised between any two bytecodes of the job, also inside a library,
between taking a lock and entering the ``try`` that releases it. A lock that the job shares with others, such as a
connection pool's, can then stay taken. RQ interrupts jobs in the same places, by signal, but there the process is
thrown away afterwards. It is done here all the same, because the alternative, never to interrupt plain functions,
costs a slot for every loop that overruns; the window is a few bytecodes wide and opens only at a timeout; and where it
is hit, later jobs run into their own timeouts on that lock, count as stuck, and the worker is restarted.
"""

# mypy: allow-untyped-calls
# RQ is typed in part only, and what a subclass inherits from it counts as its own.

from __future__ import annotations

import asyncio
import ctypes
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Literal, Protocol

from rq.timeouts import BaseDeathPenalty, BaseTimeoutException

from jobctl.adapters.watchdog import Alarm, watchdog

__all__ = ["GRACE_S", "Interruptible", "Region", "current", "enter"]

#: Seconds between an interruption and giving the thread up.
GRACE_S: Final = 1.0


class Interruptible(Protocol):
    """What runs on a slot, as far as interrupting it is concerned.

    Attributes:
        region: The innermost open region.
        cancel_coroutine: Cancels the coroutine that runs for it, from any thread; None while a plain function runs.
        wanted: An interruption that came while no region was open; the next one to open delivers it.
    """

    region: Region | None
    cancel_coroutine: Callable[[], None] | None
    wanted: BaseException | None

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
        self._alarm: Alarm | None = None

    def setup_death_penalty(self) -> None:
        """Open the region on this thread."""
        self._thread_id = threading.get_ident()
        if self._timeout is not None and self._timeout > 0:
            message = f"Task exceeded maximum timeout value ({self._timeout} seconds)"
            self._alarm = watchdog.call_at(
                time.monotonic() + self._timeout, lambda: self.interrupt(self._exception(message))
            )
        if self._running is not None:
            self._outer, self._running.region = self._running.region, self
        self._open = True
        if self._running is not None and self._running.wanted is not None:
            wanted, self._running.wanted = self._running.wanted, None
            self.cancel_death_penalty()
            raise wanted

    def cancel_death_penalty(self) -> None:
        """Close the region: from here on nothing is raised in it any more."""
        with self._lock:
            self._open = False
            if self._interruption is not None:
                _set_async_exception(self._thread_id, None)
        if self._running is not None:
            self._running.region = self._outer
        if self._alarm is not None:
            watchdog.forget(self._alarm)
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
            if self._running is not None and self._running.wanted is exception:
                self._running.wanted = None
            watchdog.call_at(time.monotonic() + 0.75 * GRACE_S, self._interrupt_again)
            watchdog.call_at(time.monotonic() + GRACE_S, self._check_back)
            cancel = self._running.cancel_coroutine if self._running is not None else None
            if cancel is not None:
                cancel()
            else:
                _set_async_exception(self._thread_id, type(exception))
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
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

    def _interrupt_again(self) -> None:
        """Raise it once more in a function that still runs: one raised inside a finaliser goes nowhere."""
        with self._lock:
            a_function = self._running is None or self._running.cancel_coroutine is None
            if self._open and self._interruption is not None and a_function:
                _set_async_exception(self._thread_id, type(self._interruption))

    def _check_back(self) -> None:
        with self._lock:
            lost = self._open
        if lost and self._running is not None and self._interruption is not None:
            self._running.abandoned(self._interruption)


def _set_async_exception(thread_id: int, exception: type[BaseException] | None) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread_id), None if exception is None else ctypes.py_object(exception)
    )

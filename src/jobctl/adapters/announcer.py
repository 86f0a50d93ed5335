"""Telling observers what happens in a worker. One that breaks its promise not to raise breaks no job."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Final

from jobctl.core.events import JobEnded, JobOutcome, JobsRecovered, JobStarted, SlotsChanged
from jobctl.ports import WorkerObserver

__all__ = ["Announcer"]

#: Seconds without the use of the slots being told again.
_TELL_S: Final = 0.5


class Announcer:
    """Tells all observers of a worker.

    Args:
        observers: Whom to tell.
        log: Takes what an observer raised.
    """

    def __init__(self, observers: Sequence[WorkerObserver], log: logging.Logger) -> None:
        self._observers = tuple(observers)
        self._log = log
        self._told_at_s = -math.inf

    def __bool__(self) -> bool:
        """Whether anybody listens."""
        return bool(self._observers)

    def running(self, started: JobStarted) -> AbstractContextManager[object]:
        """What observers put around a job's body; entered already."""
        stack = ExitStack()
        for observer in self._observers:
            stack.enter_context(observer.running(started))
        return stack

    def ended(
        self, started: JobStarted, ended_s: float, outcome: JobOutcome, reason: str, error: BaseException | None
    ) -> None:
        """A slot is done with a job."""
        event = JobEnded(started, ended_s, outcome, reason, error)
        self._tell(lambda observer: observer.ended(event))

    def recovered(self, event: JobsRecovered) -> None:
        """Jobs of a dead worker were put back to work."""
        self._tell(lambda observer: observer.recovered(event))

    def slots(self, slots: int, busy: int, stuck: int) -> None:
        """How the slots are used; told a few times a second, and at once when they are all free."""
        if not self._observers or (busy and time.monotonic() - self._told_at_s < _TELL_S):
            return
        self._told_at_s = time.monotonic()
        self._tell(lambda observer: observer.slots(SlotsChanged(slots, busy, stuck)))

    def close(self, timeout_s: float) -> None:
        """The worker has drained."""
        self._tell(lambda observer: observer.close(timeout_s))

    def _tell(self, what: Callable[[WorkerObserver], None]) -> None:
        for observer in self._observers:
            try:
                what(observer)
            except Exception:
                self._log.exception("an observer raised")

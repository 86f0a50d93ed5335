"""Real time."""

from __future__ import annotations

import time

__all__ = ["SystemClock"]


class SystemClock:
    """Seconds since the epoch that never step back: the wall clock's reading at the start plus monotonic time since.

    Sleeping goes through ``time.sleep``, so that under gevent only the greenlet sleeps.
    """

    def __init__(self) -> None:
        self._epoch_s = time.time() - time.monotonic()

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._epoch_s + time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let that much time pass."""
        time.sleep(seconds)

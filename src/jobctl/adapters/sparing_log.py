"""Lines that may come by the thousand: the first few are said, and then how many more there were."""

from __future__ import annotations

import logging
import math
import threading
import time
from typing import Final

__all__ = ["SparingLog"]

#: So many lines in so many seconds are said.
_MOST: Final = 10
_EVERY_S: Final = 60.0


class SparingLog:
    """Logs like lines sparingly.

    Args:
        log: Takes them, as errors.
        more: What to say of those that were not said; ``%d`` stands for how many.
        most: How many are said.
        every_s: In how many seconds.
    """

    def __init__(self, log: logging.Logger, more: str, *, most: int = _MOST, every_s: float = _EVERY_S) -> None:
        self._log = log
        self._more = more
        self._most = most
        self._every_s = every_s
        self._lock = threading.Lock()
        self._since_s = -math.inf
        self._said = self._unsaid = 0

    def error(self, message: str, *args: object) -> None:
        """Say this, or count it."""
        with self._lock:
            if time.monotonic() - self._since_s >= self._every_s:
                self._summarise()
                self._since_s, self._said = time.monotonic(), 0
            if self._said >= self._most:
                self._unsaid += 1
                return
            self._said += 1
        self._log.error(message, *args)

    def close(self) -> None:
        """Say how many were not said."""
        with self._lock:
            self._summarise()

    def _summarise(self) -> None:
        if self._unsaid:
            self._log.error(self._more, self._unsaid)
            self._unsaid = 0

"""Redis' clock, which every machine of a bench can ask, and how far this machine's is from it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from redis import Redis

from jobctl.core.clocks import ClockOffset, ClockReading, best_offset

__all__ = ["ClockWatch"]

#: Questions whose best answer counts.
_READINGS: Final = 8


class ClockWatch:
    """Asks now and then, and tells by the best of the latest answers.

    Args:
        connection: Redis. A question is one ``TIME``, a round trip of its own.
        now_s: The clock that is compared, seconds since the epoch.
    """

    def __init__(self, connection: Redis, now_s: Callable[[], float] = time.time) -> None:
        self._connection = connection
        self._now_s = now_s
        self._readings: deque[ClockReading] = deque(maxlen=_READINGS)

    def ask(self) -> ClockOffset | None:
        """Ask once, the first time a few times.

        Returns:
            The offset by the best of the latest answers; None while there is none of use.

        Raises:
            RedisError: There was no answer.
        """
        for _ in range(1 if self._readings else _READINGS):
            sent_s = self._now_s()
            seconds, microseconds = self._connection.time()
            self._readings.append(ClockReading(sent_s, seconds + microseconds / 1e6, self._now_s()))
        return best_offset(self._readings)

"""Redis away: one line when it goes and one when it is back, however many threads notice."""

from __future__ import annotations

import logging
import math
import random
import re
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

__all__ = ["Outage", "Pauses", "is_away"]

#: What a Redis says that will be able to do it later, or a network that does not reach it.
_AWAY: Final[tuple[type[RedisError], ...]] = (
    RedisConnectionError,
    RedisTimeoutError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
#: The same where redis-py has no class for it: its disk is full, its replicas are gone, somebody's script takes long;
#: and, as Redis 6.2 has it, any of them from within a script.
_AWAY_WORDS: Final = re.compile(
    r"(MISCONF|NOREPLICAS|BUSY) |ERR Error running script .* -(MISCONF|NOREPLICAS|OOM|READONLY) "
)

#: First and longest pause before Redis is tried again, seconds. The longest bounds how long a worker stays silent once
#: Redis is back, and so how soon others may take it for dead.
_FIRST_S: Final = 0.1
_LONGEST_S: Final = 2.0

Answer = TypeVar("Answer")


def is_away(error: BaseException) -> bool:
    """Whether an error means that the same command may succeed later, without anybody mending it."""
    return isinstance(error, _AWAY) or (isinstance(error, ResponseError) and bool(_AWAY_WORDS.match(str(error))))


class Pauses:
    """Seconds before Redis is tried again: longer each time, and not all workers at the same moment."""

    def __init__(self) -> None:
        self._pause_s = _FIRST_S

    def next_s(self) -> float:
        """The next pause."""
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, _LONGEST_S)
        return pause_s * random.uniform(0.5, 1.0)


class Outage:
    """Whether Redis is away, and since when.

    Args:
        log: Takes the two lines.
        name: The worker's name, to begin them with.
        answer_s: How long a command waits for its answer, seconds. One that waited in vain and fails sooner than that
            after an outage was sent during it, and is no news.
    """

    def __init__(self, log: logging.Logger, name: str, *, answer_s: float = 0.0) -> None:
        self._log = log
        self._name = name
        self._answer_s = answer_s
        self._ended_s = -math.inf
        self._lock = threading.Lock()
        self._since_s: float | None = None
        #: How many outages there were: who compares knows whether one lay between.
        self.count = 0

    @property
    def lasts(self) -> bool:
        """Whether Redis is away as far as is known."""
        return self._since_s is not None

    def began(self, error: BaseException) -> None:
        """A command failed."""
        with self._lock:
            if self._since_s is not None or self._is_old(error):
                return
            self._since_s = time.monotonic()
            self.count += 1
        words = " ".join(str(error).split()).split(". ")[0]
        self._log.error("Worker %s: Redis is away (%s); trying again until it is back", self._name, words)

    def ended(self) -> None:
        """A command was answered."""
        if self._since_s is None:
            return
        with self._lock:
            if self._since_s is None:
                return
            self._ended_s = time.monotonic()
            lasted_s, self._since_s = self._ended_s - self._since_s, None
        self._log.warning("Worker %s: Redis is back after %.1f s", self._name, lasted_s)

    def _is_old(self, error: BaseException) -> bool:
        return isinstance(error, RedisTimeoutError) and time.monotonic() - self._ended_s < self._answer_s

    def outlast(self, command: Callable[[], Answer], *, give_up: Callable[[], bool] = lambda: False) -> Answer:
        """Carry out a command, again and again while Redis is away.

        That it is answered at once says nothing about an outage that others see: what only reads is answered by a Redis
        that refuses to write.

        Args:
            command: May be carried out more than once.
            give_up: Asked after each failure whether to raise instead.

        Returns:
            Its answer.

        Raises:
            RedisError: It failed and is given up, or it failed for another reason than Redis being away.
        """
        pauses, failed = Pauses(), False
        while True:
            try:
                answer = command()
            except RedisError as error:
                if not is_away(error):
                    raise
                self.began(error)
                failed = True
                if give_up():
                    raise
            else:
                if failed:
                    self.ended()
                return answer
            time.sleep(pauses.next_s())

"""The gate of a queue that declares its model: permits are taken before its jobs are."""

from __future__ import annotations

import time
from collections.abc import Callable

from jobctl.ports import Limiter

__all__ = ["ModelGate"]


class ModelGate:
    """Lets as many jobs through as the limiter grants calls. For the one thread that fetches.

    Args:
        limiter: Whom to ask.
        model: What the queue's jobs call.
        monotonic: Time: after a denial the limiter is not asked again before it said to come.
    """

    def __init__(self, limiter: Limiter, model: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._limiter = limiter
        self._model = model
        self._monotonic = monotonic
        self._closed_until_s = 0.0
        self._tokens = 0.0
        self._permits = ""

    def admit(self, wanted: int) -> int:
        """How many jobs may be taken now; those that are not taken are handed back."""
        if wanted <= 0 or self._monotonic() < self._closed_until_s:
            return 0
        grant = self._limiter.acquire(self._model, calls=wanted)
        if grant.granted < wanted:
            self._closed_until_s = self._monotonic() + grant.delay_s
        if grant.granted:
            self._permits, self._tokens = grant.permits, grant.tokens
        return grant.granted

    @property
    def closed_for_s(self) -> float:
        """Seconds until it is worth asking again."""
        return max(0.0, self._closed_until_s - self._monotonic())

    def hand_back(self, count: int) -> None:
        """So many were not taken after all, or made no call."""
        self._limiter.release(self._model, count, self._tokens)

    @property
    def permits(self) -> str:
        """What a job that was let through holds, see ``permits``."""
        return self._permits

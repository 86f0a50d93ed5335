"""Requests and tokens a minute: a sliding window over the last sixty seconds. No clock: time is an argument."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

__all__ = ["Admission", "MinuteLimit"]

_WINDOW_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Admission:
    """The answer to one request.

    Attributes:
        admitted: Whether it may pass.
        limit: The limit that refused it; 0 when admitted.
        retry_after_s: Seconds until the window has room.
    """

    admitted: bool
    limit: int = 0
    retry_after_s: float = 0.0


class MinuteLimit:
    """At most so many requests and tokens in any sixty seconds.

    Args:
        rpm: Requests; None for no limit.
        tpm: Tokens; None for no limit.
    """

    def __init__(self, rpm: int | None, tpm: int | None) -> None:
        self._rpm = rpm
        self._tpm = tpm
        self._passed: deque[tuple[float, int]] = deque()
        self._tokens = 0

    def admit(self, now_s: float, tokens: int) -> Admission:
        """Count a request in, or refuse it; a refused one leaves no trace.

        Args:
            now_s: The time, on any clock that never steps back.
            tokens: What it will cost.
        """
        self._forget(now_s)
        if self._rpm is not None and len(self._passed) >= self._rpm:
            return Admission(False, self._rpm, self._passed[0][0] + _WINDOW_S - now_s)
        if self._tpm is not None and self._passed and self._tokens + tokens > self._tpm:
            return Admission(False, self._tpm, self._until_room(now_s, tokens))
        self._passed.append((now_s, tokens))
        self._tokens += tokens
        return Admission(True)

    def in_window(self, now_s: float) -> int:
        """Requests admitted in the last sixty seconds."""
        self._forget(now_s)
        return len(self._passed)

    def _forget(self, now_s: float) -> None:
        while self._passed and self._passed[0][0] <= now_s - _WINDOW_S:
            self._tokens -= self._passed.popleft()[1]

    def _until_room(self, now_s: float, tokens: int) -> float:
        assert self._tpm is not None
        over = self._tokens + tokens - self._tpm
        for passed_s, spent in self._passed:
            over -= spent
            if over <= 0:
                return passed_s + _WINDOW_S - now_s
        return _WINDOW_S

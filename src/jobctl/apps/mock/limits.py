"""What an account may ask for: requests and tokens a minute, and the bounds of free models. Time is an argument."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from jobctl.core.units import SECONDS_PER_DAY

__all__ = ["Admission", "FreeTier", "MinuteLimit"]

_WINDOW_S: Final = 60.0
#: Free models, for each account: a minute, and a UTC day once 10 credits were ever bought.
_FREE_PER_MINUTE: Final = 20
_FREE_PER_DAY: Final = 1000


@dataclass(frozen=True, slots=True)
class Admission:
    """The answer to one request.

    Attributes:
        admitted: Whether it may pass.
        limit: The limit that refused it; 0 when admitted.
        retry_after_s: Seconds until there is room.
        name: The refusing limit's name, as its error message gives it.
    """

    admitted: bool
    limit: int = 0
    retry_after_s: float = 0.0
    name: str = ""


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

        A request larger than the whole token limit passes when nothing else does, for otherwise it never could.

        Args:
            now_s: The time, on any clock that never steps back.
            tokens: What it will cost.
        """
        self._forget(now_s)
        waits_s = (self._until_request(now_s), self._until_tokens(now_s, tokens))
        if any(waits_s):
            if waits_s[0] >= waits_s[1]:
                return Admission(False, self._rpm or 0, waits_s[0], "requests-per-min")
            return Admission(False, self._tpm or 0, waits_s[1], "tokens-per-min")
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

    def _until_request(self, now_s: float) -> float:
        """Seconds until one more request has room."""
        if self._rpm is None or len(self._passed) < self._rpm:
            return 0.0
        return self._passed[0][0] + _WINDOW_S - now_s

    def _until_tokens(self, now_s: float, tokens: int) -> float:
        """Seconds until so many more tokens have room."""
        if self._tpm is None:
            return 0.0
        over, wait_s = self._tokens + tokens - self._tpm, 0.0
        for passed_s, spent in self._passed:
            if over <= 0:
                break
            over, wait_s = over - spent, passed_s + _WINDOW_S - now_s
        return wait_s


class FreeTier:
    """The bounds of free models: requests a minute and a UTC day, failed ones included."""

    def __init__(self) -> None:
        self._minute = MinuteLimit(_FREE_PER_MINUTE, None)
        self._day = 0
        self._used = 0

    def admit(self, now_s: float, epoch_s: float) -> Admission:
        """Count a request in, or refuse it.

        Args:
            now_s: The time, on any clock that never steps back.
            epoch_s: Seconds since the epoch: the day is the calendar's.
        """
        if self.used(epoch_s) >= _FREE_PER_DAY:
            to_midnight_s = (self._day + 1) * SECONDS_PER_DAY - epoch_s
            return Admission(False, _FREE_PER_DAY, to_midnight_s, "free-models-per-day-high-balance")
        admission = self._minute.admit(now_s, 0)
        if not admission.admitted:
            return Admission(False, _FREE_PER_MINUTE, admission.retry_after_s, "free-models-per-min")
        self._used += 1
        return admission

    def used(self, epoch_s: float) -> int:
        """Requests admitted on this UTC day."""
        day = int(epoch_s // SECONDS_PER_DAY)
        if day != self._day:
            self._day, self._used = day, 0
        return self._used

    def to_document(self, epoch_s: float) -> dict[str, int]:
        """``free_model_daily_requests`` of ``GET /key``."""
        used = self.used(epoch_s)
        return {"limit": _FREE_PER_DAY, "used": used, "remaining": _FREE_PER_DAY - used}

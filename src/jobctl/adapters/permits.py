"""What the running job holds for its calls, and which attempt it is, in a context variable.

A worker that knows :class:`~jobctl.errors.Postponed` calls :func:`hold` in the job's own context before each job's
body, also with nothing to hold. The OpenRouter client takes it for the job's first call; calls after the first, and
those outside such a worker, wait where they are. A coroutine, and the threads it sends work to, run in copies of the
job's context, and all copies share one :class:`Held`: what was taken once is gone.

The text is :class:`jobctl.core.limiting.Permits` in its own words: what the job kept from :attr:`Postponed.permits`, or
what :attr:`Grant.permits` gave the worker that asked before it fetched the job.
"""

from __future__ import annotations

from contextvars import ContextVar
from threading import Lock
from typing import Final

__all__ = ["Held", "current_attempt", "hold", "permitted"]


class Held:
    """The permits of one run of one job.

    Args:
        text: What it kept or was given; empty for nothing.
        attempt: Which attempt of the job it is, from 1.
        retry: Whether it repeats an attempt that failed; one that its worker abandoned did not.
    """

    def __init__(self, text: str = "", *, attempt: int = 1, retry: bool = False) -> None:
        self._text: str | None = text
        self._lock = Lock()
        self.attempt = attempt
        self.retry = retry

    def take(self) -> str | None:
        """What it holds, once; from then on None."""
        with self._lock:
            text, self._text = self._text, None
        return text

    @property
    def left(self) -> str:
        """What nobody took. A grant in it is to be given back when the job has ended."""
        return self._text or ""


#: Of the job that runs in this context; None where nobody would know what to do with a postponed job.
permitted: Final[ContextVar[Held | None]] = ContextVar("permitted", default=None)


def hold(text: str, *, attempt: int = 1, retry: bool = False) -> Held:
    """Hold permits for the rest of this context, which ends with the job."""
    held = Held(text, attempt=attempt, retry=retry)
    permitted.set(held)
    return held


def current_attempt() -> int:
    """Which attempt of its job runs in this context, from 1; 1 in a worker that does not tell."""
    held = permitted.get()
    return 1 if held is None else held.attempt

"""What the running job holds for its calls, in a context variable.

The worker holds it open around a job's body (:func:`held`); the OpenRouter client takes it for the job's first call
(:meth:`Held.take`). A coroutine and the threads it sends work to run in copies of the job's context, and all copies
share one :class:`Held`: what was taken once is gone.

The text is :class:`jobctl.core.limiting.Permits`, in its own words: what the job kept from :attr:`Postponed.permits`,
or what :attr:`Grant.permits` gave the worker that asked before it fetched the job.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock

__all__ = ["Held", "held", "permitted"]


class Held:
    """The permits of one run of one job.

    Args:
        text: What it kept or was given; empty for nothing.
        retry: Whether this run repeats one that failed.
    """

    def __init__(self, text: str = "", *, retry: bool = False) -> None:
        self._text: str | None = text
        self._lock = Lock()
        self.retry = retry

    def take(self) -> str | None:
        """What it holds, once; from then on None: the job's first call is on its way."""
        with self._lock:
            text, self._text = self._text, None
        return text

    @property
    def left(self) -> str:
        """What nobody took. A grant in it is to be given back when the job has ended."""
        return self._text or ""


#: Of the job that runs in this context; None outside jobs.
permitted: ContextVar[Held | None] = ContextVar("jobctl_permitted", default=None)


@contextmanager
def held(text: str, *, retry: bool = False) -> Iterator[Held]:
    """Hold permits for what runs inside."""
    holding = Held(text, retry=retry)
    token = permitted.set(holding)
    try:
        yield holding
    finally:
        permitted.reset(token)

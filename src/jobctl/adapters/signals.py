"""Ctrl-C, SIGTERM and a closed terminal as a request: the first asks, the second insists."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Final, Self

__all__ = ["Interruption"]

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """While entered, the first SIGINT, SIGTERM or SIGHUP calls a function and the next raises KeyboardInterrupt.

    An exception out of a signal handler would tear whatever runs at that moment apart: half a line read from a pipe is
    lost. A call does not.

    Args:
        on_first: Called from the signal handler, on the main thread, between two bytecodes.

    Attributes:
        happened: Whether a signal came.
    """

    def __init__(self, on_first: Callable[[], None]) -> None:
        self._on_first = on_first
        self._previous: dict[signal.Signals, Any] = {}
        self.happened = False

    def __enter__(self) -> Self:
        self._previous = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.happened:
            raise KeyboardInterrupt
        self.happened = True
        self._on_first()

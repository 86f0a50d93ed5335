"""What a signal does to a command that runs a load."""

from __future__ import annotations

import signal
from types import FrameType
from typing import NoReturn

__all__ = ["end_at_a_signal", "ignore_signals"]


def end_at_a_signal() -> None:
    """Let SIGTERM and SIGHUP end the command at once, as Ctrl-C does.

    That is before and after a load; while one runs, they ask for a report (:mod:`jobctl.adapters.signals`).
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)


def ignore_signals() -> None:
    """From here on nothing ends the command: what was measured is written down, whoever is in a hurry."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _interrupt(signum: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt

"""The pulse of a worker: it shows the worker and its executions alive, and looks for workers that are not.

A worker shows a pulse many times in the time after which jobs of a dead one are to be at work again, and counts as dead
when it was silent for a part of that time. When Redis or the machine stood still, all were silent and nobody is dead:
so a worker looks for silent ones only after some pulses in a row, in which the others can come back.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from jobctl.adapters.outage import Outage, is_away

__all__ = ["Pulse", "silence_s"]

#: Pulses in the time after which jobs of a dead worker are at work again, and the silence after which it counts as
#: dead, as a part of it. Noticing takes a pulse of either side: 0.6 + 2/15 < 1. If Redis was away meanwhile, 4 pulses
#: in a row come on top, as long as the longest wait for an answer: nobody who waits for one is taken for dead.
_PULSES: Final = 15
_SILENCE: Final = 0.6
_STEADY_PULSES: Final = 4


def silence_s(recover_after_s: float) -> float:
    """Seconds without a pulse after which a worker counts as dead."""
    return recover_after_s * _SILENCE


class Pulse:
    """A thread that beats.

    Args:
        recover_after_s: Within this time jobs of a dead worker are to be at work again, seconds.
        beat: Shows the worker alive.
        sweep: Puts the jobs of workers that fell silent back to work.
        outage: Is told when Redis does not answer.
        log: Takes what else goes wrong.

    Attributes:
        last_s: When the worker last reached Redis, seconds since the epoch; None while it never did.
    """

    def __init__(
        self,
        recover_after_s: float,
        *,
        beat: Callable[[], None],
        sweep: Callable[[], object],
        outage: Outage,
        log: logging.Logger,
    ) -> None:
        self.last_s: float | None = None
        self._interval_s = recover_after_s / _PULSES
        self._beat = beat
        self._sweep = sweep
        self._outage = outage
        self._log = log
        self._stop = threading.Event()

    def start(self) -> None:
        """Beat once, so that it is known that Redis answers, and go on doing so."""
        self._beat()
        self.last_s = time.time()
        self._stop = stop = threading.Event()
        threading.Thread(target=self._run, args=(stop,), name="pulse", daemon=True).start()

    def stop(self) -> None:
        """End the thread soon; it is not waited for."""
        self._stop.set()

    def wait_stopped(self, timeout_s: float) -> None:
        """Wait until it was told to stop, at most that long."""
        self._stop.wait(timeout_s)

    def _run(self, stop: threading.Event) -> None:
        steady, last_s = 0, time.monotonic()
        while not stop.wait(self._interval_s):
            now_s = time.monotonic()
            steady = steady + 1 if now_s - last_s < 2 * self._interval_s + 1.0 else 0
            last_s = now_s
            try:
                self._beat()
                self.last_s = time.time()
                if steady >= _STEADY_PULSES:
                    self._sweep()
            except Exception as error:
                if is_away(error):
                    self._outage.began(error)
                    steady = 0
                else:
                    self._log.exception("no pulse")

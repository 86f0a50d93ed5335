"""Breaks a bench's own parts on a timetable, and mends them again.

A thread of the bench acts at the instants of :func:`jobctl.core.chaos.timetable`, counted from the agreed start, and
keeps what it really did and when. What is still broken when the run is over is mended then, so that workers can take
themselves off the books; only a replica that is dead stays so. It breaks processes that the bench started and
nothing else.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol

from jobctl.adapters.rig import Rig
from jobctl.core.chaos import FaultKind, PlayedFault, TimedFault, timetable
from jobctl.errors import JobctlError, ServiceUnavailable
from jobctl.ports import Clock

__all__ = ["ChaosPlayer", "Sabotage", "Saboteur"]

#: Longest sleep, so that the end of the run is seen soon.
_NAP_S: Final = 0.05
#: How the mock names what strikes every call.
_MOCK_WORDS: Final = {FaultKind.MOCK_OUTAGE: "502", FaultKind.RATE_LIMITED: "429", FaultKind.MOCK_SLOW: "slow"}


class Saboteur(Protocol):
    """Who breaks things."""

    def strike(self, fault: TimedFault) -> str:
        """Begin a fault.

        Returns:
            What was done.

        Raises:
            JobctlError: It could not be done.
        """

    def mend(self, fault: TimedFault) -> str:
        """End it, as far as it began; likewise."""


class Sabotage:
    """Breaks the processes of a bench.

    Args:
        rig: Its workers and its mock.
        redis_pid: Its own Redis; None where that is somebody else's.
    """

    def __init__(self, rig: Rig, redis_pid: int | None) -> None:
        self._rig = rig
        self._redis_pid = redis_pid

    def strike(self, fault: TimedFault) -> str:
        """Begin a fault.

        Raises:
            JobctlError: It could not be done.
        """
        match fault.kind:
            case FaultKind.REPLICA_KILLED:
                return ", ".join(self._rig.kill(number) for number in self._replicas(fault))
            case FaultKind.REPLICA_FROZEN:
                return ", ".join(self._rig.freeze(number) for number in self._replicas(fault))
            case FaultKind.REDIS_STALLED:
                self._signal_redis(signal.SIGSTOP)
                return f"Redis (pid {self._redis_pid}) stopped"
        self._impose(_MOCK_WORDS[fault.kind])
        slow = fault.kind is FaultKind.MOCK_SLOW
        return "mock begins every answer late" if slow else f"mock answers every call {_MOCK_WORDS[fault.kind]}"

    def mend(self, fault: TimedFault) -> str:
        """End a fault, as far as it began.

        Raises:
            JobctlError: It could not be done.
        """
        match fault.kind:
            case FaultKind.REPLICA_KILLED:
                return ", ".join(self._rig.restart(number) for number in self._replicas(fault))
            case FaultKind.REPLICA_FROZEN:
                for number in self._replicas(fault):
                    self._rig.thaw(number)
                return "thawed"
            case FaultKind.REDIS_STALLED:
                self._signal_redis(signal.SIGCONT)
                return "continued"
        self._impose(None)
        return "healed"

    def _replicas(self, fault: TimedFault) -> Sequence[int]:
        return range(1, len(self._rig.workers) + 1) if fault.replica is None else (fault.replica,)

    def _impose(self, word: str | None) -> None:
        if self._rig.mock is None:
            raise JobctlError("there is no mock")
        self._rig.mock.impose(word)

    def _signal_redis(self, number: signal.Signals) -> None:
        if self._redis_pid is None:
            raise JobctlError("Redis is somebody else's")
        try:
            os.kill(self._redis_pid, number)
        except OSError as error:
            raise ServiceUnavailable("Redis", f"cannot be signalled ({error.strerror})", "has it ended?") from error


class ChaosPlayer:
    """Plays a timetable, once.

    Args:
        faults: The timetable, which was checked.
        saboteur: Who breaks things.
        clock: Time.
    """

    def __init__(self, faults: Sequence[TimedFault], saboteur: Saboteur, clock: Clock) -> None:
        self._acts = timetable(faults)
        self._saboteur = saboteur
        self._clock = clock
        self._played: dict[TimedFault, PlayedFault] = {}
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, start_s: float) -> float:
        """Begin in a thread.

        Args:
            start_s: When the schedule begins, seconds since the epoch.

        Returns:
            The same.
        """
        if self._acts:
            self._thread = threading.Thread(target=self.play, args=(start_s,), name="chaos", daemon=True)
            self._thread.start()
        return start_s

    def play(self, start_s: float) -> None:
        """Act on the timetable to its end, or until :meth:`stop`; then mend what is still broken."""
        for at_s, begins, fault in self._acts:
            if not self._wait_until(start_s + at_s):
                break
            (self._break if begins else self._mend)(fault, start_s)
        for fault, played in list(self._played.items()):
            if played.until_s is None and fault.kind is not FaultKind.REPLICA_KILLED:
                self._mend(fault, start_s)

    def stop(self) -> tuple[PlayedFault, ...]:
        """End it, if it has not ended.

        Returns:
            What was done, in order of time.
        """
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        return tuple(self._played.values())

    def _wait_until(self, instant_s: float) -> bool:
        """Wait; False when the run was over before."""
        while not self._over.is_set():
            remaining_s = instant_s - self._clock.now()
            if remaining_s <= 0:
                return True
            self._clock.sleep(min(remaining_s, _NAP_S))
        return False

    def _break(self, fault: TimedFault, start_s: float) -> None:
        at_s = self._clock.now() - start_s
        played = PlayedFault(fault.kind, at_s, None, fault.replica, "not done")
        try:
            self._played[fault] = replace(played, what=self._saboteur.strike(fault))
        except JobctlError as error:
            self._played[fault] = replace(played, problem=str(error))

    def _mend(self, fault: TimedFault, start_s: float) -> None:
        played = self._played[fault]
        try:
            done = self._saboteur.mend(fault)
        except JobctlError as error:
            self._played[fault] = replace(played, problem=played.problem or str(error))
            return
        self._played[fault] = replace(played, until_s=self._clock.now() - start_s, what=f"{played.what}; {done}")

"""Gates before queues: who must let jobs through before they are taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from jobctl.adapters.rq_desk import Begun, Turn

__all__ = ["Gate", "Gates"]


class Gate(Protocol):
    """What must let jobs of a queue through before they are taken from it."""

    def admit(self, wanted: int) -> int:
        """How many may be taken now; those that are not taken are handed back."""

    def hand_back(self, count: int) -> None:
        """So many were not taken after all, or made no call."""

    @property
    def permits(self) -> str:
        """What a job that was let through holds, see ``permits``."""

    @property
    def closed_for_s(self) -> float:
        """Seconds until it is worth asking again."""


class Gates:
    """The gates of a worker's queues. For the one thread that takes jobs, but for :meth:`hand_back`.

    A gate is asked only while jobs wait behind it, so that an empty queue takes nobody's permits.

    Args:
        queues: Names of the worker's queues, most urgent first.
        gates: By the name of a queue.
    """

    def __init__(self, queues: Sequence[str], gates: Mapping[str, Gate]) -> None:
        self._queues = queues
        self._gates = dict(gates)
        self._lengths = dict.fromkeys(self._gates, 1)  # they may hold something until we know better

    @property
    def waiting(self) -> bool:
        """Whether jobs wait at a gate, as far as is known."""
        return any(self._lengths.values())

    def open_queues(self) -> list[str]:
        """Queues in which something new could be begun; not those where jobs wait at a gate."""
        return [name for name in self._queues if not self._lengths.get(name)]

    def closed_for_s(self) -> list[float]:
        """Seconds until gates at which jobs wait may open."""
        return [gate.closed_for_s for name, gate in self._gates.items() if self._lengths[name]]

    def admit(self, wanted: int) -> list[int | None] | None:
        """For each queue how many jobs may be taken now, None for any number; None when there is no gate."""
        if not self._gates or not wanted:
            return None
        return [self._admit(name, wanted) if name in self._gates else None for name in self._queues]

    def _admit(self, name: str, wanted: int) -> int:
        return self._gates[name].admit(wanted) if self._lengths[name] else 0

    def settle(self, turn: Turn, limits: Sequence[int | None] | None) -> None:
        """Hand back what was let through and not taken, and remember whether jobs wait."""
        if limits is None:
            return
        for name, limit, length in zip(self._queues, limits, turn.lengths, strict=True):
            if limit is None:
                continue
            self._lengths[name] = length
            left = limit - sum(begun.place.queue == name for begun in turn.begun)
            if left:
                self._gates[name].hand_back(left)

    def permits_of(self, begun: Begun) -> str:
        """What a job holds for its calls: its queue's permits, else what it kept itself."""
        gate = self._gates.get(begun.place.queue)
        return begun.permits if gate is None else gate.permits

    def hand_back(self, queue: str) -> None:
        """A job of this queue has used nothing of what it was let through with; from any thread."""
        if queue in self._gates:
            self._gates[queue].hand_back(1)

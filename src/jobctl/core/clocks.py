"""How far machines' clocks are apart, told by the one clock that all of them can ask.

A machine sends a question, the server notes its own time, the answer comes back (Cristian 1989, "Probabilistic clock
synchronization"). The server's reading was taken between the two instants, wherever the way took longer. So

    offset = server - (sent + received) / 2,    |error| <= (received - sent) / 2

holds whatever the network does, and of several questions the one with the shortest round trip tells most. The offset of
one machine to another is the difference of their offsets to the server; their uncertainties add.

A difference that the uncertainty explains is taken for none: on one machine it always is, and correcting it would only
put the network's noise into the figures.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ["SAME_CLOCK", "ClockOffset", "ClockReading", "ClockTable", "best_offset", "parse_offset"]


@dataclass(frozen=True, slots=True)
class ClockReading:
    """One question to the server, seconds since the epoch.

    Attributes:
        sent_s: When it was sent, by the clock of who asked.
        server_s: What the server's clock said.
        received_s: When the answer was there, by the clock of who asked.
    """

    sent_s: float
    server_s: float
    received_s: float


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """How far the server's clock is ahead of somebody's.

    Attributes:
        offset_s: Seconds to add to that clock's instants to have the server's.
        uncertainty_s: By how much that may be wrong, either way.
    """

    offset_s: float
    uncertainty_s: float

    def shift_to(self, other: ClockOffset) -> float:
        """Seconds to add to instants of this clock to have those of another; 0 where the uncertainty explains them."""
        shift_s = self.offset_s - other.offset_s
        return shift_s if abs(shift_s) > self.uncertainty_s + other.uncertainty_s else 0.0

    def __str__(self) -> str:
        return f"{self.offset_s!r} {self.uncertainty_s!r}"


#: Instants are told in microseconds; and a start may be noted a moment before its arrival is, by two processes.
_ROUNDING_S: Final = 1e-3
#: Clocks that are kept in step drift by less during a run.
_MOVED_S: Final = 0.01
#: A clock that is the server's.
SAME_CLOCK: Final = ClockOffset(0.0, 0.0)


def best_offset(readings: Iterable[ClockReading]) -> ClockOffset | None:
    """What some readings tell together: that of the shortest round trip.

    Returns:
        The offset; None when there is no reading but such in which the clock stepped back.
    """
    usable = [reading for reading in readings if reading.received_s >= reading.sent_s]
    if not usable:
        return None
    best = min(usable, key=lambda reading: reading.received_s - reading.sent_s)
    half_s = (best.received_s - best.sent_s) / 2
    return ClockOffset(best.server_s - (best.sent_s + half_s), half_s)


def parse_offset(text: str) -> ClockOffset | None:
    """Read what ``str()`` of an offset wrote; None for anything else."""
    try:
        offset_s, uncertainty_s = map(float, text.split())
    except ValueError:
        return None
    sensible = math.isfinite(offset_s) and math.isfinite(uncertainty_s) and uncertainty_s >= 0
    return ClockOffset(offset_s, uncertainty_s) if sensible else None


class ClockTable:
    """The clocks of some machines beside one's own, as each was last told.

    A clock that nobody told of is taken for one's own: what else could be done with its instants?
    """

    def __init__(self) -> None:
        self._own: list[ClockOffset] = []
        self._others: dict[str, list[ClockOffset]] = {}

    @property
    def own(self) -> ClockOffset | None:
        """One's own clock, as last told."""
        return self._own[-1] if self._own else None

    def note_own(self, offset: ClockOffset) -> None:
        """Note how far the server's clock is ahead of one's own."""
        self._own = [*self._own[:1], offset]

    def note(self, name: str, offset: ClockOffset) -> None:
        """Note how far it is ahead of somebody's."""
        self._others[name] = [*self._others.get(name, [])[:1], offset]

    def is_known(self, name: str | None) -> bool:
        """Whether that clock can be compared with one's own."""
        return bool(self._own) and name in self._others

    def shift_s(self, name: str | None) -> float:
        """Seconds to add to instants of that clock to have one's own."""
        return self._others[name][-1].shift_to(self._own[-1]) if name is not None and self.is_known(name) else 0.0

    def tolerance_s(self, name: str | None) -> float:
        """By how much an instant of that clock may be wrong once it is shifted."""
        if name is None or not self.is_known(name):
            return _ROUNDING_S
        return self._others[name][-1].uncertainty_s + self._own[-1].uncertainty_s + _ROUNDING_S

    def moved(self) -> list[tuple[str | None, float]]:
        """Clocks that moved against the server's since they were first told, with the seconds; one's own is None."""
        told: list[tuple[str | None, list[ClockOffset]]] = [(None, self._own), *self._others.items()]
        changes = [(name, offsets[0], offsets[-1]) for name, offsets in told if offsets]
        return [
            (name, last.offset_s - first.offset_s)
            for name, first, last in changes
            if abs(last.offset_s - first.offset_s) > first.uncertainty_s + last.uncertainty_s + _MOVED_S
        ]

"""Who generates a load: one process, several of them, or processes on other machines.

A load that is shared out stays one load: generator i of n sends the arrivals at positions i, i + n, i + 2n, ... of the
one schedule that all of them compute from the same seed. So each has its share of every stretch of time and of every
type of job, and what all send together is what one would have sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["ALONE", "MASTER_PORT", "WHOLE", "Crew", "GeneratorUse", "Shard"]

#: Where generators of other machines find the master; Locust's own.
MASTER_PORT: Final = 5557


@dataclass(frozen=True, slots=True)
class Shard:
    """A generator's part of the schedule.

    Attributes:
        index: Its first position.
        count: From one of its positions to the next; how many generators there are.
    """

    index: int
    count: int

    def position(self, place: int) -> int:
        """Where the shard's arrival at this place stands in the whole schedule."""
        return self.index + place * self.count

    def place(self, position: int) -> int | None:
        """The other way round; None for an arrival of another shard."""
        return position // self.count if position % self.count == self.index else None


#: The part of a generator that is alone.
WHOLE: Final = Shard(0, 1)


@dataclass(frozen=True, slots=True)
class Crew:
    """The generators of a bench.

    Attributes:
        processes: Those that are started here; one of them alone needs no master.
        joining: Those that join from elsewhere.
        host: Where the master listens.
        port: Its port; None for any free one.
    """

    processes: int = 1
    joining: int = 0
    host: str = "127.0.0.1"
    port: int | None = None

    @property
    def size(self) -> int:
        """Generators in all."""
        return self.processes + self.joining

    @property
    def has_master(self) -> bool:
        """Whether a master leads them: it shares out the load and sends nothing itself."""
        return self.joining > 0 or self.processes > 1


#: A single generator.
ALONE: Final = Crew()


@dataclass(frozen=True, slots=True)
class GeneratorUse:
    """What generating a load took.

    Attributes:
        processes: Generators.
        sent: Jobs they sent.
        cpu_s: CPU seconds they used while they sent, following the jobs included; None where nobody measured it.
    """

    processes: int
    sent: int
    cpu_s: float | None

    @property
    def cpu_s_per_job(self) -> float | None:
        """CPU seconds for each job; None where it is not known."""
        return self.cpu_s / self.sent if self.cpu_s is not None and self.sent else None

"""What a load generator must know of a run: one value, handed to its process as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any

from jobctl.core.arrivals import Arrivals, Stage, make_schedule, parse_arrivals
from jobctl.core.mixes import type_at
from jobctl.core.workload import Payload, Workload

__all__ = ["LoadSpec"]


@dataclass(frozen=True, slots=True)
class LoadSpec:
    """One run's load.

    Attributes:
        run_id: Prefix of the job ids; letters and digits.
        arrivals: How gaps between arrivals vary; of a replay, how its own do.
        stages: The rate over time; of a replay, what its instants mean.
        seed: Seed of the schedule and of drawn service times.
        warmup_s: Length of the schedule's first part that is not judged.
        workloads: What is enqueued: one type of job, or a mix whose shares sum to 1.
        queue: The RQ queue of the types that name none.
        job_timeout_s: How long RQ lets a job run.
        drain_s: How long to wait for the last job after the schedule ended.
        instants: Of a replay, when each job arrives, seconds from the start, ascending; None where arrivals are made.
        live: Whether jobs are told as they end, because somebody judges the run as it goes on.
    """

    run_id: str
    arrivals: Arrivals
    stages: tuple[Stage, ...]
    seed: int
    warmup_s: float
    workloads: tuple[Workload, ...]
    queue: str
    job_timeout_s: int
    drain_s: float
    instants: tuple[float, ...] | None = None
    live: bool = False

    @property
    def duration_s(self) -> float:
        """Length of the schedule, warm-up included."""
        return math.fsum(stage.duration_s for stage in self.stages)

    @property
    def queues(self) -> tuple[str, ...]:
        """The queues of all types, the most urgent first: in the order in which the types name them."""
        return tuple(dict.fromkeys(self.queue_of(workload) for workload in self.workloads))

    def queue_of(self, workload: Workload) -> str:
        """The queue that jobs of this type go to."""
        return self.queue if workload.queue is None else workload.queue

    def workload_at(self, position: int) -> Workload:
        """The type of the job at this position of the schedule, in every process the same."""
        return self.workloads[type_at(self._shares, self.seed, position)]

    def jobs(self) -> Iterator[tuple[Workload, Payload]]:
        """The type and the arguments of one job after the other, from position 0 on, without end."""
        shares = self._shares
        arguments = [workload.arguments(self.seed) for workload in self.workloads]
        for position in count():
            nth = type_at(shares, self.seed, position)
            yield self.workloads[nth], next(arguments[nth])

    def schedule(self) -> list[float]:
        """Intended arrivals in seconds from the start."""
        if self.instants is not None:
            return list(self.instants)
        return list(make_schedule(self.arrivals, self.stages, self.seed))

    def job_id(self, position: int) -> str:
        """The id of the job at this position of the schedule."""
        return f"{self.run_id}-{position}"

    def position(self, job_id: str) -> int | None:
        """The position a job id stands for; None for jobs of others."""
        prefix, _, number = job_id.rpartition("-")
        return int(number) if prefix == self.run_id and number.isdigit() else None

    @property
    def _shares(self) -> list[float]:
        return [workload.share for workload in self.workloads]

    def to_json(self) -> str:
        """The value as JSON."""
        return json.dumps({**asdict(self), "arrivals": str(self.arrivals)})

    @classmethod
    def from_json(cls, text: str) -> LoadSpec:
        """Read what :meth:`to_json` wrote."""
        fields = json.loads(text)
        fields["arrivals"] = parse_arrivals(fields["arrivals"])
        fields["stages"] = tuple(Stage(**stage) for stage in fields["stages"])
        fields["instants"] = None if fields["instants"] is None else tuple(fields["instants"])
        fields["workloads"] = tuple(map(_workload, fields["workloads"]))
        return cls(**fields)


def _workload(fields: dict[str, Any]) -> Workload:
    payloads = tuple((tuple(args), kwargs) for args, kwargs in fields["payloads"])
    return Workload(**{**fields, "payloads": payloads})

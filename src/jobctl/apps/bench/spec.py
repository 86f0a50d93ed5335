"""What a load generator must know of a run: one value, handed to its process as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass

from jobctl.core.arrivals import Arrivals, Stage, make_schedule, parse_arrivals
from jobctl.core.workload import Workload

__all__ = ["LoadSpec"]


@dataclass(frozen=True, slots=True)
class LoadSpec:
    """One run's load.

    Attributes:
        run_id: Prefix of the job ids; letters and digits.
        arrivals: How gaps between arrivals vary.
        stages: The rate over time.
        seed: Seed of the schedule and of drawn service times.
        warmup_s: Length of the schedule's first part that is not judged.
        workload: What is enqueued.
        queue: The RQ queue.
        job_timeout_s: How long RQ lets a job run.
        drain_s: How long to wait for the last job after the schedule ended.
    """

    run_id: str
    arrivals: Arrivals
    stages: tuple[Stage, ...]
    seed: int
    warmup_s: float
    workload: Workload
    queue: str
    job_timeout_s: int
    drain_s: float

    @property
    def duration_s(self) -> float:
        """Length of the schedule, warm-up included."""
        return math.fsum(stage.duration_s for stage in self.stages)

    def schedule(self) -> list[float]:
        """Intended arrivals in seconds from the start."""
        return list(make_schedule(self.arrivals, self.stages, self.seed))

    def job_id(self, position: int) -> str:
        """The id of the job at this position of the schedule."""
        return f"{self.run_id}-{position}"

    def position(self, job_id: str) -> int | None:
        """The position a job id stands for; None for jobs of others."""
        prefix, _, number = job_id.rpartition("-")
        return int(number) if prefix == self.run_id and number.isdigit() else None

    def to_json(self) -> str:
        """The value as JSON."""
        return json.dumps({**asdict(self), "arrivals": str(self.arrivals)})

    @classmethod
    def from_json(cls, text: str) -> LoadSpec:
        """Read what :meth:`to_json` wrote."""
        fields = json.loads(text)
        fields["arrivals"] = parse_arrivals(fields["arrivals"])
        fields["stages"] = tuple(Stage(**stage) for stage in fields["stages"])
        workload = fields["workload"]
        payloads = tuple((tuple(args), kwargs) for args, kwargs in workload["payloads"])
        fields["workload"] = Workload(**{**workload, "payloads": payloads})
        return cls(**fields)

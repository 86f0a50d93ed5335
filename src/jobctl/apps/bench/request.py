"""What a bench was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jobctl.core.arrivals import Arrivals
from jobctl.core.chaos import TimedFault
from jobctl.core.crew import ALONE, Crew
from jobctl.core.gates import Gate
from jobctl.core.mixes import NamedShare
from jobctl.core.shapes import WantedShape

__all__ = ["BenchRequest"]


@dataclass(frozen=True, slots=True)
class BenchRequest:
    """What the command line asked for; None means "not given"."""

    per_day: float | None = None
    rate: float | None = None
    scenario: str | None = None
    shape: WantedShape | None = None
    peak_factor: float | None = None
    time_scale: float | None = None
    service_rule: str | None = None
    duration_s: float | None = None
    warmup_s: float | None = None
    arrivals: Arrivals | None = None
    seed: int = 1
    job: str | None = None
    job_types: tuple[NamedShare, ...] = ()
    args_from: str | None = None
    service_law: str | None = None
    failure_rate: float = 0.0
    drain_s: float = 60.0
    job_timeout_s: float = 180.0
    max_schedule_lag_s: float = 0.05
    replicas: int | None = None
    no_workers: bool = False
    queue: str | None = None
    latency: str | None = None
    serve_model: tuple[str, ...] = ()
    fault: tuple[str, ...] = ()
    rpm: int | None = None
    tpm: int | None = None
    openrouter_url: str | None = None
    chaos: tuple[TimedFault, ...] | None = None
    locustfile: Path | None = None
    gates: tuple[Gate, ...] = ()
    gates_file: str | None = None
    crew: Crew = ALONE

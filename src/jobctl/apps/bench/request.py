"""What a bench was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jobctl.core.arrivals import Arrivals

__all__ = ["BenchRequest"]


@dataclass(frozen=True, slots=True)
class BenchRequest:
    """What the command line asked for; None means "not given"."""

    per_day: float | None
    rate: float | None
    scenario: str | None
    duration_s: float | None
    warmup_s: float | None
    arrivals: Arrivals | None
    seed: int
    job: str | None
    args_from: str | None
    service_time_s: float | None
    drain_s: float
    job_timeout_s: float
    max_schedule_lag_s: float
    replicas: int | None
    no_workers: bool
    queue: str | None
    latency: str | None
    fault: tuple[str, ...]
    rpm: int | None
    tpm: int | None
    openrouter_url: str | None
    locustfile: Path | None

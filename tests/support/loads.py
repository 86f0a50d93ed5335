"""Loads and fleets for the bench's tests, in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jobctl.adapters.memory import MemoryFleet, VirtualClock
from jobctl.apps.bench.driver import BenchConfig
from jobctl.apps.bench.session import LoadSession
from jobctl.apps.bench.spec import LoadSpec
from jobctl.core.arrivals import CONSTANT, Stage
from jobctl.core.workload import make_workload
from jobctl.errors import JobctlError
from jobctl.ports import JobRequest

START_S = 1_000_000.0


def make_spec(**changes: Any) -> LoadSpec:
    fields: dict[str, Any] = {
        "run_id": "run",
        "arrivals": CONSTANT,
        "stages": (Stage.steady(10.0, 10.0),),
        "seed": 1,
        "warmup_s": 1.0,
        "workloads": (make_workload("sleep", service_law="constant:0.5s"),),
        "queue": "q",
        "job_timeout_s": 60,
        "drain_s": 30.0,
    }
    return LoadSpec(**{**fields, **changes})


def make_config(spec: LoadSpec, **changes: Any) -> BenchConfig:
    fields: dict[str, Any] = {
        "spec": spec,
        "rate_per_s": 10.0,
        "replicas": 2,
        "concurrency": 25,
        "scenario": None,
        "injected_share": 0.0,
        "max_schedule_lag_s": 0.05,
    }
    return BenchConfig(**{**fields, **changes})


def asked_seconds(request: JobRequest) -> float:
    """What a ``sleep`` job asks for."""
    return float(request.args[0])


class Load:
    """A load run in this process and in virtual time, behind the port of one in a process of its own."""

    def __init__(
        self,
        spec: LoadSpec,
        *,
        stop_after_s: float | None = None,
        on_slept: Callable[[float, MemoryFleet], None] = lambda now_s, fleet: None,
        **fleet: Any,
    ) -> None:
        self.clock = _Clock(self)
        self.fleet = MemoryFleet(self.clock, **{"slots": 50, "service_s": asked_seconds, **fleet})
        self.sent: list[Any] = []
        self.ended: list[tuple[float, bool]] = []
        self._said: list[Mapping[str, Any]] = []
        self._on_slept = on_slept
        self._stop_after_s = stop_after_s
        self.session = LoadSession(
            spec,
            self.fleet,
            self.fleet,
            self.clock,
            self._said.append,
            self.sent.append,
            lambda job_type, sojourn_s, failed: self.ended.append((sojourn_s, failed)),
        )

    def slept(self, now_s: float) -> None:
        self._on_slept(now_s - START_S, self.fleet)
        if self._stop_after_s is not None and now_s - START_S >= self._stop_after_s:
            self.session.stop()

    def events(self) -> Iterator[Mapping[str, Any]]:
        yield {"event": "ready"}
        self.session.fire(START_S)
        self.session.watch()
        self.session.count(self._statistics)
        yield from self._said

    def _statistics(self) -> list[dict[str, Any]]:
        failures = sum(failed for _, failed in self.ended)
        return [{"type": "sojourn", "name": "sleep", "requests": len(self.ended), "failures": failures}]

    def interrupt(self) -> None:
        self.session.stop()

    def failure(self) -> JobctlError:
        return JobctlError("the load ended early")


class _Clock(VirtualClock):
    def __init__(self, load: Load) -> None:
        super().__init__(START_S)
        self._load = load

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self._load.slept(self.now())

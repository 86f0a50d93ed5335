"""Cases for the alerts on workers, the exporter and the watch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from jobctl.apps.monitoring.rule_cases import SECOND, Case, Firing, both, case, exporter, worker
from jobctl.core.operations import Operations

__all__ = ["worker_cases"]

_STARTED: Final = "process_start_time_seconds"


def worker_cases(operations: Operations) -> Iterator[Case]:
    """All of them."""
    yield from _down()
    yield from _loop()
    yield from _planned(operations)
    yield from _stuck()
    yield from _exporter()
    yield case("JobctlWatchdog", "nothing happens", minutes=5, tells=Firing())


def _down() -> Iterator[Case]:
    alert = "JobctlFleetDown"
    gone = {**worker("up", "1x4 stale"), **worker("up", "1x4 stale", instance=SECOND)}
    yield case(alert, "no worker answers", both("up", "1x4 0x60"), minutes=8, tells=Firing())
    yield case(alert, "none is found any more", gone, exporter("up", "1x60"), minutes=8, tells=Firing())
    yield case(alert, "none answers, then none is found", both("up", "1x4 0 0 stale"), minutes=8, tells=Firing())
    yield case(alert, "one of two answers", both("up", "1x60"), worker("up", "1x4 0x60"), minutes=8)
    yield case(alert, "none has answered for a minute", both("up", "1x6 0x60"), minutes=8)


def _loop() -> Iterator[Case]:
    alert = "JobctlCrashLoop"
    moved = {
        **worker("up", "1x60"),
        **{
            name: series
            for start in range(3)
            for name, series in worker(
                _STARTED, f"_x{20 + 3 * start} {1000 * start}x2 stale", instance=f"10.0.1.{start}:9100"
            ).items()
        },
    }
    yield case(
        alert,
        "one of two workers starts three times",
        both("up", "1x60"),
        both(_STARTED, "1000x60"),
        worker(_STARTED, "1000x20 1300x2 1500x2 1700x40"),
        minutes=30,
        tells=Firing(),
    )
    yield case(alert, "a single worker starts three times, each time elsewhere", moved, minutes=30, tells=Firing())
    yield case(
        alert, "a worker starts twice", both("up", "1x60"), worker(_STARTED, "1000x20 1300x2 1500x40"), minutes=30
    )
    yield case(
        alert,
        "a worker starts three times, once long ago",
        both("up", "1x60"),
        worker(_STARTED, "1000x8 1300x12 1500x2 1700x40"),
        minutes=30,
    )
    yield case(
        alert,
        "three of four workers are taken away",
        worker("up", "1x60"),
        worker(_STARTED, "1000x60"),
        *(worker(_STARTED, "1000x20 stale", instance=f"10.0.1.{number}:9100") for number in range(3)),
        minutes=30,
    )
    yield case(
        alert,
        "six workers come to the help of two, and go again",
        both("up", "1x60"),
        both(_STARTED, "1000x60"),
        *(
            worker(metric, f"_x20 {value}x5 stale", instance=f"10.0.1.{start}:9100")
            for start in range(6)
            for metric, value in (("up", 1), (_STARTED, 1200))
        ),
        minutes=30,
    )
    yield case(
        alert,
        "a deploy puts two workers in the place of two",
        both("up", "1x20 stale"),
        both(_STARTED, "1000x20 stale"),
        *(
            worker(metric, f"_x20 {value}x40", instance=f"10.0.1.{start}:9100")
            for start in range(2)
            for metric, value in (("up", 1), (_STARTED, 2000))
        ),
        minutes=30,
    )


def _planned(operations: Operations) -> Iterator[Case]:
    alert, planned = "JobctlWorkersBelowPlan", operations.fleet.replicas
    plan, here = exporter("jobctl_planned_replicas", "5x60"), "jobctl_workers"
    yield case(alert, "one is missing", plan, exporter(here, "5x4 4x60"), minutes=16, tells=Firing(says=("4", "5")))
    yield case(
        alert,
        "one is missing by the plan of slo.toml",
        exporter(here, f"{planned - 1}x60"),
        minutes=16,
        tells=Firing(says=(str(planned - 1), str(planned))),
    )
    answer = {name: "1x60" for number in range(5) for name in worker("up", "", instance=f"10.0.0.{number}:9100")}
    mute = worker("up", "1x4 0x60", instance="10.0.0.4:9100")
    yield case(alert, "one has a heartbeat, and does not answer", plan, exporter(here, "5x60"), answer, mute,
               minutes=16, tells=Firing(says=("4", "5")))  # fmt: skip
    yield case(alert, "all are here", plan, exporter(here, "5x60"), answer, minutes=16)
    yield case(alert, "one has been missing for some minutes", plan, exporter(here, "5x8 4x60"), answer, minutes=16)


def _stuck() -> Iterator[Case]:
    alert, metric = "JobctlSlotsStuck", "jobctl_slots_stuck"
    told = Firing({"instance": SECOND}, ("2", SECOND))
    second = worker(metric, "0x4 2x60", instance=SECOND)
    yield case(alert, "two slots do not come back", both(metric, "0x60"), second, minutes=16, tells=told)
    yield case(alert, "no slot is stuck", both(metric, "0x60"), minutes=16)
    yield case(alert, "a slot is stuck since some minutes", both(metric, "0x8 1x60"), minutes=16)


def _exporter() -> Iterator[Case]:
    alert, metric = "JobctlExporterAbsent", "jobctl_exporter_elected"
    standing_by = both(metric, "0x60")
    yield case(alert, "nobody was elected", standing_by, minutes=10, tells=Firing(says=("0",)))
    yield case(alert, "nobody could be", minutes=10, tells=Firing(says=("0",)))
    yield case(
        alert, "two tell of the fleet", standing_by, exporter(metric, "1x60"), worker(metric, "1x60"), minutes=10,
        tells=Firing(says=("2",)),
    )  # fmt: skip
    yield case(alert, "the exporter tells of the fleet", standing_by, exporter(metric, "1x60"), minutes=10)
    yield case(
        alert, "a worker is about to take over", exporter(metric, "1x4 stale"), worker(metric, "0x60"), minutes=8
    )

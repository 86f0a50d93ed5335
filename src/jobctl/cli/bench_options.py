"""The options of ``jobctl bench`` alone: the load it offers, the system under it, what must hold."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer

from jobctl.cli.options import LOAD, duration_option, parser, setting, whole_option
from jobctl.core.chaos import TimedFault, parse_chaos
from jobctl.core.gates import Gate, parse_gate
from jobctl.core.mixes import NamedShare, parse_named_share
from jobctl.core.shapes import BENCH_SHAPES, WantedShape, parse_peak_factor, parse_wanted_shape, read_service_rule
from jobctl.core.units import parse_fraction, parse_positive

__all__ = [
    "Chaos",
    "Drain",
    "Duration",
    "FailureRate",
    "Faults",
    "Gates",
    "GatesFile",
    "JobTypes",
    "Latency",
    "Locustfile",
    "MaxScheduleLag",
    "MockRpm",
    "MockTpm",
    "NoWorkers",
    "PeakFactor",
    "QueueName",
    "Records",
    "Replicas",
    "ScenarioName",
    "ServeModel",
    "ServiceRule",
    "Shape",
    "TimeScale",
    "Upstream",
    "Warmup",
]

#: Workers of one machine; each is a process of its own.
_MOST_REPLICAS: Final = 100
_SYSTEM: Final = "System under load"
_GATES: Final = "Gates"

ScenarioName = Annotated[
    str | None,
    typer.Option("--scenario", metavar="NAME", help="A scenario by name or .toml file.", rich_help_panel=LOAD),
]
Shape = Annotated[
    WantedShape | None,
    typer.Option(
        "--shape",
        parser=parser(partial(parse_wanted_shape, known=BENCH_SHAPES)),
        metavar="SHAPE",
        help="How the rate runs: steady, ramp, steps, spike, soak, diurnal, a FILE of times and relative rates, "
        "or replay:FILE of real arrivals [default: steady].",
        rich_help_panel=LOAD,
    ),
]
PeakFactor = Annotated[
    float | None,
    typer.Option(
        "--peak-factor",
        parser=parser(parse_peak_factor),
        metavar="F",
        help="How many times the rate a spike is [default: 10], or the peak of a diurnal day is [default: 2].",
        rich_help_panel=LOAD,
    ),
]
TimeScale = Annotated[
    float | None,
    typer.Option(
        "--time-scale",
        parser=parser(parse_positive),
        metavar="K",
        help="Run a day or a replay K times as fast [default: the day fits the duration].",
        rich_help_panel=LOAD,
    ),
]
ServiceRule = Annotated[
    str | None,
    typer.Option(
        "--service-rule",
        parser=parser(read_service_rule),
        metavar="RULE",
        help='Service seconds from columns of the replay, such as "1.0 + 0.05 * generated_tokens".',
        rich_help_panel=LOAD,
    ),
]
Duration = Annotated[
    float | None,
    duration_option("--duration", "Length of the schedule, warm-up included [default: 30s, or by its shape].", LOAD),
]
Warmup = Annotated[
    float | None,
    duration_option(
        "--warmup", "Its first part that is not judged [default: a tenth, at most 30s].", LOAD, positive=False
    ),
]
JobTypes = Annotated[
    list[NamedShare] | None,
    typer.Option(
        "--job-type",
        parser=parser(parse_named_share),
        metavar='"NAME SHARE LAW"',
        help='One type of a mix of sleep jobs, such as "summary 0.3 exponential:8s"; repeatable, the shares sum to 1.',
        rich_help_panel=LOAD,
    ),
]
FailureRate = Annotated[
    float,
    typer.Option(
        "--failure-rate",
        parser=parser(parse_fraction),
        metavar="P",
        help="Probability that an attempt of a sleep job fails [default: 0].",
        rich_help_panel=LOAD,
        show_default=False,
    ),
]
Drain = Annotated[
    float, duration_option("--drain", "How long to wait for the last job [default: 60s].", LOAD, positive=False)
]
MaxScheduleLag = Annotated[
    float,
    duration_option(
        "--max-schedule-lag", "Lateness of the generator (p99) that makes a run inconclusive [default: 50ms].", LOAD
    ),
]
Records = Annotated[
    str | None,
    typer.Option("--records", metavar="FILE", help="Write one row per job to FILE, as CSV.", rich_help_panel=LOAD),
]

Replicas = Annotated[
    int | None, whole_option("--replicas", "Workers to start [default: 2].", _SYSTEM, maximum=_MOST_REPLICAS)
]
NoWorkers = Annotated[
    bool, typer.Option("--no-workers", help="Start none: yours listen to --queue.", rich_help_panel=_SYSTEM)
]
QueueName = Annotated[
    str | None,
    typer.Option(
        "--queue",
        metavar="NAME",
        help="Queue to use [default: one of its own; 'default' with --no-workers].",
        rich_help_panel=_SYSTEM,
    ),
]
Upstream = Annotated[
    str | None,
    setting("openrouter_url", "URL", "Call this API instead of a mock; it may cost money.", default="the mock"),
]
Latency = Annotated[
    str | None,
    typer.Option(
        "--latency", metavar="LAW", help="Latency law of the mock, as in `jobctl mock`.", rich_help_panel=_SYSTEM
    ),
]
ServeModel = Annotated[
    list[str] | None,
    typer.Option(
        "--serve-model",
        metavar="AUTHOR/SLUG",
        help="Another model for the mock to serve, as in `jobctl mock`; repeatable.",
        rich_help_panel=_SYSTEM,
    ),
]
Faults = Annotated[
    list[str] | None,
    typer.Option(
        "--fault",
        metavar="KIND=P",
        help="Fault of the mock, as in `jobctl mock`; repeatable.",
        rich_help_panel=_SYSTEM,
    ),
]
Chaos = Annotated[
    list[TimedFault] | None,
    typer.Option(
        "--chaos",
        parser=parser(parse_chaos),
        metavar="FAULT@AT+FOR",
        help="Break something on a timetable, such as replica_killed:2@30s, replica_frozen:all@10s+5s, "
        "mock_outage@20s+20s, rate_limited, mock_slow, redis_stalled; repeatable. 'none' for no fault.",
        rich_help_panel=_SYSTEM,
    ),
]
MockRpm = Annotated[int | None, whole_option("--rpm", "Requests a minute that the mock admits.", _SYSTEM)]
MockTpm = Annotated[int | None, whole_option("--tpm", "Tokens a minute that the mock admits.", _SYSTEM)]
Locustfile = Annotated[
    Path | None,
    typer.Option("--locustfile", metavar="FILE", help="Run another locustfile.", rich_help_panel=_SYSTEM),
]

Gates = Annotated[
    list[Gate] | None,
    typer.Option(
        "--gate",
        parser=parser(parse_gate),
        metavar="CHECK",
        help='What must hold, such as "wait.p95 < 1s", "error_rate <= 1%" or "backlog.max < 500 over 30s"; repeatable.',
        rich_help_panel=_GATES,
    ),
]
GatesFile = Annotated[
    str | None, typer.Option("--gates", metavar="FILE", help="Gates from a TOML file.", rich_help_panel=_GATES)
]

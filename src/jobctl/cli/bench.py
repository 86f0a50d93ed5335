"""``jobctl bench``: open-loop load through real Redis and real workers, and a verdict."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer

from jobctl import settings
from jobctl.apps.bench.request import BenchRequest
from jobctl.cli.bench_baseline import BaselineName, Comparing, Rounds, check_comparing, comparison_status, severest
from jobctl.cli.compare_options import AbsoluteFloor, ErrorFloor, RelativeFloor
from jobctl.cli.exit_status import ExitStatus
from jobctl.cli.find_max import FindMax, MaxRate, MaxSlo, MaxWidth, Searching, Within, check_search, run_search
from jobctl.cli.generators import (
    ExpectWorkers,
    Generators,
    Joins,
    Leads,
    MasterHost,
    MasterPort,
    Processes,
    check_alone,
    crew_of,
    run_generator,
)
from jobctl.cli.json_output import write_document
from jobctl.cli.options import (
    LOAD,
    ArgsFrom,
    ArrivalProcess,
    Attempts,
    Concurrency,
    Job,
    JobTimeout,
    Json,
    LawOfService,
    OpenRouterRpm,
    PerDay,
    Rate,
    RedisUrl,
    RetryBase,
    RetryCap,
    Seed,
    check_writable,
    duration_option,
    parser,
    setting,
)
from jobctl.cli.report_options import Csv, Html, Junit, Markdown, OpenMetrics, check_targets, targets_of
from jobctl.core.chaos import TimedFault, parse_chaos
from jobctl.core.gates import Gate, parse_gate
from jobctl.core.mixes import NamedShare, parse_named_share
from jobctl.core.shapes import BENCH_SHAPES, WantedShape, parse_peak_factor, parse_wanted_shape, read_service_rule
from jobctl.core.slo import Verdict
from jobctl.core.units import parse_fraction, parse_positive, parse_whole
from jobctl.errors import InvalidOption

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

    from jobctl.apps.bench.driver import BenchResult
    from jobctl.apps.report.forms import Form

__all__ = ["bench"]

#: Workers of one machine; each is a process of its own.
_MOST_REPLICAS: Final = 100
_SYSTEM: Final = "System under load"
_GATES: Final = "Gates"
_STATUS: Final = {
    Verdict.KEPT: ExitStatus.PASS,
    Verdict.BROKEN: ExitStatus.BROKEN,
    Verdict.INCONCLUSIVE: ExitStatus.INCONCLUSIVE,
}


def _whole(flag: str, text: str, panel: str, maximum: int | None = None) -> Any:
    return typer.Option(
        flag,
        parser=parser(partial(parse_whole, minimum=1, maximum=maximum)),
        metavar="N",
        help=text,
        rich_help_panel=panel,
    )


def bench(
    per_day: PerDay = None,
    rate: Rate = None,
    scenario: Annotated[
        str | None,
        typer.Option("--scenario", metavar="NAME", help="A scenario by name or .toml file.", rich_help_panel=LOAD),
    ] = None,
    shape: Annotated[
        WantedShape | None,
        typer.Option(
            "--shape",
            parser=parser(partial(parse_wanted_shape, known=BENCH_SHAPES)),
            metavar="SHAPE",
            help="How the rate runs: steady, ramp, steps, spike, soak, diurnal, a FILE of times and relative rates, "
            "or replay:FILE of real arrivals [default: steady].",
            rich_help_panel=LOAD,
        ),
    ] = None,
    peak_factor: Annotated[
        float | None,
        typer.Option(
            "--peak-factor",
            parser=parser(parse_peak_factor),
            metavar="F",
            help="How many times the rate a spike is [default: 10], or the peak of a diurnal day is [default: 2].",
            rich_help_panel=LOAD,
        ),
    ] = None,
    time_scale: Annotated[
        float | None,
        typer.Option(
            "--time-scale",
            parser=parser(parse_positive),
            metavar="K",
            help="Run a day or a replay K times as fast [default: the day fits the duration].",
            rich_help_panel=LOAD,
        ),
    ] = None,
    service_rule: Annotated[
        str | None,
        typer.Option(
            "--service-rule",
            parser=parser(read_service_rule),
            metavar="RULE",
            help='Service seconds from columns of the replay, such as "1.0 + 0.05 * generated_tokens".',
            rich_help_panel=LOAD,
        ),
    ] = None,
    duration: Annotated[
        float | None,
        duration_option(
            "--duration", "Length of the schedule, warm-up included [default: 30s, or by its shape].", LOAD
        ),
    ] = None,
    warmup: Annotated[
        float | None,
        duration_option(
            "--warmup", "Its first part that is not judged [default: a tenth, at most 30s].", LOAD, positive=False
        ),
    ] = None,
    arrivals: ArrivalProcess = None,
    seed: Seed = 1,
    job: Job = None,
    job_type: Annotated[
        list[NamedShare] | None,
        typer.Option(
            "--job-type",
            parser=parser(parse_named_share),
            metavar='"NAME SHARE LAW"',
            help='One type of a mix of sleep jobs, such as "summary 0.3 exponential:8s"; repeatable, the shares '
            "sum to 1.",
            rich_help_panel=LOAD,
        ),
    ] = None,
    args_from: ArgsFrom = None,
    service_time: LawOfService = None,
    failure_rate: Annotated[
        float,
        typer.Option(
            "--failure-rate",
            parser=parser(parse_fraction),
            metavar="P",
            help="Probability that an attempt of a sleep job fails [default: 0].",
            rich_help_panel=LOAD,
            show_default=False,
        ),
    ] = 0.0,
    job_timeout: JobTimeout = 180.0,
    drain: Annotated[
        float, duration_option("--drain", "How long to wait for the last job [default: 60s].", LOAD, positive=False)
    ] = 60.0,
    max_schedule_lag: Annotated[
        float,
        duration_option(
            "--max-schedule-lag", "Lateness of the generator (p99) that makes a run inconclusive [default: 50ms].", LOAD
        ),
    ] = 0.05,
    redis_url: RedisUrl = None,
    replicas: Annotated[
        int | None, _whole("--replicas", "Workers to start [default: 2].", _SYSTEM, _MOST_REPLICAS)
    ] = None,
    concurrency: Concurrency = None,
    no_workers: Annotated[
        bool, typer.Option("--no-workers", help="Start none: yours listen to --queue.", rich_help_panel=_SYSTEM)
    ] = False,
    queue: Annotated[
        str | None,
        typer.Option(
            "--queue",
            metavar="NAME",
            help="Queue to use [default: one of its own; 'default' with --no-workers].",
            rich_help_panel=_SYSTEM,
        ),
    ] = None,
    openrouter_url: Annotated[
        str | None,
        setting("openrouter_url", "URL", "Call this API instead of a mock; it may cost money.", default="the mock"),
    ] = None,
    latency: Annotated[
        str | None,
        typer.Option(
            "--latency", metavar="LAW", help="Latency law of the mock, as in `jobctl mock`.", rich_help_panel=_SYSTEM
        ),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            "--fault",
            metavar="KIND=P",
            help="Fault of the mock, as in `jobctl mock`; repeatable.",
            rich_help_panel=_SYSTEM,
        ),
    ] = None,
    chaos: Annotated[
        list[TimedFault] | None,
        typer.Option(
            "--chaos",
            parser=parser(parse_chaos),
            metavar="FAULT@AT+FOR",
            help="Break something on a timetable, such as replica_killed:2@30s, replica_frozen:all@10s+5s, "
            "mock_outage@20s+20s, rate_limited, mock_slow, redis_stalled; repeatable. 'none' for no fault.",
            rich_help_panel=_SYSTEM,
        ),
    ] = None,
    attempts: Attempts = None,
    retry_base: RetryBase = None,
    retry_cap: RetryCap = None,
    openrouter_rpm: OpenRouterRpm = None,
    rpm: Annotated[int | None, _whole("--rpm", "Requests a minute that the mock admits.", _SYSTEM)] = None,
    tpm: Annotated[int | None, _whole("--tpm", "Tokens a minute that the mock admits.", _SYSTEM)] = None,
    locustfile: Annotated[
        Path | None,
        typer.Option("--locustfile", metavar="FILE", help="Run another locustfile.", rich_help_panel=_SYSTEM),
    ] = None,
    processes: Processes = None,
    master: Leads = False,
    expect_workers: ExpectWorkers = None,
    worker: Joins = False,
    master_host: MasterHost = None,
    master_port: MasterPort = None,
    find_max: FindMax = False,
    max_width: MaxWidth = None,
    max_rate: MaxRate = None,
    within: Within = None,
    slo: MaxSlo = None,
    gate: Annotated[
        list[Gate] | None,
        typer.Option(
            "--gate",
            parser=parser(parse_gate),
            metavar="CHECK",
            help='What must hold, such as "wait.p95 < 1s", "error_rate <= 1%" or "backlog.max < 500 over 30s"; '
            "repeatable.",
            rich_help_panel=_GATES,
        ),
    ] = None,
    gates: Annotated[
        str | None,
        typer.Option("--gates", metavar="FILE", help="Gates from a TOML file.", rich_help_panel=_GATES),
    ] = None,
    baseline: BaselineName = None,
    rounds: Rounds = None,
    relative_floor: RelativeFloor = None,
    absolute_floor: AbsoluteFloor = None,
    error_floor: ErrorFloor = None,
    json_target: Json = None,
    records: Annotated[
        str | None,
        typer.Option("--records", metavar="FILE", help="Write one row per job to FILE, as CSV.", rich_help_panel=LOAD),
    ] = None,
    html: Html = None,
    junit: Junit = None,
    markdown: Markdown = None,
    csv: Csv = None,
    openmetrics: OpenMetrics = None,
) -> None:
    """Offer a load on schedule, through real Redis and real workers, and judge what came out.

    Starts what is not given: an embedded Redis, a mock OpenRouter and two workers of 25 slots.

    Exit code 0: kept; 97: could not be measured; 98: worse than the baseline; 99: broken; 105: interrupted, with the
    report so far.
    """
    comparing = Comparing(baseline, rounds, relative_floor, absolute_floor, error_floor)
    generators = Generators(processes, master, expect_workers, worker, master_host, master_port)
    request = BenchRequest(
        per_day=per_day,
        rate=rate,
        scenario=scenario,
        shape=shape,
        peak_factor=peak_factor,
        time_scale=time_scale,
        service_rule=service_rule,
        duration_s=comparing.duration_s(duration, is_shaped=scenario is not None or shape is not None),
        warmup_s=warmup,
        arrivals=arrivals,
        seed=seed,
        job=job,
        job_types=tuple(job_type or ()),
        args_from=args_from,
        service_law=service_time,
        failure_rate=failure_rate,
        drain_s=drain,
        job_timeout_s=job_timeout,
        max_schedule_lag_s=max_schedule_lag,
        replicas=replicas,
        no_workers=no_workers,
        queue=queue,
        latency=latency,
        fault=tuple(fault or ()),
        rpm=rpm,
        tpm=tpm,
        openrouter_url=openrouter_url,
        chaos=None if chaos is None else tuple(fault for fault in chaos if fault is not None),
        locustfile=locustfile,
        crew=crew_of(generators),
        gates=tuple(gate or ()),
        gates_file=gates,
    )
    _check(request, json_target, records)
    search = Searching(find_max, max_width, max_rate, within, tuple(slo or ()))
    check_search(search, request)
    check_comparing(comparing, request, {"--find-max": find_max, "--worker": worker, "--master": master})
    reports = targets_of(html=html, junit=junit, markdown=markdown, csv=csv, openmetrics=openmetrics)
    check_targets(reports, {"--json": json_target, "--records": records})
    of_workers = {
        "attempts": attempts,
        "retry_base_s": retry_base,
        "retry_cap_s": retry_cap,
        "openrouter_rpm": openrouter_rpm,
    }
    merged = settings.load(
        {"redis_url": redis_url, "concurrency": concurrency, "openrouter_url": openrouter_url, **of_workers}
    )
    if no_workers and any(value is not None for value in of_workers.values()):
        told = next(merged.origins[name].name for name, value in of_workers.items() if value is not None)
        raise InvalidOption(told, "is about workers, and --no-workers starts none", "tell your own workers")
    if worker:
        check_alone(request, {"--json": json_target, "--records": records}, reports)
        raise typer.Exit(run_generator(generators, merged, locustfile, _interrupt))
    if find_max and master:
        raise InvalidOption("--find-max", "runs many loads, and generators of --master join one", "use --processes")
    if find_max:
        raise typer.Exit(run_search(search, request, merged, json_target, records, reports, _interrupt))
    raise typer.Exit(_run(request, merged, json_target, records, reports, comparing))


def _check(request: BenchRequest, json_target: str | None, records: str | None) -> None:
    """Refuse what contradicts itself before anything is started."""
    volumes = {"--per-day": request.per_day, "--rate": request.rate, "--scenario": request.scenario}
    given = [flag for flag, value in volumes.items() if value is not None]
    if len(given) > 1:
        raise InvalidOption(given[1], f"cannot be combined with {given[0]}", "give one of them")
    if request.no_workers and request.replicas is not None and request.queue is None:
        raise InvalidOption(
            "--replicas", "with --no-workers it describes workers that listen to --queue", "name the queue"
        )
    check_writable(json_target)
    check_writable(records, "--records")
    if records is not None and records in {"-", json_target}:
        raise InvalidOption("--records", "needs a file of its own", "give a path such as records.csv")
    if request.openrouter_url is not None:
        for flag, value in {
            "--latency": request.latency,
            "--fault": request.fault,
            "--rpm": request.rpm,
            "--tpm": request.tpm,
        }.items():
            if value:
                raise InvalidOption(flag, "is about the mock, which --openrouter-url replaces", "drop one of the two")


def _run(
    request: BenchRequest,
    merged: settings.Settings,
    json_target: str | None,
    records: str | None,
    reports: Mapping[Form, str],
    comparing: Comparing,
) -> ExitStatus:
    from rich.console import Console

    from jobctl.adapters.files import write_lines
    from jobctl.apps.bench.records import to_lines
    from jobctl.apps.bench.report import to_document
    from jobctl.cli.bench_render import ProgressView, render_report
    from jobctl.cli.compare_render import render_comparison
    from jobctl.wiring.baseline import run_against_baseline
    from jobctl.wiring.bench import prepare_bench, run_bench
    from jobctl.wiring.report import write_reports

    console = Console(stderr="-" in (json_target, *reports.values()))
    prepared, against = prepare_bench(request, merged), comparing.resolve()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    view = ProgressView(console, prepared.config.spec.duration_s)
    say = partial(console.print, highlight=False, soft_wrap=True)
    compared = None
    try:
        if against is None:
            result, host, versions = run_bench(prepared, view.show, say)
        else:
            compared = run_against_baseline(prepared, against, view.show, say)
            result, host, versions = compared.result, compared.host, compared.versions
    finally:
        view.close()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # what was measured is written down, whoever is in a hurry
    document = to_document(result, host, versions)
    if compared is not None:
        document["comparison"] = compared.document
        document["config"]["schedule_digest"] = compared.schedule_digest
    write_document(json_target, document)
    if records is not None:
        write_lines(records, to_lines(result.records, result.started_at_s), "--records")
    render_report(console, document)
    if compared is not None and compared.document is not None:
        render_comparison(console, compared.document)
    write_reports(document, reports, partial(typer.echo, nl=False), partial(typer.echo, err=True))
    return _status(result) if compared is None else severest(_status(result), comparison_status(compared))


def _status(result: BenchResult) -> ExitStatus:
    return ExitStatus.INTERRUPTED if result.interrupted else _STATUS[result.judgement.verdict]


def _interrupt(signum: int, frame: FrameType | None) -> NoReturn:
    """Before and after the load a signal ends a bench at once, as Ctrl-C does; in between it is asked for a report."""
    raise KeyboardInterrupt

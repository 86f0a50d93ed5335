"""``jobctl bench``: open-loop load through real Redis and real workers, and a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from jobctl import settings
from jobctl.apps.bench.request import BenchRequest
from jobctl.cli.bench_baseline import BaselineName, Comparing, Rounds, check_comparing, run_comparison
from jobctl.cli.bench_flow import Outputs, deliver, measuring, say_on
from jobctl.cli.bench_options import (
    Chaos,
    Drain,
    Duration,
    FailureRate,
    Faults,
    Gates,
    GatesFile,
    JobTypes,
    Latency,
    Locustfile,
    MaxScheduleLag,
    MockRpm,
    MockTpm,
    NoWorkers,
    PeakFactor,
    QueueName,
    Records,
    Replicas,
    ScenarioName,
    ServeModel,
    ServiceRule,
    Shape,
    TimeScale,
    Upstream,
    Warmup,
)
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
from jobctl.cli.options import (
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
)
from jobctl.cli.report_options import Csv, Html, Junit, Markdown, OpenMetrics, targets_of
from jobctl.errors import InvalidOption

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jobctl.core.chaos import TimedFault

__all__ = ["bench"]


def bench(
    per_day: PerDay = None,
    rate: Rate = None,
    scenario: ScenarioName = None,
    shape: Shape = None,
    peak_factor: PeakFactor = None,
    time_scale: TimeScale = None,
    service_rule: ServiceRule = None,
    duration: Duration = None,
    warmup: Warmup = None,
    arrivals: ArrivalProcess = None,
    seed: Seed = 1,
    job: Job = None,
    job_type: JobTypes = None,
    args_from: ArgsFrom = None,
    service_time: LawOfService = None,
    failure_rate: FailureRate = 0.0,
    job_timeout: JobTimeout = 180.0,
    drain: Drain = 60.0,
    max_schedule_lag: MaxScheduleLag = 0.05,
    redis_url: RedisUrl = None,
    replicas: Replicas = None,
    concurrency: Concurrency = None,
    no_workers: NoWorkers = False,
    queue: QueueName = None,
    openrouter_url: Upstream = None,
    latency: Latency = None,
    serve_model: ServeModel = None,
    fault: Faults = None,
    chaos: Chaos = None,
    attempts: Attempts = None,
    retry_base: RetryBase = None,
    retry_cap: RetryCap = None,
    openrouter_rpm: OpenRouterRpm = None,
    rpm: MockRpm = None,
    tpm: MockTpm = None,
    locustfile: Locustfile = None,
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
    gate: Gates = None,
    gates: GatesFile = None,
    baseline: BaselineName = None,
    rounds: Rounds = None,
    relative_floor: RelativeFloor = None,
    absolute_floor: AbsoluteFloor = None,
    error_floor: ErrorFloor = None,
    json_target: Json = None,
    records: Records = None,
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
    search = Searching(find_max, max_width, max_rate, within, tuple(slo or ()))
    outputs = Outputs(
        json_target,
        records,
        targets_of(html=html, junit=junit, markdown=markdown, csv=csv, openmetrics=openmetrics),
    )
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
        serve_model=tuple(serve_model or ()),
        fault=tuple(fault or ()),
        rpm=rpm,
        tpm=tpm,
        openrouter_url=openrouter_url,
        chaos=_faults_of(chaos),
        locustfile=locustfile,
        crew=crew_of(generators),
        gates=tuple(gate or ()),
        gates_file=gates,
    )
    _check(request)
    outputs.check()
    check_comparing(comparing, request, {"--find-max": find_max, "--worker": worker, "--master": master})
    check_search(search, request)
    merged = _load_settings(
        request,
        {"redis_url": redis_url, "concurrency": concurrency, "openrouter_url": openrouter_url},
        {
            "attempts": attempts,
            "retry_base_s": retry_base,
            "retry_cap_s": retry_cap,
            "openrouter_rpm": openrouter_rpm,
        },
    )
    if find_max and (master or worker):
        raise InvalidOption("--find-max", "runs many loads, and generators of --master join one", "use --processes")
    if worker:
        check_alone(request, outputs)
        raise typer.Exit(run_generator(generators, merged, locustfile))
    if find_max:
        raise typer.Exit(run_search(search, request, merged, outputs))
    if baseline is not None:
        raise typer.Exit(run_comparison(comparing, baseline, request, merged, outputs))
    raise typer.Exit(_run(request, merged, outputs))


def _faults_of(chaos: Sequence[TimedFault | None] | None) -> tuple[TimedFault, ...] | None:
    """The faults that were asked for; empty where none was to be, None where nothing was said."""
    if chaos is None:
        return None
    faults = tuple(fault for fault in chaos if fault is not None)
    if faults and None in chaos:
        raise InvalidOption("--chaos", "'none' stands beside a fault", "give one of the two")
    return faults


def _check(request: BenchRequest) -> None:
    """Refuse what contradicts itself before anything is started."""
    volumes = {"--per-day": request.per_day, "--rate": request.rate, "--scenario": request.scenario}
    given = [flag for flag, value in volumes.items() if value is not None]
    if len(given) > 1:
        raise InvalidOption(given[1], f"cannot be combined with {given[0]}", "give one of them")
    if request.no_workers and request.replicas is not None and request.queue is None:
        raise InvalidOption(
            "--replicas", "with --no-workers it describes workers that listen to --queue", "name the queue"
        )
    texts = {"--scenario": request.scenario, "--job": request.job, "--args-from": request.args_from}
    for flag, text in {**texts, "--queue": request.queue}.items():
        if text == "":  # a variable that was not set: the load would be another than was asked for
            raise InvalidOption(flag, "is empty", "give a value, or leave it out")


def _load_settings(request: BenchRequest, given: Mapping[str, Any], of_workers: Mapping[str, Any]) -> settings.Settings:
    """The settings, those of workers only where the bench starts some."""
    merged = settings.load({**given, **of_workers})
    told = next((merged.origins[name].name for name, value in of_workers.items() if value is not None), None)
    if request.no_workers and told is not None:
        raise InvalidOption(told, "is about workers, and --no-workers starts none", "tell your own workers")
    return merged


def _run(request: BenchRequest, merged: settings.Settings, outputs: Outputs) -> ExitStatus:
    """Run one load, report, and say how it ended."""
    from jobctl.apps.bench.report import to_document
    from jobctl.cli.bench_render import ProgressView
    from jobctl.wiring.bench import prepare_bench, run_bench

    console = outputs.console()
    prepared = prepare_bench(request, merged)
    view = ProgressView(console, prepared.config.spec.duration_s)
    with measuring(view):
        result, host, versions = run_bench(prepared, view.show, say_on(console))
    deliver(to_document(result, host, versions), result, outputs, console)
    return ExitStatus.of(result.judgement.verdict, interrupted=result.interrupted)

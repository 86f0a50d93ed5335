"""``jobctl enqueue``: jobs for workers that run already."""

from __future__ import annotations

import math
import time
from functools import partial
from typing import Annotated, Final

import typer

from jobctl import settings
from jobctl.apps.enqueue.enqueue import MOST_JOBS, Progress
from jobctl.cli.options import (
    ArgsFrom,
    ArrivalProcess,
    JobTimeout,
    PerDay,
    Rate,
    Seed,
    WorkersRedisUrl,
    arrival_rate_per_s,
    duration_option,
    parser,
)
from jobctl.core.arrivals import POISSON
from jobctl.core.units import parse_whole
from jobctl.core.workload import parse_service_law
from jobctl.errors import InvalidValue

__all__ = ["enqueue"]

#: Seconds between two progress lines.
_LINE_EVERY_S: Final = 5.0


def _queue_name(text: str) -> str:
    name = text.strip()
    if not name or "," in name:
        raise InvalidValue(f"{text!r} is not the name of one queue", "give one name, such as default")
    return name


def enqueue(
    count: Annotated[
        int | None,
        typer.Option(
            "--count",
            parser=parser(partial(parse_whole, minimum=1, maximum=MOST_JOBS)),
            metavar="N",
            help="How many jobs.",
        ),
    ] = None,
    rate: Rate = None,
    per_day: PerDay = None,
    duration: Annotated[float | None, duration_option("--duration", "For how long (10m, 8h).")] = None,
    arrivals: ArrivalProcess = None,
    job: Annotated[
        str | None,
        typer.Option(
            "--job",
            metavar="JOB",
            help="chat_completion, sleep, noop, or a dotted path such as myapp.tasks.f that your workers can import "
            "[default: chat_completion].",
        ),
    ] = None,
    args_from: ArgsFrom = None,
    service_time: Annotated[
        str | None,
        typer.Option(
            "--service-time",
            parser=parser(parse_service_law),
            metavar="DURATION|LAW",
            help="How long a sleep job takes: 250ms, exponential:1s, lognormal:mean=1s,p95=2s [default: 1s].",
        ),
    ] = None,
    queue: Annotated[
        str, typer.Option("--queue", parser=parser(_queue_name), metavar="NAME", help="Queue to put them in.")
    ] = "default",
    job_timeout: JobTimeout = 180.0,
    seed: Seed = 1,
    redis_url: WorkersRedisUrl = None,
) -> None:
    """Put jobs into a queue of your Redis: --count at once, or on schedule by --rate or --per-day.

    A schedule is open loop: it never waits for workers. Ctrl-C ends it and says how many went in.
    """
    from jobctl.wiring.enqueue import enqueue as begin

    merged = settings.load({"redis_url": redis_url})
    steps = begin(
        merged,
        count=count,
        rate_per_s=arrival_rate_per_s(per_day, rate),
        duration_s=duration,
        arrivals=arrivals or POISSON,
        job=job,
        args_from=args_from,
        service_law=service_time,
        queue=queue,
        job_timeout_s=math.ceil(job_timeout),
        seed=seed,
    )
    started_s = time.monotonic()
    next_line_s = started_s + _LINE_EVERY_S
    progress = Progress(0, 0)
    try:
        for progress in steps:
            if time.monotonic() >= next_line_s:
                next_line_s = time.monotonic() + _LINE_EVERY_S
                typer.echo(f"{progress.enqueued} jobs enqueued so far", err=True)
    finally:
        doubt = f"; {progress.under_way} more may be in" if progress.under_way else ""
        elapsed_s = time.monotonic() - started_s
        noun = "job" if progress.enqueued == 1 else "jobs"
        typer.echo(f"enqueued {progress.enqueued} {noun} on queue {queue} in {elapsed_s:.2f} s{doubt}")

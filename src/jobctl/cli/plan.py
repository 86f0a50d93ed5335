"""``jobctl plan``: how many replicas a volume needs."""

from __future__ import annotations

import json
from functools import partial
from typing import Annotated

import typer

from jobctl import settings
from jobctl.cli.exit_status import ExitStatus
from jobctl.cli.options import Concurrency, Json, PerDay, Rate, ServiceTime, check_writable, parser
from jobctl.core.slo import DEFAULT_OBJECTIVE, Objective, parse_objective
from jobctl.core.units import SECONDS_PER_DAY, parse_not_negative, parse_whole
from jobctl.errors import InvalidOption

__all__ = ["plan"]


def plan(
    per_day: PerDay = None,
    rate: Rate = None,
    service_time: ServiceTime = None,
    service_scv: Annotated[
        float,
        typer.Option(
            "--service-scv",
            parser=parser(parse_not_negative),
            metavar="SCV",
            help="Variance of the service time over its squared mean: 1 exponential, 0 constant.",
        ),
    ] = 1.0,
    concurrency: Concurrency = None,
    slo: Annotated[
        Objective | None,
        typer.Option(
            "--slo",
            parser=parser(parse_objective),
            metavar="OBJECTIVE",
            help=f'What must hold [default: "{DEFAULT_OBJECTIVE}"].',
        ),
    ] = None,
    spare: Annotated[
        int,
        typer.Option(
            "--spare",
            parser=parser(partial(parse_whole, minimum=0, maximum=1000)),
            metavar="N",
            help="Replicas that may be gone while the objective holds; counted in the answer.",
        ),
    ] = 1,
    replicas: Annotated[
        int | None,
        typer.Option(
            "--replicas",
            parser=parser(partial(parse_whole, maximum=1_000_000)),
            metavar="N",
            help="Evaluate exactly N, the spare among them, instead of searching.",
        ),
    ] = None,
    json_target: Json = None,
) -> None:
    """Say how many replicas a volume needs, and how long jobs would wait.

    Exit code 0: an answer; 99: a given --slo does not hold with the given --replicas.
    """
    from jobctl.apps.plan.document import to_document
    from jobctl.core.planning import Demand
    from jobctl.core.planning import plan as make_plan

    if service_time is None:
        raise InvalidOption("--service-time", "is missing", "say how long a job holds a slot on average, such as 8s")
    merged = settings.load({"concurrency": concurrency})
    demand = Demand(
        arrival_rate_per_s=_arrival_rate_per_s(per_day, rate),
        mean_service_s=service_time,
        service_scv=service_scv,
        concurrency=merged.concurrency,
        objective=slo or DEFAULT_OBJECTIVE,
        spare=spare,
    )
    check_writable(json_target)
    answer = make_plan(demand, replicas)
    document = to_document(answer)
    if json_target == "-":
        typer.echo(json.dumps(document, indent=2, allow_nan=False))
    else:
        from jobctl.cli.plan_render import render_plan

        render_plan(answer)
        if json_target is not None:
            from jobctl.adapters.files import write_json

            write_json(json_target, document)
    failed = slo is not None and replicas is not None and not answer.feasible
    raise typer.Exit(ExitStatus.BROKEN if failed else ExitStatus.PASS)


def _arrival_rate_per_s(per_day: float | None, rate: float | None) -> float:
    if per_day is not None and rate is not None:
        raise InvalidOption("--rate", "cannot be combined with --per-day", "give one of them")
    if rate is not None:
        return rate
    if per_day is None:
        raise InvalidOption(
            "--per-day", "is missing, and --rate too", "say how many jobs arrive, such as --per-day 450000"
        )
    return per_day / SECONDS_PER_DAY

"""``jobctl plan``: how many replicas a volume needs."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from jobctl import settings
from jobctl.cli.exit_status import ExitStatus
from jobctl.cli.json_output import write_document
from jobctl.cli.options import Concurrency, Json, PerDay, Rate, ServiceTime, arrival_rate_per_s, check_writable, parser
from jobctl.core.slo import DEFAULT_OBJECTIVE, Objective, parse_objective
from jobctl.core.units import parse_not_negative, parse_whole
from jobctl.errors import InvalidOption, InvalidValue

__all__ = ["plan"]

_DEFAULT_SPARE = 1


def plan(
    *,
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
            help=f'What must hold for the wait [default: "{DEFAULT_OBJECTIVE}"].',
        ),
    ] = None,
    spare: Annotated[
        int | None,
        typer.Option(
            "--spare",
            parser=parser(partial(parse_whole, minimum=0, maximum=1000)),
            metavar="N",
            help="Replicas that may be gone while it holds; the answer includes them "
            f"[default: {_DEFAULT_SPARE}; with --replicas it is shown, and binds only if given].",
        ),
    ] = None,
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

    Exit code 0: an answer. 99: the given --replicas cannot keep up, or break a --slo or --spare that was given. 2: bad
    input.
    """
    from jobctl.apps.plan.document import to_document
    from jobctl.core.sizing import Binding, Demand
    from jobctl.core.sizing import plan as make_plan

    volume_per_s = arrival_rate_per_s(per_day, rate)
    if volume_per_s is None:
        raise InvalidOption(
            "--per-day", "is missing, and --rate too", "say how many jobs arrive, such as --per-day 450000"
        )
    if service_time is None:
        raise InvalidOption("--service-time", "is missing", "say how long a job holds a slot on average, such as 8s")
    merged = settings.load({"concurrency": concurrency})
    check_writable(json_target)
    try:
        demand = Demand(
            arrival_rate_per_s=volume_per_s,
            mean_service_s=service_time,
            service_scv=service_scv,
            concurrency=merged.concurrency,
            objective=slo or DEFAULT_OBJECTIVE,
            spare=_DEFAULT_SPARE if spare is None else spare,
        )
    except InvalidValue as error:
        raise InvalidOption("--slo", error.problem, error.remedy) from None
    asked = {Binding.OBJECTIVE: slo, Binding.REDUNDANCY: spare}
    try:
        answer = make_plan(demand, replicas, {limit for limit, given in asked.items() if given is not None})
    except InvalidValue as error:
        volume = "--per-day" if rate is None else "--rate"
        raise InvalidOption(volume if replicas is None else "--replicas", error.problem, error.remedy) from None
    document = to_document(answer)
    if json_target != "-":
        from jobctl.cli.plan_render import print_plan

        print_plan(answer)
    write_document(json_target, document)
    raise typer.Exit(ExitStatus.PASS if answer.feasible else ExitStatus.BROKEN)

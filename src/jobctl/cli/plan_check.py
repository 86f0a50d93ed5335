"""``jobctl plan --check``: the plan on real parts, predicted beside measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from jobctl.cli.consoles import open_console
from jobctl.cli.exit_status import ExitStatus
from jobctl.cli.signals import end_at_a_signal

if TYPE_CHECKING:
    from jobctl.core.plans import Plan

__all__ = ["check_plan"]


def check_plan(
    planned: Plan, *, duration_s: float | None, time_scale: float | None, aside: bool
) -> tuple[ExitStatus, dict[str, Any] | None]:
    """Run a plan on real parts and say what came out.

    Args:
        planned: The plan.
        duration_s: How long jobs arrive; None for the default.
        time_scale: How many times faster than in the plan; None for what suits one machine.
        aside: Whether standard output is for a machine: then all of it goes to standard error.

    Returns:
        The exit status, as that of a bench, and the part of the document; None where there is nothing to check.

    Raises:
        InvalidOption: The plan cannot be run at that scale.
    """
    from jobctl.apps.plan.check import DEFAULT_DURATION_S, choose, to_document, why_not
    from jobctl.cli.bench_render import ProgressView
    from jobctl.cli.plan_check_render import describe_check, describe_run
    from jobctl.wiring.plan_check import rehearse

    obstacle = why_not(planned)
    if obstacle is not None:
        typer.echo(f"check: not run: {obstacle}", err=aside)
        return ExitStatus.BROKEN, None
    check = choose(planned, duration_s=duration_s or DEFAULT_DURATION_S, time_scale=time_scale, seed=planned.seed)
    for line in describe_run(check):
        typer.echo(line, err=aside)
    end_at_a_signal()
    view = ProgressView(open_console(aside=True), check.rehearsal.duration_s)
    try:
        validation = rehearse(check.rehearsal, view.show, lambda line: typer.echo(line, err=True))
    finally:
        view.close()
    typer.echo(err=aside)
    for line in describe_check(validation):
        typer.echo(line, err=aside)
    return ExitStatus.of(validation.judgement.verdict), to_document(check, validation)

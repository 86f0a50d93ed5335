"""``jobctl plan``: how many replicas a volume needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from jobctl import __version__, settings
from jobctl.cli.consoles import terminal_width
from jobctl.cli.exit_status import ExitStatus
from jobctl.cli.json_output import write_document
from jobctl.cli.options import Json, check_writable, duration_option, parser
from jobctl.cli.plan_options import with_inputs
from jobctl.errors import InvalidOption

if TYPE_CHECKING:
    from jobctl.apps.plan.audit import Claim, Row
    from jobctl.apps.plan.configure import Prepared
    from jobctl.apps.plan.request import PlanRequest
    from jobctl.core.plans import Plan

__all__ = ["plan"]

#: The panel of options that say what is done with the answer.
_ANSWER: Final = "Answer"


@dataclass(frozen=True, slots=True)
class _Acts:
    """What is done with an answer, beside showing it; None or False for what is not.

    Attributes:
        json_target: Where the document goes.
        explain: Whether each formula is shown.
        report: The file of the report.
        write: The ``railway.json`` or ``slo.toml`` that takes the answer.
        dry_run: Whether that is only shown.
        check: Whether the plan is run on real parts.
        check_duration_s: How long jobs arrive there.
        time_scale: How many times as fast that is.
    """

    json_target: str | None
    explain: bool
    report: str | None
    write: str | None
    dry_run: bool
    check: bool
    check_duration_s: float | None
    time_scale: float | None = None

    @property
    def aside(self) -> bool:
        """Whether standard output is for a machine, so that what a person reads goes to standard error."""
        return self.json_target == "-"


def _rows(text: str) -> tuple[Row, ...]:
    from jobctl.apps.plan.audit import parse_rows

    return parse_rows(text)


def _claim(text: str) -> Claim:
    from jobctl.apps.plan.audit import parse_claim

    return parse_claim(text)


@with_inputs
def plan(
    *,
    json_target: Json = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show each formula with its numbers and source.", rich_help_panel=_ANSWER)
    ] = False,
    report: Annotated[
        str | None,
        typer.Option("--report", metavar="FILE", help="Write a report: .html, .svg or .png.", rich_help_panel=_ANSWER),
    ] = None,
    write: Annotated[
        str | None,
        typer.Option(
            "--write",
            metavar="FILE",
            help="Put the answer into a railway.json or a slo.toml, and show the diff.",
            rich_help_panel=_ANSWER,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --write: show the diff, and write nothing.", rich_help_panel=_ANSWER)
    ] = False,
    audit: Annotated[
        Any,
        typer.Option(
            "--audit",
            parser=parser(_rows),
            metavar="ROWS",
            help="Judge a table instead: REPLICAS:JOBS_PER_DAY rows, such as 2:450k,3:1.35M.",
            rich_help_panel=_ANSWER,
        ),
    ] = None,
    claim: Annotated[
        list[Any] | None,
        typer.Option(
            "--claim",
            parser=parser(_claim),
            metavar="TIMESx@JOBS_PER_DAY",
            help="With --audit: headroom that somebody claims, such as 33x@135000; may be repeated.",
            rich_help_panel=_ANSWER,
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Run the plan on real parts, as bench does, and show predicted beside measured.",
            rich_help_panel=_ANSWER,
        ),
    ] = False,
    check_duration: Annotated[
        float | None, duration_option("--check-duration", "How long jobs arrive in it [default: 60s].", _ANSWER)
    ] = None,
    **inputs: Any,
) -> None:
    """Say how many replicas a volume needs, and how long jobs would wait.

    What is not given comes from the environment, then from the [plan] table of jobctl.toml.

    Exit code 0: an answer. 99: no number of replicas will do; the given --replicas cannot keep up, or break a --slo or
    --spare that was given; a row of --audit fails. 97: of --replicas or a row that could not be told within --budget.
    2: bad input. With --check: that of the check, as with bench.
    """
    acts = _Acts(json_target, explain, report, write, dry_run, check, check_duration)
    request, merged = settings.load_plan(inputs)
    _check_acts(acts)
    if claim and audit is None:
        raise InvalidOption("--claim", "does nothing without --audit", "give --audit REPLICAS:JOBS_PER_DAY beside it")
    if audit is not None:
        raise typer.Exit(_audit(request, audit, claim or [], acts))
    if check:
        request, time_scale = _without_time_scale(request)
        acts = replace(acts, time_scale=time_scale)
    from jobctl.wiring.plan import answer, prepare

    prepared = prepare(request, target=acts.write)
    raise typer.Exit(_carry_out(acts, answer(prepared), prepared, merged))


def _check_acts(acts: _Acts) -> None:
    """Refuse what cannot be done, before anything is computed."""
    check_writable(acts.json_target)
    if acts.report is not None:
        from jobctl.apps.plan.report import check_report_target

        check_report_target(acts.report)
        check_writable(acts.report, "--report")
    if acts.write is not None:
        from jobctl.wiring.plan_write import check_write_target

        check_write_target(acts.write)
        if not acts.dry_run:
            check_writable(acts.write, "--write")
    _check_apart({"--json": acts.json_target, "--report": acts.report, "--write": acts.write})
    if acts.dry_run and acts.write is None:
        raise InvalidOption("--dry-run", "does nothing without --write", "give --write FILE beside it")
    if acts.check_duration_s is not None and not acts.check:
        raise InvalidOption("--check-duration", "does nothing without --check", "give --check beside it")


def _check_apart(targets: Mapping[str, str | None]) -> None:
    """Refuse a file that two options would write, the one over the other."""
    taken: dict[Path, str] = {}
    for flag, target in targets.items():
        if target is None or target == "-":
            continue
        first = taken.setdefault(Path(target).resolve(), flag)
        if first != flag:
            raise InvalidOption(flag, f"{target!r} is the file of {first} as well", "give each a file of its own")


def _without_time_scale(request: PlanRequest) -> tuple[PlanRequest, float | None]:
    """The request, and the speed of the check: a replay keeps what was said of speed for itself."""
    from jobctl.apps.plan.load import shape_of
    from jobctl.core.shapes import ShapeKind

    if shape_of(request).kind is ShapeKind.REPLAY:
        return request, None
    return request.without("time_scale"), request.time_scale


def _carry_out(acts: _Acts, planned: Plan, prepared: Prepared, merged: settings.Settings) -> ExitStatus:
    """Show an answer and do with it what was asked."""
    if not acts.aside:
        from jobctl.cli.plan_render import print_plan

        print_plan(planned, prepared.assumptions, prepared.prices)
        if acts.explain:
            _explain(planned, prepared)
    if acts.report is not None:
        _report(planned, prepared, acts.report)
    if acts.write is not None:
        _write(planned, acts.write, merged.drain_timeout_s, dry_run=acts.dry_run, aside=acts.aside)
    status, checked = ExitStatus.of_plan(planned.feasible), None
    if acts.check:
        from jobctl.cli.plan_check import check_plan

        typer.echo(err=acts.aside)
        status, checked = check_plan(
            planned, duration_s=acts.check_duration_s, time_scale=acts.time_scale, aside=acts.aside
        )
    if acts.json_target is not None:
        from jobctl.apps.plan.document import to_document

        write_document(acts.json_target, to_document(planned, prepared.assumptions, prepared.prices, checked))
    return status


def _explain(planned: Plan, prepared: Prepared) -> None:
    from jobctl.apps.plan.explain import explain

    typer.echo()
    for line in explain(planned, prepared.assumptions, terminal_width()):
        typer.echo(line)


def _report(planned: Plan, prepared: Prepared, path: str) -> None:
    from jobctl.apps.plan.report import Report
    from jobctl.cli.plan_render import describe
    from jobctl.wiring.plan_report import write_report

    answer = next(describe(planned, prepared.assumptions, None))
    write_report(path, Report(planned, answer, prepared.assumptions, __version__, prepared.prices))


def _write(planned: Plan, path: str, drain_timeout_s: float, *, dry_run: bool, aside: bool) -> None:
    """Put the answer into a file; what is said of it goes aside, to standard error, where a machine reads the rest."""
    from jobctl.cli.plan_write_render import describe_rewrite
    from jobctl.wiring.plan_write import write_plan

    if not planned.feasible:
        typer.echo(f"{path}: not written, for the plan is not feasible", err=True)
        return
    change = write_plan(path, planned, drain_timeout_s=drain_timeout_s, dry_run=dry_run)
    typer.echo(err=aside)
    for line in describe_rewrite(change, path, dry_run=dry_run):
        typer.echo(line, err=aside)


def _audit(request: PlanRequest, rows: tuple[Row, ...], claims: list[Claim], acts: _Acts) -> ExitStatus:
    """Judge a table."""
    from jobctl.apps.plan.audit import to_document
    from jobctl.cli.plan_audit_render import print_audit
    from jobctl.wiring.plan import audited, prepare_audit

    single = {"--explain": acts.explain, "--report": acts.report, "--write": acts.write, "--check": acts.check}
    for flag, given in single.items():
        if given:
            raise InvalidOption(flag, "is about one plan, and --audit about a table", "drop one of the two")
    prepared = prepare_audit(request, rows)
    judged = audited(prepared, rows, claims)
    if not acts.aside:
        print_audit(judged)
    write_document(acts.json_target, to_document(judged, prepared.assumptions))
    return ExitStatus.of_plan(judged.kept)

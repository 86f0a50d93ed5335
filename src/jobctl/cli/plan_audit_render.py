"""An audit as a person sees it: the verdict, the table row by row, why rows fail, and the claims.

The lines are made from the audit alone; printing them is a step of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import typer

from jobctl.apps.plan.audit import Audit, JudgedClaim, JudgedRow
from jobctl.apps.plan.why import is_spared
from jobctl.apps.plan.words import count_of, number, seconds, share, yes
from jobctl.cli.consoles import fold, terminal_width

__all__ = ["describe_audit", "print_audit"]


def print_audit(audited: Audit) -> None:
    """Print an audit, folded to the width of a terminal; its table fits into 80 columns."""
    width = terminal_width()
    verdict, *rest = describe_audit(audited)
    colour = {True: None, False: typer.colors.RED, None: typer.colors.YELLOW}[audited.kept]
    typer.secho(fold(verdict, width), bold=True, fg=colour)
    for line in rest:
        typer.echo(fold(line, width))


def describe_audit(audited: Audit) -> Iterator[str]:
    """An audit as lines of text, the verdict first."""
    yield _verdict(audited)
    yield ""
    yield from _table(audited)
    remarkable = [judged for judged in audited.rows if not judged.plan.feasible or judged.plan.on_edge]
    if remarkable:
        yield ""
    for judged in remarkable:
        edge = "on the edge, the simulation could not tell within its budget"
        yield f"{_name(judged)}: {edge if judged.plan.on_edge else judged.plan.reason}."
    if audited.claims:
        yield ""
    for claimed in audited.claims:
        yield _claim(claimed, audited)


def _verdict(audited: Audit) -> str:
    demand = audited.demand
    total, kept = len(audited.rows), sum(judged.plan.feasible is True for judged in audited.rows)
    promises = ", ".join(f'"{promise}"' for promise in demand.promises)
    gone = f" with {demand.spare} gone" if is_spared(audited.rows[0].plan) else ""
    hold = "holds" if 1 in {kept, total} else "hold"
    return (
        f"{kept} of {count_of(total, 'row')} {hold} {promises}{gone}, at a mean service time of "
        f"{seconds(audited.mean_service_s)} and {demand.concurrency} slots a replica."
    )


def _table(audited: Audit) -> Iterator[str]:
    spare = audited.demand.spare
    heads = ["replicas", "jobs/day", "utilisation", "p95 wait", "holds", "spare", "needs", "up to"]
    rows = [_cells(judged) for judged in audited.rows]
    needs, up_to = "needs: replicas for the volume", "up to: the longest mean service time at which the row holds"
    if spare:
        heads.append(f"{spare} gone")
        for cells, judged in zip(rows, audited.rows, strict=True):
            cells.append(_up_to(judged.longest_service_spare_gone_s))
        needs, up_to = f"{needs}, {spare} spare among them", f"{up_to}, and with {spare} gone"
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for cells in (heads, *rows):
        yield _aligned(cells, widths)
    yield needs
    yield up_to


def _cells(judged: JudgedRow) -> list[str]:
    fleet = judged.plan.all_running
    return [
        f"{judged.row.replicas:,}",
        number(judged.row.jobs_per_day),
        share(round(fleet.utilisation, 9)),  # full is full, whatever rounding left of it
        seconds(fleet.wait.p95_s),
        yes(fleet.holds) + ("?" if fleet.on_edge and fleet.holds is not None else ""),
        "-" if judged.spare is None else f"{judged.spare:,}",
        "-" if judged.needed is None else f"{judged.needed:,}",
        _up_to(judged.longest_service_s),
    ]


def _up_to(service_s: float | None) -> str:
    if service_s is None:
        return "never"
    return "any" if math.isinf(service_s) else seconds(service_s)


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))


def _name(judged: JudgedRow) -> str:
    return f"{count_of(judged.row.replicas, 'replica')} for {number(judged.row.jobs_per_day)} a day"


def _claim(judged: JudgedClaim, audited: Audit) -> str:
    claim = judged.claim
    rate = "the rate" if audited.demand.profile.is_steady else "the peak rate"
    verdict = "true" if judged.is_true else "not true"
    if judged.longest_service_s is None:
        until = "no service time is short enough for it"
    elif math.isinf(judged.longest_service_s):
        until = "no service time is too long for it"
    else:
        until = f"it takes a service time of at most {seconds(judged.longest_service_s)}"
    return (
        f"{number(claim.factor)}x at {number(claim.jobs_per_day)} a day is {verdict}: "
        f"{count_of(judged.replicas, 'replica')} {'carries' if judged.replicas == 1 else 'carry'} "
        f"{judged.headroom_x:.3g}x {rate}; {until}."
    )

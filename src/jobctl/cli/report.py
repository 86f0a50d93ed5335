"""``jobctl report``: the result of a bench told again, in any form and at any time."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from jobctl.cli.consoles import open_console
from jobctl.cli.report_options import Csv, Html, Junit, Markdown, OpenMetrics, check_targets, targets_of

__all__ = ["report"]


def report(
    result: Annotated[str, typer.Argument(metavar="RESULT", help="What jobctl bench --json wrote.")],
    html: Html = None,
    junit: Junit = None,
    markdown: Markdown = None,
    csv: Csv = None,
    openmetrics: OpenMetrics = None,
) -> None:
    """Tell the result of a bench again: as a page, for CI, for a spreadsheet, or, without an option, on the screen.

    Exit code 0 whatever the verdict: the bench has exited with that.
    """
    targets = targets_of(html=html, junit=junit, markdown=markdown, csv=csv, openmetrics=openmetrics)
    check_targets(targets, {"RESULT": result})

    from jobctl.cli.bench_flow import render
    from jobctl.wiring.report import read_bench_document, write_reports

    document = read_bench_document(result)
    write_reports(document, targets, partial(typer.echo, nl=False), partial(typer.echo, err=True))
    if not targets:
        render(open_console(), document)

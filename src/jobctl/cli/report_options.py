"""The options that write a report, as ``jobctl report`` and ``jobctl bench`` share them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from jobctl.apps.report.forms import Form
from jobctl.cli.options import check_writable
from jobctl.errors import InvalidOption

__all__ = ["Csv", "Html", "Junit", "Markdown", "OpenMetrics", "check_targets", "targets_of"]

#: The panel of options that say where the result goes.
REPORTS: Final = "Reports"


def _target(form: Form, text: str) -> Any:
    return typer.Option(
        f"--{form}", metavar="FILE", help=f"{text}; - for standard output.", rich_help_panel=REPORTS, show_default=False
    )


Html = Annotated[str | None, _target(Form.HTML, "One page with charts that opens offline")]
Junit = Annotated[str | None, _target(Form.JUNIT, "JUnit XML: a test case for each gate and promise")]
Markdown = Annotated[str | None, _target(Form.MARKDOWN, "A short text for a pull request")]
Csv = Annotated[str | None, _target(Form.CSV, "One row for each figure")]
OpenMetrics = Annotated[str | None, _target(Form.OPENMETRICS, "Metrics for Prometheus")]


def targets_of(
    *, html: str | None, junit: str | None, markdown: str | None, csv: str | None, openmetrics: str | None
) -> dict[Form, str]:
    """Where each form goes that was asked for."""
    given = {
        Form.HTML: html,
        Form.JUNIT: junit,
        Form.MARKDOWN: markdown,
        Form.CSV: csv,
        Form.OPENMETRICS: openmetrics,
    }
    return {form: target for form, target in given.items() if target is not None}


def check_targets(targets: Mapping[Form, str], taken: Mapping[str, str | None]) -> None:
    """Refuse what cannot be written, and a place that two would write to, before any work is done.

    Args:
        targets: Where each form goes.
        taken: Where other options write, by their flags.

    Raises:
        InvalidOption: One of them will not do.
    """
    flags = {f"--{form}": target for form, target in targets.items()}
    for flag, place in flags.items():
        check_writable(place, flag)
    owners: dict[str, str] = {}
    for flag, target in {**taken, **flags}.items():
        if target is None:
            continue
        place = target if target == "-" else os.path.realpath(target)
        if place in owners:
            raise InvalidOption(flag, f"writes where {owners[place]} does", "give each of them a file of its own")
        owners[place] = flag

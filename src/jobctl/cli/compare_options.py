"""Options of every comparison, and what its finding makes of the exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from jobctl.cli.exit_status import ExitStatus
from jobctl.cli.options import duration_option, parser
from jobctl.core.units import parse_share

if TYPE_CHECKING:
    from jobctl.core.regression import Finding, Floors

__all__ = ["COMPARISON", "AbsoluteFloor", "ErrorFloor", "RelativeFloor", "floors_of", "status_of"]

#: The panel of options about a comparison.
COMPARISON: Final = "Comparison"


def _share_option(flag: str, text: str) -> Any:
    return typer.Option(
        flag, parser=parser(parse_share), metavar="SHARE", help=text, rich_help_panel=COMPARISON, show_default=False
    )


RelativeFloor = Annotated[
    float | None,
    _share_option("--relative-floor", "Smaller changes of a duration or a rate do not count [default: 5%]."),
]
AbsoluteFloor = Annotated[
    float | None,
    duration_option(
        "--absolute-floor", "Nor do smaller ones of a duration [default: 5ms].", COMPARISON, positive=False
    ),
]
ErrorFloor = Annotated[
    float | None, _share_option("--error-floor", "Nor a smaller rise of the share of failed jobs [default: 1%].")
]


def floors_of(relative: float | None, absolute_s: float | None, share: float | None) -> Floors:
    """The floors, those that were not given at their defaults."""
    from jobctl.core.regression import Floors

    given = {"relative": relative, "absolute_s": absolute_s, "share": share}
    return Floors(**{name: value for name, value in given.items() if value is not None})


def status_of(finding: Finding) -> ExitStatus:
    """The exit status of a comparison."""
    return {"regression": ExitStatus.REGRESSION, "cannot tell": ExitStatus.INCONCLUSIVE}.get(finding, ExitStatus.PASS)

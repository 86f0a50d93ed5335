"""``jobctl bench --baseline``: what its options say, and the run of both sides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import typer

from jobctl.cli.compare_options import COMPARISON, floors_of, status_of
from jobctl.cli.exit_status import ExitStatus
from jobctl.cli.options import parser
from jobctl.core.units import parse_whole
from jobctl.errors import InvalidOption

if TYPE_CHECKING:
    from jobctl.apps.bench.request import BenchRequest
    from jobctl.wiring.baseline import Against, BaselineResult

__all__ = ["BaselineName", "Comparing", "Rounds", "check_comparing", "comparison_status", "severest"]

_DEFAULT_ROUNDS: Final = 4
_MOST_ROUNDS: Final = 100
#: Length of each run where nothing was said, seconds.
_DURATION_S: Final = 10.0
#: Exit codes, the one that matters most first.
_SEVERITY: Final = (
    ExitStatus.INTERRUPTED,
    ExitStatus.BROKEN,
    ExitStatus.REGRESSION,
    ExitStatus.INCONCLUSIVE,
    ExitStatus.PASS,
)

BaselineName = Annotated[
    str | None,
    typer.Option(
        "--baseline",
        metavar="REF|DIR",
        help="Compare with the code of a git revision, or of a directory such as ../before; in turn, on this machine.",
        rich_help_panel=COMPARISON,
    ),
]
Rounds = Annotated[
    int | None,
    typer.Option(
        "--rounds",
        parser=parser(partial(parse_whole, minimum=1, maximum=_MOST_ROUNDS)),
        metavar="N",
        help="Runs of either side; from 3 on they tell how much runs differ "
        f"[default: {_DEFAULT_ROUNDS}, of {_DURATION_S:g}s each].",
        rich_help_panel=COMPARISON,
    ),
]


@dataclass(frozen=True, slots=True)
class Comparing:
    """What the options of a comparison say; None means "not given".

    Attributes:
        baseline: The code before; without it the others mean nothing.
        rounds: Runs of either side.
        relative_floor: See :class:`jobctl.core.regression.Floors`, likewise the others.
        absolute_floor_s: Seconds.
        error_floor: A share.
    """

    baseline: str | None
    rounds: int | None
    relative_floor: float | None
    absolute_floor_s: float | None
    error_floor: float | None

    def duration_s(self, given_s: float | None, *, is_shaped: bool) -> float | None:
        """How long one run lasts; None for the default of a bench, or of its scenario or shape."""
        return _DURATION_S if self.baseline is not None and given_s is None and not is_shaped else given_s

    def resolve(self) -> Against | None:
        """The comparison that is meant; None where there is none.

        Raises:
            InvalidOption: There is no such baseline.
        """
        if self.baseline is None:
            return None
        from jobctl.wiring.baseline import Against, find_baseline

        floors = floors_of(self.relative_floor, self.absolute_floor_s, self.error_floor)
        return Against(find_baseline(self.baseline), self.rounds or _DEFAULT_ROUNDS, floors)


def check_comparing(comparing: Comparing, request: BenchRequest, others: Mapping[str, bool]) -> None:
    """Refuse what contradicts itself.

    Args:
        comparing: The options of the comparison.
        request: The bench.
        others: Other flags by which a bench is something else, and whether they were given.

    Raises:
        InvalidOption: It does.
    """
    if comparing.baseline is None:
        given = {
            "--rounds": comparing.rounds,
            "--relative-floor": comparing.relative_floor,
            "--absolute-floor": comparing.absolute_floor_s,
            "--error-floor": comparing.error_floor,
        }
        for flag, value in given.items():
            if value is not None:
                raise InvalidOption(flag, "is about a comparison", "name the code to compare with by --baseline")
        return
    for flag, is_given in {**others, "--no-workers": request.no_workers}.items():
        if is_given:
            raise InvalidOption(flag, "cannot be combined with --baseline", "give one of them")


def severest(*statuses: ExitStatus) -> ExitStatus:
    """The exit code that matters most."""
    return min(statuses, key=_SEVERITY.index)


def comparison_status(ran: BaselineResult) -> ExitStatus:
    """What the comparison makes of the exit code."""
    return ExitStatus.INCONCLUSIVE if ran.comparison is None else status_of(ran.comparison.finding)

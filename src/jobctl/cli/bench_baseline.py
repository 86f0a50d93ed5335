"""``jobctl bench --baseline``: what its options say, and the run of both sides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

from jobctl.cli.bench_flow import deliver, measuring, say_on
from jobctl.cli.compare_options import COMPARISON, floors_of
from jobctl.cli.exit_status import ExitStatus
from jobctl.cli.options import whole_option
from jobctl.core.overall import overall
from jobctl.errors import InvalidOption

if TYPE_CHECKING:
    from jobctl.apps.bench.request import BenchRequest
    from jobctl.cli.bench_flow import Outputs
    from jobctl.settings import Settings
    from jobctl.wiring.baseline import Against

__all__ = ["BaselineName", "Comparing", "Rounds", "check_comparing", "run_comparison"]

_DEFAULT_ROUNDS: Final = 4
_MOST_ROUNDS: Final = 100
#: Length of each run where nothing was said, seconds.
_DURATION_S: Final = 10.0

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
    whole_option(
        "--rounds",
        "Runs of either side; from 3 on they tell how much runs differ "
        f"[default: {_DEFAULT_ROUNDS}, of {_DURATION_S:g}s each].",
        COMPARISON,
        maximum=_MOST_ROUNDS,
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

    def against(self, baseline: str) -> Against:
        """The comparison with a baseline.

        Raises:
            InvalidOption: There is no such baseline.
        """
        from jobctl.wiring.baseline import Against, find_baseline

        floors = floors_of(self.relative_floor, self.absolute_floor_s, self.error_floor)
        return Against(find_baseline(baseline), self.rounds or _DEFAULT_ROUNDS, floors)


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


def run_comparison(
    comparing: Comparing, baseline: str, request: BenchRequest, settings: Settings, outputs: Outputs
) -> ExitStatus:
    """Run both sides, report, and say how it ended.

    Args:
        comparing: The options of the comparison.
        baseline: The code before.
        request: The options of the bench.
        settings: The settings.
        outputs: Where the result goes.

    Raises:
        InvalidOption: There is no such baseline, or the bench cannot be run against it.
    """
    from jobctl.apps.bench.report import to_document
    from jobctl.cli.bench_render import ProgressView
    from jobctl.wiring.baseline import run_against_baseline
    from jobctl.wiring.bench import prepare_bench

    console = outputs.console()
    prepared, against = prepare_bench(request, settings), comparing.against(baseline)
    view = ProgressView(console, prepared.config.spec.duration_s)
    with measuring(view):
        ran = run_against_baseline(prepared, against, view.show, say_on(console))
    document = to_document(ran.result, ran.host, ran.versions)
    document["comparison"] = ran.document
    document["config"]["schedule_digest"] = ran.schedule_digest
    deliver(document, ran.result, outputs, console)
    finding = None if ran.comparison is None else ran.comparison.finding
    return ExitStatus.of(overall(ran.result.judgement.verdict, finding), interrupted=ran.result.interrupted)

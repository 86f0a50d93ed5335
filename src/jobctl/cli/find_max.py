"""``jobctl bench --find-max``: its options, and the search from the checked input to the exit code."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Final

import typer

from jobctl.cli.bench_flow import deliver, measuring, say_on
from jobctl.cli.exit_status import ExitStatus
from jobctl.cli.options import duration_option, parser
from jobctl.core.arrivals import CONSTANT
from jobctl.core.slo import DEFAULT_OBJECTIVE, Objective, Promise, parse_objective
from jobctl.core.units import SECONDS_PER_DAY, parse_count, parse_share
from jobctl.errors import InvalidOption, InvalidValue

if TYPE_CHECKING:
    from jobctl.apps.bench.maximum import WantedMaximum
    from jobctl.apps.bench.request import BenchRequest
    from jobctl.cli.bench_flow import Outputs
    from jobctl.settings import Settings

__all__ = ["FindMax", "MaxRate", "MaxSlo", "MaxWidth", "Searching", "Within", "check_search", "run_search"]

#: The panel of the help.
SEARCH: Final = "Search for the maximum"
#: Narrower brackets take longer than anybody waits.
_NARROWEST: Final = 0.01
_WIDEST: Final = 1.0


def _width(text: str) -> float:
    width = parse_share(text)
    if not _NARROWEST <= width <= _WIDEST:
        raise InvalidValue(f"{text!r} is out of range", "give 1% to 100%")
    return width


def _objective(text: str) -> Promise:
    promise = parse_objective(text)
    if not isinstance(promise, Objective) or promise.window is not None:
        raise InvalidValue(f"{text!r} is about a day", 'give one such as "p95 wait <= 1s"')
    return promise


FindMax = Annotated[
    bool,
    typer.Option(
        "--find-max",
        help="Find the highest rate that the fleet sustains; --rate or --per-day is then what it must carry.",
        rich_help_panel=SEARCH,
    ),
]
MaxWidth = Annotated[
    float | None,
    typer.Option(
        "--max-width",
        parser=parser(_width),
        metavar="SHARE",
        help="How far apart the rate that held and the one that failed may be [default: 5%].",
        rich_help_panel=SEARCH,
    ),
]
MaxRate = Annotated[
    float | None,
    typer.Option(
        "--max-rate",
        parser=parser(parse_count),
        metavar="JOBS/S",
        help="Try no higher rate [default: no bound].",
        rich_help_panel=SEARCH,
    ),
]
Within = Annotated[float | None, duration_option("--within", "How long the search may take [default: 3m].", SEARCH)]
MaxSlo = Annotated[
    list[Objective] | None,
    typer.Option(
        "--slo",
        parser=parser(_objective),
        metavar="OBJECTIVE",
        help='What a sustained rate keeps; repeatable [default: "p95 wait <= 1s"].',
        rich_help_panel=SEARCH,
    ),
]


@dataclass(frozen=True, slots=True)
class Searching:
    """The options of a search as they were given; None means "not given"."""

    find_max: bool
    max_width: float | None
    max_rate: float | None
    within_s: float | None
    slos: tuple[Objective, ...]

    def wanted(self, request: BenchRequest) -> WantedMaximum:
        """What is searched for."""
        from jobctl.apps.bench.maximum import WantedMaximum

        per_day = request.per_day
        return WantedMaximum(
            max_width=0.05 if self.max_width is None else self.max_width,
            max_per_s=self.max_rate,
            within_s=180.0 if self.within_s is None else self.within_s,
            promised_per_s=per_day / SECONDS_PER_DAY if per_day is not None else request.rate,
            objectives=self.slos or (() if request.gates or request.gates_file else (DEFAULT_OBJECTIVE,)),
        )


def check_search(search: Searching, request: BenchRequest) -> None:
    """Refuse what contradicts itself.

    Raises:
        InvalidOption: An option has no meaning with a search, or without one.
    """
    own: dict[str, object] = {
        "--max-width": search.max_width,
        "--max-rate": search.max_rate,
        "--within": search.within_s,
        "--slo": search.slos or None,
    }
    if not search.find_max:
        for flag, value in own.items():
            if value is not None:
                raise InvalidOption(flag, "is about a search", "add --find-max, or drop it")
        return
    of_a_schedule: dict[str, object] = {
        "--duration": request.duration_s,
        "--warmup": request.warmup_s,
        "--shape": request.shape,
        "--peak-factor": request.peak_factor,
        "--time-scale": request.time_scale,
        "--chaos": request.chaos,
    }
    for flag, value in of_a_schedule.items():
        if value is not None:
            raise InvalidOption(flag, "is about one schedule, and --find-max runs its own", "drop one of the two")
    promised = search.wanted(request).promised_per_s
    if search.max_rate is not None and promised is not None and promised > search.max_rate:
        raise InvalidOption("--max-rate", f"lies below the {promised:.4g} jobs/s that must be carried", "raise it")


def run_search(search: Searching, request: BenchRequest, settings: Settings, outputs: Outputs) -> ExitStatus:
    """Search, report, and say how it ended.

    Args:
        search: The options of the search.
        request: Those of the bench.
        settings: The settings.
        outputs: Where the result goes; its records are the jobs of the low end.
    """
    from jobctl.apps.bench.maximum import sentence, to_maximum, verdict_of
    from jobctl.apps.bench.report import to_document
    from jobctl.cli.find_max_render import SearchView
    from jobctl.wiring.bench import prepare_bench
    from jobctl.wiring.find_max import find_max

    console = outputs.console()
    prepared = prepare_bench(replace(request, arrivals=request.arrivals or CONSTANT), settings)
    view = SearchView(console)
    with measuring(view):
        found, host, versions = find_max(prepared, search.wanted(request), view.show, view.progress, say_on(console))
    verdict, reasons = verdict_of(found)
    document = {
        **to_document(found.result, host, versions),
        "verdict": verdict.value,
        "reasons": list(reasons),
        "interrupted": found.interrupted,
        "sentence": sentence(found),
        "maximum": to_maximum(found),
    }
    deliver(document, found.result, outputs, console)
    return ExitStatus.of(verdict, interrupted=found.interrupted)

"""Options of ``jobctl bench`` about who generates its load, and ``jobctl bench --worker``: a generator and no more."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from jobctl.apps.bench.request import BenchRequest
from jobctl.cli.bench_flow import Outputs, say_on
from jobctl.cli.consoles import open_console
from jobctl.cli.exit_status import ExitStatus
from jobctl.cli.options import whole_option
from jobctl.cli.signals import end_at_a_signal
from jobctl.core.crew import ALONE, MASTER_PORT, Crew
from jobctl.errors import InvalidOption
from jobctl.settings import Settings

__all__ = [
    "ExpectWorkers",
    "Generators",
    "Joins",
    "Leads",
    "MasterHost",
    "MasterPort",
    "Processes",
    "check_alone",
    "crew_of",
    "run_generator",
]

_PANEL: Final = "Load generators"
_MOST: Final = 1000


Processes = Annotated[
    int | None,
    whole_option(
        "--processes", "Generators to start here, beside a master [default: 1, and no master].", _PANEL, maximum=_MOST
    ),
]
Leads = Annotated[
    bool,
    typer.Option("--master", help="Lead generators that join from other machines.", rich_help_panel=_PANEL),
]
ExpectWorkers = Annotated[
    int | None,
    whole_option(
        "--expect-workers", "How many of them to wait for, with --master [default: 1].", _PANEL, maximum=_MOST
    ),
]
Joins = Annotated[
    bool,
    typer.Option("--worker", help="Be one of those: generate the load of a master.", rich_help_panel=_PANEL),
]
MasterHost = Annotated[
    str | None,
    typer.Option(
        "--master-host",
        metavar="HOST",
        help="Where the master is [default: this machine]; with --master, the address to listen at [default: all].",
        rich_help_panel=_PANEL,
    ),
]
MasterPort = Annotated[
    int | None, whole_option("--master-port", f"Its port [default: {MASTER_PORT}].", _PANEL, maximum=65535)
]


@dataclass(frozen=True, slots=True)
class Generators:
    """What the options said; None means "not given"."""

    processes: int | None
    leads: bool
    expected: int | None
    joins: bool
    host: str | None
    port: int | None


def crew_of(asked: Generators) -> Crew:
    """Who generates the load.

    Raises:
        InvalidOption: The options contradict each other.
    """
    if asked.joins:
        for flag, given in (
            ("--master", asked.leads),
            ("--processes", asked.processes is not None),
            ("--expect-workers", asked.expected is not None),
        ):
            if given:
                raise InvalidOption(flag, "cannot be combined with --worker", "a worker is led; drop one of the two")
        return ALONE
    if asked.leads:
        host = "0.0.0.0" if asked.host is None else asked.host
        return Crew(asked.processes or 0, asked.expected or 1, host, asked.port or MASTER_PORT)
    for flag, given in (
        ("--expect-workers", asked.expected is not None),
        ("--master-host", asked.host is not None),
        ("--master-port", asked.port is not None),
    ):
        if given:
            raise InvalidOption(flag, "is about generators of other machines", "give --master, or --worker, as well")
    return Crew(asked.processes or 1)


def check_alone(request: BenchRequest, outputs: Outputs) -> None:
    """Check that a generator was asked for nothing but to join.

    Args:
        request: The load that the options describe.
        outputs: What is to be written.

    Raises:
        InvalidOption: It was.
    """
    if request != BenchRequest(locustfile=request.locustfile):
        raise InvalidOption("--worker", "has its load from the master", "say what the load is to jobctl bench --master")
    if outputs.given:
        raise InvalidOption("--worker", "writes no report", "ask jobctl bench --master for it")


def run_generator(asked: Generators, settings: Settings, locustfile: Path | None) -> ExitStatus:
    """Generate the load of a master until it ends.

    Args:
        asked: The options.
        settings: Name the Redis.
        locustfile: Another locustfile than jobctl's.

    Raises:
        InvalidOption: No Redis is given.
        ServiceUnavailable: The master is not found, or lost.
    """
    from jobctl.wiring.generator import join_load

    console = open_console(aside=True)
    end_at_a_signal()
    interrupted = join_load(
        settings,
        asked.host or "127.0.0.1",
        asked.port or MASTER_PORT,
        locustfile,
        say_on(console),
    )
    return ExitStatus.INTERRUPTED if interrupted else ExitStatus.PASS

"""``jobctl monitoring``: what watches a fleet, made from ``slo.toml``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from jobctl.cli.exit_status import ExitStatus
from jobctl.cli.help_panels import PanelledCommand
from jobctl.cli.options import parser
from jobctl.cli.rendering import Check, SloFile, compare_or_write
from jobctl.core.units import parse_positive
from jobctl.errors import InvalidValue

__all__ = ["monitoring"]

#: A scrape every 15 s is then one every 15 ms; shorter than that nothing is measured.
_MOST_HURRIED: Final = 1000

monitoring = typer.Typer(
    help="Prometheus' rules, Alertmanager's routes and Grafana's dashboard, made from slo.toml.",
    rich_markup_mode=None,
)


def _factor(text: str) -> float:
    factor = parse_positive(text)
    if not 1 <= factor <= _MOST_HURRIED:
        raise InvalidValue(f"{text!r} is not between 1 and {_MOST_HURRIED}", "give 60: minutes become seconds")
    return factor


def _place(text: str) -> str:
    """A directory by its whole path: Alertmanager looks for some of its secrets where it was started, not here."""
    if not text.strip():
        raise InvalidValue("is empty", "give the directory of the secrets")
    return str(Path(text).absolute())


@monitoring.command("init", cls=PanelledCommand, short_help="Begin: slo.toml to fill in, and what is written by hand.")
def init(
    directory: Annotated[
        str, typer.Argument(metavar="[DIRECTORY]", help="Where to; made if it is not there.")
    ] = "monitoring",
) -> None:
    """Begin: slo.toml to fill in, a docker-compose.yml, Grafana's provisioning, a place for secrets.

    A file that is already there is never written over.
    """
    from jobctl.wiring.monitoring import begin

    target = Path(directory)
    for name in begin(target):
        typer.echo(f"{target / name}: written")
    typer.echo(f"Next: say in {target / 'slo.toml'} what is promised and who is told,")
    typer.echo(
        f"then jobctl monitoring render --slo-file {target / 'slo.toml'}; {target / 'README.md'} tells the rest."
    )


@monitoring.command("render", cls=PanelledCommand, short_help="Make the files that watch a fleet from slo.toml.")
def render(
    directory: Annotated[
        str | None,
        typer.Argument(
            metavar="[DIRECTORY]",
            help="Where to; beside slo.toml by default. A slo.toml that lies there is taken first.",
        ),
    ] = None,
    slo_file: SloFile = None,
    check: Check = False,
    time_scale: Annotated[
        float,
        typer.Option(
            "--time-scale",
            parser=parser(_factor),
            metavar="FACTOR",
            help="Make every window, wait and interval so many times shorter, to try alerts out; 1 to 1000.",
        ),
    ] = 1.0,
    secrets: Annotated[
        str | None,
        typer.Option(
            "--secrets",
            parser=parser(_place),
            metavar="DIRECTORY",
            help="Where Alertmanager finds its secrets [default: /run/secrets].",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write the files that watch a fleet, those that differ from what is there.

    Exit code 99: with --check, a file is not what it should be.
    """
    from jobctl.wiring.monitoring import SECRETS, rendered
    from jobctl.wiring.rendered import find_slo_file, read_operations

    path = find_slo_file(slo_file, directory)
    operations = read_operations(path)
    target = Path(path).parent if directory is None else Path(directory)
    files = rendered(operations, time_scale=time_scale, secrets=SECRETS if secrets is None else secrets)
    changed = compare_or_write(target, files, check=check)
    for promise, reason in operations.unwatched:
        typer.echo(f"not watched: {promise}: {reason}", err=True)
    if not operations.notify.anybody:
        typer.echo("nobody is told: [notify] names no email, no Slack and no webhook", err=True)
    elif operations.notify.examples and not check:
        typer.echo(f"nobody is there: {', '.join(operations.notify.examples)}; give your own under [notify]", err=True)
    if not changed:
        typer.echo(f"{target}: {len(files)} files are as they should be")
    elif check:
        raise typer.Exit(ExitStatus.BROKEN)

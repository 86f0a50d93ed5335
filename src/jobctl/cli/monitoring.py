"""``jobctl monitoring``: what watches a fleet, made from ``slo.toml``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobctl.cli.exit_status import ExitStatus
from jobctl.cli.options import parser
from jobctl.core.units import parse_positive

__all__ = ["SloFile", "monitoring"]

monitoring = typer.Typer(
    help="Prometheus' rules, Alertmanager's routes and Grafana's dashboard, made from slo.toml.",
    rich_markup_mode=None,
)

SloFile = Annotated[
    str | None,
    typer.Option(
        "--slo-file", metavar="FILE", help="What they are made from [default: monitoring/slo.toml, slo.toml]."
    ),
]


@monitoring.command("init")
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


@monitoring.command("render")
def render(
    directory: Annotated[
        str | None, typer.Argument(metavar="[DIRECTORY]", help="Where to; that of the slo.toml by default.")
    ] = None,
    slo_file: SloFile = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing, and exit with 99 if a file is not what it should be.")
    ] = False,
    time_scale: Annotated[
        float,
        typer.Option(
            "--time-scale",
            parser=parser(parse_positive),
            metavar="FACTOR",
            help="Shorten every window, wait and interval, to try alerts out.",
        ),
    ] = 1.0,
    secrets: Annotated[
        str | None, typer.Option("--secrets", metavar="DIRECTORY", help="Where Alertmanager finds its secrets.")
    ] = None,
) -> None:
    """Write the files that watch a fleet, those that differ from what is there."""
    from jobctl.wiring.monitoring import SECRETS, rendered
    from jobctl.wiring.rendered import differing, find_slo_file, put, read_operations

    path = find_slo_file(slo_file)
    operations = read_operations(path)
    target = Path(path).parent if directory is None else Path(directory)
    files = rendered(operations, time_scale=time_scale, secrets=SECRETS if secrets is None else secrets)
    for promise, reason in operations.unwatched:
        typer.echo(f"not watched: {promise}: {reason}", err=True)
    if not operations.notify.anybody:
        typer.echo("nobody is told: [notify] names no email, no Slack and no webhook", err=True)
    changed = differing(target, files, "DIRECTORY") if check else put(target, files, "DIRECTORY")
    for name in changed:
        typer.echo(f"{target / name}: {'is not what it should be' if check else 'written'}", err=check)
    if not changed:
        typer.echo(f"{target}: {len(files)} files are as they should be")
    elif check:
        raise typer.Exit(ExitStatus.BROKEN)

"""``jobctl deploy``: how a fleet is deployed, made from ``slo.toml``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobctl.cli.exit_status import ExitStatus
from jobctl.cli.help_panels import PanelledCommand
from jobctl.cli.rendering import Check, SloFile, compare_or_write

__all__ = ["deploy"]

deploy = typer.Typer(help="railway.json and its successor, made from slo.toml.", rich_markup_mode=None)


@deploy.command("render", cls=PanelledCommand, short_help="Make railway.json and .railway/railway.py from slo.toml.")
def render(
    directory: Annotated[
        str, typer.Argument(metavar="[DIRECTORY]", help="Where to; this one by default.", show_default=False)
    ] = ".",
    slo_file: SloFile = None,
    check: Check = False,
) -> None:
    """Write railway.json and .railway/railway.py, those that differ from what is there.

    What stands in railway.json beside the fleet's settings stays, and so do your lines in railway.py. A railway.json
    that starts another program, and a file of .railway/ that was not made here, are left alone.

    Exit code 99: with --check, a file is not what it should be.
    """
    from jobctl.wiring.deploy import rendered
    from jobctl.wiring.rendered import find_slo_file, read_operations

    operations = read_operations(find_slo_file(slo_file))
    target = Path(directory)
    made = rendered(operations, target)
    changed = compare_or_write(target, made.files, check=check)
    for name in [name for name in made.files if name not in changed]:
        typer.echo(f"{target / name}: as it should be")
    for note in made.notes:
        typer.echo(f"note: {note}.", err=True)
    if check and changed:
        raise typer.Exit(ExitStatus.BROKEN)

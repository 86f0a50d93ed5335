"""``jobctl deploy``: how the fleet is deployed, made from ``slo.toml``."""

from __future__ import annotations

import typer

__all__ = ["deploy"]

deploy = typer.Typer(help="railway.json and its successor, made from slo.toml.", rich_markup_mode=None)


@deploy.command("render")
def render() -> None:
    """Write the files that deploy a fleet, those that differ from what is there."""
    raise NotImplementedError

"""The options of ``jobctl plan`` that say what is asked, made from the plan's own list of inputs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from jobctl.apps.plan.request import INPUTS, Input
from jobctl.cli.options import parser

__all__ = ["with_inputs"]


def with_inputs(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each input of a plan, before its own.

    Args:
        command: Takes its own options by name, and the inputs as ``**inputs``; one that was not given is None.
    """
    own = inspect.signature(command, eval_str=True).parameters.values()
    kept = [parameter for parameter in own if parameter.kind is not inspect.Parameter.VAR_KEYWORD]
    told = [
        inspect.Parameter(entry.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_annotation(entry))
        for entry in INPUTS
    ]
    command.__signature__ = inspect.Signature([*told, *kept])  # type: ignore[attr-defined]
    return command


def _annotation(entry: Input) -> Any:
    option = typer.Option(
        entry.flag,
        parser=parser(entry.parse),
        metavar=entry.metavar,
        help=entry.meaning,
        rich_help_panel=entry.panel or None,
        show_default=False,
    )
    return Annotated[list[str] | None if entry.many else str | None, option]

"""The document of a command, where ``--json`` wants it."""

from __future__ import annotations

import json
from typing import Any

import typer

__all__ = ["write_document"]


def write_document(target: str | None, document: dict[str, Any]) -> None:
    """Write a document to a file, or to standard output for ``-``; nowhere for None.

    Raises:
        InvalidOption: The file cannot be written.
    """
    if target == "-":
        typer.echo(json.dumps(document, indent=2, allow_nan=False))
    elif target is not None:
        from jobctl.adapters.files import write_json

        write_json(target, document)

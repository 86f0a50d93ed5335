"""A comparison as a person sees it, made from its document alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from jobctl.apps.compare.words import cells_of

__all__ = ["render_comparison"]

_STYLES: Final = {
    "regression": "bold red",
    "improvement": "bold green",
    "no change": "bold green",
    "cannot tell": "bold yellow",
}


def render_comparison(console: Console, document: Mapping[str, Any]) -> None:
    """Print a ``jobctl.compare/1`` document: the verdict, why, and line by line."""
    console.print()
    console.print(f"{escape(document['new']['name'])} against {escape(document['baseline']['name'])}", highlight=False)
    console.print(Text(document["sentence"], style=_STYLES[document["finding"]]))
    for remark in (*document["reasons"], *document["differences"]):
        console.print(f"  - {escape(remark)}", highlight=False)
    console.print()
    console.print(_table(document), highlight=False)


def _table(document: Mapping[str, Any]) -> Table:
    """The lines, those that decide marked."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("* decides", no_wrap=True)
    for head in ("baseline", "new", "change", "interval"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("finding", no_wrap=True, min_width=max(map(len, _STYLES)))
    for line in document["lines"]:
        table.add_row(
            f"{'*' if line['decides'] else ' '} {escape(line['name'])}",
            *cells_of(line),
            Text(line["finding"], style=_STYLES[line["finding"]] if line["decides"] else "dim"),
        )
    return table

"""``jobctl compare``: results of a bench against those of another."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from jobctl.cli.compare_options import AbsoluteFloor, ErrorFloor, RelativeFloor, floors_of, status_of
from jobctl.cli.consoles import open_console
from jobctl.cli.json_output import write_document
from jobctl.cli.options import Json, check_writable, parser
from jobctl.errors import InvalidOption, InvalidValue

__all__ = ["compare"]

_MAY_DIFFER: Final = ("config", "host")


def _check_kinds(text: str) -> str:
    for kind in _kinds(text):
        if kind not in _MAY_DIFFER:
            raise InvalidValue(
                f"{kind!r} is nothing that may differ", f"give {' or '.join(_MAY_DIFFER)}, or both with a comma"
            )
    return text


def _kinds(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")]


def compare(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="BASELINE NEW [BASELINE NEW]...", help="Results of jobctl bench --json; further pairs are repeats."
        ),
    ],
    relative_floor: RelativeFloor = None,
    absolute_floor: AbsoluteFloor = None,
    error_floor: ErrorFloor = None,
    allow_different: Annotated[
        str | None,
        typer.Option(
            "--allow-different",
            parser=parser(_check_kinds),
            metavar="WHAT",
            help="Compare although these differ: config, host, or both with a comma.",
            show_default=False,
        ),
    ] = None,
    json_target: Json = None,
    markdown: Annotated[
        str | None, typer.Option("--markdown", metavar="FILE", help="Write it as Markdown; - for standard output.")
    ] = None,
) -> None:
    """Say whether a new version is worse than the one before, from results of jobctl bench.

    Both of a pair must have been asked for the same load on the same machine. Give repeats as further pairs: a
    regression counts for sure once the second half of the pairs shows it too.

    A run that broke its own promises or gates is named; its bench has exited with that.

    Exit code 0: no regression; 97: cannot tell; 98: a regression.
    """
    check_writable(json_target)
    check_writable(markdown, "--markdown")
    if markdown is not None and markdown == json_target:
        raise InvalidOption("--markdown", "needs a place of its own", "give another path than --json")
    from jobctl.apps.compare.report import to_document, to_markdown
    from jobctl.cli.compare_render import render_comparison
    from jobctl.wiring.compare import compare_files

    compared = compare_files(
        files, floors_of(relative_floor, absolute_floor, error_floor), _kinds(allow_different or "")
    )
    comparison = compared.comparison
    document = to_document(comparison, compared.baseline, compared.new, compared.differences)
    write_document(json_target, document)
    if markdown is not None:
        _write_text(markdown, to_markdown(document))
    render_comparison(open_console(aside="-" in {json_target, markdown}), document)
    raise typer.Exit(status_of(comparison.finding))


def _write_text(target: str, text: str) -> None:
    from jobctl.adapters.files import replace_text

    if target == "-":
        typer.echo(text, nl=False)
    else:
        replace_text(target, text, "--markdown")

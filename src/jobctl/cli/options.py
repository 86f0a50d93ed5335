"""Options that several commands share, each declared once, and the bridge from our parsers to the command line."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from jobctl.core.units import parse_count, parse_positive_duration, parse_whole
from jobctl.errors import InvalidOption, InvalidValue
from jobctl.settings import FIELDS

__all__ = [
    "Concurrency",
    "Json",
    "OpenRouterUrl",
    "PerDay",
    "Queues",
    "Rate",
    "RedisUrl",
    "Seed",
    "ServiceTime",
    "check_writable",
    "parser",
    "setting",
]

T = TypeVar("T")


def parser(parse: Callable[[str], T]) -> Callable[[str], T]:
    """Make one of our parsers speak the command line's error language: the option's name is added there."""

    @wraps(parse)
    def parse_option(text: str) -> T:
        if not isinstance(text, str):  # a default goes through here as well
            return text
        try:
            return parse(text)
        except InvalidValue as error:
            raise typer.BadParameter(str(error)) from None

    return parse_option


def setting(name: str, metavar: str, text: str) -> Any:
    """An option that fills a setting: the same parser and flag, unset by default so that lower levels show through."""
    field = next(field for field in FIELDS if field.name == name)
    default = "" if field.default is None else f" [default: {_shown(field.default)}]"
    return typer.Option(
        field.flag,
        parser=parser(field.parse),
        metavar=metavar,
        help=f"{text}{default} [env: {field.env}]",
        show_default=False,
    )


def check_writable(target: str | None, option: str = "--json") -> None:
    """Refuse an output file whose directory does not exist, before any work is done."""
    if target not in {None, "-"} and not Path(str(target)).parent.is_dir():
        raise InvalidOption(option, f"there is no directory {str(Path(str(target)).parent)!r}", "create it first")


def _shown(value: object) -> str:
    return (
        ",".join(map(str, value))
        if isinstance(value, tuple)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


RedisUrl = Annotated[
    str | None, setting("redis_url", "URL", "Redis to use; without one an embedded server is started.")
]
Queues = Annotated[tuple[str, ...] | None, setting("queues", "NAMES", "Queues, most urgent first, commas between.")]
Concurrency = Annotated[int | None, setting("concurrency", "N", "Jobs in flight in one worker.")]
OpenRouterUrl = Annotated[str | None, setting("openrouter_url", "URL", "OpenRouter API that the jobs call.")]
PerDay = Annotated[
    float | None,
    typer.Option("--per-day", parser=parser(parse_count), metavar="JOBS", help="Volume: jobs per day (450000, 450k)."),
]
Rate = Annotated[
    float | None,
    typer.Option(
        "--rate", parser=parser(parse_count), metavar="JOBS/S", help="Volume: jobs per second, instead of --per-day."
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        "--seed",
        parser=parser(lambda text: parse_whole(text, minimum=0)),
        metavar="N",
        help="Seed of everything random.",
    ),
]
Json = Annotated[
    str | None,
    typer.Option(
        "--json", metavar="FILE", help="Write the result as JSON to FILE; - for standard output.", show_default=False
    ),
]
ServiceTime = Annotated[
    float | None,
    typer.Option(
        "--service-time",
        parser=parser(parse_positive_duration),
        metavar="DURATION",
        help="Mean time a job holds a slot (8s, 250ms).",
    ),
]

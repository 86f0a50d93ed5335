"""A plan's answer, written into the ``[fleet]`` of a ``slo.toml`` that somebody else wrote.

Lines are changed where they stand and nowhere else: a value is replaced, with its comment left in its column, and a key
that is missing goes behind the last one of the table. The result is read again before anything is done with it: unless
it says just what the file said, but for what was to change, the file is refused and the reader told what to write.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any, Final

from jobctl.apps.plan.railway import replicas_of
from jobctl.core.operations import parse_operations
from jobctl.core.plans import Plan
from jobctl.core.rewriting import Rewrite, mean_the_same, unified_diff
from jobctl.errors import InvalidValue

__all__ = ["NEXT_STEP", "check_slo_file", "rewrite_slo_file"]

#: What to do with the file.
NEXT_STEP: Final = (
    "jobctl deploy render and jobctl monitoring render make of it what runs the fleet and what watches it"
)
_TABLE: Final = re.compile(r"^\s*\[\s*(?P<name>[^\[\]]+?)\s*\]\s*(#.*)?$")
_ANY_TABLE: Final = re.compile(r"^\s*\[")
#: A key and a value on one line: a text without escapes, or a bare value; then blanks and a comment.
_LINE: Final = re.compile(
    r"""^(?P<head>\s*(?P<key>[\w-]+)\s*=\s*)(?P<value>"[^"\\]*"|'[^']*'|[^\s"'\[{#]+)(?P<gap>\s*)(?P<comment>\#.*)?$"""
)


def check_slo_file(existing: str, name: str) -> None:
    """Refuse a file that is no ``slo.toml``.

    Raises:
        InvalidValue: It is not TOML, or something in it means nothing.
    """
    parse_operations(_decoded(existing, name))


def rewrite_slo_file(existing: str, plan: Plan, name: str) -> Rewrite:
    """The file with the plan's fleet: replicas, slots and, where the plan knows them, job timeout and connections.

    Args:
        existing: The file's text.
        plan: The plan; one whose number is on the edge gives the larger one.
        name: The file's name, for the diff and for errors.

    Raises:
        InvalidValue: It is no ``slo.toml``, or is written in a way that cannot be changed by the line.
    """
    content = _decoded(existing, name)
    parse_operations(content)
    fleet = content.get("fleet", {})
    wanted = {key: value for key, value in _fleet_of(plan).items() if not _same(fleet.get(key), value)}
    text = _with_values(existing, wanted)
    if not _says(text, {**content, "fleet": {**fleet, **wanted}}):
        asked = ", ".join(f"{key} = {_literal(value)}" for key, value in wanted.items())
        raise InvalidValue(f"{name} cannot be changed line by line", f"write into its [fleet]: {asked}")
    return Rewrite(text, unified_diff(existing, text, name))


def _fleet_of(plan: Plan) -> dict[str, Any]:
    demand = plan.demand
    values = {
        "replicas": replicas_of(plan),
        "concurrency": demand.concurrency,
        "job_timeout": None if demand.job_timeout_s is None else f"{demand.job_timeout_s:.10g}s",
        "db_pool_size": demand.database.connections_per_replica,
    }
    return {key: value for key, value in values.items() if value is not None}


def _same(given: Any, value: Any) -> bool:
    """Whether a value of the file means the same: ``"3m"`` is ``"180s"``, and ``"2"`` is 2."""
    return given is not None and not isinstance(given, bool) and mean_the_same(str(given), str(value))


def _decoded(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidValue(f"{name} is not TOML ({error})", "mend the file") from None


def _says(text: str, content: Mapping[str, Any]) -> bool:
    try:
        return tomllib.loads(text) == content
    except tomllib.TOMLDecodeError:
        return False


def _with_values(text: str, wanted: Mapping[str, Any]) -> str:
    """The text with values set in its ``[fleet]``, which is added where there is none."""
    if not wanted:
        return text
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = text.split(newline)
    begin = next((at for at, line in enumerate(lines) if _is_fleet(line)), None)
    if begin is None:
        while lines and not lines[-1].strip():
            lines.pop()
        table = ["", "[fleet]", *(f"{key} = {_literal(value)}" for key, value in wanted.items()), ""]
        return newline.join([*lines, *table])
    after = range(begin + 1, len(lines))
    end = next((at for at in after if _ANY_TABLE.match(lines[at])), len(lines))
    last, missing = begin, dict(wanted)
    for at in range(begin + 1, end):
        found = _LINE.match(lines[at])
        if found is None:
            continue
        last = at
        if found["key"] in missing:
            lines[at] = _changed(found, _literal(missing.pop(found["key"])))
    lines[last + 1 : last + 1] = [f"{key} = {_literal(value)}" for key, value in missing.items()]
    return newline.join(lines)


def _is_fleet(line: str) -> bool:
    table = _TABLE.match(line)
    return table is not None and table["name"].strip("\"'") == "fleet"


def _changed(line: re.Match[str], value: str) -> str:
    """A line with another value, and its comment where it was."""
    start = line["head"] + value
    if not line["comment"]:
        return start + line["gap"]
    return start.ljust(line.start("comment") - 1) + " " + line["comment"]


def _literal(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)

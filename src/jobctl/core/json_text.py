"""Setting a value in a JSON text without laying the rest out anew.

A value is replaced where it stands; a new member goes behind the last one of its object, laid out like that one.
Everything else stays as it is, blanks and blank lines included.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["with_value"]

_DECODER: Final = json.JSONDecoder()
#: What stands before a member: its line's end and indentation, or blanks.
_GAP: Final = re.compile(r"(?:\r?\n)?[ \t]*\Z")


@dataclass(frozen=True, slots=True)
class _Member:
    """Where a member of an object stands in the text: its key, its value and its value's end."""

    key: str
    key_at: int
    key_end: int
    value_at: int
    value_end: int


def with_value(text: str, path: Sequence[str], value: Any) -> str:
    """The text with a value set; objects on the way to it are made where there are none.

    Args:
        text: JSON, an object outside, no key twice in one object.
        path: The keys that lead to the value.
        value: What belongs there.
    """
    at = _skip(text, 0)
    for depth, key in enumerate(path):
        members = _members(text, at)
        found = next((member for member in members if member.key == key), None)
        rest = path[depth + 1 :]
        if found is None:
            return _with_member(text, at, members, key, _nested(rest, value))
        if not rest or text[found.value_at] != "{":
            new = _layout(text, found.key_at, _nested(rest, value))
            return text[: found.value_at] + new + text[found.value_end :]
        at = found.value_at
    return text


def _nested(path: Sequence[str], value: Any) -> Any:
    for key in reversed(path):
        value = {key: value}
    return value


def _members(text: str, at: int) -> list[_Member]:
    """The members of the object that begins at a place in a text that is known to be JSON."""
    members = []
    at = _skip(text, at + 1)
    while text[at] == '"':
        key, key_end = _DECODER.raw_decode(text, at)
        value_at = _skip(text, _skip(text, key_end) + 1)
        _, value_end = _DECODER.raw_decode(text, value_at)
        members.append(_Member(key, at, key_end, value_at, value_end))
        at = _skip(text, value_end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return members


def _with_member(text: str, at: int, members: Sequence[_Member], key: str, value: Any) -> str:
    """The text with one more member in the object that begins at a place, laid out like the last one."""
    if not members:
        _, end = _DECODER.raw_decode(text, at)
        return text[:at] + _layout(text, at, {key: value}) + text[end:]
    last = members[-1]
    gap = _GAP.search(text[: last.key_at])[0]  # type: ignore[index]  # it may be empty, so it is always there
    colon = text[last.key_end : last.value_at]
    if not gap and colon.endswith(" "):
        gap = " "
    member = f"{json.dumps(key)}{colon}{_layout(text, last.key_at, value)}"
    return f"{text[: last.value_end]},{gap}{member}{text[last.value_end :]}"


def _layout(text: str, at: int, value: Any) -> str:
    """A value as JSON, on several lines where the text has several, indented like the line of that place."""
    indented = re.search(r"\n([ \t]+)\S", text)
    if indented is None:
        return json.dumps(value, ensure_ascii=False)
    line = text[text.rfind("\n", 0, at) + 1 : at]
    newline = "\r\n" if "\r\n" in text else "\n"
    margin = line[: len(line) - len(line.lstrip())]
    return json.dumps(value, ensure_ascii=False, indent=indented[1]).replace("\n", newline + margin)


def _skip(text: str, at: int) -> int:
    """The place of the next character that is no blank."""
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at

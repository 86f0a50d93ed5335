"""Values that fit a JSON schema, so that structured outputs and tool calls can be parsed by whoever asked for them.

The plain parts of JSON Schema are understood: type, properties and required, items, enum, const, default, anyOf, oneOf,
allOf and local references, the usual formats, and the bounds of figures, lengths and lists. Patterns, multiples and
tuples are not; optional properties are left out.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

__all__ = ["sample"]

#: References are followed this deep, for a schema may contain itself.
_DEPTH: Final = 12
_MOST_ITEMS: Final = 10
#: The same far down, where lists within lists multiply.
_MOST_DEEP_ITEMS: Final = 3
_LONGEST: Final = 10_000
_PLAIN: Final[Mapping[str, Any]] = {"boolean": True, "null": None}
#: What strings of a format say.
_FORMATS: Final[Mapping[str, str]] = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "duration": "PT1H",
    "email": "mock@example.com",
    "hostname": "example.com",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
    "time": "12:00:00Z",
    "uri": "https://example.com/",
    "uuid": "123e4567-e89b-42d3-a456-426614174000",
}
#: How a figure keeps a bound.
_KEEPS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "minimum": operator.ge,
    "exclusiveMinimum": operator.gt,
    "maximum": operator.le,
    "exclusiveMaximum": operator.lt,
}
#: Bounds beyond this size are no bounds: sums of them could overflow.
_LARGEST: Final = 1e300


def sample(schema: Any, text: str, root: Any = None, depth: int = _DEPTH) -> Any:
    """A value that fits a schema.

    Args:
        schema: The schema; what is none is fitted by the text.
        text: What strings say.
        root: Where references begin; the schema itself when None.
        depth: How many levels may follow.
    """
    root = schema if root is None else root
    if not isinstance(schema, dict) or depth == 0:
        return text
    for word in ("const", "default"):
        if word in schema:
            return schema[word]
    for word in ("enum", "anyOf", "oneOf", "allOf", "$ref"):
        found = _first(schema, word, root)
        if found is not None:
            return found if word == "enum" else sample(found, text, root, depth - 1)
    return _of_type(schema, text, root, depth - 1)


def _first(schema: Mapping[str, Any], word: str, root: Any) -> Any:
    """The first choice that a keyword offers; None when it is not there."""
    value = schema.get(word)
    if word == "$ref" and isinstance(value, str):
        for part in value.removeprefix("#").strip("/").split("/"):
            root = root.get(part) if isinstance(root, dict) else None
        return root
    return value[0] if isinstance(value, list) and value else None


def _of_type(schema: Mapping[str, Any], text: str, root: Any, depth: int) -> Any:
    kinds = schema.get("type", "object" if "properties" in schema else "string")
    kind = kinds[0] if isinstance(kinds, list) and kinds else kinds
    if kind == "object":
        properties, required = schema.get("properties"), schema.get("required")
        members = properties if isinstance(properties, dict) else {}
        wanted = members if not isinstance(required, list) else [name for name in members if name in required]
        return {name: sample(members[name], text, root, depth) for name in wanted}
    if kind == "array":
        most = min(_MOST_ITEMS if depth >= _DEPTH // 2 else _MOST_DEEP_ITEMS, _size(schema, "maxItems", _MOST_ITEMS))
        count = min(max(_size(schema, "minItems", 1), 1), most)
        return [sample(schema.get("items"), text, root, depth)] * count
    if kind in ("integer", "number"):
        return _figure(schema, whole=kind == "integer")
    if not isinstance(kind, str) or kind not in _PLAIN:
        return _string(schema, text)
    return _PLAIN[kind]


def _string(schema: Mapping[str, Any], text: str) -> str:
    """A string of the schema's format, else the text at a length that fits."""
    form = schema.get("format")
    if isinstance(form, str) and form in _FORMATS:
        return _FORMATS[form]
    least = min(_size(schema, "minLength", 0), _LONGEST)
    return text.ljust(least, ".")[: _size(schema, "maxLength", len(text) + least)]


def _figure(schema: Mapping[str, Any], *, whole: bool) -> float:
    """The first of a few figures that keeps the bounds: 1, those at a bound, the middle; 1 where none does."""
    bounds: dict[str, float] = {word: schema[word] for word in _KEEPS if _is_figure(schema.get(word))}
    near = [bound + step for bound in bounds.values() for step in (0, 1, -1)]
    figures = [1, *near] if whole else [1.0, *near, sum(bounds.values()) / max(len(bounds), 1)]
    fitting = (
        figure
        for figure in figures
        if not (whole and figure % 1) and all(_KEEPS[word](figure, bound) for word, bound in bounds.items())
    )
    return next(fitting, figures[0])


def _is_figure(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST


def _size(schema: Mapping[str, Any], word: str, otherwise: int) -> int:
    """A bound of a length, if the schema has one."""
    value = schema.get(word)
    return value if isinstance(value, int) and value >= 0 else otherwise

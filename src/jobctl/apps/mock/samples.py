"""Values that fit a JSON schema, so that structured outputs and tool calls can be parsed by whoever asked for them.

The plain parts of JSON Schema are understood: type, properties and required, items, enum, const, default, anyOf, oneOf,
allOf and local references. Of bounds, only the lower ones are kept; optional properties are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["sample"]

#: References are followed this deep, for a schema may contain itself.
_DEPTH: Final = 12
_MOST_ITEMS: Final = 3
_PLAIN: Final[Mapping[str, Any]] = {"integer": 1, "number": 1.0, "boolean": True, "null": None}


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
        least = schema.get("minItems")
        return [sample(schema.get("items"), text, root, depth)] * (
            min(least, _MOST_ITEMS) if isinstance(least, int) else 1
        )
    if kind in ("integer", "number"):
        return schema.get("minimum", _PLAIN[kind])
    return _PLAIN.get(kind, text) if isinstance(kind, str) else text

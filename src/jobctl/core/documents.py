"""Reading a document of ours that came back as decoded JSON: nothing in it is taken on trust.

A key that is missing counts as null, so that documents of earlier releases are read too; a value of the wrong kind is
an error that names its place. Neither NaN nor an infinite number ever comes out.

:func:`settle` holds a whole document against its JSON Schema and fills in what earlier releases did not write, so that
whoever has it afterwards may rely on every key. It knows the few words of JSON Schema that our own schemas use.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from jobctl.errors import InvalidValue

__all__ = ["BENCH_SCHEMA", "Fields", "bench_fields", "settle"]

T = TypeVar("T")

#: The document that a bench writes.
BENCH_SCHEMA: Final = "jobctl.bench/1"
#: A number beyond this is none that was measured, and arithmetic with it would end in infinity.
_GREATEST: Final = 1e300
_REMEDY: Final = "give the file as jobctl bench wrote it"
#: Characters of a value that a message shows.
_LONGEST_SHOWN: Final = 40


def bench_fields(document: object, name: str) -> Fields:
    """The values of a bench's document.

    Args:
        document: The JSON, decoded.
        name: The file's, for messages.

    Raises:
        InvalidValue: It is something else.
    """
    schema = document.get("schema") if isinstance(document, Mapping) else None
    if not isinstance(document, Mapping) or schema != BENCH_SCHEMA:
        what = f"a document of {schema}" if isinstance(schema, str) else "no result of a bench"
        raise InvalidValue(f"{name} is {what}", f"give what jobctl bench --json FILE wrote ({BENCH_SCHEMA})")
    return Fields(document, name)


class Fields:
    """Values of a document by their paths.

    Args:
        document: A JSON object.
        name: What messages call it.
        place: Where it stands in the whole document.
    """

    def __init__(self, document: Mapping[str, Any], name: str, place: tuple[str, ...] = ()) -> None:
        self._document = document
        self._name = name
        self._place = place

    def number(self, *path: str, least: float = 0.0) -> float | None:
        """A finite number of at least ``least``, or None."""
        return self._checked(path, self._at(path), least)

    def whole(self, *path: str) -> int | None:
        """A whole number above 0; None for null or 0."""
        return self.count(*path) or None

    def count(self, *path: str) -> int | None:
        """A whole number of at least 0, or None."""
        value = self.number(*path)
        if value is not None and value != int(value):
            raise self._wrong(path, value, "a whole number")
        return None if value is None else int(value)

    def needed_number(self, *path: str, least: float = 0.0) -> float:
        """A finite number of at least ``least``; the document is none without it."""
        return self._needed(path, self.number(*path, least=least))

    def needed_count(self, *path: str) -> int:
        """A whole number of at least 0; the document is none without it."""
        return self._needed(path, self.count(*path))

    def text(self, *path: str) -> str:
        """A text."""
        value = self.text_or_none(*path)
        if value is None:
            raise self._wrong(path, None, "a text")
        return value

    def text_or_none(self, *path: str) -> str | None:
        """A text, or None."""
        value = self._at(path)
        if value is not None and not isinstance(value, str):
            raise self._wrong(path, value, "a text")
        return value

    def flag(self, *path: str) -> bool:
        """True or false; false where it is missing."""
        value = self._at(path)
        if value is not None and not isinstance(value, bool):
            raise self._wrong(path, value, "true or false")
        return bool(value)

    def inside(self, *path: str) -> Fields | None:
        """An object, or None."""
        value = self._at(path)
        return None if value is None else self._object(value, path)

    def rows(self, *path: str) -> tuple[Fields, ...]:
        """A list of objects; empty where it is missing."""
        return tuple(self._object(row, (*path, str(place))) for place, row in enumerate(self._list(path)))

    def texts(self, *path: str) -> tuple[str, ...]:
        """A list of texts; empty where it is missing."""
        values = self._list(path)
        for place, value in enumerate(values):
            if not isinstance(value, str):
                raise self._wrong((*path, str(place)), value, "a text")
        return tuple(values)

    def texts_or_nones(self, *path: str) -> tuple[str | None, ...]:
        """A list of texts and nulls; empty where it is missing."""
        values = self._list(path)
        for place, value in enumerate(values):
            if value is not None and not isinstance(value, str):
                raise self._wrong((*path, str(place)), value, "a text")
        return tuple(values)

    def numbers(self, *path: str, least: float = 0.0) -> tuple[float | None, ...]:
        """A list of finite numbers and nulls; empty where it is missing."""
        return self._numbers(path, self._list(path), least)

    def lists(self, *path: str, least: float = 0.0) -> tuple[tuple[float | None, ...], ...]:
        """A list of such lists; empty where it is missing."""
        rows = [((*path, str(place)), row) for place, row in enumerate(self._list(path))]
        return tuple(self._numbers(place, self._listed(place, row), least) for place, row in rows)

    def scalars(self, *path: str) -> dict[str, str | float | bool]:
        """What an object has of texts, finite numbers and truths, by their keys and in its order."""
        fields = self.inside(*path)
        found = {} if fields is None else fields._document
        return {key: value for key, value in found.items() if isinstance(value, str) or _is_finite(value)}

    def everything(self, *path: str) -> dict[str, Any]:
        """All that an object has, lists and objects too, by its keys and in its order; nulls are left out."""
        fields = self.inside(*path)
        found = {} if fields is None else fields._document
        return {key: value for key, value in found.items() if value is not None}

    def keys(self, *path: str) -> tuple[str, ...]:
        """The keys of an object; empty where it is missing."""
        fields = self.inside(*path)
        return () if fields is None else tuple(fields._document)

    def _at(self, path: Sequence[str]) -> Any:
        value: Any = self._document
        for key in path:
            if value is None:
                return None
            if not isinstance(value, Mapping):
                raise self._wrong(path, value, "inside an object")
            value = value.get(key)
        return value

    def _numbers(self, path: Sequence[str], values: Sequence[Any], least: float) -> tuple[float | None, ...]:
        return tuple(self._checked((*path, str(place)), value, least) for place, value in enumerate(values))

    def _checked(self, path: Sequence[str], value: Any, least: float) -> float | None:
        if value is None:
            return None
        if isinstance(value, bool) or not _is_finite(value) or value < least:
            wanted = "a finite number" if least == -math.inf else f"a number of at least {least:g}"
            raise self._wrong(path, value, wanted)
        number: float = value
        return number

    def _needed(self, path: Sequence[str], value: T | None) -> T:
        if value is None:
            raise InvalidValue(f"{self._name} lacks {'.'.join((*self._place, *path))}", _REMEDY)
        return value

    def _object(self, value: Any, path: Sequence[str]) -> Fields:
        if not isinstance(value, Mapping):
            raise self._wrong(path, value, "an object")
        return Fields(value, self._name, (*self._place, *path))

    def _list(self, path: Sequence[str]) -> Sequence[Any]:
        value = self._at(path)
        return () if value is None else self._listed(path, value)

    def _listed(self, path: Sequence[str], value: Any) -> Sequence[Any]:
        """A list; a document that was not written yet may have tuples in its place."""
        if not isinstance(value, list | tuple):
            raise self._wrong(path, value, "a list")
        return value

    def _wrong(self, path: Sequence[str], value: object, wanted: str) -> InvalidValue:
        shown = repr(value) if len(repr(value)) <= _LONGEST_SHOWN else type(value).__name__
        return InvalidValue(
            f"{self._name}: {'.'.join((*self._place, *path))} is {shown}, not {wanted}",
            _REMEDY,
        )


def settle(document: Mapping[str, Any], schema: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A document that is complete by its schema.

    Keys that it lacks and the schema does not require become null, or an empty list where null is not allowed. Keys
    that the schema does not know are of a later release and stay.

    Args:
        document: The JSON, decoded.
        schema: The JSON Schema of its kind.
        name: The file's, for messages.

    Raises:
        InvalidValue: A value is none that the schema allows.
    """
    settled: dict[str, Any] = _Settling(schema.get("$defs", {}), name).settled(document, schema, ())
    return settled


#: What a JSON value of each type of JSON Schema is in Python; a bool is an int to Python and to nobody else.
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "array": (list,),
    "object": (dict,),
}


class _Settling:
    """One document held against one schema.

    Args:
        definitions: The schemas that others refer to.
        name: Of the document.
    """

    def __init__(self, definitions: Mapping[str, Any], name: str) -> None:
        self._definitions = definitions
        self._name = name

    def settled(self, value: Any, schema: Mapping[str, Any], place: tuple[str, ...]) -> Any:
        if "oneOf" in schema:
            fitting = (one for one in schema["oneOf"] if _is_allowed(value, self._resolved(one)))
            schema = next(fitting, schema["oneOf"][0])
        schema = self._resolved(schema)
        if not _is_allowed(value, schema):
            shown = repr(value) if len(repr(value)) <= _LONGEST_SHOWN else type(value).__name__
            raise InvalidValue(
                f"{self._name}: {'.'.join(place) or 'the document'} is {shown}, which it cannot be",
                "give the file as jobctl wrote it",
            )
        if isinstance(value, list):
            items = schema.get("items", {})
            return [self.settled(inner, items, (*place, str(number))) for number, inner in enumerate(value)]
        return self._object(value, schema, place) if isinstance(value, dict) else value

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        return found

    def _object(self, value: dict[str, Any], schema: Mapping[str, Any], place: tuple[str, ...]) -> dict[str, Any]:
        known, others = schema.get("properties", {}), schema.get("additionalProperties")
        rest = others if isinstance(others, Mapping) else {}
        settled = {key: self.settled(inner, known.get(key, rest), (*place, key)) for key, inner in value.items()}
        for key in (key for key in known if key not in value):
            if key in schema.get("required", ()):
                raise InvalidValue(f"{self._name} lacks {'.'.join((*place, key))}", "give the file as jobctl wrote it")
            settled[key] = [] if _types_of(known[key]) == ("array",) else None
        return settled


def _is_allowed(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a value by itself is one, whatever is inside it."""
    types = _types_of(schema)
    if types and not any(_is_a(value, kind) for kind in types):
        return False
    if ("enum" in schema and value not in schema["enum"]) or ("const" in schema and value != schema["const"]):
        return False
    if _is_a(value, "number"):
        low, high = schema.get("minimum", -_GREATEST), schema.get("maximum", _GREATEST)
        return bool(low <= value <= high and value > schema.get("exclusiveMinimum", -math.inf))
    if isinstance(value, list):
        return bool(schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", math.inf))
    return True


def _types_of(schema: Mapping[str, Any]) -> tuple[str, ...]:
    types = schema.get("type", ())
    return (types,) if isinstance(types, str) else tuple(types)


def _is_a(value: object, kind: str) -> bool:
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) <= _GREATEST

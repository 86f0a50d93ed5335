from __future__ import annotations

import json
import math
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from jobctl.core.documents import Fields, bench_fields, settle
from jobctl.errors import InvalidValue
from support.whole_documents import make_document

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=10,
)
READERS: tuple[Callable[[Fields], Any], ...] = (
    lambda read: read.number("a"),
    lambda read: read.count("a", "b"),
    lambda read: read.whole("a"),
    lambda read: read.text("a"),
    lambda read: read.text_or_none("a", "b"),
    lambda read: read.flag("a"),
    lambda read: read.inside("a"),
    lambda read: read.rows("a"),
    lambda read: read.texts("a"),
    lambda read: read.numbers("a"),
    lambda read: read.lists("a"),
    lambda read: read.scalars("a"),
    lambda read: read.everything("a"),
    lambda read: read.keys("a", "b"),
)


def fields(value: Any) -> Fields:
    return Fields({"a": value}, "r.json")


@given(JSON, st.sampled_from(READERS))
def test_whatever_stands_there_is_read_or_refused_in_one_line(value: Any, read: Callable[[Fields], Any]) -> None:
    try:
        read(fields(value))
    except InvalidValue as error:
        refusal = error
    else:
        return
    assert "r.json: a" in refusal.problem


@given(st.integers() | st.floats())
def test_a_number_that_comes_out_is_finite_and_not_negative(value: float) -> None:
    try:
        read = fields(value).number("a")
    except InvalidValue:
        assert not 0 <= value <= 1e300
    else:
        assert read == value
        assert 0 <= value < math.inf


def test_a_missing_key_is_null_all_the_way_down() -> None:
    read = Fields({}, "r.json")

    assert (read.number("a", "b"), read.count("a"), read.text_or_none("a"), read.inside("a", "b", "c")) == (None,) * 4
    assert (read.rows("a"), read.texts("a"), read.numbers("a"), read.lists("a"), read.keys("a")) == ((),) * 5
    assert (read.flag("a"), read.scalars("a"), read.everything("a")) == (False, {}, {})


def test_an_error_names_the_whole_place() -> None:
    row = Fields({"gates": [{"value": 1}, {"value": "fast"}]}, "r.json").rows("gates")[1]
    with pytest.raises(InvalidValue, match=r"r\.json: gates\.1\.value is 'fast', not a number of at least 0"):
        row.number("value")


def test_everything_of_an_object_is_there_but_its_nulls() -> None:
    mix = [{"job": "chat", "queue": None}]

    assert fields({"seed": 1, "scenario": None, "mix": mix}).everything("a") == {"seed": 1, "mix": mix}


@pytest.mark.parametrize("document", [None, 1, "x", [], {}, {"schema": 5}, {"schema": "jobctl.bench/2"}])
def test_only_a_bench_document_is_one(document: object) -> None:
    with pytest.raises(InvalidValue, match=r"r\.json is (no result of a bench|a document of)"):
        bench_fields(document, "r.json")


SCHEMA = json.loads(files("jobctl").joinpath("schemas/bench.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)
DOCUMENT = json.loads(json.dumps(make_document(duration_s=20.0, steps=6)))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value of a document; of a list those of its first."""
    items = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    return [path, *(place for key, inner in items for place in places(inner, (*path, key)))]


def test_a_whole_document_settles_to_itself() -> None:
    assert [error.message for error in VALIDATOR.iter_errors(DOCUMENT)] == []
    assert {key: settle(DOCUMENT, SCHEMA, "r.json")[key] for key in DOCUMENT} == DOCUMENT


@given(
    st.sampled_from([place for place in places(DOCUMENT) if place]),
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.floats(-2, 2)
    | st.sampled_from(["", "kept", [], {}, [1, 2], [[1]]]),
)
@settings(max_examples=120)
def test_it_allows_what_a_full_validator_allows(place: tuple[Any, ...], value: Any) -> None:
    document = json.loads(json.dumps(DOCUMENT))
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    strange = [error for error in VALIDATOR.iter_errors(document) if error.validator != "additionalProperties"]
    if strange:
        with pytest.raises(InvalidValue, match=r"^r\.json"):
            settle(document, SCHEMA, "r.json")
    else:
        settle(document, SCHEMA, "r.json")


def test_what_an_earlier_release_did_not_write_is_null_or_empty() -> None:
    earlier = {key: value for key, value in DOCUMENT.items() if key in SCHEMA["required"]}
    settled = settle(earlier, SCHEMA, "r.json")

    assert set(settled) == set(SCHEMA["properties"])
    assert (settled["aborted"], settled["timeline"], settled["gates"], settled["by_job"]) == (None, None, [], [])
    assert VALIDATOR.is_valid(settled)


def test_what_a_later_release_wrote_stays() -> None:
    assert settle({**DOCUMENT, "news": [1]}, SCHEMA, "r.json")["news"] == [1]


def test_a_required_key_is_missed_by_its_whole_place() -> None:
    document = {**DOCUMENT, "offered": {"jobs": 5}}
    with pytest.raises(InvalidValue, match=r"r\.json lacks offered\."):
        settle(document, SCHEMA, "r.json")


def words_of(schema: Any) -> set[str]:
    """The words of JSON Schema that a schema uses."""
    if isinstance(schema, list):
        return set().union(*map(words_of, schema))
    if not isinstance(schema, dict):
        return set()
    found = set(schema)
    for word, inner in schema.items():
        named = word in {"properties", "$defs"}
        found |= set().union(*map(words_of, inner.values())) if named else words_of(inner)
    return found


@pytest.mark.parametrize("name", ["bench", "compare"])
def test_the_schemas_that_are_settled_by_use_no_word_that_it_does_not_know(name: str) -> None:
    said = {"$schema", "$id", "title", "description", "format", "$defs"}
    held = {
        "type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "minItems", "maxItems", "items",
        "properties", "required", "additionalProperties", "oneOf", "$ref",
    }  # fmt: skip
    schema = json.loads(files("jobctl").joinpath("schemas", f"{name}.json").read_text(encoding="utf-8"))

    assert words_of(schema) <= said | held

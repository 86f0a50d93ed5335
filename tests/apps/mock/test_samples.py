from __future__ import annotations

import json
from datetime import date, datetime, time
from ipaddress import ip_address
from typing import Any
from uuid import UUID

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.apps.mock.samples import sample

TREE = {
    "$ref": "#/$defs/Node",
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
            },
            "required": ["name"],
        }
    },
}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object", "properties": {"a": {"type": "integer", "minimum": 5}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "boolean"}, "c": {"type": "null"}}},
        {"properties": {"a": {"enum": ["x", "y"]}, "b": {"const": 3}, "c": {"default": "z"}}},
        {"type": "array", "items": {"type": "string"}, "minItems": 5},
        {"type": "array", "maxItems": 0},
        {"type": "string", "minLength": 9},
        {"type": "string", "maxLength": 3},
        {"type": "integer", "minimum": -(2**53), "exclusiveMaximum": 0},
        {"type": "integer", "exclusiveMinimum": 0.5, "maximum": 1},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        {"type": ["string", "null"]},
        {"allOf": [{"$ref": "#/$defs/A"}], "$defs": {"A": {"type": "array", "items": {"type": "integer"}}}},
        TREE,
    ],
)
def test_a_sample_fits_its_schema(schema: dict[str, Any]) -> None:
    jsonschema.validate(sample(schema, "text"), schema)


def test_dates_and_ids_and_addresses_are_what_python_reads_as_such() -> None:
    readers = {
        "date": date.fromisoformat,
        "date-time": datetime.fromisoformat,
        "time": time.fromisoformat,
        "uuid": UUID,
        "ipv4": ip_address,
        "ipv6": ip_address,
    }
    for form, read in readers.items():
        read(sample({"type": "string", "format": form}, "text"))


def test_figures_are_plain_where_they_may_be() -> None:
    assert sample({"type": "integer", "minimum": -(2**53), "maximum": 2**53}, "text") == 1


def test_strings_say_the_text_and_optional_members_are_left_out() -> None:
    assert sample(TREE, "text") == {"name": "text"}


def test_a_schema_that_contains_itself_ends() -> None:
    loop = {"type": "object", "properties": {"self": {"$ref": "#"}}, "required": ["self"]}
    assert json.dumps(sample(loop, "end")).count("self") < 12


@settings(max_examples=50)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=6),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "type",
                        "properties",
                        "required",
                        "items",
                        "minItems",
                        "enum",
                        "anyOf",
                        "$ref",
                        "minimum",
                        "format",
                    ]
                ),
                inner
                | st.sampled_from(["object", "array", "integer", "number", "date", "#", "#/properties/type", 1e400]),
                max_size=3,
            )
        ),
        max_leaves=8,
    )
)
def test_whatever_the_schema_the_sample_is_json(schema: Any) -> None:
    json.dumps(sample(schema, "text"))

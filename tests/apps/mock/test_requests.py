from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.apps.mock.catalog import CATALOG, Catalog
from jobctl.apps.mock.errors import ApiError
from jobctl.apps.mock.requests import ChatRequest, Reader, read_chat, read_completion, read_embeddings, read_responses

MODEL = "openai/gpt-4o-mini"
EMBEDDER = "openai/text-embedding-3-small"
#: With a model that makes text as well as embeddings.
WIDER = Catalog(["acme/both"])
HELLO = [{"role": "user", "content": "hello"}]
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
#: Bodies whose keys are known and whose values are anything, so that every branch meets every kind of value.
FIELDS = [
    *("model", "models", "messages", "prompt", "max_tokens", "max_completion_tokens", "stream", "temperature", "top_p"),
    *("stop", "metadata", "session_id", "response_format", "tools", "tool_choice"),
    *("input", "dimensions", "encoding_format", "text", "instructions"),
]
GOOD = {"model": "acme/both", "messages": HELLO, "prompt": "hello", "input": "hello"}
MESSAGE = st.dictionaries(st.sampled_from(["role", "content"]), JSON | st.sampled_from(["user", "tool"]), max_size=2)
NESTED = st.dictionaries(st.sampled_from(["type", "function", "name", "json_schema", "schema"]), JSON, max_size=3)
BODY = JSON | st.dictionaries(st.sampled_from(FIELDS), JSON | NESTED | st.lists(MESSAGE | NESTED, max_size=3)).map(
    lambda given: {**GOOD, **given}
)


def chat(**fields: Any) -> ChatRequest:
    return read_chat({"model": MODEL, "messages": HELLO, **fields})


def answer_to(read: Reader, body: Any) -> ChatRequest | ApiError:
    try:
        return read(body, WIDER)
    except ApiError as error:
        return error


@given(BODY)
def test_any_json_is_read_or_refused_as_the_callers_fault(body: Any) -> None:
    for read in (read_chat, read_completion, read_embeddings, read_responses):
        answer = answer_to(read, body)
        if isinstance(answer, ApiError):
            assert answer.code in {400, 404}
            json.dumps(answer.to_document())
        else:
            assert answer.candidates
            assert 1 <= answer.max_tokens <= 16384
            assert answer.tool is None or isinstance(answer.tool, str)


def test_unknown_keys_and_nulls_are_ignored() -> None:
    asked = chat(
        reasoning={"effort": "low"}, route="fallback", temperature=None, stop=None, max_tokens=None, stream=None
    )
    assert asked == chat()


@pytest.mark.parametrize(
    "body",
    [None, [], "text", {}, {"model": MODEL}, {"model": MODEL, "messages": []}, {"model": MODEL, "messages": "hello"}],
)
def test_a_chat_without_messages_is_a_bad_request(body: Any) -> None:
    with pytest.raises(ApiError) as caught:
        read_chat(body)
    assert caught.value.code == 400


def test_empty_messages_get_openrouters_own_words() -> None:
    with pytest.raises(ApiError, match='Input required: specify "prompt" or "messages"'):
        chat(messages=[])


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role"),
        ({"messages": [*HELLO, {"role": [], "content": "x"}]}, "messages.1.role"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages.0.content"),
        ({"messages": [*HELLO, {"role": "tool", "content": None}]}, "messages.1.content"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"tools": {}}, "tools"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"response_format": {"type": []}}, "response_format"),
        ({"response_format": "json_object"}, "response_format"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"temperature": "warm"}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"stop": list("abcde")}, "stop"),
        ({"metadata": {str(pair): "x" for pair in range(17)}}, "metadata"),
        ({"session_id": "x" * 257}, "session_id"),
        ({"stream": "yes"}, "stream"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_completion_tokens": "many"}, "max_completion_tokens"),
    ],
)
def test_a_value_out_of_bounds_is_named(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(ApiError, match=named) as caught:
        chat(**fields)
    assert caught.value.code == 400


def test_who_called_tools_may_have_said_nothing() -> None:
    assert chat(messages=[*HELLO, {"role": "assistant", "content": None}]).prompt == "hello\n"


def test_content_may_come_in_parts() -> None:
    parts = [
        {"type": "text", "text": "hel"},
        {"type": "image_url", "image_url": {"url": "x"}},
        {"type": "text", "text": "lo"},
    ]
    assert chat(messages=[{"role": "user", "content": parts}]).prompt == "hello"


def test_max_completion_tokens_outranks_its_old_name() -> None:
    assert chat(max_completion_tokens=7, max_tokens=9).max_tokens == 7
    assert chat(max_completion_tokens=None, max_tokens=9).max_tokens == 9


def test_models_are_candidates_in_order_and_those_that_cannot_serve_are_passed_over() -> None:
    asked = chat(
        model="openai/gpt-9", models=["openai/gpt-4o", "openai/gpt-4o-mini:free", "google/gemini-2.5-pro:nitro"]
    )
    assert [(one.model.id, one.requested) for one in asked.candidates] == [
        ("openai/gpt-4o", "openai/gpt-4o"),
        ("google/gemini-2.5-pro", "google/gemini-2.5-pro:nitro"),
    ]


def test_a_router_chooses_the_model_and_a_free_one_costs_nothing() -> None:
    auto, free = (chat(model=f"openrouter/{name}").candidates[0] for name in ("auto", "free"))
    assert (auto.model.id, auto.requested) == ("openai/gpt-4o-mini", "openrouter/auto")
    assert free.model.is_free


def test_a_model_whose_context_is_too_short_is_passed_over() -> None:
    long = [{"role": "user", "content": "x" * 4 * 150_000}]
    asked = chat(messages=long, models=["openai/gpt-4.1"])
    assert [one.model.id for one in asked.candidates] == ["openai/gpt-4.1"]

    with pytest.raises(ApiError, match="maximum context length is 128000 tokens") as caught:
        chat(messages=long)
    assert caught.value.metadata is not None
    assert caught.value.metadata["error_type"] == "context_length_exceeded"


@pytest.mark.parametrize(
    ("fields", "code", "message", "availability"),
    [
        ({"model": "acme/gpt"}, 400, "acme/gpt is not a valid model ID", "model_not_found"),
        ({"model": "x", "models": ["y"]}, 400, "y is not a valid model ID", "model_not_found"),
        ({"model": "openai/gpt-4o:free"}, 404, "No endpoints found for openai/gpt-4o:free.", "no_endpoints"),
        ({"model": None}, 400, "No models provided", None),
    ],
)
def test_if_no_model_can_serve_the_last_ones_error_is_the_answer(
    fields: dict[str, Any], code: int, message: str, availability: str | None
) -> None:
    with pytest.raises(ApiError) as caught:
        chat(**fields)
    error = caught.value.to_document()["error"]
    assert (error["code"], error["message"]) == (code, message)
    assert error.get("availability", {}).get("code") == availability


def test_a_required_tool_is_the_named_one_or_else_the_first() -> None:
    other = {"type": "function", "function": {"name": "other"}}
    assert chat(tools=[TOOL]).tool is None
    assert chat(tools=[TOOL], tool_choice="auto").tool is None
    required = chat(tools=[TOOL, other], tool_choice="required")
    assert (required.tool, required.schema) == ("look_up", {"type": "object"})
    named = chat(tools=[TOOL, other], tool_choice={"type": "function", "function": {"name": "other"}})
    assert (named.tool, named.schema) == ("other", None)


def test_json_is_wanted_with_or_without_a_schema() -> None:
    assert chat(response_format={"type": "json_object"}).wants_json
    schema = {"type": "object", "properties": {}}
    asked = chat(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})
    assert (asked.wants_json, asked.schema) == (True, schema)
    assert not chat(response_format={"type": "text"}).wants_json


def embed(**fields: Any) -> ChatRequest:
    return read_embeddings({"model": EMBEDDER, "input": "hello", **fields})


@pytest.mark.parametrize(
    ("given", "vectors", "tokens"),
    [
        ("hello", 1, 2),
        (["hello", "hello"], 2, 4),
        ([1, 2, 3], 1, 3),
        ([[1, 2, 3], [4]], 2, 4),
        ([{"content": [{"type": "text", "text": "hello"}]}, "hello"], 2, 4),
    ],
)
def test_a_vector_is_made_of_each_text(given: Any, vectors: int, tokens: int) -> None:
    asked = embed(input=given)
    assert asked.vectors is not None
    assert (len(asked.vectors.texts), asked.prompt_tokens) == (vectors, tokens)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        *(({"input": given}, "input") for given in ("", [], None, 3, ["x", ""], ["x", [1, "y"]], ["x"] * 2049)),
        ({"encoding_format": "int8"}, "encoding_format"),
        *(({"dimensions": given}, "dimensions") for given in (0, 1537, 1.5, "3", True)),
        ({"input": ["x", "x" * 4 * 8193]}, "maximum context length is 8192"),
    ],
)
def test_embeddings_that_cannot_be_made_are_a_bad_request(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(ApiError, match=named) as caught:
        embed(**fields)
    assert caught.value.code == 400


def test_text_and_embeddings_have_models_of_their_own() -> None:
    for read, model in ((chat, EMBEDDER), (embed, MODEL)):
        with pytest.raises(ApiError, match=f"Model {model} does not exist") as caught:
            read(model=model)
        assert caught.value.to_document()["error"]["availability"]["code"] == "wrong_endpoint"


def test_a_further_model_is_served_by_its_id_its_variants_and_its_alias() -> None:
    catalog = Catalog(["acme/thing-2:nitro", "openai/gpt-4o"])
    for name in ("acme/thing-2", "acme/thing-2:floor", "~acme/thing-latest"):
        assert read_chat({"model": name, "messages": HELLO}, catalog).candidates[0].model.id == "acme/thing-2"
    assert catalog.find("openai/gpt-4o") == CATALOG.find("openai/gpt-4o")
    with pytest.raises(ApiError, match="No endpoints found"):
        read_chat({"model": "acme/thing-2:free", "messages": HELLO}, catalog)


def test_a_response_is_asked_for_as_a_chat_is() -> None:
    schema = {"type": "object", "properties": {}}
    asked = read_responses(
        {
            "model": MODEL,
            "instructions": "be kind",
            "input": [*HELLO, {"type": "function_call_output", "call_id": "1", "output": "42"}],
            "max_output_tokens": 7,
            "temperature": 0,
            "text": {"format": {"type": "json_schema", "name": "x", "schema": schema}},
            "tools": [TOOL["function"]],
        }
    )
    assert (asked.prompt, asked.max_tokens, asked.wants_json, asked.schema) == ("be kind\nhello\n42", 7, True, schema)
    assert asked.echo is not None
    assert (asked.echo["temperature"], asked.echo["tool_choice"], asked.echo["top_p"]) == (0, "auto", None)
    required = {"model": MODEL, "input": "hello", "tools": [{"type": "function", **TOOL["function"]}]}
    for choice in ("required", {"type": "function", "name": "look_up"}):
        asked = read_responses({**required, "tool_choice": choice})
        assert (asked.tool, asked.schema) == ("look_up", {"type": "object"})
    for items in ("", [], None, 3, [3], [{"role": "robot", "content": "x"}]):
        with pytest.raises(ApiError, match="input"):
            read_responses({"model": MODEL, "input": items})


def test_a_legacy_completion_takes_a_string_or_several() -> None:
    assert read_completion({"model": MODEL, "prompt": "hello"}).prompt == "hello"
    assert read_completion({"model": MODEL, "prompt": ["one", "two"]}).prompt == "one\ntwo"
    for prompt in ("", [], [1, 2], None):
        with pytest.raises(ApiError, match="Input required"):
            read_completion({"model": MODEL, "prompt": prompt})

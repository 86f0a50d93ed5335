"""Streams as bytes, without a server."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.apps.mock.answers import Call
from jobctl.apps.mock.catalog import CATALOG
from jobctl.apps.mock.stream import closing, writes

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "note": {"const": 'quote " gap \0 line \n é'}}}


def call(tokens: int = 250, **options: Any) -> Call:
    model = CATALOG.find("openai/gpt-4o-mini")
    assert model is not None
    fields = {"requested": model.id, "prompt_tokens": 3, "finish_reason": "stop", "wants_json": False, "tool": None}
    return Call(id="gen-1-x", created=1, model=model, completion_tokens=tokens, **{**fields, **options})


def documents(data: bytes) -> list[Any]:
    events = data.decode().removesuffix("\n\n").split("\n\n")
    return [json.loads(text.removeprefix("data: ")) for text in events if text != "data: [DONE]"]


def text(document: Any) -> str:
    choice = document["choices"][0]
    if "text" in choice:
        return choice["text"]
    delta = choice["delta"]
    return "".join(part["function"]["arguments"] for part in delta.get("tool_calls", [])) or delta["content"] or ""


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"legacy": True},
        {"wants_json": True},
        {"wants_json": True, "schema": SCHEMA},
        {"tool": 'content "\0" ', "schema": SCHEMA},
        {"tool": "f", "legacy": True},
    ],
)
@given(tokens=st.integers(0, 2000), together=st.floats(0, 1))
def test_every_stream_adds_up_to_the_answer_whatever_leaves_together(
    options: dict[str, Any], tokens: int, together: float
) -> None:
    asked = call(tokens, **options)
    parts = list(writes(asked, together))
    events = [document for part in parts for document in documents(part.data)]
    arguments = asked.tool is not None and not asked.legacy

    assert "".join(map(text, events)) == (asked.arguments if arguments else asked.content)
    assert {(event["id"], event["model"], event["created"]) for event in events} == {("gen-1-x", asked.model.id, 1)}
    assert {event["choices"][0]["finish_reason"] for event in events} == {None}
    assert len({json.dumps({**event, "choices": None}) for event in events}) == 1


def test_events_that_are_sent_alone_are_evenly_spread_small_pieces() -> None:
    parts = list(writes(call(), 0.0))

    assert [part.due_share for part in parts] == pytest.approx([n / 39 for n in range(40)])
    assert [part.sent_share for part in parts] == [part.due_share for part in parts]
    assert [len(documents(part.data)) for part in parts] == [2] + [1] * 39  # the opening comes with the first token
    assert max(len(text(document)) for part in parts for document in documents(part.data)) < 40


@given(tokens=st.integers(1, 500), together=st.floats(0, 0.5))
def test_no_event_leaves_late_and_none_earlier_than_allowed(tokens: int, together: float) -> None:
    shares = [part.due_share for part in writes(call(tokens), 0.0)]
    sent = 0
    parts = list(writes(call(tokens), together))
    for position, part in enumerate(parts):
        count = len(documents(part.data)) - (position == 0)
        own = shares[sent : sent + count]
        assert own[0] == part.due_share
        assert own[-1] == part.sent_share
        assert own[-1] - part.due_share <= together
        sent += count
    assert sent == len(shares)
    assert all(later.due_share - part.due_share > together for part, later in pairwise(parts))


def test_a_stream_without_a_span_is_one_write() -> None:
    assert [(part.due_share, part.sent_share) for part in writes(call(), 1.0)] == [(0.0, 1.0)]


def test_the_closing_ends_with_usage_and_done() -> None:
    data = closing(call(), None)

    assert data.endswith(b"data: [DONE]\n\n")
    assert ["usage" in document for document in documents(data)] == [False, True]

"""The official OpenAI SDK, unchanged but for its base URL and key."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import openai
import pytest
from openai import AsyncOpenAI, DefaultHttpxClient, OpenAI

from support.running_mock import KEY, MESSAGES, MODEL, Mock
from support.servers import NOTHING

TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "parameters": {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]},
    },
}
CALL = {"model": MODEL, "messages": MESSAGES, "max_tokens": 20}
ERRORS = {
    "402": openai.APIStatusError,
    "budget": openai.APIStatusError,
    "403": openai.PermissionDeniedError,
    "moderation": openai.PermissionDeniedError,
    "408": openai.APIStatusError,
    "429": openai.RateLimitError,
    "500": openai.InternalServerError,
    "502": openai.InternalServerError,
    "503": openai.InternalServerError,
}


@pytest.fixture
def client(mock: Mock) -> Iterator[OpenAI]:
    transport = DefaultHttpxClient(verify=NOTHING)
    with OpenAI(base_url=mock.url, api_key=KEY, max_retries=0, http_client=transport) as sdk:
        yield sdk


def demand(fault: str) -> dict[str, str]:
    return {"X-Mock-Fault": fault, "X-Mock-Slow-Ms": "300"}


def test_it_reads_a_plain_answer(client: OpenAI) -> None:
    answer = client.chat.completions.create(**CALL)

    assert answer.choices[0].message.content.startswith("The mock answers")
    assert answer.usage.completion_tokens == 20


def test_it_reads_a_stream(client: OpenAI) -> None:
    plain = client.chat.completions.create(**CALL).choices[0].message.content
    chunks = list(client.chat.completions.create(**CALL, stream=True))

    assert "".join(chunk.choices[0].delta.content for chunk in chunks) == plain
    assert [chunk.usage is not None for chunk in chunks].count(True) == 1
    assert chunks[-1].usage.total_tokens == chunks[-1].usage.prompt_tokens + 20


async def read_asynchronously(mock: Mock) -> tuple[str, str]:
    async with AsyncOpenAI(base_url=mock.url, api_key=KEY, max_retries=0) as sdk:
        plain = await sdk.chat.completions.create(**CALL)
        stream = await sdk.chat.completions.create(**CALL, stream=True)
        return plain.choices[0].message.content, "".join([chunk.choices[0].delta.content async for chunk in stream])


def test_it_reads_both_asynchronously(mock: Mock) -> None:
    plain, streamed = asyncio.run(read_asynchronously(mock))
    assert plain == streamed != ""


def test_it_reads_tool_calls_plain_and_streamed(client: OpenAI) -> None:
    asked = {**CALL, "tools": [TOOL], "tool_choice": "required"}
    plain = client.chat.completions.create(**asked).choices[0]
    with client.chat.completions.stream(**asked) as stream:
        streamed = stream.get_final_completion().choices[0]

    for choice in (plain, streamed):
        assert choice.finish_reason == "tool_calls"
        assert choice.message.tool_calls[0].function.name == "look_up"
        assert choice.message.tool_calls[0].function.arguments == '{"word": "mock"}'


def test_it_lists_the_models(client: OpenAI) -> None:
    assert MODEL in [model.id for model in client.models.list()]


def test_it_reads_embeddings(client: OpenAI) -> None:
    asked = {"model": "openai/text-embedding-3-small", "input": ["hello", "world"]}
    packed = client.embeddings.create(**asked)  # it asks for base64
    plain = client.embeddings.create(**asked, encoding_format="float")

    assert [len(entry.embedding) for entry in packed.data] == [1536, 1536]
    assert packed.data == plain.data
    assert packed.usage.prompt_tokens == 4


def test_it_reads_responses_plain_and_streamed(client: OpenAI) -> None:
    asked = {"model": MODEL, "input": "hello", "max_output_tokens": 20}
    plain = client.responses.create(**asked)
    chunks = list(client.responses.create(**asked, stream=True))

    assert plain.output_text.startswith("The mock answers")
    assert (plain.status, plain.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert (plain.usage.output_tokens, plain.usage.total_tokens) == (20, plain.usage.input_tokens + 20)
    assert "".join(chunk.delta for chunk in chunks if chunk.type == "response.output_text.delta") == plain.output_text
    assert chunks[-1].response.output_text == plain.output_text
    assert [chunk.sequence_number for chunk in chunks] == list(range(len(chunks)))
    broken = list(client.responses.create(**asked, stream=True, extra_headers=demand("midstream")))
    assert (broken[-1].type, broken[-1].response.status) == ("response.failed", "failed")


def test_it_reads_responses_that_call_a_function(client: OpenAI) -> None:
    tool = {"type": "function", **TOOL["function"]}
    asked = {"model": MODEL, "input": "hello", "tools": [tool], "max_output_tokens": 20}
    plain = client.responses.create(**asked, tool_choice="required")
    with client.responses.stream(**asked, tool_choice="required") as stream:
        chunks = list(stream)
        streamed = stream.get_final_response()

    assert [chunk.sequence_number for chunk in chunks] == list(range(len(chunks)))
    assert not any("content_part" in chunk.type for chunk in chunks)
    for response in (plain, streamed):
        assert response.status == "completed"
        assert [(item.name, item.arguments) for item in response.output] == [("look_up", '{"word": "mock"}')]


def test_it_reads_legacy_completions(client: OpenAI) -> None:
    plain = client.completions.create(model=MODEL, prompt="hello", max_tokens=4)
    stream = client.completions.create(model=MODEL, prompt="hello", max_tokens=4, stream=True)

    assert plain.choices[0].text == "".join(chunk.choices[0].text for chunk in stream) == "The mock answers with"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", sorted(ERRORS))
def test_it_raises_its_own_error_for_each_status(client: OpenAI, fault: str, stream: bool) -> None:
    with pytest.raises(ERRORS[fault]) as caught:
        client.chat.completions.create(**CALL, stream=stream, extra_headers=demand(fault))
    assert caught.value.body["code"] == caught.value.status_code


def test_a_wrong_key_and_an_unknown_model_are_its_own_errors(mock: Mock, client: OpenAI) -> None:
    with (
        OpenAI(base_url=mock.url, api_key="sk-or-v1-bad", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError, match="User not found"),
    ):
        stranger.chat.completions.create(**CALL)
    with pytest.raises(openai.BadRequestError, match="is not a valid model ID"):
        client.chat.completions.create(model="openai/gpt-9", messages=MESSAGES)


def test_a_broken_connection_is_a_connection_error(client: OpenAI) -> None:
    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(**CALL, extra_headers=demand("disconnect"))
    with pytest.raises(openai.APIConnectionError):
        list(client.chat.completions.create(**CALL, stream=True, extra_headers=demand("disconnect")))


def test_an_error_in_a_stream_is_raised_after_what_came_before(client: OpenAI) -> None:
    seen = []
    broken = client.chat.completions.create(**CALL, stream=True, extra_headers=demand("midstream"))
    with pytest.raises(openai.APIError, match="Provider returned error"):
        seen.extend(chunk for chunk in broken)
    assert "".join(chunk.choices[0].delta.content for chunk in seen).startswith("The mock")
    with pytest.raises(openai.APIError, match="Provider returned error"):
        list(client.chat.completions.create(**CALL, stream=True, extra_headers=demand("embedded")))


def test_an_error_in_a_plain_200_has_no_choices(client: OpenAI) -> None:
    answer = client.chat.completions.create(**CALL, extra_headers=demand("embedded"))
    assert answer.choices is None
    assert answer.error["code"] == 502

    partial = client.chat.completions.create(**CALL, extra_headers=demand("midstream"))
    assert partial.choices[0].finish_reason == "error"


def test_it_reads_through_padding_and_comments(client: OpenAI) -> None:
    assert client.chat.completions.create(**CALL, extra_headers=demand("slow")).usage.completion_tokens == 20
    assert len(list(client.chat.completions.create(**CALL, stream=True, extra_headers=demand("slow")))) > 20


def test_it_obeys_retry_after(mock: Mock) -> None:
    headers = {"X-Mock-Fault": "429", "X-Mock-Retry-After": "1"}
    with OpenAI(base_url=mock.url, api_key=KEY, max_retries=1) as sdk:
        began_s = time.monotonic()
        with pytest.raises(openai.RateLimitError):
            sdk.chat.completions.create(**CALL, extra_headers=headers)
    assert time.monotonic() - began_s >= 1.0

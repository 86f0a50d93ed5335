"""The official OpenRouter SDK, unchanged but for its URL and key; its types are generated from OpenRouter's OpenAPI."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openrouter import OpenRouter, errors

from support.running_mock import KEY, MESSAGES, MODEL, Mock
from support.servers import NOTHING

CALL: dict[str, Any] = {"model": MODEL, "messages": MESSAGES, "max_tokens": 20, "retries": None}
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
ERRORS = {
    "402": errors.PaymentRequiredResponseError,
    "budget": errors.PaymentRequiredResponseError,
    "403": errors.ForbiddenResponseError,
    "moderation": errors.ForbiddenResponseError,
    "408": errors.RequestTimeoutResponseError,
    "429": errors.TooManyRequestsResponseError,
    "500": errors.InternalServerResponseError,
    "502": errors.BadGatewayResponseError,
    "503": errors.ServiceUnavailableResponseError,
}


@pytest.fixture
def client(mock: Mock) -> Iterator[OpenRouter]:
    with (
        httpx.Client(timeout=20, verify=NOTHING) as transport,
        OpenRouter(KEY, server_url=mock.url, client=transport) as sdk,
    ):
        yield sdk


def demand(fault: str) -> dict[str, str]:
    return {"X-Mock-Fault": fault, "X-Mock-Slow-Ms": "300"}


def test_it_reads_a_plain_answer(client: OpenRouter) -> None:
    answer = client.chat.send(**CALL)

    assert answer.choices[0].message.content.startswith("The mock answers")
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.cost_details.upstream_inference_completions_cost > 0
    assert answer.usage.prompt_tokens_details.cached_tokens == 0


def test_it_reads_a_stream(client: OpenRouter) -> None:
    plain = client.chat.send(**CALL).choices[0].message.content
    with client.chat.send(**CALL, stream=True) as stream:
        chunks = list(stream)

    assert "".join(chunk.choices[0].delta.content for chunk in chunks) == plain
    assert [chunk.usage is not None for chunk in chunks].count(True) == 1


async def read_asynchronously(mock: Mock) -> tuple[str, str]:
    async with (
        httpx.AsyncClient(timeout=20, verify=NOTHING) as transport,
        OpenRouter(KEY, server_url=mock.url, async_client=transport) as sdk,
    ):
        plain = await sdk.chat.send_async(**CALL)
        stream = await sdk.chat.send_async(**CALL, stream=True)
        text = "".join([chunk.choices[0].delta.content async for chunk in stream])
        return plain.choices[0].message.content, text


def test_it_reads_both_asynchronously(mock: Mock) -> None:
    plain, streamed = asyncio.run(read_asynchronously(mock))
    assert plain == streamed != ""


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", sorted(ERRORS))
def test_it_raises_its_own_error_for_each_status(client: OpenRouter, fault: str, stream: bool) -> None:
    with pytest.raises(ERRORS[fault]) as caught:
        client.chat.send(**CALL, stream=stream, http_headers=demand(fault))
    assert caught.value.data.error.code == caught.value.status_code
    assert caught.value.data.error.metadata["error_type"]


def test_a_wrong_key_and_an_unserved_model_are_its_own_errors(mock: Mock, client: OpenRouter) -> None:
    with (
        httpx.Client(verify=NOTHING) as transport,
        OpenRouter("sk-or-v1-bad", server_url=mock.url, client=transport) as stranger,
        pytest.raises(errors.UnauthorizedResponseError, match="User not found"),
    ):
        stranger.chat.send(**CALL)
    with pytest.raises(errors.NotFoundResponseError, match="No endpoints found"):
        client.chat.send(**{**CALL, "model": f"{MODEL}:free"})
    with pytest.raises(errors.BadRequestResponseError, match="is not a valid model ID"):
        client.chat.send(**{**CALL, "model": "openai/gpt-9"})


def test_a_broken_connection_is_a_protocol_error(client: OpenRouter) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        client.chat.send(**CALL, http_headers=demand("disconnect"))
    with (
        client.chat.send(**CALL, stream=True, http_headers=demand("disconnect")) as stream,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        list(stream)


@pytest.mark.parametrize("fault", ["midstream", "embedded"])
def test_an_error_in_a_stream_is_its_last_chunk(client: OpenRouter, fault: str) -> None:
    with client.chat.send(**CALL, stream=True, http_headers=demand(fault)) as stream:
        chunks = list(stream)

    assert [chunk.error is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].error.code == 502
    assert chunks[-1].error.metadata.error_type == "provider_unavailable"


def test_an_error_in_a_plain_200_is_no_valid_answer(client: OpenRouter) -> None:
    with pytest.raises(errors.ResponseValidationError) as caught:
        client.chat.send(**CALL, http_headers=demand("embedded"))
    assert caught.value.status_code == 200

    partial = client.chat.send(**CALL, http_headers=demand("midstream"))
    assert partial.choices[0].finish_reason == "error"


def test_it_reads_through_padding_and_comments(client: OpenRouter) -> None:
    assert client.chat.send(**CALL, http_headers=demand("slow")).usage.completion_tokens == 20
    with client.chat.send(**CALL, stream=True, http_headers=demand("slow")) as stream:
        assert len(list(stream)) > 20


def test_it_reads_tool_calls_plain_and_streamed(client: OpenRouter) -> None:
    asked = {**CALL, "tools": [TOOL], "tool_choice": "required"}
    plain = client.chat.send(**asked).choices[0]
    with client.chat.send(**asked, stream=True) as stream:
        calls = [call for chunk in stream for call in chunk.choices[0].delta.tool_calls or []]

    assert plain.finish_reason == "tool_calls"
    assert plain.message.tool_calls[0].function.name == "look_up"
    assert "".join(call.function.arguments for call in calls) == plain.message.tool_calls[0].function.arguments == "{}"


def test_it_reads_the_routers_report(client: OpenRouter) -> None:
    report = client.chat.send(**CALL, http_headers={"X-OpenRouter-Metadata": "enabled"}).openrouter_metadata
    assert (report.requested, report.strategy, report.endpoints.total) == (MODEL, "direct", 1)


def test_it_pages_through_the_models_and_ends(client: OpenRouter) -> None:
    page, models = client.models.list(limit=10), []
    while page is not None:
        models += page.result.data
        page = page.next()

    assert len(models) == len({model.id for model in models}) >= 20
    assert MODEL in {model.id for model in models}


@pytest.mark.filterwarnings("ignore:warning. .. DEPRECATED:DeprecationWarning")  # the key's rate_limit, always sent
def test_it_reads_the_key_the_credits_and_the_endpoints(client: OpenRouter) -> None:
    key = client.api_keys.get_current_key_metadata().data
    assert (key.limit, key.is_free_tier, key.allowed_data_regions) == (None, False, ["global"])
    assert client.credits.get_credits().data.total_credits > 0
    endpoints = client.endpoints.list(author="openai", slug="gpt-4o-mini").data.endpoints
    assert [endpoint.provider_name for endpoint in endpoints] == ["OpenAI"]


def test_it_reads_responses_plain_and_streamed(client: OpenRouter) -> None:
    asked = {"model": MODEL, "input": "hello", "max_output_tokens": 4}
    plain = client.responses.send(**asked)
    with client.responses.send(**asked, stream=True) as stream:
        chunks = list(stream)

    assert plain.output[0].content[0].text == "The mock answers with"
    assert plain.usage.cost_details.upstream_inference_output_cost > 0
    assert chunks[-1].response.output[0].content == plain.output[0].content
    assert not any(getattr(chunk, "is_unknown", False) for chunk in chunks)


def test_it_reads_embeddings_providers_and_the_other_lists_of_models(client: OpenRouter) -> None:
    answer = client.embeddings.generate(model="baai/bge-m3", input=["hello", "world"])
    assert [len(entry.embedding) for entry in answer.data] == [1024, 1024]
    assert answer.usage.cost_details.upstream_inference_cost == answer.usage.cost > 0
    assert "baai/bge-m3" in {model.id for model in client.embeddings.list_models().result.data}

    listed = client.models.list().result.data
    assert "baai/bge-m3" not in {model.id for model in listed}
    assert client.models.count().data.count == len(listed)
    assert client.models.list_for_user(security={"bearer": KEY}).result.data == listed
    assert client.models.get(author="openai", slug="gpt-4o-mini").data in listed
    assert "openai" in {provider.slug for provider in client.providers.list().data}


def test_it_reads_a_generation_once_it_is_known(client: OpenRouter) -> None:
    with pytest.raises(errors.NotFoundResponseError):  # the first request imports its models, for longer than 0.3 s
        client.generations.get_generation(id="gen-of-nobody")
    answer = client.chat.send(**CALL)
    with pytest.raises(errors.NotFoundResponseError):
        client.generations.get_generation(id=answer.id)

    time.sleep(0.5)  # the mock forgets to know it for 0.3 s
    generation = client.generations.get_generation(id=answer.id).data
    assert (generation.id, generation.model, generation.tokens_completion) == (answer.id, MODEL, 20)

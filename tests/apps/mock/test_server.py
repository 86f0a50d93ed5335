"""What goes over the wire, seen by a plain HTTP client."""

from __future__ import annotations

import base64
import json
import math
import re
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobctl.apps.mock.behaviour import STATUS_FAULTS, Behaviour, Fault
from jobctl.apps.mock.server import create_app
from jobctl.core.service import Constant
from support.running_mock import KEY, MESSAGES, MODEL, Mock, Start
from support.servers import NOTHING, serving

PATHS = ["chat/completions", "completions"]
#: Keys whose null the TypeScript SDK rejects.
NEVER_NULL = {"usage", "tool_calls", "images", "audio", "reasoning_details", "is_byok", "error", "role"}


def ask(
    client: httpx.Client, path: str = "chat/completions", fault: str | None = None, **fields: Any
) -> httpx.Response:
    headers = {} if fault is None else {"X-Mock-Fault": fault, "X-Mock-Slow-Ms": "600"}
    body = {"model": MODEL, "messages": MESSAGES, "prompt": "hello", "max_tokens": 8, **fields}
    return client.post(path, json=body, headers=headers)


def events(text: str) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def nulls(value: Any) -> set[str]:
    """Names of all members that are null."""
    if isinstance(value, list):
        return set().union(*map(nulls, value))
    if isinstance(value, dict):
        return {name for name, member in value.items() if member is None}.union(*map(nulls, value.values()))
    return set()


def eventually(holds: Any) -> bool:
    deadline = time.monotonic() + 5
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(holds())


# --------------------------------------------------------------------------------------------------------- good answers


def test_a_plain_answer_has_the_documented_shape(mock: Mock) -> None:
    with mock.client() as client:
        response = ask(client)
    answer = response.json()

    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-generation-id"] == answer["id"]
    assert re.fullmatch(r"gen-\d{10}-[A-Za-z0-9]{20}", answer["id"])
    assert "x-ratelimit-limit" not in response.headers
    assert answer["model"] == MODEL
    assert answer["provider"] == "OpenAI"
    assert isinstance(answer["created"], int)
    assert "system_fingerprint" in answer
    assert answer["choices"][0]["message"]["content"] == "The mock answers with words of one token"
    assert answer["choices"][0]["finish_reason"] == answer["choices"][0]["native_finish_reason"] == "length"
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + 8
    assert answer["usage"]["cost"] == pytest.approx(answer["usage"]["cost_details"]["upstream_inference_cost"])
    assert not nulls(answer) & NEVER_NULL


def test_a_stream_has_one_usage_at_its_end_and_the_same_text_as_a_plain_answer(mock: Mock) -> None:
    with mock.client() as client:
        response = ask(client, stream=True)
        plain = ask(client).json()["choices"][0]["message"]["content"]
    chunks = events(response.text)

    assert response.headers["content-type"] == "text/event-stream"
    assert response.text.startswith(": OPENROUTER PROCESSING\n\n")
    assert response.text.endswith("data: [DONE]\n\n")
    assert ["usage" in chunk for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert {(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks} == {
        (response.headers["x-generation-id"], chunks[0]["created"], MODEL)
    }
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks) == plain
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[-3:]] == [None, "length", "length"]
    assert not nulls(chunks) & NEVER_NULL
    assert "system_fingerprint" not in chunks[0]


@pytest.mark.parametrize("stream", [False, True])
def test_a_legacy_completion_answers_with_text(mock: Mock, stream: bool) -> None:
    with mock.client() as client:
        response = ask(client, "completions", stream=stream)
    answers = events(response.text) if stream else [response.json()]

    assert {answer["object"] for answer in answers} == {"text_completion"}
    assert "".join(answer["choices"][0]["text"] for answer in answers) == "The mock answers with words of one token"
    assert answers[-1]["usage"]["completion_tokens"] == 8


def test_the_metadata_header_adds_the_routers_report(mock: Mock) -> None:
    headers = {"X-OpenRouter-Metadata": "enabled"}
    body = {"model": "~anthropic/claude-sonnet-latest", "messages": MESSAGES, "max_tokens": 2}
    with mock.client() as client:
        plain = client.post("chat/completions", json=body, headers=headers).json()
        stream = events(client.post("chat/completions", json={**body, "stream": True}, headers=headers).text)

    assert plain["model"] == "anthropic/claude-sonnet-5"
    assert plain["openrouter_metadata"]["requested"] == "~anthropic/claude-sonnet-latest"
    assert plain["openrouter_metadata"] == stream[-1]["openrouter_metadata"]
    assert not any("openrouter_metadata" in chunk for chunk in stream[:-1])


def test_an_answer_comes_when_its_latency_is_over_and_not_before(start: Start) -> None:
    mock = start(Constant(0.3))
    with mock.client() as client:
        ask(client, "models")  # the connection is made
        for stream in (False, True):
            began_s = time.monotonic()
            ask(client, stream=stream)
            assert 0.295 <= time.monotonic() - began_s < 1.5


def test_a_slow_plain_answer_is_padded_with_white_space_behind_an_early_200(mock: Mock) -> None:
    body = {"model": MODEL, "messages": MESSAGES, "max_tokens": 8}
    headers = {"X-Mock-Fault": "slow", "X-Mock-Slow-Ms": "900"}
    with mock.client() as client, client.stream("POST", "chat/completions", json=body, headers=headers) as response:
        assert response.status_code == 200
        parts = list(response.iter_raw())

    assert len(parts) >= 3
    assert not b"".join(parts[:-1]).strip()
    assert json.loads(b"".join(parts))["object"] == "chat.completion"


def test_a_slow_stream_sends_comments_until_its_first_token(mock: Mock) -> None:
    with mock.client() as client:
        text = ask(client, fault="slow", stream=True).text

    before, _, after = text.partition("data: ")
    assert before.count(": OPENROUTER PROCESSING\n\n") >= 3
    assert after.endswith("data: [DONE]\n\n")


# --------------------------------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("fault", sorted(STATUS_FAULTS))
def test_an_error_status_is_json_with_the_same_code_whatever_was_asked(
    mock: Mock, fault: Fault, path: str, stream: bool
) -> None:
    with mock.client() as client:
        response = ask(client, path, fault, stream=stream)
    error = response.json()["error"]

    assert response.headers["content-type"] == "application/json"
    assert error["code"] == response.status_code
    assert response.status_code == {"budget": 402, "moderation": 403}.get(fault) or int(fault)
    assert isinstance(error["metadata"]["error_type"], str)
    assert ("retry-after" in response.headers) == (fault in {"429", "503", "budget"})


def test_the_kinds_of_402_and_403_tell_themselves_apart(mock: Mock) -> None:
    with mock.client() as client:
        metadata = {
            kind: ask(client, fault=kind).json()["error"]["metadata"] for kind in ("402", "budget", "403", "moderation")
        }

    assert metadata["402"]["limit_source"] == "openrouter_credits"
    assert metadata["budget"]["reason"] == "in_flight_budget_exhausted"
    assert metadata["403"]["limit_source"] == "openrouter_key_limit"
    assert metadata["moderation"]["flagged_input"] == "hello"


def test_retry_after_can_be_chosen(mock: Mock) -> None:
    with mock.client() as client:
        headers = {"X-Mock-Fault": "429", "X-Mock-Retry-After": "17"}
        assert (
            client.post("chat/completions", json={"model": MODEL, "messages": MESSAGES}, headers=headers).headers[
                "retry-after"
            ]
            == "17"
        )


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_disconnect_breaks_the_body_after_some_content(mock: Mock, path: str, stream: bool) -> None:
    body = {"model": MODEL, "messages": MESSAGES, "prompt": "hello", "stream": stream, "max_tokens": 8}
    parts: list[bytes] = []
    with (
        mock.client() as client,
        client.stream("POST", path, json=body, headers={"X-Mock-Fault": "disconnect"}) as response,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        parts.extend(part for part in response.iter_raw())
    seen = b"".join(parts)

    assert response.status_code == 200
    assert b'"provider":' in seen
    assert not seen.rstrip().endswith((b"}}}", b"[DONE]"))


@pytest.mark.parametrize("path", PATHS)
def test_an_error_embedded_in_a_200(mock: Mock, path: str) -> None:
    with mock.client() as client:
        plain, stream = ask(client, path, "embedded"), ask(client, path, "embedded", stream=True)

    assert (plain.status_code, stream.status_code) == (200, 200)
    assert plain.json()["error"]["code"] == 502
    assert "choices" not in plain.json()
    assert [event["error"]["code"] for event in events(stream.text)] == [502]


@pytest.mark.parametrize("path", PATHS)
def test_a_midstream_error_follows_some_content(mock: Mock, path: str) -> None:
    with mock.client() as client:
        plain, stream = ask(client, path, "midstream").json(), events(ask(client, path, "midstream", stream=True).text)

    choice = plain["choices"][0]
    assert (choice["finish_reason"], choice["error"]["code"]) == ("error", 502)
    assert choice.get("text") or choice["message"]["content"]
    assert len(stream) >= 3
    assert [("error" in event) for event in stream] == [False] * (len(stream) - 1) + [True]
    last = stream[-1]
    assert last["choices"][0]["finish_reason"] == "error"
    assert isinstance(last["error"]["code"], int)
    assert last["error"]["metadata"]["error_type"] == "provider_unavailable"
    assert not any("usage" in event for event in stream)


def test_faults_also_strike_by_chance(start: Start) -> None:
    mock = start(Constant(0.001), {Fault.RATE_LIMIT: 0.5})
    with mock.client() as client:
        codes = [ask(client).status_code for _ in range(60)]

    assert set(codes) == {200, 429}
    assert 12 <= codes.count(429) <= 48  # 4.6 standard deviations of a binomial with n = 60


def test_a_fault_of_a_provider_moves_the_call_on_to_its_next_model(start: Start) -> None:
    mock = start(Constant(0.001), {Fault.BAD_GATEWAY: 0.5})
    with mock.client() as client:
        answers = [ask(client, models=["openai/gpt-4o", "openai/gpt-5"]) for _ in range(60)]

    served = [answer.json()["model"] for answer in answers if answer.status_code == 200]
    assert set(served) == {MODEL, "openai/gpt-4o", "openai/gpt-5"}
    assert len(served) > 40  # 7/8 are expected; with no fallback it would be half


def test_an_unknown_fault_is_a_bad_request_that_lists_the_kinds(mock: Mock) -> None:
    with mock.client() as client:
        response = ask(client, fault="teapot")
    assert response.status_code == 400
    assert "one of 402, 403" in response.json()["error"]["message"]


@pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf"])
def test_a_delay_that_is_no_number_is_a_bad_request(mock: Mock, value: str) -> None:
    with mock.client() as client:
        headers = {"X-Mock-Fault": "slow", "X-Mock-Slow-Ms": value}
        response = client.post("chat/completions", json={"model": MODEL, "messages": MESSAGES}, headers=headers)
    assert response.status_code == 400


# ------------------------------------------------------------------------------------------------- keys, limits, routes


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (None, "Missing Authentication header"),
        ("", "Missing Authentication header"),
        ("Bearer", "Missing Authentication header"),
        ("Basic sk-or-v1-x", "Missing Authentication header"),
        ("Bearer sk-proj-x", "User not found."),
        ("Bearer sk-or-v1-bad", "User not found."),
        ("Bearer sk-or-v1-invalid-x", "User not found."),
    ],
)
def test_a_key_that_is_missing_or_wrong_gets_a_401_before_the_body_is_read(
    mock: Mock, header: str | None, message: str
) -> None:
    headers = {} if header is None else {"Authorization": header}
    for method, path in (("POST", "chat/completions"), ("GET", "key"), ("GET", "credits"), ("GET", "generation")):
        response = httpx.request(method, f"{mock.url}/{path}", headers=headers, content=b"not json", verify=NOTHING)
        assert (response.status_code, response.json()["error"]["message"]) == (401, message)


def test_models_answer_anonymously_but_not_a_wrong_key(mock: Mock) -> None:
    with httpx.Client(base_url=mock.url, verify=NOTHING) as client:
        assert client.get("models").status_code == 200
        assert client.get("models", headers={"Authorization": "Bearer sk-or-bad"}).status_code == 401


def test_beyond_the_limit_comes_the_platforms_429(start: Start) -> None:
    mock = start(rpm=2)
    with mock.client() as client:
        first, second, third = (ask(client) for _ in range(3))
    error = third.json()["error"]

    assert [first.status_code, second.status_code, third.status_code] == [200, 200, 429]
    assert third.headers["x-ratelimit-limit"] == "2"
    assert third.headers["x-ratelimit-remaining"] == "0"
    assert 0 < int(third.headers["x-ratelimit-reset"]) / 1000 - time.time() <= 61
    assert 55 <= int(third.headers["retry-after"]) <= 60
    assert {name.lower(): value for name, value in error["metadata"]["headers"].items()} == {
        name: third.headers[name] for name in ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
    }
    assert error["metadata"]["limit_source"] == "openrouter_shared_capacity"
    assert mock.stats()["admitted_last_60_s"] == 2


def test_tokens_are_limited_too(start: Start) -> None:
    mock = start(tpm=30)
    with mock.client() as client:
        codes = [ask(client).status_code for _ in range(4)]  # 6 + 8 tokens each
    assert codes == [200, 200, 429, 429]


def test_free_models_cost_nothing_and_have_the_accounts_limit(start: Start) -> None:
    mock = start(Constant(0.001))
    model = "deepseek/deepseek-r1-0528:free"
    with mock.client() as client:
        answers = [ask(client, model=model) for _ in range(21)]
        free = client.get("key").json()["data"]["free_model_daily_requests"]

    assert [answer.status_code for answer in answers] == [200] * 20 + [429]
    assert answers[0].json()["model"] == model
    assert answers[0].json()["usage"]["cost"] == 0
    assert "free-models-per-min" in answers[-1].json()["error"]["message"]
    assert (free["used"], free["remaining"]) == (20, 980)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "nothing", 404),
        ("GET", "chat/completions", 405),
        ("DELETE", "completions", 405),
        ("POST", "models", 405),
        ("GET", "models?limit=0", 400),
        ("GET", "models?limit=1001", 400),
        ("GET", "models?offset=-1", 400),
        ("GET", "models?limit=%C2%B2", 400),
        ("GET", f"models?offset={'9' * 5000}", 400),
        ("GET", "models/openai/gpt-9/endpoints", 404),
        ("GET", "model/openai/gpt-9", 404),
        ("GET", "embeddings", 405),
        ("GET", "generation", 400),
        ("GET", "generation?id=gen-unknown", 404),
    ],
)
def test_what_is_not_there_gets_a_json_error(mock: Mock, method: str, path: str, status: int) -> None:
    with mock.client() as client:
        response = client.request(method, path)
    assert (response.status_code, response.json()["error"]["code"]) == (status, status)
    assert ("allow" in response.headers) == (status == 405)


def test_head_is_answered_without_a_body(mock: Mock) -> None:
    with mock.client() as client:
        response = client.head("models")
    assert (response.status_code, response.content) == (200, b"")


def test_other_routes_answer_a_demanded_error_as_well(mock: Mock) -> None:
    with mock.client() as client:
        for path in ("models", "key", "credits"):
            assert client.get(path, headers={"X-Mock-Fault": "503"}).status_code == 503


def test_models_come_in_pages_that_together_are_the_whole_list(mock: Mock) -> None:
    with mock.client() as client:
        whole = client.get("models").json()
        pages, link = [], "/api/v1/models?limit=10"
        while link is not None:
            page = client.get(f"{mock.origin}{link}").json()
            pages += page["data"]
            link = page["links"]["next"]

    assert pages == whole["data"]
    assert whole["links"]["next"] is None
    assert len(pages) == whole["total_count"] >= 20
    assert MODEL in {model["id"] for model in pages}


def test_pages_of_any_origin_may_ask_and_read(mock: Mock) -> None:
    with mock.client() as client:
        preflight = client.options("chat/completions", headers={"Origin": "https://example.com"})
        answers = [ask(client), ask(client, stream=True), ask(client, fault="429"), client.get("key"), client.get("no")]

    assert preflight.status_code == 204
    assert {"authorization", "content-type", "x-title"} <= set(
        preflight.headers["access-control-allow-headers"].lower().split(",")
    )
    assert {answer.headers["access-control-allow-origin"] for answer in [preflight, *answers]} == {"*"}


def test_embeddings_are_the_same_for_the_same_text_in_either_encoding(mock: Mock) -> None:
    body = {"model": "openai/text-embedding-3-small", "input": ["hello", "hullo", "hello"], "dimensions": 8}
    with mock.client() as client:
        response = client.post("embeddings", json=body)
        packed = client.post("embeddings", json={**body, "encoding_format": "base64"}).json()["data"]
        broken = [
            client.post("embeddings", json=body, headers={"X-Mock-Fault": fault}) for fault in ("429", "midstream")
        ]
    answer = response.json()

    assert response.headers["x-generation-id"] == answer["id"]
    assert re.fullmatch(r"gen-emb-\d{10}-[A-Za-z0-9]{20}", answer["id"])
    vectors = [entry["embedding"] for entry in answer["data"]]
    assert vectors[0] == vectors[2] != vectors[1]
    assert [struct.unpack("<8f", base64.b64decode(entry["embedding"])) for entry in packed] == list(map(tuple, vectors))
    assert math.hypot(*vectors[0]) == pytest.approx(1)
    # 6 tokens at 0.02 USD a million
    assert (answer["usage"]["total_tokens"], answer["usage"]["cost"]) == (6, pytest.approx(6 * 0.02e-6))
    assert [(answer.status_code, answer.json()["error"]["code"]) for answer in broken] == [(429, 429), (200, 502)]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a": NaN}', b"null"])
def test_a_body_that_is_no_json_object_is_a_bad_request(mock: Mock, body: bytes) -> None:
    with mock.client() as client:
        response = client.post("chat/completions", content=body)
    assert (response.status_code, response.json()["error"]["message"]) == (400, "Invalid JSON body")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_no_body_whatever_makes_the_server_fail(mock: Mock, body: bytes) -> None:
    with mock.client() as client:
        assert client.post("chat/completions", content=body).status_code == 400


# ------------------------------------------------------------------------------------------------------- after the call


def test_a_generation_is_unknown_for_a_moment_and_then_tells_the_call(mock: Mock) -> None:
    with mock.client() as client:
        answer = ask(client).json()
        path = f"generation?id={answer['id']}"
        assert client.get(path).status_code == 404
        assert eventually(lambda: client.get(path).status_code == 200)
        data = client.get(path).json()["data"]

    assert data["latency"] + data["generation_time"] == pytest.approx(12 + 7 * 0.5, abs=0.01)
    assert data["usage"] == data["total_cost"] == pytest.approx(answer["usage"]["cost"])
    assert (data["streamed"], data["cancelled"], data["finish_reason"]) == (False, False, "length")


def test_a_key_shows_what_its_answered_calls_cost(start: Start) -> None:
    mock = start()
    with mock.client() as client:
        cost = ask(client).json()["usage"]["cost"]
        for fault in ("429", "embedded", "midstream"):
            ask(client, fault=fault)
        key, credits = client.get("key").json()["data"], client.get("credits").json()["data"]

    assert key["usage"] == key["usage_daily"] == credits["total_usage"] == pytest.approx(cost)
    assert key["label"].startswith("sk-or-v1-tes")
    assert KEY not in key["label"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_that_hangs_up_stops_its_call(start: Start, stream: bool) -> None:
    mock = start(Constant(60.0))
    address = urlsplit(mock.origin)
    body = json.dumps({"model": MODEL, "messages": MESSAGES, "stream": stream})
    with socket.create_connection((address.hostname, address.port)) as connection:
        head = f"POST /api/v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        assert eventually(lambda: mock.stats()["in_flight"] == 1)

    assert eventually(lambda: mock.stats()["in_flight"] == 0)
    assert mock.stats()["responses"] == ({"200": 1} if stream else {})
    with mock.client() as client:
        billed = client.get("key").json()["data"]["usage"]
    # 6 prompt tokens at 0.15 USD a million; a stream is billed as far as it was sent, a plain answer in full
    assert (billed == pytest.approx(6 * 0.15e-6)) == stream


def test_the_statistics_count_what_was_sent(start: Start) -> None:
    mock = start()
    with mock.client() as client:
        ask(client)
        ask(client, stream=True)
        ask(client, fault="503")
        client.get("key")

    stats = mock.stats()
    assert stats["calls"] == 3
    assert stats["responses"] == {"200": 3, "503": 1}
    assert (stats["in_flight"], stats["peak_in_flight"]) == (0, 1)


# -------------------------------------------------------------------------------------------------------------- control


@pytest.fixture
def controlled() -> Iterator[Mock]:
    with serving(create_app(Behaviour(Constant(0.001), {}, seed=1), control="open-sesame")) as origin:
        yield Mock(origin)


def impose(mock: Mock, fault: Any, secret: str = "open-sesame") -> httpx.Response:
    headers = {"Authorization": f"Bearer {secret}"}
    return httpx.post(f"{mock.origin}/__mock__/fault", json={"fault": fault}, headers=headers, verify=NOTHING)


@pytest.mark.parametrize(("fault", "status"), [("502", 502), ("503", 503), ("429", 429)])
def test_an_imposed_fault_strikes_every_call_until_it_is_lifted(controlled: Mock, fault: str, status: int) -> None:
    with controlled.client() as client:
        assert ask(client).status_code == 200
        assert impose(controlled, fault).json() == {"fault": fault}
        answers = [ask(client), ask(client, stream=True), client.get("key")]
        assert [answer.status_code for answer in answers] == [status] * 3
        assert ("retry-after" in answers[0].headers) == (status != 502)
        assert impose(controlled, None).json() == {"fault": None}
        assert ask(client).status_code == 200


def test_a_fault_that_a_call_asks_for_goes_before_an_imposed_one(controlled: Mock) -> None:
    impose(controlled, "429")
    with controlled.client() as client:
        assert ask(client, fault="500").status_code == 500


def test_only_who_knows_the_secret_imposes_faults(controlled: Mock) -> None:
    assert impose(controlled, "502", secret="guess").status_code == 401
    assert impose(controlled, "502", secret="x").status_code == 401
    with controlled.client() as client:
        assert ask(client).status_code == 200


@pytest.mark.parametrize("fault", ["meteor", "", 7, ["502"]])
def test_an_unknown_fault_is_not_imposed(controlled: Mock, fault: Any) -> None:
    assert impose(controlled, fault).status_code == 400


def test_without_a_secret_there_is_no_control(mock: Mock) -> None:
    assert impose(mock, "502", secret="x").status_code == 404

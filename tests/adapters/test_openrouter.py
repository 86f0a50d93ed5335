from __future__ import annotations

import json
import math
import pickle
import random
import socket
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from threading import Thread
from typing import Any

import httpx
import pytest
import respx
from hypothesis import example, given
from hypothesis import strategies as st

from jobctl.adapters.openrouter import OpenRouterClient
from jobctl.adapters.processes import ProcessGroup
from jobctl.apps.mock.behaviour import Fault
from jobctl.core.retrying import RetryPolicy
from jobctl.errors import InvalidValue, UpstreamDisconnected, UpstreamError, UpstreamStatus, UpstreamTimeout
from support.servers import FaultyMock, SocketServer, answering, http, serving

KEY = "sk-or-v1-test"
MESSAGES = [{"role": "user", "content": "hello"}]
MODEL = "openai/gpt-4o-mini"
UPSTREAM = "http://upstream/api/v1"
ONCE = RetryPolicy(attempts=1)
QUICK = RetryPolicy(attempts=3, base_s=0.01, cap_s=0.01)
COMPLETION = {
    "id": "gen-1",
    "model": "openai/gpt-4o-mini",
    "provider": "OpenAI",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "cost": 0.25},
}


class Callers:
    """Clients that are closed at the end."""

    def __init__(self) -> None:
        self.stack = ExitStack()

    def __call__(self, base_url: str, *, timeout_s: float = 20.0, policy: RetryPolicy = QUICK) -> OpenRouterClient:
        client = OpenRouterClient(base_url, KEY, timeout_s=timeout_s, policy=policy, rng=random.Random(1))
        self.stack.callback(client.close)
        return client


@pytest.fixture(autouse=True)
def _through_httpx_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """respx answers for httpx's own transport, which is in use where there is a proxy."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture
def connect() -> Iterator[Callers]:
    callers = Callers()
    with callers.stack:
        yield callers


@pytest.fixture
def mocking() -> Iterator[Callable[..., tuple[FaultyMock, str]]]:
    """Serves a mock with a fault for each of the first calls; gives it and its URL."""
    with ExitStack() as stack:

        def start(*demands: dict[str, str], **options: Any) -> tuple[FaultyMock, str]:
            mock = FaultyMock(*demands, **options)
            return mock, f"{stack.enter_context(serving(mock))}/api/v1"

        yield start


Mocking = Callable[..., tuple[FaultyMock, str]]


def chat(client: OpenRouterClient, **more: Any) -> dict[str, Any]:
    return client.chat(messages=MESSAGES, model=MODEL, **more)


def fault(kind: str, retry_after: str | None = None) -> dict[str, str]:
    return {"X-Mock-Fault": kind} | ({"X-Mock-Retry-After": retry_after} if retry_after is not None else {})


def canned(client: OpenRouterClient, *answers: httpx.Response) -> dict[str, Any]:
    """Call an upstream that gives these answers."""
    with respx.mock as router:
        router.post(f"{UPSTREAM}/chat/completions").mock(side_effect=list(answers))
        return chat(client)


# ----------------------------------------------------------------------------------------------------------- answers


def test_an_answer_of_the_mock_comes_whole(connect: Callers, mocking: Mocking) -> None:
    _, url = mocking(latency_s=0.05)
    result = chat(connect(url))

    assert result["id"].startswith("gen-")
    assert (result["model"], result["attempts"]) == (MODEL, 1)
    assert isinstance(result["content"], str)
    assert result["content"]
    assert result["provider"]
    assert result["finish_reason"] == "stop"
    assert result["prompt_tokens"] > 0
    assert result["completion_tokens"] > 0
    assert result["cost_usd"] > 0
    assert 0.05 <= result["latency_s"] < 5


def test_a_bound_on_the_tokens_is_kept_and_reported(connect: Callers, mocking: Mocking) -> None:
    _, url = mocking()
    result = chat(connect(url), max_tokens=1)

    assert (result["completion_tokens"], result["finish_reason"]) == (1, "length")


def test_what_is_sent_is_what_was_said_and_the_key(connect: Callers) -> None:
    with respx.mock as router:
        route = router.post(f"{UPSTREAM}/chat/completions").respond(json=COMPLETION)
        connect(UPSTREAM).chat(messages=[{"role": "user", "content": "grüß Gott"}], model="a/b", max_tokens=7)

    request = route.calls.last.request
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.content) == {
        "model": "a/b",
        "messages": [{"role": "user", "content": "grüß Gott"}],
        "max_tokens": 7,
    }


def test_padding_before_and_after_the_answer_is_no_matter(connect: Callers) -> None:
    body = b"\n         " * 50 + json.dumps(COMPLETION).encode() + b"\n\n "

    assert canned(connect(UPSTREAM), httpx.Response(200, content=body))["content"] == "hi"


def test_a_slow_answer_with_padding_arrives(connect: Callers, mocking: Mocking) -> None:
    _, url = mocking({"X-Mock-Fault": "slow", "X-Mock-Slow-Ms": "600"})
    result = chat(connect(url))

    assert result["content"]
    assert result["latency_s"] >= 0.6


def test_unknown_fields_and_words_are_ignored_and_null_is_as_good_as_absent(connect: Callers) -> None:
    document = {
        "choices": [{"finish_reason": "a_new_word", "message": {"content": None, "novel": []}, "error": None}],
        "error": None,
        "usage": None,
        "never_seen": {"a": 1},
    }
    result = canned(connect(UPSTREAM), httpx.Response(200, json=document))

    assert (result["content"], result["finish_reason"], result["cost_usd"]) == (None, "a_new_word", None)


# ----------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("kind", "status"),
    [("402", 402), ("403", 403), ("moderation", 403)],
)
def test_a_refusal_is_final_at_once(connect: Callers, mocking: Mocking, kind: str, status: int) -> None:
    mock, url = mocking(faults={Fault(kind): 1.0})
    with pytest.raises(UpstreamStatus) as caught:
        chat(connect(url))

    assert (caught.value.status, caught.value.retryable) == (status, False)
    assert len(mock.arrived_s) == 1


@pytest.mark.parametrize("status", [301, 400, 401, 404, 413, 422, 501])
def test_a_status_that_cannot_heal_is_final_at_once(connect: Callers, status: int) -> None:
    answer = httpx.Response(status, json={"error": {"code": status, "message": "no", "metadata": None}})
    with pytest.raises(UpstreamStatus, match=f"{status} no"):
        canned(connect(UPSTREAM), answer)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 520, 522, 524, 529])
def test_a_status_that_may_heal_is_tried_again(connect: Callers, status: int) -> None:
    result = canned(connect(UPSTREAM), httpx.Response(status), httpx.Response(200, json=COMPLETION))

    assert (result["content"], result["attempts"]) == ("hi", 2)


@pytest.mark.parametrize("kind", ["408", "429", "500", "502", "503", "midstream", "embedded", "disconnect"])
def test_a_passing_fault_of_the_mock_costs_one_attempt(connect: Callers, mocking: Mocking, kind: str) -> None:
    mock, url = mocking(fault(kind, "0"))
    result = chat(connect(url))

    assert (bool(result["content"]), result["attempts"], len(mock.arrived_s)) == (True, 2, 2)


def test_attempts_end_with_the_policys_and_the_last_error_stands(connect: Callers, mocking: Mocking) -> None:
    mock, url = mocking(faults={Fault.INTERNAL: 1.0})
    with pytest.raises(UpstreamStatus) as caught:
        chat(connect(url))

    assert (caught.value.status, caught.value.error_type) == (500, "server")
    assert len(mock.arrived_s) == 3
    assert caught.value.__notes__ == ["Given up after attempt 3 of at most 3."]


def test_a_402_heals_only_when_it_is_the_in_flight_budget(connect: Callers, mocking: Mocking) -> None:
    mock, url = mocking(fault("budget", "0"), fault("402"))
    with pytest.raises(UpstreamStatus, match="402 Insufficient credits"):
        chat(connect(url))

    assert len(mock.arrived_s) == 2  # the first was tried again, the second was not


def test_an_error_that_is_no_json_keeps_its_status(connect: Callers) -> None:
    with pytest.raises(UpstreamStatus, match="502 Bad Gateway") as caught:
        canned(connect(UPSTREAM, policy=ONCE), httpx.Response(502, text="<html>cloud</html>"))

    assert caught.value.retryable


# -------------------------------------------------------------------------------------------------- errors in a 200


@pytest.mark.parametrize(
    ("document", "status", "message"),
    [
        ({"error": {"code": 429, "message": "later"}}, 429, "later"),
        ({**COMPLETION, "error": {"code": 402, "message": "pay"}}, 402, "pay"),
        ({"error": {"code": "server_error", "message": "a word"}}, 502, "a word"),
        ({"error": {"code": "503", "message": "digits"}}, 503, "digits"),
        ({"error": {"code": 0, "message": "no status"}}, 502, "no status"),
        ({"error": {"code": 10**9, "message": "no status either"}}, 502, "no status either"),
        ({"error": {"message": "no code"}}, 502, "no code"),
        ({"error": "just text"}, 502, "just text"),
        ({"error": {"code": 500}}, 500, "Internal Server Error"),
        ({"choices": [{"error": {"code": 503, "message": "in a choice"}}]}, 503, "in a choice"),
        ({"choices": [{"finish_reason": "error", "message": {"content": "par"}}]}, 502, "the provider broke off"),
        (
            {"choices": [{"finish_reason": "error", "native_finish_reason": "MALFORMED_FUNCTION_CALL"}]},
            502,
            "MALFORMED_FUNCTION_CALL",
        ),
        ({"choices": [{"message": {"content": "fine"}}, {"finish_reason": "error"}]}, 502, "the provider broke off"),
    ],
)
def test_an_error_inside_a_200_is_found(connect: Callers, document: dict[str, Any], status: int, message: str) -> None:
    with pytest.raises(UpstreamStatus) as caught:
        canned(connect(UPSTREAM, policy=ONCE), httpx.Response(200, json=document))

    assert (caught.value.status, caught.value.message) == (status, f"{status} {message}")
    assert caught.value.retryable == (status != 402)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   \n  ",
        b"<html>hello</html>",
        b'{"choices": [{"message": {"content": "half',
        b"null",
        b"[1, 2]",
        b"{}",
        b'{"choices": []}',
        b'{"choices": [null]}',
        b'{"choices": {"0": "odd"}}',
        b"\xff\xfe\x00broken",
        b"[" * 100_000,
    ],
)
def test_a_200_that_is_no_completion_may_be_tried_again(connect: Callers, body: bytes) -> None:
    result = canned(connect(UPSTREAM), httpx.Response(200, content=body), httpx.Response(200, json=COMPLETION))

    assert result["attempts"] == 2


@pytest.fixture(scope="module")
def only_client() -> Iterator[OpenRouterClient]:
    client = OpenRouterClient(UPSTREAM, KEY, timeout_s=5, policy=ONCE)
    yield client
    client.close()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "choices", "message", "code", "metadata", "usage", "finish_reason", "content"]),
            inner,
        )
    ),
    max_leaves=8,
)


@example(document={"error": {"code": math.inf}}, status=200)
@given(
    document=json_values | st.fixed_dictionaries({"choices": st.lists(json_values, max_size=2)}),
    status=st.sampled_from([200, 402, 429, 500]),
)
def test_whatever_json_comes_it_is_a_result_or_one_of_our_errors(
    only_client: OpenRouterClient, document: Any, status: int
) -> None:
    try:
        result = canned(only_client, httpx.Response(status, content=json.dumps(document)))
    except (UpstreamStatus, UpstreamDisconnected):
        return
    assert result["attempts"] == 1


# ----------------------------------------------------------------------------------------------------- time and retry


@pytest.mark.parametrize("kind", ["429", "503", "budget"])
def test_retry_after_is_obeyed_and_never_cut_short(connect: Callers, mocking: Mocking, kind: str) -> None:
    mock, url = mocking(fault(kind, "1"))
    result = chat(connect(url))

    first_s, second_s = mock.arrived_s
    assert result["attempts"] == 2
    assert 1.0 <= second_s - first_s < 3.0


def test_retry_after_beyond_the_deadline_is_given_up_at_once(connect: Callers, mocking: Mocking) -> None:
    mock, url = mocking(faults={Fault.BUDGET: 1.0})  # asks for two minutes
    started_s = time.monotonic()
    with pytest.raises(UpstreamStatus) as caught:
        chat(connect(url, timeout_s=60))

    assert time.monotonic() - started_s < 5
    assert caught.value.retry_after_s == 120
    assert len(mock.arrived_s) == 1


def http_date(seconds_from_now: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds_from_now), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "low_s", "high_s"),
    [
        ({"Retry-After": "7"}, 7, 7),
        ({"Retry-After": " 1.5 "}, 1.5, 1.5),
        ({"Retry-After": "0"}, 0, 0),
        ({"Retry-After": http_date(100)}, 0, 100),  # by this machine's clock
        ({"Retry-After": http_date(5000), "Date": http_date(4900)}, 99, 101),  # by the clock of a server that is ahead
        ({"Retry-After": http_date(-100)}, 0, 0),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(
    connect: Callers, headers: dict[str, str], low_s: float, high_s: float
) -> None:
    with pytest.raises(UpstreamStatus) as caught:
        canned(connect(UPSTREAM, policy=ONCE), httpx.Response(429, headers=headers))

    assert caught.value.retry_after_s is not None
    assert low_s <= caught.value.retry_after_s <= high_s


#: Its offset is more than a C integer holds.
ABSURD_DATE = "1 Jan 2026 00:00:00 -99999999999999999999"


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf", "", "Fri, 99 Foo 2026 00:00:00 GMT", ABSURD_DATE])
def test_a_retry_after_that_means_nothing_is_as_good_as_none(connect: Callers, text: str) -> None:
    with pytest.raises(UpstreamStatus) as caught:
        canned(connect(UPSTREAM, policy=ONCE), httpx.Response(429, headers={"Retry-After": text}))

    assert caught.value.retry_after_s is None


def test_the_deadline_holds_for_all_attempts_together(connect: Callers, mocking: Mocking) -> None:
    """Each attempt alone would fit: the second is cut."""
    slow = {"X-Mock-Fault": "slow", "X-Mock-Slow-Ms": "20000"}
    mock, url = mocking(fault("429", "1"), slow, slow)
    started_s = time.monotonic()
    with pytest.raises(UpstreamTimeout):
        chat(connect(url, timeout_s=1.5))

    assert 1.5 <= time.monotonic() - started_s < 4
    assert len(mock.arrived_s) == 2


def test_padding_does_not_stretch_the_deadline(connect: Callers, mocking: Mocking) -> None:
    _, url = mocking({"X-Mock-Fault": "slow", "X-Mock-Slow-Ms": "20000"})
    started_s = time.monotonic()
    with pytest.raises(UpstreamTimeout):
        chat(connect(url, timeout_s=0.8))

    assert 0.8 <= time.monotonic() - started_s < 3


def test_an_answer_cut_short_is_tried_again(connect: Callers) -> None:
    whole = http(json.dumps(COMPLETION).encode(), "Content-Type: application/json")

    def cut_the_first(connection: socket.socket) -> None:
        answering(whole[:-20] if server.accepted == 1 else whole)(connection)

    with SocketServer(cut_the_first) as server:
        result = chat(connect(server.url.rstrip("/")))

    assert (result["content"], result["attempts"]) == ("hi", 2)


# ------------------------------------------------------------------------------------------------------------- the rest


@pytest.mark.parametrize("url", ["http://", "http:///api/v1", "http://host:99999/api/v1", "nonsense", "http://a..b/"])
def test_a_url_that_leads_nowhere_is_refused_at_once(url: str) -> None:
    with pytest.raises(InvalidValue, match="URL"):
        OpenRouterClient(url, KEY, timeout_s=1)


@pytest.mark.parametrize("key", ["", "sk-or- spaced", "sk-or-line\nbreak", "sk-or-schlüssel", "sk-or-\x00"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(InvalidValue, match="key") as caught:
        OpenRouterClient(UPSTREAM, key, timeout_s=1)

    assert not key or key not in str(caught.value)


def test_errors_survive_pickling_as_failed_jobs_need(connect: Callers) -> None:
    with pytest.raises(UpstreamError) as caught:
        canned(connect(UPSTREAM, policy=ONCE), httpx.Response(429, headers={"Retry-After": "3"}))

    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), str(copy), copy.status, copy.retry_after_s) == (UpstreamStatus, "429 Too Many Requests", 429, 3)


@pytest.mark.parametrize("threads", [25, 100])
def test_one_client_serves_many_threads(connect: Callers, mocking: Mocking, threads: int) -> None:
    _, url = mocking(latency_s=0.05)
    client = connect(url)
    with ThreadPoolExecutor(threads) as pool:
        results = list(pool.map(lambda _: chat(client), range(threads * 2)))

    assert len({result["id"] for result in results}) == threads * 2
    assert {result["attempts"] for result in results} == {1}


@pytest.mark.serial
def test_a_call_costs_no_more_cpu_than_one_of_a_plain_shared_client() -> None:
    """25 threads, answers that take 20 ms; the rounds alternate and the best of each counts."""
    with ProcessGroup() as group:
        words = [sys.executable, "-m", "jobctl", "mock", "--port", "0", "--latency", "constant:20ms"]
        mock = group.spawn(words, stdout=(target := (group.directory / "mock.out").open("w+")))
        while "listening on " not in (line := (group.directory / "mock.out").read_text()):
            assert mock.poll() is None
            time.sleep(0.02)
        target.close()
        url = line.split("listening on ")[1].split()[0]
        ours = OpenRouterClient(url, KEY, timeout_s=60)
        body = json.dumps({"model": MODEL, "messages": MESSAGES}).encode()
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        with httpx.Client(timeout=60) as shared:

            def plain() -> None:
                json.loads(shared.post(f"{url}/chat/completions", content=body, headers=headers).content)

            cpu_s = [(cpu_of(plain), cpu_of(lambda: chat(ours))) for _ in range(4)]
        ours.close()

    plain_s, ours_s = (min(times) for times in zip(*cpu_s[1:], strict=True))
    assert ours_s < 1.15 * plain_s, f"{ours_s * 1000:.2f} ms a call against {plain_s * 1000:.2f} ms"


def cpu_of(call: Callable[[], object], calls: int = 500, threads: int = 25) -> float:
    """CPU seconds of this process for one call."""
    workers = [Thread(target=lambda: [call() for _ in range(calls // threads)]) for _ in range(threads)]
    started_s = time.process_time()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return (time.process_time() - started_s) / calls

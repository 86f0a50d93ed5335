"""An OpenRouter that official clients cannot tell from the real one, as an ASGI application.

Time. A call's latency is counted from its arrival, and every step waits for an absolute instant, so the server's own
work is inside the latency and not on top of it.

Padding. Like the real API, a plain answer that takes long has its 200 sent early and white space dribbled out until the
JSON comes, and a stream carries ``: OPENROUTER PROCESSING`` comments before its first token. So a client that relies on
a read timeout alone fails here as it fails there.
"""

from __future__ import annotations

import asyncio
import json
import random
import string
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from jobctl.apps.mock import answers
from jobctl.apps.mock.answers import Call, Ledger
from jobctl.apps.mock.behaviour import Behaviour, Fault, Timing
from jobctl.apps.mock.catalog import find
from jobctl.apps.mock.errors import ApiError, fault_error, rate_limited
from jobctl.apps.mock.limits import MinuteLimit
from jobctl.apps.mock.requests import ChatRequest, read_chat, read_completion

__all__ = ["create_app"]

#: Seconds of silence after which keep-alive bytes flow. The real interval is not published.
_KEEP_ALIVE_S: Final = 1.0
#: How much later ``slow`` makes the first token, unless the call says otherwise.
_SLOW_MS: Final = 2500.0
#: How long /generation does not know a call after it ended.
_GENERATION_DELAY_S: Final = 0.3
_GENERATIONS_KEPT: Final = 10_000
_CREDITS_USD: Final = 1000.0
_STATUS_FAULTS: Final = frozenset(Fault) - {Fault.MIDSTREAM, Fault.DISCONNECT, Fault.SLOW, Fault.EMBEDDED}
_PROCESSING: Final = b": OPENROUTER PROCESSING\n\n"
_ALPHABET: Final = string.ascii_letters + string.digits


class ConnectionCut(Exception):
    """Raised inside an answer to make the server drop the connection."""


@dataclass(frozen=True, slots=True)
class _Running:
    """A call on its way: what it is, when it came, how long it takes and what goes wrong."""

    call: Call
    arrived_s: float
    timing: Timing
    fault: Fault | None
    retry_after: str | None
    wants_metadata: bool
    prompt: str
    ledger: Ledger

    @property
    def headers(self) -> dict[str, str]:
        return {"X-Generation-Id": self.call.id}

    def error(self) -> ApiError:
        """The error that a fault inside a 200 carries."""
        return fault_error(Fault.BAD_GATEWAY, self.call.model, self.prompt, None)


def create_app(behaviour: Behaviour, *, rpm: int | None = None, tpm: int | None = None) -> Starlette:
    """Build the application.

    Args:
        behaviour: Latency, faults and seed.
        rpm: Requests that any sixty seconds admit; None for no limit.
        tpm: Tokens likewise.
    """
    mock = _Mock(behaviour, MinuteLimit(rpm, tpm))
    routes = [Route("/__mock__/stats", mock.stats)]
    for prefix in ("/api/v1", "/v1"):
        routes += [
            Route(f"{prefix}/chat/completions", mock.guarded(mock.chat), methods=["POST"]),
            Route(f"{prefix}/completions", mock.guarded(mock.completions), methods=["POST"]),
            Route(f"{prefix}/models", mock.guarded(mock.models, anonymous=True)),
            Route(f"{prefix}/models/{{author}}/{{slug}}/endpoints", mock.guarded(mock.endpoints, anonymous=True)),
            Route(f"{prefix}/key", mock.guarded(mock.key)),
            Route(f"{prefix}/auth/key", mock.guarded(mock.key)),
            Route(f"{prefix}/credits", mock.guarded(mock.credits)),
            Route(f"{prefix}/generation", mock.guarded(mock.generation)),
        ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _no_route})


Handler = Callable[[Request], Awaitable[Response]]


class _Mock:
    """The state behind the routes: spending by key, generations, limits, counters."""

    def __init__(self, behaviour: Behaviour, limit: MinuteLimit) -> None:
        self._behaviour = behaviour
        self._limit = limit
        self._ledgers: dict[str, Ledger] = {}
        self._generations: OrderedDict[str, tuple[float, dict[str, Any]]] = OrderedDict()
        self._ids = random.Random(f"ids:{behaviour.seed}")
        self._calls = 0
        self._in_flight = 0
        self._peak_in_flight = 0
        self._statuses: Counter[int] = Counter()

    def guarded(self, handler: Handler, *, anonymous: bool = False) -> Handler:
        """A handler behind the key check, with error answers sent as OpenRouter sends them and everything counted."""

        async def guard(request: Request) -> Response:
            try:
                if not anonymous or "authorization" in request.headers:
                    _check_key(request)
                response = await handler(request)
            except ApiError as error:
                response = JSONResponse(error.to_document(), error.code, headers=dict(error.headers))
            self._statuses[response.status_code] += 1
            return response

        return guard

    async def chat(self, request: Request) -> Response:
        """``POST /chat/completions``."""
        running, asked = await self._admit(request, read_chat)
        if running.fault in _STATUS_FAULTS:
            await _until(running.arrived_s + running.timing.first_token_s)
            raise fault_error(running.fault, running.call.model, asked.prompt, running.retry_after)
        if asked.stream:
            return StreamingResponse(
                self._tracked(running, self._stream(running), streamed=True),
                media_type="text/event-stream",
                headers={**running.headers, "Cache-Control": "no-cache"},
            )
        return await self._plain(running, lambda: _plain_document(running))

    async def completions(self, request: Request) -> Response:
        """``POST /completions``, the legacy form."""
        running, asked = await self._admit(request, read_completion)
        if running.fault in _STATUS_FAULTS:
            raise fault_error(running.fault, running.call.model, asked.prompt, running.retry_after)
        return await self._plain(running, lambda: answers.text_answer(running.call))

    async def models(self, request: Request) -> Response:
        """``GET /models``, in pages when asked for."""
        query = request.query_params
        limit = _query_number(query, "limit", 1, 1000) if "limit" in query else None
        return JSONResponse(answers.models_page(_query_number(query, "offset", 0, None), limit))

    async def endpoints(self, request: Request) -> Response:
        """``GET /models/{author}/{slug}/endpoints``."""
        name = f"{request.path_params['author']}/{request.path_params['slug']}"
        model = find(name)
        if model is None:
            raise ApiError(404, f"No endpoints found for {name}.", {"error_type": "not_found"})
        return JSONResponse(answers.endpoints(model))

    async def key(self, request: Request) -> Response:
        """``GET /key``."""
        key = _check_key(request)
        return JSONResponse(self._ledger(key).key(f"{key[:12]}...{key[-3:]}"))

    async def credits(self, request: Request) -> Response:
        """``GET /credits``."""
        return JSONResponse(self._ledger(_check_key(request)).credits(_CREDITS_USD))

    async def generation(self, request: Request) -> Response:
        """``GET /generation?id=``: unknown for a moment after the call, as on the real API."""
        wanted = request.query_params.get("id", "")
        known_from_s, document = self._generations.get(wanted, (float("inf"), {}))
        if time.monotonic() < known_from_s:
            raise ApiError(404, f"Generation {wanted} not found", {"error_type": "not_found"})
        return JSONResponse(document)

    async def stats(self, request: Request) -> Response:
        """What the mock saw: for accounting in tests, not part of OpenRouter."""
        return JSONResponse(
            {
                "calls": self._calls,
                "responses": {str(status): count for status, count in sorted(self._statuses.items())},
                "in_flight": self._in_flight,
                "peak_in_flight": self._peak_in_flight,
                "admitted_last_60_s": self._limit.in_window(time.monotonic()),
            }
        )

    async def _admit(self, request: Request, read: Callable[[Any], ChatRequest]) -> tuple[_Running, ChatRequest]:
        """Read a call, let the limits see it, and settle how it will go."""
        arrived_s = time.monotonic()
        asked = read(await _json(request))
        fault = _header_fault(request) or self._behaviour.fault(self._calls)
        timing = self._behaviour.timing(self._calls, asked.max_tokens)
        if fault is Fault.SLOW:
            late_s = _header_number(request, "x-mock-slow-ms", _SLOW_MS) / 1000
            timing = Timing(timing.first_token_s + late_s, timing.total_s + late_s, timing.completion_tokens)
        admission = self._limit.admit(arrived_s, asked.prompt_tokens + timing.completion_tokens)
        if not admission.admitted:
            raise rate_limited(admission.limit, admission.retry_after_s, time.time())
        self._calls += 1
        finish_reason = "length" if timing.completion_tokens == asked.max_tokens else "stop"
        call = Call(
            id=self._generation_id(),
            created=int(time.time()),
            model=asked.model,
            requested=asked.requested,
            prompt_tokens=asked.prompt_tokens,
            completion_tokens=timing.completion_tokens,
            finish_reason="tool_calls" if asked.tool else finish_reason,
            wants_json=asked.wants_json,
            tool=asked.tool,
        )
        running = _Running(
            call=call,
            arrived_s=arrived_s,
            timing=timing,
            fault=fault,
            retry_after=request.headers.get("x-mock-retry-after"),
            wants_metadata=request.headers.get("x-openrouter-metadata", "").lower() == "enabled",
            prompt=asked.prompt,
            ledger=self._ledger(_check_key(request)),
        )
        return running, asked

    async def _plain(self, running: _Running, document: Callable[[], Mapping[str, Any]]) -> Response:
        """An answer in one piece: directly when it is quick, behind padding when it is not."""
        wait_s = running.arrived_s + running.timing.total_s - time.monotonic()
        if wait_s <= _KEEP_ALIVE_S and running.fault is not Fault.DISCONNECT:
            parts = [part async for part in self._tracked(running, _once(running, document), streamed=False)]
            return Response(parts[0], media_type="application/json", headers=running.headers)
        return StreamingResponse(
            self._tracked(running, _padded(running, document), streamed=False),
            media_type="application/json",
            headers=running.headers,
        )

    async def _stream(self, running: _Running) -> AsyncIterator[bytes]:
        """The events of a stream, each at its instant."""
        call, timing = running.call, running.timing
        async for comment in _keep_alive(running.arrived_s + timing.first_token_s, _PROCESSING):
            yield comment
        if running.fault is Fault.EMBEDDED:
            yield _event(answers.error_chunk(call, running.error()))
            return
        for share, chunk in answers.chunks(call):
            if share >= 0.5 and running.fault is Fault.MIDSTREAM:
                yield _event(answers.error_chunk(call, running.error()))
                return
            await _until(running.arrived_s + timing.first_token_s + share * (timing.total_s - timing.first_token_s))
            yield _event(chunk)
            if running.fault is Fault.DISCONNECT:
                raise ConnectionCut
        if running.fault is Fault.MIDSTREAM:
            yield _event(answers.error_chunk(call, running.error()))
            return
        for chunk in answers.last_chunks(call, answers.router_metadata(call) if running.wants_metadata else None):
            yield _event(chunk)
        yield b"data: [DONE]\n\n"

    async def _tracked(self, running: _Running, body: AsyncIterator[bytes], *, streamed: bool) -> AsyncIterator[bytes]:
        """Pass a body on, counting the call as in flight, and book it at the end."""
        self._in_flight += 1
        self._peak_in_flight = max(self._peak_in_flight, self._in_flight)
        finished = False
        try:
            async for part in body:
                yield part
            finished = True
        finally:
            self._in_flight -= 1
            self._book(running, streamed=streamed, finished=finished)

    def _book(self, running: _Running, *, streamed: bool, finished: bool) -> None:
        """Bill what was answered; error finishes are free, as on the real API."""
        if finished and running.fault in {None, Fault.SLOW}:
            running.ledger.charge(running.call)
        document = answers.generation(
            running.call,
            first_token_s=running.timing.first_token_s,
            total_s=running.timing.total_s,
            streamed=streamed,
            cancelled=not finished,
        )
        self._generations[running.call.id] = (time.monotonic() + _GENERATION_DELAY_S, document)
        if len(self._generations) > _GENERATIONS_KEPT:
            self._generations.popitem(last=False)

    def _ledger(self, key: str) -> Ledger:
        return self._ledgers.setdefault(key, Ledger())

    def _generation_id(self) -> str:
        return f"gen-{int(time.time())}-{''.join(self._ids.choices(_ALPHABET, k=20))}"


def _plain_document(running: _Running) -> Mapping[str, Any]:
    if running.fault is Fault.EMBEDDED:
        return running.error().to_document()
    return answers.chat_answer(running.call, running.error() if running.fault is Fault.MIDSTREAM else None)


async def _once(running: _Running, document: Callable[[], Mapping[str, Any]]) -> AsyncIterator[bytes]:
    body = json.dumps(document()).encode()
    await _until(running.arrived_s + running.timing.total_s)
    yield body


async def _padded(running: _Running, document: Callable[[], Mapping[str, Any]]) -> AsyncIterator[bytes]:
    async for padding in _keep_alive(running.arrived_s + running.timing.total_s, b"\n         "):
        yield padding
    body = json.dumps(document()).encode()
    if running.fault is Fault.DISCONNECT:
        yield body[: len(body) // 2]
        raise ConnectionCut
    yield body


async def _keep_alive(until_s: float, sign: bytes) -> AsyncIterator[bytes]:
    """A sign of life each second until an instant; none when it is near."""
    while until_s - time.monotonic() > _KEEP_ALIVE_S:
        await asyncio.sleep(_KEEP_ALIVE_S)
        yield sign
    await _until(until_s)


async def _until(instant_s: float) -> None:
    wait_s = instant_s - time.monotonic()
    if wait_s > 0:
        await asyncio.sleep(wait_s)


def _event(document: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(document, separators=(",", ":")).encode() + b"\n\n"


async def _json(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError:
        raise ApiError(400, "Invalid JSON body", {"error_type": "invalid_request"}) from None


def _check_key(request: Request) -> str:
    """The caller's key: anything ``sk-or-...`` that says neither "bad" nor "invalid"."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise ApiError(401, "Missing Authentication header", {"error_type": "authentication"})
    key = key.strip()
    if not key.startswith("sk-or-") or "bad" in key or "invalid" in key:
        raise ApiError(401, "User not found.", {"error_type": "authentication"})
    return key


def _header_fault(request: Request) -> Fault | None:
    wanted = request.headers.get("x-mock-fault")
    if wanted is None:
        return None
    if wanted not in set(Fault):
        raise ApiError(
            400, f"X-Mock-Fault: unknown fault {wanted!r}; one of {', '.join(Fault)}", {"error_type": "invalid_request"}
        )
    return Fault(wanted)


def _header_number(request: Request, name: str, default: float) -> float:
    try:
        return max(0.0, float(request.headers.get(name, default)))
    except ValueError:
        raise ApiError(400, f"{name} is not a number", {"error_type": "invalid_request"}) from None


def _query_number(query: Mapping[str, str], name: str, lowest: int, highest: int | None) -> int:
    text = query.get(name, str(lowest))
    if not text.isdigit() or int(text) < lowest or (highest is not None and int(text) > highest):
        raise ApiError(400, f"{name}: expected a whole number of at least {lowest}", {"error_type": "invalid_request"})
    return int(text)


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse(
        ApiError(error.status_code, error.detail, {"error_type": "not_found"}).to_document(), error.status_code
    )

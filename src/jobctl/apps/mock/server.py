"""An OpenRouter that official clients cannot tell from the real one, as an ASGI application.

Time. A call's latency is counted from its arrival, and every step waits for an absolute instant, so the server's own
work is inside the latency and not on top of it.

Padding. Like the real API, a plain answer that takes long has its 200 sent early and white space dribbled out until the
JSON comes, and a stream carries ``: OPENROUTER PROCESSING`` comments before its first token and in its pauses. So a
client that relies on a read timeout alone fails here as it fails there.

Hanging up. A stream stops and what was sent of it is billed; a plain answer stops as well and is billed in full.

Keys. Any ``sk-or-...`` is accepted unless it says "bad" or "invalid". All keys belong to one account, whose limits they
share; spending is kept for each. ``GET /credits``, which OpenRouter documents for management keys only, answers all of
them, as clients report of the real one.

Browsers. A preflight of any path is answered as OpenRouter answers it, and every answer may be read from any origin.

Control. Whoever started the mock with a secret may impose a fault on all calls, until told otherwise: ``POST
/__mock__/fault`` with the secret as bearer token and ``{"fault": "502"}`` or ``{"fault": null}``. Without a secret
there is no such route.
"""

from __future__ import annotations

import hmac
import json
import math
import random
import string
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from jobctl.apps.mock import answers, responses
from jobctl.apps.mock.answers import Call, Ledger, Outcome
from jobctl.apps.mock.behaviour import FAILOVER, REFUSALS, STATUS_FAULTS, Behaviour, Fault, Timing
from jobctl.apps.mock.caller import CROSS_ORIGIN, Caller, HungUp
from jobctl.apps.mock.catalog import CATALOG, EMBEDDINGS, TEXT, Catalog, Model
from jobctl.apps.mock.errors import ApiError, fault_error, invalid, no_endpoints, rate_limited
from jobctl.apps.mock.limits import FreeTier, MinuteLimit
from jobctl.apps.mock.requests import (
    Candidate,
    ChatRequest,
    Reader,
    read_chat,
    read_completion,
    read_embeddings,
    read_responses,
)
from jobctl.apps.mock.stream import PROCESSING, breaking, closing, writes

__all__ = ["create_app"]

_PREFIXES: Final = ("/api/v1", "/v1")
#: Seconds of silence after which keep-alive bytes flow. The real interval is not published.
_KEEP_ALIVE_S: Final = 1.0
#: The same for ``slow``, so that even a short delay shows them.
_SLOW_KEEP_ALIVE_S: Final = 0.25
#: How much later ``slow`` makes the first token, unless the call says otherwise.
_SLOW_MS: Final = 2500.0
#: Events of a stream that are due within so many seconds leave together, like tokens that a network gathers.
_TOGETHER_S: Final = 0.025
#: A long stream has about so many writes at most.
_MOST_WRITES: Final = 20
#: How long /generation does not know a call after it ended.
_GENERATION_DELAY_S: Final = 0.3
_GENERATIONS_KEPT: Final = 10_000
_CREDITS_USD: Final = 1000.0
_WHITE_SPACE: Final = b"\n         "
_ALPHABET: Final = string.ascii_letters + string.digits
#: What OpenRouter answers to a preflight, as captured in October 2026, and our own headers.
_PREFLIGHT: Final = {
    **CROSS_ORIGIN,
    "Access-Control-Allow-Methods": "GET,OPTIONS,PATCH,DELETE,POST,PUT",
    "Access-Control-Allow-Headers": "Authorization,User-Agent,X-Api-Key,X-CSRF-Token,X-Requested-With,Accept,"
    "Accept-Version,Content-Length,Content-MD5,Content-Type,Date,X-Api-Version,HTTP-Referer,X-Windowai-Title,"
    "X-Openrouter-Title,X-Title,X-Openrouter-Categories,X-Openrouter-App-Visibility,X-Session-Id,X-Stainless-Lang,"
    "X-Stainless-Package-Version,X-Stainless-OS,X-Stainless-Arch,X-Stainless-Runtime,X-Stainless-Runtime-Version,"
    "X-Stainless-Retry-Count,X-Stainless-Timeout,X-Stainless-Helper-Method,Protection-Key,Idempotency-Key,"
    "traceparent,tracestate,b3,X-Mock-Fault,X-Mock-Slow-Ms,X-Mock-Retry-After",
    "Vary": "Access-Control-Request-Headers",
}


@dataclass(slots=True)
class _Running:
    """A call on its way: what it is, when it came, how long it takes, what goes wrong, and how much of it is out."""

    call: Call
    arrived_s: float
    timing: Timing
    fault: Fault | None
    stream: bool
    metadata: Mapping[str, Any] | None
    prompt: str
    ledger: Ledger
    sent_share: float = 0.0
    finished: bool = False

    @property
    def keep_alive_s(self) -> float:
        return _SLOW_KEEP_ALIVE_S if self.fault is Fault.SLOW else _KEEP_ALIVE_S

    @property
    def first_token_at_s(self) -> float:
        return self.arrived_s + self.timing.first_token_s

    @property
    def ends_at_s(self) -> float:
        return self.arrived_s + self.timing.total_s

    @property
    def error(self) -> ApiError:
        """The error that a fault inside a 200 carries."""
        return fault_error(Fault.BAD_GATEWAY, self.call.model, self.prompt, None)

    def outcome(self) -> Outcome:
        """How it went: errors are free, a plain answer is billed in full, a stream as far as it was sent."""
        call = self.call
        if call.vectors is not None or call.echo is not None:  # which may be large, and many outcomes are kept
            call = replace(call, vectors=None, echo=None)
        return Outcome(
            call,
            first_token_s=self.timing.first_token_s,
            total_s=self.timing.total_s,
            streamed=self.stream,
            cancelled=not self.finished,
            failed=self.fault not in {None, Fault.SLOW},
            billed_share=self.sent_share if self.stream else 1.0,
            made_vectors=self.call.vectors is not None,
        )


def create_app(
    behaviour: Behaviour,
    *,
    rpm: int | None = None,
    tpm: int | None = None,
    control: str | None = None,
    catalog: Catalog = CATALOG,
) -> ASGIApp:
    """Build the application.

    Args:
        behaviour: Latency, faults and seed.
        rpm: Requests that any sixty seconds admit; None for no limit.
        tpm: Tokens likewise.
        control: The secret of whoever may impose faults; None for nobody.
        catalog: The models that are served.
    """
    mock = _Mock(behaviour, MinuteLimit(rpm, tpm), catalog)
    routes = [Route("/__mock__/stats", mock.stats)]
    if control:
        routes.append(Route("/__mock__/fault", partial(mock.impose, secret=control), methods=["POST"]))
    calls: dict[str, Callable[[Caller], Awaitable[None]]] = {}
    for prefix in _PREFIXES:
        calls[f"{prefix}/chat/completions"] = partial(mock.serve, read=read_chat)
        calls[f"{prefix}/completions"] = partial(mock.serve, read=read_completion)
        calls[f"{prefix}/responses"] = partial(mock.serve, read=read_responses)
        calls[f"{prefix}/embeddings"] = partial(mock.serve, read=read_embeddings)
        routes += [Route(path, _post_only, methods=["POST"]) for path in calls if path.startswith(prefix)]
        embedding_models = partial(mock.models, outputs=EMBEDDINGS)
        routes += [
            Route(f"{prefix}/models", mock.guarded(mock.models, anonymous=True)),
            Route(f"{prefix}/models/user", mock.guarded(mock.models)),
            Route(f"{prefix}/models/count", mock.guarded(mock.count, anonymous=True)),
            Route(f"{prefix}/embeddings/models", mock.guarded(embedding_models, anonymous=True)),
            Route(f"{prefix}/model/{{author}}/{{slug}}", mock.guarded(mock.model, anonymous=True)),
            Route(f"{prefix}/providers", mock.guarded(mock.providers, anonymous=True)),
            Route(f"{prefix}/models/{{author}}/{{slug}}/endpoints", mock.guarded(mock.endpoints, anonymous=True)),
            Route(f"{prefix}/key", mock.guarded(mock.key)),
            Route(f"{prefix}/auth/key", mock.guarded(mock.key)),
            Route(f"{prefix}/credits", mock.guarded(mock.credits)),
            Route(f"{prefix}/generation", mock.guarded(mock.generation)),
        ]
    others = Starlette(routes=routes, exception_handlers={HTTPException: _no_route})

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"] if scope["type"] == "http" else None
        serve = calls.get(scope["path"]) if method == "POST" else None
        if method == "OPTIONS":
            await Response(status_code=204, headers=_PREFLIGHT)(scope, receive, send)
        elif serve is None:
            await others(scope, receive, send)
        else:
            await serve(Caller(scope, receive, send))

    return app


Handler = Callable[[Request], Awaitable[Response]]


class _Mock:
    """The state behind the routes: spending by key, generations, limits, counters."""

    def __init__(self, behaviour: Behaviour, limit: MinuteLimit, catalog: Catalog) -> None:
        self._behaviour = behaviour
        self._limit = limit
        self._catalog = catalog
        self._free_tier = FreeTier()
        self._ledgers: dict[str, Ledger] = {}
        self._generations: OrderedDict[str, tuple[float, Outcome]] = OrderedDict()
        self._ids = random.Random(f"ids:{behaviour.seed}")
        self._calls = 0
        self._in_flight = 0
        self._peak_in_flight = 0
        self._imposed: Fault | None = None
        self._statuses: Counter[int] = Counter()

    # ----------------------------------------------------------------------------------------------- calls of a model

    async def serve(self, caller: Caller, *, read: Reader) -> None:
        """``POST /chat/completions``, ``/completions`` in the legacy form, ``/responses`` or ``/embeddings``."""
        self._in_flight += 1
        self._peak_in_flight = max(self._peak_in_flight, self._in_flight)
        try:
            running = await self._admit(caller, read)
            try:
                await (_stream(caller, running) if running.stream else _plain(caller, running))
            finally:
                self._book(running)
        except ApiError as error:
            await caller.reply(error.code, error.to_document(), error.headers)
        except HungUp:
            pass
        finally:
            caller.close()
            self._in_flight -= 1
            if caller.status is not None:
                self._statuses[caller.status] += 1

    async def _admit(self, caller: Caller, read: Reader) -> _Running:
        """Check the key, read the call, let the limits see it, and settle how it will go."""
        arrived_s = time.monotonic()
        key = _key(caller.headers)
        asked = read(_json(await caller.body()), self._catalog)
        demanded, slow_s = _demanded_fault(caller.headers) or self._imposed, _slow_s(caller.headers)
        number = self._calls
        timing = self._behaviour.timing(number, asked.max_tokens, asked.candidates[0].model.id)
        if asked.vectors is not None:
            timing = replace(timing, completion_tokens=0)
        self._check_limits(arrived_s, asked, timing)
        self._calls += 1
        attempt, candidate, fault = self._candidate(number, asked, demanded)
        if fault is Fault.SLOW:
            timing = Timing(timing.first_token_s + slow_s, timing.total_s + slow_s, timing.completion_tokens)
        if fault in STATUS_FAULTS:
            if fault not in REFUSALS:
                await caller.until(arrived_s + timing.first_token_s)
            raise fault_error(fault, candidate.model, asked.prompt, caller.headers.get("x-mock-retry-after"))
        cut_short = timing.completion_tokens == asked.max_tokens
        prefix = "gen" if asked.vectors is None else "gen-emb"
        call = Call(
            id=f"{prefix}-{int(time.time())}-{''.join(self._ids.choices(_ALPHABET, k=20))}",
            created=int(time.time()),
            model=candidate.model,
            requested=candidate.requested,
            prompt_tokens=asked.prompt_tokens,
            completion_tokens=timing.completion_tokens,
            finish_reason="tool_calls" if asked.tool else "length" if cut_short else "stop",
            wants_json=asked.wants_json,
            tool=asked.tool,
            schema=asked.schema,
            legacy=read is read_completion,
            attempt=attempt,
            vectors=asked.vectors,
            echo=asked.echo,
        )
        wants_metadata = caller.headers.get("x-openrouter-metadata", "").lower() == "enabled"
        return _Running(
            call=call,
            arrived_s=arrived_s,
            timing=timing,
            fault=fault,
            stream=asked.stream,
            metadata=answers.router_metadata(call) if wants_metadata else None,
            prompt=asked.prompt,
            ledger=self._ledger(key),
        )

    def _check_limits(self, now_s: float, asked: ChatRequest, timing: Timing) -> None:
        """Let the call through, or refuse it as the platform does."""
        admission = self._limit.admit(now_s, asked.prompt_tokens + timing.completion_tokens)
        if admission.admitted and asked.candidates[0].model.is_free:
            admission = self._free_tier.admit(now_s, time.time())
        if not admission.admitted:
            raise rate_limited(admission, time.time())

    def _candidate(
        self, number: int, asked: ChatRequest, demanded: Fault | None
    ) -> tuple[int, Candidate, Fault | None]:
        """Which attempt serves the call, by which model, and the fault that strikes it.

        A fault that another provider may not have moves the call on to its next model; the last one's is final. A fault
        that the caller demands, or that is imposed, strikes them all.
        """
        *others, last = enumerate(asked.candidates, 1)
        for attempt, candidate in others:
            fault = demanded or self._behaviour.fault(number, attempt)
            if fault not in FAILOVER:
                return attempt, candidate, fault
        return *last, demanded or self._behaviour.fault(number, last[0])

    def _book(self, running: _Running) -> None:
        """Bill a call and remember it."""
        outcome = running.outcome()
        running.ledger.usage_usd += outcome.cost_usd
        self._generations[running.call.id] = (time.monotonic() + _GENERATION_DELAY_S, outcome)
        if len(self._generations) > _GENERATIONS_KEPT:
            self._generations.popitem(last=False)

    # -------------------------------------------------------------------------------------------------- other routes

    def guarded(self, handler: Handler, *, anonymous: bool = False) -> Handler:
        """A handler behind the key check, with errors sent as OpenRouter sends them and every answer counted.

        Faults that are an error status can be demanded and imposed here as well.
        """

        async def guard(request: Request) -> Response:
            try:
                if not anonymous or "authorization" in request.headers:
                    _key(request.headers)
                fault = _demanded_fault(request.headers) or self._imposed
                if fault in STATUS_FAULTS:
                    model = self._catalog.making({TEXT})[0]
                    raise fault_error(fault, model, "", request.headers.get("x-mock-retry-after"))
                response = await handler(request)
                response.headers.update(CROSS_ORIGIN)
            except ApiError as error:
                response = _error_response(error)
            self._statuses[response.status_code] += 1
            return response

        return guard

    async def models(self, request: Request, outputs: str = TEXT) -> Response:
        """``GET /models``, ``/models/user`` or ``/embeddings/models``, in pages when asked for."""
        query = request.query_params
        limit = _query_number(query, "limit", 1, 1000) if "limit" in query else None
        offset = _query_number(query, "offset", 0, None)
        rest = request.url.include_query_params(offset=offset + (limit or 0))
        return JSONResponse(
            answers.models_page(self._listed(request, outputs), offset, limit, f"{rest.path}?{rest.query}")
        )

    async def count(self, request: Request) -> Response:
        """``GET /models/count``."""
        return JSONResponse({"data": {"count": len(self._listed(request, TEXT))}})

    def _listed(self, request: Request, outputs: str) -> Sequence[Model]:
        """The models that make what a list of models was asked for."""
        return self._catalog.making(request.query_params.get("output_modalities", outputs).split(","))

    async def model(self, request: Request) -> Response:
        """``GET /model/{author}/{slug}``."""
        return JSONResponse({"data": self._named(request).to_document()})

    async def endpoints(self, request: Request) -> Response:
        """``GET /models/{author}/{slug}/endpoints``."""
        return JSONResponse(answers.endpoints(self._named(request)))

    def _named(self, request: Request) -> Model:
        """The model of a path."""
        name = f"{request.path_params['author']}/{request.path_params['slug']}"
        model = self._catalog.find(name)
        if model is None:
            raise no_endpoints(name)
        return model

    async def providers(self, request: Request) -> Response:
        """``GET /providers``."""
        return JSONResponse(answers.providers(self._catalog.making({"all"})))

    async def key(self, request: Request) -> Response:
        """``GET /key``."""
        key = _key(request.headers)
        free_requests = self._free_tier.to_document(time.time())
        return JSONResponse(self._ledger(key).key(f"{key[:12]}...{key[-3:]}", free_requests))

    async def credits(self, request: Request) -> Response:
        """``GET /credits``."""
        return JSONResponse(self._ledger(_key(request.headers)).credits(_CREDITS_USD))

    async def generation(self, request: Request) -> Response:
        """``GET /generation?id=``: unknown for a moment after the call, as on the real API."""
        wanted = request.query_params.get("id")
        if not wanted:
            raise invalid("id: expected the id of a generation")
        known = self._generations.get(wanted)
        if known is None or time.monotonic() < known[0]:
            raise ApiError(404, f"Generation {wanted} not found", {"error_type": "not_found"})
        return JSONResponse(known[1].to_document())

    async def impose(self, request: Request, *, secret: str) -> Response:
        """Let a fault strike every call from now on, or none."""
        try:
            given = request.headers.get("authorization", "").encode("latin-1")
            if not hmac.compare_digest(given, f"Bearer {secret}".encode()):
                raise ApiError(401, "This is not the secret.", {"error_type": "authentication"})
            asked = _json(await request.body())
            word = asked.get("fault") if isinstance(asked, Mapping) else ""
            self._imposed = None if word is None else _fault(str(word), "fault")
        except ApiError as error:
            return _error_response(error)
        return JSONResponse({"fault": self._imposed})

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

    def _ledger(self, key: str) -> Ledger:
        return self._ledgers.setdefault(key, Ledger())


# ------------------------------------------------------------------------------------------------------------ answering


async def _plain(caller: Caller, running: _Running) -> None:
    """An answer in one piece: directly when it is quick, behind padding when it is not.

    Raises:
        HungUp: The caller is gone.
    """
    headers = {"content-type": "application/json", "X-Generation-Id": running.call.id}
    body = json.dumps(_document(running)).encode()
    if running.timing.total_s <= running.keep_alive_s and running.fault is not Fault.DISCONNECT:
        await caller.until(running.ends_at_s)
        running.finished = True
        await caller.begin(200, {**headers, "content-length": str(len(body))})
        await caller.end(body)
        return
    await _keep_alive(caller, running, running.ends_at_s, _WHITE_SPACE, headers)
    if caller.status is None:
        await caller.begin(200, headers)
    if running.fault is Fault.DISCONNECT:
        await caller.write(body[: len(body) // 2])
        return  # without an end: the server cuts the connection
    running.finished = True
    await caller.end(body)


def _document(running: _Running) -> Mapping[str, Any]:
    vectors = running.call.vectors  # of which there is no partial answer
    if running.fault is Fault.EMBEDDED or (running.fault is Fault.MIDSTREAM and vectors is not None):
        return running.error.to_document()
    if vectors is not None:
        return answers.embeddings(running.call, vectors)
    error = running.error if running.fault is Fault.MIDSTREAM else None
    if running.call.echo is not None:
        return responses.answer(running.call, error, running.metadata)
    return answers.answer(running.call, error, running.metadata)


async def _stream(caller: Caller, running: _Running) -> None:
    """The events of a stream, each at its instant.

    Raises:
        HungUp: The caller is gone.
    """
    headers = {
        "content-type": "text/event-stream",
        "Cache-Control": "no-cache",
        "X-Generation-Id": running.call.id,
    }
    await caller.begin(200, headers)
    await caller.write(PROCESSING)
    await _keep_alive(caller, running, running.first_token_at_s, PROCESSING, headers)
    if running.fault is Fault.EMBEDDED:
        await _break_off(caller, running)
        return
    span_s = running.timing.total_s - running.timing.first_token_s
    breaks_off = running.fault in {Fault.MIDSTREAM, Fault.DISCONNECT}  # then each event counts
    together = 0.0 if breaks_off else max(_TOGETHER_S / max(span_s, _TOGETHER_S), 1 / _MOST_WRITES)
    sent_any = False
    for due_share, sent_share, data in writes(running.call, together):
        if running.fault is Fault.MIDSTREAM and sent_any and due_share >= 0.5:
            break
        await _keep_alive(caller, running, running.first_token_at_s + due_share * span_s, PROCESSING, headers)
        await caller.write(data)
        running.sent_share, sent_any = sent_share, True
        if running.fault is Fault.DISCONNECT:
            return  # without an end: the server cuts the connection
    if running.fault is Fault.MIDSTREAM:
        await _break_off(caller, running)
        return
    end = closing(running.call, running.metadata)
    await _keep_alive(caller, running, running.ends_at_s, PROCESSING, headers)
    running.sent_share, running.finished = 1.0, True
    await caller.end(end)


async def _break_off(caller: Caller, running: _Running) -> None:
    """End a stream with an error event."""
    running.finished = True
    await caller.end(breaking(running.call, running.error))


async def _keep_alive(
    caller: Caller, running: _Running, instant_s: float, sign: bytes, headers: Mapping[str, str]
) -> None:
    """Wait for an instant, with a sign of life after each while of silence; the first one brings the 200 along.

    Raises:
        HungUp: The caller is gone.
    """
    silence_s = running.keep_alive_s
    next_s = time.monotonic() + silence_s
    while next_s < instant_s:
        await caller.until(next_s)
        if caller.status is None:
            await caller.begin(200, headers)
        await caller.write(sign)
        next_s += silence_s
    await caller.until(instant_s)


# ------------------------------------------------------------------------------------------------------------- requests


def _json(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise invalid("Invalid JSON body") from None


def _refuse(constant: str) -> Any:
    """NaN and the infinities are Python's idea of JSON."""
    raise ValueError(constant)


def _key(headers: Mapping[str, str]) -> str:
    """The caller's key: anything ``sk-or-...`` that says neither "bad" nor "invalid"."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not key:
        raise ApiError(401, "Missing Authentication header", {"error_type": "authentication"})
    if not key.startswith("sk-or-") or "bad" in key or "invalid" in key:
        raise ApiError(401, "User not found.", {"error_type": "authentication"})
    return key


def _demanded_fault(headers: Mapping[str, str]) -> Fault | None:
    wanted = headers.get("x-mock-fault", "").strip().lower()
    return _fault(wanted, "X-Mock-Fault") if wanted else None


def _fault(word: str, place: str) -> Fault:
    if word not in set(Fault):
        raise invalid(f"{place}: unknown fault {word!r}; one of {', '.join(Fault)}")
    return Fault(word)


def _slow_s(headers: Mapping[str, str]) -> float:
    text = headers.get("x-mock-slow-ms", str(_SLOW_MS))
    try:
        milliseconds = float(text)
    except ValueError:
        milliseconds = math.nan
    if not 0 <= milliseconds < math.inf:
        raise invalid(f"X-Mock-Slow-Ms: {text!r} is no number of milliseconds")
    return milliseconds / 1000


def _query_number(query: Mapping[str, str], name: str, lowest: int, highest: int | None) -> int:
    text = query.get(name, str(lowest))
    try:
        number = int(text) if text.isascii() and text.isdigit() else -1
    except ValueError:  # thousands of digits
        number = -1
    if number < lowest or (highest is not None and number > highest):
        upper = "" if highest is None else f" and at most {highest}"
        raise invalid(f"{name}: expected a whole number of at least {lowest}{upper}")
    return number


async def _post_only(request: Request) -> Response:
    """Lets other methods of a call's path get their 405; calls themselves never come here."""
    raise HTTPException(405)


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    error_type = "not_found" if error.status_code == 404 else "invalid_request"
    return _error_response(
        ApiError(error.status_code, error.detail, {"error_type": error_type}, dict(error.headers or {}))
    )


def _error_response(error: ApiError) -> Response:
    return JSONResponse(error.to_document(), error.code, headers={**CROSS_ORIGIN, **error.headers})

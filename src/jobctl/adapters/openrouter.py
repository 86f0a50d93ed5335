"""OpenRouter, as a careful client calls it.

What the API demands, and what is done about it:

* While an answer is being made white space may dribble out, so a timeout on each read never fires. Here a call has one
  *total* deadline, over all its attempts and pauses.
* A 200 may hold an error, at the top or inside a choice. Every 200 is searched for one.
* Retry-After is obeyed exactly, unless it lies beyond the deadline: then the call fails at once. Where it is absent,
  X-RateLimit-Reset (Unix milliseconds) says the same.
* A 402 is final, except when the budget for requests in flight is used up.
* Fields come and go without notice: unknown ones are ignored, and null is as good as absent.

With a limiter, as in a worker, each attempt is one call. The limiter is asked first and told how it went. What it
denies, and what the upstream asks to wait for, raises :class:`~jobctl.errors.Postponed`: the job comes back later, with
its place in the line, and its slot is free meanwhile. An error that may heal is raised as well: to try again is the
worker's business. Only a job that has called before waits in its slot, within the call's deadline, because it would
pay for its earlier calls again; so does everybody outside a worker that can postpone. Without a limiter, as in a
script, the client tries again by itself.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx

from jobctl.adapters.http_calls import Answer, HttpCaller
from jobctl.adapters.permits import permitted
from jobctl.core.limiting import Denial, Grant, Outcome, Permits, Report
from jobctl.core.retrying import RetryPolicy, retry_after_s
from jobctl.errors import (
    InvalidValue,
    Postponed,
    UpstreamDisconnected,
    UpstreamError,
    UpstreamStatus,
    UpstreamTimeout,
)
from jobctl.ports import Limiter, LimiterObserver, UpstreamAnswer, UpstreamObserver

__all__ = ["OpenRouterClient"]

#: Statuses that may heal by themselves, 520 to 524 being Cloudflare's of an origin out of reach; 402 is looked at more
#: closely.
_HEALING: Final = frozenset({408, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
_PAYMENT_REQUIRED: Final = 402
#: Statuses by which the upstream asks its callers to wait; so does a 402 that may heal.
_THROTTLING: Final = frozenset({_PAYMENT_REQUIRED, 429, 503})
#: Bytes of a prompt to a token, roughly.
_BYTES_PER_TOKEN: Final = 4
#: Models whose limits are their own and not the key's.
_FREE: Final = ":free"
_OK: Final = 200
_ERRORS: Final = range(400, 600)
_HIGHEST_PORT: Final = 65535
#: What an error inside a 200 counts as when it names no code.
_BAD_GATEWAY: Final = 502
_IN_FLIGHT_BUDGET: Final = "openrouter_in_flight_budget"
#: How the names of limits begin that are the platform's and not a provider's.
_OPENROUTERS_OWN: Final = "openrouter_"


class OpenRouterClient:
    """Calls OpenRouter; one instance serves any number of threads.

    Args:
        base_url: Up to and with ``/api/v1``.
        api_key: The bearer token.
        timeout_s: Total deadline of a call, all its attempts and pauses included, seconds.
        policy: How often and how patiently it tries again without a limiter.
        rng: Source of the jitter.
        limiter: Asked before each call; None to send them at once.
        observers: Told how each attempt ended.
        limiter_observer: Told what the limiter costs.

    Raises:
        InvalidValue: The URL or the key can be no such thing.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        timeout_s: float,
        policy: RetryPolicy | None = None,
        rng: random.Random | None = None,
        limiter: Limiter | None = None,
        observers: Sequence[UpstreamObserver] = (),
        limiter_observer: LimiterObserver | None = None,
    ) -> None:
        _check(base_url, api_key)
        self._url = f"{base_url}/chat/completions"
        self._headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}
        self._timeout_s = timeout_s
        self._policy = policy or RetryPolicy()
        self._rng = rng or random.Random()
        self._limiter = limiter
        self._observers = tuple(observers)
        self._limiter_observer = limiter_observer
        self._http = HttpCaller()

    def chat(
        self, *, messages: Sequence[Mapping[str, Any]], model: str, max_tokens: int | None = None
    ) -> dict[str, Any]:
        """One chat completion, not streamed.

        Args:
            messages: The conversation, as the API takes it.
            model: ``author/slug``.
            max_tokens: The longest answer, in tokens; None for no bound.

        Returns:
            id, model, provider, content, finish_reason, prompt_tokens, completion_tokens, cost_usd, latency_s (of the
            attempt that succeeded) and attempts.

        Raises:
            UpstreamError: No attempt gave an answer; a note on it says how many there were.
            Postponed: The limiter, or the upstream, wants the job to come later.
        """
        bound = {} if max_tokens is None else {"max_tokens": max_tokens}
        body = json.dumps({"model": model, "messages": messages, **bound}).encode()
        deadline_s = time.monotonic() + self._timeout_s
        if self._limiter is not None:
            tokens = None if max_tokens is None else float(len(body) // _BYTES_PER_TOKEN + max_tokens)
            return self._limited(self._limiter, model, body, tokens, deadline_s)
        attempt = 1
        while True:
            try:
                return self._call(model, body, deadline_s, attempt)
            except UpstreamError as error:
                pause_s = retry_after_s(
                    self._policy,
                    attempt=attempt,
                    retryable=error.retryable,
                    asked_s=error.retry_after_s,
                    remaining_s=deadline_s - time.monotonic(),
                    rng=self._rng,
                )
                if pause_s is None:
                    error.add_note(f"Given up after attempt {attempt} of at most {self._policy.attempts}.")
                    raise
                time.sleep(pause_s)
                attempt += 1

    def close(self) -> None:
        """Close the connections; calls that still run finish."""
        self._http.close()

    def _call(self, model: str, body: bytes, deadline_s: float, attempt: int) -> dict[str, Any]:
        """One attempt, watched."""
        started_s = time.monotonic()
        try:
            document = _document(self._http.post(self._url, body, self._headers, deadline_s))
        except UpstreamError as error:
            error.latency_s = time.monotonic() - started_s
            self._tell(UpstreamAnswer(_word(error), error.latency_s, model))
            raise
        result = _result(document, latency_s=time.monotonic() - started_s, attempts=attempt)
        self._tell(
            UpstreamAnswer(
                str(_OK),
                result["latency_s"],
                model,
                int(_number(result["prompt_tokens"])),
                int(_number(result["completion_tokens"])),
                _number(result["cost_usd"]),
            )
        )
        return result

    def _tell(self, answer: UpstreamAnswer) -> None:
        for observer in self._observers:
            observer.answered(answer)

    # -------------------------------------------------------------------------------------------------- with a limiter

    def _limited(
        self, limiter: Limiter, model: str, body: bytes, tokens: float | None, deadline_s: float
    ) -> dict[str, Any]:
        """One call that the limiter allows and learns from."""
        held = permitted.get()
        kept = None if held is None else held.take()
        first = kept is not None
        while True:
            charged = self._permitted(limiter, model, tokens, kept, deadline_s)
            try:
                result = self._call(model, body, deadline_s, 1)
            except UpstreamError as error:
                later = limiter.report(model, _report(error, model))
                if not _throttles(error):
                    raise
                if first or time.monotonic() + later.delay_s >= deadline_s:
                    raise self._postponed(later) from error
                time.sleep(later.delay_s)
            else:
                used = _number(result["prompt_tokens"]) + _number(result["completion_tokens"])
                correction = used - charged if used else 0.0
                limiter.report(model, Report(Outcome.OK, result["latency_s"], tokens=correction, used=used or None))
                return result

    def _permitted(
        self, limiter: Limiter, model: str, tokens: float | None, kept: str | None, deadline_s: float
    ) -> float:
        """Have the limiter allow a call.

        Args:
            limiter: Whom to ask.
            model: What is called.
            tokens: What it is expected to take.
            kept: What the job holds; None for one that has called before, or in a worker that cannot postpone.
            deadline_s: Until when such a job may wait.

        Returns:
            Tokens that were charged for it.

        Raises:
            Postponed: It does not.
        """
        held = permitted.get()
        retry = held is not None and held.retry and kept is not None
        before = Permits.parse(kept or "", model)
        if before.kind == "granted":
            if not retry:
                self._waited(0.0)
                return before.value
            limiter.release(model, 1, before.value)  # who granted it did not know that the retry budget is concerned
        waited_s = 0.0
        while True:
            grant = limiter.acquire(model, tokens=tokens, retry=retry, permits=kept)
            if grant.granted:
                self._waited(waited_s)
                return grant.tokens
            # Those who wait on the spot are told the same instant, so each comes a little later.
            wait_s = grant.delay_s * self._rng.uniform(1.0, 1.5)
            if kept is not None or time.monotonic() + wait_s >= deadline_s:
                raise self._postponed(grant)
            time.sleep(wait_s)
            waited_s += wait_s

    def _postponed(self, grant: Grant) -> Postponed:
        self._waited(grant.delay_s)
        return Postponed(grant.delay_s, grant.reason or Denial.LIMIT, permits=grant.permits)

    def _waited(self, wait_s: float) -> None:
        if self._limiter_observer is not None:
            self._limiter_observer.waited_for_limit(wait_s)


def _throttles(error: UpstreamError) -> bool:
    """Whether the upstream asks callers to wait."""
    return isinstance(error, UpstreamStatus) and error.retryable and error.status in _THROTTLING


def _report(error: UpstreamError, model: str) -> Report:
    """An error in the limiter's terms."""
    if not _throttles(error):
        return Report(Outcome.FAILED if error.retryable else Outcome.OK, error.latency_s)
    whole = isinstance(error, UpstreamStatus) and error.account_wide and not model.endswith(_FREE)
    outcome = Outcome.ACCOUNT_THROTTLED if whole else Outcome.THROTTLED
    return Report(outcome, error.latency_s, wait_s=error.retry_after_s)


def _word(error: UpstreamError) -> str:
    """An error as a label."""
    match error:
        case UpstreamStatus():
            return str(error.status)
        case UpstreamTimeout():
            return "timeout"
        case _:
            return "disconnected"


def _number(value: Any) -> float:
    """A figure of the answer; 0 where it is none."""
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) and value > 0 else 0.0


def _check(base_url: str, api_key: str) -> None:
    """Refuse what would fail inside every call, beyond the reach of its errors."""
    try:
        url = httpx.URL(base_url)
        url.host.encode("idna")  # as the resolver will
        meaningful = bool(url.host) and 0 < (url.port or 443) <= _HIGHEST_PORT
    except (httpx.InvalidURL, UnicodeError):
        meaningful = False
    if not meaningful:
        raise InvalidValue("OpenRouter's URL has no valid host and port", "give https://openrouter.ai/api/v1")
    if not (api_key.isascii() and api_key.isprintable() and api_key.split() == [api_key]):
        raise InvalidValue("the OpenRouter key holds white space or letters beyond ASCII", "give sk-or-... as it is")


def _document(answer: Answer) -> dict[str, Any]:
    """The answer's JSON object.

    Raises:
        UpstreamStatus: It is an error, by status or inside.
        UpstreamDisconnected: It is no chat completion, as when it was cut short.
    """
    try:
        document = json.loads(answer.body)  # white space around it is no matter
    except (ValueError, RecursionError):
        document = None
    error = _error_in(document)
    if error is not None or answer.status != _OK:
        raise _status_error(answer, error or {})
    if not isinstance(document, dict) or not any(_choices(document)):
        raise UpstreamDisconnected("the answer is no chat completion", retryable=True)
    return document


def _error_in(document: Any) -> Mapping[str, Any] | None:
    """The error that a document carries, wherever it is; None without one."""
    if _object(document).get("error"):
        return _as_error(document["error"])
    for choice in _choices(document):
        if choice.get("error") or choice.get("finish_reason") == "error":
            return _as_error(choice.get("error") or choice.get("native_finish_reason") or "the provider broke off")
    return None


def _as_error(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {"message": str(value)}


def _status_error(answer: Answer, error: Mapping[str, Any]) -> UpstreamStatus:
    status = answer.status if answer.status != _OK else _code(error.get("code"))
    metadata = _object(error.get("metadata"))
    source = metadata.get("limit_source")
    heals = status in _HEALING or (status == _PAYMENT_REQUIRED and source == _IN_FLIGHT_BUDGET)
    return UpstreamStatus(
        status,
        str(error.get("message") or httpx.codes.get_reason_phrase(status) or "error"),
        retryable=heals,
        retry_after_s=_asked_s(answer.headers),
        error_type=metadata.get("error_type"),
        account_wide="x-ratelimit-reset" in answer.headers or str(source).startswith(_OPENROUTERS_OWN),
    )


def _code(value: Any) -> int:
    """The status that an error inside a 200 stands for; documented as an integer, seen as a word and as digits."""
    try:
        code = int(value)
    except (TypeError, ValueError, OverflowError):
        return _BAD_GATEWAY
    return code if code in _ERRORS else _BAD_GATEWAY


def _asked_s(headers: httpx.Headers) -> float | None:
    """Seconds that the upstream asks to wait; None when it does not say, or nothing readable.

    OpenRouter sends seconds in Retry-After. RFC 9110 also knows dates, which a proxy on the way may send. A limit of
    the platform itself tells in X-RateLimit-Reset when it is lifted, in Unix milliseconds.
    """
    text, sent = headers.get("retry-after", ""), headers.get("date", "")
    try:
        seconds = float(text)
    except ValueError:
        seconds = _seconds_until(_epoch_s(text), sent)
    if 0 <= seconds < math.inf:
        return seconds
    try:
        reset_s = float(headers.get("x-ratelimit-reset", "")) / 1000
    except ValueError:
        return None
    return _seconds_until(reset_s, sent) if math.isfinite(reset_s) else None


def _seconds_until(instant_s: float, sent: str) -> float:
    """Seconds from the sending of an answer, by its sender's clock if it says, to an instant; NaN when that is NaN."""
    sent_s = _epoch_s(sent)
    seconds = instant_s - (time.time() if math.isnan(sent_s) else sent_s)
    return 0.0 if seconds < 0 else seconds


def _epoch_s(date: str) -> float:
    try:
        instant = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return math.nan
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()


def _result(document: Mapping[str, Any], *, latency_s: float, attempts: int) -> dict[str, Any]:
    choice = _choices(document)[0]
    usage = _object(document.get("usage"))
    return {
        "id": document.get("id"),
        "model": document.get("model"),
        "provider": document.get("provider"),
        "content": _object(choice.get("message")).get("content"),
        "finish_reason": choice.get("finish_reason"),
        "prompt_tokens": usage.get("prompt_tokens"),
        "completion_tokens": usage.get("completion_tokens"),
        "cost_usd": usage.get("cost"),
        "latency_s": latency_s,
        "attempts": attempts,
    }


def _choices(document: Any) -> list[Mapping[str, Any]]:
    choices = _object(document).get("choices")
    return [_object(choice) for choice in choices] if isinstance(choices, list) else []


def _object(value: Any) -> Mapping[str, Any]:
    """A JSON object; an empty one where something else stands."""
    return value if isinstance(value, Mapping) else {}

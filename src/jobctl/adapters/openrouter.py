"""OpenRouter, as a careful client calls it.

What the API demands, and what is done about it:

* While an answer is being made white space may dribble out, so a timeout on each read never fires. Here a call has one
  *total* deadline, over all its attempts and pauses.
* A 200 may hold an error, at the top or inside a choice. Every 200 is searched for one.
* Retry-After is obeyed exactly, unless it lies beyond the deadline: then the call fails at once.
* A 402 is final, except when the budget for requests in flight is used up.
* Fields come and go without notice: unknown ones are ignored, and null is as good as absent.
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
from jobctl.core.retrying import RetryPolicy, retry_after_s
from jobctl.errors import InvalidValue, UpstreamDisconnected, UpstreamError, UpstreamStatus

__all__ = ["OpenRouterClient"]

#: Statuses that may heal by themselves; 402 is looked at more closely.
_HEALING: Final = frozenset({408, 429, 500, 502, 503, 504, 524, 529})
_PAYMENT_REQUIRED: Final = 402
_OK: Final = 200
_LOWEST_ERROR: Final = 400
_HIGHEST_PORT: Final = 65535
#: What an error inside a 200 counts as when it names no code.
_BAD_GATEWAY: Final = 502
_IN_FLIGHT_BUDGET: Final = "openrouter_in_flight_budget"


class OpenRouterClient:
    """Calls OpenRouter; one instance serves any number of threads.

    Args:
        base_url: Up to and with ``/api/v1``.
        api_key: The bearer token.
        timeout_s: Total deadline of a call, all its attempts and pauses included, seconds.
        policy: How often and how patiently it tries again.
        rng: Source of the jitter.

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
    ) -> None:
        _check(base_url, api_key)
        self._url = f"{base_url}/chat/completions"
        self._headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}
        self._timeout_s = timeout_s
        self._policy = policy or RetryPolicy()
        self._rng = rng or random.Random()
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
        """
        bound = {} if max_tokens is None else {"max_tokens": max_tokens}
        body = json.dumps({"model": model, "messages": messages, **bound}).encode()
        deadline_s = time.monotonic() + self._timeout_s
        attempt = 1
        while True:
            started_s = time.monotonic()
            try:
                document = _document(self._http.post(self._url, body, self._headers, deadline_s))
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
            else:
                return _result(document, latency_s=time.monotonic() - started_s, attempts=attempt)

    def close(self) -> None:
        """Close the connections; calls that still run finish."""
        self._http.close()


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
    heals = status in _HEALING or (status == _PAYMENT_REQUIRED and metadata.get("limit_source") == _IN_FLIGHT_BUDGET)
    return UpstreamStatus(
        status,
        str(error.get("message") or httpx.codes.get_reason_phrase(status) or "error"),
        retryable=heals,
        retry_after_s=_asked_s(answer.headers),
        error_type=metadata.get("error_type"),
    )


def _code(value: Any) -> int:
    """The status that an error inside a 200 stands for; documented as an integer, seen as a word and as digits."""
    try:
        code = int(value)
    except (TypeError, ValueError):
        return _BAD_GATEWAY
    return code if code >= _LOWEST_ERROR else _BAD_GATEWAY


def _asked_s(headers: httpx.Headers) -> float | None:
    """Retry-After in seconds; None when it is absent or unreadable.

    OpenRouter sends seconds. RFC 9110 also knows dates, which a proxy on the way may send.
    """
    text = headers.get("retry-after", "")
    try:
        seconds = float(text)
    except ValueError:
        seconds = _seconds_until(text, headers.get("date", ""))
    return seconds if 0 <= seconds < math.inf else None


def _seconds_until(date: str, sent: str) -> float:
    """Seconds from the sending of an answer, by its sender's clock if it says, to a date; NaN when that is no date."""
    instant_s, sent_s = _epoch_s(date), _epoch_s(sent)
    seconds = instant_s - (time.time() if math.isnan(sent_s) else sent_s)
    return 0.0 if seconds < 0 else seconds


def _epoch_s(date: str) -> float:
    try:
        instant = parsedate_to_datetime(date)
    except ValueError:
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

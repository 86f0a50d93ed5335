"""What an OpenRouter account says of a key, asked once: ``GET /key`` and ``GET /credits``. Neither costs anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from jobctl.adapters.http_asking import ask, gist
from jobctl.adapters.openrouter_account import credit_usd, remaining_usd
from jobctl.core.facts import AccountFacts
from jobctl.core.units import parse_duration
from jobctl.core.urls import without_password
from jobctl.errors import InvalidOption, InvalidValue, ServiceUnavailable

__all__ = ["read_account"]

_OPTION: Final = "--openrouter-url"
_REMEDY: Final = "check the network, or give https://openrouter.ai/api/v1"
_OK: Final = 200
_REFUSED: Final = frozenset({401, 403})
_TOO_MANY: Final = 429
_OUT_OF_ORDER: Final = 500
_MINUTE_S: Final = 60.0


def read_account(base_url: str, api_key: str, *, timeout_s: float) -> AccountFacts:
    """Ask about a key.

    Args:
        base_url: Up to and with ``/api/v1``.
        api_key: The bearer token.
        timeout_s: How long each part of an answer may take, seconds.

    Raises:
        InvalidOption: The URL or the key means nothing.
        ServiceUnavailable: OpenRouter does not answer.
    """
    if not api_key.isascii() or not api_key.isprintable():
        raise InvalidOption("OPENROUTER_API_KEY", "holds what no header may", "copy the key again")
    status, key = _get(base_url, "key", api_key, timeout_s)
    if status in _REFUSED:
        return AccountFacts(refusal=_words(key) or f"HTTP {status}")
    if _is_passing(status):
        problem = f"{without_password(base_url)} answers HTTP {status}" + (f" ({_words(key)})" if _words(key) else "")
        raise ServiceUnavailable(_OPTION, problem, "ask again in a minute; status.openrouter.ai tells of outages")
    data = _data(base_url, status, key)
    status, credits = _get(base_url, "credits", api_key, timeout_s)
    try:
        return AccountFacts(
            remaining_usd=remaining_usd(data),
            credit_usd=None
            if status in _REFUSED or _is_passing(status)
            else credit_usd(_data(base_url, status, credits)),
            free_tier=bool(data.get("is_free_tier")),
            rpm=_rpm(data.get("rate_limit")),
        )
    except (KeyError, TypeError, ValueError):
        raise _strange(base_url, status) from None


def _get(base_url: str, path: str, api_key: str, timeout_s: float) -> tuple[int, Any]:
    """The status and the decoded body; None where that is no JSON."""
    response = ask(
        f"{base_url}/{path}",
        option=_OPTION,
        name="OpenRouter",
        remedy=_REMEDY,
        timeout_s=timeout_s,
        headers={"Authorization": f"Bearer {api_key}"},
    )
    try:
        return response.status_code, response.json()
    except ValueError:
        return response.status_code, None


def _data(base_url: str, status: int, body: Any) -> Mapping[str, Any]:
    data = body.get("data") if isinstance(body, dict) and status == _OK else None
    if not isinstance(data, dict):
        raise _strange(base_url, status)
    return data


def _is_passing(status: int) -> bool:
    """Whether the next question may be answered: it were too many, or the server is out of order."""
    return status == _TOO_MANY or status >= _OUT_OF_ORDER


def _strange(base_url: str, status: int) -> ServiceUnavailable:
    problem = f"{without_password(base_url)} does not answer as OpenRouter does (HTTP {status})"
    return ServiceUnavailable(_OPTION, problem, _REMEDY)


def _words(body: Any) -> str:
    """The message of an error; empty where there is none."""
    error = body.get("error") if isinstance(body, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return gist(message) if message else ""


def _rpm(told: Any) -> float | None:
    """Calls a minute by the key's ``rate_limit``, which today says -1 and is called deprecated."""
    try:
        requests, interval_s = float(told["requests"]), parse_duration(told["interval"])
    except (KeyError, TypeError, ValueError, AttributeError, InvalidValue):
        return None
    return requests * _MINUTE_S / interval_s if requests > 0 and interval_s > 0 else None

"""Whether a Sentry project takes what is sent to it.

It is sent an envelope with a client report that reports nothing: Sentry checks project and key as with any other, and
makes no issue, no transaction and no session of it (develop.sentry.dev/sdk/telemetry/client-reports).
"""

from __future__ import annotations

import json
import time
from typing import Any, Final

import httpx
from sentry_sdk.utils import Dsn

from jobctl.adapters.http_asking import ask, gist
from jobctl.core.facts import SentryFacts
from jobctl.errors import ServiceUnavailable

__all__ = ["read_sentry"]

_OPTION: Final = "--sentry-dsn"
_OUT_OF_ORDER: Final = 500
_TOO_MUCH: Final = 429


def read_sentry(dsn: str, *, timeout_s: float) -> SentryFacts:
    """Send an envelope that leaves no trace.

    Args:
        dsn: Where to; one that was parsed before.
        timeout_s: How long each part of the answer may take, seconds.

    Raises:
        ServiceUnavailable: It does not answer, or is out of order.
    """
    auth = Dsn(dsn).to_auth("jobctl")
    report = json.dumps({"timestamp": time.time(), "discarded_events": []})
    response = ask(
        auth.get_api_url(),
        option=_OPTION,
        name="Sentry",
        remedy="check host and network",
        timeout_s=timeout_s,
        headers={"X-Sentry-Auth": auth.to_header(), "Content-Type": "application/x-sentry-envelope"},
        content=f'{{}}\n{{"type":"client_report"}}\n{report}\n'.encode(),
    )
    if response.status_code >= _OUT_OF_ORDER:
        problem = f"Sentry at {auth.host} is out of order (HTTP {response.status_code})"
        raise ServiceUnavailable(_OPTION, problem, "try again in a while")
    body = _body(response)
    if response.is_success:
        if body is None:
            raise ServiceUnavailable(_OPTION, f"{auth.host} does not answer as Sentry does", "copy the DSN again")
        return SentryFacts()
    words = gist(response.headers.get("x-sentry-error") or (body or {}).get("detail") or "")
    why = ", ".join(filter(None, (f"HTTP {response.status_code}", words)))
    return SentryFacts(full=why) if response.status_code == _TOO_MUCH else SentryFacts(refusal=why)


def _body(response: httpx.Response) -> dict[str, Any] | None:
    """The decoded object that every Sentry answers with; None where there is none."""
    try:
        body = response.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None

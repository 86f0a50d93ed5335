"""One HTTP question to an outside system, and in one line why it has no answer."""

from __future__ import annotations

import ssl
from functools import cache
from typing import Any, Final

import httpx

from jobctl.core.urls import without_password
from jobctl.errors import InvalidOption, ServiceUnavailable

__all__ = ["ask", "gist"]

_LONGEST_WORDS: Final = 120


def ask(url: str, *, option: str, name: str, remedy: str, timeout_s: float, **request: Any) -> httpx.Response:
    """Send a request, a GET unless it has content, and read the whole answer, whatever its status.

    Args:
        url: Where to; it may hold a user and a password.
        option: The setting to name in an error.
        name: Who is asked, as a person knows it; its address is added.
        remedy: What to do when it does not answer.
        timeout_s: How long each part of the answer may take, seconds.
        **request: Headers, parameters and content, as httpx takes them.

    Raises:
        InvalidOption: The URL means nothing.
        ServiceUnavailable: There is no answer.
    """
    try:
        address = httpx.URL(url)
        who = f"{name} at {address.host}:{address.port}" if address.port else f"{name} at {address.host}"
        with httpx.Client(verify=_tls(), timeout=timeout_s) as client:
            return client.request("POST" if "content" in request else "GET", address, **request)
    except httpx.TimeoutException:
        problem = f"{who} did not answer within {timeout_s:g} s"
        raise ServiceUnavailable(option, problem, remedy) from None
    except httpx.HTTPError as error:
        problem = f"{who} cannot be reached ({gist(error) or type(error).__name__})"
        raise ServiceUnavailable(option, problem, remedy) from None
    except (httpx.InvalidURL, UnicodeError):  # the latter of a host that is no name
        raise InvalidOption(option, f"{without_password(url)!r} is no URL", "give http://host:port") from None


def gist(words: object) -> str:
    """A stranger's words on one line, cut to a length."""
    return " ".join(str(words).split())[:_LONGEST_WORDS]


@cache
def _tls() -> ssl.SSLContext:
    """The certificates that are trusted: reading them takes tens of milliseconds."""
    return httpx.create_ssl_context()

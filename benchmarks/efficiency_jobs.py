"""The jobs of ``worker_efficiency.py``: one HTTP call each, by the usual means."""

from __future__ import annotations

import http.client
from functools import cache
from typing import Any
from urllib.parse import urlsplit


@cache
def _client() -> Any:
    import httpx

    return httpx.Client(timeout=10)


@cache
def _async_client() -> Any:
    import httpx

    return httpx.AsyncClient(timeout=10)


def shared_httpx(url: str) -> int:
    """A plain function with one pooled client for the process."""
    return int(_client().get(url).status_code)


async def shared_httpx_async(url: str) -> int:
    """A coroutine with one pooled client for the process."""
    return int((await _async_client().get(url)).status_code)


def connection_each(url: str) -> int:
    """A plain function that connects for each call, with the standard library."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()

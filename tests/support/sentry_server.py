"""A Sentry that really listens: it takes envelopes over HTTP, unpacks and keeps them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from support.servers import serving

Event = dict[str, Any]
PUBLIC_KEY = "0123456789abcdef0123456789abcdef"


class SentryServer:
    """What arrived so far.

    Attributes:
        dsn: Where to send.
        raw: The envelopes as text, for what must not be in them.
    """

    def __init__(self) -> None:
        self.dsn = ""
        self.raw: list[str] = []
        self._items: list[tuple[str, Event]] = []
        self.app = Starlette(routes=[Route("/api/{project}/envelope/", self._take, methods=["POST"])])

    @property
    def errors(self) -> list[Event]:
        return [item for kind, item in self._items if kind == "event"]

    @property
    def transactions(self) -> list[Event]:
        return [item for kind, item in self._items if kind == "transaction"]

    def forget(self) -> None:
        """As if nothing had come."""
        for kept in (self.raw, self._items):
            kept.clear()

    async def _take(self, request: Request) -> Response:
        assert PUBLIC_KEY in request.headers["x-sentry-auth"]
        body = await request.body()
        match request.headers.get("content-encoding"):
            case "gzip":
                body = gzip.decompress(body)
            case "br":
                import brotli

                body = brotli.decompress(body)
        self.raw.append(body.decode())
        lines = iter(body.split(b"\n")[1:])  # the first one is the envelope's own
        for line in lines:
            if line:
                self._items.append((json.loads(line)["type"], json.loads(next(lines))))
        return JSONResponse({})


@contextmanager
def sentry_server() -> Iterator[SentryServer]:
    server = SentryServer()
    with serving(server.app) as origin:
        server.dsn = f"{origin.replace('://', f'://{PUBLIC_KEY}@')}/42"
        yield server

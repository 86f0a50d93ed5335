"""The other end of one call, over ASGI: bytes go out at their instants, until it hangs up.

Calls are the hot path of every bench that uses the mock, on the cores of the workers under test. So they are served
without a framework: one task beside the server's own, which notices the hang-up.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any, Final

from starlette.types import Receive, Scope, Send

__all__ = ["CROSS_ORIGIN", "Caller", "HungUp"]

#: What every answer carries, so that pages of any origin may read it.
CROSS_ORIGIN: Final[Mapping[str, str]] = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "X-Generation-Id,X-Provider-Name,request-id,cf-ray",
}
_ENCODED_CROSS_ORIGIN: Final = [(name.encode(), value.encode()) for name, value in CROSS_ORIGIN.items()]


class HungUp(Exception):
    """The caller closed the connection before its answer was complete."""


class Caller:
    """One caller.

    Args:
        scope: ASGI's description of the request.
        receive: ASGI's source of the body and of the hang-up.
        send: ASGI's sink.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.headers: Mapping[str, str] = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        self.status: int | None = None
        self._receive = receive
        self._send = send
        self._gone: asyncio.Task[None] | None = None
        self._waking: asyncio.Future[None] | None = None

    async def body(self) -> bytes:
        """The whole body; from then on the hang-up is watched for.

        Raises:
            HungUp: It never came.
        """
        parts = []
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise HungUp
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        self._gone = asyncio.create_task(self._hang_up())
        self._gone.add_done_callback(self._wake)
        return b"".join(parts)

    async def until(self, instant_s: float) -> None:
        """Let time pass until an instant of the monotonic clock.

        Raises:
            HungUp: The caller is gone.
        """
        assert self._gone is not None
        wait_s = instant_s - time.monotonic()
        if wait_s > 0 and not self._gone.done():
            loop = asyncio.get_running_loop()
            self._waking = loop.create_future()
            timer = loop.call_later(wait_s, self._wake)
            try:
                await self._waking
            finally:
                timer.cancel()
        if self._gone.done():
            raise HungUp

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the status and the headers."""
        self.status = status
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": raw + _ENCODED_CROSS_ORIGIN})

    async def write(self, part: bytes) -> None:
        """Send a part of the body."""
        await self._send({"type": "http.response.body", "body": part, "more_body": True})

    async def end(self, part: bytes) -> None:
        """Send the last part of the body. Without it, the server cuts the connection when the call returns."""
        await self._send({"type": "http.response.body", "body": part, "more_body": False})

    async def reply(self, status: int, document: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        """Send a JSON document in one piece."""
        body = json.dumps(document).encode()
        await self.begin(status, {"content-type": "application/json", "content-length": str(len(body)), **headers})
        await self.end(body)

    def close(self) -> None:
        """Stop watching for the hang-up."""
        if self._gone is not None:
            self._gone.cancel()

    def _wake(self, gone: object = None) -> None:
        """End the wait, if there is one: its time is over or the caller is gone."""
        if self._waking is not None and not self._waking.done():
            self._waking.set_result(None)

    async def _hang_up(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

"""The mock with an OpenRouter account that says what a test wants."""

from __future__ import annotations

import json
from typing import Any

from starlette.types import Receive, Scope, Send

from jobctl.apps.mock.behaviour import Fault
from support.running_mock import KEY
from support.servers import FaultyMock


class Account(FaultyMock):
    """The mock, whose account says what a test wants.

    Args:
        latency_s: How long an answer takes.
        faults: Probability of each fault.

    Attributes:
        key: Fields of ``/key`` that differ.
        credits: What ``/credits`` says.
    """

    def __init__(self, latency_s: float = 0.01, faults: dict[Fault, float] | None = None) -> None:
        super().__init__(latency_s=latency_s, faults=faults)
        self.key: dict[str, Any] = {}
        self.credits: dict[str, Any] = {"total_credits": 100.0, "total_usage": 10.0}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        data = {"/api/v1/key": {"limit_remaining": None, "is_free_tier": False, **self.key}}
        data["/api/v1/credits"] = self.credits
        authorization = dict(scope["headers"]).get(b"authorization", b"")
        if scope["path"] not in data or KEY.encode() not in authorization:
            return await super().__call__(scope, receive, send)
        body = json.dumps({"data": data[scope["path"]]}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        return await send({"type": "http.response.body", "body": body})

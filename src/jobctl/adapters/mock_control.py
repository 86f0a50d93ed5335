"""Imposes faults on a mock that was started with a secret: the other end of its ``POST /__mock__/fault``."""

from __future__ import annotations

import json
from http.client import HTTPConnection, HTTPException
from typing import Final
from urllib.parse import urlsplit

from jobctl.errors import ServiceUnavailable

__all__ = ["MockControl"]

#: How long the mock may take to answer, seconds.
_ANSWER_S: Final = 5.0
_OK: Final = 200


class MockControl:
    """Says what strikes every call of a mock.

    Args:
        base_url: The mock's API, ``http://host:port/api/v1``.
        secret: What it was started with.
    """

    def __init__(self, base_url: str, secret: str) -> None:
        parts = urlsplit(base_url)
        self._host, self._port = parts.hostname or "", parts.port
        self._headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}

    def impose(self, fault: str | None) -> None:
        """Let a fault strike every call from now on; None to let none.

        Args:
            fault: As the mock names it: ``502``, ``429``, ``slow``, ...

        Raises:
            ServiceUnavailable: The mock did not do it.
        """
        connection = HTTPConnection(self._host, self._port, timeout=_ANSWER_S)
        try:
            connection.request("POST", "/__mock__/fault", json.dumps({"fault": fault}), self._headers)
            status = connection.getresponse().status
        except (OSError, HTTPException) as error:
            raise ServiceUnavailable("mock", f"took no fault ({error})", "does it still run?") from error
        finally:
            connection.close()
        if status != _OK:
            raise ServiceUnavailable("mock", f"took no fault (status {status})", "was it started with this secret?")

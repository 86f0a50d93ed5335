"""``/metrics``, ``/healthz`` and ``/readyz`` on a thread of their own, beside whatever the process does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, MetricsHandler, ProcessCollector

if TYPE_CHECKING:
    import socket

__all__ = ["MetricsServer"]

#: How long a client may take to say what it wants, seconds: each one holds a thread.
_PATIENCE_S: Final = 5.0
#: How often the serving thread looks whether to end, seconds.
_LOOK_S: Final = 0.1


class MetricsServer:
    """Serves on a listening socket until it is closed.

    ``/healthz`` answers 200 as long as the process answers at all; ``/readyz`` 200 or 503, with the reason.

    Args:
        listener: Bound and listening.
        registry: What ``/metrics`` shows, beside the start, CPU time and memory of this process.
        unready: Why the process is not ready, in a few words; None when it is. Called on a request's thread.
    """

    def __init__(self, listener: socket.socket, registry: CollectorRegistry, unready: Callable[[], str | None]) -> None:
        self.port = int(listener.getsockname()[1])
        ProcessCollector(registry=registry)
        handler = type("Handler", (_Handler,), {"registry": registry, "unready": staticmethod(unready)})
        self._server = _Server(listener, handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_LOOK_S,), name="metrics server", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop, and leave the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    def __init__(self, listener: socket.socket, handler: type[MetricsHandler]) -> None:
        super().__init__(listener.getsockname()[:2], handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


class _Handler(MetricsHandler):
    timeout = _PATIENCE_S
    unready: Callable[[], str | None]

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
        match urlsplit(self.path).path:
            case "/metrics":
                super().do_GET()
            case "/healthz":
                self._say(200, "alive")
            case "/readyz":
                reason = self.unready()
                self._say(200 if reason is None else 503, reason or "ready")
            case _:
                self._say(404, "there are /metrics, /healthz and /readyz")

    def _say(self, status: int, text: str) -> None:
        body = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

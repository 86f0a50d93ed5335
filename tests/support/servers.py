"""Servers on the loopback: the shipped mock, and a socket that answers as a test tells it."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from jobctl.adapters.listening import listen
from jobctl.apps.mock.behaviour import Behaviour, Fault
from jobctl.apps.mock.server import create_app
from jobctl.core.service import Constant

CERTIFICATE = Path(__file__).parent.parent / "adapters" / "self_signed.pem"
#: What a client that speaks plain HTTP verifies: to read whom it would trust takes 20 ms of CPU.
NOTHING = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
#: Long enough for any test; a server that answers slowly on purpose stops then.
PATIENCE_S = 6.0


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Serve an application; gives its origin."""
    with listen("127.0.0.1", 0) as listener:
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="critical", lifespan="off", ws="none", timeout_graceful_shutdown=1)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.005)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


class FaultyMock:
    """The mock, with a fault demanded of each of the first calls.

    Args:
        demands: Headers for the first call, the second and so on, such as ``{"X-Mock-Fault": "503"}``.
        latency_s: How long an answer takes.
        faults: Probability of each fault.

    Attributes:
        arrived_s: The monotonic instant of each call.
    """

    def __init__(
        self, *demands: dict[str, str], latency_s: float = 0.01, faults: dict[Fault, float] | None = None
    ) -> None:
        self._app = create_app(Behaviour(Constant(latency_s), faults or {}, seed=1))
        self.demands = list(demands)
        self.arrived_s: list[float] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.arrived_s.append(time.monotonic())
        demand = self.demands.pop(0) if self.demands else {}
        headers = [(name.lower().encode(), value.encode()) for name, value in demand.items()]
        await self._app({**scope, "headers": [*scope["headers"], *headers]}, receive, send)


Serve = Callable[[socket.socket], None]


class SocketServer:
    """Hands each connection to a function, on a thread of its own, and closes it when that returns.

    Attributes:
        accepted: Connections so far.
        open: Connections that neither side has closed.
    """

    def __init__(self, serve: Serve, tls: bool = False) -> None:
        self._serve = serve
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if tls else None
        if self._context is not None:
            self._context.load_cert_chain(CERTIFICATE)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self._threads = [threading.Thread(target=self._accept)]
        self._connections: list[socket.socket] = []
        self._count = threading.Lock()
        self.port = int(self._listener.getsockname()[1])
        self.accepted = 0
        self.open = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def tls_url(self) -> str:
        return f"https://localhost:{self.port}/"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(PATIENCE_S)
            self._connections.append(connection)
            self.accepted += 1
            with self._count:
                self.open += 1
            thread = threading.Thread(target=self._run, args=[connection])
            self._threads.append(thread)
            thread.start()

    def _run(self, connection: socket.socket) -> None:
        try:
            with suppress(OSError):
                if self._context is not None:
                    connection = self._context.wrap_socket(connection, server_side=True)
                    self._connections.append(connection)
                self._serve(connection)
        finally:
            connection.close()
            with self._count:
                self.open -= 1


def read_request(connection: socket.socket) -> bytes:
    """One request with its body; empty when the client has closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    while len(body) < int(lengths[0] if lengths else 0):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def http(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """An answer with its length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def answering(*answers: bytes) -> Serve:
    """Serves these answers, one a request, then closes."""

    def serve(connection: socket.socket) -> None:
        for answer in answers:
            if not read_request(connection):
                return
            connection.sendall(answer)

    return serve


def echoing(connection: socket.socket) -> None:
    """Answers with the request's body until the client closes."""
    while request := read_request(connection):
        connection.sendall(http(request.partition(b"\r\n\r\n")[2]))


def dribbling(head: bytes, piece: bytes) -> Serve:
    """Begins an answer and sends the same piece again and again."""

    def serve(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(head)
        for _ in range(round(PATIENCE_S / 0.02)):
            connection.sendall(piece)
            time.sleep(0.02)

    return serve


def silent(connection: socket.socket) -> None:
    """Reads and never answers, until the client closes."""
    while connection.recv(65536):
        pass

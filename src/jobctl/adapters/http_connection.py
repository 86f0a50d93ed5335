"""One HTTP/1.1 connection as an httpx transport whose answers llhttp reads.

The transport that httpx brings along spends most of a small call's CPU time on a pool, on tracing and on a parser in
Python. Here a connection belongs to one call at a time and speaks to one server, so there is no pool, and the parser is
C (https://llhttp.org, by httptools). Proxies, HTTP/2 and streamed bodies are left to httpx's own.

A request is never sent twice. Whether the server has closed a kept connection is looked up right before it is used.
"""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import httptools
import httpx

__all__ = ["Connection"]

_PORTS: Final = {"http": 80, "https": 443}
_RECEIVE: Final = 65536
#: Answers below are interim: the one that counts is still to come (RFC 9110, section 15.2).
_LOWEST_FINAL: Final = 200
_END: Final = b"\r\n"


class Connection(httpx.BaseTransport):
    """Sends requests one after the other, and connects when it must. Obeys the timeouts of each request.

    After an error, or an exception from outside that tore a call apart, it must be closed.

    Args:
        tls: Which certificates are trusted.
        opened: Told each socket before anything is waited for on it, so that another thread can shut it down.
    """

    def __init__(self, tls: ssl.SSLContext, opened: Callable[[socket.socket], None]) -> None:
        self._tls = tls
        self._opened = opened
        self._origin: tuple[str, str, int | None] | None = None
        self._socket: socket.socket | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send, and read the whole answer.

        Raises:
            httpx.TransportError: It cannot be sent, or there was no answer.
        """
        head = _head(request)
        timeouts = request.extensions["timeout"]
        connection = self._connected(request.url, timeouts["connect"])
        connection.settimeout(timeouts["read"])
        answer = _Answer()
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # it may have answered before (RFC 9112, section 9.3)
                connection.sendall(head + request.content)
            while not answer.complete:
                answer.feed(connection.recv(_RECEIVE))
        except TimeoutError as error:
            raise httpx.ReadTimeout(str(error)) from error
        except OSError as error:
            raise httpx.ReadError(str(error)) from error
        if not answer.keep_alive:
            self.close()
        return httpx.Response(answer.status, headers=answer.headers, stream=httpx.ByteStream(answer.body))

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connected(self, url: httpx.URL, timeout_s: float) -> socket.socket:
        origin = (url.scheme, url.host, url.port)
        if self._socket is not None and (self._origin != origin or _readable(self._socket)):
            self.close()
        if self._socket is None:
            self._open(url, timeout_s)
            self._origin = origin
        assert self._socket is not None
        return self._socket

    def _open(self, url: httpx.URL, timeout_s: float) -> None:
        host = url.raw_host.decode("ascii")
        try:
            self._socket = socket.create_connection((host, url.port or _PORTS[url.scheme]), timeout_s)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._opened(self._socket)
            if url.scheme == "https":
                tls = self._tls.wrap_socket(self._socket, server_hostname=host, do_handshake_on_connect=False)
                self._socket = tls
                self._opened(tls)
                tls.do_handshake()
        except TimeoutError as error:
            raise httpx.ConnectTimeout(str(error)) from error
        except (OSError, UnicodeError) as error:  # the latter is how a name can be no name
            raise httpx.ConnectError(str(error)) from error


class _Answer:
    """What the server sends, up to the end of one answer."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._fields: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []
        self.complete = False
        self.keep_alive = False
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []

    @property
    def body(self) -> bytes:
        return b"".join(self._pieces)

    def feed(self, data: bytes) -> None:
        """Go on with what was received; nothing is the end of the connection.

        Raises:
            httpx.RemoteProtocolError: This is no answer, or only a part of one.
        """
        if not data:
            self._end()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            interruption = error.__context__  # from outside, into one of the methods below: they raise nothing
            raise (interruption or error) from None
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self.complete:
                raise httpx.RemoteProtocolError(f"not an HTTP answer: {error}") from error

    def _end(self) -> None:
        """The end of the connection is that of a body without a length (RFC 9112, section 6.3)."""
        framed = any(name.lower() in {b"content-length", b"transfer-encoding"} for name, _ in self.headers)
        if self.status < _LOWEST_FINAL or framed:
            raise httpx.RemoteProtocolError("the server closed the connection before the answer's end")
        self.complete = True

    # The parser's events, in their order.

    def on_message_begin(self) -> None:
        if self.complete:  # nobody asked for another one
            self.keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        if not self.complete:
            self.status = self._parser.get_status_code()
            self.headers, self._fields = self._fields, []  # what still comes are trailers

    def on_body(self, piece: bytes) -> None:
        if not self.complete:
            self._pieces.append(piece)

    def on_message_complete(self) -> None:
        if not self.complete and self.status >= _LOWEST_FINAL:
            self.complete = True
            self.keep_alive = self._parser.should_keep_alive()


def _head(request: httpx.Request) -> bytes:
    """The request up to its body.

    Raises:
        httpx.UnsupportedProtocol: It is not for HTTP.
        httpx.LocalProtocolError: A header would end its line.
    """
    url = request.url
    if url.scheme not in _PORTS:
        raise httpx.UnsupportedProtocol(f"no HTTP: {url.scheme}://")
    lines = [b"%s %s HTTP/1.1" % (request.method.encode("ascii"), url.raw_path)]
    lines += [b"%s: %s" % field for field in request.headers.raw]
    head = _END.join(lines)
    if head.count(b"\n") != len(lines) - 1 or head.count(b"\r") != len(lines) - 1 or b"\0" in head:
        raise httpx.LocalProtocolError("a header holds a line break or a zero byte")
    return head + _END + _END


def _readable(connection: socket.socket) -> bool:
    """Whether something is to be read where nothing should be: the end of the connection, or what nobody asked for."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))

"""HTTP calls over httpx that end by one total deadline, from any number of threads.

An httpx timeout bounds one read, and a server that dribbles bytes never lets it fire. So a watchdog shuts the call's
socket down when its deadline passes, which wakes whoever reads from it or writes to it.

Requests and answers are httpx's. Between them is a transport of one connection (``http_connection``), which costs a
third of the CPU time of an ``httpx.Client``. Where the environment names a proxy such a client is used after all; its
socket is known from httpcore's trace events (https://www.encode.io/httpcore/extensions/#trace). Neither sends cookies
or follows a redirect.

Every call has a connection of its own, because threads that share an httpx client wait for its pool's lock. It is kept
for the next call; the one used last is used first, and those that have been idle for long are closed.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple
from urllib.request import getproxies

import httpx

from jobctl.adapters.http_connection import Connection
from jobctl.adapters.watchdog import watchdog
from jobctl.errors import UpstreamDisconnected, UpstreamError, UpstreamTimeout

__all__ = ["Answer", "HttpCaller"]

#: How long connecting to one address may take, seconds: TCP repeats an unanswered first packet after 1, 3 and 7 s.
_CONNECT_S: Final = 10.0
#: Bounds of the timeout that sockets are given, seconds: they cannot count more than 24 days of milliseconds.
_SHORTEST_S, _LONGEST_S = 0.001, 1e6
#: What each request says of the client; httpx unpacks these encodings.
_HEADERS: Final = {
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate",
    "User-Agent": f"python-httpx/{httpx.__version__}",
}
#: The variables by which httpx finds proxies, as urllib names them.
_PROXIED: Final = frozenset({"all", "http", "https"})
#: What no second attempt would mend.
_OUR_FAULT: Final = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)


class Answer(NamedTuple):
    """An HTTP answer, read to its end."""

    status: int
    headers: httpx.Headers
    body: bytes


class HttpCaller:
    """Posts to servers. Proxies and certificates are those that httpx finds in the environment.

    Args:
        idle_s: How long an idle connection is kept, seconds. A server that closes it first is no harm, but for the
            instant in which both act.
    """

    def __init__(self, *, idle_s: float = 5.0) -> None:
        self._idle_s = idle_s
        self._tls = httpx.create_ssl_context()
        self._tls.set_alpn_protocols(["http/1.1"])
        #: Only touched by single steps of the interpreter: a lock could stay taken, see ``watchdog``.
        self._idle: deque[_Line] = deque()
        self._closed = False
        weakref.finalize(self, _close_all, self._idle)  # for those who live as long as their process

    def post(self, url: str, body: bytes, headers: Mapping[str, str], deadline_s: float) -> Answer:
        """Send, and read the whole answer.

        Args:
            url: Where to.
            body: What.
            headers: Request headers.
            deadline_s: The monotonic instant by which the answer must be complete.

        Raises:
            UpstreamTimeout: The deadline passed.
            UpstreamDisconnected: There is no connection to be had, or it broke.
        """
        line = self._take()
        try:
            answer = line.post(url, body, headers, deadline_s)
        except BaseException:  # a job's timeout may strike anywhere in there
            line.close()
            raise
        self._give_back(line)
        return answer

    def close(self) -> None:
        """Close the idle connections now, and those in use after their call."""
        self._closed = True
        _close_all(self._idle)

    def _take(self) -> _Line:
        with suppress(IndexError):
            line = self._idle.pop()
            if line.idle_since_s >= time.monotonic() - self._idle_s:
                return line
            line.close()
        return _Line(self._tls, self._idle_s)

    def _give_back(self, line: _Line) -> None:
        line.idle_since_s = now_s = time.monotonic()
        self._idle.append(line)
        oldest_s = now_s + 1 if self._closed else now_s - self._idle_s
        with suppress(IndexError):
            while (old := self._idle.popleft()).idle_since_s < oldest_s:
                old.close()
            self._idle.appendleft(old)


class _Line:
    """One connection, used by one call at a time. After a call that raised it must be closed."""

    def __init__(self, tls: ssl.SSLContext, idle_s: float) -> None:
        self._send: Callable[[httpx.Request], httpx.Response]
        if _PROXIED.isdisjoint(getproxies()):
            connection = Connection(tls, self._hold)
            self._send, self._close, self._trace = connection.handle_request, connection.close, {}
        else:
            client = httpx.Client(verify=tls, limits=httpx.Limits(keepalive_expiry=idle_s))
            self._send, self._close, self._trace = client.send, client.close, {"trace": self._follow}
        self._lock = threading.Lock()
        self._call: object | None = None
        self._socket: socket.socket | None = None
        self._handshaking: socket.socket | None = None
        self._is_cut = False
        self.idle_since_s = 0.0

    def post(self, url: str, body: bytes, headers: Mapping[str, str], deadline_s: float) -> Answer:
        """As :meth:`HttpCaller.post`."""
        timeout_s = min(max(_SHORTEST_S, deadline_s - time.monotonic()), _LONGEST_S)
        timeout = httpx.Timeout(timeout_s, connect=min(timeout_s, _CONNECT_S)).as_dict()
        extensions = {"timeout": timeout, **self._trace}
        self._call = call = object()
        alarm = watchdog.call_at(deadline_s, partial(self._cut, call))
        try:
            request = httpx.Request(
                "POST", _parsed(url), headers={**_HEADERS, **headers}, content=body, extensions=extensions
            )
            response = self._send(request)
            content = response.read()
        except httpx.RequestError as error:
            raise self._translated(error, deadline_s) from error
        finally:
            watchdog.forget(alarm)
            with self._lock:
                self._call = None
        if self._is_cut:  # to a body that ends with the connection a cut looks like the end
            raise _too_late()
        return Answer(response.status_code, response.headers, content)

    def close(self) -> None:
        """Close the connection."""
        self._close()
        with self._lock:
            self._end_handshake()

    def _translated(self, error: httpx.RequestError, deadline_s: float) -> UpstreamError:
        if self._is_cut or time.monotonic() >= deadline_s:
            return _too_late()
        certificate = isinstance(_root_cause(error), ssl.SSLCertVerificationError)
        retryable = not (certificate or isinstance(error, _OUR_FAULT))
        return UpstreamDisconnected(f"{type(error).__name__}: {error}", retryable=retryable)

    def _follow(self, event: str, info: Mapping[str, Any]) -> None:
        """Learn the connection's socket from a trace event, such as ``connection.connect_tcp.complete``."""
        match event.partition(".")[2]:
            case "connect_tcp.complete":
                self._hold(info["return_value"].get_extra_info("socket"))
            case "start_tls.started":
                # The handshake takes the socket away from the object we hold, so another one is needed meanwhile.
                with self._lock:
                    if self._socket is not None:
                        self._handshaking = socket.socket(fileno=os.dup(self._socket.fileno()))
            case "start_tls.complete":
                self._hold(info["return_value"].get_extra_info("socket"))
            case "start_tls.failed":
                with self._lock:
                    self._end_handshake()

    def _hold(self, connection: socket.socket) -> None:
        with self._lock:
            self._end_handshake()
            self._socket = connection
            if self._is_cut:
                _shut(connection)

    def _end_handshake(self) -> None:
        if self._handshaking is not None:
            self._handshaking.close()
            self._handshaking = None

    def _cut(self, call: object) -> None:
        """End a call from the watchdog's thread, if it still runs."""
        with self._lock:
            if self._call is call:
                self._is_cut = True
                _shut(self._handshaking or self._socket)


@lru_cache(maxsize=64)
def _parsed(url: str) -> httpx.URL:
    return httpx.URL(url)


def _close_all(lines: deque[_Line]) -> None:
    with suppress(IndexError):
        while True:
            lines.pop().close()


def _shut(connection: socket.socket | None) -> None:
    if connection is not None:
        with suppress(OSError):  # it is closed already
            # Not SSLSocket's own, which drops the encryption first: the other thread could then write in the clear.
            socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _too_late() -> UpstreamTimeout:
    return UpstreamTimeout("the call's deadline passed", retryable=True)


def _root_cause(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error

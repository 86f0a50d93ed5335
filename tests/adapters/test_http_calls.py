from __future__ import annotations

import ctypes
import gc
import gzip
import random
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event

import httpx
import pytest
import respx

from jobctl.adapters.http_calls import Answer, HttpCaller
from jobctl.errors import UpstreamDisconnected, UpstreamError, UpstreamTimeout
from support.servers import (
    CERTIFICATE,
    PATIENCE_S,
    SocketServer,
    answering,
    dribbling,
    echoing,
    http,
    read_request,
    silent,
)

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#: Well below the patience of the servers, well above the noise of a busy machine.
MARGIN_S = 2.0


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def caller() -> Iterator[HttpCaller]:
    caller = HttpCaller()
    yield caller
    caller.close()


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpCaller]:
    """Trusts the certificate of this directory, as told by the environment."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    caller = HttpCaller()
    yield caller
    caller.close()


def post(caller: HttpCaller, url: str, body: bytes = b"{}", timeout_s: float = PATIENCE_S) -> Answer:
    return caller.post(url, body, {}, time.monotonic() + timeout_s)


def seconds_until_too_late(caller: HttpCaller, url: str, timeout_s: float) -> float:
    started_s = time.monotonic()
    with pytest.raises(UpstreamTimeout) as caught:
        post(caller, url, timeout_s=timeout_s)
    assert caught.value.retryable
    return time.monotonic() - started_s


def wait_until(what: str, server: SocketServer, expected: int) -> None:
    """Wait until the server has so many open connections."""
    give_up_s = time.monotonic() + MARGIN_S
    while server.open != expected and time.monotonic() < give_up_s:
        time.sleep(0.005)
    assert server.open == expected, what


# ---------------------------------------------------------------------------------------------------------- deadline


@pytest.mark.parametrize(
    "serve",
    [
        pytest.param(silent, id="silence"),
        pytest.param(dribbling(CHUNKED, b"1\r\n \r\n"), id="padding"),
        pytest.param(dribbling(b"HTTP/1.1 200 OK\r\n", b"X-More: x\r\n"), id="endless headers"),
        pytest.param(dribbling(b"HTTP/1.1 200 OK\r\n\r\n", b" "), id="padding until the connection ends"),
        pytest.param(dribbling(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), id="continue for ever"),
    ],
)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_call_ends_at_its_deadline_whatever_comes_meanwhile(trusting: HttpCaller, serve: object, tls: bool) -> None:
    with SocketServer(serve, tls=tls) as server:
        elapsed_s = seconds_until_too_late(trusting, server.tls_url if tls else server.url, 0.3)

    assert 0.3 <= elapsed_s < MARGIN_S


def test_a_request_that_nobody_reads_ends_at_the_deadline(caller: HttpCaller) -> None:
    done = Event()
    with SocketServer(lambda connection: done.wait(PATIENCE_S)) as server:
        started_s = time.monotonic()
        with pytest.raises(UpstreamTimeout):
            post(caller, server.url, b"x" * 50_000_000, timeout_s=0.3)
        done.set()

    assert time.monotonic() - started_s < MARGIN_S


def test_a_handshake_that_never_ends_is_cut_at_the_deadline(caller: HttpCaller) -> None:
    with SocketServer(silent) as server:
        elapsed_s = seconds_until_too_late(caller, server.tls_url, 0.3)
        wait_until("closed after the failure", server, 0)

    assert 0.3 <= elapsed_s < MARGIN_S


def test_the_time_before_a_handshake_counts_too(caller: HttpCaller, monkeypatch: pytest.MonkeyPatch) -> None:
    """The handshake's own timeout begins with it; here a proxy used most of the time up before."""

    def tunnel_late_and_fall_silent(connection: socket.socket) -> None:
        read_request(connection)
        time.sleep(0.8)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        silent(connection)

    with SocketServer(tunnel_late_and_fall_silent) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        elapsed_s = seconds_until_too_late(caller, "https://nowhere.invalid/", 1.0)

    assert 1.0 <= elapsed_s < 1.6


def test_a_deadline_that_has_passed_leaves_no_time(caller: HttpCaller) -> None:
    with SocketServer(silent) as server:
        assert seconds_until_too_late(caller, server.url, -1.0) < MARGIN_S


def test_a_deadline_beyond_what_sockets_can_count_is_none(caller: HttpCaller) -> None:
    with SocketServer(echoing) as server:
        assert post(caller, server.url, b"hello", timeout_s=1e12).body == b"hello"


def test_a_call_that_was_cut_leaves_the_next_one_a_whole_connection(caller: HttpCaller) -> None:
    def first_silent(connection: socket.socket) -> None:
        (silent if server.accepted == 1 else echoing)(connection)

    with SocketServer(first_silent) as server:
        seconds_until_too_late(caller, server.url, 0.1)

        assert post(caller, server.url, b"hello").body == b"hello"
        assert server.accepted == 2


# ------------------------------------------------------------------------------------------------------- connections


def test_a_connection_is_used_again(caller: HttpCaller) -> None:
    with SocketServer(echoing) as server:
        assert [post(caller, server.url, body).body for body in (b"one", b"two", b"three")] == [
            b"one",
            b"two",
            b"three",
        ]
        assert server.accepted == 1
        caller.close()


def test_a_connection_that_the_server_closed_meanwhile_is_replaced(caller: HttpCaller) -> None:
    with SocketServer(answering(http(b"one"))) as server:
        post(caller, server.url)
        wait_until("closed by the server", server, 0)

        assert post(caller, server.url).body == b"one"
        assert server.accepted == 2


def test_a_server_that_keeps_no_connection_gets_a_new_one_each_time(caller: HttpCaller) -> None:
    with SocketServer(answering(http(b"bye", "Connection: close"))) as server:
        assert [post(caller, server.url).body for _ in range(3)] == [b"bye"] * 3
        assert server.accepted == 3


@pytest.mark.parametrize("threads", [25, 100])
def test_many_threads_get_each_their_own_answer_over_no_more_connections_than_threads(threads: int) -> None:
    caller = HttpCaller()
    bodies = [f"call {number}".encode() for number in range(threads * 4)]
    with SocketServer(echoing) as server, ThreadPoolExecutor(threads) as pool:
        answers = list(pool.map(lambda body: post(caller, server.url, body).body, bodies))
        assert answers == bodies
        assert server.accepted <= threads

        caller.close()
        wait_until("all closed", server, 0)


def test_two_threads_never_share_the_one_idle_connection(caller: HttpCaller) -> None:
    together = Event()

    def answer_together(connection: socket.socket) -> None:
        while request := read_request(connection):
            if request.endswith(b"wait"):
                together.wait(PATIENCE_S)
            connection.sendall(http(b"done"))

    with SocketServer(answer_together) as server, ThreadPoolExecutor(2) as pool:
        post(caller, server.url)
        calls = [pool.submit(post, caller, server.url, b"wait") for _ in range(2)]
        give_up_s = time.monotonic() + MARGIN_S
        while server.accepted < 2 and time.monotonic() < give_up_s:
            time.sleep(0.005)
        together.set()
        assert [call.result().body for call in calls] == [b"done", b"done"]
        assert server.accepted == 2
        caller.close()


def test_connections_that_a_burst_left_behind_are_closed() -> None:
    caller = HttpCaller(idle_s=0.2)
    with SocketServer(echoing) as server:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: post(caller, server.url), range(64)))
        time.sleep(0.3)
        post(caller, server.url)

        wait_until("only the last one is kept", server, 1)
        caller.close()


def test_a_connection_that_was_idle_for_too_long_is_not_trusted_any_more() -> None:
    caller = HttpCaller(idle_s=0.1)
    with SocketServer(echoing) as server:
        post(caller, server.url)
        time.sleep(0.2)

        assert post(caller, server.url, b"hello").body == b"hello"
        assert server.accepted == 2
        caller.close()


def test_closing_ends_idle_connections_now_and_busy_ones_after_their_call() -> None:
    caller = HttpCaller()
    go_on = Event()

    def answer_late(connection: socket.socket) -> None:
        while read_request(connection):
            go_on.wait(PATIENCE_S)
            connection.sendall(http(b"late"))

    with SocketServer(answer_late) as server, ThreadPoolExecutor(1) as pool:
        call = pool.submit(post, caller, server.url)
        wait_until("connected", server, 1)
        caller.close()
        go_on.set()

        assert call.result().body == b"late"
        wait_until("closed after its call", server, 0)


def test_one_that_nobody_closed_closes_its_connections_when_it_is_forgotten() -> None:
    caller = HttpCaller()
    with SocketServer(echoing) as server:
        post(caller, server.url)
        assert server.open == 1
        del caller

        wait_until("closed", server, 0)


# -------------------------------------------------------------------------------------------------- what goes wrong


def test_a_refused_connection_may_be_tried_again(caller: HttpCaller) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(UpstreamDisconnected, match="ConnectError") as caught:
        post(caller, f"http://127.0.0.1:{port}/")
    assert caught.value.retryable


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Le", id="half a header"),
        pytest.param(http(b"x" * 100)[:-50], id="half a body"),
        pytest.param(CHUNKED + b"5\r\nhel", id="half a chunk"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", id="another protocol"),
        pytest.param(http(b"no gzip", "Content-Encoding: gzip"), id="not what its encoding says"),
    ],
)
def test_a_broken_answer_may_be_tried_again(caller: HttpCaller, answer: bytes) -> None:
    with SocketServer(answering(answer)) as server, pytest.raises(UpstreamDisconnected) as caught:
        post(caller, server.url)

    assert caught.value.retryable


def test_a_compressed_answer_is_unpacked(caller: HttpCaller) -> None:
    with SocketServer(answering(http(gzip.compress(b"hello"), "Content-Encoding: gzip"))) as server:
        assert post(caller, server.url).body == b"hello"


def errors_of_httpx() -> list[type[httpx.RequestError]]:
    found, more = [], [httpx.RequestError]
    while more:
        kind = more.pop()
        found.append(kind)
        more.extend(kind.__subclasses__())
    return found


@pytest.mark.parametrize("kind", errors_of_httpx())
def test_no_error_of_the_library_slips_by(
    caller: HttpCaller, kind: type[httpx.RequestError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid")  # so that the whole library is in use
    with respx.mock as router:
        router.post("http://upstream/").mock(side_effect=kind)
        with pytest.raises(UpstreamError) as caught:
            post(caller, "http://upstream/")

    assert caught.value.retryable == (kind not in {httpx.LocalProtocolError, httpx.UnsupportedProtocol})


class Interrupted(Exception):
    pass


def test_a_call_that_an_exception_from_outside_tears_apart_gives_its_connection_up(caller: HttpCaller) -> None:
    """A worker interrupts a job by an exception that is raised in its thread, wherever that is."""

    def dribble_once(connection: socket.socket) -> None:
        (dribbling(CHUNKED, b"1\r\n \r\n") if server.accepted == 1 else echoing)(connection)

    threads: list[int] = []

    def call() -> None:
        threads.append(threading.get_ident())
        post(caller, server.url)

    with SocketServer(dribble_once) as server, ThreadPoolExecutor(1) as pool:
        torn = pool.submit(call)
        wait_until("connected", server, 1)
        time.sleep(0.1)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(threads[0]), ctypes.py_object(Interrupted))
        with pytest.raises(Interrupted):
            torn.result(PATIENCE_S)
        wait_until("closed", server, 0)

        assert post(caller, server.url, b"fine").body == b"fine"
        caller.close()


@pytest.fixture
def _threads_that_alternate_often() -> Iterator[None]:
    """Without the garbage collector: what is raised in a callback of its, no program can catch."""
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    gc.disable()
    yield
    gc.enable()
    sys.setswitchinterval(usual_s)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # sockets that were just made
@pytest.mark.usefixtures("_threads_that_alternate_often")
def test_an_exception_from_outside_is_never_taken_for_something_else(caller: HttpCaller) -> None:
    """Wherever it strikes: the parser calls into Python, and reports what is raised there as an error of its own."""
    chunks = http(b"", "Transfer-Encoding: chunked").replace(b"Content-Length: 0\r\n", b"") + b"1\r\nx\r\n" * 4000

    def serve(connection: socket.socket) -> None:
        while read_request(connection):
            connection.sendall(chunks + b"0\r\n\r\n")

    ended: list[str] = []

    def call_until_interrupted() -> None:
        try:
            while True:
                begun.set()
                post(caller, server.url)
        except Exception as error:
            ended.append(type(error).__name__)

    with SocketServer(serve) as server:
        for _ in range(60):
            begun = threading.Event()
            thread = threading.Thread(target=call_until_interrupted)
            thread.start()
            begun.wait(PATIENCE_S)
            time.sleep(random.random() * 0.01)
            while thread.is_alive():  # one that strikes in a callback of the interpreter's own is lost
                interrupted = ctypes.py_object(Interrupted)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), interrupted)
                thread.join(0.2)
        caller.close()

    assert ended == ["Interrupted"] * 60


# -------------------------------------------------------------------------------------- certificates and proxies


def test_a_certificate_that_the_environment_names_is_trusted(trusting: HttpCaller) -> None:
    with SocketServer(echoing, tls=True) as server:
        assert [post(trusting, server.tls_url, body).body for body in (b"one", b"two")] == [b"one", b"two"]
        assert server.accepted == 1
        trusting.close()


def test_a_certificate_that_nobody_trusts_is_final_and_named(caller: HttpCaller) -> None:
    with (
        SocketServer(echoing, tls=True) as server,
        pytest.raises(UpstreamDisconnected, match="CERTIFICATE_VERIFY_FAILED") as caught,
    ):
        post(caller, server.tls_url)

    assert not caught.value.retryable


def test_a_proxy_that_the_environment_names_is_used_and_cut_like_any_connection(
    caller: HttpCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []

    def forward(connection: socket.socket) -> None:
        while request := read_request(connection):
            asked.append(request.partition(b"\r\n")[0])
            if b"/slow" in asked[-1]:
                connection.sendall(CHUNKED)
                for _ in range(round(PATIENCE_S / 0.02)):
                    connection.sendall(b"1\r\n \r\n")
                    time.sleep(0.02)
            connection.sendall(http(b"by proxy"))

    with SocketServer(forward) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        assert post(caller, "http://nowhere.invalid/quick").body == b"by proxy"
        assert seconds_until_too_late(caller, "http://nowhere.invalid/slow", 0.3) < MARGIN_S
        caller.close()

    assert asked == [
        b"POST http://nowhere.invalid/quick HTTP/1.1",
        b"POST http://nowhere.invalid/slow HTTP/1.1",
    ]


def test_a_dribbling_server_behind_a_tunnel_is_cut_too(trusting: HttpCaller, monkeypatch: pytest.MonkeyPatch) -> None:
    with SocketServer(dribbling(CHUNKED, b"1\r\n \r\n"), tls=True) as server:

        def tunnel(connection: socket.socket) -> None:
            read_request(connection)
            with socket.create_connection(("127.0.0.1", server.port)) as onward, ThreadPoolExecutor(1) as pool:
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                pool.submit(pump, connection, onward)
                pump(onward, connection)

        with SocketServer(tunnel) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            elapsed_s = seconds_until_too_late(trusting, server.tls_url, 0.5)

    assert 0.5 <= elapsed_s < MARGIN_S


def pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)

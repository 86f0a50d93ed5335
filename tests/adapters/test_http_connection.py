from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from jobctl.adapters.http_calls import HttpCaller
from jobctl.adapters.http_connection import Connection
from support.servers import PATIENCE_S, Serve, SocketServer, answering, echoing, http, read_request, silent

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
TIMEOUTS = {"connect": PATIENCE_S, "read": PATIENCE_S}


@pytest.fixture
def connection() -> Iterator[Connection]:
    connection = Connection(ssl.create_default_context(), lambda opened: None)
    yield connection
    connection.close()


def request(url: str, body: bytes = b"{}", **headers: str) -> httpx.Request:
    return httpx.Request("POST", url, content=body, headers=headers, extensions={"timeout": TIMEOUTS})


def post(connection: Connection, url: str, body: bytes = b"{}") -> httpx.Response:
    return connection.handle_request(request(url, body))


def recording(requests: list[bytes]) -> Serve:
    def serve(connection: socket.socket) -> None:
        while data := read_request(connection):
            requests.append(data)
            connection.sendall(http(b"noted"))

    return serve


# ----------------------------------------------------------------------------------------------------- what is sent


def test_a_request_goes_out_as_http_wants_it(connection: Connection) -> None:
    requests: list[bytes] = []
    with SocketServer(recording(requests)) as server:
        connection.handle_request(request(f"{server.url}api/v1?a=b%20c", b'{"x":1}', Authorization="Bearer k"))

    lines = requests[0].split(b"\r\n")
    assert lines[0] == b"POST /api/v1?a=b%20c HTTP/1.1"
    assert sorted(lines[1:-2]) == [
        b"Authorization: Bearer k",
        b"Content-Length: 7",
        b"Host: 127.0.0.1:%d" % server.port,
    ]
    assert lines[-2:] == [b"", b'{"x":1}']


@pytest.mark.parametrize("value", ["a\r\nX-Planted: b", "a\nX-Planted: b", "a\rb", "a\0b"])
def test_a_header_that_would_end_its_line_is_never_sent(connection: Connection, value: str) -> None:
    requests: list[bytes] = []
    with SocketServer(recording(requests)) as server, pytest.raises(httpx.LocalProtocolError):
        connection.handle_request(request(server.url, Authorization=value))

    assert requests == []


def test_only_http_is_spoken(connection: Connection) -> None:
    with pytest.raises(httpx.UnsupportedProtocol, match="ftp"):
        post(connection, "ftp://127.0.0.1/")


def test_another_server_gets_a_connection_of_its_own(connection: Connection) -> None:
    with SocketServer(answering(http(b"one"))) as one, SocketServer(answering(http(b"two"))) as two:
        assert [post(connection, server.url).read() for server in (one, two)] == [b"one", b"two"]


def test_large_bodies_pass_both_ways(connection: Connection) -> None:
    body = bytes(range(256)) * 20_000
    with SocketServer(echoing) as server:
        assert post(connection, server.url, body).read() == body
        assert post(connection, server.url, b"small").read() == b"small"
        assert server.accepted == 1
        connection.close()


# ------------------------------------------------------------------------------------------------- what is received


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        pytest.param(CHUNKED + b"5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n", b"hello!", id="chunks"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + http(b"hello"), b"hello", id="after an interim answer"),
        pytest.param(b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + http(b"hello"), b"hello", id="after hints"),
        pytest.param(http(b""), b"", id="no body"),
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", b"", id="a status without a body"),
        pytest.param(http(b"hello", status="200"), b"hello", id="no reason"),
    ],
)
@pytest.mark.parametrize("pieces", [1, 0], ids=["at once", "byte by byte"])
def test_an_answer_is_read_to_its_end_and_the_connection_kept(
    connection: Connection, answer: bytes, body: bytes, pieces: int
) -> None:
    def serve(client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while read_request(client):
            step = len(answer) if pieces else 1
            for start in range(0, len(answer), step):
                client.sendall(answer[start : start + step])

    with SocketServer(serve) as server:
        assert [post(connection, server.url).read() for _ in range(2)] == [body, body]
        assert server.accepted == 1
        connection.close()


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_body_without_a_length_ends_with_the_connection(connection: Connection, version: bytes) -> None:
    with SocketServer(answering(b"HTTP/%s 200 OK\r\n\r\nhello" % version)) as server:
        assert [post(connection, server.url).read() for _ in range(2)] == [b"hello", b"hello"]
        assert server.accepted == 2


def test_headers_are_those_of_the_final_answer_before_its_body(connection: Connection) -> None:
    answer = (
        b"HTTP/1.1 103 Hints\r\nRetry-After: 1\r\n\r\n"
        b"HTTP/1.1 429 Slow\r\nTransfer-Encoding: chunked\r\nretry-after: 2\r\nX-A: 1\r\nX-A: 2\r\n\r\n"
        b"2\r\nno\r\n0\r\nRetry-After: 3\r\n\r\n"
    )
    with SocketServer(answering(answer)) as server:
        response = post(connection, server.url)

    assert response.status_code == 429
    assert response.headers["Retry-After"] == "2"
    assert response.headers.get_list("x-a") == ["1", "2"]


def test_a_server_that_answers_and_leaves_before_it_has_read_the_request_is_heard(connection: Connection) -> None:
    def refuse(client: socket.socket) -> None:
        client.recv(1000)
        client.sendall(http(b"too large", status="413 Content Too Large"))

    with SocketServer(refuse) as server:
        for number in range(1, 3):
            response = post(connection, server.url, b"x" * 20_000_000)
            assert (response.status_code, response.read()) == (413, b"too large")
            assert server.accepted == number


def test_a_connection_that_the_server_resets_is_an_error_of_reading(connection: Connection) -> None:
    def reset(client: socket.socket) -> None:
        read_request(client)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with SocketServer(reset) as server, pytest.raises(httpx.ReadError):
        post(connection, server.url)


@pytest.mark.parametrize(
    ("scheme", "error"),
    [("http", httpx.ReadTimeout), ("https", httpx.ConnectTimeout)],
)
def test_the_timeouts_of_a_request_are_obeyed(
    connection: Connection, scheme: str, error: type[httpx.TimeoutException]
) -> None:
    impatient = httpx.Request("POST", "http://x/", extensions={"timeout": {"connect": 0.1, "read": 0.1}})
    with SocketServer(silent) as server:
        impatient.url = httpx.URL(f"{scheme}://localhost:{server.port}/")
        started_s = time.monotonic()
        with pytest.raises(error):
            connection.handle_request(impatient)
        connection.close()

    assert 0.1 <= time.monotonic() - started_s < PATIENCE_S / 2


def unasked_with_the_answer(client: socket.socket) -> None:
    if read_request(client):
        client.sendall(http(b"asked") + http(b"unasked", status="500 Oops"))
        client.recv(1)


def rubbish_with_the_answer(client: socket.socket) -> None:
    if read_request(client):
        client.sendall(http(b"asked") + b"rubbish\r\n\r\n")
        client.recv(1)


def unasked_later(client: socket.socket) -> None:
    if read_request(client):
        client.sendall(http(b"asked"))
        time.sleep(0.05)
        client.sendall(http(b"unasked", status="500 Oops"))
        client.recv(1)


@pytest.mark.parametrize("serve", [unasked_with_the_answer, rubbish_with_the_answer, unasked_later])
def test_what_nobody_asked_for_is_never_taken_for_an_answer(
    connection: Connection, serve: Callable[[socket.socket], None]
) -> None:
    with SocketServer(serve) as server:
        for number in range(1, 4):
            response = post(connection, server.url)
            assert (response.status_code, response.read()) == (200, b"asked")
            assert server.accepted == number
            time.sleep(0.1)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", id="another protocol"),
        pytest.param(CHUNKED + b"zz\r\n", id="no chunk"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", id="two lengths"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n", id="nothing but an interim answer"),
    ],
)
def test_no_answer_is_an_error_of_the_server(connection: Connection, answer: bytes) -> None:
    with SocketServer(answering(answer)) as server, pytest.raises(httpx.RemoteProtocolError):
        post(connection, server.url)


# ------------------------------------------------------------------------------------------------------------- cost


def cpu_ms(call: Callable[[], object], times: int) -> float:
    """CPU time of this thread for each call."""
    call()
    started_s = time.thread_time()
    for _ in range(times):
        call()
    return (time.thread_time() - started_s) / times * 1000


def test_a_call_costs_less_than_half_the_cpu_time_of_a_client_of_httpx() -> None:
    body = b'{"content": "%s"}' % (b"x" * 1500)
    caller = HttpCaller()
    with SocketServer(echoing) as server, httpx.Client() as client:
        ours, theirs = (
            min(cpu_ms(call, 100) for _ in range(3))
            for call in (
                lambda: caller.post(server.url, body, {}, time.monotonic() + PATIENCE_S),
                lambda: client.post(server.url, content=body),
            )
        )
        caller.close()

    assert ours < theirs / 2, f"{ours:.2f} ms beside {theirs:.2f} ms"

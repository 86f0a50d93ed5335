from __future__ import annotations

import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.exceptions import ConnectionError as RedisConnectionError

from jobctl.adapters.embedded_redis import find_server
from jobctl.adapters.processes import ProcessGroup
from jobctl.adapters.redis_connection import connect
from jobctl.errors import InvalidOption, ServiceUnavailable

PASSWORD = "correct-horse"  # of a server that lives for one test run
CERTIFICATE = Path(__file__).with_name("self_signed.pem")


@dataclass(frozen=True)
class LockedRedis:
    """A server that wants a password, on a unix socket and a TCP port."""

    socket: Path
    port: int


@pytest.fixture(scope="module")
def locked() -> Iterator[LockedRedis]:
    with ProcessGroup() as group:
        path, port = group.directory / "locked.sock", free_port()
        where = ["--bind", "127.0.0.1", "--port", str(port), "--unixsocket", str(path), "--dir", str(group.directory)]
        server = group.spawn([str(find_server()), *where, "--requirepass", PASSWORD, "--save", ""])
        wait_for(path, server)
        yield LockedRedis(path, port)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_for(path: Path, server: subprocess.Popen[bytes]) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        while server.poll() is None:
            with suppress(OSError):
                client.connect(str(path))
                return
            time.sleep(0.005)
    pytest.fail("the server with a password did not start")


@pytest.fixture
def answering() -> Iterator[Callable[[Callable[[socket.socket], None]], int]]:
    """Serves one TCP connection after another as told; gives the port."""
    listeners: list[tuple[socket.socket, Thread]] = []

    def serve(answer: Callable[[socket.socket], None]) -> int:
        listener = socket.create_server(("127.0.0.1", 0))

        def loop() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    answer(connection)

        thread = Thread(target=loop)
        thread.start()
        listeners.append((listener, thread))
        return int(listener.getsockname()[1])

    yield serve
    for listener, thread in listeners:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def refusal(url: str, timeout_s: float = 4.0) -> str:
    """The line that a person reads when the service is not usable."""
    with pytest.raises(ServiceUnavailable) as caught:
        connect(url, timeout_s=timeout_s)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert message.startswith("--redis-url: Redis at ")
    assert PASSWORD not in message
    return message


def test_a_checked_client_serves_bytes_as_rq_wants_them(redis_url: str) -> None:
    with connect(redis_url) as client:
        client.set("key", "value")

        assert client.get("key") == b"value"


@pytest.mark.parametrize(
    "form", ["redis://:{p}@127.0.0.1:{port}/3", "unix://:{p}@{path}?db=3", "unix://{path}?db=3&password={p}"]
)
def test_password_and_database_number_are_taken_from_the_url(form: str, locked: LockedRedis) -> None:
    url = form.format(p=PASSWORD, port=locked.port, path=locked.socket)

    with connect(url) as client:
        assert client.client_info()["db"] == 3


def test_a_blocking_command_may_wait_longer_than_connecting(redis_url: str) -> None:
    with connect(redis_url, timeout_s=0.05) as client:
        assert client.blpop(["nothing here"], timeout=0.3) is None


def test_a_dead_peer_is_noticed_by_tcp(locked: LockedRedis) -> None:
    with connect(f"redis://:{PASSWORD}@127.0.0.1:{locked.port}") as client:
        client.ping()
        link = client.connection_pool.get_connection()
        try:
            assert link._sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        finally:
            client.connection_pool.release(link)


def test_a_command_whose_answer_was_lost_is_not_sent_again(answering: Callable[..., int]) -> None:
    heard: list[bytes] = []

    def take_pushes_and_hang_up(connection: socket.socket) -> None:
        while data := connection.recv(4096):
            heard.append(data)
            if b"RPUSH" in data:
                return
            connection.sendall(b"+PONG\r\n" if b"PING" in data else b"+OK\r\n" * data.count(b"*"))

    with (
        connect(f"redis://127.0.0.1:{answering(take_pushes_and_hang_up)}") as client,
        pytest.raises(RedisConnectionError),
    ):
        client.rpush("queue", "job")

    assert b"".join(heard).count(b"RPUSH") == 1


def test_a_closed_port_is_refused() -> None:
    port = free_port()

    assert refusal(f"redis://127.0.0.1:{port}/0") == (
        f"--redis-url: Redis at redis://127.0.0.1:{port}/0 cannot be reached (connection refused);"
        " start it, or check the URL; rediss:// is for TLS"
    )


def test_a_missing_socket_file_is_refused(tmp_path: Path) -> None:
    assert "cannot be reached (no such file or directory)" in refusal(f"unix://{tmp_path}/redis.sock")


def test_a_host_name_that_does_not_exist_is_refused() -> None:
    assert "cannot be reached (" in refusal("redis://no-such-host.invalid:6379")


def test_a_host_that_answers_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        message = refusal(f"redis://127.0.0.1:{listener.getsockname()[1]}", timeout_s=0.2)

    assert "did not answer within 0.2 s; check host, port and network" in message


def test_a_host_that_stalls_halfway_is_given_up_whatever_timeout_the_url_asks_for(
    answering: Callable[..., int],
) -> None:
    given_up = Event()

    def accept_the_password_and_stall(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"+OK\r\n")
        given_up.wait(30)

    url = f"redis://:{PASSWORD}@127.0.0.1:{answering(accept_the_password_and_stall)}/7?socket_timeout=60"
    message = refusal(url, timeout_s=0.05)

    given_up.set()
    assert "did not answer within 0.05 s" in message


def test_a_stalled_name_look_up_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    given_up = Event()

    def stall(*_: object, **__: object) -> None:
        given_up.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(socket, "getaddrinfo", stall)
    message = refusal("redis://stalled.invalid", timeout_s=0.05)

    given_up.set()
    assert "did not answer within 0.05 s" in message


def test_by_default_the_whole_check_takes_less_than_five_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        started_s = time.monotonic()
        refusal(f"redis://127.0.0.1:{listener.getsockname()[1]}")

    assert time.monotonic() - started_s < 5


@pytest.mark.parametrize("credentials", ["", ":wrong@", "joe:wrong@"])
def test_missing_and_wrong_credentials_are_refused_with_the_form_that_takes_them(
    credentials: str, locked: LockedRedis
) -> None:
    message = refusal(f"redis://{credentials}127.0.0.1:{locked.port}")

    assert "refused the credentials (" in message
    assert message.endswith("; give redis://user:password@host:6379/0")
    assert "wrong" not in message


def test_a_database_number_the_server_does_not_have_is_refused(locked: LockedRedis) -> None:
    message = refusal(f"redis://:{PASSWORD}@127.0.0.1:{locked.port}/99")

    assert "/99 answered with an error (DB index is out of range); check the database number" in message


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.6\r\n", b"220 mail\r\n"])
def test_a_server_that_is_no_redis_is_refused(greeting: bytes, answering: Callable[..., int]) -> None:
    def greet(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(greeting)

    assert "does not speak Redis; check the port" in refusal(f"redis://127.0.0.1:{answering(greet)}")


def test_a_server_that_hangs_up_is_refused(answering: Callable[..., int]) -> None:
    assert "cannot be reached (" in refusal(f"redis://127.0.0.1:{answering(lambda connection: None)}")


def test_a_redis_that_is_still_loading_is_named_as_such(answering: Callable[..., int]) -> None:
    def load(connection: socket.socket) -> None:
        while data := connection.recv(4096):
            connection.sendall(b"-LOADING Redis is loading the dataset in memory\r\n" * data.count(b"*"))

    assert "is still loading its data; try again in a while" in refusal(f"redis://127.0.0.1:{answering(load)}")


def test_tls_to_a_redis_without_it_is_refused(locked: LockedRedis) -> None:
    message = refusal(f"rediss://:{PASSWORD}@127.0.0.1:{locked.port}", timeout_s=0.1)

    assert "redis:// is without TLS" in message


def test_tls_to_something_else_is_refused(answering: Callable[..., int]) -> None:
    port = answering(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))

    assert "does not speak TLS; use redis:// instead of rediss://" in refusal(f"rediss://127.0.0.1:{port}")


def test_a_certificate_nobody_vouches_for_is_refused_with_the_option_that_helps(answering: Callable[..., int]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)

    def greet(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True):
            pass

    message = refusal(f"rediss://localhost:{answering(greet)}")

    assert "has a certificate that cannot be trusted (self" in message
    assert message.endswith("add ?ssl_ca_certs=FILE to the URL")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://127.0.0.1:6379", "is not a Redis URL"),
        ("127.0.0.1:6379", "is not a Redis URL"),
        ("", "is not a Redis URL"),
        ("redis://127.0.0.1:abc/0", "has no valid host and port"),
        ("redis://127.0.0.1:99999/0", "has no valid host and port"),
        ("redis://127.0.0.1:0/0", "has no valid host and port"),
        ("redis://[::1/0", "has no valid host and port"),
        ("redis://127.0.0.1:6379/first", "names no database by number ('first')"),
        ("redis://127.0.0.1:6379/1/2", "names no database by number ('1/2')"),
        ("redis://127.0.0.1:6379/0\nHELLO", "holds a line break or another control character"),
        ("redis://127.0.0.1:6379/0?speed=high", "has an unknown option in its query"),
        ("redis://127.0.0.1:6379/0?protocol=9", "is not a Redis URL (protocol must be either 2 or 3)"),
        ("redis://127.0.0.1:6379/?db=first", "is not a Redis URL (Invalid value for 'db' in connection URL)"),
        ("unix://redis.sock", "names no socket file (three slashes precede its path)"),
    ],
)
def test_a_url_that_means_nothing_is_refused_before_anything_is_connected(url: str, problem: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        connect(url, option="REDIS_URL")

    assert str(caught.value) == f"REDIS_URL: {url!r} {problem}; give redis://host:6379/0 or unix:///path/to.sock"


def test_a_password_with_a_slash_is_refused_without_showing_any_of_it() -> None:
    with pytest.raises(InvalidOption) as caught:
        connect("redis://:two/parts@127.0.0.1:6379/0")

    assert "two" not in str(caught.value)
    assert "parts" not in str(caught.value)


@settings(deadline=None)
@given(
    st.text(st.characters(exclude_characters="@."), max_size=30),
    st.sampled_from(["", "redis://", "rediss://", "unix://"]),
)
def test_any_text_is_refused_in_one_line(text: str, prefix: str) -> None:
    host = "127.0.0.1:1" if prefix.startswith("redis") else ""  # no other, so that no name is looked up

    with pytest.raises((InvalidOption, ServiceUnavailable)) as caught:
        connect(prefix + host + text, timeout_s=0.2)

    assert len(str(caught.value).splitlines()) == 1

"""Those who are told by Alertmanager, on the loopback: a mail server, and a server for Slack's and other webhooks."""

from __future__ import annotations

import base64
import json
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TOKEN = "a-token-that-only-the-receiver-knows"

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Mail:
    """A mail that was taken in.

    Attributes:
        login: User and password by which it was handed in; empty without.
        encrypted: Whether TLS had begun by then.
        message: The mail.
    """

    login: tuple[str, ...]
    encrypted: bool
    message: EmailMessage

    @property
    def text(self) -> str:
        """What its reader sees."""
        body = self.message.get_body(("plain",))
        assert body is not None
        return str(body.get_content())


@dataclass(frozen=True)
class Call:
    """A POST of JSON.

    Attributes:
        path: Where to.
        authorization: That header; empty without.
        content: The decoded body.
    """

    path: str
    authorization: str
    content: Any


@dataclass
class Told:
    """What arrived so far, and where.

    Attributes:
        smarthost: The mail server, ``host:port``.
        url: The HTTP server.
        certificate: What vouches for the mail server.
        mails: In order.
        calls: In order.
    """

    smarthost: str = ""
    url: str = ""
    certificate: Path = Path()
    mails: list[Mail] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    def at(self, path: str) -> list[Any]:
        """What was posted to a path."""
        return [call.content for call in list(self.calls) if call.path == path]


@dataclass(frozen=True)
class Notice:
    """One alert of a message that the receiver got.

    Attributes:
        at_s: When, seconds since the epoch.
        status: ``firing`` or ``resolved``.
        labels: The alert's.
        annotations: The alert's.
        authorization: The message's header.
    """

    at_s: float
    status: str
    labels: Labels
    annotations: Labels
    authorization: str


@dataclass
class Receiver:
    """What arrived so far.

    Attributes:
        url: Where to send.
        notices: In order.
    """

    url: str = ""
    notices: list[Notice] = field(default_factory=list)

    def of(self, alert: str, status: str, since_s: float = 0.0) -> list[Notice]:
        """The notices of an alert."""
        return [
            notice
            for notice in list(self.notices)
            if (notice.labels["alertname"], notice.status) == (alert, status) and notice.at_s >= since_s
        ]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver of webhooks on the loopback, until the block ends."""
    receiver = Receiver()

    def take(call: Call) -> None:
        at_s = time.time()
        receiver.notices += [
            Notice(at_s, alert["status"], alert["labels"], alert["annotations"], call.authorization)
            for alert in call.content["alerts"]
        ]

    with _serving(_posted_to(take)) as port:
        receiver.url = f"http://127.0.0.1:{port}/alerts"
        yield receiver


@contextmanager
def being_told(directory: Path) -> Iterator[Told]:
    """Both servers until the block ends; the mail server's certificate is put into the directory."""
    told = Told(certificate=_certify(directory))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(told.certificate, directory / "mail.key")

    class MailHandler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            _take_mail(self.request, context, told)

    class MailServer(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with _serving(MailServer(("127.0.0.1", 0), MailHandler)) as mail, _serving(_posted_to(told.calls.append)) as http:
        told.smarthost, told.url = f"127.0.0.1:{mail}", f"http://127.0.0.1:{http}"
        yield told


def _posted_to(take: Callable[[Call], None]) -> ThreadingHTTPServer:
    """A server that hands every POST to a function."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            take(Call(self.path, self.headers.get("Authorization", ""), content))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is printed."""

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@contextmanager
def _serving(server: socketserver.TCPServer) -> Iterator[int]:
    """Let a server work on a thread of its own until the block ends; gives its port."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _take_mail(channel: socket.socket, context: ssl.SSLContext, told: Told) -> None:
    """One session of SMTP (RFC 5321) with STARTTLS (RFC 3207) and, once that is done, AUTH PLAIN (RFC 4954)."""
    reader, encrypted, login = channel.makefile("rb"), False, tuple[str, ...]()

    def say(*lines: str) -> None:
        channel.sendall("".join(f"{line}\r\n" for line in lines).encode())

    say("220 mail")
    while words := reader.readline().decode().split():
        verb = words[0].upper()
        if verb == "EHLO":
            say("250-mail", "250 AUTH PLAIN" if encrypted else "250 STARTTLS")
        elif verb == "STARTTLS":
            say("220 go on")
            channel, encrypted = context.wrap_socket(channel, server_side=True), True
            reader = channel.makefile("rb")
        elif verb == "AUTH":
            login = tuple(base64.b64decode(words[2]).decode().split("\0")[1:])
            say("235 welcome")
        elif verb == "DATA":
            say("354 go on")
            lines = iter(reader.readline, b".\r\n")
            content = b"".join(line.removeprefix(b".") for line in lines)
            told.mails.append(Mail(login, encrypted, message_from_bytes(content, policy=policy.default)))
            say("250 taken")
        elif verb == "QUIT":
            say("221 bye")
        else:
            say("250 fine")
    channel.close()


def _certify(directory: Path) -> Path:
    """A certificate for 127.0.0.1 that vouches for itself."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"),
            *("-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(directory / "mail.key"), "-out", str(directory / "mail.pem")),
        ],
        check=True,
        capture_output=True,
    )
    return directory / "mail.pem"

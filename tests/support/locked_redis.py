"""A real Redis that speaks only TLS and lets in only one user, with the rights that the manual gives a worker."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from redis import Redis
from redis.exceptions import RedisError

from jobctl.adapters.processes import ProcessGroup

ROOT: Final = Path(__file__).resolve().parents[2]
MANUAL: Final = ROOT / "docs" / "howto" / "secure-redis.md"
#: Of servers that live for one test run.
PASSWORD: Final = "correct-horse"
ADMIN_PASSWORD: Final = "battery-staple"
_PATIENCE_S: Final = 10.0


@dataclass(frozen=True)
class LockedRedis:
    """A running server.

    Attributes:
        port: Its port; it speaks TLS there and listens nowhere else.
        ca: The file that vouches for it.
        log: What it says.
    """

    port: int
    ca: Path
    log: Path

    @property
    def url(self) -> str:
        """For the worker's user."""
        return f"rediss://jobctl:{PASSWORD}@localhost:{self.port}/0?ssl_ca_certs={self.ca}"

    def admin(self) -> Redis:
        """A client that may do everything."""
        return Redis.from_url(
            f"rediss://admin:{ADMIN_PASSWORD}@localhost:{self.port}/0?ssl_ca_certs={self.ca}", protocol=2
        )


def acl_rule() -> str:
    """The rights of a worker's user, as the manual prints them for ``users.acl``."""
    found = re.search(r"^user jobctl on >PASSWORD (.+)$", MANUAL.read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    return found[1]


@contextmanager
def locked_redis() -> Iterator[LockedRedis]:
    """Start one; its certificate is made for it and vouched for by an authority made for it."""
    subprocess.run([sys.executable, "scripts/tools.py", "redis"], cwd=ROOT, check=True)
    with ProcessGroup() as group:
        directory, port = group.directory, _free_port()
        _certify(directory)
        (directory / "users.acl").write_text(
            f"user default off\nuser admin on >{ADMIN_PASSWORD} ~* &* +@all\nuser jobctl on >{PASSWORD} {acl_rule()}\n"
        )
        words = [
            *("--bind", "127.0.0.1", "--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no"),
            *("--tls-cert-file", "server.pem", "--tls-key-file", "server.key", "--tls-ca-cert-file", "ca.pem"),
            *("--aclfile", str(directory / "users.acl"), "--dir", str(directory), "--save", ""),
        ]
        with (directory / "server.log").open("wb") as log:
            process = group.spawn(
                [str(ROOT / ".tools" / "bin" / "redis-server"), *words], cwd=directory, stdout=log, stderr=log
            )
        server = LockedRedis(port, directory / "ca.pem", directory / "server.log")
        _wait_until_it_answers(server, process)
        yield server


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _certify(directory: Path) -> None:
    """An authority, and a certificate for ``localhost`` that it vouches for."""
    common = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"]
    authority = ["-subj", "/CN=authority", "-addext", "basicConstraints=critical,CA:TRUE"]
    server = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-CA", "ca.pem", "-CAkey", "ca.key"]
    for name, words in (("ca", authority), ("server", [*server, "-addext", "basicConstraints=critical,CA:FALSE"])):
        files = ["-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "1"]
        subprocess.run([*common, *words, *files], cwd=directory, check=True, capture_output=True)


def _wait_until_it_answers(server: LockedRedis, process: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline_s and process.poll() is None:
        with suppress(RedisError), server.admin() as client:
            client.ping()
            return
        time.sleep(0.01)
    raise AssertionError(server.log.read_text())

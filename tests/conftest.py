"""Real services for every test that wants them. A machine without a Redis server fails; it does not skip."""

from __future__ import annotations

import gc
import logging
import os
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from redis import Redis

from jobctl.adapters import embedded_redis
from jobctl.adapters.embedded_redis import EmbeddedRedis
from jobctl.adapters.processes import ProcessGroup
from jobctl.adapters.redis_connection import connect
from jobctl.settings import STEP_SUMMARY

if TYPE_CHECKING:
    from support.databases import Pooler, Postgres

# The same examples in every run, and no clock on any of them: a busy machine is no bug.
settings.register_profile("jobctl", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("jobctl")


# No authority vouches for a server on the loopback; to read all of them costs each client and each worker 20 ms of CPU.
os.environ["SSL_CERT_DIR"] = os.devnull
os.environ.pop("SSL_CERT_FILE", None)


os.environ.pop(STEP_SUMMARY, None)  # the benches of tests belong in no summary of a run on GitHub


# Half of the time that collecting takes would go into looking for rubbish among thousands of tests, which are none.
gc.disable()


def pytest_collection_finish() -> None:
    """What the tests leave is looked through as usual; what was collected stays to the end, and is not."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that mostly wait take turns with those that mostly compute: no core is idle, and none is fought for."""
    paths = list(dict.fromkeys(item.path for item in items))
    waiting = [path for path in paths if "e2e" in path.parts]
    computing = [path for path in reversed(paths) if "e2e" not in path.parts]  # theory, the longest, first
    turn = {path: 2 * nth for nth, path in enumerate(waiting)}
    turn |= {path: 2 * nth + 1 for nth, path in enumerate(computing)}
    items.sort(key=lambda item: turn[item.path])


@pytest.fixture(autouse=True)
def _same_process() -> Iterator[None]:
    """What a command that a test runs in this process leaves behind: signal handlers, and how much is logged."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    level, disabled = logging.root.level, logging.root.manager.disable
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)
    logging.root.setLevel(level)
    logging.disable(disabled)
    for name, logger in logging.root.manager.loggerDict.items():
        if name.partition(".")[0] == "jobctl" and isinstance(logger, logging.Logger):
            logger.disabled, logger.propagate = False, True
            logger.setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def _server() -> Iterator[EmbeddedRedis]:
    """One embedded server for this test process."""
    with ProcessGroup() as group:
        yield embedded_redis.start(group)


@pytest.fixture
def redis_server(_server: EmbeddedRedis) -> EmbeddedRedis:
    """The same, and nothing in it: whichever test came before."""
    with connect(_server.url) as client:
        client.flushall()
    return _server


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis) -> str:
    """Where the server is."""
    return redis_server.url


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    """A client of the server, which is empty."""
    with connect(redis_url) as client:
        yield client


@pytest.fixture(scope="session")
def _databases() -> Iterator[tuple[Postgres, Pooler]]:
    """One Postgres and its PgBouncer for this test process."""
    from support.databases import serving_postgres  # psycopg only where a test wants it

    with serving_postgres() as servers:
        yield servers


@pytest.fixture
def postgres(_databases: tuple[Postgres, Pooler]) -> Postgres:
    """A Postgres whose tables are up to date and empty."""
    from jobctl.adapters.postgres import migrate

    server = _databases[0]
    migrate(server.dsn, timeout_s=10)
    server.rows("TRUNCATE jobctl_results")
    return server


@pytest.fixture
def pooler(_databases: tuple[Postgres, Pooler], postgres: Postgres) -> Pooler:
    """PgBouncer in transaction mode before the same."""
    return _databases[1]

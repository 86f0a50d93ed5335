"""Real services for every test that wants them. A machine without a Redis server fails; it does not skip."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings
from redis import Redis

from jobctl.adapters import embedded_redis
from jobctl.adapters.embedded_redis import EmbeddedRedis
from jobctl.adapters.processes import ProcessGroup
from jobctl.adapters.redis_connection import connect

# The same examples in every run, and no clock on each of them: a busy machine is no bug.
settings.register_profile("jobctl", deadline=None, derandomize=True)
settings.load_profile("jobctl")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[EmbeddedRedis]:
    """One embedded server for this test process."""
    with ProcessGroup() as group:
        yield embedded_redis.start(group)


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis) -> str:
    """Where the server is."""
    return redis_server.url


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    """A client of the server, which is empty."""
    with connect(redis_url) as client:
        client.flushall()
        yield client

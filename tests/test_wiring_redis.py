from __future__ import annotations

from pathlib import Path

import pytest

from jobctl import settings
from jobctl.adapters.processes import ProcessGroup
from jobctl.errors import ServiceUnavailable
from jobctl.wiring.redis import open_redis


def test_without_a_url_an_embedded_server_is_started_in_the_group(tmp_path: Path) -> None:
    with ProcessGroup() as group:
        connection, url = open_redis(settings.load({}, env={}, directory=tmp_path), group)

        assert url == f"unix://{group.directory}/redis.sock"
        with connection:
            assert connection.ping()

    assert not group.directory.exists()


def test_a_url_is_used_as_it_is(redis_url: str, tmp_path: Path) -> None:
    with ProcessGroup() as group:
        connection, url = open_redis(settings.load({"redis_url": redis_url}, env={}, directory=tmp_path), group)
        connection.close()

        assert url == redis_url
        assert list(group.directory.iterdir()) == []


@pytest.mark.parametrize("level", ["--redis-url", "REDIS_URL", "jobctl.toml"])
def test_an_unreachable_redis_is_blamed_on_the_place_that_named_it(level: str, tmp_path: Path) -> None:
    nowhere = f"unix://{tmp_path}/none.sock"
    if level == "jobctl.toml":
        (tmp_path / level).write_text(f'redis_url = "{nowhere}"\n')
    merged = settings.load(
        {"redis_url": nowhere if level == "--redis-url" else None},
        env={"REDIS_URL": nowhere} if level == "REDIS_URL" else {},
        directory=tmp_path,
    )

    with ProcessGroup() as group, pytest.raises(ServiceUnavailable, match=rf"^{level}: Redis at "):
        open_redis(merged, group)

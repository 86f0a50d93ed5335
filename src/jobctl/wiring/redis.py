"""The Redis that a command uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redis import Redis

    from jobctl.adapters.processes import ProcessGroup
    from jobctl.settings import Settings

__all__ = ["open_redis"]


def open_redis(settings: Settings, group: ProcessGroup | None, *, answer_s: float | None = None) -> tuple[Redis, str]:
    """The user's Redis, or an embedded one.

    Args:
        settings: Name the Redis, or none.
        group: The process group that an embedded server joins; it may be None where the settings name a Redis.
        answer_s: How long the connection waits for an answer, seconds; None for as long as it takes.

    Returns:
        A connection and the URL by which other processes reach the same server.

    Raises:
        InvalidOption: The URL means nothing.
        ServiceUnavailable: It does not answer, or no server could be started.
    """
    from jobctl.adapters import embedded_redis
    from jobctl.adapters.redis_connection import connect

    url = settings.redis_url
    if url is None:
        assert group is not None
        url = embedded_redis.start(group).url
    origin = settings.origins["redis_url"]
    return connect(url, option=origin.name or "--redis-url", answer_s=answer_s), url

"""Wiring of ``jobctl dead``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jobctl.errors import InvalidOption

if TYPE_CHECKING:
    from jobctl.ports import DeadSet
    from jobctl.settings import Settings

__all__ = ["open_dead_set"]

#: How long an answer of Redis may take, seconds.
_ANSWER_S: Final = 60.0


def open_dead_set(settings: Settings) -> DeadSet:
    """The dead jobs of the user's Redis.

    Raises:
        InvalidOption: None is named, or its URL means nothing.
        ServiceUnavailable: It does not answer.
    """
    from jobctl.adapters.redis_connection import connect
    from jobctl.adapters.redis_dead_set import RedisDeadSet

    if settings.redis_url is None:
        raise InvalidOption(
            "--redis-url", "is not given", "give the URL of the Redis that your workers listen to, or set REDIS_URL"
        )
    return RedisDeadSet(connect(settings.redis_url, option=settings.origins["redis_url"].name, answer_s=_ANSWER_S))

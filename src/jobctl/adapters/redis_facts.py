"""What a Redis says of itself: version, memory, persistence, time, and whether it takes writes. Nothing is changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from jobctl.adapters.redis_clock import ClockWatch
from jobctl.adapters.redis_connection import translated
from jobctl.core.clocks import ClockOffset
from jobctl.core.facts import RedisFacts

__all__ = ["read_redis"]

#: One section a command: before 7.0 Redis takes no second one.
_SECTIONS: Final = ("server", "memory", "persistence")
#: Commands that workers need and that change nothing: nobody has this key, and nobody hears this channel.
_HARMLESS: Final = (("DEL", "rq:jobctl:doctor"), ("EVAL", "return 0", 0), ("PUBLISH", "rq:pubsub:jobctl:doctor", ""))


def read_redis(connection: Redis, *, option: str = "--redis-url", now_s: Callable[[], float] = time.time) -> RedisFacts:
    """Ask a Redis about itself.

    Args:
        connection: Redis.
        option: The setting to name in an error.
        now_s: The clock of this machine, seconds since the epoch.

    Raises:
        ServiceUnavailable: It does not answer, or does not let this user ask.
    """
    with translated(option), connection.pipeline(transaction=False) as pipeline:
        for section in _SECTIONS:
            pipeline.info(section)
        info: dict[str, Any] = {}
        for answer in pipeline.execute():
            info |= answer
        refusal = _refusal(connection)
    told = str(info.get("redis_version", ""))
    major, minor = (int(part) if part.isdecimal() else 0 for part in f"{told}.0".split(".")[:2])
    return RedisFacts(
        product="Valkey" if "valkey_version" in info else "Redis",
        version=str(info.get("valkey_version", told)),
        compatible=(major, minor),
        policy=info.get("maxmemory_policy"),
        used_bytes=info.get("used_memory"),
        limit_bytes=int(info.get("maxmemory", 0)) or None,
        machine_bytes=int(info.get("total_system_memory", 0)) or None,
        refusal=refusal,
        log_enabled=None if "aof_enabled" not in info else bool(info["aof_enabled"]),
        log_sound=_went_well(info, "aof_last_write_status", "aof_last_bgrewrite_status"),
        snapshot_sound=_went_well(info, "rdb_last_bgsave_status"),
        log_sync=_configured(connection, "appendfsync"),
        snapshots=_configured(connection, "save"),
        clock=_clock(connection, now_s),
    )


def _went_well(info: Mapping[str, Any], *names: str) -> bool:
    return all(info.get(name, "ok") == "ok" for name in names)


def _refusal(connection: Redis) -> str:
    """Why a write is refused: by a replica, for want of a right, or because the disk cannot be written."""
    try:
        for command in _HARMLESS:
            connection.execute_command(*command)  # type: ignore[no-untyped-call]
    except ResponseError as error:
        return " ".join(str(error).split())
    return ""


def _configured(connection: Redis, name: str) -> str | None:
    """How it is configured; None where the server does not let one ask, as managed ones do not."""
    try:
        return connection.config_get(name).get(name)
    except RedisError:
        return None


def _clock(connection: Redis, now_s: Callable[[], float]) -> ClockOffset | None:
    try:
        return ClockWatch(connection, now_s).ask()
    except RedisError:
        return None

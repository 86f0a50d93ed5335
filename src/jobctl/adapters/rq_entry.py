"""How jobs enter their queues again without being unpickled: what the scheduler and the dead set share.

Their hashes are changed by Lua on the server (``lua/entry.lua``). Jobs with one of RQ's rate limits only join those
that wait for it there; RQ's own script then lets in as many as there is room for. Should that be missed, RQ's
maintenance catches up.
"""

# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import resources

from redis import Redis
from redis.commands.core import Script
from rq.rate_limit import RateLimitRegistry
from rq.utils import utcformat

__all__ = ["entry_script", "let_in", "now_text"]


def entry_script(connection: Redis, name: str) -> Script:
    """One of the scripts that build on ``entry.lua``."""
    folder = resources.files("jobctl.adapters") / "lua"
    text = "\n".join((folder / f"{part}.lua").read_text(encoding="utf-8") for part in ("entry", name))
    return connection.register_script(text)


def let_in(connection: Redis, limits: Sequence[bytes]) -> None:
    """Let jobs that wait for a rate limit into their queues, as far as there is room.

    Args:
        connection: Redis.
        limits: Key and concurrency in turn, as the scripts answer them.
    """
    for key, concurrency in zip(limits[::2], limits[1::2], strict=True):
        RateLimitRegistry(key.decode(), connection).acquire_and_enqueue(int(concurrency))


def now_text() -> str:
    """Now, as RQ writes instants."""
    return utcformat(datetime.now(UTC))

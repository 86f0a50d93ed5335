"""How jobs enter their queues without being unpickled: what the scheduler, the dead set and dependencies share.

Their hashes are changed by Lua on the server (``lua/entry.lua``). Jobs with one of RQ's rate limits only join those
that wait for it there; RQ's own script then lets in as many as there is room for. Should that be missed, RQ's
maintenance catches up.
"""

# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis import Redis
from rq.job import Job
from rq.rate_limit import RateLimitRegistry

from jobctl.adapters.redis_script import ServerScript

__all__ = ["entry_script", "free", "let_in"]


def entry_script(connection: Redis, name: str) -> ServerScript:
    """One of the scripts that build on ``entry.lua``."""
    return ServerScript(connection, "entry", name)


def let_in(connection: Redis, limits: Sequence[bytes]) -> None:
    """Let jobs that wait for a rate limit into their queues, as far as there is room.

    Args:
        connection: Redis.
        limits: Key and concurrency in turn, as the scripts answer them.
    """
    for key, concurrency in zip(limits[::2], limits[1::2], strict=True):
        RateLimitRegistry(key.decode(), connection).acquire_and_enqueue(int(concurrency))


def free(connection: Redis, job_ids: Sequence[str]) -> None:
    """Free the rate limits of dead jobs, and let others in, as far as there is room."""
    for job_id in job_ids:
        key: Any = connection.hget(Job.key_for(job_id), "rate_limit_key")
        if key:
            RateLimitRegistry(key.decode(), connection).release_stale_and_enqueue(job_id)

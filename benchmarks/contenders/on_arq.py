"""arq, polling every 10 ms, on uvloop: ``on_arq.py fill JOB COUNT``, ``on_arq.py work SLOTS``."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import jobs
import uvloop
from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker, func

REDIS = RedisSettings(unix_socket_path=os.environ["BENCH_REDIS"])


async def fill(job: str, count: int) -> None:
    redis = await create_pool(REDIS)
    for begin in range(0, count, 50):
        await asyncio.gather(*(redis.enqueue_job(job) for _ in range(begin, min(begin + 50, count))))
    await redis.aclose()


async def empty(context: dict[str, Any]) -> int:
    return await jobs.empty_async()


async def call(context: dict[str, Any]) -> int:
    return await jobs.call_async()


async def sleep(context: dict[str, Any]) -> int:
    return await jobs.sleep_async()


async def work(slots: int) -> None:
    functions = [func(job, name=job.__name__) for job in (empty, call, sleep)]
    await Worker(functions, redis_settings=REDIS, max_jobs=slots, poll_delay=0.01, handle_signals=False).async_run()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["fill", job, count]:
            uvloop.run(fill(job, int(count)))
        case ["work", slots]:
            uvloop.run(work(int(slots)))

"""The jobs of ``benchmarks/workers.py``, the same for every worker.

Each writes the instant at which it ends to a file, eight bytes at a time: the one measure of completions that does not
depend on what a worker keeps in Redis, costs it nothing there, and is about a microsecond of the job's own time.
"""

from __future__ import annotations

import asyncio
import os
import struct
import threading
import time
from typing import Any

ADDRESS = os.environ.get("BENCH_URL", "")
_NOTES = os.open(os.environ["BENCH_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
_mine = threading.local()
_idle: list[Any] = []


def _ended() -> int:
    os.write(_NOTES, struct.pack("<q", time.monotonic_ns()))
    return 1


def empty() -> int:
    """Nothing."""
    return _ended()


def call() -> int:
    """An HTTP call, on the thread's own client."""
    client = getattr(_mine, "client", None)
    if client is None:
        import httpx

        client = _mine.client = httpx.Client(timeout=30, verify=False)
    client.get(ADDRESS).raise_for_status()
    return _ended()


def sleep() -> int:
    """One second of sleep."""
    time.sleep(1.0)
    return _ended()


async def empty_async() -> int:
    """Nothing."""
    return _ended()


async def call_async() -> int:
    """An HTTP call, on a client that no other call in flight has."""
    import httpx

    client = _idle.pop() if _idle else httpx.AsyncClient(timeout=30, verify=False)
    (await client.get(ADDRESS)).raise_for_status()
    _idle.append(client)
    return _ended()


async def sleep_async() -> int:
    """One second of sleep."""
    await asyncio.sleep(1.0)
    return _ended()

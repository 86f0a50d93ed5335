"""Jobs whose beginnings and ends are kept in a file that outlives every server and every worker.

Each line of the *journal* is one word (see :class:`support.chaos.Entry`), the job's id, the worker's process and the
monotonic instant, which all processes of a machine share. A line is written in one step, so none is ever torn.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from functools import cache
from typing import Any

from rq import get_current_job

from jobctl.adapters.openrouter import OpenRouterClient
from jobctl.core.retrying import RetryPolicy


def note(journal: str, word: str, name: str) -> None:
    """Add a line to the journal."""
    line = f"{word} {name} {os.getpid()} {time.monotonic():.6f}\n".encode()
    file = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, line)
    finally:
        os.close(file)


def sleep(journal: str, name: str, seconds: float) -> str:
    """A plain function that takes so long."""
    note(journal, "begin", name)
    time.sleep(seconds)
    note(journal, "end", name)
    return f"{name} slept"


async def sleep_on_the_loop(journal: str, name: str, seconds: float) -> str:
    """A coroutine that takes so long."""
    note(journal, "begin", name)
    await asyncio.sleep(seconds)
    note(journal, "end", name)
    return f"{name} slept"


def tell_process(journal: str, name: str, seconds: float) -> int:
    """Takes so long and returns the process it ran in."""
    sleep(journal, name, seconds)
    return os.getpid()


def kill_the_worker(journal: str, name: str) -> None:
    """Poison: it takes the worker with it, as one does that needs more memory than there is."""
    note(journal, "begin", name)
    os.kill(os.getpid(), signal.SIGKILL)


def call(journal: str, name: str, url: str, seconds: float) -> dict[str, Any]:
    """A call of OpenRouter, and so many seconds of other work. Every refusal is the worker's to retry."""
    note(journal, "begin", name)
    try:
        answer = _client(url).chat(messages=[{"role": "user", "content": name}], model="openai/gpt-4o-mini")
        time.sleep(seconds)
    except Exception:
        note(journal, "fail", name)
        raise
    note(journal, "end", name)
    return {"name": name, "tokens": answer["completion_tokens"], "process": os.getpid()}


@cache
def _client(url: str) -> OpenRouterClient:
    return OpenRouterClient(url, "sk-or-v1-test", timeout_s=20, policy=RetryPolicy(attempts=1))


def rest(seconds: float) -> float:
    """Takes so long, and leaves no line."""
    time.sleep(seconds)
    return seconds


async def rest_on_the_loop(seconds: float) -> float:
    """The same as a coroutine."""
    await asyncio.sleep(seconds)
    return seconds


def fail_first(seconds: float) -> float:
    """Takes so long, and succeeds when it is tried again."""
    time.sleep(seconds)
    job = get_current_job()
    assert job is not None
    attempt = job.connection.hget(job.key, "jobctl_attempts")
    if attempt == b"1":
        raise ConnectionError("at first")
    return seconds

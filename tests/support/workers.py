"""Workers in the test's own process, and the jobs they run. Jobs are functions of this module, found by their path."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis import Redis
from rq import get_current_job
from rq.utils import now

from jobctl.adapters.rq_worker import Worker
from jobctl.errors import Postponed

PATIENCE_S = 15.0

#: What jobs saw.
seen: list[Any] = []
release = threading.Event()


def forget() -> Iterator[None]:
    """For a fixture: nothing left of another test, neither what its jobs saw nor the worker's signal handlers."""
    seen.clear()
    release.clear()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    release.set()
    for number, handler in handlers.items():
        signal.signal(number, handler)


def burst(redis: Redis, queues: str = "q", *, concurrency: int = 4, **options: Any) -> Worker:
    """Work until the queues are empty; the worker that did."""
    worker = Worker(queues.split(","), connection=redis, concurrency=concurrency, **options)
    worker.work(burst=True, logging_level="CRITICAL", with_scheduler=False)
    return worker


@contextmanager
def working(
    redis: Redis, queues: str = "q", *, concurrency: int = 4, with_scheduler: bool = True, **options: Any
) -> Iterator[Worker]:
    """A worker on a thread, until the block ends."""
    worker = Worker(queues.split(","), connection=redis, concurrency=concurrency, **options)
    thread = threading.Thread(target=lambda: worker.work(logging_level="CRITICAL", with_scheduler=with_scheduler))
    thread.start()
    try:
        yield worker
    finally:
        stop(worker)
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def stop(worker: Worker) -> None:
    """What a first signal does."""
    worker._shutdown_requested_date = now()
    worker._shutdown()


# ----------------------------------------------------------------------------------------------------------------- jobs


def add(a: int, b: int) -> int:
    return a + b


def note(what: Any) -> None:
    seen.append(what)


def fail(message: str = "nothing there") -> None:
    raise LookupError(message)


def fail_times(times: int) -> str:
    """Fails so often, and notes when it began."""
    seen.append(time.time())
    if len(seen) <= times:
        raise LookupError("not yet")
    return "done"


def wait_for_release(name: str = "began") -> str:
    seen.append(name)
    release.wait(PATIENCE_S)
    return "released"


def postpone(times: int, delay_s: float = 0.0) -> list[str]:
    """Comes back so often, each time with what it holds; then returns what it held."""
    from jobctl.adapters.permits import permitted

    held = permitted.get()
    assert held is not None
    seen.append(held.take())
    if len(seen) <= times:
        raise Postponed(delay_s, "limit", permits=f"place {len(seen)}")
    return [str(text) for text in seen]


def look_at_itself(key: str) -> Any:
    job = get_current_job()
    assert job is not None
    return job.meta.get(key)


def save_meta(key: str, value: str) -> str:
    job = get_current_job()
    assert job is not None
    job.meta[key] = value
    job.save_meta()
    return value


def name_its_thread(name: str) -> str:
    seen.append((name, threading.current_thread().name))
    return threading.current_thread().name


async def double_later(number: int) -> int:
    return 2 * number

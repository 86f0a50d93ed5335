"""Slots: threads that run one job each, and one event loop that all coroutine jobs share.

A slot's thread runs a job and writes its outcome. A coroutine job's body runs on the shared loop while its slot's
thread waits for it, so that everything that talks to Redis stays off the loop. Threads are started when first needed
and are daemons: one that is stuck in a C call must not keep the process alive.

What a job leaves behind: each job runs in a context of its own, so context variables do not pass from job to job.
Tasks that a coroutine job started and did not await go on, because the loop outlives the job: a shared client's own
background tasks may be among them. ``threading.local`` values stay on their thread. RQ's forks forget all three.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import Context, copy_context
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

__all__ = ["CoroutineLoop", "Slots"]

Job = TypeVar("Job")


class Slots(Generic[Job]):
    """Threads that run one job each.

    Args:
        count: How many jobs may run at once.
        run: Runs a job on a slot; must not raise.
    """

    def __init__(self, count: int, run: Callable[[Job], None]) -> None:
        self.count = count
        self._run = run
        self._work: SimpleQueue[Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._stuck = 0

    @property
    def stuck(self) -> int:
        """Slots whose job was given up and whose thread has not come back."""
        return self._stuck

    def submit(self, job: Job, busy: int) -> None:
        """Run a job on a slot; called from one thread only.

        Args:
            job: Passed to ``run``.
            busy: How many slots are in use with this one.
        """
        self._work.put(job)
        if busy > self._threads:
            self._threads += 1
            threading.Thread(target=self._serve, args=(self._work,), name=f"slot-{self._threads}", daemon=True).start()

    def mark_stuck(self, change: int) -> None:
        """Count a slot as stuck (+1), or as come back (-1)."""
        with self._lock:
            self._stuck += change

    def close(self) -> None:
        """Let idle threads end, and those that come back later; slots may be used again, on new threads."""
        for _ in range(self._threads):
            self._work.put(None)
        self._work, self._threads = SimpleQueue(), 0

    def _serve(self, work: SimpleQueue[Job | None]) -> None:
        run = self._run
        while (job := work.get()) is not None:
            Context().run(run, job)


class CoroutineLoop:
    """One event loop on a thread of its own, started with the first coroutine.

    Args:
        threads: How many ``asyncio.to_thread`` calls and name look-ups may run at once; asyncio's few when None.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = threading.Event()

    def run(self, coroutine: Coroutine[Any, Any, Any], on_start: Callable[[Callable[[], None]], None]) -> Any:
        """Run a coroutine on the loop, in a copy of this thread's context, and wait for it.

        Args:
            coroutine: What to run.
            on_start: Takes, on this thread and before the coroutine begins, a function that cancels it from any thread.

        Returns:
            What it returned; what it raised is raised, ``asyncio.CancelledError`` when it was cancelled.
        """
        loop = self._started()
        outcome: Future[Any] = Future()
        tasks: list[asyncio.Task[Any]] = []
        cancelled = threading.Event()

        def start() -> None:
            task = loop.create_task(coroutine)
            task.add_done_callback(lambda done: _copy_outcome(done, outcome))
            tasks.append(task)
            if cancelled.is_set():
                task.cancel()

        def cancel() -> None:
            cancelled.set()
            with suppress(RuntimeError):  # the loop is closed, and with it the task
                loop.call_soon_threadsafe(lambda: [task.cancel() for task in tasks if not task.cancelling()])

        on_start(cancel)
        loop.call_soon_threadsafe(start, context=copy_context())
        return outcome.result()

    def close(self) -> None:
        """Stop the loop once it has nothing to do at the moment; another one is started when needed again."""
        with self._lock:
            loop, self._loop = self._loop, None
            self._closed.set()
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop, self._closed = asyncio.new_event_loop(), threading.Event()
                self._loop.set_default_executor(ThreadPoolExecutor(self._threads, "to-thread"))
                work = (self._loop, self._closed)
                threading.Thread(target=_serve_loop, args=work, name="coroutines", daemon=True).start()
            return self._loop


def _serve_loop(loop: asyncio.AbstractEventLoop, closed: threading.Event) -> None:
    """Run a loop until it is closed, then end what jobs left behind, as ``asyncio.run`` does.

    A job that stops the loop, or leaves it by ``sys.exit``, which asyncio lets out of it, ends nobody but itself.
    """
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.get_loop()
        while not closed.is_set():
            with suppress(SystemExit, KeyboardInterrupt):
                loop.run_forever()


def _copy_outcome(done: asyncio.Task[Any], outcome: Future[Any]) -> None:
    if done.cancelled():
        outcome.set_exception(asyncio.CancelledError())
    elif (error := done.exception()) is not None:
        outcome.set_exception(error)
    else:
        outcome.set_result(done.result())

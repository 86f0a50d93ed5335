"""RQ's scheduler on a thread: delayed jobs, retries and repeats enter their queues when their time comes.

RQ forks a process for it. That child would outlive a worker that is killed, and a fork of a process with threads is
unsafe. Locks, registries and the scheduler's own entry in Redis are RQ's.
"""

# mypy: allow-untyped-calls
# RQ is typed in part only, and what a subclass inherits from it counts as its own.

from __future__ import annotations

import threading
from types import FrameType
from typing import Any

import redis.exceptions
from rq.scheduler import RQScheduler

__all__ = ["ThreadScheduler"]


class ThreadScheduler(RQScheduler):
    """A scheduler as a thread; arguments are RQ's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stopping = threading.Event()
        self._process: Any = None  # RQ's name for what runs it; it asks for nothing but is_alive()

    def start(self) -> threading.Thread:
        """Start the thread."""
        self._status = self.Status.STARTED
        self._stopping.clear()
        self._process = thread = threading.Thread(target=self.work, name="scheduler", daemon=True)
        thread.start()
        return thread

    def request_stop(self, signum: int | None = None, frame: FrameType | None = None) -> None:
        """Ask it to end."""
        self._stopping.set()

    def join(self) -> None:
        """Wait for its end, if it was started."""
        if self._process is not None:
            self._process.join()

    def work(self) -> None:
        """Enqueue what is due, once an interval, until told to stop; Redis may be away meanwhile."""
        born = False
        while True:
            try:
                if not born:
                    self.register_birth()
                    born = True
                if self.should_reacquire_locks:
                    self.acquire_locks()
                self.heartbeat()
                self.enqueue_scheduled_jobs()
            except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError) as error:
                self.log.warning("Scheduler: Redis cannot be reached (%s)", error)
            except Exception:
                self.log.exception("Scheduler: a round failed")
            if self._stopping.wait(self.interval):
                break
        try:
            self.stop()
        except redis.exceptions.RedisError as error:
            self.log.warning("Scheduler: its locks could not be released (%s)", error)
        self.connection.close()
        self._connection = None

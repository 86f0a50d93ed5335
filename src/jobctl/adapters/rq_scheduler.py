"""RQ's scheduler on a thread: delayed jobs, retries and repeats enter their queues when their time comes.

RQ forks a process for it. That child would outlive a worker that is killed, and a fork of a process with threads is
unsafe. Locks, registries and the scheduler's own entry in Redis are RQ's, so both may share a queue. What differs:

* scores may be fractions of a second, and are compared with the clock of Redis: a job is never early. One script moves
  all that are due, so no job is lost or doubled, whoever else schedules; nothing is unpickled;
* who holds a lock looks every 0.1 s, or sooner when a job is known to be due, so that is how late one may be;
* who holds none tries every second, and a lock lives for 15 s unless refreshed: RQ tries every 2 min, and its locks
  live for 61 s. After the death of a scheduler ours takes over within that time;
* Redis may be away: that is told once, and what was due fires when it is back.
"""

# mypy: allow-untyped-calls
# RQ is typed in part only, and what a subclass inherits from it counts as its own.

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime
from types import FrameType
from typing import Any, Final

from rq.defaults import RQ_KEY_PREFIX
from rq.scheduler import RQScheduler
from rq.scripts import acquire_or_refresh_lock

from jobctl.adapters.redis_script import ServerScript
from jobctl.adapters.rq_entry import entry_script, let_in
from jobctl.adapters.rq_time import rq_time

__all__ = ["ThreadScheduler"]

#: Most jobs of a queue in one script, which Redis serves nobody else during: some 10 ms.
_BATCH: Final = 500
#: Heartbeats in the life of a lock.
_BEATS: Final = 5
#: How long an answer may take, seconds, when the connection does not say: a network that is cut gives none.
_ANSWER_S: Final = 5.0


class ThreadScheduler(RQScheduler):
    """A scheduler as a thread.

    Args:
        *args: As for RQ's scheduler.
        lock_ttl_s: How long a lock lives after its last heartbeat, whole seconds: how long a takeover may take.
        acquire_s: Seconds between two tries to get the locks that others hold.
        poll_s: Seconds between two looks at what is due: how late a job may be.
        on_outage: Called with the error once Redis does not answer, instead of a line in the log; not again before it
            is back.
        on_recovery: Called once it is back, likewise.
        **kwargs: As for RQ's scheduler.
    """

    def __init__(
        self,
        *args: Any,
        lock_ttl_s: int = 15,
        acquire_s: float = 1.0,
        poll_s: float = 0.1,
        on_outage: Callable[[BaseException], None] | None = None,
        on_recovery: Callable[[], None] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._lock_ttl_s = lock_ttl_s
        self._acquire_s = acquire_s
        self._poll_s = poll_s
        self._on_outage = on_outage or self._log_outage
        self._on_recovery = on_recovery or self._log_recovery
        if self._pool_kwargs.get("socket_timeout") is None:
            self._pool_kwargs = {**self._pool_kwargs, "socket_timeout": _ANSWER_S}
        self._stopping = threading.Event()
        self._process: Any = None  # RQ's name for what runs it; it asks for nothing but is_alive()
        self._due: ServerScript | None = None
        self._tried_s = self._beat_s = -1e9  # monotonic instants of the last try and heartbeat

    def start(self) -> threading.Thread:
        """Start the thread, with or without locks: it takes over those that become free."""
        self._status = self.Status.STARTED
        self._stopping.clear()
        self._process = thread = threading.Thread(target=self.work, name="scheduler", daemon=True)
        thread.start()
        return thread

    def request_stop(self, signum: int | None = None, frame: FrameType | None = None) -> None:
        """Ask it to end."""
        self._stopping.set()

    def join(self, timeout_s: float | None = None) -> None:
        """Wait for its end, if it was started, for at most so many seconds."""
        if self._process is not None:
            self._process.join(timeout_s)

    @property
    def should_reacquire_locks(self) -> bool:
        """Whether a lock is missing, and the last try was long enough ago."""
        return self._acquired_locks != self._queue_names and time.monotonic() - self._tried_s >= self._acquire_s

    def acquire_locks(self, auto_start: bool = False) -> set[str]:
        """Get the locks that are free and refresh those that are held.

        Args:
            auto_start: Start the thread if it got one and does not run.

        Returns:
            The queues whose locks it holds.
        """
        outcomes = {
            name: acquire_or_refresh_lock(self.connection, self.get_locking_key(name), self.name, self._lock_ttl_s)
            for name in sorted(self._queue_names)
        }
        held = {name for name, outcome in outcomes.items() if outcome != "taken"}
        for name in held - self._acquired_locks:
            self.log.info("Scheduler %s: acquired the lock of %s", self.name, name)
        self._acquired_locks = held
        self._tried_s = time.monotonic()
        self.lock_acquisition_time = datetime.now()  # type: ignore[assignment]
        if held and auto_start and not (self._process and self._process.is_alive()):
            self.start()
        return held

    def heartbeat(self) -> None:
        """Show it alive, and refresh its locks; what another one has taken over is let go."""
        self.register_birth()
        if self._acquired_locks:
            had = self._acquired_locks
            lost = had - self.acquire_locks()
            if lost:
                self.log.warning("Scheduler %s: another one took over %s", self.name, ", ".join(sorted(lost)))
        self._beat_s = time.monotonic()

    def enqueue_scheduled_jobs(self) -> float | None:
        """Let what is due into the queues whose locks it holds.

        Returns:
            Seconds until the next job is due; None when none is scheduled.
        """
        if not self._acquired_locks:
            return None
        if self._due is None:
            self._due = entry_script(self.connection, "due")
        self._status = self.Status.WORKING
        more = True
        while more:
            words = [RQ_KEY_PREFIX, rq_time(time.time()), _BATCH, *sorted(self._acquired_locks)]
            _, more, next_s, *limits = self._due(words)
            let_in(self.connection, limits)
        self._status = self.Status.STARTED
        return float(next_s) if next_s else None

    def work(self) -> None:
        """Enqueue what is due until told to stop."""
        away = False
        while not self._stopping.is_set():
            try:
                wait_s = self._round()
            except Exception as error:  # whatever it is, delayed jobs must fire once it is over
                if not away:
                    self._on_outage(error)
                away = True
                wait_s = min(self._acquire_s, 0.5)
            else:
                if away:
                    self._on_recovery()
                away = False
            self._stopping.wait(wait_s)
        try:
            self.stop()
        except Exception as error:
            if not away:
                self.log.warning("Scheduler %s: its locks could not be released (%s)", self.name, error)
        self.connection.close()
        self._connection = self._due = None

    def _round(self) -> float:
        """One round; seconds until the next one."""
        if time.monotonic() - self._beat_s >= self._lock_ttl_s / _BEATS:
            self.heartbeat()
        if self.should_reacquire_locks:
            self.acquire_locks()
        next_s = self.enqueue_scheduled_jobs()
        if not self._acquired_locks:
            return self._acquire_s
        return self._poll_s if next_s is None else min(max(next_s, 0.001), self._poll_s)

    def _log_outage(self, error: BaseException) -> None:
        self.log.warning("Scheduler %s: cannot schedule (%s), trying on", self.name, error)

    def _log_recovery(self) -> None:
        self.log.warning("Scheduler %s: schedules again", self.name)

"""A job on a slot, and who may decide its outcome."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from rq import Queue
from rq.executions import Execution
from rq.job import Job

from jobctl.adapters.permits import Held
from jobctl.adapters.rq_codec import Call
from jobctl.adapters.rq_deadlines import Region
from jobctl.adapters.rq_desk import Begun
from jobctl.core.events import JobStarted

__all__ = ["Running"]


class Running:
    """A job on a slot.

    Args:
        begun: The job as the desk handed it out.
        queue: Its queue.
        worker_name: The worker's name in Redis.
        give_up: Called, on a thread of its own, when the job's thread does not come back after an interruption.

    Attributes:
        job: RQ's object for it.
        call: What it calls; None until that is known.
        permits: What it may hold for its calls.
        held: The same once its body may begin.
        loaded: Whether its body may have begun: what it calls is known and found.
        value: What it returned.
        stored: Whether that is in the store of results.
        kept: What it returned, packed, because storing it failed.
        started: What observers are told; None while nobody observes.
        region: The innermost open region, see ``rq_deadlines``.
        cancel_coroutine: Cancels the coroutine that runs for it; None while a plain function runs.
        wanted: An interruption that came while no region was open.
        stopping: Whether somebody asked to stop it.
        beat_s: When RQ's places last heard that it is alive, monotonic seconds.
    """

    def __init__(
        self, begun: Begun, queue: Queue, worker_name: str, give_up: Callable[[Running, BaseException], None]
    ) -> None:
        self.begun = begun
        self.queue = queue
        self.started_s = time.time()
        self.beat_s = time.monotonic()
        self.job: Job | None = None
        self.call: Call | None = None
        self.permits = ""
        self.held: Held | None = None
        self.loaded = False
        self.value: Any = None
        self.stored = False
        self.kept = b""
        self.started: JobStarted | None = None
        self.region: Region | None = None
        self.cancel_coroutine: Callable[[], None] | None = None
        self.wanted: BaseException | None = None
        self.stopping = False
        self._worker_name = worker_name
        self._give_up = give_up
        self._lock = threading.Lock()
        self._finaliser: int | None = None
        self._stuck = False
        self._left = False

    @cached_property
    def execution(self) -> Execution:
        """RQ's object for the execution."""
        place = self.begun.place
        execution = Execution(place.execution_id, place.job_id, self.queue.connection, self._worker_name)
        execution.created_at = execution.last_heartbeat = datetime.fromtimestamp(self.started_s, UTC)
        return execution

    @property
    def job_type(self) -> str:
        """The dotted path of its function; empty when it cannot be told."""
        return "" if self.call is None else self.call.job_type

    def claim(self) -> bool:
        """Become the thread that finalises, which may do so twice: RQ does when a success cannot be written."""
        with self._lock:
            if self._finaliser is None:
                self._finaliser = threading.get_ident()
            return self._finaliser == threading.get_ident()

    @property
    def claimed(self) -> bool:
        """Whether some thread finalises it."""
        return self._finaliser is not None

    def take_over(self) -> None:
        """Become the thread that finalises, because the one that had claimed it handed it over."""
        with self._lock:
            self._finaliser = threading.get_ident()
            self._left = False

    @property
    def stuck(self) -> bool:
        """Whether it was given up while its thread had not come back."""
        return self._stuck

    def become_stuck(self) -> bool:
        """Note that the slot is stuck; False when its thread is back already."""
        with self._lock:
            self._stuck = not self._left
            return self._stuck

    def leave(self) -> bool:
        """Note that the thread is done with the job; whether the slot counted as stuck."""
        with self._lock:
            self._left = True
            return self._stuck

    def abandoned(self, exception: BaseException) -> None:
        """The thread did not come back: give the job up, on a thread of its own because that talks to Redis."""
        threading.Thread(target=self._give_up, args=(self, exception), name="give-up", daemon=True).start()

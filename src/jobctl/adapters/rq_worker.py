"""An RQ worker with many jobs in flight in one process.

Theory of operation. ``BaseWorker.work()`` loops over "dequeue a job, execute it". Here *dequeue* returns only while a
slot is free, and *execute* hands the job to a slot and returns at once, so RQ's own loop (signals, suspension,
maintenance, burst, limits) drives N slots. On the slot RQ's own steps run one after the other: prepare, perform,
finalise; so callbacks, retries, dependencies, results and `rq info` are RQ's. Three roles, three kinds of threads:

* the main thread fetches, up to the number of free slots in one round trip;
* slot threads run jobs and write their outcomes; coroutine jobs share one event loop (see ``rq_slots``);
* one pulse thread sends all heartbeats.

Each execution is finalised by exactly one side: its slot, or, when a job cannot be interrupted at its timeout, a helper
that gives it up. Whoever claims it first does; a late result is discarded and the slot counts as *stuck* until its
thread comes back. With half the slots stuck the worker drains and exits with 1, to be restarted.

A signal only sets a flag: an exception in the middle of a Redis transaction could lose a job (rq issue 2175).
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import cache
from types import FrameType, TracebackType
from typing import Any, ClassVar, Final

import redis.exceptions
from redis.client import Pipeline
from rq import Queue
from rq.callbacks import execute_stopped_callback
from rq.command import handle_command, parse_payload
from rq.defaults import DEFAULT_LOGGING_DATE_FORMAT, DEFAULT_LOGGING_FORMAT
from rq.executions import Execution
from rq.job import Job
from rq.job_lifecycle import format_exc_info, record_job_failure
from rq.worker import BaseWorker, DequeueStrategy, WorkerStatus

from jobctl.adapters.rq_deadlines import Region, current, enter
from jobctl.adapters.rq_fetch import Fetcher, Taken
from jobctl.adapters.rq_slots import CoroutineLoop, Slots

__all__ = ["JobStopped", "Worker"]

#: Longest wait for a job of a single queue before the loop looks around, seconds: bounds how late a stop is seen.
_WAIT_S: Final = 0.5
#: The same with several queues: Redis can wait on one list only, so the others are looked at this often.
_WAIT_SEVERAL_S: Final = 0.05
#: Seconds between heartbeats; RQ's own entries live for at least sixty.
_PULSE_S: Final = 15.0
#: Seconds between two looks at whether workers are suspended.
_SUSPENSION_S: Final = 1.0
_LONGEST_RETRY_S: Final = 10.0

ExcInfo = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]


class JobStopped(Exception):
    """Raised inside a job that somebody stopped."""


class _Running:
    """A job on a slot."""

    def __init__(self, worker: Worker, job: Job, queue: Queue) -> None:
        self.worker = worker
        self.job = job
        self.queue = queue
        self.execution: Execution | None = None
        self.region: Region | None = None
        self.cancel_coroutine: Callable[[], None] | None = None
        self.stopping = False
        self.stuck = False
        self._lock = threading.Lock()
        self._finaliser: int | None = None

    def claim(self) -> bool:
        """Become the thread that finalises; RQ may finalise twice from one thread, as when a success cannot be written."""
        with self._lock:
            if self._finaliser is None:
                self._finaliser = threading.get_ident()
            return self._finaliser == threading.get_ident()

    def abandoned(self, exception: BaseException) -> None:
        """The thread did not come back: give the job up, on a thread of its own because that talks to Redis."""
        threading.Thread(target=self.worker.give_up, args=(self, exception), daemon=True).start()


class Worker(BaseWorker):
    """An RQ worker with up to ``concurrency`` executions in flight.

    Args:
        *args: As for RQ's BaseWorker.
        concurrency: Slots; the class's default when None.
        on_ready: Called once it listens.
        **kwargs: As for RQ's BaseWorker.
    """

    #: Slots of workers that are not told; settings fill it.
    default_concurrency: ClassVar[int] = 25
    death_penalty_class = Region
    log_result_lifespan = False

    def __init__(
        self, *args: Any, concurrency: int | None = None, on_ready: Callable[[], None] | None = None, **kwargs: Any
    ) -> None:
        self._stopped_here = threading.local()
        super().__init__(*args, **kwargs)
        self.concurrency = self.default_concurrency if concurrency is None else concurrency
        if self.concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, got {self.concurrency}")
        self._on_ready = on_ready
        self._slots = Slots(self.concurrency)
        self._coroutines = CoroutineLoop()
        self._fetcher = Fetcher(self.connection)
        self._ready: deque[tuple[Job, Queue]] = deque()
        self._running: dict[str, _Running] = {}
        self._pulse_stop = threading.Event()
        self._beat_at_s = self._suspension_at_s = -math.inf
        self._forced = False
        self._jobs_left: int | None = None

    # ------------------------------------------------------------------------------------------------------ lifecycle

    def work(self, *args: Any, max_jobs: int | None = None, **kwargs: Any) -> bool:
        """Work as RQ's ``work`` does, on all slots.

        Raises:
            SystemExit: With status 1, after a drain, when half the slots are stuck.
        """
        self._jobs_left = max_jobs
        worked = super().work(*args, max_jobs=max_jobs, **kwargs)
        if self.is_exhausted:
            self.log.error(
                "Worker %s: %d of %d slots are stuck, exiting to be restarted",
                self.name,
                self._slots.stuck,
                self.concurrency,
            )
            raise SystemExit(1)
        return worked

    @property
    def is_exhausted(self) -> bool:
        """Whether so many slots are stuck that only a restart helps: half of them."""
        return self._slots.stuck >= math.ceil(self.concurrency / 2)

    def bootstrap(
        self,
        logging_level: str | None = "INFO",
        date_format: str = DEFAULT_LOGGING_DATE_FORMAT,
        log_format: str = DEFAULT_LOGGING_FORMAT,
    ) -> None:
        """Register, start the pulse, and say so."""
        super().bootstrap(logging_level, date_format, log_format)
        threading.Thread(target=self._pulse, name="pulse", daemon=True).start()
        if self._on_ready is not None:
            self._on_ready()

    def teardown(self) -> None:
        """Stop, in an order that loses nothing.

        Jobs fetched and not begun go back first, so that other workers can have them while this one drains. Then the
        running ones end, still under heartbeats. Only then is the worker's death registered.
        """
        self._give_back_ready()
        while not self._forced and not self._slots.drained():
            self._slots.wait_fewer(self._slots.busy, timeout_s=_WAIT_S)
        self._pulse_stop.set()
        super().teardown()

    def unsubscribe(self) -> None:
        """Leave the command channel; the flag goes first, so that the farewell itself ends the listening thread."""
        if self.pubsub_thread:
            self.pubsub_thread.stop()
        super().unsubscribe()

    def _install_signal_handlers(self) -> None:
        if threading.current_thread() is threading.main_thread():
            super()._install_signal_handlers()

    def _shutdown(self) -> None:
        """Called by the signal handler: only set the flag."""
        self._stop_requested = True

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:
        """A second signal: do not wait for running jobs."""
        self._forced = True
        try:
            super().request_force_stop(signum, frame)
        except SystemExit:
            raise
        self._forced = False  # too soon after the first one: RQ took it for the same signal

    # --------------------------------------------------------------------------------------------------------- fetching

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """The next job, once a slot is free for it.

        Args:
            timeout: None in burst mode: return when the queues are empty and nothing runs that might add to them.
            max_idle_time: Return after this many idle seconds.

        Returns:
            A job and its queue; None when the worker should end.
        """
        idle_since_s = time.monotonic()
        retry_s = 0.1
        while not self._stop_requested and not self.is_exhausted:
            if not self._slots.free:
                self._slots.wait_change(_WAIT_S)
                continue
            if self._ready:
                return self._ready.popleft()
            try:
                if self.should_run_maintenance_tasks:
                    self.run_maintenance_tasks()
                self._fetch(may_wait=timeout is not None)
            except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError) as error:
                self.log.error(
                    "Worker %s: Redis cannot be reached (%s), trying again in %.1f s", self.name, error, retry_s
                )
                time.sleep(retry_s)
                retry_s = min(2 * retry_s, _LONGEST_RETRY_S)
                continue
            if self._ready:
                continue
            if self._slots.busy:
                idle_since_s = time.monotonic()
                if timeout is None:
                    self._slots.wait_fewer(self._slots.busy, timeout_s=_WAIT_S)
            elif timeout is None or (max_idle_time is not None and time.monotonic() - idle_since_s >= max_idle_time):
                return None
            else:
                self.set_state(WorkerStatus.IDLE)
        return None

    def _fetch(self, *, may_wait: bool) -> None:
        """Take up to as many jobs as slots are free; wait a little when there are none."""
        limit = self._slots.free if self._jobs_left is None else min(self._slots.free, self._jobs_left)
        in_turn = self._dequeue_strategy not in {None, DequeueStrategy.DEFAULT}
        taken = self._fetcher.take(self._ordered_queues, limit, in_turn=in_turn)
        if not taken and may_wait:
            several = len(self._ordered_queues) > 1
            one = self._fetcher.wait(self._ordered_queues[0], _WAIT_SEVERAL_S if several else _WAIT_S)
            taken = [] if one is None else [one]
        if taken:
            self._load(taken)
            self.reorder_queues(reference_queue=taken[-1][0])

    def _load(self, taken: list[Taken]) -> None:
        """Read the jobs behind the ids; what cannot be read is failed with the reason, what is gone is forgotten."""
        job_class = _slot_job_class(self.job_class)
        ids = [job_id for _, job_id in taken]
        try:
            jobs = job_class.fetch_many(ids, connection=self.connection, serializer=self.serializer)
        except redis.exceptions.RedisError:
            raise
        except Exception:  # one of them cannot be restored: find out which
            jobs = [self._restored(job_class, queue, job_id) for queue, job_id in taken]
        for (queue, job_id), job in zip(taken, jobs, strict=True):
            if job is None:
                self._fetcher.forget(queue, job_id, self.connection)
                continue
            job.redis_server_version = self.get_redis_server_version()
            self._ready.append((job, queue))
            if self._jobs_left is not None:
                self._jobs_left -= 1

    def _restored(self, job_class: type[Job], queue: Queue, job_id: str) -> Job | None:
        try:
            return job_class.fetch_many([job_id], connection=self.connection, serializer=self.serializer)[0]
        except Exception as error:
            self.log.exception("Worker %s: job %s cannot be read", self.name, job_id)
            broken = self.job_class(job_id, connection=self.connection, serializer=self.serializer)
            broken.origin = queue.name
            with self.connection.pipeline() as pipeline:
                record_job_failure(broken, format_exc_info((type(error), error, error.__traceback__)), pipeline)
                pipeline.execute()
            return None

    def _give_back_ready(self) -> None:
        if self._ready:
            self._fetcher.give_back([(queue, job.id) for job, queue in self._ready])
            self._ready.clear()

    # -------------------------------------------------------------------------------------------------------- executing

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Hand a job to a slot; returns at once."""
        self._slots.submit(lambda: self._run_on_slot(_Running(self, job, queue)))

    def prepare_job_execution(self, job: Job, remove_from_intermediate_queue: bool = False) -> None:
        """Book the start; every job came through the intermediate list, whatever the number of queues."""
        super().prepare_job_execution(job, remove_from_intermediate_queue=True)

    def procline(self, message: str) -> None:
        """Jobs run side by side, so a process title cannot name one."""

    def run_coroutine(self, coroutine: Any) -> Any:
        """Run a coroutine job's body on the shared loop, from its slot's thread."""
        running = current()
        assert isinstance(running, _Running)

        def on_start(cancel: Callable[[], None]) -> None:
            running.cancel_coroutine = cancel
            if running.stopping:
                cancel()

        try:
            return self._coroutines.run(coroutine, on_start)
        finally:
            running.cancel_coroutine = None

    def _run_on_slot(self, running: _Running) -> None:
        enter(running)
        try:
            running.execution = self.prepare_execution(running.job)
            self._running[running.execution.id] = running
            self.perform_job(running.job, running.queue, running.execution)
        finally:
            enter(None)
            if running.execution is not None:
                self._running.pop(running.execution.id, None)
            if running.stuck:
                self._slots.mark_stuck(-1)

    def _finalize_success(self, job: Job, queue: Queue, execution: Execution, return_value: Any) -> None:
        if self._claimed(execution):
            super()._finalize_success(job, queue, execution, return_value)

    def _finalize_failure(self, job: Job, queue: Queue, execution: Execution, exc_info: ExcInfo) -> None:
        if not self._claimed(execution):
            return
        running = self._running.get(execution.id)
        if running is not None and running.stopping:
            self._finalize_stopped(job, queue, execution)
        else:
            super()._finalize_failure(job, queue, execution, exc_info)

    def _finalize_stopped(self, job: Job, queue: Queue, execution: Execution) -> None:
        """Book a job that somebody stopped, as RQ's forking worker does."""
        self.handle_execution_ended(job, queue, job.stopped_callback_timeout)
        self.log.warning("Worker %s: job %s stopped by user", self.name, job.id)
        try:
            execute_stopped_callback(job, self.death_penalty_class)
        except Exception:
            self.log.exception("Worker %s: stopped callback for job %s raised", self.name, job.id)
        self._stopped_job_id = job.id
        self.handle_job_failure(job, queue=queue, exc_string="Job stopped by user.", execution=execution)

    def _claimed(self, execution: Execution) -> bool:
        running = self._running.get(execution.id)
        return running is None or running.claim()

    def give_up(self, running: _Running, exception: BaseException) -> None:
        """Fail a job whose thread did not come back, and count its slot as stuck.

        Args:
            running: The job.
            exception: What it was interrupted with.
        """
        execution = running.execution
        if execution is None or self._running.get(execution.id) is not running:
            return
        running.stuck = True
        self._slots.mark_stuck(+1)
        self.log.error("Worker %s: job %s did not stop when told to; its slot is stuck", self.name, running.job.id)
        self._finalize_failure(running.job, running.queue, execution, (type(exception), exception, None))

    # --------------------------------------------------------------------------------------------------------- commands

    @property
    def _stopped_job_id(self) -> str | None:
        """The job that the current thread finalises as stopped: RQ keeps one for its one job, we one for each slot."""
        return getattr(self._stopped_here, "job_id", None)

    @_stopped_job_id.setter
    def _stopped_job_id(self, job_id: str | None) -> None:
        self._stopped_here.job_id = job_id

    def handle_payload(self, message: dict[str, Any]) -> None:
        """Handle a command from outside, on the listening thread."""
        payload = parse_payload(message)
        match payload.get("command"):
            case "stop-job":
                self._stop(lambda running: running.job.id == payload.get("job_id"), payload.get("job_id"))
            case "stop-execution":
                self.request_stop_execution(str(payload.get("execution_id")))
            case _:
                handle_command(self, payload)

    def request_stop_execution(self, execution_id: str) -> None:
        """Stop one running execution."""
        self._stop(lambda running: running.execution is not None and running.execution.id == execution_id, execution_id)

    def _stop(self, wanted: Callable[[_Running], bool], name: str | None) -> None:
        chosen = [running for running in list(self._running.values()) if wanted(running)]
        if not chosen:
            self.log.warning("Worker %s: not running %s, command ignored", self.name, name)
        for running in chosen:
            running.stopping = True
            if running.region is not None:
                running.region.interrupt(JobStopped("Job stopped by user."))

    # ------------------------------------------------------------------------------------------------------- heartbeats

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Show the worker alive; RQ calls this many times a job, the server is told every few seconds."""
        if time.monotonic() - self._beat_at_s >= _PULSE_S / 3:
            self._beat_at_s = time.monotonic()
            super().heartbeat(None, pipeline)

    def set_state(self, state: str, pipeline: Pipeline | None = None) -> None:
        """Write the worker's state when it changes."""
        if state != self.get_state():
            super().set_state(state, pipeline)

    def check_for_suspension(self, burst: bool) -> None:
        """Look for `rq suspend` once a second rather than before each job."""
        if time.monotonic() - self._suspension_at_s >= _SUSPENSION_S:
            super().check_for_suspension(burst)
            self._suspension_at_s = time.monotonic()

    def _pulse(self) -> None:
        """Keep the worker and every running execution alive in Redis' eyes."""
        while not self._pulse_stop.wait(_PULSE_S):
            try:
                self.heartbeat()
                for running in list(self._running.values()):
                    if running.execution is not None and not running.stuck:
                        self.maintain_heartbeats(running.job, running.execution)
            except redis.exceptions.RedisError as error:
                self.log.warning("Worker %s: no heartbeat (%s)", self.name, error)


@cache
def _slot_job_class(job_class: type[Job]) -> type[Job]:
    """The job class with one thing changed: a coroutine runs on the worker's shared loop instead of one of its own."""

    def _execute(self: Job) -> Any:
        running = current()
        if not isinstance(running, _Running) or self.func is None:
            return job_class._execute(self)
        result = self.func(*self.args, **self.kwargs)
        return running.worker.run_coroutine(result) if asyncio.iscoroutine(result) else result

    names = {"__module__": job_class.__module__, "__qualname__": job_class.__qualname__, "_execute": _execute}
    return type(job_class.__name__, (job_class,), names)

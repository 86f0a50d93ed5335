"""An RQ worker with many jobs in flight in one process.

Theory of operation. ``BaseWorker.work()`` loops over "dequeue a job, execute it". Here *dequeue* returns only while a
slot is free, and *execute* hands the job to a slot and returns at once, so RQ's own loop (signals, suspension,
maintenance, burst, limits) drives N slots. Each job goes through RQ's own steps: prepare, perform, finalise; so
callbacks, retries, dependencies, results and `rq info` are RQ's. Kinds of threads:

* the main thread fetches, up to the number of free slots in one round trip, and books each start in one more;
* slot threads run jobs and book their outcomes; coroutine jobs share one event loop (see ``rq_slots``). While no slot
  is free, the round trip that books a plain success brings the slot's next job along, so that none waits for the main
  thread, which keeps watch over signals, suspension and maintenance meanwhile;
* one pulse thread sends all heartbeats; one, if wanted, is the scheduler; RQ's own hears commands.

Starts and plain successes are booked in one round trip each (see ``rq_books``); failures, retries, repeats, dependents
and results that are not kept go RQ's own way.

Each execution is finalised by exactly one side: its slot, or, when a job cannot be interrupted at its timeout, a helper
that gives it up. Whoever claims it first does; a late result is discarded and the slot counts as *stuck* until its
thread comes back. With half the slots stuck the worker drains and exits with 1, to be restarted.

A signal only sets a flag: an exception in the middle of a Redis transaction could lose a job (rq issue 2175). The first
one drains. The second one does not wait: jobs that still run go back to the front of their queues.
"""

# mypy: allow-untyped-calls
# RQ is typed in part only, and what a subclass inherits from it counts as its own.

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context
from functools import cache
from types import FrameType, TracebackType
from typing import Any, ClassVar, Final

import redis.exceptions
from redis.client import Pipeline
from rq import Queue
from rq.callbacks import execute_stopped_callback
from rq.command import handle_command, parse_payload
from rq.defaults import DEFAULT_FAILURE_TTL, DEFAULT_LOGGING_DATE_FORMAT, DEFAULT_LOGGING_FORMAT
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.job_lifecycle import format_exc_info
from rq.rate_limit import release_slot
from rq.registry import StartedJobRegistry
from rq.results import Result
from rq.utils import current_timestamp, now
from rq.worker import BaseWorker, DequeueStrategy, WorkerStatus

from jobctl.adapters.rq_books import Books
from jobctl.adapters.rq_deadlines import Region, current, enter
from jobctl.adapters.rq_fetch import Fetcher, Taken
from jobctl.adapters.rq_scheduler import ThreadScheduler
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
#: First and longest pause before Redis is tried again, seconds.
_FIRST_RETRY_S: Final = 0.1
_LONGEST_RETRY_S: Final = 10.0

ExcInfo = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]


class JobStopped(Exception):
    """Raised inside a job that somebody stopped."""


class _Running:
    """A job on a slot."""

    def __init__(self, worker: Worker, job: Job, queue: Queue, execution: Execution) -> None:
        self.worker = worker
        self.job = job
        self.queue = queue
        self.execution = execution
        self.region: Region | None = None
        self.cancel_coroutine: Callable[[], None] | None = None
        self.wanted: BaseException | None = None
        self.stopping = False
        self.next: Taken | None = None
        self._lock = threading.Lock()
        self._finaliser: int | None = None
        self._stuck = False
        self._left = False

    def claim(self) -> bool:
        """Become the thread that finalises, which may do so twice: RQ does when a success cannot be written."""
        with self._lock:
            if self._finaliser is None:
                self._finaliser = threading.get_ident()
            return self._finaliser == threading.get_ident()

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
        threading.Thread(target=self.worker.give_up, args=(self, exception), name="give-up", daemon=True).start()


class Worker(BaseWorker):
    """An RQ worker with up to ``concurrency`` executions in flight.

    Args:
        *args: As for RQ's BaseWorker.
        concurrency: Slots; the class's default when None.
        on_ready: Called once it listens.
        **kwargs: As for RQ's BaseWorker.

    Raises:
        ValueError: The concurrency is less than one, or RQ refuses another argument.
    """

    #: Slots of workers that are not told; settings fill it.
    default_concurrency: ClassVar[int] = 25
    death_penalty_class = Region

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
        self._fetcher = Fetcher(self.connection, self.job_class.key_for(""))
        self._books = Books(self.connection, self._fetcher.job_prefix)
        self._feeding = False
        self._unread: deque[Taken] = deque()
        self._ready: deque[tuple[Job, Queue]] = deque()
        self._running: dict[str, _Running] = {}
        self._pulse_stop = threading.Event()
        self._beat_at_s = self._suspension_at_s = -math.inf
        self._working = self._exhausted = self._forced = self._stopped_busy = False
        self._jobs_left: int | None = None

    # ------------------------------------------------------------------------------------------------------ lifecycle

    def work(
        self,
        burst: bool = False,
        logging_level: str | None = None,
        date_format: str = DEFAULT_LOGGING_DATE_FORMAT,
        log_format: str = DEFAULT_LOGGING_FORMAT,
        max_jobs: int | None = None,
        max_idle_time: int | None = None,
        with_scheduler: bool = False,
        dequeue_strategy: DequeueStrategy = DequeueStrategy.DEFAULT,
    ) -> bool:
        """Work as RQ's ``work`` does, on all slots.

        Returns:
            Whether any job was taken.

        Raises:
            SystemExit: With status 1, after a drain, when half the slots are stuck; without one when a second signal
                cut the drain short.
        """
        self._jobs_left = max_jobs
        self._exhausted = self._forced = self._stopped_busy = False
        self._working = True
        try:
            worked = super().work(
                burst, logging_level, date_format, log_format, max_jobs, max_idle_time, with_scheduler, dequeue_strategy
            )
        finally:
            self._working = False
        if self._exhausted:
            self.log.error("Worker %s: half of %d slots stuck, exiting to be restarted", self.name, self.concurrency)
            raise SystemExit(1)
        if self._forced:
            raise SystemExit
        return worked

    def bootstrap(
        self,
        logging_level: str | None = "INFO",
        date_format: str = DEFAULT_LOGGING_DATE_FORMAT,
        log_format: str = DEFAULT_LOGGING_FORMAT,
    ) -> None:
        """Register, start the pulse, and say so; a signal that comes right after that is heard already."""
        super().bootstrap(logging_level, date_format, log_format)
        self._install_signal_handlers()
        self._pulse_stop = threading.Event()
        threading.Thread(target=self._pulse, args=(self._pulse_stop,), name="pulse", daemon=True).start()
        if self._on_ready is not None:
            self._on_ready()

    def teardown(self) -> None:
        """Stop, in an order that loses nothing.

        Jobs fetched and not begun go back first, so that other workers can have them while this one drains. Then the
        running ones end, still under heartbeats; after a second signal they go back too. Only then is the worker's
        death registered.
        """
        self._feeding = False
        try:
            self._give_back_ready()
            if self._stopped_busy:
                self.set_shutdown_requested_date()
        except redis.exceptions.RedisError as error:
            self.log.warning("Worker %s: cannot tell Redis that it stops (%s)", self.name, error)
        while not self._forced and not self._slots.drained():
            self._slots.wait_fewer(self._slots.busy, timeout_s=_WAIT_S)
        if self._forced:
            self._give_back_running()
        if self._unread:  # a slot took them and could not begin them
            self._give_back_ready()
        if not self._stopped_busy:
            self._stop_requested = False  # as RQ has it: a worker that was stopped while idle may work again
        self._pulse_stop.set()
        self._slots.close()
        self._coroutines.close()
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
        """Called by the signal handler: only set flags."""
        self._stop_requested = True
        self._stopped_busy = self._slots.busy > 0

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:
        """A second signal: do not wait for running jobs. RQ takes one within a second for the first one, sent twice."""
        try:
            super().request_force_stop(signum, frame)
        except SystemExit:
            if not self._working:
                raise
            self._forced = True

    def _start_scheduler(
        self,
        burst: bool = False,
        logging_level: str | None = "INFO",
        date_format: str = DEFAULT_LOGGING_DATE_FORMAT,
        log_format: str = DEFAULT_LOGGING_FORMAT,
    ) -> None:
        """Start the scheduler on a thread, or, in a burst, enqueue what is due once."""
        self.scheduler = ThreadScheduler(
            self.queues,
            connection=self.connection,
            logging_level=self.log.level if logging_level is None else logging_level,
            date_format=date_format,
            log_format=log_format,
            serializer=self.serializer,
        )
        if not self.scheduler.acquire_locks():
            return
        if not burst:
            self.scheduler.start()
            return
        try:
            self.scheduler.register_birth()
            self.scheduler.enqueue_scheduled_jobs()
        finally:
            self.scheduler.release_locks()
            self.scheduler.register_death()

    def stop_scheduler(self) -> None:
        """End the scheduler and wait for it."""
        if isinstance(self.scheduler, ThreadScheduler):
            self.scheduler.request_stop()
            self.scheduler.join()

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
        retry_s = _FIRST_RETRY_S
        while not self._stop_requested and not self._is_exhausted():
            if self._ready and self._slots.free:
                return self._hand_out()
            try:
                self.heartbeat()
                if self.should_run_maintenance_tasks:
                    self.run_maintenance_tasks()
                self.check_for_suspension(burst=timeout is None)
                if not self._slots.free:
                    self._slots.wait_free(_WAIT_S)
                    continue
                idle = self._slots.drained()  # looked at first: a job may put another one into a queue as it ends
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
            if not idle:
                idle_since_s = time.monotonic()
                if timeout is None and not self._slots.drained():
                    self._slots.wait_fewer(self._slots.busy, timeout_s=_WAIT_S)
            elif timeout is None or (max_idle_time is not None and time.monotonic() - idle_since_s >= max_idle_time):
                return None
            else:
                self.set_state(WorkerStatus.IDLE)
        return None

    def _is_exhausted(self) -> bool:
        """Whether so many slots are, or were, stuck that only a restart helps: half of them."""
        self._exhausted = self._exhausted or 2 * self._slots.stuck >= self.concurrency
        return self._exhausted

    def _hand_out(self) -> tuple[Job, Queue]:
        job, queue = self._ready.popleft()
        self._announce(job, queue)
        return job, queue

    def _announce(self, job: Job, queue: Queue) -> None:
        if self.log_job_description:
            self.log.info("Worker %s: %s: %s (%s)", self.name, queue.name, job.description, job.id)
        else:
            self.log.info("Worker %s: %s: %s", self.name, queue.name, job.id)

    def _fetch(self, *, may_wait: bool) -> None:
        """Take up to as many jobs as slots are free; wait a little when there are none."""
        if not self._unread:
            limit = self._slots.free if self._jobs_left is None else min(self._slots.free, self._jobs_left)
            if self._dequeue_strategy == DequeueStrategy.RANDOM:
                limit = min(limit, 1)  # the order is drawn anew for each job
            in_turn = self._dequeue_strategy == DequeueStrategy.ROUND_ROBIN
            taken = self._fetcher.take(self._ordered_queues, limit, in_turn=in_turn)
            if not taken and may_wait:
                several = len(self._ordered_queues) > 1
                taken = self._fetcher.wait(self._ordered_queues[0], _WAIT_SEVERAL_S if several else _WAIT_S)
            self._unread.extend(taken)
        while self._unread:
            queue = self._unread[0].queue
            job = self._load(self._fetcher.read(self._unread[0]))
            self._unread.popleft()
            if job is not None:
                self._ready.append((job, queue))
                if self._jobs_left is not None:
                    self._jobs_left -= 1
            if not self._unread:
                self.reorder_queues(reference_queue=queue)

    def _load(self, taken: Taken) -> Job | None:
        """The job that was taken; what cannot be read is failed with the reason, what is gone is forgotten."""
        queue, job_id, fields = taken
        if not fields:
            self._fetcher.forget(queue, job_id, self.connection)
            return None
        job = _slot_job_class(self.job_class)(job_id, connection=self.connection, serializer=self.serializer)
        try:
            job.restore(fields)
        except Exception as error:
            self.log.exception("Worker %s: job %s cannot be read", self.name, job_id)
            self._fail_unreadable(queue, job_id, error)
            return None
        job.redis_server_version = self.get_redis_server_version()
        return job

    def _fail_unreadable(self, queue: Queue, job_id: str, error: Exception) -> None:
        """Fail a job with the reason; its fields stay as they are, for they cannot be written back unread."""
        job = self.job_class(job_id, connection=self.connection, serializer=self.serializer)
        reason = format_exc_info((type(error), error, error.__traceback__))
        with self.connection.pipeline() as pipeline:
            job.set_status(JobStatus.FAILED, pipeline)
            pipeline.zadd(queue.failed_job_registry.key, {job_id: current_timestamp() + DEFAULT_FAILURE_TTL})
            pipeline.expire(job.key, DEFAULT_FAILURE_TTL)
            Result.create_failure(job, DEFAULT_FAILURE_TTL, exc_string=reason, pipeline=pipeline)
            self._fetcher.forget(queue, job_id, pipeline)
            pipeline.execute()

    def _give_back_ready(self) -> None:
        back = [Taken(queue, job.id, None) for job, queue in self._ready] + list(self._unread)
        if back:
            self._fetcher.give_back(back)
            self._ready.clear()
            self._unread.clear()

    # -------------------------------------------------------------------------------------------------------- executing

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Book a job's start and hand it to a slot; returns at once."""
        self.set_state(WorkerStatus.BUSY)
        running = self._begin(job, queue)
        self._slots.submit(lambda: self._run_on_slot(running))

    def _begin(self, job: Job, queue: Queue) -> _Running:
        """What RQ does in ``prepare_execution`` and ``prepare_job_execution``, in one round trip."""
        with self.connection.pipeline() as pipeline:
            execution = Execution.create(job, self.get_heartbeat_ttl(job), pipeline, worker_name=self.name)
            job.prepare_for_execution(self.name, pipeline)
            pipeline.persist(job.key)
            self._fetcher.forget(queue, job.id, pipeline)
            self._books.write(pipeline)
        self.executions[execution.id] = execution
        self._running[execution.id] = running = _Running(self, job, queue, execution)
        return running

    def prepare_job_execution(self, job: Job, remove_from_intermediate_queue: bool = False) -> None:
        """Book the start, unless that was done when the job was handed to its slot."""
        if not isinstance(current(), _Running):
            super().prepare_job_execution(job, remove_from_intermediate_queue)

    def procline(self, message: str) -> None:
        """Jobs run side by side, so a process title cannot name one."""

    def run_coroutine(self, coroutine: Any) -> Any:
        """Run a coroutine job's body on the shared loop, from its slot's thread."""
        running = current()
        assert isinstance(running, _Running)

        def on_start(cancel: Callable[[], None]) -> None:
            running.cancel_coroutine = cancel

        try:
            return self._coroutines.run(coroutine, on_start)
        finally:
            running.cancel_coroutine = None

    def _run_on_slot(self, running: _Running | None) -> None:
        """Run a job, and those that come along, each in a context of its own."""
        while running is not None:
            Context().run(self._run, running)
            running = None if running.next is None else self._begin_next(running.next)

    def _run(self, running: _Running) -> None:
        enter(running)
        try:
            self.perform_job(running.job, running.queue, running.execution)
        finally:
            enter(None)
            self._running.pop(running.execution.id, None)
            if running.leave():
                self._slots.mark_stuck(-1)

    def _begin_next(self, taken: Taken) -> _Running | None:
        """Begin a job that came along; where Redis does not answer, the main thread tries again."""
        try:
            job = self._load(taken)
            if job is None:
                return None
            self._announce(job, taken.queue)
            return self._begin(job, taken.queue)
        except redis.exceptions.RedisError as error:
            self.log.error("Worker %s: job %s could not be begun (%s)", self.name, taken.job_id, error)
            self._unread.append(taken)
            return None

    def _feeding_queues(self, job: Job) -> list[Queue]:
        """Where a slot's next job may come from when this one's success is booked; nowhere: the main thread decides."""
        mine = self._feeding and not self._slots.free and not self._stop_requested and not self._exhausted
        return [] if not mine or job.webhooks or job.has_rate_limit else self._ordered_queues

    def give_up(self, running: _Running, exception: BaseException) -> None:
        """Fail a job whose thread did not come back, and count its slot as stuck.

        Args:
            running: The job.
            exception: What it was interrupted with.
        """
        if not running.claim():
            return
        if running.become_stuck():
            self._slots.mark_stuck(+1)
        self.log.error("Worker %s: job %s did not stop when told to; its slot is stuck", self.name, running.job.id)
        self._finalize_failure(running.job, running.queue, running.execution, (type(exception), exception, None))

    def _give_back_running(self) -> None:
        """Put what still runs back to the front of its queue, as if it had never begun."""
        for running in list(self._running.values()):
            if not running.claim():
                continue
            job = running.job
            self.log.warning("Worker %s: job %s goes back to its queue unfinished", self.name, job.id)
            try:
                with self.connection.pipeline() as pipeline:
                    self.cleanup_execution(job, pipeline=pipeline, execution=running.execution)
                    job.set_status(JobStatus.QUEUED, pipeline=pipeline)
                    pipeline.hdel(job.key, "started_at", "worker_name")
                    pipeline.lpush(running.queue.key, job.id)
                    pipeline.execute()
            except redis.exceptions.RedisError as error:
                self.log.error("Worker %s: job %s cannot be given back (%s)", self.name, job.id, error)

    # ------------------------------------------------------------------------------------------------------- finalising

    def handle_execution_ended(self, job: Job, queue: Queue, heartbeat_ttl: int) -> None:
        """Note the end; the heartbeat travels with the outcome, unless a callback runs before that."""
        if job._success_callback_name or job._failure_callback_name or job._stopped_callback_name:
            super().handle_execution_ended(job, queue, heartbeat_ttl)
        else:
            job.ended_at = job.last_heartbeat = now()

    def handle_job_success(
        self, job: Job, queue: Queue, started_job_registry: StartedJobRegistry, execution: Execution
    ) -> None:
        """Book a success in one round trip, or RQ's way where more hangs on it."""
        result_ttl = job.get_result_ttl(self.default_result_ttl)
        if result_ttl == 0 or job.repeats_left or not self._book_success(job, execution, result_ttl):
            super().handle_job_success(job, queue, started_job_registry, execution)
            return
        job._status = JobStatus.FINISHED
        release_slot(job)
        assert job.started_at is not None
        assert job.ended_at is not None
        shown = job.description if self.log_job_description else job.id
        self.log.info(
            "Successfully completed %s job in %ss on worker %s", shown, job.ended_at - job.started_at, self.name
        )

    def _book_success(self, job: Job, execution: Execution, result_ttl: int) -> bool:
        """Write what RQ writes for a success; False, and nothing written, when other jobs depend on this one."""
        assert job.started_at is not None
        assert job.ended_at is not None
        with self.connection.pipeline() as pipeline:
            self.increment_successful_job_count(pipeline)
            self.increment_total_working_time(job.ended_at - job.started_at, pipeline)
            job._handle_success(
                result_ttl,
                pipeline=pipeline,
                worker_name=self.name,
                execution_id=execution.id,
                execution_started_at=execution.created_at,
                execution_ended_at=job.ended_at,
            )
            job.cleanup(result_ttl, pipeline=pipeline, remove_from_queue=False)
            self.cleanup_execution(job, pipeline=pipeline, execution=execution)
            queues = self._feeding_queues(job)
            taken = self._books.write(pipeline, unless_exists=job.dependents_key, then_take=queues)
        running = self._running.get(execution.id)
        if taken and running is not None:
            (running.next,) = taken
        return taken is not None

    def _finalize_success(self, job: Job, queue: Queue, execution: Execution, return_value: Any) -> None:
        if self._claimed(execution):
            super()._finalize_success(job, queue, execution, return_value)

    def _finalize_failure(self, job: Job, queue: Queue, execution: Execution, exc_info: ExcInfo) -> None:
        if not self._claimed(execution):
            return
        running = self._running.get(execution.id)
        if running is not None and running.stopping:
            self.handle_execution_ended(job, queue, job.stopped_callback_timeout)
            self._stopped_job_id = job.id
            self._handle_stopped_job(job, queue, execution)
        else:
            super()._finalize_failure(job, queue, execution, exc_info)

    def _handle_stopped_job(self, job: Job, queue: Queue, execution: Execution) -> None:
        """Book a job that somebody stopped, as RQ's forking worker does."""
        self.log.warning("Worker %s: job %s stopped by user", self.name, job.id)
        try:
            execute_stopped_callback(job, self.death_penalty_class)
        except Exception:
            self.log.exception("Worker %s: stopped callback for job %s raised", self.name, job.id)
        self.handle_job_failure(job, queue=queue, exc_string="Job stopped by user.", execution=execution)

    def _claimed(self, execution: Execution) -> bool:
        """Whether this thread may finalise an execution; those that were not begun on a slot are its caller's."""
        running = self._running.get(execution.id)
        return running is None or running.claim()

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
        self._stop(lambda running: running.execution.id == execution_id, execution_id)

    def _stop(self, wanted: Callable[[_Running], bool], name: str | None) -> None:
        chosen = [running for running in list(self._running.values()) if wanted(running)]
        if not chosen:
            self.log.warning("Worker %s: not running %s, command ignored", self.name, name)
        for running in chosen:
            running.stopping = True
            running.wanted = stop = JobStopped("Job stopped by user.")
            if running.region is not None:
                running.region.interrupt(stop)

    # ------------------------------------------------------------------------------------------------------- heartbeats

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Show the worker alive. RQ calls this many times a job; without a timeout of its own that is throttled."""
        if timeout is not None or time.monotonic() - self._beat_at_s >= _PULSE_S / 3:
            self._beat_at_s = time.monotonic()
            super().heartbeat(timeout, pipeline)

    def set_state(self, state: str, pipeline: Pipeline | None = None) -> None:
        """Write the worker's state when it changes."""
        if state != self.get_state():
            super().set_state(state, pipeline)

    def check_for_suspension(self, burst: bool) -> None:
        """Look for `rq suspend` once a second rather than before each job; jobs in hand run first."""
        if not self._ready and time.monotonic() - self._suspension_at_s >= _SUSPENSION_S:
            self._feeding = False
            super().check_for_suspension(burst)
            self._suspension_at_s = time.monotonic()
            in_order = self._dequeue_strategy in {None, DequeueStrategy.DEFAULT}
            self._feeding = self._working and in_order and self._jobs_left is None and self.concurrency > 1

    def _pulse(self, stop: threading.Event) -> None:
        """Keep the worker and every running execution alive in Redis' eyes."""
        while not stop.wait(_PULSE_S):
            try:
                self.heartbeat()
                for running in list(self._running.values()):
                    if not running.stuck:
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

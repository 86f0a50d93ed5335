"""A worker's slots at work: how a job runs, and by whose code its end is written.

A *plain* job calls a function and keeps its result. It runs here and its success is left to the desk, so that the slot
talks to Redis only when something is out of the ordinary. A job that uses more of RQ (callbacks, dependents, repeats,
groups, webhooks, rate limits), or that has looked at itself, ends by RQ's own code on its slot. So does every failure,
for failures are rare and have many fates: RQ's own retries, the policy of the job's type, or the dead set, which is
RQ's registry of failed jobs. Where somebody replaced a step of RQ's that this leaves out, all jobs go RQ's own way.

Who owns an execution: its slot, until it is over or given up at its timeout, whoever claims it first; and towards other
workers whoever takes it off the books. A late result is discarded, and while a thread does not come back its slot
counts as *stuck*.
"""

# mypy: allow-untyped-calls
# RQ is typed in part only, and what a subclass inherits from it counts as its own.

from __future__ import annotations

import asyncio
import copy
import logging
import random
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from queue import SimpleQueue
from types import TracebackType
from typing import Any, ClassVar, Final, cast

from redis import Redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.exceptions import RedisError
from redis.retry import Retry as RedisRetry
from rq import Queue
from rq.callbacks import execute_failure_callback, execute_stopped_callback
from rq.defaults import RQ_KEY_PREFIX
from rq.executions import Execution
from rq.job import Job, JobStatus, Retry, _current_job
from rq.job_lifecycle import call_exception_handlers, format_exc_info
from rq.results import Result
from rq.timeouts import JobTimeoutException
from rq.utils import current_timestamp, ensure_job_list
from rq.worker import BaseWorker, WorkerStatus

from jobctl.adapters.announcer import Announcer
from jobctl.adapters.outage import Outage, is_away
from jobctl.adapters.permits import hold
from jobctl.adapters.rq_codec import resolve_call
from jobctl.adapters.rq_deadlines import Region, current, enter
from jobctl.adapters.rq_desk import DEAD_TTL_S, ENDED_KEY, Begun, Desk, Ended
from jobctl.adapters.rq_entry import entry_script, free, let_in
from jobctl.adapters.rq_gates import Gate, Gates
from jobctl.adapters.rq_jobs import is_untouched, once_only, run_coroutine
from jobctl.adapters.rq_pulse import silence_s
from jobctl.adapters.rq_reading import Reader, resolve_serializer
from jobctl.adapters.rq_running import Running
from jobctl.adapters.rq_slots import CoroutineLoop, Slots
from jobctl.adapters.rq_time import rq_time
from jobctl.adapters.sparing_log import SparingLog
from jobctl.core.allowing import EVERYTHING, Allowlist
from jobctl.core.events import JobOutcome
from jobctl.core.retrying import Dead, RetryPolicies, decide, examine
from jobctl.core.retrying import Retry as Again
from jobctl.errors import JobRefused, Postponed, ServiceUnavailable
from jobctl.ports import ResultStore, WorkerObserver

__all__ = ["ANSWER_S", "BEAT_S", "PerformingWorker"]

#: Longest wait for an answer of Redis, seconds: a network that swallows packets must be noticed.
ANSWER_S: Final = 8.0
#: Whole seconds between heartbeats in RQ's own places; what is there lives for sixty seconds more.
BEAT_S: Final = 15
#: How long a job waits whose result could not be stored, seconds, between these.
_STORE_AGAIN_S: Final = (2.0, 10.0)
#: What a job keeps from attempt to attempt, and not from one repeat to the next.
_OF_ONE_RUN: Final = ("jobctl_attempts", "jobctl_abandoned", "jobctl_suspect", "jobctl_reason", "jobctl_failed_s")
#: Connections that are for each slot, opened when needed.
_CONNECTIONS: Final = 8
#: Most dependents of a queue that enter in one script, which Redis serves nobody else during: some 10 ms.
_BATCH: Final = 500
#: How long a job may run that does not say, seconds.
_DEFAULT_TIMEOUT_S: Final = Queue.DEFAULT_TIMEOUT

ExcInfo = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]


class PerformingWorker(BaseWorker):
    """The half of the worker that runs jobs; see :class:`jobctl.adapters.rq_worker.Worker` for the arguments."""

    #: Slots of workers that are not told; settings fill it.
    default_concurrency: ClassVar[int] = 25
    #: What may be imported and unpickled by workers that are not told; settings fill it.
    default_allow: ClassVar[Allowlist] = EVERYTHING
    death_penalty_class = Region

    def __init__(
        self,
        *args: Any,
        concurrency: int | None = None,
        policies: RetryPolicies | None = None,
        allow: Allowlist | None = None,
        results: ResultStore | None = None,
        observers: Sequence[WorkerObserver] = (),
        gates: Mapping[str, Gate] | None = None,
        recover_after_s: float = 30.0,
        **kwargs: Any,
    ) -> None:
        self._stopped_here = threading.local()
        self._allow = self.default_allow if allow is None else allow
        kwargs["serializer"], by_encoding = resolve_serializer(kwargs.get("serializer"), self._allow)
        super().__init__(*args, **kwargs)
        self.concurrency = self.default_concurrency if concurrency is None else concurrency
        if self.concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, got {self.concurrency}")
        self.connection = _client(self.connection, self.concurrency)
        named = {queue for queue in ensure_job_list(args[0] if args else kwargs["queues"]) if isinstance(queue, str)}
        for queue in self.queues:
            if queue.name in named:  # a queue that somebody else made keeps its connection
                queue.connection = self.connection
            elif by_encoding:
                queue.serializer = self.serializer
        self._policies = policies
        self._results = results
        self._announcer = Announcer(observers, self.log)
        self._gates = Gates(self.queue_names(), gates or {})
        self._outage = Outage(self.log, self.name, answer_s=ANSWER_S)
        self._desk = Desk(
            self.connection, self.name, self.queue_names(), beat_s=BEAT_S, silence_s=silence_s(recover_after_s)
        )
        self._reader = Reader(
            self.connection,
            self.job_class,
            None if by_encoding else self.serializer,
            self._allow,
            self._outage,
            self.name,
            self.get_redis_server_version,
        )
        self._dependents = threading.RLock()
        self._ready = entry_script(self.connection, "ready")
        self._rng = random.Random()
        self._obituaries = SparingLog(
            self.log, f"Worker {self.name}: %d more jobs are dead; jobctl dead list shows them"
        )
        self._coroutines = CoroutineLoop(self.concurrency)
        self._slots: Slots[Running] = Slots(self.concurrency, self._run)
        self._inbox: SimpleQueue[tuple[Running, Ended | None] | None] = SimpleQueue()
        self._running: dict[str, Running] = {}
        self._given_up: set[str] = set()  # executions whose failure another thread writes; theirs may be back
        self._lean = True

    # ---------------------------------------------------------------------------------------------------------- running

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run a job by RQ's steps: on its slot if the desk began it; else here and now, as RQ's SimpleWorker does."""
        running = current()
        if isinstance(running, Running):
            run_coroutine.set(self._run_coroutine)  # in the slot's context, which ends with the job
            self.executions[running.execution.id] = running.execution
            with self._observed(running):
                self.perform_job(job, queue, running.execution)
            return
        execution = self.prepare_execution(job)
        self.perform_job(job, queue, execution)
        self.set_state(WorkerStatus.IDLE)

    def prepare_job_execution(self, job: Job, remove_from_intermediate_queue: bool = False) -> None:
        """Book the start, unless the desk has done so."""
        if not isinstance(current(), Running):
            super().prepare_job_execution(job, remove_from_intermediate_queue)

    def procline(self, message: str) -> None:
        """Jobs run side by side, so a process title cannot name one."""

    def _run(self, running: Running) -> None:
        """Run a job on its slot, or book its end by RQ's code when the desk would not."""
        enter(running)
        ended, has_run = None, running.claimed
        try:
            if has_run:
                running.take_over()
                self._finish_by_rq(running)
            else:
                ended = self._perform(running)
        except BaseException as error:
            self.log.exception("Worker %s: job %s could not be finished", self.name, running.begun.place.job_id)
            self._fail_at_last(running, error)
        finally:
            enter(None)
            if not has_run and running.held is None:  # a body that has begun may have called, by whatever client
                self._gates.hand_back(running.begun.place.queue)
            if running.leave():
                self._slots.mark_stuck(-1)
            self._inbox.put((running, ended))

    def _perform(self, running: Running) -> Ended | None:
        """Run a job; its end, or None when that is on the books already."""
        begun = running.begun
        try:
            plain = begun.fields is None and self._lean
            job = running.job = self._reader.lazy(running) if plain else self._reader.special(running)
            running.call = self._reader.call(begun)
            function = resolve_call(running.call, self._allow)
        except BaseException:
            self._failed(running, sys.exc_info())
            return None
        running.loaded = True
        if not self._lean:
            self.execute_job(job, running.queue)
            return None
        try:
            with self._observed(running), Region(_timeout_s(begun), JobTimeoutException, job_id=job.id):
                running.value = value = self._execute(running, job, function)
            if running.claimed:
                return None  # it was given up or put back meanwhile
            self._store(running)
            plain = plain and is_untouched(job) and not isinstance(value, Retry)
            ended = self._ended(running, value) if plain else None
        except BaseException:
            self._failed(running, sys.exc_info())
            return None
        if not running.claim():
            return None
        if ended is None:
            self._finish_by_rq(running)
        return ended

    def _execute(self, running: Running, job: Job, function: Callable[..., Any]) -> Any:
        """Call a job's function as RQ does, a coroutine's on the shared loop; not again when only storing failed."""
        call, begun = running.call, running.begun
        assert call is not None
        if begun.result:
            return self._reader.serializer(begun).loads(begun.result)
        _current_job.set(job)  # in the slot's context, which ends with the job
        value = function(*call.args, **call.kwargs)
        return self._run_coroutine(value) if asyncio.iscoroutine(value) else value

    def _run_coroutine(self, coroutine: Any) -> Any:
        """Run a coroutine job's body on the shared loop, from its slot's thread."""
        running = current()
        assert isinstance(running, Running)

        def on_start(cancel: Callable[[], None]) -> None:
            running.cancel_coroutine = cancel

        try:
            return self._coroutines.run(coroutine, on_start)
        finally:
            running.cancel_coroutine = None

    def _observed(self, running: Running) -> AbstractContextManager[object]:
        """What limiters and observers put around a job's body."""
        # In the slot's context, which ends with the job.
        begun = running.begun
        running.held = hold(running.permits, attempt=begun.attempt, retry=begun.attempt > 1 + begun.abandoned)
        if not self._announcer:
            return nullcontext()
        running.started = self._reader.started(running)
        return self._announcer.running(running.started)

    def _store(self, running: Running) -> None:
        """Keep a result where the team wants it, before its success is on the books.

        Raises:
            Postponed: It could not be kept: the job is to come back with its result, which was paid for.
        """
        if self._results is None or running.stored or isinstance(running.value, Retry):
            return
        place = running.begun.place
        try:
            self._results.save(
                job_id=place.job_id,
                queue=place.queue,
                job_type=running.job_type,
                attempt=running.begun.attempt,
                started_s=running.started_s,
                finished_s=time.time(),
                result=running.value,
            )
        except ServiceUnavailable as error:
            self.log.info("Worker %s: result of job %s waits for its store (%s)", self.name, place.job_id, error)
            with suppress(Exception):  # what cannot be packed is to run again
                running.kept = self._reader.serializer(running.begun).dumps(running.value)
            raise Postponed(self._rng.uniform(*_STORE_AGAIN_S), "database") from error
        running.stored = True

    def _ended(self, running: Running, value: Any) -> Ended | None:
        """A plain success as the desk books it; None when RQ's own way is meant: its result is not kept."""
        begun = running.begun
        result_ttl_s = int(begun.result_ttl or self.default_result_ttl)
        if result_ttl_s == 0:
            return None
        packed = self._reader.packed(begun, value)
        return Ended(begun.place, packed, result_ttl_s, running.started_s, time.time())

    # -------------------------------------------------------------------------------------------- the end, by RQ's code

    def _finish_by_rq(self, running: Running) -> None:
        """Book a success by RQ's code: more hangs on it than a result."""
        try:
            if running.job is None or is_untouched(running.job):
                running.job = self._reader.restored(running)
            running.job.started_at = running.execution.created_at
            self._finalize_success(running.job, running.queue, running.execution, running.value)
        except BaseException:
            self._failed(running, sys.exc_info())

    def _finalize_success(self, job: Job, queue: Queue, execution: Execution, return_value: Any) -> None:
        running = self._running_here(execution)
        if running is None:
            super()._finalize_success(job, queue, execution, return_value)
        elif running.claim():
            running.value = return_value
            self._store(running)

            def write() -> None:
                if job.repeats_left and not isinstance(return_value, Retry):
                    self.connection.hdel(job.key, *_OF_ONE_RUN)
                super(PerformingWorker, self)._finalize_success(job, queue, execution, return_value)

            if not self._book(running, write):
                self._tell_late(running)
                return
            retried = isinstance(return_value, Retry) and job.get_status(refresh=False) != JobStatus.FAILED
            self._tell_ended(running, JobOutcome.RETRIED if retried else JobOutcome.SUCCEEDED)

    def _book(self, running: Running, write: Callable[[], None]) -> bool:
        """Write an outcome by RQ's code, which knows neither of Redis being away nor of having been taken for dead.

        Returns:
            Whether the execution was still on the books.
        """
        owned = False
        while self._owns(running):
            owned = True
            try:
                write()
            except RedisError as error:
                if not is_away(error) or self._answers():
                    raise  # it was somebody else's Redis
            if not self._outage.lasts:
                break
            self._outage.outlast(self._probe)
            self._outage.ended()
        return owned

    def _owns(self, running: Running) -> bool:
        """Whether an execution is still on the books."""
        return self._outage.outlast(lambda: self._desk.owns(running.begun.place))

    def _own(self, queue: Queue) -> Queue:
        """A queue as jobs of many slots end in it side by side: their dependents enter theirs in one step, and once.

        RQ's own way leaves a dependent alone when another one enters at the same moment, until maintenance finds it
        minutes later, and lets in twice what waited for two that end at the same moment.
        """
        own, job_class = copy.copy(queue), cast(Any, queue.job_class)
        own.job_class, own.connection = once_only(job_class), self.connection
        theirs = own.enqueue_dependents

        def enqueue_dependents(job: Job, *args: Any, **kwargs: Any) -> dict[str, list[str]]:
            with self._turn_of(job):
                return theirs(job, *args, **kwargs)

        own.__dict__["enqueue_dependents"] = lambda *args, **kwargs: self._outage.outlast(
            lambda: enqueue_dependents(*args, **kwargs)
        )
        if type(queue).enqueue_ready_jobs_by_queue is Queue.enqueue_ready_jobs_by_queue:  # nobody replaced it
            own.__dict__["enqueue_ready_jobs_by_queue"] = lambda ids: self._outage.outlast(
                lambda: self._let_in_ready(ids)
            )
        return own

    def cleanup_execution(self, job: Job, pipeline: Pipeline, execution: Execution | None = None) -> None:
        """RQ's; dependents of a job that failed enter after that, which others see to if this worker is killed."""
        super().cleanup_execution(job, pipeline, execution)
        if job.get_status(refresh=False) == JobStatus.FAILED and not job.should_retry:
            pipeline.sadd(f"{ENDED_KEY}{self.name}", job.id)
            pipeline.expire(f"{ENDED_KEY}{self.name}", DEAD_TTL_S)

    def _enqueue_dependents_safely(self, queue: Queue, job: Job) -> None:
        super()._enqueue_dependents_safely(queue, job)
        self._outage.outlast(lambda: self.connection.srem(f"{ENDED_KEY}{self.name}", job.id))

    def handle_job_success(self, job: Job, *args: Any, **kwargs: Any) -> None:
        """RQ's, for jobs that others wait for one at a time."""
        with self._turn_of(job):
            super().handle_job_success(job, *args, **kwargs)

    def _turn_of(self, job: Job) -> AbstractContextManager[object]:
        """Side by side jobs that the same ones wait for undo each other's transactions, and take many times as long."""
        has_dependents = self.connection.exists(job.dependents_key)
        return self._dependents if has_dependents else nullcontext()

    def _let_in_ready(self, queues: Collection[str]) -> bool:
        """Let what is ready in some queues into them, also what others left there; whether there was anything."""
        found, more = 0, len(queues)
        while more:
            count, more, *limits = self._ready([RQ_KEY_PREFIX, rq_time(time.time()), _BATCH, *queues])
            let_in(self.connection, limits)
            found += count
        return found > 0

    def _answers(self) -> bool:
        """Whether Redis can be written to now; if not, that is noted."""
        try:
            self._probe()
        except RedisError as error:
            if not is_away(error):
                raise
            self._outage.began(error)
            return False
        return True

    def _probe(self) -> None:
        """Write a little: a Redis that answers may still refuse to write, as a replica does."""
        self._desk.pulse(())

    def _running_here(self, execution: Execution) -> Running | None:
        """What this thread finalises, when it was begun at the desk."""
        running = self._running.get(execution.id)
        here = current()
        return running or (here if isinstance(here, Running) and here.execution is execution else None)

    # ---------------------------------------------------------------------------------------------------------- failing

    def _failed(self, running: Running, exc_info: ExcInfo) -> None:
        """An attempt failed: decide what becomes of the job, and book it."""
        error = exc_info[1]
        assert error is not None
        if running.claimed and not running.claim():
            return
        if isinstance(error, Postponed):
            if running.claim():
                self._put_off(running, error)
            return
        if isinstance(error, JobRefused) and self._allow.active:
            self._fail_unreadable(running, error)  # RQ would import and call its failure callback
            return
        try:
            if running.job is None or is_untouched(running.job):
                running.job = self._reader.restored(running)
        except Exception as unreadable:
            self._fail_unreadable(running, unreadable if running.loaded else error)
            return
        self._fail(running, running.job, exc_info)

    def _finalize_failure(self, job: Job, queue: Queue, execution: Execution, exc_info: ExcInfo) -> None:
        running = self._running_here(execution)
        if running is None:
            super()._finalize_failure(job, queue, execution, exc_info)
        else:
            self._fail(running, job, exc_info)

    def _fail(self, running: Running, job: Job, exc_info: ExcInfo) -> None:
        """Book a failed attempt of a job that can be read."""
        if not running.claim():
            return
        queue, execution = running.queue, running.execution
        error = exc_info[1]
        assert error is not None
        if isinstance(error, Postponed):
            self._put_off(running, error)
            return
        if running.stopping:
            self._book(running, lambda: self._handle_stopped_job(job, queue, execution))
            self._tell_ended(running, JobOutcome.STOPPED, error=error)
            return
        if not self._owns(running):
            self._tell_late(running)
            return
        fate = self._fate(running, job, error)
        if isinstance(fate, Again):
            self._retry(running, job, exc_info, fate)
            return
        if self._policies is not None and not job.should_retry:
            self._mark_dead(job, fate.reason)
        self._book(running, lambda: super(PerformingWorker, self)._finalize_failure(job, queue, execution, exc_info))
        retried = job.get_status(refresh=False) != JobStatus.FAILED
        self._tell_ended(running, JobOutcome.RETRIED if retried else JobOutcome.DEAD, reason=fate.reason, error=error)

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        """Log a dead job: with its traceback as RQ does, or in a line where policies speak and nobody asks for more."""
        if self._policies is None or self.log.isEnabledFor(logging.INFO):
            super().handle_exception(job, *exc_info)
            return
        self._obituaries.error("Worker %s: job %s is dead: %r", self.name, job.id, exc_info[1])
        call_exception_handlers(self._exc_handlers, job, *exc_info)

    def _fate(self, running: Running, job: Job, error: BaseException) -> Again | Dead:
        """Whether a failed job runs again, by its own ``Retry`` or by the policy of its type."""
        failure = examine(error, now_s=time.time(), loading=not running.loaded)
        if job.retries_left is not None:
            # RQ itself retries at once where no interval is given, and schedules by whole seconds where one is.
            delay_s = job.get_retry_interval() if job.retries_left > 0 else 0
            return Again(delay_s, failure.reason) if delay_s and not job.has_rate_limit else Dead(failure.reason, True)
        if self._policies is None:
            return Dead(failure.reason, spent=True)
        policy = self._policies.of(running.job_type)
        return decide(policy, attempt=running.begun.attempt, failure=failure, rng=self._rng)

    def _retry(self, running: Running, job: Job, exc_info: ExcInfo, again: Again) -> None:
        """Have a job run again after a back-off; callbacks and handlers hear of the failure, as RQ has it."""
        try:
            execute_failure_callback(job, self.death_penalty_class, *exc_info)
        except BaseException:  # as RQ has it: a callback may exit, and ends nothing but itself
            self.log.exception("Worker %s: failure callback of job %s raised", self.name, job.id)
        call_exception_handlers(self._exc_handlers, job, *exc_info)
        if job.retries_left:
            job.retries_left -= 1
            self._outage.outlast(lambda: self.connection.hset(job.key, "retries_left", str(job.retries_left)))
        self.log.info(
            "Worker %s: job %s failed (%r), attempt %d; again in %.1f s",
            self.name,
            job.id,
            exc_info[1],
            running.begun.attempt,
            again.delay_s,
        )
        held_s = max(0.0, time.time() - running.started_s)
        self._run_later(running, again.delay_s, spent=True, reason=again.reason, held_s=held_s)
        self._tell_ended(running, JobOutcome.RETRIED, reason=again.reason, error=exc_info[1])

    def _put_off(self, running: Running, postponed: Postponed) -> None:
        """Have a job run later, without spending an attempt."""
        self._run_later(
            running, postponed.delay_s, reason=postponed.reason, permits=postponed.permits, result=running.kept
        )
        words = (self.name, running.begun.place.queue, running.job_type, postponed.delay_s, postponed.reason)
        self.log.info("Worker %s: %s: %s put off for %.1f s: %s (%s)", *words, running.begun.place.job_id)
        self._tell_ended(running, JobOutcome.POSTPONED, reason=postponed.reason)

    def _run_later(self, running: Running, delay_s: float, **kept: Any) -> None:
        """Put a job among the scheduled ones; RQ's rate limit lets others in meanwhile."""
        place = running.begun.place
        self._outage.outlast(lambda: self._desk.put_back([place], delay_s=delay_s, **kept))
        if running.begun.fields is not None and running.job is not None and running.job.has_rate_limit:
            running.job._status = JobStatus.SCHEDULED
            self._release_slot_safely(running.job)

    def _mark_dead(self, job: Job, reason: str) -> None:
        """Note why a job is dead, and that it is not kept for ever."""
        if job.failure_ttl is None:
            job.failure_ttl = DEAD_TTL_S
        self._outage.outlast(lambda: self.connection.hset(job.key, "jobctl_reason", reason))

    def _fail_unreadable(self, running: Running, error: BaseException, said: str = "cannot be read") -> None:
        """Fail a job with the reason; its fields stay as they are, for they cannot be written back unread."""
        if not running.claim():
            return
        place, queue = running.begun.place, running.queue
        job = self.job_class(place.job_id, connection=self.connection, serializer=self.serializer)
        reason = _writable(format_exc_info((type(error), error, error.__traceback__)))
        label = examine(error, now_s=time.time(), loading=True).reason

        def write() -> None:
            with self.connection.pipeline() as pipeline:
                exists = self.connection.exists(job.key)
                if exists:
                    job.set_status(JobStatus.FAILED, pipeline)
                self.cleanup_execution(job, pipeline, running.execution)
                if exists:
                    pipeline.hset(job.key, "jobctl_reason", label)
                    pipeline.zadd(queue.failed_job_registry.key, {place.job_id: current_timestamp() + DEAD_TTL_S})
                    pipeline.expire(job.key, DEAD_TTL_S)
                    Result.create_failure(job, DEAD_TTL_S, exc_string=reason, pipeline=pipeline)
                    self.increment_failed_job_count(pipeline)
                pipeline.execute()
            self._enqueue_dependents_safely(queue, job)
            if exists:
                free(self.connection, [job.id])

        job.origin = queue.name
        self._obituaries.error("Worker %s: job %s %s (%r)", self.name, place.job_id, said, error)
        self._book(running, write)
        self._tell_ended(running, JobOutcome.DEAD, reason=label, error=error)

    def _fail_at_last(self, running: Running, error: BaseException) -> None:
        """Fail a job whose end could not be booked: left on the books, it would be begun again and again."""
        try:
            if not running.claimed or self._owns(running):
                self._fail_unreadable(running, error, "is dead: its end could not be booked")
        except BaseException:
            self.log.exception("Worker %s: job %s could not be failed", self.name, running.begun.place.job_id)

    def handle_job_failure(
        self,
        job: Job,
        queue: Queue,
        started_job_registry: Any = None,
        exc_string: str = "",
        execution: Execution | None = None,
    ) -> None:
        """RQ's, with a reason that can be written."""
        super().handle_job_failure(job, queue, started_job_registry, _writable(exc_string), execution)

    def _give_up(self, running: Running, exception: BaseException) -> None:
        """Fail a job whose thread did not come back, and count its slot as stuck; on a thread of its own."""
        place = running.begun.place
        self._given_up.add(place.execution_id)
        try:
            if not running.claim():
                return
            if running.become_stuck():
                self._slots.mark_stuck(+1)
                self._inbox.put(None)
            self.log.error("Worker %s: job %s did not stop when told to; its slot is stuck", self.name, place.job_id)
            self._failed(running, (type(exception), exception, None))
        finally:
            self._given_up.discard(place.execution_id)

    def _handle_stopped_job(self, job: Job, queue: Queue, execution: Execution) -> None:
        """Book a job that somebody stopped, as RQ's forking worker does."""
        self.handle_execution_ended(job, queue, job.stopped_callback_timeout)
        self._stopped_job_id = job.id
        self.log.warning("Worker %s: job %s stopped by user", self.name, job.id)
        try:
            execute_stopped_callback(job, self.death_penalty_class)
        except BaseException:
            self.log.exception("Worker %s: stopped callback for job %s raised", self.name, job.id)
        self.handle_job_failure(job, queue=queue, exc_string="Job stopped by user.", execution=execution)

    @property
    def _stopped_job_id(self) -> str | None:
        """The job that the current thread finalises as stopped: RQ keeps one for its one job, we one for each slot."""
        return getattr(self._stopped_here, "job_id", None)

    @_stopped_job_id.setter
    def _stopped_job_id(self, job_id: str | None) -> None:
        self._stopped_here.job_id = job_id

    # -------------------------------------------------------------------------------------------------------- observers

    def _tell_ended(
        self,
        running: Running,
        outcome: JobOutcome,
        *,
        reason: str = "",
        error: BaseException | None = None,
        ended_s: float | None = None,
    ) -> None:
        if self._announcer:
            started = running.started or self._reader.started(running)
            self._announcer.ended(started, time.time() if ended_s is None else ended_s, outcome, reason, error)

    def _tell_late(self, running: Running) -> None:
        self.log.warning(
            "Worker %s: job %s was taken over, its result is discarded", self.name, running.begun.place.job_id
        )
        self._tell_ended(running, JobOutcome.LATE)


def _client(connection: Redis, slots: int) -> Redis:
    """A client of the same server that waits for no answer for long, and repeats no command by itself.

    A command whose answer was lost may have been carried out. Each slot may have several connections, for RQ's
    transactions open others; those of a plain client are 100 at most.
    """
    pool = connection.connection_pool
    ours = {"socket_timeout": ANSWER_S, "retry": RedisRetry(NoBackoff(), 0), "decode_responses": False}
    settings = {**pool.connection_kwargs, **ours, "max_connections": pool.max_connections + _CONNECTIONS * slots}
    return type(connection)(connection_pool=type(pool)(connection_class=pool.connection_class, **settings))


def _writable(text: str) -> str:
    """A text as UTF-8 can hold it: errors may quote file names, whose odd bytes Python keeps as surrogates."""
    return text.encode("utf-8", "backslashreplace").decode()


def _timeout_s(begun: Begun) -> int:
    """How long a job may run, seconds; negative for as long as it takes."""
    return int(begun.timeout or 0) or _DEFAULT_TIMEOUT_S

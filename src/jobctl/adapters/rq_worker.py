"""An RQ worker with many jobs in flight in one process.

Theory of operation. Kinds of threads:

* the main thread sits at the *desk* (see ``rq_desk``): in one round trip it books the jobs that ended since the last
  one and begins as many as there are free slots. Between two turns it waits for a slot to end its job or for the
  *listener* to hear that a queue is no longer empty;
* slot threads run jobs; coroutine jobs share one event loop (see ``rq_slots``). A plain success is left to the desk, so
  that a slot talks to Redis only when something is out of the ordinary;
* the pulse thread shows the worker and its executions alive, and puts the jobs of workers that fell silent back to
  work; one thread, if wanted, is the scheduler; RQ's own hears commands.

A job that uses more of RQ than a function and its result (callbacks, dependents, repeats, groups, webhooks, rate
limits) runs and ends by RQ's own code, on its slot. So does every failure, for failures are rare and have many fates:
RQ's own retries, the policy of the job's type, or the dead set, which is RQ's registry of failed jobs.

Who owns an execution: its slot, until it is over or given up at its timeout, whoever claims it first; and towards other
workers whoever takes it off the books. A late result is discarded, and while a thread does not come back its slot
counts as *stuck*. With half the slots stuck the worker drains and exits with 1, to be restarted.

Redis away: the main thread keeps what ended and tries again, slots wait with what they have to write, and once Redis is
back, executions that the books have and this worker does not know of (they were begun, and the answer was lost) go back
to the front of their queues.

A signal only sets a flag and wakes the main thread: an exception in the middle of a transaction could lose a job (rq
issue 2175). The first one drains for so long as it is told to, and what still runs then goes back to the front of its
queue; the second one does not wait.
"""

# mypy: allow-untyped-calls
# RQ is typed in part only, and what a subclass inherits from it counts as its own.

from __future__ import annotations

import asyncio
import base64
import logging
import math
import random
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from datetime import datetime
from queue import Empty, SimpleQueue
from types import FrameType, TracebackType
from typing import Any, ClassVar, Final, Protocol, cast

import redis.exceptions
from redis import Redis
from redis.backoff import NoBackoff
from redis.client import Pipeline, PubSub
from redis.retry import Retry as RedisRetry
from rq import Queue, worker_registration
from rq.callbacks import execute_failure_callback, execute_stopped_callback
from rq.command import handle_command, parse_payload
from rq.defaults import (
    DEFAULT_LOGGING_DATE_FORMAT,
    DEFAULT_LOGGING_FORMAT,
    DEFAULT_SERIALIZER_CLASS,
    UNSERIALIZABLE_RETURN_VALUE_PAYLOAD,
)
from rq.exceptions import StopRequested
from rq.executions import Execution
from rq.job import Job, JobStatus, Retry, _current_job
from rq.job_lifecycle import call_exception_handlers, format_exc_info
from rq.results import Result
from rq.serializers import DefaultSerializer, JSONSerializer
from rq.suspension import is_suspended
from rq.timeouts import JobTimeoutException
from rq.utils import current_timestamp, ensure_job_list
from rq.worker import BaseWorker, DequeueStrategy, WorkerStatus

from jobctl.adapters.outage import AWAY, Outage, Pauses
from jobctl.adapters.permits import hold
from jobctl.adapters.rq_codec import (
    Call,
    JobSerializer,
    check_callbacks,
    decode_call,
    decode_value,
    inflate,
    resolve_call,
    serializer_for,
)
from jobctl.adapters.rq_deadlines import Region, current, enter
from jobctl.adapters.rq_desk import DEAD_TTL_S, Begun, Booking, Desk, Ended, Place, Recovered, Turn
from jobctl.adapters.rq_jobs import is_untouched, lazy_job, restored_job, run_coroutine
from jobctl.adapters.rq_listener import Listener
from jobctl.adapters.rq_running import Running
from jobctl.adapters.rq_scheduler import ThreadScheduler
from jobctl.adapters.rq_slots import CoroutineLoop, Slots
from jobctl.core.allowing import EVERYTHING, Allowlist
from jobctl.core.events import JobEnded, JobOutcome, JobsRecovered, JobStarted, SlotsChanged
from jobctl.core.retrying import Dead, RetryPolicies, decide, examine
from jobctl.core.retrying import Retry as Again
from jobctl.core.turns import Turns
from jobctl.errors import JobRefused, Postponed, ServiceUnavailable
from jobctl.ports import ResultStore, WorkerObserver

__all__ = ["Gate", "JobStopped", "Worker"]

#: Longest wait of the main thread before it looks around, seconds.
_LOOK_S: Final = 0.5
#: Seconds between two looks at whether workers are suspended.
_SUSPENSION_S: Final = 1.0
#: Whole seconds between heartbeats in RQ's own places; what is there lives for sixty seconds more.
_BEAT_S: Final = 15
#: Pulses in the time after which jobs of a dead worker are at work again, and the silence after which it counts as
#: dead, as a part of it. The rest is for noticing and for letting others come back first: 0.6 + 4/15 < 1.
_PULSES: Final = 15
_SILENCE: Final = 0.6
#: Pulses in a row before a worker looks for silent ones: when Redis or the machine stood still, all were silent.
_STEADY_PULSES: Final = 3
#: Seconds that a worker tries, after its drain, to tell Redis, and how long it then waits for an answer. With the
#: scheduler and the command channel, which end at the same time, it stops within five seconds, wherever Redis is.
_LAST_WORDS_S: Final = 2.0
_LAST_ANSWER_S: Final = 1.0
#: Seconds in which observers send what they hold, at the end.
_FLUSH_S: Final = 2.0
#: Longest wait for an answer of Redis, seconds: a network that swallows packets must be noticed.
_ANSWER_S: Final = 8.0
#: How long a job waits whose result could not be stored, seconds, between these.
_STORE_AGAIN_S: Final = (2.0, 10.0)
#: A main thread that took so long over one turn is not ready, seconds.
_UNSEEN_S: Final = 30.0
#: Seconds without a slot's use being told again to observers.
_TELL_S: Final = 0.5
#: How long a job may run that does not say, seconds.
_DEFAULT_TIMEOUT_S: Final = Queue.DEFAULT_TIMEOUT

ExcInfo = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]


class JobStopped(Exception):
    """Raised inside a job that somebody stopped, or that a drain could not wait for."""


class Gate(Protocol):
    """What must let jobs of a queue through before they are taken from it."""

    def admit(self, wanted: int) -> int:
        """How many may be taken now; those that are not taken are handed back."""

    def hand_back(self, count: int) -> None:
        """So many were not taken after all, or made no call."""

    @property
    def permits(self) -> str:
        """What a job that was let through holds, see ``permits``."""

    @property
    def closed_for_s(self) -> float:
        """Seconds until it is worth asking again."""


class Worker(BaseWorker):
    """An RQ worker with up to ``concurrency`` executions in flight.

    Args:
        *args: As for RQ's BaseWorker.
        concurrency: Slots; the class's default when None.
        on_ready: Called once it listens.
        weights: For each queue how often its turn comes; None for strictly one queue after the other.
        policies: How jobs are retried that were enqueued without a ``Retry`` of their own; None for not at all.
        drain_timeout_s: How long a drain waits for running jobs, seconds; None for as long as they take.
        recover_after_s: Within this time jobs of a worker that was killed run again.
        abandon_limit: A job whose worker died this often is dead.
        allow: What may be imported and unpickled; the class's default when None.
        results: Where results are stored besides RQ's own place.
        observers: Are told what happens.
        gates: By the name of a queue, what must let its jobs through.
        **kwargs: As for RQ's BaseWorker.

    Raises:
        ValueError: The concurrency is less than one, or RQ refuses another argument.
    """

    #: Slots of workers that are not told; settings fill it.
    default_concurrency: ClassVar[int] = 25
    #: What may be imported and unpickled by workers that are not told; settings fill it.
    default_allow: ClassVar[Allowlist] = EVERYTHING
    death_penalty_class = Region

    def __init__(
        self,
        *args: Any,
        concurrency: int | None = None,
        on_ready: Callable[[], None] | None = None,
        weights: Sequence[int] | None = None,
        policies: RetryPolicies | None = None,
        drain_timeout_s: float | None = None,
        recover_after_s: float = 30.0,
        abandon_limit: int = 3,
        allow: Allowlist | None = None,
        results: ResultStore | None = None,
        observers: Sequence[WorkerObserver] = (),
        gates: Mapping[str, Gate] | None = None,
        **kwargs: Any,
    ) -> None:
        self._stopped_here = threading.local()
        self._allow = self.default_allow if allow is None else allow
        given = kwargs.get("serializer")
        self._by_encoding = given in _PICKLING or given in _JSON
        if given in _PICKLING:
            kwargs["serializer"] = JobSerializer(self._allow)
        super().__init__(*args, **kwargs)
        self.connection = _client(self.connection)
        named = {queue for queue in ensure_job_list(args[0] if args else kwargs["queues"]) if isinstance(queue, str)}
        for queue in self.queues:
            if queue.name in named:  # a queue that somebody else made keeps its connection
                queue.connection = self.connection
            elif self._by_encoding:
                queue.serializer = self.serializer
        self.concurrency = self.default_concurrency if concurrency is None else concurrency
        if self.concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, got {self.concurrency}")
        self._on_ready = on_ready
        self._turns = None if weights is None else Turns(weights)
        self._policies = policies
        self._drain_timeout_s = math.inf if drain_timeout_s is None else drain_timeout_s
        self._pulse_s = recover_after_s / _PULSES
        self._silence_s = recover_after_s * _SILENCE
        self._abandon_limit = abandon_limit
        self._results = results
        self._observers = tuple(observers)
        self._gates = dict(gates or {})
        self._gate_lengths = dict.fromkeys(self._gates, 1)

        self._outage = Outage(self.log, self.name, answer_s=_ANSWER_S)
        self._desk = Desk(self.connection, self.name, self.queue_names(), beat_s=_BEAT_S)
        self._rng = random.Random()
        self._queue_of = {queue.name: queue for queue in self.queues}
        self._slots: Slots[Running] = Slots(self.concurrency, self._run)
        self._coroutines = CoroutineLoop()
        self._inbox: SimpleQueue[tuple[Running, Ended | None] | None] = SimpleQueue()
        self._running: dict[str, Running] = {}
        self._unbooked: list[tuple[Running, Ended]] = []
        self._given_up: set[str] = set()  # executions whose failure another thread writes; theirs may be back
        self._doubtful = 0  # the first ones of these may be booked: the answer was lost
        self._reconciled = 0
        self._pulse_stop = threading.Event()
        self._beat_at_s = self._suspension_at_s = self._told_at_s = -math.inf
        self._suspended = self._worked = self._broken = False
        self._looked_at_s = time.monotonic()
        #: When the worker last reached Redis, seconds since the epoch; None while it never did.
        self.last_pulse_s: float | None = None
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
            SystemExit: With status 1, after a drain, when half the slots are stuck, or something broke.
        """
        self._jobs_left = max_jobs
        self._exhausted = self._forced = self._stopped_busy = self._worked = self._broken = False
        self._lean = self._may_be_lean()
        self._working = True
        try:
            super().work(
                burst, logging_level, date_format, log_format, max_jobs, max_idle_time, with_scheduler, dequeue_strategy
            )
        finally:
            self._working = False
        if self._exhausted:
            self.log.error("Worker %s: half of %d slots stuck, exiting to be restarted", self.name, self.concurrency)
            raise SystemExit(1)
        if self._broken:
            raise SystemExit(1)
        return self._worked

    def unready(self) -> str | None:
        """Why it takes no jobs, in a few words; None when it does."""
        if self._stop_requested:
            return "draining"
        if self._outage.lasts:
            return "Redis is away"
        if time.monotonic() - self._looked_at_s > _UNSEEN_S:
            return "the main thread does not come round"
        return "suspended" if self._suspended else None

    def _may_be_lean(self) -> bool:
        """Whether nobody replaced a step of RQ's that the short way leaves out: a subclass, or who patches RQ."""
        replaced = (getattr(type(self), name) is not step for name, step in _STEPS.items())
        patched = (getattr(BaseWorker, name).__module__ != BaseWorker.__module__ for name in _STEPS)
        return self.job_class is Job and not any(replaced) and not any(patched)

    def bootstrap(
        self,
        logging_level: str | None = "INFO",
        date_format: str = DEFAULT_LOGGING_DATE_FORMAT,
        log_format: str = DEFAULT_LOGGING_FORMAT,
    ) -> None:
        """Register, start the pulse, and say so; a signal that comes right after that is heard already."""
        super().bootstrap(logging_level, date_format, log_format)
        self._install_signal_handlers()
        self._listener = Listener(self.connection, lambda: self._inbox.put(None), self._outage)
        self._desk.pulse((), worker_ttl_s=self.worker_ttl)
        self._pulse_stop = threading.Event()
        threading.Thread(target=self._pulse, args=(self._pulse_stop,), name="pulse", daemon=True).start()
        if self._on_ready is not None:
            self._on_ready()

    def register_birth(self) -> None:
        """Register; a name whose last bearer fell silent may be taken over, once its jobs are back at work."""
        successor = Desk(self.connection, f"{self.name}:successor", (), beat_s=_BEAT_S)
        while (name := self._sweep(successor, silence_s=self._silence_s)) is not None:
            if name == self.name:
                self.connection.delete(self.key)
        super().register_birth()

    def register_death(self) -> None:
        """Register the worker's death, once nothing is left on its books: nobody would look for that any more."""
        left = self._desk.unknown((), namesakes=True)
        if left:
            self._desk.put_back(left)
        self._desk.leave()
        super().register_death()

    def teardown(self) -> None:
        """Stop, in an order that loses nothing.

        No job is taken any more. Running ones end, still under pulses, and are booked; what is left after the drain
        timeout, or a second signal, goes back to the front of its queue. Only then is the worker's death registered:
        from then on nobody would look for its jobs.
        """
        deadline_s = time.monotonic() + self._drain_timeout_s
        self._bound_answers(_LAST_ANSWER_S)
        if self._stopped_busy:
            self._carefully(self.set_shutdown_requested_date)
        self._drain(deadline_s)
        last_s = time.monotonic() + _LAST_WORDS_S
        self._carefully(self._put_back_running, until_s=last_s)
        self._carefully(lambda: self._turn(0), until_s=last_s)
        if not self._stopped_busy:
            self._stop_requested = False  # as RQ has it: a worker that was stopped while idle may work again
        self._pulse_stop.set()
        self._listener.close()
        self._slots.close()
        self._coroutines.close()
        self._carefully(super().teardown, until_s=last_s)
        self._bound_answers(_ANSWER_S)
        self._tell(lambda observer: observer.close(_FLUSH_S))

    def _drain(self, deadline_s: float) -> None:
        """Wait for running jobs and book them, until a monotonic instant or a second signal."""
        pauses = Pauses()
        while not self._forced and time.monotonic() < deadline_s:
            wait_s = _LOOK_S
            try:
                self._turn(0)
            except AWAY as error:
                self._outage.began(error)
                wait_s = pauses.next_s()
            if not self._unbooked and len(self._running) <= self._slots.stuck:
                break
            self._collect(min(wait_s, max(0.0, deadline_s - time.monotonic())))

    def _carefully(self, command: Callable[[], object], *, until_s: float = -math.inf) -> None:
        """Carry out a command of the last hour; Redis may be away, and then the worker ends all the same."""
        if self._outage.lasts and time.monotonic() >= until_s:
            return
        try:
            self._outage.outlast(command, give_up=lambda: time.monotonic() >= until_s)
        except redis.exceptions.RedisError as error:
            self.log.warning("Worker %s: stops without a word to Redis (%s)", self.name, error)

    def _bound_answers(self, seconds: float) -> None:
        """From now on wait for no answer of Redis for longer, on new connections; idle ones are forgotten."""
        pool = self.connection.connection_pool
        pool.connection_kwargs["socket_timeout"] = seconds
        pool.disconnect(inuse_connections=False)
        pool.reset()

    def unsubscribe(self) -> None:
        """Leave the command channel; the flag goes first, so that the farewell itself ends the listening thread."""
        if self.pubsub_thread:
            self.pubsub_thread.stop()
        super().unsubscribe()

    def _pubsub_exception_handler(self, exc: Exception, pubsub: PubSub, pubsub_thread: Any) -> None:
        """Redis is away from the command channel too: nothing to say that was not said."""
        if not isinstance(exc, AWAY):
            super()._pubsub_exception_handler(exc, pubsub, pubsub_thread)
        self._outage.began(exc)
        self._pulse_stop.wait(1.0)

    def _install_signal_handlers(self) -> None:
        if threading.current_thread() is threading.main_thread():
            super()._install_signal_handlers()

    def _shutdown(self) -> None:
        """Called by the signal handler: only set flags."""
        self._stop_requested = True
        self._stopped_busy = bool(self._running)
        self._inbox.put(None)

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:
        """A second signal: do not wait for running jobs. RQ takes one within a second for the first one, sent twice."""
        try:
            super().request_force_stop(signum, frame)
        except SystemExit:
            if not self._working:
                raise
            self._forced = True
            self._inbox.put(None)

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
            on_outage=self._outage.began,
            on_recovery=lambda: None,  # the main thread notices
        )
        if not burst:
            self.scheduler.start()
            return
        if not self.scheduler.acquire_locks():
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
            self.scheduler.join(_LAST_ANSWER_S)

    # --------------------------------------------------------------------------------------------------------- the desk

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """Serve the queues until the worker should end; then None. Outside ``work`` it is RQ's own.

        Args:
            timeout: None in burst mode: return when the queues are empty and nothing runs that might add to them.
            max_idle_time: Return after this many idle seconds.
        """
        if not self._working:
            return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)
        try:
            self._serve(burst=timeout is None, max_idle_time_s=math.inf if max_idle_time is None else max_idle_time)
        except StopRequested:
            raise
        except Exception:
            self._broken = True  # RQ logs it and goes
            raise
        return None

    def _serve(self, *, burst: bool, max_idle_time_s: float) -> None:
        """Take turns at the desk until the worker should end."""
        idle_since_s, pauses = time.monotonic(), Pauses()
        while not self._stop_requested and not self._is_exhausted() and self._jobs_left != 0:
            try:
                self._look_around(burst=burst)
                wanted = self._wanted()
                begun = self._turn(wanted)
                if not self._running and not begun and not self._suspended:
                    self.set_state(WorkerStatus.IDLE)
            except AWAY as error:
                self._outage.began(error)
                self._collect(pauses.next_s())
                continue
            pauses = Pauses()
            if self._running or begun or any(self._gate_lengths.values()):
                idle_since_s = time.monotonic()
            elif burst or time.monotonic() - idle_since_s >= max_idle_time_s:
                return
            waits_s = [_LOOK_S]
            if begun < wanted:
                waits_s += self._closed_for_s()
                if not burst:
                    self._listener.arm(self._awaited())
            self._collect(min(waits_s))
            self._looked_at_s = time.monotonic()

    def _is_exhausted(self) -> bool:
        """Whether so many slots are, or were, stuck that only a restart helps: half of them."""
        self._exhausted = self._exhausted or 2 * self._slots.stuck >= self.concurrency
        return self._exhausted

    def _wanted(self) -> int:
        free = 0 if self._suspended else max(0, self.concurrency - len(self._running))
        return free if self._jobs_left is None else min(free, self._jobs_left)

    def _collect(self, timeout_s: float) -> None:
        """Wait for something to happen, and take all that did: jobs that ended, slots that are free."""
        try:
            message = self._inbox.get(timeout=timeout_s)
            while True:
                if message is not None:
                    running, ended = message
                    self._running.pop(running.begun.place.execution_id, None)
                    if ended is not None:
                        self._unbooked.append((running, ended))
                message = self._inbox.get_nowait()
        except Empty:
            pass

    def _turn(self, wanted: int) -> int:
        """Book what ended and begin up to so many jobs; how many were begun."""
        if self._outage.lasts:
            self.connection.ping()
            self._outage.ended()
        if self._reconciled != self._outage.count:
            self._reconcile()
        if not wanted and not self._unbooked:
            return 0
        limits = self._admitted(wanted)
        turns = () if not wanted else self._next_turns(wanted)
        state = "" if self.get_state() == WorkerStatus.BUSY else WorkerStatus.BUSY.value
        doubtful, self._doubtful = self._doubtful, len(self._unbooked)
        turn = self._desk.turn([ended for _, ended in self._unbooked], wanted, limits=limits, turns=turns, state=state)
        unbooked, self._unbooked, self._doubtful = self._unbooked, [], 0
        if turn.begun:
            self._state = WorkerStatus.BUSY
            self._worked = True
            if self._jobs_left is not None:
                self._jobs_left -= len(turn.begun)
        for begun in turn.begun:
            self._hand_out(begun)
        if turn.begun and self._dequeue_strategy == DequeueStrategy.ROUND_ROBIN:
            self.reorder_queues(self._queue_of[turn.begun[-1].place.queue])
        self._settle(turn, limits)
        for number, ((running, ended), booking) in enumerate(zip(unbooked, turn.bookings, strict=True)):
            self._booked(running, ended, booking, doubtful=number < doubtful)
        self._tell_slots()
        return len(turn.begun)

    def _next_turns(self, wanted: int) -> Sequence[int]:
        """Indices of the queues whose turn it is."""
        if self._turns is not None:
            return self._turns.next(wanted)
        if self._dequeue_strategy == DequeueStrategy.ROUND_ROBIN:
            return [self.queues.index(queue) for queue in self._ordered_queues] * wanted
        if self._dequeue_strategy == DequeueStrategy.RANDOM:
            return self._rng.choices(range(len(self.queues)), k=wanted)
        return ()

    def _admitted(self, wanted: int) -> list[int | None] | None:
        """For each queue how many jobs its gate lets through now; a gate is asked only while jobs wait there."""
        if not self._gates or not wanted:
            return None
        limits: list[int | None] = [None] * len(self.queues)
        for i, queue in enumerate(self.queues):
            gate = self._gates.get(queue.name)
            if gate is not None:
                limits[i] = gate.admit(wanted) if self._gate_lengths[queue.name] else 0
        return limits

    def _awaited(self) -> list[str]:
        """Keys of the queues in which something new could be begun; not those where jobs wait at a closed gate."""
        return [queue.key for queue in self.queues if not self._gate_lengths.get(queue.name)]

    def _closed_for_s(self) -> list[float]:
        """Seconds until gates at which jobs wait may open."""
        return [gate.closed_for_s for name, gate in self._gates.items() if self._gate_lengths[name]]

    def _settle(self, turn: Turn, limits: list[int | None] | None) -> None:
        """Hand back what gates let through and was not taken, and remember whether jobs wait behind them."""
        if limits is None:
            return
        for i, queue in enumerate(self.queues):
            gate, limit = self._gates.get(queue.name), limits[i]
            if gate is None or limit is None:
                continue
            left = limit - sum(begun.place.queue == queue.name for begun in turn.begun)
            self._gate_lengths[queue.name] = turn.lengths[i]
            if left:
                gate.hand_back(left)

    def _hand_out(self, begun: Begun) -> None:
        running = Running(begun, self._queue_of[begun.place.queue], self.name, self._give_up)
        gate = self._gates.get(begun.place.queue)
        running.permits = begun.permits if gate is None else gate.permits
        self._running[begun.place.execution_id] = running
        self.log.debug("Worker %s: %s: %s", self.name, begun.place.queue, begun.place.job_id)
        self._slots.submit(running, len(self._running))

    def _booked(self, running: Running, ended: Ended, booking: int, *, doubtful: bool) -> None:
        if booking == Booking.HAS_DEPENDENTS:
            self._running[ended.place.execution_id] = running
            self._slots.submit(running, len(self._running))
            return
        if booking == Booking.LATE and not doubtful:
            self._tell_late(running)
            return
        self._tell_ended(running, JobOutcome.SUCCEEDED, ended_s=ended.ended_s)
        if self.log.isEnabledFor(logging.INFO):
            self.log.info("Worker %s: %s: job OK (%s)", self.name, ended.place.queue, ended.place.job_id)

    def _reconcile(self) -> None:
        """Give back what the books have and this worker does not know of: the answer that began them was lost.

        That may happen after an outage: a network repeats what was sent before it, and nobody waits for the answer.
        """
        count = self._outage.count
        ended = {ended.place.execution_id for _, ended in self._unbooked}
        unknown = self._desk.unknown(self._running.keys() | ended | self._given_up)
        if unknown:
            self._desk.put_back(unknown)
        self._reconciled = count

    @property
    def should_run_maintenance_tasks(self) -> bool:
        """Whether RQ's own loop should look around: it would not outlast Redis being away."""
        return not self._working and super().should_run_maintenance_tasks

    def check_for_suspension(self, burst: bool) -> None:
        """Likewise."""
        if not self._working:
            super().check_for_suspension(burst)

    def _look_around(self, *, burst: bool) -> None:
        """Once a second what RQ does before each job, suspension and maintenance, and a look at the books."""
        if time.monotonic() - self._suspension_at_s < _SUSPENSION_S:
            return
        self._reconcile()
        if super().should_run_maintenance_tasks:
            self.run_maintenance_tasks()
        suspended = bool(is_suspended(self.connection, self))
        if suspended and burst:
            self.log.info("Worker %s: suspended in burst mode, exiting", self.name)
            raise StopRequested
        if suspended != self._suspended:
            self.log.info(
                "Worker %s: %s", self.name, "suspended, run `rq resume` to resume" if suspended else "resumed"
            )
            self.set_state(WorkerStatus.SUSPENDED if suspended else WorkerStatus.IDLE)
        self._suspended, self._suspension_at_s = suspended, time.monotonic()

    def clean_registries(self) -> None:
        """RQ's cleaning, which fails jobs of dead workers: those that can run again are put back to work before it."""
        while self._working and self._sweep(self._desk, silence_s=_BEAT_S + 60) is not None:
            pass
        super().clean_registries()

    # -------------------------------------------------------------------------------------------------------- executing

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
        except BaseException:
            self.log.exception("Worker %s: job %s could not be finished", self.name, running.begun.place.job_id)
        finally:
            enter(None)
            if running.begun.place.queue in self._gates and not has_run:
                self._hand_back(running)
            if running.leave():
                self._slots.mark_stuck(-1)
            self._inbox.put((running, ended))

    def _hand_back(self, running: Running) -> None:
        """Give back what a job was let through with and did not use."""
        if running.held is None or running.held.left:
            self._gates[running.begun.place.queue].hand_back(1)

    def _perform(self, running: Running) -> Ended | None:
        """Run a job; its end, or None when that is on the books already."""
        begun = running.begun
        try:
            job = running.job = self._job(running)
            call = running.call = self._call(begun)
            self._check_values(begun)
            function = resolve_call(call, self._allow)
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
            is_plain = begun.fields is None and is_untouched(job) and not isinstance(value, Retry)
            ended = self._ended(running, value) if is_plain else None
        except BaseException:
            self._failed(running, sys.exc_info())
            return None
        if not running.claim():
            return None
        if ended is None:
            self._finish_by_rq(running)
        return ended

    def _job(self, running: Running) -> Job:
        """RQ's object for a job; what it may call back is checked."""
        begun = running.begun
        if begun.fields is None and self._lean:
            place = begun.place
            return lazy_job(
                self.job_class, place.job_id, self.connection, self._serializer(begun), lambda: self._read(place)
            )
        fields = begun.fields or {}
        callbacks = (fields.get(f"{kind}_callback_name".encode()) for kind in ("success", "failure", "stopped"))
        check_callbacks((name.decode() for name in callbacks if name), fields.get(b"webhooks"), self._allow)
        return self._restored(running, begun.fields)

    def _restored(self, running: Running, fields: Mapping[bytes, bytes] | None = None) -> Job:
        """RQ's object for a job, read, and as it is since it was begun.

        Raises:
            Exception: Its hash is gone or means nothing.
        """
        begun, place = running.begun, running.begun.place
        job = restored_job(
            self.job_class, place.job_id, self.connection, self._serializer(begun), fields or self._read(place)
        )
        job._status = JobStatus.STARTED
        job.started_at = running.execution.created_at
        job.worker_name = self.name
        job.redis_server_version = self.get_redis_server_version()
        return job

    def _read(self, place: Place) -> Mapping[bytes, bytes]:
        """A job's hash."""
        fields: Any = self._outage.outlast(lambda: self.connection.hgetall(self.job_class.key_for(place.job_id)))
        return cast(Mapping[bytes, bytes], fields)

    def _serializer(self, begun: Begun) -> Any:
        """What unpacks a job's parts: the worker's own serializer, if it was given one, else by the job's encoding."""
        return serializer_for(begun.data, self._allow) if self._by_encoding else self.serializer

    def _call(self, begun: Begun) -> Call:
        """What a job calls.

        Raises:
            JobRefused: It cannot be read, or may not be called.
        """
        if self._by_encoding:
            return decode_call(begun.data, self._allow)
        return Call(*self.serializer.loads(inflate(begun.data)))

    def _check_values(self, begun: Begun) -> None:
        """Refuse a job with a pickle in its meta or result that names something which is not on the list.

        Raises:
            JobRefused: It has one.
        """
        if not self._allow.active:
            return
        result = (begun.fields or {}).get(b"result")
        for what, packed in (("meta", begun.meta), ("result", result)):
            if packed:
                decode_value(packed, self._allow, what)

    def _execute(self, running: Running, job: Job, function: Callable[..., Any]) -> Any:
        """Call a job's function as RQ does, a coroutine's on the shared loop; not again when only storing failed."""
        call, begun = running.call, running.begun
        assert call is not None
        if begun.result:
            return self._serializer(begun).loads(begun.result)
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
                running.kept = self._serializer(running.begun).dumps(running.value)
            raise Postponed(self._rng.uniform(*_STORE_AGAIN_S), "database") from error
        running.stored = True

    def _ended(self, running: Running, value: Any) -> Ended | None:
        """A plain success as the desk books it; None when RQ's own way is meant: its result is not kept."""
        begun = running.begun
        result_ttl_s = int(begun.result_ttl or self.default_result_ttl)
        if result_ttl_s == 0:
            return None
        packed = ""
        if value is not None:
            serializer = self._serializer(begun)
            try:
                words = serializer.dumps(value)
            except Exception:
                words = serializer.dumps(UNSERIALIZABLE_RETURN_VALUE_PAYLOAD)
            packed = base64.b64encode(words).decode()
        return Ended(begun.place, packed, result_ttl_s, running.started_s, time.time())

    # ------------------------------------------------------------------------------------------- the end, by RQ's code

    def _finish_by_rq(self, running: Running) -> None:
        """Book a success by RQ's code: more hangs on it than a result."""
        try:
            if running.job is None or is_untouched(running.job):
                running.job = self._restored(running)
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
            if not self._book(
                running, lambda: super(Worker, self)._finalize_success(job, queue, execution, return_value)
            ):
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
            except AWAY:
                if self._answers():
                    raise  # it was somebody else's Redis
            if not self._outage.lasts:
                break
        return owned

    def _owns(self, running: Running) -> bool:
        """Whether an execution is still on the books."""
        return self._outage.outlast(lambda: self._desk.owns(running.begun.place))

    def _answers(self) -> bool:
        """Whether Redis answers now; if not, that is noted."""
        try:
            self.connection.ping()
        except AWAY as error:
            self._outage.began(error)
            return False
        return True

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
                running.job = self._restored(running)
        except Exception as unreadable:
            self._fail_unreadable(running, unreadable if running.loaded else error)
            return
        self._fail(running, running.job, exc_info)

    def _put_off(self, running: Running, postponed: Postponed) -> None:
        """Have a job run later, without spending an attempt."""
        self._run_later(
            running, postponed.delay_s, reason=postponed.reason, permits=postponed.permits, result=running.kept
        )
        self._tell_ended(running, JobOutcome.POSTPONED, reason=postponed.reason)

    def _run_later(self, running: Running, delay_s: float, **kept: Any) -> None:
        """Put a job among the scheduled ones; RQ's rate limit lets others in meanwhile."""
        place = running.begun.place
        self._outage.outlast(lambda: self._desk.put_back([place], delay_s=delay_s, **kept))
        if running.begun.fields is not None and running.job is not None and running.job.has_rate_limit:
            running.job._status = JobStatus.SCHEDULED
            self._release_slot_safely(running.job)

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
        self._book(running, lambda: super(Worker, self)._finalize_failure(job, queue, execution, exc_info))
        retried = job.get_status(refresh=False) != JobStatus.FAILED
        self._tell_ended(running, JobOutcome.RETRIED if retried else JobOutcome.DEAD, reason=fate.reason, error=error)

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
        except Exception:
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
        self._run_later(running, again.delay_s, spent=True, reason=again.reason)
        self._tell_ended(running, JobOutcome.RETRIED, reason=again.reason, error=exc_info[1])

    def _mark_dead(self, job: Job, reason: str) -> None:
        """Note why a job is dead, and that it is not kept for ever."""
        if job.failure_ttl is None:
            job.failure_ttl = DEAD_TTL_S
        self._outage.outlast(lambda: self.connection.hset(job.key, "jobctl_reason", reason))

    def _fail_unreadable(self, running: Running, error: BaseException) -> None:
        """Fail a job with the reason; its fields stay as they are, for they cannot be written back unread."""
        if not running.claim():
            return
        place, queue = running.begun.place, running.queue
        job = self.job_class(place.job_id, connection=self.connection, serializer=self.serializer)
        reason = format_exc_info((type(error), error, error.__traceback__))
        label = examine(error, now_s=time.time(), loading=True).reason

        def write() -> None:
            with self.connection.pipeline() as pipeline:
                self.cleanup_execution(job, pipeline, running.execution)
                if self.connection.exists(job.key):
                    job.set_status(JobStatus.FAILED, pipeline)
                    pipeline.hset(job.key, "jobctl_reason", label)
                    pipeline.zadd(queue.failed_job_registry.key, {place.job_id: current_timestamp() + DEAD_TTL_S})
                    pipeline.expire(job.key, DEAD_TTL_S)
                    Result.create_failure(job, DEAD_TTL_S, exc_string=reason, pipeline=pipeline)
                    self.increment_failed_job_count(pipeline)
                pipeline.execute()

        job.origin = queue.name
        self.log.error("Worker %s: job %s cannot be read (%s)", self.name, place.job_id, error)
        self._book(running, write)
        self._tell_ended(running, JobOutcome.DEAD, reason=label, error=error)

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

    def _put_back_running(self) -> None:
        """Put what still runs back to the front of its queue, as if it had never begun."""
        left = [running for running in self._running.values() if running.claim()]
        if not left:
            return
        for running in left:
            if running.region is not None:
                running.region.interrupt(JobStopped("The worker could not wait for it; it goes back to its queue."))
        self._desk.put_back([running.begun.place for running in left])
        self.log.warning("Worker %s: %d unfinished jobs went back to their queues", self.name, len(left))
        for running in left:
            self._running.pop(running.begun.place.execution_id, None)
            self._tell_ended(running, JobOutcome.RETURNED)

    def _handle_stopped_job(self, job: Job, queue: Queue, execution: Execution) -> None:
        """Book a job that somebody stopped, as RQ's forking worker does."""
        self.handle_execution_ended(job, queue, job.stopped_callback_timeout)
        self._stopped_job_id = job.id
        self.log.warning("Worker %s: job %s stopped by user", self.name, job.id)
        try:
            execute_stopped_callback(job, self.death_penalty_class)
        except Exception:
            self.log.exception("Worker %s: stopped callback for job %s raised", self.name, job.id)
        self.handle_job_failure(job, queue=queue, exc_string="Job stopped by user.", execution=execution)

    # -------------------------------------------------------------------------------------------------------- observers

    def _observed(self, running: Running) -> AbstractContextManager[object]:
        """What observers and limiters put around a job's body."""
        running.held = hold(
            running.permits, retry=running.begun.attempt > 1
        )  # in the slot's context: it ends with the job
        if not self._observers:
            return nullcontext()
        started = running.started = self._started(running)
        stack = ExitStack()
        for observer in self._observers:
            stack.enter_context(observer.running(started))
        return stack

    def _started(self, running: Running) -> JobStarted:
        begun = running.begun
        try:
            meta = self._serializer(begun).loads(begun.meta) if begun.meta else {}
        except Exception:
            meta = {}
        return JobStarted(
            job_id=begun.place.job_id,
            queue=begun.place.queue,
            job_type=running.job_type,
            attempt=begun.attempt,
            enqueued_s=_epoch_s(begun.enqueued_at),
            started_s=running.started_s,
            meta=meta if isinstance(meta, Mapping) else {},
        )

    def _tell_ended(
        self,
        running: Running,
        outcome: JobOutcome,
        *,
        reason: str = "",
        error: BaseException | None = None,
        ended_s: float | None = None,
    ) -> None:
        if not self._observers:
            return
        started = running.started or self._started(running)
        event = JobEnded(started, time.time() if ended_s is None else ended_s, outcome, reason, error)
        self._tell(lambda observer: observer.ended(event))

    def _tell(self, what: Callable[[WorkerObserver], None]) -> None:
        """Tell all observers; one that breaks its promise not to raise breaks no job."""
        for observer in self._observers:
            try:
                what(observer)
            except Exception:
                self.log.exception("Worker %s: an observer raised", self.name)

    def _tell_late(self, running: Running) -> None:
        self.log.warning(
            "Worker %s: job %s was taken over, its result is discarded", self.name, running.begun.place.job_id
        )
        self._tell_ended(running, JobOutcome.LATE)

    def _tell_slots(self) -> None:
        """Tell how the slots are used, a few times a second; that they are all free, at once."""
        if not self._observers or (self._running and time.monotonic() - self._told_at_s < _TELL_S):
            return
        self._told_at_s = time.monotonic()
        changed = SlotsChanged(self.concurrency, len(self._running), self._slots.stuck)
        self._tell(lambda observer: observer.slots(changed))

    def _tell_recovered(self, recovered: Recovered) -> None:
        requeued, dead = len(recovered.requeued), len(recovered.dead)
        self.log.warning(
            "Worker %s: worker %s died; %d of its jobs run again, %d are dead",
            self.name,
            recovered.worker,
            requeued,
            dead,
        )
        event = JobsRecovered(recovered.worker, requeued, dead)
        self._tell(lambda observer: observer.recovered(event))

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
                self._stop(lambda place: place.job_id == payload.get("job_id"), payload.get("job_id"))
            case "stop-execution":
                self.request_stop_execution(str(payload.get("execution_id")))
            case _:
                handle_command(self, payload)

    def request_stop_execution(self, execution_id: str) -> None:
        """Stop one running execution."""
        self._stop(lambda place: place.execution_id == execution_id, execution_id)

    def _stop(self, wanted: Callable[[Place], bool], name: str | None) -> None:
        chosen = [running for running in list(self._running.values()) if wanted(running.begun.place)]
        if not chosen:
            self.log.warning("Worker %s: not running %s, command ignored", self.name, name)
        for running in chosen:
            running.stopping = True
            running.wanted = stop = JobStopped("Job stopped by user.")
            if running.region is not None:
                running.region.interrupt(stop)

    # ------------------------------------------------------------------------------------------------------- heartbeats

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Show the worker alive in RQ's place. RQ asks for it all the time; without a timeout that is throttled."""
        if timeout is not None or time.monotonic() - self._beat_at_s >= _BEAT_S / 3:
            self._beat_at_s = time.monotonic()
            super().heartbeat(timeout, pipeline)

    def set_state(self, state: str, pipeline: Pipeline | None = None) -> None:
        """Write the worker's state when it changes."""
        if state != self.get_state():
            super().set_state(state, pipeline)

    def _pulse(self, stop: threading.Event) -> None:
        """Keep the worker and its executions alive in everybody's eyes, and look for workers that are not."""
        steady, beat_at_s, last_s = 0, time.monotonic(), time.monotonic()
        while not stop.wait(self._pulse_s):
            now_s = time.monotonic()
            steady = steady + 1 if now_s - last_s < 2 * self._pulse_s + 1.0 else 0
            last_s = now_s
            try:
                self._desk.pulse(self._due(now_s), worker_ttl_s=self.worker_ttl)
                self.last_pulse_s = time.time()
                if now_s - beat_at_s >= _BEAT_S:
                    self._beat()
                    beat_at_s = now_s
                if steady >= _STEADY_PULSES:
                    self._sweep(self._desk, silence_s=self._silence_s)
            except AWAY as error:
                self._outage.began(error)
                steady = 0
            except Exception:
                self.log.exception("Worker %s: no pulse", self.name)

    def _due(self, now_s: float) -> list[Place]:
        """Executions whose last heartbeat is long ago."""
        due = [
            running
            for running in list(self._running.values())
            if now_s - running.beat_s >= _BEAT_S and not running.stuck
        ]
        for running in due:
            running.beat_s = now_s
        return [running.begun.place for running in due]

    def _beat(self) -> None:
        """RQ's heartbeat; a worker that Redis has forgotten registers again."""
        with self.connection.pipeline(transaction=False) as pipeline:
            self.heartbeat(self.worker_ttl + 60, pipeline)
            forgotten = pipeline.execute()[0] == 1
            if forgotten:
                pipeline.hset(self.key, mapping=self.serialize())
                worker_registration.register(self, pipeline)
                pipeline.execute()

    def _sweep(self, desk: Desk, *, silence_s: float) -> str | None:
        """Put the jobs of one silent worker back to work; its name, or None when there is none."""
        recovered = desk.recover(silence_s=silence_s, abandon_limit=self._abandon_limit)
        if recovered is None:
            return None
        self._tell_recovered(recovered)
        for job_id in recovered.with_dependents:
            job = self.job_class.fetch(job_id, connection=self.connection, serializer=self.serializer)
            Queue(job.origin, connection=self.connection, serializer=self.serializer).enqueue_dependents(job)
        return recovered.worker


#: What RQ's own serializers are given as: in place of either the encoding is recognised job by job.
_PICKLING: Final = (None, "pickle", DEFAULT_SERIALIZER_CLASS, "rq.serializers.PickleSerializer", DefaultSerializer)
_JSON: Final = ("json", "rq.serializers.JSONSerializer", JSONSerializer)
#: Steps of RQ's that the short way leaves out, as they are here.
_STEPS: Final = {
    name: getattr(Worker, name)
    for name in (
        "execute_job",
        "perform_job",
        "prepare_execution",
        "prepare_job_execution",
        "handle_job_success",
        "handle_execution_ended",
        "_finalize_success",
    )
}


def _client(connection: Redis) -> Redis:
    """A client of the same server that waits for no answer for long, and repeats no command by itself.

    A command whose answer was lost may have been carried out.
    """
    pool = connection.connection_pool
    settings = {**pool.connection_kwargs, "socket_timeout": _ANSWER_S, "retry": RedisRetry(NoBackoff(), 0)}
    return type(connection)(connection_pool=type(pool)(connection_class=pool.connection_class, **settings))


def _timeout_s(begun: Begun) -> int:
    """How long a job may run, seconds; negative for as long as it takes."""
    return int(begun.timeout or 0) or _DEFAULT_TIMEOUT_S


def _epoch_s(text: bytes) -> float | None:
    """RQ's UTC timestamps as seconds since the epoch; None when it is none."""
    try:
        return datetime.fromisoformat(text.decode()).timestamp()
    except ValueError:
        return None

"""An RQ worker with many jobs in flight in one process.

Theory of operation. Kinds of threads:

* the main thread sits at the *desk* (see ``rq_desk``): in one round trip it books the jobs that ended since the last
  one and begins as many as there are free slots. Between two turns it waits for a slot to end its job or for the
  *listener* to hear that a queue is no longer empty;
* slot threads run jobs; coroutine jobs share one event loop (see ``rq_slots``). A plain success is left to the desk, so
  that a slot talks to Redis only when something is out of the ordinary;
* the pulse thread shows the worker and its executions alive, and puts the jobs of workers that fell silent back to
  work; one thread, if wanted, is the scheduler; RQ's own hears commands.

How a job runs and ends is told in ``rq_performing``. With half the slots stuck the worker drains and exits with 1, to
be restarted.

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

import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty
from types import FrameType
from typing import Any, Final

import redis.exceptions
from redis.client import Pipeline, PubSub
from redis.exceptions import NoPermissionError
from rq import Queue, worker_registration
from rq.command import handle_command, parse_payload
from rq.defaults import DEFAULT_LOGGING_DATE_FORMAT, DEFAULT_LOGGING_FORMAT
from rq.exceptions import StopRequested
from rq.job import Job
from rq.logutils import setup_loghandlers
from rq.suspension import is_suspended
from rq.worker import BaseWorker, DequeueStrategy, WorkerStatus

from jobctl.adapters.outage import Pauses, is_away
from jobctl.adapters.redis_clock import ClockWatch
from jobctl.adapters.rq_desk import Begun, Booking, Desk, Ended, Place, Recovered
from jobctl.adapters.rq_entry import free
from jobctl.adapters.rq_listener import Listener
from jobctl.adapters.rq_performing import ANSWER_S, BEAT_S, PerformingWorker
from jobctl.adapters.rq_pulse import Pulse
from jobctl.adapters.rq_running import Running
from jobctl.adapters.rq_scheduler import ThreadScheduler
from jobctl.core.events import JobOutcome, JobsRecovered
from jobctl.core.turns import Turns

__all__ = ["JobStopped", "Worker"]

#: Longest wait of the main thread before it looks around, seconds.
_LOOK_S: Final = 0.5
#: Seconds between two looks at whether workers are suspended.
_SUSPENSION_S: Final = 1.0
#: Seconds that a worker tries, after its drain, to tell Redis, and how long it then waits for an answer. With the
#: scheduler and the command channel, which end at the same time, it stops within five seconds, wherever Redis is.
_LAST_WORDS_S: Final = 2.0
_LAST_ANSWER_S: Final = 1.0
#: How long a worker has counted as dead when RQ is about to fail its jobs: they live for sixty seconds and a heartbeat.
_SETTLE_S: Final = 30.0
#: Seconds in which observers send what they hold, at the end.
_FLUSH_S: Final = 2.0
#: A main thread that took so long over one turn is not ready, seconds.
_UNSEEN_S: Final = 30.0


class JobStopped(Exception):
    """Raised inside a job that somebody stopped, or that a drain could not wait for."""


class Worker(PerformingWorker):
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

    def __init__(
        self,
        *args: Any,
        on_ready: Callable[[], None] | None = None,
        weights: Sequence[int] | None = None,
        drain_timeout_s: float | None = None,
        recover_after_s: float = 30.0,
        abandon_limit: int = 3,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, recover_after_s=recover_after_s, **kwargs)
        self._on_ready = on_ready
        self._turns = None if weights is None else Turns(weights)
        self._drain_timeout_s = math.inf if drain_timeout_s is None else drain_timeout_s
        self._abandon_limit = abandon_limit
        self._pulse = Pulse(
            recover_after_s,
            beat=self._show_alive,
            sweep=lambda: self._sweep(self._desk),
            outage=self._outage,
            log=self.log,
        )
        self._clock = ClockWatch(self.connection)
        self._queue_of = {queue.name: self._own(queue) for queue in self.queues}
        self._unbooked: list[tuple[Running, Ended]] = []
        self._doubtful = 0  # the first ones of these may be booked: the answer was lost
        self._reconciled = 0
        self._registered_s = self._looked_at_s = time.monotonic()
        self._beat_at_s = self._suspension_at_s = -math.inf
        self._working = self._suspended = self._worked = False
        self._broken = self._exhausted = self._forced = self._stopped_busy = False
        self._jobs_left: int | None = None
        self._signalled_pid = os.getpid()

    # -------------------------------------------------------------------------------------------------------- lifecycle

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

    @property
    def last_pulse_s(self) -> float | None:
        """When the worker last reached Redis, seconds since the epoch; None while it never did."""
        return self._pulse.last_s

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
        setup_loghandlers(logging_level, date_format, log_format, name="jobctl")
        super().bootstrap(logging_level, date_format, log_format)
        self._install_signal_handlers()
        self._listener = Listener(self.connection, lambda: self._inbox.put(None), self._outage)
        self._pulse.start()
        if self._on_ready is not None:
            self._on_ready()

    def register_birth(self) -> None:
        """Register; a name whose last bearer fell silent may be taken over, once its jobs are back at work."""
        successor = Desk(self.connection, f"{self.name}:successor", (), beat_s=BEAT_S)
        while (name := self._sweep(successor)) is not None:
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
            self.log.warning(
                "Worker %s: stops; waits for %d running jobs%s, a second signal does not",
                self.name,
                len(self._running),
                "" if math.isinf(self._drain_timeout_s) else f" for at most {self._drain_timeout_s:g} s",
            )
            self._carefully(self.set_shutdown_requested_date)
        self._drain(deadline_s)
        last_s = time.monotonic() + _LAST_WORDS_S
        if self._running:
            self._carefully(self._put_back_running, until_s=last_s)
        self._carefully(lambda: self._turn(0), until_s=last_s)
        if not self._stopped_busy:
            self._stop_requested = False  # as RQ has it: a worker that was stopped while idle may work again
        self._pulse.stop()
        self._listener.close()
        self._slots.close()
        self._coroutines.close()
        self._carefully(super().teardown, until_s=last_s)
        self._bound_answers(ANSWER_S)
        self._announcer.close(_FLUSH_S)
        self._obituaries.close()

    def _drain(self, deadline_s: float) -> None:
        """Wait for running jobs and book them, until a monotonic instant or a second signal."""
        pauses = Pauses()
        while not self._forced and time.monotonic() < deadline_s:
            wait_s = _LOOK_S
            try:
                self._turn(0)
            except redis.exceptions.RedisError as error:
                if not is_away(error):
                    raise
                self._outage.began(error)
                wait_s = pauses.next_s()
            if not self._unbooked and len(self._running) <= self._slots.stuck:
                break
            self._collect(min(wait_s, max(0.0, deadline_s - time.monotonic())))

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
        if isinstance(exc, NoPermissionError):
            self.log.warning(
                "Worker %s: it works, but no command reaches it: its Redis user may not hear %s; grant it &rq:*",
                self.name,
                self.pubsub_channel_name,
            )
            pubsub_thread.stop()
            return
        if not is_away(exc):
            super()._pubsub_exception_handler(exc, pubsub, pubsub_thread)
        self._outage.began(exc)
        self._pulse.wait_stopped(1.0)

    def _install_signal_handlers(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._signalled_pid = os.getpid()
            super()._install_signal_handlers()
            signal.signal(signal.SIGHUP, self.request_stop)  # its terminal is gone

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """A first signal: end once running jobs did."""
        if not self._is_a_childs(signum):
            super().request_stop(signum, frame)

    def _is_a_childs(self, signum: int) -> bool:
        """Whether a process that a job forked was signalled: it has the handler too, and ends as if it had not."""
        if os.getpid() == self._signalled_pid:
            return False
        if signum != signal.SIGINT:  # that of a terminal, which means the worker
            signal.signal(signum, signal.SIG_DFL)
            signal.raise_signal(signum)
        return True

    def _shutdown(self) -> None:
        """Called by the signal handler: only set flags."""
        self._stop_requested = True
        self._stopped_busy = bool(self._running)
        self._inbox.put(None)

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:
        """A second signal: do not wait for running jobs. RQ takes one within a second for the first one, sent twice."""
        try:
            if not self._is_a_childs(signum):
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
                entered = burst and not self._running and self._let_in_ready(self.queue_names())
            except redis.exceptions.RedisError as error:
                if not is_away(error):
                    raise
                self._outage.began(error)
                self._collect(pauses.next_s())
                continue
            pauses = Pauses()
            if self._running or begun or entered or self._gates.waiting:
                idle_since_s = time.monotonic()
            elif burst or time.monotonic() - idle_since_s >= max_idle_time_s:
                return
            waits_s = [0.0 if entered else _LOOK_S]
            if begun < wanted:
                waits_s += self._gates.closed_for_s()
                if not burst:
                    self._listener.arm([self._queue_of[name].key for name in self._gates.open_queues()])
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
            self._probe()
            self._outage.ended()
        if self._reconciled != self._outage.count:
            self._reconcile()
        if not wanted and not self._unbooked:
            return 0
        limits = self._gates.admit(wanted)
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
        self._gates.settle(turn, limits)
        for number, ((running, ended), booking) in enumerate(zip(unbooked, turn.bookings, strict=True)):
            self._booked(running, ended, booking, doubtful=number < doubtful)
        self._announcer.slots(self.concurrency, len(self._running), self._slots.stuck)
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

    def _hand_out(self, begun: Begun) -> None:
        running = Running(begun, self._queue_of[begun.place.queue], self.name, self._give_up)
        running.permits = self._gates.permits_of(begun)
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
            seconds = ended.ended_s - ended.started_s
            words = (self.name, ended.place.queue, running.job_type, seconds, ended.place.job_id)
            self.log.info("Worker %s: %s: %s OK in %.3f s (%s)", *words)

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
        """Once a second what RQ does before each job, suspension and maintenance, and a look at what is left lying."""
        if time.monotonic() - self._suspension_at_s < _SUSPENSION_S:
            return
        self._reconcile()
        self._let_in_ready(self.queue_names())
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
        while self._working and self._sweep(self._desk, dead_for_s=_SETTLE_S) is not None:
            pass
        super().clean_registries()

    # --------------------------------------------------------------------------------------------------------- commands

    def handle_payload(self, message: dict[str, Any]) -> None:
        """Handle a command from outside, on the listening thread, which one that means nothing must not end."""
        try:
            self._obey(parse_payload(message))
        except Exception as error:
            self.log.warning("Worker %s: a command that means nothing was ignored (%r)", self.name, error)

    def _obey(self, payload: dict[Any, Any]) -> None:
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
        if timeout is not None or time.monotonic() - self._beat_at_s >= BEAT_S / 3:
            self._beat_at_s = time.monotonic()
            super().heartbeat(timeout, pipeline)

    def set_state(self, state: str, pipeline: Pipeline | None = None) -> None:
        """Write the worker's state when it changes."""
        if state != self.get_state():
            super().set_state(state, pipeline)

    def _show_alive(self) -> None:
        """One beat of the pulse."""
        now_s = time.monotonic()
        self._desk.pulse(self._due(now_s), self._clock.ask())
        if now_s - self._registered_s >= BEAT_S:
            self._beat()
            self._registered_s = now_s

    def _due(self, now_s: float) -> list[Place]:
        """Executions whose last heartbeat is long ago."""
        due = [
            running
            for running in list(self._running.values())
            if now_s - running.beat_s >= BEAT_S and not running.stuck
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

    def _sweep(self, desk: Desk, *, dead_for_s: float = 0.0) -> str | None:
        """Put the jobs of one silent worker back to work; its name, or None when there is none."""
        recovered = desk.recover(abandon_limit=self._abandon_limit, dead_for_s=dead_for_s)
        if recovered is None:
            return None
        self._tell_recovered(recovered)
        free(self.connection, recovered.dead)
        queue = self._own(Queue(connection=self.connection, serializer=self.serializer))
        for job_id in recovered.with_dependents:
            queue.enqueue_dependents(self.job_class(job_id, connection=self.connection, serializer=self.serializer))
        return recovered.worker

    def _tell_recovered(self, recovered: Recovered) -> None:
        requeued, dead = len(recovered.requeued), len(recovered.dead)
        self.log.warning(
            "Worker %s: worker %s died; %d of its jobs run again, %d are dead",
            self.name,
            recovered.worker,
            requeued,
            dead,
        )
        self._announcer.recovered(JobsRecovered(recovered.worker, requeued, dead))


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

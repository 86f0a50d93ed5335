"""Sentry: jobs that failed for good as errors, and their way from enqueuer to worker as a trace.

* Each job runs in an isolation scope of its own, so tags and breadcrumbs of one never show in another; coroutines,
  which run in a copy of their slot's context, share their job's scope.
* An error is sent when its outcome is known, which is after the job's body ended: its scope is kept until then.
* The trace is continued from the job's meta, under the key that the SDK's own RQ integration uses, so that an enqueuer
  with that integration is linked as well. The integration itself stays off: it patches the methods that
  :class:`jobctl.Worker` replaces.
* Only the SDK's integrations listed here are on. The one that sends the command line is not among them, and no library
  is patched because it happens to be installed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final, NamedTuple

import sentry_sdk
from sentry_sdk.consts import OP, SPANDATA, SPANSTATUS
from sentry_sdk.integrations.atexit import AtexitIntegration
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.integrations.excepthook import ExcepthookIntegration
from sentry_sdk.integrations.logging import LoggingIntegration, ignore_logger
from sentry_sdk.integrations.threading import ThreadingIntegration
from sentry_sdk.scope import Scope, use_isolation_scope
from sentry_sdk.tracing import Span, Transaction, TransactionSource
from sentry_sdk.utils import capture_internal_exceptions, event_from_exception

from jobctl.core.events import JobEnded, JobOutcome, JobsRecovered, JobStarted, SlotsChanged
from jobctl.core.scrubbing import make_scrubber
from jobctl.errors import Postponed
from jobctl.ports import UpstreamAnswer

__all__ = ["TRACE_META_KEY", "SentryObserver", "finish", "publishing", "start"]

#: Where a job's meta holds the trace that it belongs to, as ``sentry_sdk.integrations.rq`` has it.
TRACE_META_KEY: Final = "_sentry_trace_headers"
_ORIGIN: Final = "manual.queue.jobctl"
#: Loggers whose lines are about the worker: a job that failed is reported as such, not by the line that says so.
_OWN_LOGGERS: Final = ("jobctl", "jobctl.*", "rq", "rq.*")
#: What a trace says of a job whose error RQ caught inside the job's body, as it does where it runs one by itself.
_STATUSES: Final = {
    JobOutcome.DEAD: SPANSTATUS.INTERNAL_ERROR,
    JobOutcome.RETRIED: SPANSTATUS.INTERNAL_ERROR,
    JobOutcome.POSTPONED: SPANSTATUS.ABORTED,
}
_BATCH_COUNT: Final = "messaging.batch.message_count"


def start(dsn: str, *, traces_sample_rate: float, secrets: Iterable[str] = ()) -> None:
    """Begin to send, for the whole process.

    Args:
        dsn: Where to.
        traces_sample_rate: Share of the traces begun here that are kept, 0 to 1. A trace begun elsewhere is kept or
            not as its beginner decided.
        secrets: Texts that must not leave.
    """
    scrub = make_scrubber([dsn, *secrets])
    for name in _OWN_LOGGERS:
        ignore_logger(name)
    sentry_sdk.init(
        dsn=dsn,
        traces_sample_rate=traces_sample_rate,
        default_integrations=False,
        integrations=[
            AtexitIntegration(callback=lambda pending, timeout: None),
            DedupeIntegration(),
            ExcepthookIntegration(),
            LoggingIntegration(),
            ThreadingIntegration(),
        ],
        include_local_variables=False,
        auto_session_tracking=False,
        before_send=lambda event, hint: scrub(event),  # breadcrumbs leave inside of events and transactions alone
        before_send_transaction=lambda event, hint: scrub(event),
    )


def finish(timeout_s: float) -> None:
    """Send what is still held, within that many seconds, and no more."""
    sentry_sdk.get_client().close(timeout=timeout_s)


@contextmanager
def publishing(queue: str, job_ids: Sequence[str]) -> Iterator[Mapping[str, Mapping[str, str]]]:
    """A ``queue.publish`` span around the enqueueing of some jobs in one round trip.

    It belongs to the span it is opened in, and is a transaction of its own where there is none.

    Args:
        queue: The queue's name.
        job_ids: The jobs.

    Yields:
        What to put into each job's meta; empty where Sentry was not started.
    """
    if not sentry_sdk.get_client().is_active():
        yield {}
        return
    begin = sentry_sdk.start_transaction if sentry_sdk.get_current_span() is None else sentry_sdk.start_span
    with begin(op=OP.QUEUE_PUBLISH, name=queue, origin=_ORIGIN) as span:
        span.set_data(SPANDATA.MESSAGING_SYSTEM, "rq")
        span.set_data(SPANDATA.MESSAGING_DESTINATION_NAME, queue)
        if len(job_ids) == 1:
            span.set_data(SPANDATA.MESSAGING_MESSAGE_ID, job_ids[0])
        else:
            span.set_data(_BATCH_COUNT, len(job_ids))
        yield {TRACE_META_KEY: dict(sentry_sdk.get_current_scope().iter_trace_propagation_headers(span=span))}


class _Held(NamedTuple):
    """What an error that a job raised is sent with."""

    scope: Scope
    span: Span | None


class SentryObserver:
    """Tells Sentry about a worker's jobs.

    Args:
        dsn: Where to.
        traces_sample_rate: As :func:`start` takes it.
        every_error: Send the error of each attempt that failed, not only of the last one.
        secrets: Texts that must not leave.
    """

    def __init__(
        self, dsn: str, *, traces_sample_rate: float = 0.0, every_error: bool = False, secrets: Iterable[str] = ()
    ) -> None:
        start(dsn, traces_sample_rate=traces_sample_rate, secrets=secrets)
        self._begins_traces = traces_sample_rate > 0
        self._sent = {JobOutcome.DEAD, JobOutcome.RETRIED} if every_error else {JobOutcome.DEAD}
        self._held: dict[tuple[str, int, float], _Held] = {}

    @contextmanager
    def running(self, started: JobStarted) -> Iterator[None]:
        """Give the job a scope of its own and, if its trace is kept, a ``queue.process`` transaction."""
        postponed = None
        with sentry_sdk.isolation_scope() as scope:
            scope.clear_breadcrumbs()
            scope.set_tags(_tags(started))
            transaction = self._transaction(started, scope)
            around: AbstractContextManager[object] = (
                nullcontext() if transaction is None else sentry_sdk.start_transaction(transaction)
            )
            with around:
                self._held[_key(started)] = _Held(scope, transaction)
                try:
                    yield
                except Postponed as error:  # which is no error of the trace
                    postponed = error
                if transaction is not None and not transaction.status:  # the outcome may have been told already
                    transaction.set_status(SPANSTATUS.OK if postponed is None else SPANSTATUS.ABORTED)
        if postponed is not None:
            raise postponed

    def ended(self, ended: JobEnded) -> None:
        """Send the error, if it is one to be sent."""
        held = self._held.pop(_key(ended.started), None)
        if held is not None and held.span is not None and ended.outcome in _STATUSES:
            held.span.set_status(_STATUSES[ended.outcome])  # without effect if the body has ended
        if ended.outcome not in self._sent:
            return
        kept = Scope() if held is None else held.scope
        with capture_internal_exceptions(), use_isolation_scope(kept) as scope:
            scope.set_tags({**_tags(ended.started), "outcome": ended.outcome.value, "reason": ended.reason})
            if held is not None and held.span is not None:
                sentry_sdk.get_current_scope().span = held.span
            self._send(ended)

    def recovered(self, recovered: JobsRecovered) -> None:
        """Send that jobs were given up because every worker that began them died."""
        if recovered.dead:
            with capture_internal_exceptions():
                sentry_sdk.capture_message(
                    f"{recovered.dead} jobs are dead: each worker that began them died", level="error"
                )

    def slots(self, changed: SlotsChanged) -> None:
        """Nothing for Sentry."""

    def answered(self, answer: UpstreamAnswer) -> None:
        """Name the model of the job that runs in this context."""
        sentry_sdk.get_isolation_scope().set_tag("model", answer.model)

    def close(self, timeout_s: float) -> None:
        """Send what is held, within so many seconds, and end."""
        sentry_sdk.get_client().close(timeout=timeout_s)

    def _transaction(self, started: JobStarted, scope: Scope) -> Transaction | None:
        """The job's transaction, not begun; None when it would be kept in no case."""
        given = started.meta.get(TRACE_META_KEY)
        headers = {str(key): value for key, value in given.items()} if isinstance(given, Mapping) else {}
        headers = {key: value for key, value in headers.items() if isinstance(value, str)}
        if not headers and not self._begins_traces:
            scope.set_new_propagation_context()
            return None
        transaction = scope.continue_trace(
            headers,
            op=OP.QUEUE_PROCESS,
            name=started.job_type or "unknown",
            source=TransactionSource.TASK,
            origin=_ORIGIN,
        )
        transaction.set_data(SPANDATA.MESSAGING_SYSTEM, "rq")
        transaction.set_data(SPANDATA.MESSAGING_MESSAGE_ID, started.job_id)
        transaction.set_data(SPANDATA.MESSAGING_DESTINATION_NAME, started.queue)
        transaction.set_data(SPANDATA.MESSAGING_MESSAGE_RETRY_COUNT, started.attempt - 1)
        if started.wait_s is not None:  # Sentry counts it in milliseconds
            transaction.set_data(SPANDATA.MESSAGING_MESSAGE_RECEIVE_LATENCY, started.wait_s * 1000)
        return transaction

    def _send(self, ended: JobEnded) -> None:
        if ended.error is None:
            message = (
                f"job of {ended.started.job_type or 'an unknown function'} is {ended.outcome.value}: {ended.reason}"
            )
            sentry_sdk.capture_message(message, level="error")
            return
        event, hint = event_from_exception(
            ended.error,
            client_options=sentry_sdk.get_client().options,
            mechanism={"type": "jobctl", "handled": ended.outcome is JobOutcome.RETRIED},
        )
        sentry_sdk.capture_event(event, hint=hint)


def _tags(started: JobStarted) -> dict[str, Any]:
    tags = {
        "job": started.job_id,
        "queue": started.queue,
        "attempt": str(started.attempt),
        "job_type": started.job_type or "unknown",
    }
    model = started.meta.get("model")
    return {**tags, "model": model} if isinstance(model, str) else tags


def _key(started: JobStarted) -> tuple[str, int, float]:
    return started.job_id, started.attempt, started.started_s

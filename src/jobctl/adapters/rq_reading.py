"""Reading a job that was begun: its call, its parts, and RQ's object for it, without running what they hold."""

# mypy: allow-untyped-calls
# RQ is typed in part only, and what a subclass inherits from it counts as its own.

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from redis import Redis
from rq.defaults import DEFAULT_SERIALIZER_CLASS, UNSERIALIZABLE_RETURN_VALUE_PAYLOAD
from rq.job import Job, JobStatus
from rq.serializers import DefaultSerializer, JSONSerializer

from jobctl.adapters.outage import Outage
from jobctl.adapters.rq_codec import (
    Call,
    JobSerializer,
    check_callbacks,
    decode_call,
    decode_value,
    inflate,
    serializer_for,
)
from jobctl.adapters.rq_desk import Begun, Place
from jobctl.adapters.rq_jobs import lazy_job, restored_job
from jobctl.adapters.rq_running import Running
from jobctl.adapters.rq_time import epoch_s
from jobctl.core.allowing import Allowlist
from jobctl.core.events import JobStarted

__all__ = ["Reader", "resolve_serializer"]

#: What RQ's own serializers are given as: in place of either the encoding is recognised job by job.
_PICKLING: Final = (None, "pickle", DEFAULT_SERIALIZER_CLASS, "rq.serializers.PickleSerializer", DefaultSerializer)
_JSON: Final = ("json", "rq.serializers.JSONSerializer", JSONSerializer)


def resolve_serializer(given: Any, allow: Allowlist) -> tuple[Any, bool]:
    """The serializer for RQ's own code, and whether the encoding is recognised job by job.

    Args:
        given: What the worker was given.
        allow: What pickles may name.
    """
    return JobSerializer(allow) if given in _PICKLING else given, given in _PICKLING or given in _JSON


class Reader:
    """Reads the jobs of one worker.

    Args:
        connection: Redis.
        job_class: RQ's, or one derived from it.
        serializer: Unpacks parts of jobs; None when the encoding is recognised job by job.
        allow: What may be imported and unpickled.
        outage: Outlasts Redis being away.
        worker_name: The worker's name in Redis.
        redis_version: Tells that of the server.
    """

    def __init__(
        self,
        connection: Redis,
        job_class: type[Job],
        serializer: Any,
        allow: Allowlist,
        outage: Outage,
        worker_name: str,
        redis_version: Callable[[], Any],
    ) -> None:
        self._connection = connection
        self._job_class = job_class
        self._serializer = serializer
        self._allow = allow
        self._outage = outage
        self._worker_name = worker_name
        self._redis_version = redis_version

    def serializer(self, begun: Begun) -> Any:
        """What unpacks a job's parts."""
        return serializer_for(begun.data, self._allow) if self._serializer is None else self._serializer

    def call(self, begun: Begun) -> Call:
        """What a job calls; what else it carries is checked.

        Raises:
            JobRefused: It cannot be read, or it names something that is not on the list.
        """
        if self._allow.active:
            result = (begun.fields or {}).get(b"result")
            for what, packed in (("meta", begun.meta), ("result", result)):
                if packed:
                    decode_value(packed, self._allow, what)
        if self._serializer is None:
            return decode_call(begun.data, self._allow)
        return Call(*self._serializer.loads(inflate(begun.data)))

    def lazy(self, running: Running) -> Job:
        """RQ's object for a plain job, read when somebody looks at it."""
        begun = running.begun
        place = begun.place
        return lazy_job(
            self._job_class, place.job_id, self._connection, self.serializer(begun), lambda: self._read(place)
        )

    def special(self, running: Running) -> Job:
        """RQ's object for a job that has more to it than a function to call; what it may call back is checked.

        Raises:
            JobRefused: It calls back something that is not on the list.
            Exception: Its hash means nothing.
        """
        fields = running.begun.fields or {}
        callbacks = (fields.get(f"{kind}_callback_name".encode()) for kind in ("success", "failure", "stopped"))
        check_callbacks((name.decode() for name in callbacks if name), fields.get(b"webhooks"), self._allow)
        return self.restored(running, running.begun.fields)

    def restored(self, running: Running, fields: Mapping[bytes, bytes] | None = None) -> Job:
        """RQ's object for a job, read, and as it is since it was begun.

        Raises:
            Exception: Its hash is gone or means nothing.
        """
        begun, place = running.begun, running.begun.place
        job = restored_job(
            self._job_class, place.job_id, self._connection, self.serializer(begun), fields or self._read(place)
        )
        job._status = JobStatus.STARTED
        job.started_at = running.execution.created_at
        job.worker_name = self._worker_name
        job.redis_server_version = self._redis_version()
        return job

    def _read(self, place: Place) -> Mapping[bytes, bytes]:
        """A job's hash."""
        fields: Any = self._outage.outlast(lambda: self._connection.hgetall(self._job_class.key_for(place.job_id)))
        return cast(Mapping[bytes, bytes], fields)

    def packed(self, begun: Begun, value: Any) -> str:
        """A result as RQ packs it; empty for None."""
        if value is None:
            return ""
        serializer = self.serializer(begun)
        try:
            words = serializer.dumps(value)
        except Exception:
            words = serializer.dumps(UNSERIALIZABLE_RETURN_VALUE_PAYLOAD)
        return base64.b64encode(words).decode()

    def started(self, running: Running) -> JobStarted:
        """What observers are told of a job's start."""
        begun = running.begun
        try:
            meta = self.serializer(begun).loads(begun.meta) if begun.meta else {}
        except Exception:
            meta = {}
        return JobStarted(
            job_id=begun.place.job_id,
            queue=begun.place.queue,
            job_type=running.job_type,
            attempt=begun.attempt,
            enqueued_s=epoch_s(begun.enqueued_at),
            started_s=running.started_s,
            meta=meta if isinstance(meta, Mapping) else {},
        )

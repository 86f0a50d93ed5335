"""The hash of an RQ job, made by RQ once for all jobs that are alike.

RQ builds a Job object for each job and lets it write itself, which costs a generator of load several times what Redis
takes for it. Jobs of one function differ in their id, their arguments and two timestamps only. So RQ makes one of them,
and the others are cast in its mould.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from rq import Queue
from rq.job import JobStatus

from jobctl.adapters.rq_time import rq_time

__all__ = ["JobMould"]

_VARIABLE: Final = frozenset({"data", "created_at", "enqueued_at"})


class JobMould:
    """Jobs of one function with one set of options.

    Args:
        queue: Where they go.
        function: Its dotted path.
        timeout_s: How long one may run, whole seconds.
        result_ttl_s: How long finished ones are kept, seconds; RQ's default when None.
        failure_ttl_s: How long failed ones are, likewise.
        meta: What is attached to each.
    """

    def __init__(
        self,
        queue: Queue,
        function: str,
        *,
        timeout_s: int,
        result_ttl_s: int | None,
        failure_ttl_s: int | None,
        meta: dict[str, Any] | None,
    ) -> None:
        self._function = function
        #: What is attached to each.
        self.meta = meta
        self._dumps = queue.serializer.dumps
        job = queue.create_job(
            function,
            timeout=timeout_s,
            result_ttl=result_ttl_s,
            failure_ttl=failure_ttl_s,
            description=function,
            meta=meta,
            status=JobStatus.QUEUED,
        )
        job.enqueued_at = datetime.now(UTC)
        fields = {**job.to_dict(include_result=False), "status": str(JobStatus.QUEUED.value)}
        self._fixed = [
            word if isinstance(word, bytes) else str(word).encode()
            for name, value in fields.items()
            if name not in _VARIABLE
            for word in (name, value)
        ]

    def cast(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], now_s: float) -> list[bytes | str]:
        """The fields and values of a job's hash, one after the other.

        Args:
            args: Positional arguments of its function.
            kwargs: Its keyword arguments.
            now_s: When it is made and enqueued, seconds since the epoch.

        Raises:
            TypeError: JSON cannot express an argument.
        """
        now = rq_time(now_s)
        data = zlib.compress(self._dumps((self._function, None, args, dict(kwargs))))
        return [*self._fixed, "data", data, "created_at", now, "enqueued_at", now]

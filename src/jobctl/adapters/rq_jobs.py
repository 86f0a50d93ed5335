"""Jobs as the worker runs them: RQ's own class, read from Redis only when somebody looks.

Nearly all jobs call a function and never ask for ``get_current_job()``. Such a job needs no more than its call; the
rest of its hash is read when its first attribute is, and a job that somebody looked at goes RQ's own way to its end,
because he may have changed it.
"""

# mypy: allow-untyped-calls
# RQ is typed in part only, and what a subclass inherits from it counts as its own.

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import cache
from threading import RLock
from typing import Any, Final

from redis import Redis
from rq.job import Job, JobStatus

__all__ = ["is_untouched", "lazy_job", "once_only", "restored_job", "run_coroutine"]

#: Runs a coroutine to its end from the thread of a slot; unset where RQ's own way is meant.
run_coroutine: ContextVar[Callable[[Any], Any] | None] = ContextVar("run_coroutine", default=None)

#: What a job has before it is read.
_OWN: Final = frozenset({"_id", "connection", "serializer", "_read"})
#: Held while one is read: the threads of a job may look at it at once.
_reading: Final = RLock()


def lazy_job(
    job_class: Any, job_id: str, connection: Redis, serializer: Any, read: Callable[[], Mapping[bytes, bytes]]
) -> Job:
    """A job that is read when it is looked at.

    Args:
        job_class: RQ's, or one derived from it.
        job_id: Its id.
        connection: Redis.
        serializer: Unpacks its parts.
        read: Fetches its hash.
    """
    job: Job = object.__new__(_lazy(job_class))
    job.__dict__.update(_id=job_id, connection=connection, serializer=serializer, _read=read)
    return job


def is_untouched(job: Job) -> bool:
    """Whether nobody has looked at a lazy job."""
    return len(job.__dict__) == len(_OWN)


def restored_job(job_class: Any, job_id: str, connection: Redis, serializer: Any, fields: Mapping[bytes, bytes]) -> Job:
    """A job with its hash; its coroutine runs on the worker's shared loop.

    Raises:
        Exception: The hash means nothing; what RQ raises depends on what is in it.
    """
    job: Job = _on_shared_loop(job_class)(job_id, connection=connection, serializer=serializer)
    job.restore(fields)
    return job


@cache
def _on_shared_loop(job_class: Any) -> Any:
    """The class with a coroutine run on the worker's loop instead of one of its own, and equal to jobs of the class."""

    def _execute(self: Job) -> Any:
        run = run_coroutine.get()
        if run is None or self.func is None:
            return job_class._execute(self)
        result = self.func(*self.args, **self.kwargs)
        return run(result) if asyncio.iscoroutine(result) else result

    def __eq__(self: Job, other: object) -> bool:  # noqa: N807 - it becomes a method
        return isinstance(other, job_class) and self.id == other.id

    own = {"_execute": _execute, "__eq__": __eq__, "__hash__": job_class.__hash__}
    return type(job_class.__name__, (job_class,), {**_names(job_class), **own})


@cache
def _lazy(job_class: Any) -> Any:
    base = _on_shared_loop(job_class)

    def __getattr__(self: Job, name: str) -> Any:  # noqa: N807 - it becomes a method
        own = self.__dict__
        with _reading:
            read = own.get("_read")
            if read is not None:
                whole = base(own["_id"], connection=own["connection"], serializer=own["serializer"])
                whole.restore(read())
                own.update({**whole.__dict__, **own})
                del own["_read"]
        if read is None and name not in own:
            raise AttributeError(name)
        return getattr(self, name)

    return type(job_class.__name__, (base,), {**_names(job_class), "__getattr__": __getattr__})


@cache
def once_only(job_class: Any) -> Any:
    """The class with dependents that enter their queue once, though two jobs they wait for end at the same moment."""

    def dependencies_are_met(self: Job, *args: Any, pipeline: Any = None, **kwargs: Any) -> bool:
        if pipeline is not None:
            pipeline.watch(self.key)
            if pipeline.hget(self.key, "status") != JobStatus.DEFERRED.value.encode():
                return False
        met: bool = job_class.dependencies_are_met(self, *args, pipeline=pipeline, **kwargs)
        return met

    return type(job_class.__name__, (job_class,), {**_names(job_class), "dependencies_are_met": dependencies_are_met})


def _names(job_class: type[Job]) -> dict[str, str]:
    return {"__module__": job_class.__module__, "__qualname__": job_class.__qualname__}

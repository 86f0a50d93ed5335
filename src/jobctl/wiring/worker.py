"""The worker, built from the settings."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING
from uuid import uuid4

from jobctl.errors import InvalidOption
from jobctl.wiring.importing import importable_from_here
from jobctl.wiring.limiter import bind_tasks, make_gates, make_limiter
from jobctl.wiring.observers import make_observers
from jobctl.wiring.redis import open_redis
from jobctl.wiring.results import make_results

if TYPE_CHECKING:
    from jobctl.adapters.rq_worker import Worker
    from jobctl.settings import Settings

__all__ = ["run_worker", "worker_class"]


def worker_class() -> type[Worker]:
    """The worker, with the settings' slots and allowlist for those that are not told otherwise.

    Raises:
        InvalidOption: A setting means nothing.
    """
    from jobctl import settings
    from jobctl.adapters.rq_worker import Worker

    merged = settings.load({})
    Worker.default_concurrency, Worker.default_allow = merged.concurrency, merged.allow
    return Worker


def run_worker(settings: Settings, *, burst: bool, name: str | None, verbose: bool, say: Callable[[str], None]) -> int:
    """Work until told to stop, or, in a burst, until the queues are empty.

    Args:
        settings: All that a worker is told.
        burst: End when the queues are empty.
        name: The worker's name in Redis.
        verbose: Log each job.
        say: Takes the line that says that it listens.

    Returns:
        The exit status: 1 when the worker broke, or half its slots are stuck, and it should be restarted.

    Raises:
        InvalidOption: A worker of that name is alive, or a setting means nothing.
        ServiceUnavailable: Redis or the database does not answer.
    """
    import os
    import socket

    from jobctl.adapters.processes import ProcessGroup
    from jobctl.adapters.rq_worker import Worker

    if name is not None and name.split() != [name]:
        raise InvalidOption("--name", f"{name!r} is empty or has a blank in it", "give a name such as worker-1")
    importable_from_here()
    with ExitStack() as stack:
        # Where a Redis is named it starts no process: as process 1 of a container it has none to reap.
        group = stack.enter_context(ProcessGroup()) if settings.redis_url is None else None
        connection, redis_url = open_redis(settings, group)
        observation = make_observers(settings, redis_url)
        stack.callback(observation.close)
        results = make_results(settings, observation.pool)
        if results is not None:
            stack.callback(results.close)
        limiter = make_limiter(settings, connection)
        bind_tasks(settings, limiter, observers=observation.upstream, limiter_observer=observation.limiter)
        shown_url = redis_url if settings.redis_url is None else settings.masked_redis_url
        worker_name = name or f"{socket.gethostname()}.{os.getpid()}.{uuid4().hex[:6]}"
        metrics = "" if observation.port is None else f", metrics on port {observation.port}"
        ready = (
            f"jobctl work: {worker_name} listening on {settings.queues} with {settings.concurrency} slots "
            f"(pid {os.getpid()}, Redis {shown_url}{metrics})"
        )
        worker = Worker(
            list(settings.queues),
            name=worker_name,
            connection=connection,
            log_job_description=verbose,
            concurrency=settings.concurrency,
            on_ready=lambda: say(ready),
            weights=settings.queues.weights,
            policies=settings.retries,
            drain_timeout_s=settings.drain_timeout_s,
            recover_after_s=settings.recover_after_s,
            abandon_limit=settings.abandon_limit,
            allow=settings.allow,
            results=results,
            observers=observation.workers,
            gates=make_gates(settings, limiter),
        )
        observation.watch(
            unready=worker.unready,
            last_heartbeat_s=lambda: worker.last_pulse_s,
            pool_use=None if results is None else results.pool_use,
        )
        try:
            level = "INFO" if verbose else "WARNING"
            worker.work(burst=burst, logging_level=level, date_format="%Y-%m-%d %H:%M:%S", with_scheduler=True)
        except ValueError as error:
            if "There exists an active worker" not in str(error):
                raise
            raise InvalidOption("--name", f"a worker named {worker_name!r} is alive", "give another name") from None
        except SystemExit as stop:
            return int(stop.code or 0)
    return 0

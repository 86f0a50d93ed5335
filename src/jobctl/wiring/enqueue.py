"""Jobs on somebody's queue, as `jobctl enqueue` puts them there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from jobctl.errors import InvalidOption
from jobctl.wiring.observers import publishing_jobs

if TYPE_CHECKING:
    from redis import Redis

    from jobctl.apps.enqueue.enqueue import EnqueueRequest, Progress
    from jobctl.core.arrivals import Arrivals
    from jobctl.settings import Settings

__all__ = ["enqueue"]

_GIVE_REDIS: Final = "give the URL of the Redis that your workers listen to, or set REDIS_URL"


def enqueue(
    settings: Settings,
    *,
    count: int | None,
    rate_per_s: float | None,
    duration_s: float | None,
    arrivals: Arrivals,
    job: str | None,
    args_from: str | None,
    service_law: str | None,
    queue: str,
    job_timeout_s: int,
    seed: int,
) -> Iterator[Progress]:
    """Prepare the enqueueing of jobs; iterate over what is returned to do it, on the main thread.

    Meanwhile the first Ctrl-C or SIGTERM waits until the batch under way is in, and the second does not.

    Args:
        settings: Name the Redis.
        count: How many jobs; None for as many as the duration holds.
        rate_per_s: How many each second; None for all at once.
        duration_s: For how long; None until the count is reached.
        arrivals: How gaps vary.
        job: A synthetic job type or a dotted path.
        args_from: File of arguments.
        service_law: How long ``sleep`` jobs take, as text.
        queue: The queue's name.
        job_timeout_s: How long a job may run.
        seed: Seed of gaps and drawn arguments.

    Returns:
        How far it got, before and after each round trip. It raises KeyboardInterrupt once it was stopped, and
        ServiceUnavailable when Redis is lost.

    Raises:
        InvalidOption: The values mean nothing together.
        ServiceUnavailable: Redis does not answer.
    """
    from jobctl.adapters import files
    from jobctl.adapters.redis_connection import connect
    from jobctl.apps.enqueue.enqueue import EnqueueRequest, choose_workload, make_instants

    instants = make_instants(count=count, rate_per_s=rate_per_s, duration_s=duration_s, arrivals=arrivals, seed=seed)
    workload = choose_workload(job, files.read_payloads(args_from) if args_from else None, service_law)
    if settings.redis_url is None:
        raise InvalidOption(
            "--redis-url", "is not given, and an embedded Redis would end with this command", _GIVE_REDIS
        )
    connection = connect(settings.redis_url, option=settings.origins["redis_url"].name)
    # As many digits as RQ's own ids have: jobs of other runs may still be there.
    request = EnqueueRequest(uuid4().hex, instants, workload, seed, job_timeout_s)
    return _fire(settings, request, connection, queue)


def _fire(settings: Settings, request: EnqueueRequest, connection: Redis, queue: str) -> Iterator[Progress]:
    from jobctl.adapters.clock import SystemClock
    from jobctl.adapters.rq_fleet import ENQUEUED_KEY
    from jobctl.adapters.rq_queue import RqQueue
    from jobctl.adapters.signals import Interruption
    from jobctl.apps.enqueue.enqueue import fire

    with connection, Interruption(lambda: None) as interruption, publishing_jobs(settings) as publishing:
        jobs = RqQueue(connection, queue, publishing=publishing, counted=ENQUEUED_KEY)
        yield from fire(request, jobs, SystemClock(), lambda: interruption.happened)
    if interruption.happened:
        raise KeyboardInterrupt

"""Put jobs into a queue: all at once, or one after the other on a schedule that no slow worker can delay."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from jobctl.core.arrivals import Arrivals, Stage, make_schedule
from jobctl.core.pacing import Send, Stop, Wait, pace
from jobctl.core.workload import Payload, Workload, make_workload
from jobctl.errors import InvalidOption, InvalidValue
from jobctl.ports import Clock, JobQueue, JobRequest

__all__ = ["MOST_JOBS", "EnqueueRequest", "Progress", "choose_workload", "fire", "make_instants"]

#: A mistyped zero should not fill somebody's Redis.
MOST_JOBS: Final = 10_000_000
#: Jobs of one round trip.
_BATCH: Final = 500
#: How long to sleep before looking whether to stop, seconds.
_LONGEST_SLEEP_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class EnqueueRequest:
    """What is to be enqueued.

    Attributes:
        run_id: Prefix of the job ids.
        instants: When each job is due, seconds from the start, ascending.
        workload: The jobs.
        seed: Seed of drawn arguments.
        job_timeout_s: How long a job may run, whole seconds.
    """

    run_id: str
    instants: array[float]
    workload: Workload
    seed: int
    job_timeout_s: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it got.

    Attributes:
        enqueued: Jobs that the queue has taken.
        under_way: Jobs that were sent and not acknowledged; all of them are in, or none.
    """

    enqueued: int
    under_way: int


def choose_workload(job: str | None, payloads: Sequence[Payload] | None, service_law: str | None) -> Workload:
    """Settle which jobs are enqueued.

    Args:
        job: A synthetic type or a dotted path; None for the default type.
        payloads: Arguments that were given; None for the type's own.
        service_law: How long ``sleep`` jobs hold their slot, as text.

    Raises:
        InvalidOption: There is no such job, or it has no use for a law.
    """
    try:
        workload = make_workload(job, payloads=payloads, service_law=service_law)
    except InvalidValue as error:
        raise InvalidOption("--job", error.problem, error.remedy) from None
    if service_law is not None and workload.service_law is None:
        remedy = "drop it, or use --job sleep" if workload.job_type != "sleep" else "drop it, or --args-from"
        raise InvalidOption("--service-time", "has no meaning for these jobs", remedy)
    return workload


def make_instants(
    *, count: int | None, rate_per_s: float | None, duration_s: float | None, arrivals: Arrivals, seed: int
) -> array[float]:
    """When each job is due, in seconds from the start.

    Args:
        count: How many jobs; None for as many as the duration holds.
        rate_per_s: How many each second; None for all at once.
        duration_s: For how long; None until the count is reached.
        arrivals: How gaps vary.
        seed: Seed of the gaps.

    Raises:
        InvalidOption: Nothing says how many, or a duration has no rate, or they are too many.
    """
    if rate_per_s is None:
        if duration_s is not None:
            raise InvalidOption("--duration", "needs a rate", "give --rate or --per-day too")
        if count is None:
            raise InvalidOption("--count", "is missing, and a rate too", "say how many jobs, such as --count 100")
        return array("d", [0.0]) * count
    if duration_s is None and count is None:
        raise InvalidOption("--duration", "is missing, and --count too", "say for how long, such as --duration 10m")
    longest_s = math.inf if duration_s is None else duration_s
    most = MOST_JOBS if count is None else count
    if count is None and rate_per_s * longest_s > MOST_JOBS:
        raise InvalidOption(
            "--duration", f"means {rate_per_s * longest_s:.3g} jobs at that rate, above {MOST_JOBS:.0e}", "shorten it"
        )
    length_s = min(longest_s, most / rate_per_s)
    while True:
        instants = make_schedule(arrivals, [Stage.steady(rate_per_s, length_s)], seed)
        if len(instants) >= most or length_s >= longest_s:
            return instants[:most]
        # A random process may fall short of the count. A longer schedule of the same seed begins alike.
        length_s = min(longest_s, 2 * length_s)


def fire(
    request: EnqueueRequest, queue: JobQueue, clock: Clock, is_stopped: Callable[[], bool] = lambda: False
) -> Iterator[Progress]:
    """Enqueue, each job at its instant.

    Args:
        request: What.
        queue: Where.
        clock: Time.
        is_stopped: Whether to end before the next batch.

    Yields:
        How far it got, before and after each round trip.

    Raises:
        ServiceUnavailable: The queue did not take a batch.
    """
    arguments = request.workload.arguments(request.seed)
    start_s = clock.now()
    sent = 0
    while not is_stopped():
        match pace(request.instants, clock.now() - start_s, sent, _BATCH):
            case Send(first, beyond):
                batch = [
                    JobRequest(
                        f"{request.run_id}-{position}",
                        request.workload.function,
                        *next(arguments),
                        timeout_s=request.job_timeout_s,
                    )
                    for position in range(first, beyond)
                ]
                yield Progress(sent, len(batch))
                queue.enqueue_many(batch)
                sent = beyond
                yield Progress(sent, 0)
            case Wait(seconds):
                clock.sleep(min(seconds, _LONGEST_SLEEP_S))
            case Stop():
                return

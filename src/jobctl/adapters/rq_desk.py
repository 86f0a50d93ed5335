"""The desk: where jobs are taken from their queues and given back, in RQ's data model, by scripts on the server.

One *turn* books all jobs that ended since the last one and begins as many as there are free slots, in one round trip.
A job passes from its queue onto the books (execution, registries, worker) in one atomic step, so that at no moment it
is in nobody's hands. What is written is what RQ 3 writes, command for command; what RQ writes for features that a job
does not use is left out.

The books are also the fence: whoever takes an execution off them owns the outcome. A worker that was thought dead and
comes back finds its executions gone, and its late results change nothing.
"""

from __future__ import annotations

import base64
import time
import zlib
from collections.abc import Container, Iterable, Sequence
from typing import Any, Final, NamedTuple
from uuid import uuid4

from redis import Redis
from rq.defaults import RQ_KEY_PREFIX

from jobctl.adapters.redis_script import ServerScript
from jobctl.adapters.rq_time import rq_second, rq_time
from jobctl.core.clocks import ClockOffset

__all__ = [
    "CLOCK_FIELD",
    "DEAD_TTL_S",
    "ENDED_KEY",
    "PULSES_KEY",
    "Begun",
    "Booking",
    "Desk",
    "Ended",
    "Place",
    "Recovered",
    "Turn",
    "packed_error",
]

#: From when on each worker counts as dead: a sorted set of names by the server's clock.
PULSES_KEY: Final = f"{RQ_KEY_PREFIX}:jobctl:pulses"
#: Set of a worker's jobs that failed and whose dependents may not have entered yet; its name follows.
ENDED_KEY: Final = f"{RQ_KEY_PREFIX}:jobctl:ended:"
#: The field of a worker's hash that jobctl's own write with their pulse, and no other (pulse.lua).
CLOCK_FIELD: Final = "jobctl_clock"
#: How long a dead job is kept that does not say, seconds.
DEAD_TTL_S: Final = 180 * 86_400


class Place(NamedTuple):
    """Where an execution is on the books."""

    queue: str
    job_id: str
    execution_id: str


class Begun(NamedTuple):
    """A job that was begun.

    Attributes:
        place: Where it is on the books.
        data: The call, as its enqueuer packed it.
        timeout: How long it may run, as RQ wrote it; empty for RQ's default.
        result_ttl: How long its result is kept, as RQ wrote it; empty for the worker's default.
        enqueued_at: When it entered its queue, as RQ wrote it.
        attempt: Which attempt this is, from 1.
        abandoned: How many earlier ones ended because their worker did.
        meta: What its enqueuer attached, packed.
        permits: What a limiter reserved for it.
        result: What it returned in an earlier run, packed, when only storing that failed; empty otherwise.
        fields: Its whole hash, where the job has more to it than a function to call.
    """

    place: Place
    data: bytes
    timeout: bytes
    result_ttl: bytes
    enqueued_at: bytes
    attempt: int
    abandoned: int
    meta: bytes
    permits: str
    result: bytes
    fields: dict[bytes, bytes] | None


class Ended(NamedTuple):
    """A job that ran to success and is to be booked.

    Attributes:
        place: Where it is on the books.
        result: Its result as RQ packs it; empty for None.
        result_ttl_s: How long that is kept, seconds; negative for ever.
        started_s: When its slot began it, seconds since the epoch.
        ended_s: When its slot had its outcome.
    """

    place: Place
    result: str
    result_ttl_s: int
    started_s: float
    ended_s: float


class Booking:
    """What became of an ended job's booking."""

    LATE: Final = 0
    BOOKED: Final = 1
    #: Nothing was written: other jobs depend on this one.
    HAS_DEPENDENTS: Final = 2


class Turn(NamedTuple):
    """What a turn brought.

    Attributes:
        bookings: For each ended job what became of it.
        lengths: How many jobs wait in each queue that has a limit; 0 for the others.
        begun: The jobs begun.
    """

    bookings: Sequence[int]
    lengths: Sequence[int]
    begun: Sequence[Begun]


class Recovered(NamedTuple):
    """What was done with the jobs of a dead worker.

    Attributes:
        worker: Its name.
        requeued: Ids of the jobs that went back to the front of their queues.
        dead: Ids of those that were abandoned too often.
        with_dependents: Those of the dead, and of its jobs that had failed, that others may wait for.
    """

    worker: str
    requeued: list[str]
    dead: list[str]
    with_dependents: list[str]


class Desk:
    """The desk of one worker.

    Args:
        connection: Redis; it must repeat no command by itself.
        worker_name: The worker's name in Redis.
        queues: Names of its queues, most urgent first.
        beat_s: Whole seconds between RQ's heartbeats.
        silence_s: Seconds without a pulse after which this worker counts as dead, whoever looks.

    All methods raise redis-py's errors.
    """

    def __init__(
        self, connection: Redis, worker_name: str, queues: Sequence[str], *, beat_s: int, silence_s: float = 18.0
    ) -> None:
        self._queues = list(queues)
        self._beat_s = beat_s
        self._silence_s = silence_s
        self._head = [RQ_KEY_PREFIX, worker_name]
        self._started_key = f"{RQ_KEY_PREFIX}:worker:{worker_name}:executions"
        self._mark = uuid4().hex[:12]  # what the ids of this process's executions begin with
        self.connection = connection
        self._turn = ServerScript(connection, "common", "turn")
        self._put_back = ServerScript(connection, "common", "put_back")
        self._pulse = ServerScript(connection, "common", "pulse")
        self._recover = ServerScript(connection, "common", "recover")

    def turn(
        self,
        ended: Sequence[Ended],
        wanted: int,
        *,
        limits: Sequence[int | None] | None = None,
        turns: Sequence[int] = (),
        state: str = "",
    ) -> Turn:
        """Book what ended and begin what is wanted.

        Args:
            ended: Jobs that ran to success.
            wanted: How many jobs to begin at most.
            limits: For each queue how many at most; None for no limit.
            turns: Indices of queues to take one job from each, before the others are emptied in order.
            state: The worker's state to note when a job is begun; empty when it is noted already.
        """
        now_s = time.time()
        words: list[Any] = [
            *self._head,
            repr(now_s),
            rq_second(int(now_s)),
            self._mark + uuid4().hex[:12],
            wanted,
            self._beat_s,
            state,
        ]
        words.append(len(self._queues))
        for i, name in enumerate(self._queues):
            limit = None if limits is None else limits[i]
            words += (name, "" if limit is None else limit)
        words.append(len(turns))
        words += turns
        words.append(len(ended))
        for job in ended:
            words += job.place
            words += (job.result, job.result_ttl_s, job.started_s, job.ended_s, rq_time(job.ended_s))
        answer: Any = self._turn(words)
        bookings, lengths, begun = answer
        return Turn(bookings, lengths, [self._begun(fields) for fields in begun])

    def put_back(
        self,
        places: Sequence[Place],
        *,
        delay_s: float | None = None,
        spent: bool = False,
        reason: str = "",
        permits: str = "",
        result: bytes = b"",
        held_s: float = 0.0,
    ) -> list[bool]:
        """Take executions off the books and let their jobs run again.

        Args:
            places: The executions; with no delay the first one becomes the first in its queue.
            delay_s: Seconds until then; None for at once, at the front of the queue.
            spent: Whether each has spent an attempt.
            reason: Kept with the job.
            permits: Kept with the job.
            result: Kept with the job, which is to store it instead of running again.
            held_s: Seconds for which a spent attempt held its slot; the job's hash sums them up.

        Returns:
            For each whether it was still this worker's.
        """
        delay = "" if delay_s is None else repr(delay_s)
        words: list[Any] = [*self._head, delay, int(spent), reason, permits, result, f"{held_s:.6f}"]
        for place in reversed(places):
            words += place
        answer: Any = self._put_back(words)
        return [taken == 1 for taken in reversed(answer)]

    def pulse(self, places: Iterable[Place], clock: ClockOffset | None = None) -> None:
        """Show the worker alive, and these executions in RQ's own places.

        Args:
            places: The executions.
            clock: How far the server's clock is ahead of this one, for whoever reads instants of this worker.
        """
        now_s = time.time()
        words: list[Any] = [*self._head, repr(now_s), rq_time(now_s), self._beat_s + 60, self._silence_s]
        words.append("" if clock is None else str(clock))
        for place in places:
            words += place
        self._pulse(words)

    def recover(self, *, abandon_limit: int, dead_for_s: float = 0.0) -> Recovered | None:
        """Put the jobs of one silent worker back to work.

        Args:
            abandon_limit: A job abandoned so often is dead.
            dead_for_s: Only of one that has counted as dead for so many seconds.

        Returns:
            What was done; None when no worker is silent.
        """
        error = packed_error(
            f"jobctl: abandoned {abandon_limit} times: each time the worker that ran it died without a word "
            "(killed, out of memory, or its machine gone). It is not tried again."
        )
        words: list[Any] = [*self._head, dead_for_s, abandon_limit, DEAD_TTL_S, error, rq_time(time.time())]
        answer: Any = self._recover(words)
        if not answer:
            return None
        name, *lists = answer
        return Recovered(name.decode(), *([member.decode() for member in members] for members in lists))

    def unknown(self, known: Container[str], *, namesakes: bool = False) -> list[Place]:
        """Executions that the books have as this worker's and that are none of those it knows of, by id.

        Args:
            known: Ids of executions.
            namesakes: Whether those count too that another process began under the same name.
        """
        members: Any = self.connection.smembers(self._started_key)
        split = [member.decode().rpartition(":") for member in members]
        strangers = [
            (job_id, execution_id)
            for job_id, _, execution_id in split
            if execution_id not in known and (namesakes or execution_id.startswith(self._mark))
        ]
        if not strangers:
            return []
        with self.connection.pipeline(transaction=False) as pipeline:
            for job_id, _ in strangers:
                pipeline.hget(f"{RQ_KEY_PREFIX}:job:{job_id}", "origin")
            origins = pipeline.execute()
        return [
            Place((origin or b"").decode(), job_id, execution_id)
            for (job_id, execution_id), origin in zip(strangers, origins, strict=True)
        ]

    def owns(self, place: Place) -> bool:
        """Whether an execution is still on the books as this worker's."""
        member = f"{place.job_id}:{place.execution_id}"
        with self.connection.pipeline(transaction=False) as pipeline:
            pipeline.sismember(self._started_key, member)
            pipeline.zscore(f"{RQ_KEY_PREFIX}:wip:{place.queue}", member)
            indexed, score = pipeline.execute()
        return bool(indexed) or score is not None

    def leave(self) -> None:
        """The worker ends in good order: nobody needs to look for it."""
        self.connection.zrem(PULSES_KEY, self._head[1])

    def _begun(self, words: list[Any]) -> Begun:
        place = Place(self._queues[words[0]], words[1].decode(), words[2].decode())
        fields = None
        if len(words) > 12:
            flat = iter(words[12])
            fields = dict(zip(flat, flat, strict=True))
        words[10] = words[10].decode()
        return Begun._make([place, *words[3:12], fields])


def packed_error(text: str) -> str:
    """An error's text as RQ packs it into a result."""
    return base64.b64encode(zlib.compress(text.encode())).decode()

"""The open-loop generator: it asks the pacer, sleeps and sends; it never waits for a job.

It runs in a Locust greenlet. Whatever is due at one wake-up leaves in one round trip, and each job keeps its own
intended instant, so late wake-ups and a slow queue show as schedule lag.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from jobctl.apps.bench.spec import LoadSpec
from jobctl.core.crew import WHOLE, Shard
from jobctl.core.pacing import Send, Stop, Wait, pace
from jobctl.errors import ServiceUnavailable
from jobctl.ports import Clock, JobQueue, JobRequest

__all__ = ["Generator", "Sent"]

#: Most jobs of one round trip: bounds how long the other greenlets wait for one pipeline.
_BATCH: Final = 100
#: Longest sleep in seconds, so that a stop is seen.
_NAP_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Sent:
    """A job that left, or that the queue refused.

    Attributes:
        position: Its place in the schedule.
        intended_s: When it was meant to arrive.
        sent_s: When its round trip began.
        acknowledged_s: When its round trip ended.
        error: Why the queue refused it; None when it took it.
    """

    position: int
    intended_s: float
    sent_s: float
    acknowledged_s: float
    error: ServiceUnavailable | None


class Generator:
    """Fires a schedule.

    Args:
        spec: The load.
        queue: Where jobs go.
        clock: Time.
        on_sent: Called for each job after its round trip.
        shard: The part of the schedule that it fires.
    """

    def __init__(
        self, spec: LoadSpec, queue: JobQueue, clock: Clock, on_sent: Callable[[Sent], None], shard: Shard = WHOLE
    ) -> None:
        self._spec = spec
        self._queue = queue
        self._clock = clock
        self._on_sent = on_sent
        self._shard = shard
        self._jobs = islice(spec.jobs(), shard.index, None, shard.count)
        self._stopping = False
        #: Whether a round trip is under way.
        self.is_sending = False
        #: Intended arrivals of its part, seconds from the start.
        self.schedule = spec.schedule()[shard.index :: shard.count]
        #: How many left or were refused.
        self.sent = 0
        #: When each left, seconds since the epoch; NaN for the refused and those not sent.
        self.enqueued_s = array("d", [math.nan]) * len(self.schedule)
        #: When Redis had taken each; NaN likewise.
        self.acknowledged_s = array("d", [math.nan]) * len(self.schedule)

    def stop(self) -> None:
        """Send nothing more; what was sent stays on the books."""
        self._stopping = True

    def due_by(self, elapsed_s: float) -> int:
        """How many arrivals the schedule wants in its first seconds."""
        return bisect_right(self.schedule, elapsed_s)

    def run(self, start_s: float) -> None:
        """Fire the whole schedule.

        Args:
            start_s: The instant of offset 0, seconds since the epoch; may lie ahead.
        """
        while not self._stopping:
            match pace(self.schedule, self._clock.now() - start_s, self.sent, _BATCH):
                case Send(first, beyond):
                    self._send(start_s, first, beyond)
                case Wait(seconds):
                    self._clock.sleep(min(seconds, _NAP_S))
                case Stop():
                    return

    def _send(self, start_s: float, first: int, beyond: int) -> None:
        requests = [self._request(self._shard.position(place)) for place in range(first, beyond)]
        error = None
        sent_s = self._clock.now()
        self.is_sending = True
        try:
            self._queue.enqueue_many(requests)
        except ServiceUnavailable as refusal:
            error = refusal
        finally:
            self.is_sending = False
        acknowledged_s = self._clock.now()
        self.sent = beyond
        for place in range(first, beyond):
            if error is None:
                self.enqueued_s[place] = sent_s
                self.acknowledged_s[place] = acknowledged_s
            position = self._shard.position(place)
            self._on_sent(Sent(position, start_s + self.schedule[place], sent_s, acknowledged_s, error))

    def _request(self, position: int) -> JobRequest:
        spec = self._spec
        workload, (args, kwargs) = next(self._jobs)
        return JobRequest(
            spec.job_id(position), workload.function, args, kwargs, spec.job_timeout_s, spec.queue_of(workload)
        )

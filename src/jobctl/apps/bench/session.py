"""One load run inside the generator's process: fire, watch, drain, count, and say so.

What it says are plain dictionaries, one a line on a pipe, or nothing when nobody listens:

* ``ready``: the process can start;
* ``progress``: the counters, about once a second;
* ``ended``: records of the jobs that ended since the last such message, where somebody judges the run as it goes on;
* ``records``: some job records, in the order of the schedule;
* ``failed``: the run cannot be measured, and why;
* ``end``: the run is over: when it began, until when load was offered, arrivals that were due and never sent, what the
  load tool itself counted, how far Redis' clock was ahead, why instants may be wrong, and what sending took.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple
from itertools import islice
from typing import Any, Final

from jobctl.apps.bench.collector import Collector
from jobctl.apps.bench.generator import Generator, Sent
from jobctl.apps.bench.spec import LoadSpec
from jobctl.core.clocks import ClockOffset
from jobctl.core.crew import WHOLE, Shard
from jobctl.core.records import JobRecord, Outcome
from jobctl.errors import ServiceUnavailable
from jobctl.ports import Clock, Completions, JobQueue

__all__ = ["LoadSession", "Say", "read_records", "record_messages"]

#: Seconds between two looks at what ended.
_POLL_S: Final = 0.2
#: A generator that is told to stop owes no arrival that was due so shortly before, seconds: it was about to send it.
_STIR_S: Final = 0.05
#: Polls between two progress reports.
_POLLS_PER_REPORT: Final = 5
_RECORDS_PER_LINE: Final = 500
#: Watching takes at most one part in so many of the time, so that there is always some for sending.
_PAUSE: Final = 4

Say = Callable[[Mapping[str, Any]], None]


class LoadSession:
    """A load run.

    Args:
        spec: The load.
        queue: Where jobs go.
        completions: Where outcomes are read.
        clock: Time.
        say: Takes each message.
        on_sent: Called for each job that left.
        on_ended: Called for each job that ended, with its type, its sojourn in seconds and whether it failed.
        shard: The part of the schedule that is this process's.
        compare_clock: Tells how far Redis' clock is ahead of this process's; None where it cannot.
        cpu_s: CPU seconds that this process has used so far; None where nobody knows.
    """

    def __init__(
        self,
        spec: LoadSpec,
        queue: JobQueue,
        completions: Completions,
        clock: Clock,
        say: Say,
        on_sent: Callable[[Sent], None],
        on_ended: Callable[[str, float, bool], None],
        *,
        shard: Shard = WHOLE,
        compare_clock: Callable[[], ClockOffset | None] = lambda: None,
        cpu_s: Callable[[], float | None] = lambda: None,
    ) -> None:
        self.spec = spec
        self._shard = shard
        self._compare_clock = compare_clock
        self._cpu_s = cpu_s
        self._used_s: float | None = None
        self._clock = clock
        self._queue = queue
        self._say = say
        self._on_ended = on_ended
        self._on_sent = on_sent
        self._refused = 0
        self._generator = Generator(spec, queue, clock, self._sent, shard)
        self._collector = Collector(spec, completions, shard)
        self._fresh: list[list[Any]] = []
        self._start_s: float | None = None
        self._stopped_s: float | None = None
        self._finished = False

    def fire(self, start_s: float | None) -> None:
        """Fire the schedule; returns when the last arrival left or :meth:`stop` was called.

        Args:
            start_s: The instant of offset 0, seconds since the epoch; None for now.
        """
        self._start_s = self._clock.now() if start_s is None else start_s
        before_s = self._cpu_s()
        self._generator.run(self._start_s)
        after_s = self._cpu_s()
        self._used_s = None if before_s is None or after_s is None else after_s - before_s

    def watch(self) -> None:
        """Follow outcomes until every job ended, the drain is over or the run is stopped; then count."""
        polls, took_s = 0, 0.0
        while not self._over():
            self._clock.sleep(max(_POLL_S, _PAUSE * took_s))
            began_s = self._clock.now()
            try:
                self._look()
                took_s = self._clock.now() - began_s
                polls += 1
                if polls % _POLLS_PER_REPORT == 0:
                    self._report()
            except ServiceUnavailable:
                continue  # the census below decides; until then Redis may come back

    def stop(self) -> None:
        """Send nothing more and stop waiting for jobs."""
        if self._stopped_s is None:
            self._stopped_s = self._clock.now()
        self._generator.stop()
        self._finished = True

    def count(self, tool_statistics: Callable[[], Iterable[Mapping[str, Any]]]) -> None:
        """Take the census and say what became of every job.

        Args:
            tool_statistics: Gives the rows that the load tool counted itself, once it was told of every job.
        """
        stopped_s = math.inf if self._stopped_s is None else self._stopped_s
        if self._start_s is None or stopped_s <= self._start_s:  # the start that was agreed may lie ahead
            self._say({"event": "end", "start_s": None})
            return
        try:
            self._count(self._start_s, tool_statistics)
        except ServiceUnavailable as error:
            seen = f"of {self._generator.sent} jobs sent {self._collector.ended} were seen to end"
            self._say({"event": "failed", "reason": f"{error.problem}; {seen}"})

    def _count(self, start_s: float, tool_statistics: Callable[[], Iterable[Mapping[str, Any]]]) -> None:
        self._collector.compare_clocks(self._compare_clock())
        self._look()
        while self._generator.is_sending:
            self._clock.sleep(_STIR_S)
        sent = self._generator.sent
        until_s = owed_s = start_s + self.spec.duration_s
        if self._stopped_s is not None:
            until_s = min(until_s, self._stopped_s)
            owed_s = min(until_s, self._stopped_s - _STIR_S)
        schedule = self._generator.schedule[: max(sent, self._generator.due_by(owed_s - start_s))]
        for message in record_messages(self._census(start_s, schedule)):
            self._say(message)
        self._say(
            {
                "event": "end",
                "start_s": start_s,
                "offered_until_s": until_s,
                "dropped": len(schedule) - sent,
                "tool_statistics": list(tool_statistics()),
                "clock": self._told_clock(),
                "doubts": list(self._collector.doubts()),
                "generator": {"processes": 1, "sent": sent, "cpu_s": self._used_s},
            }
        )

    def _census(self, start_s: float, schedule: Sequence[float]) -> Iterator[list[Any]]:
        """The record of each scheduled job as a message holds it; the load tool hears of those it was not told of."""
        census = self._collector.census(start_s, schedule, self._generator.enqueued_s, self._generator.acknowledged_s)
        for place, record in enumerate(census):
            if record.sojourn_s is not None and not self._collector.has_ended(self._shard.position(place)):
                self._on_ended(record.job_type, record.sojourn_s, record.outcome is Outcome.FAILED)
            yield [*astuple(record)]

    def _over(self) -> bool:
        if self._finished:
            return True
        if self._start_s is None or self._generator.sent < len(self._generator.schedule):
            return False
        sent = len(self._generator.schedule) - self._refused
        return self._collector.ended >= sent or self._clock.now() > self._drain_end_s()

    def _drain_end_s(self) -> float:
        assert self._start_s is not None
        return self._start_s + self.spec.duration_s + self.spec.drain_s

    def _sent(self, sent: Sent) -> None:
        self._refused += sent.error is not None
        self._on_sent(sent)

    def _look(self) -> None:
        for position, completion in self._collector.poll():
            job_type = self.spec.workload_at(position).job_type
            place = position // self._shard.count
            intended_s = self._intended_s(place)
            assert completion.finished_s is not None
            self._on_ended(job_type, completion.finished_s - intended_s, completion.status != "finished")
            if self.spec.live:
                sent_s, taken_s = self._generator.enqueued_s[place], self._generator.acknowledged_s[place]
                record = self._collector.ended_record(position, intended_s, sent_s, taken_s, completion)
                self._fresh.append([*astuple(record)])

    def _told_clock(self) -> str | None:
        """How far Redis' clock is ahead, as a message says it."""
        return None if self._collector.clock is None else str(self._collector.clock)

    def _intended_s(self, place: int) -> float:
        assert self._start_s is not None
        return self._start_s + self._generator.schedule[place]

    def _report(self) -> None:
        if self._start_s is None:
            return
        self._collector.compare_clocks(self._compare_clock())
        if self._fresh:
            elapsed_s = self._clock.now() - self._start_s
            self._say({"event": "ended", "elapsed_s": elapsed_s, "records": self._fresh, "clock": self._told_clock()})
            self._fresh = []
        self._say(
            {
                "event": "progress",
                "elapsed_s": self._clock.now() - self._start_s,
                "due": self._generator.due_by(self._clock.now() - self._start_s),
                "sent": self._generator.sent,
                "refused": self._refused,
                "ended": self._collector.ended,
                "failed": self._collector.failed,
                "backlog": self._queue.backlog(),
            }
        )


def record_messages(lines: Iterable[list[Any]]) -> Iterator[dict[str, Any]]:
    """Records as ``records`` messages of a size that a line can have; at least one."""
    rest = iter(lines)
    chunk = list(islice(rest, _RECORDS_PER_LINE))
    while True:
        yield {"event": "records", "records": chunk}
        chunk = list(islice(rest, _RECORDS_PER_LINE))
        if not chunk:
            return


def read_records(lines: Iterable[list[Any]]) -> Iterator[JobRecord]:
    """Rebuild the records of a ``records`` message."""
    for job_id, job_type, intended_s, enqueued_s, started_s, finished_s, outcome, *rest in lines:
        yield JobRecord(job_id, job_type, intended_s, enqueued_s, started_s, finished_s, Outcome(outcome), *rest)

"""One load run inside the generator's process: fire, watch, drain, count, and say so.

What it says are plain dictionaries, one a line on a pipe, or nothing when nobody listens:

* ``ready``: the process can start;
* ``progress``: the counters, about once a second;
* ``records``: some job records, in the order of the schedule;
* ``failed``: the run cannot be measured, and why;
* ``end``: the run is over: when it began, until when load was offered, arrivals that were due and never sent, and
  what the load tool itself counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import astuple
from typing import Any, Final

from jobctl.apps.bench.collector import Collector
from jobctl.apps.bench.generator import Generator, Sent
from jobctl.apps.bench.spec import LoadSpec
from jobctl.core.records import JobRecord, Outcome
from jobctl.errors import ServiceUnavailable
from jobctl.ports import Clock, Completion, Completions, JobQueue

__all__ = ["LoadSession", "read_records"]

#: Seconds between two looks at what ended.
_POLL_S: Final = 0.2
#: Polls between two progress reports.
_POLLS_PER_REPORT: Final = 5
_RECORDS_PER_LINE: Final = 500

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
        on_ended: Called for each job that ended, with its sojourn in seconds and whether it failed.
    """

    def __init__(
        self,
        spec: LoadSpec,
        queue: JobQueue,
        completions: Completions,
        clock: Clock,
        say: Say,
        on_sent: Callable[[Sent], None],
        on_ended: Callable[[float, bool], None],
    ) -> None:
        self.spec = spec
        self._clock = clock
        self._queue = queue
        self._say = say
        self._on_ended = on_ended
        self._on_sent = on_sent
        self._refused = 0
        self._generator = Generator(spec, queue, clock, self._sent)
        self._collector = Collector(spec, completions)
        self._start_s: float | None = None
        self._stopped_s: float | None = None
        self._finished = False

    def fire(self, start_s: float | None) -> None:
        """Fire the schedule; returns when the last arrival left or :meth:`stop` was called.

        Args:
            start_s: The instant of offset 0, seconds since the epoch; None for now.
        """
        self._start_s = self._clock.now() if start_s is None else start_s
        self._generator.run(self._start_s)

    def watch(self) -> None:
        """Follow outcomes until every job ended, the drain is over or the run is stopped; then count."""
        polls = 0
        while not self._over():
            self._clock.sleep(_POLL_S)
            try:
                self._look()
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
        if self._start_s is None:
            self._say({"event": "end", "start_s": None})
            return
        try:
            self._count(self._start_s, tool_statistics)
        except ServiceUnavailable as error:
            seen = f"of {self._generator.sent} jobs sent {self._collector.ended} were seen to end"
            self._say({"event": "failed", "reason": f"{error.problem}; {seen}"})

    def _count(self, start_s: float, tool_statistics: Callable[[], Iterable[Mapping[str, Any]]]) -> None:
        self._look()
        sent = self._generator.sent
        until_s = start_s + self.spec.duration_s
        if self._stopped_s is not None:
            until_s = min(until_s, self._stopped_s)
        schedule = self._generator.schedule[: max(sent, self._generator.due_by(until_s - start_s))]
        lines: list[list[Any]] = []
        census = self._collector.census(start_s, schedule, self._generator.enqueued_s)
        for position, record in enumerate(census):
            if record.sojourn_s is not None and not self._collector.has_ended(position):
                self._on_ended(record.sojourn_s, record.outcome is Outcome.FAILED)
            lines.append([*astuple(record)])
            if len(lines) == _RECORDS_PER_LINE:
                self._say({"event": "records", "records": lines})
                lines = []
        self._say({"event": "records", "records": lines})
        self._say(
            {
                "event": "end",
                "start_s": start_s,
                "offered_until_s": until_s,
                "dropped": len(schedule) - sent,
                "tool_statistics": list(tool_statistics()),
            }
        )

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
            self._on_ended(self._sojourn_s(position, completion), completion.status != "finished")

    def _sojourn_s(self, position: int, completion: Completion) -> float:
        assert self._start_s is not None
        assert completion.finished_s is not None
        return completion.finished_s - (self._start_s + self._generator.schedule[position])

    def _report(self) -> None:
        if self._start_s is None:
            return
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


def read_records(lines: Iterable[list[Any]]) -> Iterator[JobRecord]:
    """Rebuild the records of a ``records`` message."""
    for job_id, job_type, intended_s, enqueued_s, started_s, finished_s, outcome, *rest in lines:
        yield JobRecord(job_id, job_type, intended_s, enqueued_s, started_s, finished_s, Outcome(outcome), *rest)

"""Several generators as one: the load is shared out, and what they say becomes what one would have said.

The master of the generators sends nothing itself. It hands each a shard of the schedule, hears their messages and says
those of a single generator (see ``session.py``): ``ready`` once all are, ``progress`` summed up, and at the end the
records of all in the order of the schedule, with their instants in the master's time. Records are merged, so every
percentile is that of the pooled run. A generator that is lost takes its books with it: all its arrivals that were due
count as never sent, which makes the run inconclusive and never a smaller load.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any, Final

from jobctl.apps.bench.session import Say, read_records, record_messages
from jobctl.apps.bench.spec import LoadSpec
from jobctl.core.clocks import ClockOffset, parse_offset
from jobctl.core.crew import Shard

__all__ = ["Conductor"]

_COUNTERS: Final = ("due", "sent", "refused", "ended", "failed")


@dataclass(slots=True)
class _Member:
    """One generator as the master knows it."""

    shard: Shard
    is_ready: bool = False
    is_lost: bool = False
    progress: Mapping[str, Any] | None = None
    records: list[list[Any]] = field(default_factory=list)
    end: Mapping[str, Any] | None = None


class Conductor:
    """Leads the generators of one run.

    Args:
        spec: The load.
        names: The generators.
        say: Takes each message.
        compare_clock: Tells how far Redis' clock is ahead of the master's; None where it cannot.
    """

    def __init__(
        self,
        spec: LoadSpec,
        names: Sequence[str],
        say: Say,
        compare_clock: Callable[[], ClockOffset | None] = lambda: None,
    ) -> None:
        self._spec = spec
        self._say = say
        self._compare_clock = compare_clock
        self._members = {name: _Member(Shard(index, len(names))) for index, name in enumerate(names)}
        self._is_announced = False
        #: Whether the last message was said.
        self.over = False

    @property
    def run_id(self) -> str:
        """The run's."""
        return self._spec.run_id

    def shard(self, name: str) -> Shard:
        """The part of a generator."""
        return self._members[name].shard

    def hear(self, name: str, message: Mapping[str, Any]) -> None:
        """Take a message of a generator; of one that does not belong to the run nothing is heard."""
        member = self._members.get(name)
        if member is None or self.over:
            return
        match message["event"]:
            case "ready":
                member.is_ready = True
            case "progress":
                member.progress = message
                self._report(name)
            case "records":
                member.records.extend(message["records"])
            case "ended":
                lines = list(_shifted(message["records"], _shift_s(message["clock"], self._compare_clock())))
                self._say({**message, "records": lines})
            case "end":
                member.end, member.is_lost = message, False
            case "failed":
                self._fail(message["reason"])
            case _:
                self._say(message)
        self._go_on()

    def lose(self, name: str) -> None:
        """A generator has not been heard of for long, or has gone."""
        member = self._members.get(name)
        if member is None or self.over or member.end is not None:
            return
        member.is_lost = True
        if not self._is_announced:
            self._fail("a load generator was lost before the run began")
        self._go_on()

    def _go_on(self) -> None:
        """Say what follows from the last thing heard."""
        if self.over:
            return
        members = self._members.values()
        if not self._is_announced and all(member.is_ready for member in members):
            self._is_announced = True
            self._say({"event": "ready"})
        if all(member.is_lost for member in members):
            self._fail("all load generators were lost")
        elif all(member.is_lost or member.end is not None for member in members):
            self._finish()

    def _fail(self, reason: str) -> None:
        self.over = True
        self._say({"event": "failed", "reason": reason})

    def _report(self, name: str) -> None:
        """Pass progress on whenever the first of those that report does: about once a second."""
        reports = {name: member.progress for name, member in self._members.items() if member.progress is not None}
        if name != next(iter(reports)):
            return
        last = self._members[name].progress
        assert last is not None
        sums = {counter: sum(report[counter] for report in reports.values()) for counter in _COUNTERS}
        self._say({**last, **sums})  # the queue is one and the same for all: its backlog is no sum

    def _finish(self) -> None:
        ended = [member for member in self._members.values() if member.end is not None and not member.is_lost]
        begun = [member for member in ended if member.end is not None and member.end["start_s"] is not None]
        self.over = True
        if not begun:
            self._say({"event": "end", "start_s": None})
            return
        own = self._compare_clock()
        shifts = [_shift_s((member.end or {}).get("clock"), own) for member in begun]
        lines = heapq.merge(
            *(_shifted(member.records, shift_s) for member, shift_s in zip(begun, shifts, strict=True)),
            key=self._position,
        )
        for message in record_messages(lines):
            self._say(message)
        ends = [(member.end or {}, shift_s) for member, shift_s in zip(begun, shifts, strict=True)]
        start_s = min(end["start_s"] + shift_s for end, shift_s in ends)
        until_s = max(end["offered_until_s"] + shift_s for end, shift_s in ends)
        unsent = self._unsent(until_s - start_s)
        self._say(
            {
                "event": "end",
                "start_s": start_s,
                "offered_until_s": until_s,
                "dropped": sum(end["dropped"] for end, _ in ends) + sum(unsent),
                "tool_statistics": _summed_rows([end["tool_statistics"] for end, _ in ends]),
                "clock": None if own is None else str(own),
                "doubts": [*self._lost(), *dict.fromkeys(doubt for end, _ in ends for doubt in end["doubts"])],
                "generator": self._use([end["generator"] for end, _ in ends]),
            }
        )

    def _lost(self) -> list[str]:
        """What is to be said of generators that did not stay to the end."""
        lost = sum(member.is_lost for member in self._members.values())
        return (
            [f"{lost} of {len(self._members)} load generators were lost; their arrivals count as never sent"]
            if lost
            else []
        )

    def _position(self, line: Sequence[Any]) -> int:
        position = self._spec.position(line[0])
        assert position is not None
        return position

    def _unsent(self, until_s: float) -> list[int]:
        """Arrivals that were due in the run and about which no generator says anything.

        Args:
            until_s: How long the run was, seconds; a generator that was lost, or stopped alone, was not there so long.
        """
        schedule = self._spec.schedule()
        members = self._members.values()
        told = [0 if member.is_lost else len(member.records) for member in members]
        due = [bisect_right(schedule[member.shard.index :: member.shard.count], until_s) for member in members]
        return [max(0, wanted - accounted) for wanted, accounted in zip(due, told, strict=True)]

    def _use(self, uses: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        cpu_s = [use["cpu_s"] for use in uses]
        return {
            "processes": len(self._members),
            "sent": sum(use["sent"] for use in uses),
            "cpu_s": None if None in cpu_s else sum(cpu_s),
        }


def _shift_s(clock: str | None, own: ClockOffset | None) -> float:
    """Seconds to add to instants of a generator that told its clock to have the master's."""
    told = parse_offset(clock) if clock else None
    return 0.0 if told is None or own is None else told.shift_to(own)


def _shifted(lines: list[list[Any]], shift_s: float) -> Iterator[list[Any]]:
    """Records with all their instants moved."""
    if not shift_s:
        yield from lines
        return
    for record in read_records(lines):
        yield [*astuple(record.moved(shift_s))]


def _summed_rows(tables: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """The load tool's own counts, row by row, over all generators."""
    requests: Counter[tuple[str, str]] = Counter()
    failures: Counter[tuple[str, str]] = Counter()
    for row in (row for table in tables for row in table):
        key = row["type"], row["name"]
        requests[key] += row["requests"]
        failures[key] += row["failures"]
    return [
        {"type": kind, "name": name, "requests": count, "failures": failures[kind, name]}
        for (kind, name), count in sorted(requests.items())
    ]

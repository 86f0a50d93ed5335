"""Faults on a timetable: what is broken on purpose, when, for how long, and what of a run that explains.

A fault strikes the mock, the embedded Redis or a replica, at an instant of the schedule. As text, and as a table of a
scenario::

    mock_outage@20s+20s           [[fault]]
    replica_frozen:2@10s+5s       kind = "replica_frozen"
    replica_killed@30s            at = "10s"
    replica_frozen:all@10s+5s     for = "5s"
                                  replica = 2             # 1 when not given; or "all"

Every fault ends within the schedule, for otherwise nothing would show whether the system recovers; only a killed
replica may stay dead, and that is no fault that ends but a smaller fleet. Two faults never strike the same thing at
once.

What a fault explains. Let it last over [b, e], and let jobs that it struck be back at work r after its end, where r is
the time after which workers take over the jobs of a silent one; what strikes the mock is over at once, r = 0. A job is
*struck* if it was in the system at some instant of [b, e] or arrived before e + r: intended <= e + r and ended >= b.
That it failed or ran twice is explained. That a job was lost never is.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, NamedTuple

from jobctl.core.limiting import Tuning
from jobctl.core.records import JobRecord, Outcome
from jobctl.core.retrying import RetryPolicy
from jobctl.core.slo import check_keys, hint
from jobctl.core.units import parse_duration, parse_positive_duration, parse_whole
from jobctl.core.words import count_of
from jobctl.errors import InvalidValue

__all__ = [
    "UNDISTURBED",
    "Act",
    "Disturbance",
    "FaultKind",
    "PlayedFault",
    "Target",
    "Targets",
    "TimedFault",
    "check_faults",
    "parse_chaos",
    "parse_fault",
    "parse_fault_table",
    "stretched_faults",
    "timetable",
    "too_short_a_drain",
]

#: What stands for every replica, and for no fault.
_ALL: Final = "all"
_NONE: Final = "none"
_TEXT: Final = re.compile(r"([^:@+]*?)\s*(?::([^@+]*))?@([^+]*)(?:\+(.*))?", re.DOTALL)
_KEYS: Final = ("kind", "at", "for", "replica")
_REMEDY: Final = "write KIND[:REPLICA]@AT[+FOR], such as mock_outage@20s+20s or replica_killed:2@30s"
_LONGEST_MESSAGE: Final = 60
_TUNING: Final = Tuning()


class Target(StrEnum):
    """What a fault strikes."""

    MOCK = "the mock"
    REDIS = "Redis"
    REPLICA = "a replica"


class FaultKind(StrEnum):
    """What is broken."""

    #: Every call of the mock is answered 502, as from a provider that is away.
    MOCK_OUTAGE = "mock_outage"
    #: Every call is answered 429 with Retry-After.
    RATE_LIMITED = "rate_limited"
    #: Every answer begins 2.5 s later.
    MOCK_SLOW = "mock_slow"
    #: The embedded Redis stands still (SIGSTOP).
    REDIS_STALLED = "redis_stalled"
    #: A worker ends without a word (SIGKILL); afterwards it is started again, as a platform would.
    REPLICA_KILLED = "replica_killed"
    #: A worker stands still (SIGSTOP).
    REPLICA_FROZEN = "replica_frozen"

    @property
    def target(self) -> Target:
        """What it strikes."""
        if self in {FaultKind.REPLICA_KILLED, FaultKind.REPLICA_FROZEN}:
            return Target.REPLICA
        return Target.REDIS if self is FaultKind.REDIS_STALLED else Target.MOCK


@dataclass(frozen=True, slots=True)
class TimedFault:
    """A fault and when it is due.

    Attributes:
        kind: What is broken.
        at_s: When, in seconds from the start of the schedule.
        for_s: For how long; None for a replica that stays dead.
        replica: The number of the replica it strikes, from 1; None for all of them, and for what is no replica.
    """

    kind: FaultKind
    at_s: float
    for_s: float | None = None
    replica: int | None = None

    def __post_init__(self) -> None:
        if self.for_s is None and self.kind is not FaultKind.REPLICA_KILLED:
            raise InvalidValue(f"{self.kind}@{_seconds(self.at_s)} says not for how long", f"add +10s; {_REMEDY}")
        if self.replica is not None and self.kind.target is not Target.REPLICA:
            raise InvalidValue(f"{self.kind} strikes no replica", "drop the replica's number")

    def __str__(self) -> str:
        who = f":{self.replica or _ALL}" if self.kind.target is Target.REPLICA else ""
        lasting = "" if self.for_s is None else f"+{_seconds(self.for_s)}"
        return f"{self.kind}{who}@{_seconds(self.at_s)}{lasting}"

    @property
    def until_s(self) -> float:
        """When it ends; a replica that stays dead has no end, and what comes after it is another fleet: its instant."""
        return self.at_s + (self.for_s or 0.0)

    def clashes_with(self, other: TimedFault) -> bool:
        """Whether both would strike the same thing at once; what ends at the instant the other begins does not."""
        if self.kind.target is not other.kind.target:
            return False
        if self.replica is not None and other.replica is not None and self.replica != other.replica:
            return False
        first, second = sorted((self, other), key=lambda fault: fault.at_s)
        return first.for_s is None or second.at_s < first.until_s or first.at_s == second.at_s


@dataclass(frozen=True, slots=True)
class PlayedFault:
    """What really happened.

    Attributes:
        kind: What was broken.
        at_s: When, in seconds from the start of the schedule.
        until_s: When it was mended; None where it never was.
        replica: The replica that was struck; None for all of them, and for what is no replica.
        what: What was done, for people.
        problem: Why it could not be done, or not be mended; None where all went well.
    """

    kind: FaultKind
    at_s: float
    until_s: float | None
    replica: int | None
    what: str
    problem: str | None = None


# ------------------------------------------------------------------------------------------------------------- reading


def parse_fault(text: str) -> TimedFault:
    """Read ``KIND[:REPLICA]@AT[+FOR]``.

    Raises:
        InvalidValue: The text means no fault.
    """
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        raise InvalidValue(f"{text[:_LONGEST_MESSAGE]!r} is no fault on a timetable", _REMEDY)
    kind, replica, at, lasting = match.groups()
    return _fault(kind, at, lasting, replica)


def parse_chaos(text: str) -> TimedFault | None:
    """Read what ``--chaos`` takes: a fault, or ``none`` for no fault, whatever the scenario says.

    Raises:
        InvalidValue: The text means neither.
    """
    return None if text.strip().lower() == _NONE else parse_fault(text)


def parse_fault_table(table: Any) -> TimedFault:
    """Read a ``[[fault]]`` of a scenario.

    Raises:
        InvalidValue: A key is unknown or missing, or its value means nothing.
    """
    if not isinstance(table, Mapping):
        raise InvalidValue("a fault is not a table", 'write [[fault]] with kind, at and for = "20s"')
    check_keys(table, _KEYS, "a fault")
    for key in ("kind", "at"):
        if key not in table:
            raise InvalidValue(f"a fault has no {key}", 'write kind = "mock_outage", at = "20s" and for = "20s"')
    told = {key: None if table.get(key) is None else str(table[key]) for key in _KEYS}
    return _fault(str(told["kind"]), str(told["at"]), told["for"], told["replica"])


def _fault(kind: str, at: str, lasting: str | None, replica: str | None) -> TimedFault:
    word = kind.strip().lower().replace("-", "_")
    if word not in set(FaultKind):
        kinds = [known.value for known in FaultKind]
        raise InvalidValue(f"{kind.strip()!r} is no kind of fault{hint(word, kinds)}", f"kinds: {', '.join(kinds)}")
    known = FaultKind(word)
    try:
        at_s = parse_duration(at)
        for_s = None if lasting is None else parse_positive_duration(lasting)
    except InvalidValue as error:
        raise InvalidValue(f"{known}: {error.problem}", error.remedy) from None
    return TimedFault(known, at_s, for_s, _replica(known, replica))


def _replica(kind: FaultKind, text: str | None) -> int | None:
    """The replica that is meant: the first one where none is named."""
    if kind.target is not Target.REPLICA:
        if text is not None:
            raise InvalidValue(f"{kind} strikes no replica", "drop the replica's number")
        return None
    if text is None:
        return 1
    if text.strip().lower() == _ALL:
        return None
    try:
        return parse_whole(text)
    except InvalidValue:
        raise InvalidValue(f"{kind}: {text!r} is no replica", f"give its number from 1, or {_ALL}") from None


def stretched_faults(faults: Iterable[TimedFault], factor: float) -> tuple[TimedFault, ...]:
    """The same timetable over a schedule that is longer or shorter by a factor."""
    return tuple(
        replace(fault, at_s=fault.at_s * factor, for_s=None if fault.for_s is None else fault.for_s * factor)
        for fault in faults
    )


# ------------------------------------------------------------------------------------------------------------ checking


@dataclass(frozen=True, slots=True)
class Targets:
    """What a bench could break.

    Attributes:
        replicas: Workers that it starts; None where they are somebody else's.
        mock: Whether it starts a mock.
        redis: Whether it starts a Redis.
    """

    replicas: int | None
    mock: bool
    redis: bool


def check_faults(faults: Sequence[TimedFault], duration_s: float, targets: Targets) -> None:
    """Refuse what cannot be done.

    Args:
        faults: The timetable.
        duration_s: Length of the schedule.
        targets: What there is to break.

    Raises:
        InvalidValue: A fault does not end within the schedule, strikes what is not there or not ours, or strikes what
            another one strikes at the same time.
    """
    for position, fault in enumerate(faults):
        _check_time(fault, duration_s)
        _check_target(fault, targets)
        clash = next((other for other in faults[:position] if fault.clashes_with(other)), None)
        if clash is not None:
            raise InvalidValue(f"{fault} and {clash} strike {fault.kind.target} at the same time", "move one of them")


def _check_time(fault: TimedFault, duration_s: float) -> None:
    if fault.at_s >= duration_s:
        problem = f"{fault} begins after the schedule of {_seconds(duration_s)}"
        raise InvalidValue(problem, "let it begin earlier, or lengthen the schedule")
    if fault.until_s > duration_s:
        problem = f"{fault} ends at {_seconds(fault.until_s)}, after the schedule of {_seconds(duration_s)}"
        raise InvalidValue(problem, "shorten it, or lengthen the schedule: what comes after it shows the recovery")


def _check_target(fault: TimedFault, targets: Targets) -> None:
    match fault.kind.target:
        case Target.MOCK if not targets.mock:
            problem = f"{fault} strikes the mock, and this bench starts none"
            raise InvalidValue(problem, "drop it, or use jobs that call the mock, without --openrouter-url")
        case Target.REDIS if not targets.redis:
            raise InvalidValue(
                f"{fault} would stop a Redis that is not the bench's own", "drop it, or give no --redis-url"
            )
        case Target.REPLICA if targets.replicas is None:
            problem = f"{fault} strikes a worker, and --no-workers starts none"
            raise InvalidValue(problem, "drop one of the two")
        case Target.REPLICA if fault.replica is not None and fault.replica > (targets.replicas or 0):
            count = count_of(targets.replicas or 0, "replica")
            raise InvalidValue(f"{fault}: there are only {count}", f"give a number up to that, or {_ALL}")


def too_short_a_drain(
    faults: Sequence[TimedFault],
    duration_s: float,
    drain_s: float,
    *,
    rate_per_s: float,
    recover_after_s: float,
    retries: RetryPolicy,
) -> str | None:
    """A line that says that jobs may still be recovering when the drain ends; None where it is long enough.

    Jobs of a replica run again within the time of recovery. A call that failed at the end of an outage is tried again
    after the longest wait that the policy knows, when the breaker closes, or when the retry budget allows it: at worst
    each job of the outage needs a retry, and when the schedule is over first calls pay nothing in any more.

    Args:
        faults: The timetable.
        duration_s: Length of the schedule.
        drain_s: How long the bench waits for the last job afterwards.
        rate_per_s: Mean rate of the arrivals.
        recover_after_s: Within this time jobs of a killed worker run again.
        retries: How jobs are tried again.
    """
    last_wait_s = min(retries.cap_s, retries.base_s * 2.0 ** max(0, retries.attempts - 2))
    needed_s, fault = 0.0, None
    for candidate in faults:
        after_s = recover_after_s
        if candidate.kind.target is Target.MOCK:
            after_s = max(last_wait_s, _breaker_s(candidate.kind, candidate.for_s or 0.0))
        late_s = max(candidate.until_s + after_s - duration_s, _retrying_s(candidate, duration_s, rate_per_s))
        if late_s > needed_s:
            needed_s, fault = late_s, candidate
    if fault is None or needed_s <= drain_s:
        return None
    return (
        f"a drain of {drain_s:g} s may end too early: jobs that {fault} strikes may run again as late as "
        f"{needed_s:.0f} s after the schedule; --drain {math.ceil(needed_s + 10)}s waits for them"
    )


def _breaker_s(kind: FaultKind, lasted_s: float) -> float:
    """How long after an outage the breaker may stay open, seconds.

    It opens for longer and longer, each time for twice as long as before: 5 s, 10 s, 20 s. So the opening that is under
    way when the outage ends takes no longer than the outage did, and the first one.
    """
    if kind is not FaultKind.MOCK_OUTAGE:
        return 0.0
    return min(_TUNING.longest_backoff_s, lasted_s + _TUNING.open_s)


def _retrying_s(fault: TimedFault, duration_s: float, rate_per_s: float) -> float:
    """How long after the schedule the last retry of an outage may be sent, as the budget allows them, seconds."""
    if fault.kind is not FaultKind.MOCK_OUTAGE or fault.for_s is None:
        return 0.0
    refill_per_s = _TUNING.retry_trickle_per_s + _TUNING.retry_share * rate_per_s
    sent = _TUNING.retry_reserve + (duration_s - fault.until_s) * refill_per_s
    return max(0.0, rate_per_s * fault.for_s - sent) / _TUNING.retry_trickle_per_s


# ------------------------------------------------------------------------------------------------------------- playing


class Act(NamedTuple):
    """One thing to do.

    Attributes:
        at_s: When, in seconds from the start of the schedule.
        begins: Whether the fault is to begin; otherwise it is to be mended.
        fault: The fault.
    """

    at_s: float
    begins: bool
    fault: TimedFault


def timetable(faults: Iterable[TimedFault]) -> tuple[Act, ...]:
    """What to do, in order of time; at the same instant what ends does so before anything begins."""
    begins = [Act(fault.at_s, True, fault) for fault in faults]
    ends = [Act(fault.until_s, False, fault) for _, _, fault in begins if fault.for_s is not None]
    return tuple(sorted([*begins, *ends], key=lambda act: (act.at_s, act.begins)))


# ------------------------------------------------------------------------------------------------------------- judging


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What the faults of a run explain of it.

    Attributes:
        stretches: Begin and end of each, the time of recovery included, in seconds since the epoch.
        calm_from_s: From when on the backlog has no excuse to grow: the last fault has ended, and a breaker that it
            opened closes. None without faults.
        replicas_lost: Replicas that stayed dead.
        problems: Faults that could not be played, or not be mended.
    """

    stretches: tuple[tuple[float, float], ...] = ()
    calm_from_s: float | None = None
    replicas_lost: int = 0
    problems: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, played: Sequence[PlayedFault], start_s: float, recover_after_s: float, replicas: int | None
    ) -> Disturbance:
        """What these faults explain.

        Args:
            played: What was done.
            start_s: When the schedule began, seconds since the epoch.
            recover_after_s: Within this time jobs of a worker that fell silent run again.
            replicas: How many there were; None where they are somebody else's.
        """
        if not played:
            return UNDISTURBED
        ends = [start_s + (fault.at_s if fault.until_s is None else fault.until_s) for fault in played]
        return cls(
            stretches=tuple(
                (start_s + fault.at_s, end_s + (0.0 if fault.kind.target is Target.MOCK else recover_after_s))
                for fault, end_s in zip(played, ends, strict=True)
            ),
            calm_from_s=max(
                end_s + _breaker_s(fault.kind, end_s - start_s - fault.at_s)
                for fault, end_s in zip(played, ends, strict=True)
            ),
            replicas_lost=sum(
                (1 if fault.replica is not None else replicas or 0)
                for fault in played
                if fault.kind is FaultKind.REPLICA_KILLED and fault.until_s is None
            ),
            problems=tuple(f"{fault.kind}: {fault.problem}" for fault in played if fault.problem is not None),
        )

    def struck(self, record: JobRecord) -> bool:
        """Whether a fault may explain what became of this job."""
        ended_s = math.inf if record.finished_s is None else record.finished_s
        return any(record.intended_s <= end_s and ended_s >= begin_s for begin_s, end_s in self.stretches)

    def excused(self, records: Iterable[JobRecord]) -> tuple[int, int]:
        """Of the jobs that were struck: how many failed, and how many ran to success more than once."""
        struck = [record for record in records if self.struck(record)] if self.stretches else []
        counts = Counter(record.outcome for record in struck)
        return counts[Outcome.FAILED], sum(record.successes > 1 for record in struck)


#: Of a run without faults.
UNDISTURBED: Final = Disturbance()


def _seconds(seconds: float) -> str:
    """Seconds as they are typed, to the microsecond."""
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"

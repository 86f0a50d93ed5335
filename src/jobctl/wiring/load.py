"""The load as the generator's own process sees it, and the start that both sides agree on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from jobctl.core.clocks import SAME_CLOCK, ClockOffset
from jobctl.core.crew import WHOLE, Shard
from jobctl.errors import ServiceUnavailable

if TYPE_CHECKING:
    from redis import Redis

    from jobctl.apps.bench.conductor import Conductor
    from jobctl.apps.bench.generator import Sent
    from jobctl.apps.bench.session import LoadSession
    from jobctl.ports import Clock

__all__ = [
    "ANSWER_S",
    "agree_start",
    "agree_start_at",
    "agreed_start",
    "forget_start",
    "load_session",
    "make_conductor",
    "new_run",
    "new_run_id",
    "schedule_digest",
]

#: Seconds between agreeing on a start and the start: every generator must have read it by then.
_START_LEAD_S: Final = 0.2
#: How long a generator waits for the start to be agreed.
_START_PATIENCE_S: Final = 120.0
#: How long a bench waits for an answer of Redis, seconds: a frozen one must not freeze the bench.
ANSWER_S: Final = 20.0


def new_run(spec_json: str) -> str:
    """The same load under a fresh run id, so that a second run shares no job id with the first."""
    from jobctl.apps.bench.spec import LoadSpec

    return replace(LoadSpec.from_json(spec_json), run_id=new_run_id()).to_json()


def schedule_digest(spec_json: str) -> str:
    """What identifies the schedule of a load, as a bench's document tells it."""
    from jobctl.apps.bench.spec import LoadSpec
    from jobctl.core.arrivals import digest

    return digest(LoadSpec.from_json(spec_json).schedule())


def new_run_id() -> str:
    """The prefix of the ids of a run's jobs."""
    return uuid4().hex[:8]


def agree_start(connection: Redis, run_id: str) -> float:
    """Fix the instant at which the generators of a run begin, and tell them through Redis, by its clock.

    Returns:
        The instant by this machine's clock, seconds since the epoch.
    """
    from jobctl.adapters.clock import SystemClock

    clock = SystemClock()
    shift_s = _ahead(connection, clock).shift_to(SAME_CLOCK)
    start_s = clock.now() + _START_LEAD_S
    connection.set(_start_key(run_id), repr(start_s + shift_s), ex=3600)
    return start_s


def agree_start_at(redis_url: str, run_id: str) -> None:
    """Fix the start as :func:`agree_start` does, over a connection of its own."""
    from jobctl.adapters.redis_connection import connect

    with connect(redis_url, answer_s=ANSWER_S) as connection:
        agree_start(connection, run_id)


def agreed_start(redis_url: str, run_id: str) -> float:
    """Wait until the start of a run was agreed.

    Returns:
        The instant by this machine's clock.

    Raises:
        ServiceUnavailable: Nobody agreed on one.
    """
    from jobctl.adapters.clock import SystemClock
    from jobctl.adapters.redis_connection import connect

    connection = connect(redis_url)
    shift_s = SAME_CLOCK.shift_to(_ahead(connection, SystemClock()))
    for _ in range(round(_START_PATIENCE_S / 0.02)):
        start = connection.get(_start_key(run_id))
        if start is not None:
            return float(start) + shift_s
        time.sleep(0.02)
    raise ServiceUnavailable("load generator", "was never told to start", "run it through jobctl bench")


def forget_start(connection: Redis, run_id: str) -> None:
    """Remove what was agreed on."""
    connection.delete(_start_key(run_id))


def _ahead(connection: Redis, clock: Clock) -> ClockOffset:
    """How far Redis' clock is ahead of this one."""
    from jobctl.adapters.redis_clock import ClockWatch

    return ClockWatch(connection, clock.now).ask() or SAME_CLOCK


def _comparing(connection: Redis, clock: Clock) -> Callable[[], ClockOffset | None]:
    """What tells, each time better, how far Redis' clock is ahead of this one."""
    from jobctl.adapters.redis_clock import ClockWatch
    from jobctl.adapters.redis_connection import translated

    watch = ClockWatch(connection, clock.now)

    def compare() -> ClockOffset | None:
        with translated():
            return watch.ask()

    return compare


def _start_key(run_id: str) -> str:
    return f"jobctl:run:{run_id}:start"


def load_session(
    spec_json: str,
    redis_url: str,
    say: Callable[[Mapping[str, Any]], None],
    on_sent: Callable[[Sent], None],
    on_ended: Callable[[str, float, bool], None],
    shard: Shard = WHOLE,
) -> LoadSession:
    """The load of one generator process.

    Args:
        spec_json: The load, as :meth:`LoadSpec.to_json` wrote it.
        redis_url: Where jobs go.
        say: Takes each message.
        on_sent: Called for each job that left.
        on_ended: Called for each job that ended, with its type, its sojourn in seconds and whether it failed.
        shard: The part of the schedule that is this process's.
    """
    from jobctl.adapters.clock import SystemClock
    from jobctl.adapters.processes import keep_time
    from jobctl.adapters.redis_connection import connect
    from jobctl.adapters.rq_queue import RqCompletions, RqQueue
    from jobctl.apps.bench.session import LoadSession
    from jobctl.apps.bench.spec import LoadSpec

    spec = LoadSpec.from_json(spec_json)
    connection = connect(redis_url, answer_s=ANSWER_S)
    keep_time()
    kept_s = int(spec.duration_s + spec.drain_s) + 600
    clock = SystemClock()
    return LoadSession(
        spec,
        RqQueue(connection, spec.queues[0], others=spec.queues[1:], result_ttl_s=kept_s, failure_ttl_s=kept_s),
        RqCompletions(connection, spec.queues),
        clock,
        say,
        on_sent,
        on_ended,
        shard=shard,
        compare_clock=_comparing(connection, clock),
        cpu_s=time.process_time,
    )


def make_conductor(
    spec_json: str, redis_url: str, names: Sequence[str], say: Callable[[Mapping[str, Any]], None]
) -> Conductor:
    """The lead of several generators.

    Args:
        spec_json: The load, as :meth:`LoadSpec.to_json` wrote it.
        redis_url: Where jobs go.
        names: The generators.
        say: Takes each message.
    """
    from jobctl.adapters.clock import SystemClock
    from jobctl.adapters.redis_connection import connect
    from jobctl.apps.bench.conductor import Conductor
    from jobctl.apps.bench.spec import LoadSpec

    connection = connect(redis_url, answer_s=ANSWER_S)
    return Conductor(LoadSpec.from_json(spec_json), names, say, _comparing(connection, SystemClock()))

"""Whether Redis keeps jobs: what it throws away, what it writes down, and what it has room for."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from jobctl.apps.doctor.findings import Check, Finding, Group, answering, fail, ok, on, unchecked, warn
from jobctl.apps.doctor.set_up import SetUp
from jobctl.apps.doctor.words import size
from jobctl.core.facts import OLDEST_REDIS, RedisFacts, RqFacts, Unreachable
from jobctl.core.units import SECONDS_PER_DAY, format_duration
from jobctl.core.words import number, share

__all__ = ["CHECKS", "DEAD_BYTES", "DEAD_KEPT_S"]

#: Memory of a dead job with its results where none can be measured, bytes: 1 kB of arguments and a short traceback.
DEAD_BYTES: Final = 5_500.0
#: How long ``jobctl work`` keeps dead jobs that do not say so themselves, seconds.
DEAD_KEPT_S: Final = 180.0 * SECONDS_PER_DAY
#: Clocks that are further apart spoil waits and times of jobs, seconds: registries count in whole seconds.
_APART_S: Final = 1.0
#: A worker's heartbeat is due within a minute: whose clock is further off seems dead, seconds.
_DEAD_APART_S: Final = 30.0
_MISSING: Final = unchecked("no Redis is named", "give --redis-url, or set REDIS_URL")
_UNTOLD_MEMORY: Final = unchecked("Redis does not tell its memory", "look at it where it is run")
_UNFORCED: Final = warn(
    "the append-only file is left to the system to write (appendfsync no): a machine that crashes loses half a minute",
    "set appendfsync everysec: it then loses one second at most",
)
_MORE_MEMORY: Final = "give Redis more memory, enqueue with a shorter failure_ttl, or run `jobctl dead purge` regularly"


#: What to do about a refused write, by what the refusal says.
_REFUSED: Final = {
    "read only": "connect to the primary: this one is a replica",
    "permission": "give the user that right: how-to Secure Redis has a line of users.acl",
    "MISCONF": "look at the disk of Redis and at its log",
}


def _answers(set_up: SetUp) -> Finding:
    """Whether it answers, all questions of it and of RQ."""
    rq = set_up.rq
    if isinstance(set_up.redis, RedisFacts) and isinstance(rq, Unreachable):
        return fail(rq.problem, rq.remedy)
    return answering(_redis, _MISSING, lambda redis: "answers")(set_up)


def _writable(set_up: SetUp, redis: RedisFacts) -> Finding:
    if not redis.refusal:
        return ok("takes writes")
    remedy = next((how for word, how in _REFUSED.items() if word in redis.refusal), "look at the log of Redis")
    return fail(f"refuses to write ({redis.refusal}): nothing is enqueued, and no job ends", remedy)


def _version(set_up: SetUp, redis: RedisFacts) -> Finding:
    name = f"{redis.product} {redis.version}"
    if redis.compatible >= OLDEST_REDIS:
        return ok(name)
    oldest = ".".join(map(str, OLDEST_REDIS))
    return fail(f"{name} has no LMOVE, by which RQ takes jobs without losing them", f"update it to {oldest} or newer")


def _eviction(set_up: SetUp, redis: RedisFacts) -> Finding:
    if redis.policy is None:
        return unchecked("Redis does not tell its policy", "look for maxmemory-policy noeviction where it is run")
    if redis.policy == "noeviction":
        return ok("noeviction")
    remedy = "set maxmemory-policy noeviction"
    if redis.limit_bytes is None:
        return warn(f"{redis.policy} throws jobs away from the day on which a maxmemory is set", remedy)
    return fail(f"{redis.policy} throws jobs away when the memory is full, and tells nobody", remedy)


def _persistence(set_up: SetUp, redis: RedisFacts) -> Finding:
    failed = "" if redis.snapshot_sound else "the last snapshot failed: Redis may refuse writes"
    if redis.log_enabled and not redis.log_sound:
        failed = "the append-only file cannot be written"
    if failed:
        return fail(failed, "look at its disk and at the log of the server")
    if redis.log_enabled is None:
        return unchecked("Redis does not tell how it writes to disk", "look for it where it is run")
    if redis.log_enabled:
        return _UNFORCED if redis.log_sync == "no" else ok("append-only file on")
    remedy = "set appendonly yes: a crash then loses one second at most"
    match redis.snapshots:
        case None:
            return warn("the append-only file is off, and whether snapshots are taken cannot be asked", remedy)
        case "":
            return fail("nothing is written to disk: a restart loses every job", remedy)
        case _:
            return warn(f"snapshots alone (save {redis.snapshots}): a crash loses the jobs since the last one", remedy)


def _memory(set_up: SetUp, redis: RedisFacts) -> Finding:
    limit, threshold = redis.limit_bytes, set_up.intent.thresholds.redis_memory
    if redis.used_bytes is None:
        return _UNTOLD_MEMORY
    if limit is None:
        return warn(
            f"{size(redis.used_bytes)} used and no maxmemory: when the machine's memory ends, Redis is killed",
            "set maxmemory to three quarters of the memory that Redis may use",
        )
    used = redis.used_bytes / limit
    if used >= threshold:
        level = fail if used >= 1 else warn
        return level(f"{share(used)} of {size(limit)} used: at 100 % enqueueing fails", _MORE_MEMORY)
    return ok(f"{share(used)} of {size(limit)} used")


def _dead_memory(set_up: SetUp, redis: RedisFacts) -> Finding:
    """Whether the dead jobs of the time that they are kept have room: V p x TTL x bytes of one, beside what is used."""
    intent = set_up.intent
    if intent.jobs_per_day is None:
        return unchecked("the volume is not known", "give --per-day")
    room, whose = (redis.limit_bytes, "maxmemory") if redis.limit_bytes else (redis.machine_bytes, "the machine has")
    if room is None or redis.used_bytes is None:
        return _UNTOLD_MEMORY
    rq = RqFacts() if set_up.rq is None or isinstance(set_up.rq, Unreachable) else set_up.rq
    each = DEAD_BYTES if rq.dead_bytes is None else rq.dead_bytes
    kept_s = DEAD_KEPT_S if rq.dead_kept_s is None else rq.dead_kept_s
    if math.isinf(kept_s):
        return fail("dead jobs are kept for ever: whatever the memory, it ends one day", _MORE_MEMORY)
    dead = intent.jobs_per_day * intent.error_rate * kept_s / SECONDS_PER_DAY
    there = sum(queue.dead for queue in rq.queues)
    needed = redis.used_bytes + max(0.0, dead - there) * each
    source = "estimated" if rq.dead_bytes is None else "measured"
    told = (
        f"{number(dead)} dead jobs of {format_duration(kept_s)}, {size(each)} each ({source}): "
        f"{size(needed)} with what is used, {whose} {size(room)}"
    )
    if needed >= room:
        return fail(f"no room for {told}", _MORE_MEMORY)
    if needed >= intent.thresholds.redis_memory * room:
        return warn(f"little room for {told}", _MORE_MEMORY)
    return ok(f"room for {told}")


def _clock(set_up: SetUp, redis: RedisFacts) -> Finding:
    if redis.clock is None:
        return unchecked("Redis does not tell its time", "let this user run TIME")
    apart = {"this machine": redis.clock}
    if isinstance(set_up.rq, RqFacts):
        apart |= {f"worker {worker.name}": worker.clock for worker in set_up.rq.workers if worker.clock is not None}
    name, furthest = max(apart.items(), key=lambda item: abs(item[1].offset_s) - item[1].uncertainty_s)
    off_s = abs(furthest.offset_s) - furthest.uncertainty_s
    if off_s < _APART_S:
        machines = "this machine" if len(apart) == 1 else "this machine and the workers"
        return ok(f"clocks of {machines} within {format_duration(_APART_S)}")
    way = "behind" if furthest.offset_s > 0 else "ahead of"
    detail = f"the clock of {name} is {format_duration(off_s)} {way} Redis'"
    remedy = "keep all clocks by NTP"
    if off_s < _DEAD_APART_S:
        return warn(f"{detail}: waits and times of jobs are wrong by that", remedy)
    return fail(f"{detail}: living workers seem dead, and their jobs run twice", remedy)


def _redis(set_up: SetUp) -> RedisFacts | Unreachable | None:
    return set_up.redis


def _check(name: str, title: str, judge: Callable[[SetUp, RedisFacts], Finding]) -> Check:
    return Check(name, Group.REDIS, title, on(_redis, "Redis", _MISSING, judge))


CHECKS: Final = (
    Check("redis-answers", Group.REDIS, "answers", _answers),
    _check("redis-writable", "writes", _writable),
    _check("redis-version", "version", _version),
    _check("redis-eviction", "eviction", _eviction),
    _check("redis-persistence", "persistence", _persistence),
    _check("redis-memory", "memory", _memory),
    _check("redis-dead-memory", "room for dead", _dead_memory),
    _check("redis-clock", "clocks", _clock),
)

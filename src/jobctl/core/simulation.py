"""A queue played out job by job: what no closed form tells.

Model: G/G/c with one queue in order of entry, identical slots, and, where asked for, attempts that fail and come back,
attempts that are cut off by a timeout, and an upstream that admits so many calls a minute. Instants and durations are
in seconds; everything random comes from the ``rng`` that is passed in.

*Why one pass in order of entry is exact.* A job enters the queue when it arrives, and again whenever a retry is due.
The queue is first in, first out, so the start of an entry depends on nothing but the entries before it: it starts once
it has entered, a slot is free of those before it, and the upstream, asked in the same order, admits it. It is therefore
enough to know, when an entry's turn comes, that all entries before it are known. Arrivals are. A retry enters no
earlier than its failed attempt ended, which is no earlier than that attempt entered: whatever enters before a given
instant comes from attempts that entered before it too, and those have been played out. So the next entry is the earlier
of the next arrival and the next due retry (a heap), and the slot it gets is the one that is free first (another heap).
For one slot and no retries this is Lindley's recursion; for c slots that of Kiefer and Wolfowitz (1955). At the same
instant an arrival enters before a retry, and retries enter in the order in which their failed attempts began.

*The upstream* is the GCRA of :mod:`jobctl.core.limiting` in its other form, of a theoretical arrival time: calls are
60/rpm apart, up to ``burst`` of them may come early, and no minute sees more than rpm + burst. Tokens have a bucket of
their own, without burst: attempts are at least 60 tokens_per_job / tpm apart. An attempt takes all its calls and tokens
when it begins to work, from both buckets or from neither; one of more calls than a full bucket holds passes when it is
full and leaves a debt. Outside the slot, the job at the head of the queue waits for the upstream, and all others behind
it; inside, it holds its slot meanwhile, and that counts towards its timeout.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush, heapreplace
from itertools import accumulate, pairwise, repeat
from operator import add, itemgetter, mul, sub
from statistics import fmean
from typing import Final

from jobctl.core.demand import Retries, Upstream
from jobctl.core.queueing import has_steady_state, predict_wait

__all__ = ["Served", "backlog", "backlog_series", "busy_series", "busy_share", "drain_after", "serve", "steady_start"]

_FOREVER: Final[float] = math.inf
_ONE_ATTEMPT: Final = Retries()
_UNLIMITED: Final = Upstream()
#: A probability below this share of the largest is none.
_NEGLIGIBLE: Final = 1e-12
#: Service times that tell a law well enough to begin with.
_POOL: Final = 20_000
#: No steady start has a longer queue; so near to its capacity no queue is steady for a day.
_LONGEST_QUEUE: Final = 100_000


@dataclass(frozen=True, slots=True)
class Served:
    """What became of the jobs.

    Attributes:
        waits: From each job's arrival to the start of its first attempt, in order of arrival.
        entries: When each attempt entered the queue, ascending; the arrivals themselves where nothing is retried.
        entry_waits: From each entry to its start. Starts ascend too.
        held: How long each entry held its slot.
        failed_jobs: Jobs whose last attempt failed.
        sojourns: From each job's arrival to the end of its last attempt; None where not asked for.
    """

    waits: Sequence[float]
    entries: Sequence[float]
    entry_waits: Sequence[float]
    held: Sequence[float]
    failed_jobs: int = 0
    sojourns: Sequence[float] | None = None

    @property
    def attempts(self) -> int:
        """Attempts in all."""
        return len(self.entries)


def serve(
    arrivals: Sequence[float],
    services: Sequence[float],
    slots: int,
    *,
    busy_until: Sequence[float] = (),
    retries: Retries = _ONE_ATTEMPT,
    timeout_s: float | None = None,
    upstream: Upstream = _UNLIMITED,
    rng: random.Random | None = None,
    sojourns: bool = False,
) -> Served:
    """Play the jobs out, each until its last attempt has ended.

    Args:
        arrivals: When each job arrives, ascending.
        services: How long a successful first attempt of each holds its slot. A further attempt takes the time of a job
            drawn from these at random: it is as long as any, not as long as the job's last one.
        slots: How many there are; at least 1.
        busy_until: When slots become free that are busy at first, at most one instant for each; the others are free.
        retries: What becomes of failed attempts.
        timeout_s: An attempt that would hold its slot for longer holds it for so long and fails; None for no timeout.
        upstream: Limits of what the jobs call.
        rng: Source of failures, of back-off and of further attempts' times; None where nothing can fail.
        sojourns: Whether to keep them.

    Raises:
        ValueError: There are more busy slots than slots, or something can fail and there is no ``rng``.
    """
    if rng is None and (retries.failure_rate > 0 or (timeout_s is not None and retries.attempts > 1)):
        raise ValueError("attempts can fail, which needs an rng")
    free = _free_slots(slots, busy_until, len(arrivals) * retries.attempts)
    if retries.failure_rate == 0 and timeout_s is None and upstream.attempts_per_s is None:
        waits = _serve_once(arrivals, services, free)
        return Served(waits, arrivals, waits, services, 0, _sums(waits, services) if sojourns else None)
    limit_s = _FOREVER if timeout_s is None else timeout_s
    chance = rng or random.Random(0)  # where nothing can fail, nothing is drawn
    served, ends = _serve_attempts(arrivals, services, free, retries, limit_s, upstream, chance)
    return replace(served, sojourns=list(map(sub, ends, arrivals))) if sojourns else served


def steady_start(
    load_erlangs: float,
    slots: int,
    services: Sequence[float],
    rng: random.Random,
    *,
    at_s: float = 0.0,
    arrival_scv: float = 1.0,
) -> list[float]:
    """When slots become free in a system that has run at this load for ever: a ``busy_until`` for :func:`serve`.

    The number in the system is drawn from M/M/c: the Poisson law of the load where some slot is free; all busy with
    Erlang's C, and then a geometric queue, of the mean that the two-moment formula of :mod:`jobctl.core.queueing`
    gives. A job found in service is one of length-biased choice, at a uniform point of its time (the inspection
    paradox); those in the queue are played out. Exact for M/M/c, and near enough for others that no lead-in is needed
    where gaps are independent. Where the slots cannot keep up no state is steady: all are busy and nobody waits.

    Args:
        load_erlangs: Slots kept busy if no job waited.
        slots: How many there are.
        services: Times for which jobs hold a slot.
        rng: Source of chance.
        at_s: The instant at which the system is looked at.
        arrival_scv: Squared coefficient of variation of gaps.
    """
    pool = services[:: max(1, len(services) // _POOL)]
    mean_s = fmean(pool) if pool else 0.0
    if load_erlangs <= 0 or mean_s <= 0:
        return []
    busy, queue = slots, 0
    if has_steady_state(slots, load_erlangs):
        wait = predict_wait(
            arrival_rate_per_s=load_erlangs / mean_s,
            mean_service_s=mean_s,
            slots=slots,
            arrival_scv=arrival_scv,
            service_scv=fmean([(service_s / mean_s - 1) ** 2 for service_s in pool]),
        )
        if rng.random() >= wait.p_wait:
            busy = _busy_below(load_erlangs, slots, rng)
        elif wait.mean_s > 0:
            # Little: the mean queue is rate x wait, and it is 0 unless all are busy.
            queued = wait.mean_s / wait.p_wait * load_erlangs / mean_s
            queue = min(_LONGEST_QUEUE, int(rng.expovariate(math.log1p(1 / queued))))
    free = [at_s + rng.random() * service_s for service_s in rng.choices(pool, weights=pool, k=busy)]
    heapify(free)
    _serve_once([at_s] * queue, rng.choices(pool, k=queue), free)
    return free


def backlog(arrivals: Sequence[float], waits: Sequence[float]) -> tuple[int, float]:
    """The most jobs that waited at one instant, and when that was first; 0 and 0.0 where none ever did.

    Args:
        arrivals: When each entered the queue, ascending.
        waits: For how long each waited there.
    """
    at_s, most = max(_waiting(arrivals, waits), key=itemgetter(1), default=(0.0, 0))
    return most, at_s


def backlog_series(arrivals: Sequence[float], waits: Sequence[float], edges: Sequence[float]) -> list[int]:
    """The most jobs that waited at one instant of each stretch, from one edge to the next.

    Args:
        arrivals: When each entered the queue, ascending.
        waits: For how long each waited there.
        edges: Where stretches begin, ascending, and the end of the last.
    """
    starts = _sums(arrivals, waits)
    most = [bisect_right(arrivals, edge_s) - bisect_right(starts, edge_s) for edge_s in edges[:-1]]
    for arrival_s, waiting in _waiting(arrivals, waits):
        stretch = bisect_right(edges, arrival_s) - 1
        if 0 <= stretch < len(most) and waiting > most[stretch]:
            most[stretch] = waiting
    return most


def drain_after(arrivals: Sequence[float], waits: Sequence[float], at_s: float) -> float:
    """Seconds from an instant until nobody waits any more; 0 when nobody does.

    Args:
        arrivals: When each entered the queue, ascending.
        waits: For how long each waited there.
        at_s: The instant.
    """
    starts = _sums(arrivals, waits)
    first = bisect_right(starts, at_s)
    if first >= bisect_right(arrivals, at_s):
        return 0.0
    for started in range(first, len(starts)):
        if started + 1 == len(starts) or arrivals[started + 1] > starts[started]:
            return starts[started] - at_s
    return 0.0


def busy_series(
    entries: Sequence[float],
    waits: Sequence[float],
    held: Sequence[float],
    edges: Sequence[float],
    slots: int,
    busy_until: Sequence[float] = (),
) -> list[float]:
    """The share of the slots that was busy in each stretch, from one edge to the next.

    The busy slot seconds up to t are the sum of t - start over the attempts that have started, less the sum of t - end
    over those that have ended.

    Args:
        entries: When each attempt entered the queue, ascending.
        waits: For how long it waited there.
        held: For how long it held its slot.
        edges: Where stretches begin, ascending, and the end of the last.
        slots: How many there are.
        busy_until: As :func:`serve` was given it; these slots are taken to be busy from the first edge on.
    """
    starts = _sums(entries, waits)
    ends = sorted(_sums(starts, held))
    started_s, ended_s = (list(accumulate(instants, initial=0.0)) for instants in (starts, ends))

    def busy_s(until_s: float) -> float:
        started, ended = bisect_left(starts, until_s), bisect_left(ends, until_s)
        return (started - ended) * until_s - (started_s[started] - ended_s[ended])

    shares = []
    for begin_s, end_s in pairwise(edges):
        left_s = math.fsum(max(0.0, min(free_s, end_s) - begin_s) for free_s in busy_until)
        shares.append((busy_s(end_s) - busy_s(begin_s) + left_s) / (slots * (end_s - begin_s)))
    return shares


def busy_share(
    entries: Sequence[float],
    waits: Sequence[float],
    held: Sequence[float],
    start_s: float,
    end_s: float,
    slots: int,
    busy_until: Sequence[float] = (),
) -> float:
    """The share of the slots that was busy between two instants; see :func:`busy_series`."""
    return busy_series(entries, waits, held, (start_s, end_s), slots, busy_until)[0]


# ---------------------------------------------------------------------------------------------------------------- play


class _Gate:
    """The upstream's two limits, each as the instant before which nobody is admitted."""

    __slots__ = ("_call_s", "_calls_s", "_slack_s", "_token_s", "_tokens_s")

    def __init__(self, upstream: Upstream) -> None:
        self._calls_s = self._tokens_s = -_FOREVER
        self._call_s = self._slack_s = self._token_s = 0.0
        if upstream.rpm is not None:
            self._call_s = upstream.calls_per_job * 60 / upstream.rpm
            self._slack_s = max(0.0, 1 + upstream.burst - upstream.calls_per_job) * 60 / upstream.rpm
        if upstream.tpm is not None and upstream.tokens_per_job:
            self._token_s = upstream.tokens_per_job * 60 / upstream.tpm

    def admit(self, ready_s: float, patience_s: float = _FOREVER) -> float:
        """When one that is ready may begin; who would wait for its patience or longer leaves without a call.

        With theoretical arrival times c and t of calls and tokens, a call begins at max(ready, c - slack, t), and then
        c = max(c, begin) + call, t = begin + token. Kept is c - slack.
        """
        calls_s, tokens_s = self._calls_s, self._tokens_s
        begin_s = ready_s if ready_s > calls_s else calls_s
        begin_s = begin_s if begin_s > tokens_s else tokens_s
        if begin_s - ready_s < patience_s:
            full_s = begin_s - self._slack_s
            self._calls_s = (calls_s if calls_s > full_s else full_s) + self._call_s
            self._tokens_s = begin_s + self._token_s
        return begin_s


def _free_slots(slots: int, busy_until: Sequence[float], attempts: int) -> list[float]:
    """The heap of when each slot becomes free, without those that even all attempts at once would leave free."""
    if len(busy_until) > slots:
        raise ValueError(f"{len(busy_until)} of {slots} slots are busy")
    heap = [-_FOREVER] * min(slots - len(busy_until), attempts) + list(busy_until)
    heapify(heap)
    return heap


def _serve_once(arrivals: Sequence[float], services: Sequence[float], free: list[float]) -> list[float]:
    """The waits where each job takes one attempt; ``free``, a heap, is left as it is after the last start."""
    waits: list[float] = []
    wait = waits.append
    for arrival_s, service_s in zip(arrivals, services, strict=True):
        free_s = free[0]
        if free_s > arrival_s:
            wait(free_s - arrival_s)
            heapreplace(free, free_s + service_s)
        else:
            wait(0.0)
            heapreplace(free, arrival_s + service_s)
    return waits


#: A retry: when it is due, a number that keeps the order among equals, the job, and which of its attempts it is.
_Retry = tuple[float, int, int, int]


def _serve_attempts(
    arrivals: Sequence[float],
    services: Sequence[float],
    free: list[float],
    retries: Retries,
    timeout_s: float,
    upstream: Upstream,
    rng: random.Random,
) -> tuple[Served, list[float]]:
    """Serve jobs whose attempts may fail, be cut off or wait for the upstream; and when the last of each ended."""
    waits: list[float] = []
    entries: list[float] = []
    entry_waits: list[float] = []
    held: list[float] = []
    ends = [0.0] * len(arrivals)
    due: list[_Retry] = []
    failed_jobs = 0
    attempts, jitter, backoffs_s = retries.attempts, retries.jitter, _backoffs_s(retries)
    failure_rate, chance = retries.failure_rate, rng.random
    gate = _Gate(upstream) if upstream.attempts_per_s is not None else None
    in_slot = upstream.waits_in_slot
    for entry_s, service_s, job, attempt in _entries(arrivals, services, due, rng):
        start_s = free[0] if free[0] > entry_s else entry_s
        held_s = 0.0
        if gate is not None and in_slot:
            held_s = gate.admit(start_s, timeout_s) - start_s
        elif gate is not None:
            start_s = gate.admit(start_s)
        fails = failure_rate > 0 and chance() < failure_rate
        held_s += _failed_s(retries, service_s) if fails else service_s
        if held_s > timeout_s:
            held_s, fails = timeout_s, True
        end_s = start_s + held_s
        heapreplace(free, end_s)
        entries.append(entry_s)
        entry_waits.append(start_s - entry_s)
        held.append(held_s)
        if attempt == 1:
            waits.append(start_s - entry_s)
        if fails and attempt < attempts:
            due_s = end_s + backoffs_s[attempt - 1] * (1 - jitter * chance())
            heappush(due, (due_s, len(entries), job, attempt + 1))
        else:
            failed_jobs += fails
            ends[job] = end_s
    return Served(waits, entries, entry_waits, held, failed_jobs), ends


def _entries(
    arrivals: Sequence[float], services: Sequence[float], due: list[_Retry], rng: random.Random
) -> Iterator[tuple[float, float, int, int]]:
    """Each entry's instant, service time, job and attempt, in order; what its attempt adds to ``due`` takes part."""
    for job, (arrival_s, service_s) in enumerate(zip(arrivals, services, strict=True)):
        while due and due[0][0] < arrival_s:
            entry_s, _, again, attempt = heappop(due)
            yield entry_s, rng.choice(services), again, attempt
        yield arrival_s, service_s, job, 1
    while due:
        entry_s, _, again, attempt = heappop(due)
        yield entry_s, rng.choice(services), again, attempt


def _failed_s(retries: Retries, service_s: float) -> float:
    """How long a failed attempt holds its slot."""
    return retries.failed_ratio * service_s if retries.failed_s is None else retries.failed_s


def _backoffs_s(retries: Retries) -> list[float]:
    """The longest wait after each attempt but the last: min(cap, base factor^(k-1)) after the k-th."""
    waits_s = accumulate(repeat(retries.factor, retries.attempts - 1), mul, initial=retries.base_s)
    return [min(retries.cap_s, wait_s) for wait_s in waits_s]


# -------------------------------------------------------------------------------------------------------------- pieces


def _sums(instants: Sequence[float], durations: Sequence[float]) -> list[float]:
    """What comes each duration after each instant."""
    return list(map(add, instants, durations))


def _waiting(arrivals: Sequence[float], waits: Sequence[float]) -> Iterator[tuple[float, int]]:
    """Each arrival that has to wait, and how many wait just after it; between two arrivals they only become fewer."""
    starts = _sums(arrivals, waits)
    started = 0
    for arrived, (arrival_s, start_s) in enumerate(zip(arrivals, starts, strict=True), 1):
        if start_s > arrival_s:
            while starts[started] <= arrival_s:
                started += 1
            yield arrival_s, arrived - started


def _busy_below(load_erlangs: float, slots: int, rng: random.Random) -> int:
    """A draw from the Poisson law of the load, of those numbers that leave a slot free.

    The law's terms are built up in both directions from its greatest, until they no longer matter.
    """
    mode = min(slots - 1, math.floor(load_erlangs))
    above, below = [1.0], [1.0]
    while above[-1] > _NEGLIGIBLE and mode + len(above) < slots:
        above.append(above[-1] * load_erlangs / (mode + len(above)))
    while below[-1] > _NEGLIGIBLE and mode >= len(below):
        below.append(below[-1] * (mode + 1 - len(below)) / load_erlangs)
    terms = below[:0:-1] + above
    lowest = mode - (len(below) - 1)
    return lowest + rng.choices(range(len(terms)), weights=terms)[0]

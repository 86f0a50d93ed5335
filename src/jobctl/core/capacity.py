"""What follows from a demand by arithmetic: the load, the slots that a replica really offers, the most it may have.

One attempt. With probability p it fails and holds its slot ``failed_ratio`` times a successful attempt's time, or
``failed_s``; an attempt that would take longer than the job timeout T is stopped there and has failed as well. So it
fails with f = p + (1 - p) P(S > T), independent of the others, and a job of at most m attempts takes on average

    A = (1 - f^m) / (1 - f)

of them and fails for good with f^m. (Failures that come together, as in an outage, break this.)

Slots of a replica. It has ``concurrency`` of them, but no more than connections where a job holds one all the time, and
no more than keep its interpreter below ``cpu_limit`` of a core: cpu_limit S / cpu. Where connections are held for a
share h of the time, jobs wait for one inside their slot; with all slots busy that is the machine repair model (Gross,
Shortle, Thompson & Harris, "Fundamentals of Queueing Theory", 2.8): n customers who think for (1 - h) S and then want
one of k servers for h S. Its wait is added to the slot time, for slots that are all busy: a bound that is near where it
matters.

The upstream admits attempts at its rate, so new jobs at that rate over A. Where jobs wait for it inside their slot, the
wait of M/D/1 at its utilisation is added to the slot time.
"""

from __future__ import annotations

import math
from typing import Final

from jobctl.core.demand import Demand, Hold
from jobctl.core.plans import Binding, Limits
from jobctl.core.service import Constant, Law, Mixture, clipped_moments
from jobctl.core.units import SECONDS_PER_DAY

__all__ = [
    "attempts_per_job",
    "backlog_growth_per_day",
    "ceiling_per_s",
    "limits_of",
    "mixed_law",
    "pool_wait_s",
    "slot_stretch",
]

#: A rate this close to the limit is the limit: what is missing comes from rounding.
_ROUNDING: Final = 1e-9


def limits_of(demand: Demand) -> Limits:
    """The load, the slots and the bounds of a demand."""
    slot_s, slot_scv, fails = _attempt(demand)
    tries = attempts_per_job(fails, demand.retries.attempts)
    slots, capped_by, slot_s = _slots_of_a_replica(demand, slot_s)
    admitted = demand.upstream.attempts_per_s
    mean_per_s = demand.profile.mean_per_s
    peak_per_s = _peak_rate_per_s(demand)
    if admitted is not None and demand.upstream.waits_in_slot:
        slot_s += _limiter_wait_s(peak_per_s * tries, admitted)
    database = demand.database
    clients = database.generations * (database.connections_per_replica or 0)
    return Limits(
        attempts_per_job=tries,
        attempt_failure_rate=fails,
        job_failure_rate=fails**demand.retries.attempts,
        slot_seconds_per_job=tries * slot_s,
        slot_s=slot_s,
        slot_scv=slot_scv,
        offered_load_erlangs=peak_per_s * tries * slot_s,
        arrival_rate_per_s=mean_per_s,
        peak_arrival_rate_per_s=peak_per_s,
        effective_slots_per_replica=slots,
        capped_by=capped_by,
        upstream_per_s=None if admitted is None else admitted / tries,
        max_replicas_database=None if database.max_clients is None or not clients else database.max_clients // clients,
        max_replicas_platform=demand.max_replicas,
    )


def _peak_rate_per_s(demand: Demand) -> float:
    """The planned peak: the profile's highest rate; of a trace the rate of its busiest hour, or of all of it."""
    return demand.profile.peak_per_s if demand.trace is None else demand.profile.busiest_hour_per_s


def mixed_law(demand: Demand) -> Law:
    """The law of a successful attempt's time: the trace's own, or the mix of all job types."""
    if demand.trace is not None and demand.trace.service_law is not None:
        return demand.trace.service_law
    if len(demand.job_types) == 1:
        return demand.job_types[0].service
    return Mixture(tuple((kind.share, kind.service) for kind in demand.job_types))


def slot_stretch(demand: Demand) -> float:
    """How many times longer an attempt holds its slot than it works: it waits there for a connection, or for CPU."""
    works_s, _, _ = _attempt(demand)
    _, _, holds_s = _slots_of_a_replica(demand, works_s)
    return holds_s / works_s if works_s > 0 else 1.0


def attempts_per_job(failure_rate: float, attempts: int) -> float:
    """A = (1 - f^m) / (1 - f), written as 1 + f + ... + f^(m-1), which also holds at f = 1."""
    return math.fsum(failure_rate**number for number in range(attempts))


def ceiling_per_s(limits: Limits, slots: int) -> float:
    """New jobs per second at which so many slots are full, or the upstream."""
    own = slots / limits.slot_seconds_per_job
    return own if limits.upstream_per_s is None else min(own, limits.upstream_per_s)


def backlog_growth_per_day(demand: Demand, limits: Limits, slots: int) -> float:
    """Jobs by which the backlog grows each day, by whatever admits the fewest; 0 when all keep up."""
    arriving = limits.arrival_rate_per_s
    admitted = ceiling_per_s(limits, slots)
    growth = (arriving - admitted) * SECONDS_PER_DAY
    return growth if arriving > admitted * (1 + _ROUNDING) else 0.0


def pool_wait_s(slots: int, connections: int, share: float, slot_s: float) -> float:
    """Mean wait for a connection of one job on a replica whose slots are all busy, seconds (machine repair model).

    With r = share / (1 - share) the probability that j of n jobs want a connection goes as C(n, j) r^j while j <= k and
    beyond that each further one divides by k instead of j: p(j) / p(j-1) = (n - j + 1) r / min(j, k). By Little's law
    the wait is the mean number that waits, over the rate at which jobs ask, which is (jobs not asking) / ((1 - h) S).
    """
    if connections >= slots or share <= 0:
        return 0.0
    if share >= 1:
        return (slots / connections - 1) * slot_s
    ratio = math.log(share / (1 - share))
    logarithms = [0.0]
    for asking in range(1, slots + 1):
        logarithms.append(logarithms[-1] + math.log((slots - asking + 1) / min(asking, connections)) + ratio)
    highest = max(logarithms)
    weights = [math.exp(logarithm - highest) for logarithm in logarithms]
    total = math.fsum(weights)
    waiting = (
        math.fsum((asking - connections) * weights[asking] for asking in range(connections + 1, slots + 1)) / total
    )
    thinking = math.fsum((slots - asking) * weights[asking] for asking in range(slots + 1)) / total
    return waiting / (thinking / ((1 - share) * slot_s))


def _attempt(demand: Demand) -> tuple[float, float, float]:
    """Mean and SCV of an attempt's time on its slot, and the probability that it fails."""
    retries, limit_s = demand.retries, demand.job_timeout_s
    law = mixed_law(demand)
    over, mean, scv = clipped_moments(law, limit_s)
    if not retries.failure_rate:
        return mean, scv, over
    if retries.failed_s is not None:
        failed: Law = Constant(retries.failed_s)
        ratio = 1.0
    else:
        failed, ratio = law, retries.failed_ratio
    if ratio == 0:
        failed_mean = failed_scv = 0.0
    else:
        _, unscaled, failed_scv = clipped_moments(failed, None if limit_s is None else limit_s / ratio)
        failed_mean = unscaled * ratio
    p = retries.failure_rate
    both = (1 - p) * mean + p * failed_mean
    square = (1 - p) * mean**2 * (1 + scv) + p * failed_mean**2 * (1 + failed_scv)
    return both, (max(0.0, square / both**2 - 1) if both > 0 else 0.0), p + (1 - p) * over


def _slots_of_a_replica(demand: Demand, slot_s: float) -> tuple[int, Binding | None, float]:
    """Slots that a replica offers, what caps them, and the time that an attempt holds one."""
    slots, capped_by = demand.concurrency, None
    database, machine = demand.database, demand.machine
    pool = database.connections_per_replica
    if pool is not None and database.hold is Hold.JOB and pool < slots:
        slots, capped_by = pool, Binding.DATABASE
    if machine.cpu_per_job_s:
        running = machine.cpu_limit * slot_s / machine.cpu_per_job_s
        if running < slots:
            slots, capped_by = max(1, math.floor(running * (1 + _ROUNDING))), Binding.CPU
            slot_s = max(slot_s, machine.cpu_per_job_s / machine.cpu_limit)
    if pool is not None and database.hold is Hold.SHARE:
        slot_s += pool_wait_s(slots, pool, database.share, slot_s)
    return slots, capped_by, slot_s


def _limiter_wait_s(attempts_per_s: float, admitted_per_s: float) -> float:
    """Mean wait of M/D/1: u / (2 (1 - u)) of one admission's time; of no account where it cannot keep up anyway."""
    utilisation = attempts_per_s / admitted_per_s
    return utilisation / (2 * (1 - utilisation)) / admitted_per_s if utilisation < 1 else 0.0

"""What was measured of real jobs, as a plan takes it.

Every source is folded into the same :class:`Evidence`: a bench's document (:func:`from_bench`), a table of jobs
(:func:`from_csv`), or jobs that somebody has read elsewhere (:func:`from_jobs`). What a source does not tell is None.

Conventions of the fold:

* Service times are those of attempts that succeeded. A plan gives failed ones a time of their own.
* The failure rate is failed attempts over all that ended: the maximum-likelihood estimate where each fails by itself.
* The arrival rate is n - 1 gaps over the time from the first arrival to the last.
* Arrivals count as Poisson unless the SCV of their gaps differs from 1 by more than sampling explains. That of n
  exponential gaps has a standard deviation near 2 / sqrt(n), by the delta method on their first two moments: with mean
  1 these have the variances 1 and 20 and the covariance 4, so that 16 * 1 - 8 * 4 + 20 = 4.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from jobctl.core.arrivals import CONSTANT, POISSON, ArrivalKind, Arrivals, parse_arrivals
from jobctl.core.demand import JobType
from jobctl.core.documents import Fields, bench_fields
from jobctl.core.service import Empirical, Exponential, Law, Lognormal, law_of
from jobctl.core.traces import ARRIVAL_COLUMNS, Table, Trace
from jobctl.core.units import parse_not_negative, parse_whole
from jobctl.errors import InvalidValue

__all__ = ["Evidence", "MeasuredWait", "SeenJob", "arrivals_of", "from_bench", "from_csv", "from_jobs"]

#: Standard deviations that two samples of one kind may lie apart.
_NOISE: Final = 2.0
#: SCVs of gaps that a renewal process can have; what is below is taken as constant.
_LEAST_SCV, _MOST_SCV = 0.005, 1e4
#: A job that took no time at all took less than the clock tells, seconds.
_SHORTEST_S: Final = 1e-6
#: Clocks that are kept in step differ by less: a start that is so much before its arrival was at once.
_SKEW_S: Final = 0.1
#: A measured capacity that differs by more than this share from the plan's own is worth a word.
_CAPACITY_APART: Final = 0.05
#: Types that are told apart; the rarest beyond so many are one.
_MOST_TYPES: Final = 10
#: What jobs are called whose source names no type, and those of the rarest types together.
_ANY, _OTHERS = "jobs", "other"
#: Columns of a table of jobs, beside its arrivals and service times; the first of each that it has is taken.
_ENQUEUED: Final = ("enqueued_s", "enqueued", "enqueued_at")
_STARTED: Final = ("started_s", "started", "started_at", "start_time")
_FINISHED: Final = ("finished_s", "finished", "finished_at", "ended_s", "ended", "ended_at", "end_time")
_TYPE: Final = ("job_type", "type", "function")
_OUTCOME: Final = ("outcome", "status", "state")
#: Words of an outcome, for a job that ended and for one that has not.
_SUCCEEDED: Final = frozenset({"finished", "succeeded", "successful", "success", "completed", "done", "ok"})
_FAILED: Final = frozenset({"failed", "failure", "error", "dead", "timeout", "stopped", "canceled", "cancelled"})
_OPEN: Final = frozenset({"", "in_flight", "rejected", "lost", "queued", "started", "scheduled", "deferred"})


@dataclass(frozen=True, slots=True)
class MeasuredWait:
    """How long first attempts waited for a slot, to be held against a prediction.

    Attributes:
        jobs: How many were seen.
        mean_s: Their mean, seconds.
        p50_s: Their quantiles; None where they are too few.
        p95_s: Likewise.
        p99_s: Likewise.
    """

    jobs: int
    mean_s: float
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None


@dataclass(frozen=True, slots=True)
class SeenJob:
    """One job, as far as its source tells; None for what it does not.

    Attributes:
        job_type: What its figures are grouped by; empty when unknown.
        arrival_s: When it arrived, seconds since any fixed instant.
        wait_s: How long its first attempt waited for a slot.
        service_s: How long its last attempt held one.
        succeeded: Whether that one succeeded; False also for a job that has not ended.
        attempts: Attempts that ended.
        failed_attempts: Those of them that failed.
        earlier_s: Seconds for which attempts before the last one held slots; 0 when not told.
    """

    job_type: str = ""
    arrival_s: float | None = None
    wait_s: float | None = None
    service_s: float | None = None
    succeeded: bool = True
    attempts: int = 1
    failed_attempts: int = 0
    earlier_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a source tells.

    Attributes:
        source: What it is, as an assumption names it: ``bench r.json``, ``jobs.csv``, ``redis://host queue default``.
        service: The law of the time that a successful attempt holds its slot: the measured values themselves where
            the source has them, otherwise a law of the same moments.
        samples: Successful attempts behind it.
        job_types: The same by type, with shares of all jobs; one that is called ``jobs`` where the source has none.
        trace: The arrivals as they were, with service times where every one is known; None where the source has no
            instants.
        arrival_rate_per_s: Mean rate of new jobs.
        peak_factor: Rate of the busiest hour over that mean; None where not told.
        arrivals: How the gaps vary.
        failure_rate: Share of attempts that failed.
        failed_s: Mean time for which a failed attempt held its slot.
        attempts: The most tries that a job had which failed for good; None where none did.
        cpu_per_job_s: CPU seconds of one attempt.
        memory_bytes: Resident memory of one replica.
        concurrency: Slots of one replica.
        replicas: Replicas that it was measured with.
        wait: How long jobs waited there.
        capacity_per_replica_per_s: Jobs a second that one replica was measured to complete at most; None where nobody
            searched for it, or where something else than replicas was the limit.
        notes: What somebody should know who relies on it, one sentence each.
    """

    source: str
    service: Law | None = None
    samples: int = 0
    job_types: tuple[JobType, ...] = ()
    trace: Trace | None = None
    arrival_rate_per_s: float | None = None
    peak_factor: float | None = None
    arrivals: Arrivals | None = None
    failure_rate: float | None = None
    failed_s: float | None = None
    attempts: int | None = None
    cpu_per_job_s: float | None = None
    memory_bytes: float | None = None
    concurrency: int | None = None
    replicas: int | None = None
    wait: MeasuredWait | None = None
    capacity_per_replica_per_s: float | None = None
    notes: tuple[str, ...] = ()


# ------------------------------------------------------------------------------------------------------ jobs one by one


def from_jobs(source: str, jobs: Sequence[SeenJob], *, complete_from_s: float = -math.inf) -> Evidence:
    """Fold jobs that were seen one by one.

    Args:
        source: What they come from.
        jobs: In any order.
        complete_from_s: From when on every arrival is among them; earlier ones say nothing about the rate. Infinite
            where they are some that succeeded: then they say nothing about failures either.
    """
    succeeded = [job for job in jobs if job.succeeded and job.service_s is not None]
    services = [_service_s(job) for job in succeeded]
    arrived = sorted(
        (job for job in jobs if job.arrival_s is not None and job.arrival_s >= complete_from_s), key=_arrival_s
    )
    trace = _trace(source, arrived)
    attempts, failures = sum(job.attempts for job in jobs), sum(job.failed_attempts for job in jobs)
    return Evidence(
        source=source,
        service=Empirical(tuple(services)) if services else None,
        samples=len(services),
        job_types=_job_types(succeeded),
        trace=trace,
        arrival_rate_per_s=None if trace is None else (len(trace.arrivals_s) - 1) / trace.arrivals_s[-1],
        arrivals=None if trace is None else arrivals_of(trace.scv, len(trace.arrivals_s) - 1),
        failure_rate=failures / attempts if attempts and complete_from_s < math.inf else None,
        failed_s=_failed_s(jobs),
        attempts=max((job.attempts for job in jobs if job.failed_attempts and not job.succeeded), default=None),
        wait=_wait([job.wait_s for job in jobs if job.wait_s is not None]),
    )


def arrivals_of(scv: float, gaps: int) -> Arrivals:
    """The arrival process that so many gaps of this SCV speak for."""
    if abs(scv - 1) <= _NOISE * 2 / math.sqrt(gaps):
        return POISSON
    return CONSTANT if scv < _LEAST_SCV else Arrivals(ArrivalKind.RENEWAL, min(_MOST_SCV, float(f"{scv:.2g}")))


def _arrival_s(job: SeenJob) -> float:
    assert job.arrival_s is not None
    return job.arrival_s


def _service_s(job: SeenJob) -> float:
    assert job.service_s is not None
    return max(_SHORTEST_S, job.service_s)


def _trace(source: str, arrived: Sequence[SeenJob]) -> Trace | None:
    """The arrivals from the first one on; None where they are no process in time."""
    if len(arrived) < 2 or _arrival_s(arrived[-1]) <= _arrival_s(arrived[0]):
        return None
    first_s = _arrival_s(arrived[0])
    complete = all(job.service_s is not None for job in arrived)
    return Trace(
        name=source,
        arrivals_s=array("d", (_arrival_s(job) - first_s for job in arrived)),
        services_s=array("d", map(_service_s, arrived)) if complete else None,
    )


def _job_types(succeeded: Sequence[SeenJob]) -> tuple[JobType, ...]:
    """The mix, the commonest type first."""
    common = {name for name, _ in Counter(job.job_type for job in succeeded).most_common(_MOST_TYPES - 1)}
    services: dict[str, list[float]] = {}
    for job in succeeded:
        name = job.job_type if job.job_type in common else _OTHERS
        services.setdefault(name or _ANY, []).append(_service_s(job))
    ordered = sorted(services.items(), key=lambda item: -len(item[1]))
    return tuple(JobType(name, len(values) / len(succeeded), Empirical(tuple(values))) for name, values in ordered)


def _failed_s(jobs: Iterable[SeenJob]) -> float | None:
    """Mean slot time of the failed attempts whose time is known."""
    total_s, known = 0.0, 0
    for job in jobs:
        last_failed = job.failed_attempts > 0 and not job.succeeded and job.service_s is not None
        if last_failed:
            total_s += _service_s(job)
            known += 1
        if job.earlier_s > 0:
            total_s += job.earlier_s
            known += job.attempts - 1
    return total_s / known if known else None


def _wait(waits: Sequence[float]) -> MeasuredWait | None:
    from jobctl.core.quantiles import Sample  # costly, and a plan without evidence needs none of it

    sample = Sample(waits)
    if sample.mean is None:
        return None
    return MeasuredWait(len(sample), sample.mean, *(sample.quantile(q) for q in (0.50, 0.95, 0.99)))


# ------------------------------------------------------------------------------------------------------------ a bench


def from_bench(document: object, name: str) -> Evidence:
    """Read the result of ``jobctl bench --json``.

    It holds moments and no single values, so the service time becomes the law of the same mean and SCV.

    Args:
        document: The JSON, decoded.
        name: The file's, for messages and as the source.

    Raises:
        InvalidValue: It is something else.
    """
    read = bench_fields(document, name)
    is_search = read.number("maximum", "elapsed_s") is not None
    mean_s, jobs = read.number("signals", "service", "mean"), int(read.number("signals", "service", "n") or 0)
    service = None if not mean_s else _law_of_bench(read, mean_s)
    made, failed = read.number("jobs", "attempts"), read.number("jobs", "failed_attempts")
    return Evidence(
        source=f"bench {name}",
        service=service,
        samples=jobs,
        job_types=() if service is None else (JobType(read.text("config", "job"), 1.0, service),),
        arrival_rate_per_s=None if is_search else read.number("offered", "rate_per_s") or None,
        arrivals=None if is_search else parse_arrivals(read.text("config", "arrivals")),
        failure_rate=failed / made if made and failed is not None else None,
        cpu_per_job_s=read.number("usage", "cpu_s_per_job"),
        memory_bytes=read.number("usage", "memory_bytes_per_replica"),
        concurrency=read.whole("config", "concurrency"),
        replicas=read.whole("config", "replicas"),
        wait=_wait_of_bench(read),
        capacity_per_replica_per_s=_capacity_of_bench(read),
        notes=tuple(_notes_of_bench(read, service)),
    )


def _capacity_of_bench(read: Fields) -> float | None:
    """What a search for the maximum measured of one replica."""
    capacity_per_s, replicas = read.number("maximum", "capacity_per_s"), read.whole("config", "replicas")
    if read.number("maximum", "per_replica_per_s") is None or not capacity_per_s or replicas is None:
        return None
    return capacity_per_s / replicas


def _law_of_bench(read: Fields, mean_s: float) -> Law:
    """By mean and SCV; in documents of earlier releases, which lack it, by mean and p95 where a lognormal has both."""
    scv, p95_s = read.number("signals", "service", "scv"), read.number("signals", "service", "p95")
    if scv is not None:
        return law_of(mean_s, scv)
    if p95_s is not None:
        try:
            return Lognormal.from_mean_and_p95(mean_s, p95_s)
        except InvalidValue:
            pass
    return Exponential(mean_s)


def _wait_of_bench(read: Fields) -> MeasuredWait | None:
    mean_s = read.number("signals", "wait", "mean")
    if mean_s is None:
        return None
    quantiles = (read.number("signals", "wait", name) for name in ("p50", "p95", "p99"))
    return MeasuredWait(int(read.number("signals", "wait", "n") or 0), mean_s, *quantiles)


def _notes_of_bench(read: Fields, service: Law | None) -> Iterator[str]:
    verdict = read.text("verdict")
    if read.flag("interrupted"):
        yield "the bench was interrupted: its figures are those of what had happened by then"
    elif verdict != "kept":
        reasons = "; ".join(read.texts("reasons"))
        yield f"the bench's verdict was {verdict}" + (f": {reasons}" if reasons else "")
    if service is None:
        yield "no job of the bench finished in its window, so it tells no service time"
    if read.number("maximum", "elapsed_s") is None:
        yield "its arrival rate is the one that the bench was asked to offer"
    else:
        yield from _notes_of_maximum(read, service)


def _notes_of_maximum(read: Fields, service: Law | None) -> Iterator[str]:
    """Where a measured maximum and the plan's own reckoning, slots over service time, part."""
    measured_per_s, concurrency = _capacity_of_bench(read), read.whole("config", "concurrency")
    limit = read.text_or_none("maximum", "limit")
    yield "its rates and arrivals are those of a search for the maximum, and say nothing about the volume"
    if measured_per_s is None:
        yield f"the maximum was limited by {limit or 'something else'}, so it says nothing about more replicas"
        return
    if concurrency is None or service is None:
        return
    reckoned_per_s = concurrency / service.mean_s
    short = 1 - measured_per_s / reckoned_per_s
    if abs(short) > _CAPACITY_APART:
        yield (
            f"a replica completed {measured_per_s:.4g} jobs/s at most, {abs(short):.0%} "
            f"{'less' if short > 0 else 'more'} than the {reckoned_per_s:.4g} of its slots and service times, which is "
            "what the plan reckons with"
        )


# ------------------------------------------------------------------------------------------------------ a table of jobs


def from_csv(lines: Sequence[str], place: str) -> Evidence:
    """Read a table with one row per job, such as ``jobctl bench --records`` writes.

    All columns are optional, but there must be service times, or instants at which jobs started and finished, or
    arrivals. How their cells are read is told in :mod:`jobctl.core.traces`; empty ones are unknown. Rows may be in any
    order. ``outcome`` is a word such as ``finished`` or ``failed``; without it every job with a service time succeeded.

    Args:
        lines: Of the file.
        place: Its name, for messages and as the source.

    Raises:
        InvalidValue: It is no such table; the line is named.
    """
    table = Table.read(lines, place)
    jobs = _jobs_of(table)
    if all(job.service_s is None and job.arrival_s is None for job in jobs):
        raise InvalidValue(
            f"{place} tells neither service times nor arrivals; it has {', '.join(table.columns)}",
            "name a column service_s, or arrival_s, or two of them started_s and finished_s",
        )
    return from_jobs(place, jobs)


def _jobs_of(table: Table) -> list[SeenJob]:
    arrival, started = table.first_of(*ARRIVAL_COLUMNS), table.first_of(*_STARTED)
    enqueued = table.first_of(*_ENQUEUED) or (arrival if arrival != started else None)
    outcome = table.first_of(*_OUTCOME)
    columns = zip(
        table.numbers,
        table.texts(table.first_of(*_TYPE)),
        table.known_instants(arrival),
        table.known_instants(enqueued),
        table.known_instants(started),
        table.known_instants(table.first_of(*_FINISHED)),
        table.known_services(),
        table.texts(outcome),
        table.texts(table.first_of("retries")),
        table.texts(table.first_of("failed_s")),
        strict=True,
    )
    jobs = []
    for number, job_type, arrival_s, enqueued_s, started_s, finished_s, service_s, word, retried, failed_s in columns:
        try:
            retries = parse_whole(retried or "0", minimum=0)
            taken_s = service_s if service_s is not None else _between(started_s, finished_s)
            has_ended, succeeded = _fate(word) if outcome is not None else (taken_s is not None, taken_s is not None)
            earlier_s = parse_not_negative(failed_s or "0")
            waited_s = None if retries else _between(enqueued_s, started_s)
        except InvalidValue as error:
            raise InvalidValue(f"{table.place} line {number}: {error.problem}", error.remedy) from None
        jobs.append(
            SeenJob(
                job_type=job_type,
                arrival_s=arrival_s,
                wait_s=waited_s,
                service_s=taken_s if has_ended else None,
                succeeded=succeeded,
                attempts=retries + has_ended,
                failed_attempts=retries + (has_ended and not succeeded),
                earlier_s=earlier_s,
            )
        )
    return jobs


def _between(before_s: float | None, after_s: float | None) -> float | None:
    """Seconds between two instants, 0 where two machines' clocks turn them about; None where one is not known."""
    if before_s is None or after_s is None:
        return None
    if after_s < before_s - _SKEW_S:
        raise InvalidValue("its instants are out of order (arrived, started, finished)", "mend the row, or remove it")
    return max(0.0, after_s - before_s)


def _fate(word: str) -> tuple[bool, bool]:
    """Whether a job ended, and whether it succeeded, by the word for its outcome."""
    plain = word.lower()
    if plain not in _SUCCEEDED | _FAILED | _OPEN:
        raise InvalidValue(f"{word!r} is no outcome that is known", "write finished or failed")
    return plain not in _OPEN, plain in _SUCCEEDED

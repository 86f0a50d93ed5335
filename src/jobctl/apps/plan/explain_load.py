"""The arithmetic of an explanation: rates, retries, slot time, load, and what else is scarce."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from jobctl.apps.plan.steps import FUNDAMENTALS, Note, Step, put
from jobctl.core.capacity import limits_of, mixed_law, pool_wait_s
from jobctl.core.demand import Assumption, Database, Demand, Hold, Machine, Upstream
from jobctl.core.plans import Binding, Limits, Plan
from jobctl.core.service import Constant, clipped_moments
from jobctl.core.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, format_duration

__all__ = ["load_steps"]

#: A share of attempts that changes no figure.
_NEGLIGIBLE: Final = 1e-6


def load_steps(plan: Plan, assumptions: Sequence[Assumption]) -> Iterator[Step | Note]:
    """From the volume to the load and the slots there are for it."""
    sources = {assumption.name.replace("_", "-"): assumption.source for assumption in assumptions}
    yield from _rates(plan.demand, plan.limits, sources)
    yield from _retries(plan.demand, plan.limits)
    yield from _slot_time(plan.demand, plan.limits, sources)
    yield from _load(plan)
    yield from _upstream(plan)
    yield from _connections(plan)


def _rates(demand: Demand, limits: Limits, sources: Mapping[str, str]) -> Iterator[Step]:
    profile = demand.profile
    names = ("shape", "from") if demand.trace is not None else ("per-day", "rate", "shape", "from")
    given = _given(sources, names)
    yield Step(
        "arrival rate, mean over the period",
        "l = jobs in the period / its length",
        f"{put(profile.jobs)} / {put(profile.period_s)}",
        limits.arrival_rate_per_s,
        "jobs/s",
        f"{given}; shape: {profile.name}",
    )
    if demand.trace is not None:
        length_s = min(SECONDS_PER_HOUR, profile.period_s)
        yield Step(
            "arrival rate at the planned peak",
            "l = jobs in the busiest hour / its length",
            f"{put(limits.peak_arrival_rate_per_s * length_s)} / {put(length_s)}",
            limits.peak_arrival_rate_per_s,
            "jobs/s",
            demand.trace.name,
            "where the busiest minutes of that hour are far busier than the rest: the simulation sees them",
        )
    elif not profile.is_steady:
        smooth = profile.jobs - sum(spike.jobs for spike in profile.spikes)
        factor = limits.peak_arrival_rate_per_s * profile.period_s / smooth if smooth > 0 else 1.0
        yield Step(
            "arrival rate at the planned peak",
            "l = peak factor x jobs without spikes / period",
            f"{put(factor)} x {put(smooth)} / {put(profile.period_s)}",
            limits.peak_arrival_rate_per_s,
            "jobs/s",
            f"the highest rate of the shape ({profile.name})",
            "where the peak is short beside the time that the queue needs to build up: it then says too much",
        )


def _given(sources: Mapping[str, str], names: Sequence[str]) -> str:
    """Where a figure came from, by the first of some options that was given."""
    return next((sources[name] for name in names if name in sources), "what was given")


def _retries(demand: Demand, limits: Limits) -> Iterator[Step]:
    fails, failure_rate, attempts = limits.attempt_failure_rate, demand.retries.failure_rate, demand.retries.attempts
    if fails <= _NEGLIGIBLE:
        return
    over = clipped_moments(mixed_law(demand), demand.job_timeout_s).share_over
    if over > _NEGLIGIBLE:
        yield Step(
            "probability that an attempt fails",
            "f = p + (1 - p) P(S > timeout)",
            f"{put(failure_rate)} + (1 - {put(failure_rate)}) x {put(over)}",
            fails,
            "",
            f"the law of the service time, cut at {format_duration(demand.job_timeout_s or math.inf)}",
        )
    certain = fails >= 1
    yield Step(
        "retry amplification: attempts per job",
        "A = m, every attempt fails" if certain else "A = (1 - f^m) / (1 - f)",
        put(attempts) if certain else f"(1 - {put(fails)}^{attempts}) / (1 - {put(fails)})",
        limits.attempts_per_job,
        "",
        "the geometric series of independent attempts",
        "where failures come together, as in an outage: then up to m",
    )
    yield Step(
        "share of jobs that fail for good",
        "f^m",
        f"{put(fails)}^{attempts}",
        limits.job_failure_rate,
        "",
        "independent attempts",
        "where failures come together",
    )


def _slot_time(demand: Demand, limits: Limits, sources: Mapping[str, str]) -> Iterator[Step]:
    """What one attempt holds of a slot: first alone, then with what it waits for inside the slot."""
    given = _given(sources, ("service-time", "service-p50", "job-type", "shape", "from"))
    alone = limits_of(replace(demand, database=Database(), machine=Machine(), upstream=Upstream()))
    yield _attempt_time(demand, alone, given)
    computing = limits_of(replace(demand, database=Database(), upstream=Upstream()))
    cpu_s, share = demand.machine.cpu_per_job_s, demand.machine.cpu_limit
    if cpu_s and computing.slot_s > alone.slot_s:
        yield Step(
            "the same where the interpreter is the bottleneck",
            "S = max(S, CPU seconds / limit)",
            f"max({put(alone.slot_s)}, {put(cpu_s)} / {put(share)})",
            computing.slot_s,
            "s",
            "one interpreter runs on one core at a time",
            "where jobs use C code that lets other threads run",
        )
    database, pool = demand.database, demand.database.connections_per_replica
    connected = limits_of(replace(demand, upstream=Upstream()))
    if pool is not None and database.hold is Hold.SHARE:
        slots = limits.effective_slots_per_replica
        yield Step(
            "wait for a connection inside the slot",
            "pool(slots, connections, share of S with one, S), the machine repair model",
            f"pool({slots}, {pool}, {put(database.share)}, {put(computing.slot_s)})",
            pool_wait_s(slots, pool, database.share, computing.slot_s),
            "s",
            f"{FUNDAMENTALS}, 2.8",
            "where slots are not all busy: it then says too much",
        )
    if limits.slot_s > connected.slot_s:
        arriving, admitted = limits.peak_arrival_rate_per_s * limits.attempts_per_job, demand.upstream.attempts_per_s
        busy = arriving / (admitted or math.inf)
        yield Step(
            "wait for the upstream inside the slot",
            "u / (2 (1 - u)) / rate, M/D/1 with u = l A / rate",
            f"{put(busy)} / (2 x (1 - {put(busy)})) / {put(admitted or math.inf)}",
            limits.slot_s - connected.slot_s,
            "s",
            f"Pollaczek 1930, Khinchine 1932; {FUNDAMENTALS}, 5.1",
            "where the limit allows bursts: it then says too much",
        )
    if limits.slot_s > alone.slot_s:
        parts = [connected.slot_s - computing.slot_s, limits.slot_s - connected.slot_s]
        yield Step(
            "time that an attempt holds its slot, all in all",
            "S + waits inside the slot",
            " + ".join([put(computing.slot_s), *(put(part) for part in parts if part > 0)]),
            limits.slot_s,
            "s",
            "everything that holds the slot counts",
        )


def _attempt_time(demand: Demand, alone: Limits, given: str) -> Step:
    """The mean time of an attempt that waits for nothing."""
    retries, limit_s = demand.retries, demand.job_timeout_s
    good_s, p = clipped_moments(mixed_law(demand), limit_s).mean_s, retries.failure_rate
    name, breaks = (
        "time that an attempt holds its slot",
        "where it grows with the load; the mean counts, not the median",
    )
    if p:
        law = mixed_law(demand) if retries.failed_s is None else Constant(retries.failed_s)
        ratio = retries.failed_ratio if retries.failed_s is None else 1.0
        cut_s = None if limit_s is None or not ratio else limit_s / ratio
        failed_s = ratio * clipped_moments(law, cut_s).mean_s
        return Step(
            name,
            "S = (1 - p) x S of good attempts + p x S of failed ones",
            f"(1 - {put(p)}) x {put(good_s)} + {put(p)} x {put(failed_s)}",
            alone.slot_s,
            "s",
            given,
            breaks,
        )
    if len(demand.job_types) > 1 and limit_s is None and not _has_own_services(demand):
        parts = [f"{put(kind.share)} x {put(kind.service.mean_s)}" for kind in demand.job_types]
        return Step(name, "S = sum of share x mean", " + ".join(parts), alone.slot_s, "s", given, breaks)
    cut = "" if limit_s is None else f", cut at the timeout of {format_duration(limit_s)}"
    return Step(name, f"S = mean of the law{cut}", "", alone.slot_s, "s", given, breaks)


def _load(plan: Plan) -> Iterator[Step]:
    demand, limits, fleet = plan.demand, plan.limits, plan.all_running
    rate, tries, slot_s = limits.peak_arrival_rate_per_s, limits.attempts_per_job, limits.slot_s
    yield Step(
        "slot seconds per job",
        "A S",
        f"{put(tries)} x {put(slot_s)}",
        limits.slot_seconds_per_job,
        "s",
        "all attempts of a job",
    )
    yield Step(
        "offered load: slots kept busy if none waited",
        "a = l A S",
        f"{put(rate)} x {put(tries)} x {put(slot_s)}",
        limits.offered_load_erlangs,
        "erlangs",
        "Erlang 1917; Little 1961",
    )
    if limits.capped_by is not None:
        yield _effective_slots(demand, limits)
    yield Step(
        "slots",
        "c = replicas x slots of each",
        f"{fleet.replicas} x {limits.effective_slots_per_replica}",
        fleet.slots,
        "",
        "what was given",
    )
    yield Step(
        "jobs per second at which the slots are full",
        "c / (A S)",
        f"{fleet.slots} / {put(limits.slot_seconds_per_job)}",
        fleet.slots / limits.slot_seconds_per_job,
        "jobs/s",
        "utilisation 1",
        "well before: waits grow without bound on the way there",
    )
    if plan.backlog_growth_per_day > 0:
        ceiling = fleet.slots / limits.slot_seconds_per_job
        most = ceiling if limits.upstream_per_s is None else min(ceiling, limits.upstream_per_s)
        yield Step(
            "growth of the backlog per day",
            "(l - most that is carried) x 86,400, l the mean rate",
            f"({put(limits.arrival_rate_per_s)} - {put(most)}) x {put(SECONDS_PER_DAY)}",
            plan.backlog_growth_per_day,
            "jobs",
            "conservation of jobs",
        )


def _effective_slots(demand: Demand, limits: Limits) -> Step:
    pool, cpu_s = demand.database.connections_per_replica, demand.machine.cpu_per_job_s
    if limits.capped_by is Binding.DATABASE and pool is not None:
        return Step(
            "slots that a replica really offers",
            "min(concurrency, connections): a job holds one for as long as its slot",
            f"min({demand.concurrency}, {pool})",
            limits.effective_slots_per_replica,
            "",
            "a slot without a connection stands still",
        )
    alone = limits_of(replace(demand, database=Database(), machine=Machine(), upstream=Upstream()))
    share = demand.machine.cpu_limit
    return Step(
        "slots that a replica really offers",
        "max(1, floor(CPU limit x S / CPU seconds of an attempt)), at most the concurrency",
        f"max(1, floor({put(share)} x {put(alone.slot_s)} / {put(cpu_s or math.inf)}))",
        limits.effective_slots_per_replica,
        "",
        f"one interpreter answers late above {share:.0%} of a core",
        "where jobs use C code that lets other threads run",
    )


def _upstream(plan: Plan) -> Iterator[Step | Note]:
    upstream, limits = plan.demand.upstream, plan.limits
    if limits.upstream_per_s is None:
        return
    rates = []
    if upstream.rpm is not None:
        rates.append(("RPM / 60 / calls", f"{put(upstream.rpm)} / 60 / {put(upstream.calls_per_job)}"))
    if upstream.tpm is not None and upstream.tokens_per_job:
        rates.append(("TPM / 60 / tokens", f"{put(upstream.tpm)} / 60 / {put(upstream.tokens_per_job)}"))
    formula, numbers = (_least(words) for words in zip(*rates, strict=True))
    yield Step(
        "new jobs per second that the upstream admits",
        f"{formula} / A",
        f"{numbers} / {put(limits.attempts_per_job)}",
        limits.upstream_per_s,
        "jobs/s",
        "the limits given for the upstream; more replicas do not change it",
        "where others use the same key",
    )
    if limits.peak_arrival_rate_per_s >= limits.upstream_per_s:
        yield Note("waits before the upstream", "its backlog grows for as long as more jobs arrive than it admits.")
    yield Step(
        "utilisation of the upstream at the peak",
        "l / admitted",
        f"{put(limits.peak_arrival_rate_per_s)} / {put(limits.upstream_per_s)}",
        limits.peak_arrival_rate_per_s / limits.upstream_per_s,
        "",
        "a second station before the slots, M/D/1",
        "where the limit allows bursts; the simulation has it as it is",
    )


def _least(terms: Sequence[str]) -> str:
    return terms[0] if len(terms) == 1 else f"min({', '.join(terms)})"


def _connections(plan: Plan) -> Iterator[Step]:
    database, fleet = plan.demand.database, plan.all_running
    pool, clients = database.connections_per_replica, database.max_clients
    if pool is None:
        return
    yield Step(
        "database clients during a deploy",
        "generations x replicas x pool",
        f"{database.generations} x {fleet.replicas} x {pool}",
        database.generations * fleet.replicas * pool,
        "clients",
        "both generations of a deploy hold their pools",
    )
    if clients is not None and plan.limits.max_replicas_database is not None:
        yield Step(
            "replicas that the database carries",
            "floor(clients / (generations x pool))",
            f"floor({clients} / ({database.generations} x {pool}))",
            plan.limits.max_replicas_database,
            "",
            "the database's or pooler's limit",
            "where others use the same database",
        )


def _has_own_services(demand: Demand) -> bool:
    return demand.trace is not None and demand.trace.services_s is not None

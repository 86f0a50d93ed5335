"""``--check``: which run on real parts stands for a plan, and what is said of it.

The plan's fleet, with every replica running, is put under a steady load at the planned peak. One machine carries that
only in a smaller system, so three things may be scaled, and each is said:

* *time*: service times, gaps, back-offs and time limits are all divided by the same factor, which changes no share and
  no ratio of a queue;
* *the fleet*: fewer replicas under so much less load, at the same utilisation. Its waits are not the plan's (a smaller
  fleet waits longer), so the prediction is made for the system that runs;
* *batches*, which shrink with the fleet.

What is predicted and what the judgements are is for :mod:`jobctl.core.validation`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from jobctl.core.arrivals import ArrivalKind, Arrivals
from jobctl.core.capacity import limits_of, mixed_law
from jobctl.core.demand import Database, Demand, Machine, Retries, Upstream
from jobctl.core.plans import Plan
from jobctl.core.samples import MIN_JOBS
from jobctl.core.service import Constant, Exponential, Gamma, Lognormal, law_of
from jobctl.core.units import format_duration
from jobctl.core.validation import Rehearsal, Validation
from jobctl.core.variations import scaled_law
from jobctl.errors import InvalidOption

__all__ = ["DEFAULT_DURATION_S", "Check", "choose", "to_document", "why_not"]

#: How long jobs arrive, when nobody says.
DEFAULT_DURATION_S: Final = 60.0
#: What one machine carries: workers, threads in each, and attempts per second over all of them.
_MOST_REPLICAS: Final = 8
_MOST_SLOTS: Final = 100
_MOST_PER_S: Final = 150.0
#: Mean time on a slot that is aimed at, seconds: long against the millisecond of booking a job, short against a run.
_LONGEST_S: Final = 1.0
_SHORTEST_S: Final = 0.1
#: Shorter than this, booking a job would be a large part of it.
_LEAST_S: Final = 0.02
#: Attempts that tell enough about waits.
_ENOUGH: Final = 1500
#: The judged part begins after this share of the run.
_WARMUP: Final = 0.1
#: Gamma gaps that real arrivals are taken to have lie within this.
_SCV: Final = (0.01, 100.0)
#: Laws that the mock can be told.
_TOLD: Final = (Constant, Exponential, Gamma, Lognormal)


@dataclass(frozen=True, slots=True)
class Check:
    """A run that stands for a plan.

    Attributes:
        rehearsal: The run.
        time_scale: How many times faster it is than the plan.
        planned_replicas: Replicas of the plan.
        notes: In what it differs from the plan, each a sentence.
    """

    rehearsal: Rehearsal
    time_scale: float
    planned_replicas: int
    notes: tuple[str, ...]


def why_not(plan: Plan) -> str | None:
    """Why there is nothing to check, in a sentence; None when there is."""
    fleet = plan.all_running
    if not plan.feasible:
        return f"there is no plan to check: {plan.reason}"
    if fleet.utilisation >= 1:
        return (
            f"at the planned peak {fleet.slots:,} slots are asked for {fleet.utilisation:.0%} of their time, so the "
            "backlog grows for as long as the peak lasts and no figure settles"
        )
    return None


def choose(
    plan: Plan, *, duration_s: float = DEFAULT_DURATION_S, time_scale: float | None = None, seed: int = 1
) -> Check:
    """Choose the run.

    Args:
        plan: One that has something to check.
        duration_s: How long jobs arrive.
        time_scale: How many times faster than in the plan; None for what gives enough jobs of a length that can be
            timed.
        seed: Of the run.

    Raises:
        InvalidOption: At that time scale jobs would be too short, or too few of them arrive.
    """
    demand, limits, fleet = plan.demand, plan.limits, plan.all_running
    law = mixed_law(demand)
    slot_s, utilisation = limits.slot_s, fleet.utilisation
    concurrency = min(limits.effective_slots_per_replica, _MOST_SLOTS)
    most = min(fleet.replicas, _MOST_REPLICAS)
    if time_scale is None:
        aim_s = min(_LONGEST_S, max(_SHORTEST_S, utilisation * most * concurrency * duration_s / _ENOUGH))
        run_s = max(aim_s, utilisation * concurrency / _MOST_PER_S)
    else:
        run_s = slot_s / time_scale
        _check_scale(time_scale, slot_s, utilisation)
        concurrency = min(concurrency, math.floor(_MOST_PER_S * run_s / utilisation))
    replicas = max(1, min(most, math.floor(_MOST_PER_S * run_s / (utilisation * concurrency))))
    scale = slot_s / run_s
    attempts_per_s = utilisation * replicas * concurrency / run_s
    _check_jobs(attempts_per_s / limits.attempts_per_job * duration_s, duration_s)
    share = replicas * concurrency / fleet.slots
    upstream, omitted = _upstream(demand, attempts_per_s / (limits.peak_arrival_rate_per_s * limits.attempts_per_job))
    if upstream.rpm is not None and not isinstance(law, _TOLD):
        law = law_of(law.mean_s, law.scv)
    stretch = slot_s / _bare_slot_s(demand)
    rehearsal = Rehearsal(
        arrival_rate_per_s=attempts_per_s / limits.attempts_per_job,
        arrivals=_arrivals(demand, share),
        service=scaled_law(law, stretch / scale),
        replicas=replicas,
        concurrency=concurrency,
        duration_s=duration_s,
        warmup_s=_WARMUP * duration_s,
        retries=_retries(demand.retries, scale),
        job_timeout_s=None if demand.job_timeout_s is None else demand.job_timeout_s / scale,
        upstream=upstream,
        seed=seed,
    )
    notes = (*_scaling(plan, rehearsal, scale), *_differences(demand, rehearsal, stretch), *omitted)
    return Check(rehearsal, scale, fleet.replicas, notes)


def to_document(check: Check, validation: Validation) -> dict[str, Any]:
    """The check as JSON-able values, for the key ``check`` of a plan's document."""
    rehearsal, replayed = check.rehearsal, validation.replay
    return {
        "verdict": validation.judgement.verdict.value,
        "reasons": list(validation.judgement.reasons),
        "notes": list(check.notes),
        "run": {
            "replicas": rehearsal.replicas,
            "concurrency": rehearsal.concurrency,
            "arrival_rate_per_s": rehearsal.arrival_rate_per_s,
            "arrivals": str(rehearsal.arrivals),
            "mean_service_s": rehearsal.service.mean_s,
            "service_scv": rehearsal.service.scv,
            "duration_s": rehearsal.duration_s,
            "time_scale": check.time_scale,
            "seed": rehearsal.seed,
            "jobs": validation.jobs,
        },
        "figures": {
            figure.name: {
                "predicted": figure.predicted,
                "interval": [figure.low, figure.high],
                "measured": figure.measured,
                "agrees": figure.agrees,
            }
            for figure in validation.comparisons
        }
        or None,
        "replay": None
        if replayed is None
        else {**asdict(replayed), "allowed_s": replayed.allowed_s, "agrees": replayed.agrees},
    }


def _check_scale(time_scale: float, slot_s: float, utilisation: float) -> None:
    """Refuse what leaves jobs too short, or so short that a single slot would be too busy."""
    shortest_s = max(_LEAST_S, utilisation / _MOST_PER_S)
    if slot_s / time_scale < shortest_s:
        raise InvalidOption(
            "--time-scale",
            f"leaves jobs of {format_duration(slot_s / time_scale)}, too short to be timed on one machine",
            f"give at most {slot_s / shortest_s:.3g}",
        )


def _check_jobs(jobs: float, duration_s: float) -> None:
    """Refuse a run that would tell nothing."""
    if jobs < MIN_JOBS:
        raise InvalidOption(
            "--check",
            f"would see {jobs:.2g} jobs in {format_duration(duration_s)}, and {MIN_JOBS} are needed",
            "give a longer --check-duration, or a larger --time-scale",
        )


def _bare_slot_s(demand: Demand) -> float:
    """Mean time of an attempt on its slot that waits for nothing there."""
    return limits_of(replace(demand, database=Database(), machine=Machine(), upstream=Upstream())).slot_s


def _arrivals(demand: Demand, share: float) -> Arrivals:
    """How gaps vary in the run; those of a trace are independent gamma gaps."""
    if demand.trace is not None:
        return Arrivals(ArrivalKind.RENEWAL, min(_SCV[1], max(_SCV[0], demand.trace.scv)))
    if demand.arrivals.kind is ArrivalKind.BATCH:
        return Arrivals(ArrivalKind.BATCH, float(max(1, round(demand.arrivals.scv * share))))
    return demand.arrivals


def _retries(retries: Retries, scale: float) -> Retries:
    """The worker's own back-off: doubled each time, with full jitter."""
    return replace(
        retries,
        failed_s=None if retries.failed_s is None else retries.failed_s / scale,
        base_s=retries.base_s / scale,
        cap_s=max(retries.base_s, retries.cap_s) / scale,
        factor=2.0,
        jitter=1.0,
    )


def _upstream(demand: Demand, faster: float) -> tuple[Upstream, tuple[str, ...]]:
    """The limit at so many times the plan's rate, where the run can have one; else none, and why."""
    asked, fails = demand.upstream, demand.retries.failure_rate > 0 or demand.job_timeout_s is not None
    if asked.attempts_per_s is None:
        return Upstream(), ()
    if asked.rpm is None or asked.tpm is not None or asked.calls_per_job != 1 or asked.waits_in_slot or fails:
        return Upstream(), (
            "the upstream's limit is left out: a run has one only for jobs of one call that never fail and wait "
            "outside their slot, and none of tokens",
        )
    return Upstream(rpm=asked.rpm * faster, burst=round(asked.burst * min(1.0, faster))), ()


def _scaling(plan: Plan, rehearsal: Rehearsal, scale: float) -> Iterator[str]:
    if not math.isclose(scale, 1.0, rel_tol=0.01):
        how = f"{scale:.3g} times faster" if scale > 1 else f"{1 / scale:.3g} times slower"
        mean = format_duration(rehearsal.service.mean_s)
        yield f"time runs {how}, as all of what follows: service times of {mean} on average, gaps, back-offs, limits"
    fleet, concurrency = plan.all_running, plan.limits.effective_slots_per_replica
    if (rehearsal.replicas, rehearsal.concurrency) != (fleet.replicas, concurrency):
        yield (
            f"{rehearsal.slots:,} of {fleet.slots:,} slots, with so much less load, at the same utilisation of "
            f"{fleet.utilisation:.1%}: a smaller fleet waits longer, and so it is predicted"
        )


def _differences(demand: Demand, rehearsal: Rehearsal, stretch: float) -> Iterator[str]:
    if not math.isclose(stretch, 1.0, rel_tol=1e-6):
        yield f"service times are {stretch - 1:.1%} longer, for waits inside the slot"
    if not demand.is_steady:
        yield "the load is steady, at the planned peak"
    if str(rehearsal.arrivals) != str(demand.arrivals):
        yield f"arrivals are {rehearsal.arrivals}"
    if rehearsal.upstream.rpm is not None and not isinstance(mixed_law(demand), _TOLD):
        yield "one law stands for the mix of service times, of the same mean and variance"
    retries = demand.retries
    if retries.failure_rate and retries.attempts > 1 and (retries.factor, retries.jitter) != (2.0, 1.0):
        yield "back-off is the worker's: doubled each time, with full jitter"

"""How what was said, what was read and the defaults become one demand, with the origin of every figure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from jobctl.apps.plan.ledger import NO_EVIDENCE, Ledger, chosen, place, refuse
from jobctl.apps.plan.load import arrivals_of, job_types_of, profile_of, replayed
from jobctl.apps.plan.request import PlanRequest
from jobctl.apps.plan.resources import concurrency_of, database_of, machine_of, retries_of, upstream_of
from jobctl.core.arrivals import POISSON
from jobctl.core.demand import Assumption, Demand
from jobctl.core.evidence import Evidence
from jobctl.core.plans import Binding
from jobctl.core.prices import RAILWAY, RAILWAY_REPLICAS, Prices
from jobctl.core.slo import DEFAULT_OBJECTIVE, Cover, Objective, Promise, Window
from jobctl.core.traces import Trace
from jobctl.core.units import format_duration

__all__ = ["Material", "Prepared", "configure", "slo_file_of"]

_DEFAULT_SPARE: Final = 1
_DEFAULT_SEED: Final = 1
_DEFAULT_BUDGET_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Material:
    """What was read for a request.

    Attributes:
        points: Of the shape's file: times in seconds and relative rates.
        trace: Of the replayed file, at its own speed.
        evidence: What ``--from`` found; all None without one.
        promises: Of the file of objectives.
        slo_file: That file's name.
    """

    points: Sequence[tuple[float, float]] = ()
    trace: Trace | None = None
    evidence: Evidence = NO_EVIDENCE
    promises: tuple[Promise, ...] = ()
    slo_file: str = ""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A question that is complete.

    Attributes:
        demand: What has to be carried.
        assumptions: Every figure in it, with its origin.
        replicas: Evaluate exactly these; None to search.
        required: The limits that a given number is held to, beside what is physically there.
        seed: Of the simulation.
        budget_s: Nominal seconds of simulation.
        request: What was said.
        evidence: What was measured; all None where nothing was.
        prices: What the platform asks.
    """

    demand: Demand
    assumptions: tuple[Assumption, ...]
    replicas: int | None
    required: frozenset[Binding]
    seed: int
    budget_s: float
    request: PlanRequest
    evidence: Evidence
    prices: Prices


def configure(request: PlanRequest, material: Material) -> Prepared:
    """Settle what is asked.

    Args:
        request: What was said.
        material: What was read for it.

    Raises:
        InvalidOption: Something is missing, or two inputs contradict each other.
    """
    ledger = Ledger(request, material.evidence)
    trace = None if material.trace is None else replayed(ledger, material.trace)
    profile = profile_of(ledger, material.points) if trace is None else trace.profile
    arrivals = arrivals_of(ledger) if trace is None else POISSON
    job_types, from_trace = job_types_of(ledger, None if trace is None else trace.service_law)
    concurrency = concurrency_of(ledger)
    promises = _promises(ledger, material)
    most, most_reason = _most_replicas(ledger)
    demand = Demand(
        profile=profile,
        trace=trace if trace is None or from_trace else replace(trace, services_s=None),
        arrivals=arrivals,
        job_types=job_types,
        concurrency=concurrency,
        promises=promises,
        window=_window(ledger, promises),
        spare=ledger.value("spare", _DEFAULT_SPARE),
        job_timeout_s=ledger.optional("job_timeout", shown=format_duration),
        retries=retries_of(ledger),
        upstream=upstream_of(ledger),
        database=database_of(ledger, concurrency),
        machine=machine_of(ledger),
        max_replicas=most,
        max_replicas_reason=most_reason,
    )
    evidence = material.evidence
    notes = (Assumption("from", note, evidence.source) for note in evidence.notes)
    return Prepared(
        demand=demand,
        assumptions=(*ledger.noted, *notes),
        replicas=request.replicas,
        required=_required(request, material),
        seed=_DEFAULT_SEED if request.seed is None else request.seed,
        budget_s=_DEFAULT_BUDGET_S if request.budget is None else request.budget,
        request=request,
        evidence=evidence,
        prices=request.prices or RAILWAY,
    )


def slo_file_of(request: PlanRequest) -> str | None:
    """The file of objectives that was named and counts; None where objectives were given, or neither was.

    Raises:
        InvalidOption: Both were given.
    """
    return request.slo_file if chosen(request, ("slo",), ("slo_file",)) == ("slo_file",) else None


def _promises(ledger: Ledger, material: Material) -> tuple[Promise, ...]:
    """What must hold; a share of the day alone is one of the objective that holds when nobody gives one."""
    if material.promises:
        promises = material.promises
        ledger.noted.append(Assumption("slo", _quoted(promises), f"file {material.slo_file}"))
    else:
        promises = ledger.request.slo or (DEFAULT_OBJECTIVE,)
        ledger.note("slo", _quoted(promises))
    covers = any(isinstance(promise, Cover) for promise in promises)
    if covers and not any(isinstance(promise, Objective) for promise in promises):
        ledger.noted.append(Assumption("slo", f"{_quoted([DEFAULT_OBJECTIVE])}, which is covered", "default"))
        return (DEFAULT_OBJECTIVE, *promises)
    return promises


def _window(ledger: Ledger, promises: Iterable[Promise]) -> Window:
    """Over which jobs objectives are read that do not say so."""
    if all(not isinstance(promise, Objective) or promise.window is not None for promise in promises):
        return ledger.request.window or Window.BUSIEST_HOUR
    return ledger.value("window", Window.BUSIEST_HOUR, shown=lambda window: window.words)


def _most_replicas(ledger: Ledger) -> tuple[int | None, str]:
    """The most that may be had, and who says so.

    Raises:
        InvalidOption: More are to be evaluated than the asker's own most.
    """
    request, bounds = ledger.request, []
    if request.max_replicas is not None:
        most = request.max_replicas
        ledger.note("max_replicas", f"{most:,}")
        if request.replicas is not None and request.replicas > most:
            problem = f"{request.replicas:,} is more than the {most:,} of {place(request, 'max_replicas')}"
            refuse(request, "replicas", problem, "give fewer")
        bounds.append((most, place(request, "max_replicas")))
    if request.platform is not None:
        most, name = RAILWAY_REPLICAS[request.platform], f"Railway {request.platform.capitalize()}"
        ledger.note("platform", f"{name}, at most {most} replicas")
        bounds.append((most, name))
    return min(bounds, default=(None, ""))


def _required(request: PlanRequest, material: Material) -> frozenset[Binding]:
    """A given number is held to the objective and to the spare only where somebody gave them."""
    required = {Binding.SLOTS}
    if request.said("slo") or material.promises:
        required.add(Binding.OBJECTIVE)
    if request.said("spare"):
        required.add(Binding.REDUNDANCY)
    return frozenset(required)


def _quoted(promises: Iterable[Promise]) -> str:
    return ", ".join(f'"{promise}"' for promise in promises)

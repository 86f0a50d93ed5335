"""What arrives, and for how long it holds a slot: by what was said, what a file holds or what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from jobctl.apps.plan.ledger import Ledger, chosen, place, refuse
from jobctl.apps.plan.request import PlanRequest
from jobctl.apps.plan.words import clock_time
from jobctl.core.arrivals import POISSON, Arrivals
from jobctl.core.demand import Assumption, JobType
from jobctl.core.mixes import even_shares
from jobctl.core.profiles import Profile, diurnal_profile, shaped_profile, steady_profile
from jobctl.core.service import Empirical, Law, Lognormal, law_of
from jobctl.core.shapes import ShapeKind, WantedShape
from jobctl.core.traces import Trace
from jobctl.core.units import SECONDS_PER_DAY, format_duration
from jobctl.errors import InvalidOption

__all__ = ["arrivals_of", "job_types_of", "profile_of", "replayed", "shape_of"]

#: The peak of a diurnal day over its mean when nobody says.
_DEFAULT_PEAK_FACTOR: Final = 2.0
#: What jobs are called that nobody told apart.
_ONE_TYPE: Final = "jobs"


def shape_of(request: PlanRequest) -> WantedShape:
    """The shape of the day that counts: a peak factor alone means a diurnal day.

    Raises:
        InvalidOption: A peak factor was given beside a shape that has its own.
    """
    shape = request.shape or WantedShape(ShapeKind.STEADY)
    if not request.said("peak_factor") or shape.kind is ShapeKind.DIURNAL:
        return shape
    if request.said("shape") and request.level("shape") == request.level("peak_factor"):
        refuse(request, "peak_factor", f"has no meaning for the shape {shape}", "drop it, or give --shape diurnal")
    return shape if request.level("shape") > request.level("peak_factor") else WantedShape(ShapeKind.DIURNAL)


def profile_of(ledger: Ledger, points: Sequence[tuple[float, float]]) -> Profile:
    """The rate of new jobs over a day that is not replayed.

    Args:
        ledger: What was said.
        points: Of the shape's file.

    Raises:
        InvalidOption: The volume is missing, or something does not fit.
    """
    request = ledger.request
    for name in ("time_scale", "service_rule"):
        if _beside(request, name):
            refuse(request, name, "is about a replay", "add --shape replay:FILE, or drop it")
    rate_per_s = _rate_per_s(ledger)
    profile = _shaped(ledger, shape_of(request), rate_per_s, points)
    if request.spike:
        ledger.note("spike", ", ".join(f"{spike.jobs:,} at {clock_time(spike.at_s)}" for spike in request.spike))
        return ledger.call("spike", profile.with_spikes, request.spike)
    return profile


def replayed(ledger: Ledger, trace: Trace) -> Trace:
    """A trace at the speed that was asked for.

    Raises:
        InvalidOption: Something was said that a trace has of its own, or two speeds.
    """
    request = ledger.request
    for name in ("arrivals", "spike"):
        if _beside(request, name):
            refuse(request, name, "is about made arrivals, and a replay has its own", "drop one of the two")
    ledger.note("shape", str(shape_of(request)))
    volume = chosen(request, ("per_day",), ("rate",))
    if volume is not None and _beside(request, *volume):
        if _beside(request, "time_scale"):
            refuse(request, "time_scale", f"cannot be combined with {place(request, *volume)}", "give one of them")
        return ledger.call(volume[0], trace.scaled, _rate_per_s(ledger) / trace.mean_per_s)
    if request.time_scale is None:
        return trace
    ledger.note("time_scale", f"{request.time_scale:g}")
    return ledger.call("time_scale", trace.scaled, request.time_scale)


def arrivals_of(ledger: Ledger) -> Arrivals:
    """How gaps vary about the rate."""
    return ledger.value("arrivals", POISSON, ledger.evidence.arrivals)


def job_types_of(ledger: Ledger, trace_law: Empirical | None) -> tuple[tuple[JobType, ...], bool]:
    """The mix.

    Args:
        ledger: What was said and measured.
        trace_law: Of the service times of the replayed trace, if it has any.

    Returns:
        The types, and whether they are the trace's own service times.

    Raises:
        InvalidOption: Nobody says how long a job takes, or two do.
    """
    request, evidence = ledger.request, ledger.evidence
    said = chosen(request, ("service_time",), ("service_p50", "service_p95"), ("job_type",))
    if said != ("service_time",) and request.level("service_scv") > request.level(*said or ()):
        refuse(request, "service_scv", "needs the mean that it goes with", "give --service-time 8s beside it")
    if said != ("service_time",) and said is not None and request.level("service_scv") == request.level(*said):
        refuse(request, "service_scv", f"cannot be combined with {place(request, *said)}", "give one of them")
    measured = _measured_types(ledger) if ledger.measured_counts(*said or ()) else ()
    replay = request.level("shape")
    if (
        trace_law is not None
        and replay > request.level(*said or ())
        and not (measured and request.level("source") > replay)
    ):
        ledger.noted.append(
            Assumption("service-time", _law_text(trace_law), f"replay of {len(trace_law.values):,} jobs")
        )
        return _only(trace_law), True
    if measured:
        ledger.note_measured("service_time", ", ".join(_type_text(kind, len(measured)) for kind in measured))
        return measured, False
    if said is None:
        problem = f"is missing, and {evidence.source} does not tell it" if evidence.source else "is missing"
        raise InvalidOption("--service-time", problem, "say how long a job holds a slot on average, such as 8s")
    if said == ("job_type",):
        return _mix(ledger), False
    return _only(_percentiles_law(ledger) if "service_p50" in said else _mean_law(ledger)), False


def _beside(request: PlanRequest, *names: str) -> bool:
    """Whether one of these was said, and no farther than the shape."""
    return any(request.said(name) for name in names) and request.level(*names) >= request.level("shape")


def _rate_per_s(ledger: Ledger) -> float:
    request, evidence = ledger.request, ledger.evidence
    volume = chosen(request, ("per_day",), ("rate",))
    measured = evidence.arrival_rate_per_s
    if measured is not None and ledger.measured_counts(*volume or ()):
        ledger.note_measured("rate", f"{measured:.4g}/s, {measured * SECONDS_PER_DAY:,.0f} a day")
        return measured
    if volume == ("rate",) and request.rate is not None:
        ledger.note("rate", f"{request.rate:,.10g}/s")
        return request.rate
    if request.per_day is not None:
        ledger.note("per_day", f"{request.per_day:,.10g}")
        return request.per_day / SECONDS_PER_DAY
    raise InvalidOption("--per-day", "is missing, and --rate too", "say how many jobs arrive, such as --per-day 450000")


def _shaped(ledger: Ledger, shape: WantedShape, rate_per_s: float, points: Sequence[tuple[float, float]]) -> Profile:
    request = ledger.request
    measured = ledger.evidence.peak_factor
    if measured and measured > 1 and ledger.measured_counts("shape", "peak_factor"):
        ledger.note_measured("peak_factor", f"{measured:.3g}")
        return ledger.call("source", diurnal_profile, rate_per_s, measured)
    ledger.note("shape", str(shape), said_by=None if request.said("shape") else "peak_factor")
    if shape.kind is ShapeKind.FILE:
        return ledger.call("shape", shaped_profile, points, rate_per_s, shape.path)
    if shape.kind is ShapeKind.STEADY:
        return steady_profile(rate_per_s)
    factor = ledger.value("peak_factor", _DEFAULT_PEAK_FACTOR)
    return ledger.call("peak_factor", diurnal_profile, rate_per_s, factor)


def _measured_types(ledger: Ledger) -> tuple[JobType, ...]:
    evidence = ledger.evidence
    return evidence.job_types or (() if evidence.service is None else _only(evidence.service))


def _only(law: Law) -> tuple[JobType, ...]:
    return (JobType(_ONE_TYPE, 1.0, law),)


def _mean_law(ledger: Ledger) -> Law:
    request, mean_s = ledger.request, ledger.request.service_time
    assert mean_s is not None, "it was chosen"
    if isinstance(mean_s, float):
        ledger.note("service_time", format_duration(mean_s))
        return ledger.call("service_scv", law_of, mean_s, ledger.value("service_scv", 1.0))
    if request.said("service_scv") and request.level("service_scv") >= request.level("service_time"):
        refuse(request, "service_scv", "cannot be combined with a law, which has its own", "give a mean, or drop it")
    ledger.note("service_time", _law_text(mean_s))
    return mean_s


def _percentiles_law(ledger: Ledger) -> Law:
    request = ledger.request
    p50_s, p95_s = request.service_p50, request.service_p95
    if p50_s is None or p95_s is None:
        given, missing = ("p50", "p95") if p95_s is None else ("p95", "p50")
        refuse(request, f"service_{given}", f"needs --service-{missing} beside it", "give both, or --service-time")
    ledger.note("service_p50", format_duration(p50_s))
    ledger.note("service_p95", format_duration(p95_s))
    return ledger.call("service_p95", Lognormal.from_p50_and_p95, p50_s, p95_s)


def _mix(ledger: Ledger) -> tuple[JobType, ...]:
    request = ledger.request
    shares = ledger.call("job_type", even_shares, [(kind.name, kind.share) for kind in request.job_type])
    ledger.note("job_type", ", ".join(_type_text(kind, len(shares)) for kind in request.job_type))
    return tuple(replace(kind, share=share) for kind, share in zip(request.job_type, shares, strict=True))


def _type_text(kind: JobType, types: int) -> str:
    return _law_text(kind.service) if types == 1 else f"{kind.name} {kind.share:.3g}: {_law_text(kind.service)}"


def _law_text(law: Law) -> str:
    return f"mean {format_duration(law.mean_s)}, SCV {law.scv:.3g}"

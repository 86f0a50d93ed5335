"""The same demand with one thing changed: what sensitivity, the largest volume and an audit are about."""

from __future__ import annotations

import math
from array import array
from dataclasses import replace

from jobctl.core.demand import Demand
from jobctl.core.profiles import diurnal_profile
from jobctl.core.service import Constant, Empirical, Exponential, Gamma, Law, Lognormal, Mixture, OpenRouter
from jobctl.core.slo import Objective, Window
from jobctl.core.traces import Trace

__all__ = ["scaled_law", "with_failure_rate", "with_peak", "with_service", "with_volume", "with_window"]


def with_volume(demand: Demand, factor: float) -> Demand:
    """So many times the jobs, in the same shape; a trace is played faster."""
    if demand.trace is not None:
        faster = demand.trace.scaled(factor)
        return replace(demand, trace=faster, profile=faster.profile)
    return replace(demand, profile=demand.profile.scaled(factor))


def with_service(demand: Demand, factor: float) -> Demand:
    """Every job holds its slot for so many times the time."""
    kinds = tuple(replace(kind, service=scaled_law(kind.service, factor)) for kind in demand.job_types)
    trace = demand.trace
    if trace is not None and trace.services_s is not None:
        services = array("d", (service_s * factor for service_s in trace.services_s))
        trace = Trace(trace.name, trace.arrivals_s, services)
    return replace(demand, job_types=kinds, trace=trace)


def with_failure_rate(demand: Demand, failure_rate: float) -> Demand:
    """Attempts fail with another probability."""
    return replace(demand, retries=replace(demand.retries, failure_rate=failure_rate))


def with_peak(demand: Demand, peak_factor: float) -> Demand:
    """The same volume over a day with a peak."""
    return replace(demand, profile=diurnal_profile(demand.profile.mean_per_s, peak_factor))


def with_window(demand: Demand, window: Window) -> Demand:
    """All objectives read over another window."""
    promises = tuple(
        replace(promise, window=None) if isinstance(promise, Objective) else promise for promise in demand.promises
    )
    return replace(demand, window=window, promises=promises)


def scaled_law(law: Law, factor: float) -> Law:
    """The law of ``factor`` times what another draws.

    Raises:
        TypeError: The law is none of the package's.
    """
    match law:
        case Constant(mean_s) | Exponential(mean_s):
            return replace(law, mean_s=mean_s * factor)
        case Gamma(mean_s, scv):
            return Gamma(mean_s * factor, scv)
        case Lognormal(mu, sigma):
            return Lognormal(mu + math.log(factor), sigma)
        case Empirical(values):
            return Empirical(tuple(value * factor for value in values))
        case Mixture(parts):
            return Mixture(tuple((share, scaled_law(part, factor)) for share, part in parts))
        case OpenRouter(first_token=first, per_token=pace):
            return replace(
                law,
                first_token=Lognormal(first.mu + math.log(factor), first.sigma),
                per_token=Lognormal(pace.mu + math.log(factor), pace.sigma),
            )
    raise TypeError(f"{type(law).__name__} cannot be scaled")

"""How a request, a scenario and the defaults become one configuration.

Precedence for each value: the command line, then the scenario, then the default.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, TypeVar

from jobctl.apps.bench.driver import BenchConfig
from jobctl.apps.bench.request import BenchRequest
from jobctl.apps.bench.scenario import Scenario, stretched
from jobctl.apps.bench.spec import LoadSpec
from jobctl.core.arrivals import POISSON, Stage, jobs_expected
from jobctl.core.units import SECONDS_PER_DAY, parse_fraction
from jobctl.core.workload import DEFAULT_JOB, Payload, Workload, make_workload
from jobctl.errors import InvalidOption, InvalidValue

__all__ = ["configure", "mock_arguments"]

_DEFAULT_PER_DAY: Final = 450_000.0
_DEFAULT_DURATION_S: Final = 30.0
_DEFAULT_REPLICAS: Final = 2
_MAX_WARMUP_S: Final = 30.0
#: Schedules beyond this many jobs would not fit in memory beside their records.
_MOST_JOBS: Final = 50_000_000

T = TypeVar("T")


def configure(
    request: BenchRequest,
    scenario: Scenario | None,
    payloads: Sequence[Payload] | None,
    concurrency: int | None,
    run_id: str,
    attempts: int = 1,
) -> BenchConfig:
    """Settle what a bench does.

    Args:
        request: The command line.
        scenario: The scenario it named.
        payloads: Job arguments it gave.
        concurrency: Slots of each worker; None when the workers are somebody else's and nothing was said.
        run_id: Prefix of the job ids.
        attempts: How often the workers try a job that was meant to fail.

    Raises:
        InvalidOption: The values do not fit together.
    """
    stages = _stages(request, scenario)
    duration_s = math.fsum(stage.duration_s for stage in stages)
    warmup_s = _given(request.warmup_s, min(duration_s / 10, _MAX_WARMUP_S))
    if warmup_s >= duration_s:
        raise InvalidOption("--warmup", f"{warmup_s:g} s leaves nothing of {duration_s:g} s to judge", "shorten it")
    if jobs_expected(stages) > _MOST_JOBS:
        raise InvalidOption(
            "--duration", f"means {jobs_expected(stages):.3g} jobs, at most {_MOST_JOBS:.0e}", "shorten it"
        )
    spec = LoadSpec(
        run_id=run_id,
        arrivals=request.arrivals or (scenario.arrivals if scenario else POISSON),
        stages=stages,
        seed=request.seed,
        warmup_s=warmup_s,
        workload=_workload(request, scenario, payloads),
        queue=request.queue or ("default" if request.no_workers else f"bench-{run_id}"),
        job_timeout_s=max(1, math.ceil(request.job_timeout_s)),
        drain_s=request.drain_s,
    )
    return BenchConfig(
        spec=spec,
        rate_per_s=jobs_expected(stages) / duration_s,
        replicas=_replicas(request, scenario),
        concurrency=concurrency,
        scenario=scenario.name if scenario else None,
        injected_share=_injected_share(request.fault or (scenario.mock.get("fault", ()) if scenario else ()))
        + request.failure_rate**attempts,
        max_schedule_lag_s=request.max_schedule_lag_s,
    )


def mock_arguments(request: BenchRequest, scenario: Scenario | None) -> list[str]:
    """Options for ``jobctl mock`` that the command line or the scenario asks for."""
    wanted = dict(scenario.mock) if scenario else {}
    if request.service_law is not None:
        wanted["latency"] = (request.service_law,)
    given = {"latency": request.latency, "rpm": request.rpm, "tpm": request.tpm}
    wanted.update({name: (str(value),) for name, value in given.items() if value is not None})
    if request.fault:
        wanted["fault"] = request.fault
    return [word for name, values in wanted.items() for value in values for word in (f"--{name}", value)]


def _injected_share(faults: Sequence[str]) -> float:
    """The probability that a call meets one of the faults, ``KIND=P`` each."""
    try:
        return math.fsum(parse_fraction(text.partition("=")[2]) for text in faults)
    except InvalidValue as error:
        raise InvalidOption("--fault", error.problem, "give KIND=PROBABILITY such as 429=0.02") from None


def _stages(request: BenchRequest, scenario: Scenario | None) -> tuple[Stage, ...]:
    if scenario is not None:
        return (scenario if request.duration_s is None else stretched(scenario, request.duration_s)).stages
    rate_per_s = _given(request.rate, _given(request.per_day, _DEFAULT_PER_DAY) / SECONDS_PER_DAY)
    return (Stage.steady(rate_per_s, _given(request.duration_s, _DEFAULT_DURATION_S)),)


def _replicas(request: BenchRequest, scenario: Scenario | None) -> int | None:
    """Workers to start; of somebody else's workers, what was said of them."""
    if request.replicas is not None or request.no_workers:
        return request.replicas
    return (scenario.replicas if scenario else None) or _DEFAULT_REPLICAS


def _workload(request: BenchRequest, scenario: Scenario | None, payloads: Sequence[Payload] | None) -> Workload:
    job = request.job or (scenario.job if scenario else None)
    law = request.service_law or (scenario.service_law if scenario else None)
    try:
        workload = make_workload(job, payloads=payloads, service_law=law, failure_rate=request.failure_rate)
    except InvalidValue as error:
        raise InvalidOption("--job", error.problem, error.remedy) from None
    if request.service_law and workload.service_law is None and workload.job_type != DEFAULT_JOB:
        raise InvalidOption("--service-time", f"has no meaning for --job {job}", "drop it, or use --job sleep")
    if request.failure_rate and workload.service_law is None:
        raise InvalidOption("--failure-rate", "has no meaning for these jobs", "drop it, or use --job sleep")
    return workload


def _given(value: T | None, default: T) -> T:
    return default if value is None else value

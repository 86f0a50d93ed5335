"""Which jobs a load consists of: one type, a mix, or those that a replay recorded.

Precedence: what the command line says of jobs, then the scenario's, then a replay's own service times, then the
default.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from jobctl.core.mixes import even_shares
from jobctl.core.service import Constant
from jobctl.core.workload import DEFAULT_JOB, Payload, Workload, draw_attempts, make_workload, sleep_payload
from jobctl.errors import InvalidOption, InvalidValue

if TYPE_CHECKING:
    from jobctl.apps.bench.request import BenchRequest
    from jobctl.apps.bench.scenario import Scenario, WantedJob

__all__ = ["JobInputs", "make_workloads", "services_are_replayed", "share_meant_to_fail"]

_SLEEP: Final = "sleep"


@dataclass(frozen=True, slots=True)
class JobInputs:
    """What was read of jobs from files.

    Attributes:
        payloads: Arguments that the command line gave; None for none.
        by_file: Arguments from the files that a scenario names, by the names it uses.
        services_s: Service times that a replay recorded, seconds; None where it did not.
    """

    payloads: Sequence[Payload] | None = None
    by_file: Mapping[str, Sequence[Payload]] = field(default_factory=dict)
    services_s: Sequence[float] | None = None


def make_workloads(
    request: BenchRequest, scenario: Scenario | None, inputs: JobInputs, queue_of: Callable[[str], str]
) -> tuple[Workload, ...]:
    """Settle which jobs are enqueued.

    Args:
        request: The command line.
        scenario: The scenario it named.
        inputs: What files hold.
        queue_of: The queue that stands for a name in this run.

    Raises:
        InvalidOption: The values do not fit together.
    """
    if request.job_types:
        return _named(request)
    if scenario is not None and scenario.jobs and not _names_jobs(request):
        _refuse_what_is_of_one_type(request, scenario)
        workloads = tuple(_of_mix(job, scenario.name, inputs, queue_of) for job in scenario.jobs)
        _refuse_shared_models(workloads, scenario.name)
        return workloads
    if inputs.services_s is not None and services_are_replayed(request, scenario):
        return (_replayed(inputs.services_s, request.failure_rate, request.seed),)
    return (_single(request, scenario, inputs.payloads),)


def services_are_replayed(request: BenchRequest, scenario: Scenario | None) -> bool:
    """Whether jobs sleep as a replay recorded it: nobody asked for another job, or for another service time."""
    job = request.job or (scenario.job if scenario else None)
    law = request.service_law or (scenario.service_law if scenario else None)
    is_mix = bool(request.job_types) or (scenario is not None and bool(scenario.jobs) and not _names_jobs(request))
    return job in (None, _SLEEP) and law is None and request.args_from is None and not is_mix


def share_meant_to_fail(workloads: Sequence[Workload], failure_rate: float, attempts: int) -> float:
    """The share of all jobs that are meant to fail for good, whose every attempt does.

    Args:
        workloads: The mix.
        failure_rate: Of jobs whose failures were drawn beforehand.
        attempts: How often workers try a job.
    """
    return math.fsum(
        workload.share * (workload.failure_rate or (failure_rate if len(workloads) == 1 else 0.0)) ** attempts
        for workload in workloads
    )


def _names_jobs(request: BenchRequest) -> bool:
    return request.job is not None or request.args_from is not None


def _refuse_what_is_of_one_type(request: BenchRequest, scenario: Scenario) -> None:
    for flag, value in {"--service-time": request.service_law, "--failure-rate": request.failure_rate or None}.items():
        if value is not None:
            raise InvalidOption(
                flag, f"is about one type of jobs, and scenario {scenario.name} has its own", "drop it, or add --job"
            )


def _named(request: BenchRequest) -> tuple[Workload, ...]:
    """A mix of ``sleep`` jobs, as the command line says it."""
    others = {"--job": request.job, "--service-time": request.service_law, "--args-from": request.args_from}
    other = next((flag for flag, value in others.items() if value is not None), None)
    if other is not None:
        raise InvalidOption("--job-type", f"cannot be combined with {other}", "give one of them")
    try:
        shares = even_shares([(named.name, named.share) for named in request.job_types])
    except InvalidValue as error:
        raise InvalidOption("--job-type", error.problem, error.remedy) from None
    return tuple(
        replace(
            make_workload(_SLEEP, service_law=named.law, failure_rate=request.failure_rate),
            job_type=named.name,
            share=share,
        )
        for named, share in zip(request.job_types, shares, strict=True)
    )


def _of_mix(wanted: WantedJob, scenario: str, inputs: JobInputs, queue_of: Callable[[str], str]) -> Workload:
    payloads = inputs.by_file[wanted.args_from] if wanted.args_from else None
    if wanted.payload is not None:
        payloads = [wanted.payload]
    try:
        workload = make_workload(
            wanted.job, payloads=payloads, service_law=wanted.service_law, failure_rate=wanted.failure_rate
        )
        latency_law = wanted.service_law if workload.synthetic == DEFAULT_JOB else None
        useless = {
            "service_time": wanted.service_law is not None and latency_law is None,
            "failure_rate": wanted.failure_rate > 0,
        }
        for key, is_said in useless.items():
            if is_said and workload.service_law is None:
                raise InvalidValue(f"{key} has no meaning for job {wanted.name!r}", 'drop it, or use type = "sleep"')
    except InvalidValue as error:
        raise InvalidOption(f"scenario {scenario}", error.problem, error.remedy) from None
    queue = None if wanted.queue is None else queue_of(wanted.queue)
    return replace(workload, job_type=wanted.name, share=wanted.share, queue=queue, latency_law=latency_law)


def _refuse_shared_models(workloads: Sequence[Workload], scenario: str) -> None:
    """Refuse a law for the calls of one type where another type calls the same model: the mock tells models apart."""
    for timed in workloads:
        for other in workloads:
            shared = (timed.models & other.models) - {None}
            if timed.latency_law is not None and timed.latency_law != other.latency_law and shared:
                raise InvalidOption(
                    f"scenario {scenario}",
                    f"job {timed.job_type!r} has a service_time, and job {other.job_type!r} calls the same model",
                    'give each a model of its own, such as args = { prompt = "hi", model = "openai/gpt-4o" }',
                )


def _replayed(services_s: Sequence[float], failure_rate: float, seed: int) -> Workload:
    """Jobs that sleep as recorded, one after the other; where attempts are to fail, each takes as long as its job."""
    if not failure_rate:
        return make_workload(_SLEEP, payloads=[sleep_payload(seconds) for seconds in services_s])
    rng = random.Random(f"failures:{seed}")
    attempts = (draw_attempts(Constant(seconds), rng, failure_rate) for seconds in services_s)
    return make_workload(_SLEEP, payloads=[sleep_payload(*job) for job in attempts])


def _single(request: BenchRequest, scenario: Scenario | None, payloads: Sequence[Payload] | None) -> Workload:
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

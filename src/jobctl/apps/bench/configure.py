"""How a request, a scenario and the defaults become one configuration.

Precedence for each value: the command line, then the scenario, then the default.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from jobctl.apps.bench.driver import BenchConfig
from jobctl.apps.bench.mixing import JobInputs, make_workloads, services_are_replayed, share_meant_to_fail
from jobctl.apps.bench.request import BenchRequest
from jobctl.apps.bench.scenario import Scenario, stretched
from jobctl.apps.bench.shaping import STEADY, ShapedLoad, WantedLoad, shape_load
from jobctl.apps.bench.spec import LoadSpec
from jobctl.core.arrivals import POISSON, Arrivals, jobs_expected
from jobctl.core.chaos import TimedFault
from jobctl.core.gates import Gate, check_gate
from jobctl.core.units import SECONDS_PER_DAY, parse_fraction
from jobctl.core.workload import Payload, Workload
from jobctl.errors import InvalidOption, InvalidValue

__all__ = ["configure", "mock_arguments", "wanted_load"]

_DEFAULT_REPLICAS: Final = 2
_MAX_WARMUP_S: Final = 30.0
#: Workers are told their queues in a list with commas, and a colon stands before a weight.
_ONE_QUEUE: Final = re.compile(r"[^\s,:]+")
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
    *,
    shape_lines: Sequence[str] = (),
    payloads_by_file: Mapping[str, Sequence[Payload]] | None = None,
) -> BenchConfig:
    """Settle what a bench does.

    Args:
        request: The command line.
        scenario: The scenario it named.
        payloads: Job arguments it gave.
        concurrency: Slots of each worker; None when the workers are somebody else's and nothing was said.
        run_id: Prefix of the job ids.
        attempts: How often the workers try a job that was meant to fail.
        shape_lines: Lines of the shape's file, where it has one.
        payloads_by_file: Arguments from the files that the scenario names, by its names for them.

    Raises:
        InvalidOption: The values do not fit together.
    """
    _refuse_unused_rule(request, scenario)
    shaped = _shaped(request, scenario, shape_lines)
    duration_s = math.fsum(stage.duration_s for stage in shaped.stages)
    warmup_s = _given(request.warmup_s, min(duration_s / 10, _MAX_WARMUP_S))
    if warmup_s >= duration_s:
        raise InvalidOption("--warmup", f"{warmup_s:g} s leaves nothing of {duration_s:g} s to judge", "shorten it")
    if jobs_expected(shaped.stages) > _MOST_JOBS:
        raise InvalidOption(
            "--duration", f"means {jobs_expected(shaped.stages):.3g} jobs, at most {_MOST_JOBS:.0e}", "shorten it"
        )
    queue = request.queue or ("default" if request.no_workers else f"bench-{run_id}")
    workloads = make_workloads(
        request,
        scenario,
        JobInputs(payloads, payloads_by_file or {}, shaped.services_s),
        lambda name: name if request.no_workers else f"{queue}-{name}",
    )
    gates = _gates(request, scenario, workloads)
    spec = LoadSpec(
        run_id=run_id,
        arrivals=_arrivals(request, scenario, shaped),
        stages=shaped.stages,
        seed=request.seed,
        warmup_s=warmup_s,
        workloads=workloads,
        queue=queue,
        job_timeout_s=max(1, math.ceil(request.job_timeout_s)),
        drain_s=request.drain_s,
        instants=shaped.instants,
        live=any(gate.abort for gate in gates),
    )
    if not request.no_workers:
        _check_queues(spec.queues)
    wanted = wanted_load(request, scenario)
    config = BenchConfig(
        spec=spec,
        rate_per_s=jobs_expected(shaped.stages) / duration_s,
        replicas=_replicas(request, scenario),
        concurrency=concurrency,
        scenario=scenario.name if scenario else None,
        injected_share=_injected_share(request.fault or (scenario.mock.get("fault", ()) if scenario else ()))
        + share_meant_to_fail(workloads, request.failure_rate, attempts),
        max_schedule_lag_s=request.max_schedule_lag_s,
        shape=None if wanted is None else wanted.shape,
        time_scale=shaped.time_scale,
        gates=gates,
        chaos=_chaos(request, scenario),
    )
    return _check_gates(config, request)


def _check_queues(queues: Sequence[str]) -> None:
    """Refuse what our workers would take for several queues, or for one with a weight."""
    odd = next((name for name in queues if not _ONE_QUEUE.fullmatch(name)), None)
    if odd is not None:
        raise InvalidOption("--queue", f"{odd!r} is not the name of one queue", "use no blanks, commas and colons")


def _chaos(request: BenchRequest, scenario: Scenario | None) -> tuple[TimedFault, ...]:
    """What is broken when; the command line replaces what the scenario says."""
    if request.chaos is not None or scenario is None:
        return request.chaos or ()
    return (scenario if request.duration_s is None else stretched(scenario, request.duration_s)).faults


def _gates(request: BenchRequest, scenario: Scenario | None, workloads: Sequence[Workload]) -> tuple[Gate, ...]:
    """What must hold: what the scenario says, also of each type that this run has, and what the command line adds."""
    names = {workload.job_type for workload in workloads}
    promised = [gate for job in (scenario.jobs if scenario else ()) if job.name in names for gate in job.slo]
    return (*(scenario.gates if scenario else ()), *promised, *request.gates)


def _check_gates(config: BenchConfig, request: BenchRequest) -> BenchConfig:
    """The config, unless one of its gates can never be judged."""
    for gate in config.gates:
        try:
            check_gate(
                gate,
                job_types=[workload.job_type for workload in config.spec.workloads],
                judged_s=config.spec.duration_s - config.spec.warmup_s,
                knows_slots=config.slots is not None,
            )
        except InvalidValue as error:
            option = "--gate" if gate in request.gates else f"scenario {config.scenario}"
            raise InvalidOption(option, error.problem, error.remedy) from None
    return config


def mock_arguments(request: BenchRequest, scenario: Scenario | None, workloads: Sequence[Workload] = ()) -> list[str]:
    """Options for ``jobctl mock`` that the command line, the scenario or its jobs ask for."""
    wanted = dict(scenario.mock) if scenario else {}
    laws = {model: workload.latency_law for workload in workloads for model in workload.models if workload.latency_law}
    wanted["latency-of"] = tuple(f"{model}={law}" for model, law in laws.items())
    if request.service_law is not None:
        wanted["latency"] = (request.service_law,)
    given = {"latency": request.latency, "rpm": request.rpm, "tpm": request.tpm}
    wanted.update({name: (str(value),) for name, value in given.items() if value is not None})
    repeated = {"fault": request.fault, "serve_model": request.serve_model}
    wanted.update({name: values for name, values in repeated.items() if values})
    return [
        word for name, values in wanted.items() for value in values for word in (f"--{name.replace('_', '-')}", value)
    ]


def _injected_share(faults: Sequence[str]) -> float:
    """The probability that a call meets one of the faults, ``KIND=P`` each."""
    try:
        return math.fsum(parse_fraction(text.partition("=")[2]) for text in faults)
    except InvalidValue as error:
        raise InvalidOption("--fault", error.problem, "give KIND=PROBABILITY such as 429=0.02") from None


def wanted_load(request: BenchRequest, scenario: Scenario | None) -> WantedLoad | None:
    """The course of the load as it was asked for; None where a scenario's stages say it.

    Raises:
        InvalidOption: Two say it.
    """
    said = {
        "--shape": request.shape,
        "--peak-factor": request.peak_factor,
        "--time-scale": request.time_scale,
        "--service-rule": request.service_rule,
    }
    if scenario is None:
        rate_per_s = request.rate if request.per_day is None else request.per_day / SECONDS_PER_DAY
        shape = STEADY if request.shape is None else request.shape
        return WantedLoad(
            shape, rate_per_s, request.duration_s, request.peak_factor, request.time_scale, request.service_rule
        )
    flag = next((flag for flag, value in said.items() if value is not None), None)
    if flag is not None:
        raise InvalidOption(flag, "cannot be combined with --scenario, which has a shape", "give one of them")
    return (scenario if request.duration_s is None else stretched(scenario, request.duration_s)).shape


def _shaped(request: BenchRequest, scenario: Scenario | None, lines: Sequence[str]) -> ShapedLoad:
    wanted = wanted_load(request, scenario)
    if wanted is not None:
        try:
            return shape_load(wanted, lines)
        except InvalidOption as error:
            if scenario is None:
                raise
            key = error.option.removeprefix("--").replace("-", "_")
            raise InvalidOption(f"scenario {scenario.name}", f"{key} {error.problem}", error.remedy) from None
    assert scenario is not None, "nothing else has stages"
    return ShapedLoad((scenario if request.duration_s is None else stretched(scenario, request.duration_s)).stages)


def _arrivals(request: BenchRequest, scenario: Scenario | None, shaped: ShapedLoad) -> Arrivals:
    if shaped.instants is not None and request.arrivals is not None:
        raise InvalidOption("--arrivals", "is about made arrivals, and a replay has its own", "drop one of the two")
    return request.arrivals or shaped.arrivals or (scenario.arrivals if scenario else POISSON)


def _refuse_unused_rule(request: BenchRequest, scenario: Scenario | None) -> None:
    """Refuse a rule for service times that nobody would sleep."""
    if request.service_rule is not None and not services_are_replayed(request, scenario):
        raise InvalidOption(
            "--service-rule", "makes service times, and the jobs that were asked for have their own", "drop one"
        )


def _replicas(request: BenchRequest, scenario: Scenario | None) -> int | None:
    """Workers to start; of somebody else's workers, what was said of them."""
    if request.replicas is not None or request.no_workers:
        return request.replicas
    return (scenario.replicas if scenario else None) or _DEFAULT_REPLICAS


def _given(value: T | None, default: T) -> T:
    return default if value is None else value

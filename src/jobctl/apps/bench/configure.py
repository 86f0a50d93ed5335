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
from jobctl.apps.bench.spec import LoadSpec, Payload
from jobctl.core.arrivals import Arrivals, Stage, jobs_expected
from jobctl.core.units import SECONDS_PER_DAY
from jobctl.errors import InvalidOption

__all__ = ["JOB_TYPES", "configure", "mock_arguments"]

#: Synthetic jobs by name; anything with a dot is a function of the user's own.
JOB_TYPES: Final = {name: f"jobctl.apps.work.tasks.{name}" for name in ("chat_completion", "sleep", "noop")}
_DEFAULT_PER_DAY: Final = 450_000.0
_DEFAULT_DURATION_S: Final = 30.0
_DEFAULT_REPLICAS: Final = 2
_DEFAULT_SLEEP_S: Final = 1.0
_MAX_WARMUP_S: Final = 30.0
_PROMPTS: Final[tuple[Payload, ...]] = (
    ((), {"prompt": "Summarise this support ticket in one sentence: the export button does nothing."}),
    ((), {"prompt": "Classify the sentiment of: 'Delivery was late but the product is great.'"}),
    ((), {"prompt": "Write a product description of forty words for a folding bicycle."}),
)
#: Schedules beyond this many jobs would not fit in memory beside their records.
_MOST_JOBS: Final = 50_000_000

T = TypeVar("T")


def configure(
    request: BenchRequest,
    scenario: Scenario | None,
    payloads: Sequence[Payload] | None,
    concurrency: int | None,
    run_id: str,
) -> BenchConfig:
    """Settle what a bench does.

    Args:
        request: The command line.
        scenario: The scenario it named.
        payloads: Job arguments it gave.
        concurrency: Slots of each worker; None when the workers are somebody else's and nothing was said.
        run_id: Prefix of the job ids.

    Raises:
        InvalidOption: The values do not fit together.
    """
    stages = _stages(request, scenario)
    duration_s = math.fsum(stage.duration_s for stage in stages)
    warmup_s = _first(request.warmup_s, min(duration_s / 10, _MAX_WARMUP_S))
    if warmup_s >= duration_s:
        raise InvalidOption("--warmup", f"{warmup_s:g} s leaves nothing of {duration_s:g} s to judge", "shorten it")
    if jobs_expected(stages) > _MOST_JOBS:
        raise InvalidOption(
            "--duration", f"means {jobs_expected(stages):.3g} jobs, at most {_MOST_JOBS:.0e}", "shorten it"
        )
    job = _first(request.job, scenario and scenario.job, "chat_completion")
    spec = LoadSpec(
        run_id=run_id,
        arrivals=_first(request.arrivals, scenario and scenario.arrivals, Arrivals.POISSON),
        stages=stages,
        seed=request.seed,
        warmup_s=warmup_s,
        job_type=job,
        function=_function(job),
        payloads=tuple(payloads) if payloads else _PROMPTS if job == "chat_completion" else (((), {}),),
        service_law=_service_law(request, scenario, job),
        queue=_first(request.queue, "default" if request.no_workers else f"bench-{run_id}"),
        job_timeout_s=max(1, math.ceil(request.job_timeout_s)),
        drain_s=request.drain_s,
    )
    own = request.no_workers
    return BenchConfig(
        spec=spec,
        rate_per_s=jobs_expected(stages) / duration_s,
        replicas=request.replicas
        if own
        else _first(request.replicas, scenario and scenario.replicas, _DEFAULT_REPLICAS),
        concurrency=concurrency,
        scenario=scenario.name if scenario else None,
        faults_injected=bool(request.fault or (scenario and scenario.mock.get("fault"))),
        max_schedule_lag_s=request.max_schedule_lag_s,
    )


def mock_arguments(request: BenchRequest, scenario: Scenario | None) -> list[str]:
    """Options for ``jobctl mock`` that the command line or the scenario asks for."""
    wanted = dict(scenario.mock) if scenario else {}
    if request.service_time_s is not None:
        wanted["latency"] = (f"constant:{request.service_time_s}s",)
    given = {"latency": request.latency, "rpm": request.rpm, "tpm": request.tpm}
    wanted.update({name: (str(value),) for name, value in given.items() if value is not None})
    if request.fault:
        wanted["fault"] = request.fault
    return [word for name, values in wanted.items() for value in values for word in (f"--{name}", value)]


def _stages(request: BenchRequest, scenario: Scenario | None) -> tuple[Stage, ...]:
    if scenario is not None:
        return (scenario if request.duration_s is None else stretched(scenario, request.duration_s)).stages
    rate_per_s = _first(request.rate, _first(request.per_day, _DEFAULT_PER_DAY) / SECONDS_PER_DAY)
    return (Stage.steady(rate_per_s, _first(request.duration_s, _DEFAULT_DURATION_S)),)


def _function(job: str) -> str:
    if job in JOB_TYPES:
        return JOB_TYPES[job]
    if "." not in job:
        raise InvalidOption(
            "--job", f"{job!r} is no job", f"give {', '.join(JOB_TYPES)} or a dotted path such as myapp.tasks.f"
        )
    return job


def _service_law(request: BenchRequest, scenario: Scenario | None, job: str) -> str | None:
    if job != "sleep":
        if request.service_time_s is not None and job != "chat_completion":
            raise InvalidOption("--service-time", f"has no meaning for --job {job}", "drop it, or use --job sleep")
        return None
    if request.service_time_s is not None:
        return f"constant:{request.service_time_s}s"
    return (scenario and scenario.service_time) or f"constant:{_DEFAULT_SLEEP_S}s"


def _first(*values: T | None) -> T:
    """The first value that was given; the last is the default and always is."""
    for value in values:
        if value is not None:
            return value
    raise AssertionError("the default was None")

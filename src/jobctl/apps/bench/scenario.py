"""A scenario file, read strictly: the load, and what stands behind it. ``docs/reference/scenarios.md`` tells all keys.

::

    description = "one line"
    arrivals = "poisson"            # or "constant", "renewal:4", "batch:50"
    job = "chat_completion"         # or sleep, noop, a dotted path
    service_time = "200ms"          # sleep jobs: a duration, or a law such as "exponential:200ms"

    [[stage]]                       # one after the other
    duration = "30s"
    rate = 5.2                      # jobs/s; or per_day = 450000
    from_rate = 1.5                 # a straight line from here; or from_per_day

    [shape]                         # in place of stages
    kind = "diurnal"                # the words of --shape; a file is looked for beside the scenario
    per_day = 450000
    duration = "5m"
    peak_factor = 3
    time_scale = 288

    [[job]]                         # a mix, in place of job and service_time
    type = "sleep"
    name = "thumbnail"
    share = 0.7
    service_time = "exponential:200ms"
    queue = "urgent"                # the queue of the first type is the most urgent
    slo = "p95 wait <= 1s"

    [fleet]
    replicas = 2
    concurrency = 25

    [mock]
    latency = "lognormal:mean=1s,p95=2s"
    rpm = 600
    tpm = 100000
    fault = ["429=0.02"]

    [[fault]]                       # on a timetable: seconds of the schedule
    kind = "replica_killed"         # or replica_frozen, mock_outage, rate_limited, mock_slow, redis_stalled
    at = "20s"
    for = "10s"
    replica = 2                     # 1 when not given; or "all"

    [[gate]]                        # what must hold, as in a file of --gates
    check = "wait.p95 < 1s"
    window = "10s"

An unknown key or a value of the wrong kind is an error that names it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from jobctl.apps.bench.shaping import WantedLoad
from jobctl.core.arrivals import Arrivals, Stage, parse_arrivals
from jobctl.core.chaos import TimedFault, parse_fault_table, stretched_faults
from jobctl.core.gates import Gate, parse_gate, parse_gate_tables
from jobctl.core.mixes import even_shares, parse_share
from jobctl.core.shapes import BENCH_SHAPES, parse_wanted_shape
from jobctl.core.slo import check_keys
from jobctl.core.units import SECONDS_PER_DAY, parse_duration, parse_fraction, parse_positive_duration
from jobctl.core.workload import Payload, parse_service_law
from jobctl.errors import InvalidOption, InvalidValue

__all__ = ["KEYS", "Scenario", "WantedJob", "parse_scenario", "stretched"]

_TOP: Final = {"description", "arrivals", "job", "service_time", "stage", "shape", "fleet", "mock", "fault", "gate"}
_STAGE: Final = {"duration", "rate", "per_day", "from_rate", "from_per_day"}
_SHAPE: Final = {"kind", "duration", "rate", "per_day", "peak_factor", "time_scale", "service_rule"}
_JOB: Final = {"type", "name", "share", "service_time", "queue", "args", "args_from", "failure_rate", "slo"}
_FLEET: Final = {"replicas", "concurrency"}
_MOCK: Final = {"latency", "serve_model", "rpm", "tpm", "fault"}
#: All keys, by the table they stand in; those of faults and gates are told where these are read.
KEYS: Final[Mapping[str, set[str]]] = {
    "the file": _TOP,
    "[[stage]]": _STAGE,
    "[shape]": _SHAPE,
    "[[job]]": _JOB,
    "[fleet]": _FLEET,
    "[mock]": _MOCK,
}
#: Queues are told to workers in a list with commas.
_QUEUE: Final = re.compile(r"[\w.:-]+")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WantedJob:
    """One type of a scenario's mix, as it was asked for.

    Attributes:
        job: A synthetic type or a dotted path.
        name: What its figures are grouped by.
        share: Its share of all jobs; those of a mix sum to 1.
        service_law: For ``sleep`` jobs: the law of the time on a slot, as text; None for the default.
        queue: Its queue's name; None for the run's own.
        payload: The arguments of each job; None for the type's own.
        args_from: A file of arguments instead.
        failure_rate: For ``sleep`` jobs: the probability that an attempt fails.
        slo: What must hold for its jobs.
    """

    job: str
    name: str
    share: float = 1.0
    service_law: str | None = None
    queue: str | None = None
    payload: Payload | None = None
    args_from: str | None = None
    failure_rate: float = 0.0
    slo: tuple[Gate, ...] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named load.

    Attributes:
        name: The file's name without its ending.
        description: One line.
        arrivals: How gaps vary.
        stages: The rate over time; empty where a shape says it.
        shape: The shape; None where stages say the rate.
        job: Job type or dotted path; None for the default, or a mix.
        service_law: Law of ``sleep`` jobs as text; None for the default.
        jobs: The types of a mix; empty for one type.
        replicas: Workers to start; None for the default.
        concurrency: Slots of each; None for the default.
        mock: Options of the mock by name, as text.
        faults: What is broken on a timetable.
        gates: What must hold; that of single types of a mix stands with them.
    """

    name: str
    description: str
    arrivals: Arrivals
    stages: tuple[Stage, ...]
    shape: WantedLoad | None
    job: str | None
    service_law: str | None
    jobs: tuple[WantedJob, ...]
    replicas: int | None
    concurrency: int | None
    mock: Mapping[str, tuple[str, ...]]
    faults: tuple[TimedFault, ...] = ()
    gates: tuple[Gate, ...] = ()


def parse_scenario(name: str, content: Mapping[str, Any]) -> Scenario:
    """Read a scenario from its decoded TOML.

    Raises:
        InvalidOption: A key is unknown, missing or has no sensible value.
    """
    try:
        check_keys(content, _TOP, "the file")
        fleet, mock = _table(content, "fleet", _FLEET), _table(content, "mock", _MOCK)
        for limit in ("rpm", "tpm"):
            _whole(mock, limit)
        jobs = content.get("job")
        is_mix = isinstance(jobs, list)
        if is_mix and "service_time" in content:
            raise InvalidValue("service_time stands beside [[job]]", "give each [[job]] its own")
        return Scenario(
            name=name,
            description=str(content.get("description", "")),
            arrivals=_read(parse_arrivals, content, "arrivals", "poisson"),
            stages=_stages(content),
            shape=_shape(_table(content, "shape", _SHAPE)) if "shape" in content else None,
            job=None if is_mix else _optional_text(content, "job"),
            service_law=_read(parse_service_law, content, "service_time") if "service_time" in content else None,
            jobs=_jobs(jobs) if isinstance(jobs, list) else (),
            replicas=_whole(fleet, "replicas"),
            concurrency=_whole(fleet, "concurrency"),
            mock={key: tuple(map(str, value if isinstance(value, list) else [value])) for key, value in mock.items()},
            faults=_faults(content),
            gates=parse_gate_tables(content.get("gate")),
        )
    except InvalidValue as error:
        raise InvalidOption(f"scenario {name}", error.problem, error.remedy) from None


def stretched(scenario: Scenario, duration_s: float) -> Scenario:
    """The same load over another duration.

    Every stage is longer or shorter by one factor, rates stay; a shape is told its duration. Faults keep their places.
    """
    if scenario.shape is not None:
        factor = duration_s / (scenario.shape.duration_s or duration_s)
        shape = replace(scenario.shape, duration_s=duration_s)
        return replace(scenario, shape=shape, faults=stretched_faults(scenario.faults, factor))
    factor = duration_s / sum(stage.duration_s for stage in scenario.stages)
    stages = tuple(replace(stage, duration_s=stage.duration_s * factor) for stage in scenario.stages)
    return replace(scenario, stages=stages, faults=stretched_faults(scenario.faults, factor))


def _faults(content: Mapping[str, Any]) -> tuple[TimedFault, ...]:
    faults = content.get("fault", [])
    if not isinstance(faults, list):
        raise InvalidValue("fault is not a list of tables", "write [[fault]] with kind, at and for")
    return tuple(map(parse_fault_table, faults))


def _stages(content: Mapping[str, Any]) -> tuple[Stage, ...]:
    stages = content.get("stage")
    if "shape" in content:
        if stages is not None:
            raise InvalidValue("it has both [[stage]] and [shape]", "keep one")
        return ()
    if not isinstance(stages, list) or not stages:
        raise InvalidValue("it has no [[stage]] and no [shape]", "add a [[stage]] with a duration and a rate")
    return tuple(_stage(stage) for stage in stages)


def _stage(content: Any) -> Stage:
    if not isinstance(content, Mapping):
        raise InvalidValue("a stage is not a table", "write [[stage]] with duration and rate")
    check_keys(content, _STAGE, "a stage")
    if "duration" not in content:
        raise InvalidValue("a stage has no duration", 'add duration = "30s"')
    end = _rate(content, "rate", "per_day")
    if end is None:
        raise InvalidValue("a stage has no rate", "add rate = 5.2 (jobs/s) or per_day = 450000")
    start = _rate(content, "from_rate", "from_per_day")
    return Stage(_read(parse_duration, content, "duration"), end if start is None else start, end)


def _shape(content: Mapping[str, Any]) -> WantedLoad:
    if "kind" not in content:
        words = ", ".join(kind.value for kind in BENCH_SHAPES)
        raise InvalidValue("[shape] has no kind", f"add kind = one of {words}, a file or replay:FILE")
    return WantedLoad(
        shape=parse_wanted_shape(str(content["kind"]), BENCH_SHAPES),
        rate_per_s=_level(content),
        duration_s=_read(parse_positive_duration, content, "duration") if "duration" in content else None,
        peak_factor=_at_least(content, "peak_factor", 1.0),
        time_scale=_at_least(content, "time_scale", 0.0),
        service_rule=_optional_text(content, "service_rule"),
    )


def _jobs(tables: list[Any]) -> tuple[WantedJob, ...]:
    if not tables:
        raise InvalidValue("it has an empty list of jobs", "add a [[job]] with a type and a share")
    jobs = [_job(table, alone=len(tables) == 1) for table in tables]
    try:
        shares = even_shares([(job.name, job.share) for job in jobs])
    except InvalidValue as error:
        raise InvalidValue(f"[[job]] {error.problem}", error.remedy) from None
    return tuple(replace(job, share=share) for job, share in zip(jobs, shares, strict=True))


def _job(content: Any, *, alone: bool) -> WantedJob:
    if not isinstance(content, Mapping):
        raise InvalidValue("a job is not a table", "write [[job]] with type and share")
    check_keys(content, _JOB, "a job")
    if "type" not in content:
        raise InvalidValue("a job has no type", 'add type = "sleep", "chat_completion", "noop" or a dotted path')
    job_type = str(content["type"])
    name = str(content.get("name", job_type))
    if not alone and "share" not in content:
        raise InvalidValue(f"job {name!r} has no share", "add share = 0.3, or 30%")
    if "args" in content and "args_from" in content:
        raise InvalidValue(f"job {name!r} has both args and args_from", "keep one")
    if not name or len(name.split()) != 1:
        raise InvalidValue(f"a job is called {name!r}", "give it a name of one word")
    slo = content.get("slo", [])
    return WantedJob(
        job=job_type,
        name=name,
        share=_read(parse_share, content, "share", 1),
        service_law=_read(parse_service_law, content, "service_time") if "service_time" in content else None,
        queue=_queue(content),
        payload=_payload(content["args"], name) if "args" in content else None,
        args_from=_optional_text(content, "args_from"),
        failure_rate=_read(parse_fraction, content, "failure_rate", 0),
        slo=tuple(_promise(text, name) for text in (slo if isinstance(slo, list) else [slo])),
    )


def _promise(text: Any, name: str) -> Gate:
    """What must hold for the jobs of one type."""
    gate = parse_gate(str(text))
    if gate.job not in {None, name}:
        raise InvalidValue(f"job {name!r} promises something of {gate.job!r}", "leave 'of' out")
    return replace(gate, job=name)


def _payload(args: Any, name: str) -> Payload:
    try:
        json.dumps(args, allow_nan=False)
    except (TypeError, ValueError):  # a date, or a number that is none
        raise InvalidValue(
            f"job {name!r} has arguments that JSON cannot express", "use texts, numbers, true and false"
        ) from None
    if isinstance(args, Mapping):
        return (), dict(args)
    if isinstance(args, list):
        return tuple(args), {}
    raise InvalidValue(
        f"job {name!r} has args = {args!r}",
        'write [1, "two"] for positional arguments, { prompt = "hi" } for named ones',
    )


def _queue(content: Mapping[str, Any]) -> str | None:
    queue = _optional_text(content, "queue")
    if queue is not None and not _QUEUE.fullmatch(queue):
        raise InvalidValue(f"{queue!r} is no name of a queue", "use letters, digits and . _ : -")
    return queue


def _rate(content: Mapping[str, Any], per_second: str, per_day: str, place: str = "a stage") -> float | None:
    if per_second in content and per_day in content:
        raise InvalidValue(f"{place} has both {per_second} and {per_day}", "keep one")
    if per_second in content:
        return _number(content, per_second)
    return _number(content, per_day) / SECONDS_PER_DAY if per_day in content else None


def _level(content: Mapping[str, Any]) -> float | None:
    level = _rate(content, "rate", "per_day", place="[shape]")
    if level is not None and not 0 < level < math.inf:
        raise InvalidValue(f"[shape] has a rate of {level:g} jobs/s", "give a rate above 0")
    return level


def _at_least(content: Mapping[str, Any], key: str, least: float) -> float | None:
    """A number above 0 that is not below the least; None where there is none."""
    if key not in content:
        return None
    value = _number(content, key)
    if not (value >= least and 0 < value < math.inf):
        raise InvalidValue(
            f"{key} = {value:g} is out of range",
            f"give a number of {f'at least {least:g}' if least else 'more than 0'}",
        )
    return value


def _read(parse: Callable[[str], T], content: Mapping[str, Any], key: str, default: Any = None) -> T:
    """A value in one of our notations; an error names its key."""
    value = content.get(key, default)
    try:
        return parse(str(value))
    except InvalidValue as error:
        raise InvalidValue(f"{key} = {value!r}: {error.problem}", error.remedy) from None


def _number(content: Mapping[str, Any], key: str) -> float:
    value = content[key]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidValue(f"{key} = {value!r} is not a number", "give a number of at least 0")
    return float(value)


def _whole(content: Mapping[str, Any], key: str) -> int | None:
    value = content.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidValue(f"{key} = {value!r} is not a whole number above 0", "give 1 or more")
    return value


def _table(content: Mapping[str, Any], key: str, known: set[str]) -> Mapping[str, Any]:
    table = content.get(key, {})
    if not isinstance(table, Mapping):
        raise InvalidValue(f"{key} is not a table", f"write [{key}]")
    check_keys(table, known, f"[{key}]")
    return table


def _optional_text(content: Mapping[str, Any], key: str) -> str | None:
    value = content.get(key)
    return None if value is None else str(value)

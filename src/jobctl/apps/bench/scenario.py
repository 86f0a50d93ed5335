"""A scenario file, read strictly: the load, and what stands behind it.

::

    description = "one line"
    arrivals = "poisson"            # or "constant", "renewal:4", "batch:50"
    job = "chat_completion"         # or sleep, noop, a dotted path
    service_time = "200ms"          # sleep jobs: a duration, or a law such as "exponential:200ms"

    [[stage]]                       # one after the other
    duration = "30s"
    rate = 5.2                      # jobs/s; or per_day = 450000
    from_rate = 1.5                 # a straight line from here; or from_per_day

    [fleet]
    replicas = 2
    concurrency = 25

    [mock]
    latency = "lognormal:mean=1s,p95=2s"
    rpm = 600
    tpm = 100000
    fault = ["429=0.02"]

An unknown key or a value of the wrong kind is an error that names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from jobctl.core.arrivals import Arrivals, Stage, parse_arrivals
from jobctl.core.units import SECONDS_PER_DAY, parse_duration
from jobctl.core.workload import parse_service_law
from jobctl.errors import InvalidOption, InvalidValue

__all__ = ["Scenario", "parse_scenario", "stretched"]

_TOP: Final = {"description", "arrivals", "job", "service_time", "stage", "fleet", "mock"}
_STAGE: Final = {"duration", "rate", "per_day", "from_rate", "from_per_day"}
_FLEET: Final = {"replicas", "concurrency"}
_MOCK: Final = {"latency", "rpm", "tpm", "fault"}


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named load.

    Attributes:
        name: The file's name without its ending.
        description: One line.
        arrivals: How gaps vary.
        stages: The rate over time.
        job: Job type or dotted path; None for the default.
        service_law: Law of ``sleep`` jobs as text; None for the default.
        replicas: Workers to start; None for the default.
        concurrency: Slots of each; None for the default.
        mock: Options of the mock by name, as text.
    """

    name: str
    description: str
    arrivals: Arrivals
    stages: tuple[Stage, ...]
    job: str | None
    service_law: str | None
    replicas: int | None
    concurrency: int | None
    mock: Mapping[str, tuple[str, ...]]


def parse_scenario(name: str, content: Mapping[str, Any]) -> Scenario:
    """Read a scenario from its decoded TOML.

    Raises:
        InvalidOption: A key is unknown, missing or has no sensible value.
    """
    try:
        _only(content, _TOP, "the file")
        stages = content.get("stage")
        if not isinstance(stages, list) or not stages:
            raise InvalidValue("it has no [[stage]]", "add one with a duration and a rate")
        fleet, mock = _table(content, "fleet", _FLEET), _table(content, "mock", _MOCK)
        return Scenario(
            name=name,
            description=str(content.get("description", "")),
            arrivals=parse_arrivals(str(content.get("arrivals", "poisson"))),
            stages=tuple(_stage(stage) for stage in stages),
            job=_optional_text(content, "job"),
            service_law=parse_service_law(str(content["service_time"])) if "service_time" in content else None,
            replicas=_whole(fleet, "replicas"),
            concurrency=_whole(fleet, "concurrency"),
            mock={key: tuple(map(str, value if isinstance(value, list) else [value])) for key, value in mock.items()},
        )
    except InvalidValue as error:
        raise InvalidOption(f"scenario {name}", error.problem, error.remedy) from None


def stretched(scenario: Scenario, duration_s: float) -> Scenario:
    """The same shape over another duration: every stage is longer or shorter by one factor, rates stay."""
    factor = duration_s / sum(stage.duration_s for stage in scenario.stages)
    stages = tuple(replace(stage, duration_s=stage.duration_s * factor) for stage in scenario.stages)
    return replace(scenario, stages=stages)


def _stage(content: Any) -> Stage:
    if not isinstance(content, Mapping):
        raise InvalidValue("a stage is not a table", "write [[stage]] with duration and rate")
    _only(content, _STAGE, "a stage")
    if "duration" not in content:
        raise InvalidValue("a stage has no duration", 'add duration = "30s"')
    end = _rate(content, "rate", "per_day")
    if end is None:
        raise InvalidValue("a stage has no rate", "add rate = 5.2 (jobs/s) or per_day = 450000")
    start = _rate(content, "from_rate", "from_per_day")
    return Stage(parse_duration(str(content["duration"])), end if start is None else start, end)


def _rate(content: Mapping[str, Any], per_second: str, per_day: str) -> float | None:
    if per_second in content and per_day in content:
        raise InvalidValue(f"a stage has both {per_second} and {per_day}", "keep one")
    if per_second in content:
        return _number(content, per_second)
    return _number(content, per_day) / SECONDS_PER_DAY if per_day in content else None


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
    _only(table, known, f"[{key}]")
    return table


def _optional_text(content: Mapping[str, Any], key: str) -> str | None:
    value = content.get(key)
    return None if value is None else str(value)


def _only(content: Mapping[str, Any], known: set[str], place: str) -> None:
    unknown = sorted(set(content) - known)
    if unknown:
        raise InvalidValue(f"{place} has an unknown key {unknown[0]!r}", f"known keys: {', '.join(sorted(known))}")

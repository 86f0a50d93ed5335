"""What a ``railway.json`` says of a worker's deployment, and what of it Railway would not read as it was meant.

The types of the fields are those of Railway's own command line, which reads the same settings (railwayapp/cli 5.43.1,
``DeployConfig`` in ``src/controllers/config/environment.rs`` and ``ServiceInstanceUpdateInput`` in
``src/gql/schema.json``), and the choices those of docs.railway.com/config-as-code/reference. That page shows
``"drainingSeconds": "10"``, a text; the command line refuses it, and a number is right everywhere. Any field may be
null.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jobctl.core.operations import STOP_S, needed_draining_s
from jobctl.core.turns import parse_weighted
from jobctl.core.units import parse_duration, parse_whole
from jobctl.errors import InvalidValue

__all__ = [
    "CUT_OFF",
    "PRODUCTION",
    "SERVICE_FILES",
    "SUCCESSOR",
    "SUCCESSOR_FILES",
    "DeployFields",
    "Fault",
    "command_option",
    "find_work",
    "read_deploy",
    "short_draining",
    "wrong_types",
]

#: From this day on Railway does not read the file (docs.railway.com/config-as-code, 2026-08-21).
CUT_OFF: Final = "2026-12-01"
#: The environment that a project of Railway has from its first day on.
PRODUCTION: Final = "production"
#: What Railway reads of a service in its repository, the first that is there.
SERVICE_FILES: Final = ("railway.json", "railway.toml")
#: What its command line reads of a whole project: it wants one of them only.
SUCCESSOR_FILES: Final = (".railway/railway.py", ".railway/railway.ts", ".railway/railway.go")
#: What whoever writes the file today should know.
SUCCESSOR: Final = (
    f"Railway reads railway.json until {CUT_OFF}, and not for services created now; jobctl deploy render writes its "
    "successor .railway/railway.py as well. railway config migrate would leave the draining out"
)
_WORK: Final = re.compile(r"(?<![\w.-])jobctl(?:\.exe)?\s+work(?![\w-])")
_SHELL: Final = re.compile(r"\s*\S*sh\s+-\w*c\s")
_SEPARATOR: Final = re.compile(r"&&|\|\||[;|&\n]")


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in the file that Railway or the worker would not take as it was meant.

    Attributes:
        path: The field, as ``deploy.drainingSeconds``.
        problem: What is wrong with it, without a final stop.
        remedy: What to write.
    """

    path: str
    problem: str
    remedy: str


@dataclass(frozen=True, slots=True)
class DeployFields:
    """What the file says of the worker. A field that is not there, or is of the wrong type, is None.

    Attributes:
        replicas: How many, over all regions.
        draining_s: Seconds from SIGTERM to SIGKILL; Railway takes 0 where nothing is said.
        start_command: The whole command.
        drain_timeout_s: ``--drain-timeout`` of its ``jobctl work``, seconds.
        concurrency: ``--concurrency``, slots.
        db_pool_size: ``--db-pool-size``, connections.
        metrics_port: ``--metrics-port``.
        healthcheck_path: What Railway asks before it calls a deployment active.
        restart_policy: When a replica that ended is started again.
        queues: ``--queues``, without weights.
        cron_schedule: When Railway starts it by the clock.
        exec_form: Whether no shell reads the command, as of an image from a Dockerfile.
        in_production: Whether some of it is said of the environment ``production`` alone.
    """

    replicas: int | None = None
    draining_s: int | None = None
    start_command: str | None = None
    drain_timeout_s: float | None = None
    concurrency: int | None = None
    db_pool_size: int | None = None
    metrics_port: int | None = None
    healthcheck_path: str | None = None
    restart_policy: str | None = None
    queues: tuple[str, ...] | None = None
    cron_schedule: str | None = None
    exec_form: bool = False
    in_production: bool = False


def find_work(command: str) -> list[tuple[int, int]]:
    """Where the arguments of each ``jobctl work`` in a start command begin and end."""
    found = []
    for work in _WORK.finditer(command):
        separator = _SEPARATOR.search(command, work.end())
        found.append((work.end(), len(command) if separator is None else separator.start()))
    return found


def command_option(flag: str) -> re.Pattern[str]:
    """A flag and its value, which ends at a blank or at the quote that the whole command stands in."""
    return re.compile(rf"""(?P<flag>(?<!\S){re.escape(flag)}(?:=|\s+))(?P<value>"[^"]*"|'[^']*'|[^\s"']+)""")


def read_deploy(content: object) -> DeployFields:
    """Read the decoded file; whatever cannot be read counts as not said.

    What it says of the environment that jobs are done in goes before what it says of all.
    """
    production = _object(_object(_object(content).get("environments")).get(PRODUCTION))
    own = _object(production.get("deploy"))
    deploy = {**_object(_object(content).get("deploy")), **own}
    command = _said(deploy.get("startCommand"))
    works = [] if command is None else find_work(command)
    arguments = "" if command is None or len(works) != 1 else command[slice(*works[0])]
    return DeployFields(
        replicas=_replicas(deploy),
        draining_s=_count(deploy.get("drainingSeconds")),
        start_command=command,
        drain_timeout_s=_given(arguments, "--drain-timeout", parse_duration),
        concurrency=_given(arguments, "--concurrency", parse_whole),
        db_pool_size=_given(arguments, "--db-pool-size", parse_whole),
        metrics_port=_given(arguments, "--metrics-port", parse_whole),
        healthcheck_path=_said(deploy.get("healthcheckPath")),
        restart_policy=_said(deploy.get("restartPolicyType")),
        queues=_given(arguments, "--queues", lambda text: tuple(parse_weighted(text)[0])),
        cron_schedule=_said(deploy.get("cronSchedule")),
        exec_form=_object(_object(content).get("build")).get("builder") == "DOCKERFILE"
        and not (command and _SHELL.match(command)),
        in_production=bool(own),
    )


def short_draining(fields: DeployFields, drain_timeout_s: float) -> Fault | None:
    """Whether Railway kills the worker before it has drained; None when it does not.

    Args:
        fields: What the file says.
        drain_timeout_s: How long the worker waits where its command does not say so, seconds.
    """
    waits_s = drain_timeout_s if fields.drain_timeout_s is None else fields.drain_timeout_s
    needed_s, draining_s = needed_draining_s(waits_s), fields.draining_s or 0
    if draining_s >= needed_s:
        return None
    return Fault(
        "deploy.drainingSeconds",
        f"Railway kills the worker after {draining_s} s, and it drains for {waits_s:g} s and needs {STOP_S} s to end",
        f"write {needed_s}, or shorten --drain-timeout",
    )


def wrong_types(content: object) -> list[Fault]:
    """The fields of the decoded file that are of another type than Railway reads, in the file's order."""
    if not isinstance(content, dict):
        return [Fault("railway.json", f"is {_kind(content)} and no object", "write {} around its fields")]
    faults = list(_faults("", content))
    environments = content.get("environments")
    if environments is not None and not isinstance(environments, dict):
        return [*faults, Fault("environments", f"is {_kind(environments)} and no object", "name each environment")]
    for name, settings in (environments or {}).items():
        if isinstance(settings, dict):
            faults += _faults(f"environments.{name}.", settings)
        elif settings is not None:
            faults.append(Fault(f"environments.{name}", f"is {_kind(settings)} and no object", "write {} around it"))
    return faults


def _faults(prefix: str, settings: Mapping[str, Any]) -> Iterator[Fault]:
    for section, checks in _CHECKS.items():
        fields = settings.get(section)
        if fields is None:
            continue
        if not isinstance(fields, dict):
            yield Fault(f"{prefix}{section}", f"is {_kind(fields)} and no object", "write {} around its fields")
            continue
        for name, value in fields.items():
            wrong = None if value is None or name not in checks else checks[name](value)
            if wrong is not None:
                yield Fault(f"{prefix}{section}.{name}", *wrong)


_Wrong = tuple[str, str] | None


def _whole(least: int) -> Callable[[Any], _Wrong]:
    def check(value: Any) -> _Wrong:
        if isinstance(value, int) and not isinstance(value, bool):
            return None if value >= least else (f"is {value}", f"write {least} or more")
        bare = value.strip() if isinstance(value, str) else ""
        remedy = f"write {bare} without quotes" if bare.isdecimal() else "write a whole number without quotes"
        return f"is {_kind(value)}, and Railway reads a whole number", remedy

    return check


def _text(value: Any) -> _Wrong:
    return None if isinstance(value, str) else (f"is {_kind(value)}, and Railway reads a text", "write it in quotes")


def _flag(value: Any) -> _Wrong:
    return None if isinstance(value, bool) else (f"is {_kind(value)}, and Railway reads true or false", "write one")


def _texts(value: Any) -> _Wrong:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return None
    return f"is {_kind(value)}, and Railway reads a list of texts", 'write ["...", "..."]'


def _text_or_texts(value: Any) -> _Wrong:
    return None if isinstance(value, str) else _texts(value)


def _one_of(*choices: str) -> Callable[[Any], _Wrong]:
    """The documents write a choice in either case."""

    def check(value: Any) -> _Wrong:
        if isinstance(value, str) and value.upper() in choices:
            return None
        return f"is {value!r}" if isinstance(value, str) else f"is {_kind(value)}", f"write {' or '.join(choices)}"

    return check


def _regions(value: Any) -> _Wrong:
    if not isinstance(value, dict) or not all(one is None or isinstance(one, dict) for one in value.values()):
        return (
            f"is {_kind(value)}, and Railway reads an object for each region",
            'write {"us-west2": {"numReplicas": 2}}',
        )
    for region, settings in value.items():
        count = (settings or {}).get("numReplicas")
        wrong = None if count is None else _whole(0)(count)
        if wrong is not None:
            return f"has in {region} a numReplicas that {wrong[0]}", wrong[1]
    return None


_CHECKS: Final[Mapping[str, Mapping[str, Callable[[Any], _Wrong]]]] = {
    "build": {
        "builder": _one_of("RAILPACK", "DOCKERFILE", "NIXPACKS", "HEROKU", "PAKETO"),
        "buildCommand": _text,
        "dockerfilePath": _text,
        "nixpacksConfigPath": _text,
        "railpackVersion": _text,
        "watchPatterns": _texts,
    },
    "deploy": {
        "cronSchedule": _text,
        "drainingSeconds": _whole(0),
        "healthcheckPath": _text,
        "healthcheckTimeout": _whole(1),
        "ipv6EgressEnabled": _flag,
        "multiRegionConfig": _regions,
        "numReplicas": _whole(1),
        "overlapSeconds": _whole(0),
        "preDeployCommand": _text_or_texts,
        "region": _text,
        "restartPolicyMaxRetries": _whole(0),
        "restartPolicyType": _one_of("ALWAYS", "ON_FAILURE", "NEVER"),
        "sleepApplication": _flag,
        "startCommand": _text,
    },
}


def _kind(value: Any) -> str:
    """A value in a few words."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text {value!r}"
        case list():
            return "a list"
        case _:
            return "an object"


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _said(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _replicas(deploy: Mapping[str, Any]) -> int | None:
    regions = _object(deploy.get("multiRegionConfig"))
    counts = [_count(_object(region).get("numReplicas")) for region in regions.values()]
    known = [count for count in counts if count is not None]
    return sum(known) if known else _count(deploy.get("numReplicas"))


def _given(arguments: str, flag: str, parse: Callable[[str], Any]) -> Any:
    """What an option of the start command says; None where it is not given, or not in figures."""
    found = command_option(flag).search(arguments)
    if found is None or "$" in found["value"]:
        return None
    try:
        return parse(found["value"].strip("\"'"))
    except InvalidValue:
        return None

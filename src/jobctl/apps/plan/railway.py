"""The settings of a plan, written into a ``railway.json`` that somebody else wrote.

The file is changed where it has to be and nowhere else: a value is replaced where it stands, a new member goes behind
the last one of its object in the same layout, and what does not concern the plan is not read. So order, indentation,
blank lines and unknown keys stay, and a second run changes nothing.

What is written, in ``deploy``:

* ``numReplicas``, or the one region's of ``multiRegionConfig`` where the file has that;
* in ``startCommand``, the options of ``jobctl work``: ``--concurrency``, ``--drain-timeout`` (the job timeout, so that
  a deploy waits for every running job) and, where the plan knows it, ``--db-pool-size``;
* ``drainingSeconds``, a number, the time from SIGTERM to SIGKILL: the drain timeout and :data:`STOP_S`.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jobctl.apps.plan.json_text import with_value
from jobctl.core.operations import STOP_S
from jobctl.core.plans import Plan
from jobctl.core.units import parse_duration
from jobctl.errors import InvalidValue

__all__ = ["STOP_S", "SUCCESSOR", "Deploy", "Rewrite", "check_rewritable", "deploy_of", "rewrite"]

#: What whoever writes this file today should know (docs.railway.com/config-as-code, 2026-08-21).
SUCCESSOR: Final = (
    "Railway reads railway.json until 2026-12-01, and not for services created now; its successor is .railway/ "
    "(railway config migrate), where draining is the variable RAILWAY_DEPLOYMENT_DRAINING_SECONDS"
)
_SCHEMA_URL: Final = "https://railway.com/railway.schema.json"
_WORK: Final = re.compile(r"(?<![\w.-])jobctl(?:\.exe)?\s+work(?![\w-])")
_SEPARATOR: Final = re.compile(r"&&|\|\||[;|&\n]")
_OURS: Final = ("numReplicas", "multiRegionConfig", "startCommand", "drainingSeconds")


@dataclass(frozen=True, slots=True)
class Deploy:
    """What goes into the file.

    Attributes:
        replicas: How many run, the spare included.
        concurrency: Slots of each.
        drain_timeout_s: How long a stop waits for running jobs, seconds.
        db_pool_size: Connections of each; None to leave that to the worker.
    """

    replicas: int
    concurrency: int
    drain_timeout_s: float
    db_pool_size: int | None = None

    @property
    def draining_s(self) -> int:
        """Whole seconds from SIGTERM to SIGKILL."""
        return math.ceil(self.drain_timeout_s) + STOP_S

    @property
    def options(self) -> Mapping[str, str]:
        """The options of ``jobctl work``."""
        options = {"--concurrency": str(self.concurrency), "--drain-timeout": f"{self.drain_timeout_s:.10g}s"}
        return options if self.db_pool_size is None else {**options, "--db-pool-size": str(self.db_pool_size)}


@dataclass(frozen=True, slots=True)
class Rewrite:
    """The file as it should be.

    Attributes:
        text: All of it.
        diff: What changes, as a unified diff; empty when nothing does.
        notes: What was left alone and is now the reader's to do, a sentence each without its final stop.
    """

    text: str
    diff: str
    notes: tuple[str, ...]


def deploy_of(plan: Plan, drain_timeout_s: float) -> Deploy:
    """What a plan asks for.

    Args:
        plan: The plan; one whose number is on the edge gives the larger one.
        drain_timeout_s: How long a stop waits for jobs that have no timeout of their own, seconds.
    """
    demand = plan.demand
    replicas = plan.all_running.replicas if plan.edge is None else max(plan.all_running.replicas, *plan.edge)
    return Deploy(
        replicas=replicas,
        concurrency=demand.concurrency,
        drain_timeout_s=drain_timeout_s if demand.job_timeout_s is None else demand.job_timeout_s,
        db_pool_size=demand.database.connections_per_replica,
    )


def rewrite(existing: str | None, deploy: Deploy, name: str = "railway.json") -> Rewrite:
    """Write a plan's settings into the text of a file.

    Args:
        existing: The file's text; None where there is none yet.
        deploy: What to write.
        name: The file's name, for the diff and for errors.

    Raises:
        InvalidValue: The text is no JSON, or has something else where a setting belongs, or spreads replicas over
            several regions in a way that the plan cannot tell.
    """
    text, notes = (_new_file(deploy), ()) if existing is None else _changed(existing, deploy, name)
    return Rewrite(text, _diff(existing, text, name), notes)


def check_rewritable(existing: str, name: str = "railway.json") -> None:
    """Refuse the text of a file that no plan's settings could be written into.

    Raises:
        InvalidValue: The text is no JSON, or has something else where a setting belongs.
    """
    _regions(_settings(_parsed(existing, name), name), name)


def _new_file(deploy: Deploy) -> str:
    command = " ".join(["jobctl work", *(f"{flag} {value}" for flag, value in deploy.options.items())])
    settings = {"startCommand": command, "numReplicas": deploy.replicas, "drainingSeconds": deploy.draining_s}
    content = {"$schema": _SCHEMA_URL, "build": {"builder": "RAILPACK"}, "deploy": settings}
    return json.dumps(content, indent=2) + "\n"


def _changed(text: str, deploy: Deploy, name: str) -> tuple[str, tuple[str, ...]]:
    content = _parsed(text, name)
    notes: list[str] = []
    before = _settings(content, name)
    changes: list[tuple[tuple[str, ...], Any]] = []
    command = before.get("startCommand")
    written, note = _command(command, deploy)
    if note:
        notes.append(note)
    if written != command:
        changes.append((("deploy", "startCommand"), written))
    changes += [(path, deploy.replicas) for path in _replica_paths(before, deploy.replicas, name)]
    changes.append((("deploy", "drainingSeconds"), deploy.draining_s))
    notes += _overrides(content)
    for path, value in changes:
        text = with_value(text, path, value)
    return text, tuple(notes)


def _settings(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """What the file says of the deployment."""
    settings = content.get("deploy")
    if settings is None:
        return {}
    if not isinstance(settings, dict):
        raise InvalidValue(f"{name}: deploy is no object", "mend the file")
    return settings


def _parsed(text: str, name: str) -> dict[str, Any]:
    try:
        content = json.loads(text, object_pairs_hook=lambda pairs: _unique(pairs, name))
    except json.JSONDecodeError as error:
        raise InvalidValue(
            f"{name} is not JSON ({error.msg.lower()}, line {error.lineno})",
            "take comments and trailing commas out, or change it by hand",
        ) from None
    except RecursionError:
        raise InvalidValue(f"{name} is nested too deeply", "mend the file") from None
    if not isinstance(content, dict):
        raise InvalidValue(f"{name} holds no object", "mend the file")
    return content


def _unique(pairs: list[tuple[str, Any]], name: str) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise InvalidValue(f"{name} has the key {twice!r} twice in one object", "leave one of them")
    return content


def _replica_paths(deploy: Mapping[str, Any], replicas: int, name: str) -> list[tuple[str, ...]]:
    """Where the number of replicas stands, or belongs."""
    regions = _regions(deploy, name)
    if not regions:
        return [("deploy", "numReplicas")]
    if len(regions) > 1:
        counts = [region.get("numReplicas") for region in regions.values()]
        if all(isinstance(count, int) for count in counts) and sum(counts) == replicas:
            return []
        raise InvalidValue(
            f"{name} spreads replicas over {len(regions)} regions, and the plan does not say how many go where",
            f"share {replicas} among them yourself and run this again, or leave one region",
        )
    path = ("deploy", "multiRegionConfig", next(iter(regions)), "numReplicas")
    return [path, ("deploy", "numReplicas")] if "numReplicas" in deploy else [path]


def _regions(deploy: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The regions that replicas are spread over; empty where none is named."""
    regions = deploy.get("multiRegionConfig") or {}
    if not isinstance(regions, dict) or not all(isinstance(region, dict) for region in regions.values()):
        raise InvalidValue(f"{name}: deploy.multiRegionConfig is no object of objects", "mend the file")
    return regions


def _overrides(content: Mapping[str, Any]) -> Iterator[str]:
    """Environments that set for themselves what was written."""
    environments = content.get("environments")
    for environment, settings in environments.items() if isinstance(environments, dict) else ():
        deploy = settings.get("deploy") if isinstance(settings, dict) else None
        ours = [key for key in _OURS if isinstance(deploy, dict) and key in deploy]
        if ours:
            yield f"environment {environment!r} has its own {', '.join(ours)}, which count there and were left alone"


def _command(command: Any, deploy: Deploy) -> tuple[Any, str]:
    """The start command with the options of its ``jobctl work``; and what is left to do, if anything."""
    asked = " ".join(f"{flag} {value}" for flag, value in deploy.options.items())
    if not isinstance(command, str):
        return command, f"the file has no start command: start the worker with {asked}"
    found = list(_WORK.finditer(command))
    if len(found) != 1:
        which = "no" if not found else "more than one"
        return command, f"the start command has {which} jobctl work and was left alone; its worker needs {asked}"
    (work,) = found
    separator = _SEPARATOR.search(command, work.end())
    end = len(command) if separator is None else separator.start()
    head, arguments, tail = command[: work.end()], command[work.end() : end], command[end:]
    missing, variable = [], []
    for flag, value in deploy.options.items():
        given = _option(flag).search(arguments)
        if given is None:
            missing.append(f" {flag} {value}")
        elif "$" in given["value"]:
            variable.append(f"{given['value']} ({flag}) is to be {value}")
        elif not _same(given["value"], value):
            arguments = _option(flag).sub(rf"\g<flag>{value}", arguments)
    note = f"the start command takes these from the environment: {', '.join(variable)}" if variable else ""
    return head + "".join(missing) + arguments + tail, note


def _option(flag: str) -> re.Pattern[str]:
    """A flag and its value, which ends at a blank or at the quote that the whole command stands in."""
    return re.compile(rf"""(?P<flag>(?<!\S){re.escape(flag)}(?:=|\s+))(?P<value>"[^"]*"|'[^']*'|[^\s"']+)""")


def _same(given: str, value: str) -> bool:
    """Whether two values of an option mean the same: ``3m`` is ``180s``; whole numbers are read likewise."""
    try:
        return parse_duration(given.strip("\"'")) == parse_duration(value)
    except InvalidValue:
        return False


def _diff(before: str | None, after: str, name: str) -> str:
    lines = difflib.unified_diff(
        (before or "").splitlines(),
        after.splitlines(),
        fromfile="/dev/null" if before is None else name,
        tofile=f"{name} (planned)",
        lineterm="",
    )
    return "\n".join(lines)

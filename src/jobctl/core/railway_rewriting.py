"""The settings of a worker, written into a ``railway.json`` that somebody else wrote.

The file is changed where it has to be and nowhere else: a value is replaced where it stands, a new member goes behind
the last one of its object in the same layout, and what is not ours is not read. So order, indentation, blank lines and
unknown keys stay, and a second run changes nothing.

What is written, in ``deploy``:

* ``numReplicas``, or the one region's of ``multiRegionConfig`` where the file has that;
* in ``startCommand``, the options of ``jobctl work``: ``--concurrency``, ``--drain-timeout`` (the job timeout, so that
  a deploy waits for every running job) and those that are known beside them;
* the fields that are told by name;
* ``drainingSeconds``, a number, the time from SIGTERM to SIGKILL (:func:`jobctl.core.operations.needed_draining_s`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jobctl.core.json_text import with_value
from jobctl.core.operations import needed_draining_s
from jobctl.core.railway import command_option, find_work
from jobctl.core.rewriting import Rewrite, mean_the_same, unified_diff
from jobctl.errors import InvalidValue

__all__ = ["Deploy", "check_rewritable", "rewrite"]

_SCHEMA_URL: Final = "https://railway.com/railway.schema.json"
#: What a file for Railway has at least one of, if not its schema.
_SECTIONS: Final = frozenset({"build", "deploy", "environments"})


@dataclass(frozen=True, slots=True)
class Deploy:
    """What goes into the file.

    Attributes:
        replicas: How many run, the spare included.
        concurrency: Slots of each.
        drain_timeout_s: How long a stop waits for running jobs, seconds.
        db_pool_size: Connections of each; None to leave that to the worker.
        queues: What each listens to, as one word; None to leave that to the command.
        metrics_port: Where each answers ``/metrics`` and ``/readyz``; None likewise.
        further: Other fields of ``deploy``.
        builder: How Railway builds, of a file that is made anew.
    """

    replicas: int
    concurrency: int
    drain_timeout_s: float
    db_pool_size: int | None = None
    queues: str | None = None
    metrics_port: int | None = None
    further: Mapping[str, Any] = field(default_factory=dict)
    builder: str = "RAILPACK"

    @property
    def draining_s(self) -> int:
        """Whole seconds from SIGTERM to SIGKILL."""
        return needed_draining_s(self.drain_timeout_s)

    @property
    def options(self) -> Mapping[str, str]:
        """The options of ``jobctl work``."""
        options = {
            "--queues": self.queues,
            "--concurrency": self.concurrency,
            "--drain-timeout": f"{self.drain_timeout_s:.10g}s",
            "--db-pool-size": self.db_pool_size,
            "--metrics-port": self.metrics_port,
        }
        return {flag: str(value) for flag, value in options.items() if value is not None}

    @property
    def command(self) -> str:
        """The start command of a worker that has none yet."""
        return " ".join(self.command_parts)

    @property
    def command_parts(self) -> tuple[str, ...]:
        """The same, an option with its value each."""
        return ("jobctl work", *(f"{flag} {value}" for flag, value in self.options.items()))


def rewrite(existing: str | None, deploy: Deploy, name: str = "railway.json") -> Rewrite:
    """Write a worker's settings into the text of a file.

    Args:
        existing: The file's text; None where there is none yet.
        deploy: What to write.
        name: The file's name, for the diff and for errors.

    Raises:
        InvalidValue: The text is no JSON, or has something else where a setting belongs, or spreads replicas over
            several regions in a way that the plan cannot tell.
    """
    text, notes = (_new_file(deploy), ()) if existing is None else _changed(existing, deploy, name)
    return Rewrite(text, unified_diff(existing, text, name), notes)


def check_rewritable(existing: str, name: str = "railway.json") -> None:
    """Refuse the text of a file that no settings could be written into.

    Raises:
        InvalidValue: The text is no JSON, is about something else, or has something else where a setting belongs.
    """
    content = _parsed(existing, name)
    if content and "railway" not in str(content.get("$schema")) and not _SECTIONS & content.keys():
        raise InvalidValue(f"{name} has neither build nor deploy", "give the path of the worker's railway.json")
    _regions(_settings(content, name), name)


def _new_file(deploy: Deploy) -> str:
    settings = {"startCommand": deploy.command, "numReplicas": deploy.replicas, **_fields(deploy)}
    content = {"$schema": _SCHEMA_URL, "build": {"builder": deploy.builder}, "deploy": settings}
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
    changes += [(("deploy", name), value) for name, value in _fields(deploy).items()]
    notes += _overrides(content, ["numReplicas", "multiRegionConfig", "startCommand", *_fields(deploy)])
    for path, value in changes:
        text = with_value(text, path, value)
    return text, tuple(notes)


def _fields(deploy: Deploy) -> Mapping[str, Any]:
    """The fields that are set whatever the file says, but for the replicas and the command."""
    return {**deploy.further, "drainingSeconds": deploy.draining_s}


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
    except InvalidValue:
        raise
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of brackets
        raise InvalidValue(f"{name} cannot be read ({error})", "mend the file") from None
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


def _overrides(content: Mapping[str, Any], written: Collection[str]) -> Iterator[str]:
    """Environments that set for themselves what was written."""
    environments = content.get("environments")
    for environment, settings in environments.items() if isinstance(environments, dict) else ():
        deploy = settings.get("deploy") if isinstance(settings, dict) else None
        ours = [key for key in written if isinstance(deploy, dict) and key in deploy]
        if ours:
            yield f"environment {environment!r} has its own {', '.join(ours)}, which count there and were left alone"


def _command(command: Any, deploy: Deploy) -> tuple[Any, str]:
    """The start command with the options of its ``jobctl work``; and what is left to do, if anything."""
    asked = " ".join(f"{flag} {value}" for flag, value in deploy.options.items())
    if not isinstance(command, str):
        return command, f"the file has no start command: start the worker with {asked}"
    found = find_work(command)
    if len(found) != 1:
        which = "no" if not found else "more than one"
        return command, f"the start command has {which} jobctl work and was left alone; its worker needs {asked}"
    ((begin, end),) = found
    head, arguments, tail = command[:begin], command[begin:end], command[end:]
    missing, variable = [], []
    for flag, value in deploy.options.items():
        given = command_option(flag).search(arguments)
        if given is None:
            missing.append(f" {flag} {value}")
        elif "$" in given["value"]:
            variable.append(f"{given['value']} ({flag}) is to be {value}")
        elif not mean_the_same(given["value"].strip("\"'"), value):
            arguments = f"{arguments[: given.start('value')]}{value}{arguments[given.end('value') :]}"
    note = f"the start command takes these from the environment: {', '.join(variable)}" if variable else ""
    return head + "".join(missing) + arguments + tail, note

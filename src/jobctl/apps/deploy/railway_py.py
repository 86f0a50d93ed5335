"""The text of ``.railway/railway.py``, which Railway's command line evaluates with its SDK, ``railway-sdk``.

Python and not TypeScript, which Railway calls the more mature of the two: both make the same graph, the figures come
from a Python program, and its tests can evaluate the file with the SDK itself. Only one of them may be there.

``railway config migrate`` is no way here. From a ``railway.json`` it carries the build command, the start command and
the health check's path into Python, into TypeScript also its timeout and the replicas, and never the draining, the
overlap or the restart policy; its Python imports the SDK under a former name (railwayapp/cli 5.43.1,
``src/commands/config/migrate.rs``). What it does carry is said here in the same words.

What the file does not name is gone: a service, unless a partial is named, and a variable of a service that it does name
(``src/iac/change_set.rs``). So the file is a partial, keeps every setting of jobctl by name, and has lines that are the
user's: they stay when it is made again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from jobctl.apps.deploy.services import OVERLAP_S, READY_PATH, READY_TIMEOUT_S, Exporter, exporter_of, worker_of
from jobctl.core.operations import Operations

__all__ = ["HEADER", "is_ours", "needs", "railway_py"]

#: The first line of a file that is ours to make again.
HEADER: Final = "# Made by jobctl deploy render from slo.toml. Change that, not this; but for the lines that are yours."
_BEGIN: Final = "# ---- yours: these lines stay when the file is made again ----"
_END: Final = "# ---- end of yours ----"

_YOURS: Final = """\
PROJECT = "jobs"  # the project's name
WORKER, EXPORTER = "worker", "exporter"  # the services' names
REDIS_URL = "${{Redis.REDIS_URL}}"  # of the service that is named Redis
REPOSITORY = ""  # owner/name on GitHub that Railway builds; empty where `railway up` brings the code
KEPT: tuple[str, ...] = ()  # your jobs' own variables, by name: their values are set in Railway, never here
"""

_TEXT: Final = '''\
<header>
"""A fleet of jobctl on Railway.

python3 -m pip install railway-sdk    for the python3 that railway finds
railway config plan                   shows what would change, and changes nothing
railway config apply                  does it; the railway.json of a service has to go first
"""

from railway_sdk import define_railway, github, preserve, project, service

# This file has these services and no others. Without a partial all that it does not name would be deleted, Redis too.
PARTIAL = "jobctl"

<begin>
<yours><end>

# Settings and secrets of jobctl: what Railway holds stays. A variable that nothing here names is deleted.
SETTINGS = (
<kept>)

# One line for each option, so that a change shows what it changes.
WORK = (
<work>)


@define_railway
def main(ctx: object = None) -> object:
    """What Railway's command line compares with what is there."""
    shared = {
        "source": github(REPOSITORY) if REPOSITORY else None,
        "build": {"builder": "DOCKERFILE"},
        "healthcheck": "<path>",
        "healthcheckTimeout": <timeout>,
        "deploy": {"restartPolicyType": "ALWAYS"},
    }
    variables = {name: preserve() for name in (*SETTINGS, *KEPT)}
    variables |= {"REDIS_URL": REDIS_URL, "JOB_PLANNED_REPLICAS": "<replicas>"}
    worker = service(
        WORKER,
        **shared,
        start=" ".join(WORK),
        replicas=<replicas>,
        env={
            **variables,
            "PORT": "<port>",
            "RAILWAY_DEPLOYMENT_DRAINING_SECONDS": "<draining>",
            "RAILWAY_DEPLOYMENT_OVERLAP_SECONDS": "<overlap>",
        },
    )
<exporter>    return project(PROJECT, resources=[<services>])
'''

_EXPORTER: Final = """\
    exporter = service(
        EXPORTER,
        **shared,
        start="<command>",
        replicas=1,
        env={
            **variables,
            "PORT": "<port>",
            "RAILWAY_DEPLOYMENT_DRAINING_SECONDS": "<draining>",
        },
    )
"""


def is_ours(text: str) -> bool:
    """Whether a file was made here, and can be made again without losing what is the user's."""
    return text.startswith(HEADER) and _yours(text) is not None


def railway_py(operations: Operations, kept: Sequence[str], existing: str | None) -> str:
    """The file.

    Args:
        operations: What it is made from.
        kept: The variables of jobctl that keep the values that Railway holds.
        existing: The file so far, which is ours; None where there is none.

    Raises:
        InvalidValue: A queue's name cannot stand in a command.
    """
    worker, exporter = worker_of(operations), exporter_of(operations)
    words = {
        "header": HEADER,
        "begin": _BEGIN,
        "yours": (None if existing is None else _yours(existing)) or _YOURS,
        "end": _END,
        "kept": "".join(f'    "{name}",\n' for name in kept),
        "path": READY_PATH,
        "timeout": READY_TIMEOUT_S,
        "replicas": worker.replicas,
        "work": "".join(f'    "{part}",\n' for part in worker.command_parts),
        "port": worker.metrics_port,
        "draining": worker.draining_s,
        "overlap": OVERLAP_S,
        "exporter": "" if exporter is None else _filled(_EXPORTER, _of_exporter(exporter)),
        "services": "worker" if exporter is None else "worker, exporter",
    }
    return _filled(_TEXT, words)


def needs(operations: Operations) -> tuple[str, ...]:
    """What a file that is not ours has to say, a line for each service."""
    worker, exporter = worker_of(operations), exporter_of(operations)
    lines = [
        f"worker: start {worker.command!r}, replicas {worker.replicas}, healthcheck {READY_PATH}, variables "
        f"PORT={worker.metrics_port} JOB_PLANNED_REPLICAS={worker.replicas} "
        f"RAILWAY_DEPLOYMENT_DRAINING_SECONDS={worker.draining_s} RAILWAY_DEPLOYMENT_OVERLAP_SECONDS={OVERLAP_S}"
    ]
    if exporter is not None:
        lines.append(
            f"exporter: start {exporter.command!r}, replicas 1, healthcheck {READY_PATH}, variables "
            f"PORT={exporter.port} JOB_PLANNED_REPLICAS={worker.replicas}"
        )
    return tuple(lines)


def _of_exporter(exporter: Exporter) -> Mapping[str, object]:
    return {"command": exporter.command, "port": exporter.port, "draining": exporter.draining_s}


def _filled(text: str, words: Mapping[str, object]) -> str:
    """A text with each ``<word>`` replaced, all at once: a value that looks like one stays as it is."""
    return re.sub(r"<([a-z]+)>", lambda found: str(words[found[1]]), text)


def _yours(text: str) -> str | None:
    """The user's lines; None where the two that enclose them are not there once each, in order."""
    before, begin, rest = text.partition(f"{_BEGIN}\n")
    yours, end, after = rest.partition(f"{_END}\n")
    if not begin or not end or _BEGIN in yours or _END in before or _BEGIN in after or _END in after:
        return None
    return yours

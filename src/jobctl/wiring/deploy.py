"""``jobctl deploy``: the files that run a fleet on Railway, made from ``slo.toml``."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Final

from jobctl.adapters.files import read_text
from jobctl.apps.deploy.railway_py import is_ours, needs, railway_py
from jobctl.apps.deploy.services import worker_of
from jobctl.core.facts import SuccessorFacts
from jobctl.core.operations import Operations
from jobctl.core.railway import SERVICE_FILES, SUCCESSOR, SUCCESSOR_FILES, find_work, read_deploy
from jobctl.core.railway_rewriting import Deploy, check_rewritable, rewrite
from jobctl.errors import InvalidOption, InvalidValue
from jobctl.settings import FIELDS
from jobctl.wiring.rendered import DIRECTORY, OPTION

__all__ = ["Rendered", "rendered", "successor_of"]

_JSON, _TOML = SERVICE_FILES
_PY, *_SIBLINGS = SUCCESSOR_FILES
#: The variables that the files set themselves: by a value, or by an option of the start command.
_SET: Final = frozenset({"redis_url", "planned_replicas", "queues", "concurrency", "drain_timeout_s", "metrics_port"})


@dataclass(frozen=True, slots=True)
class Rendered:
    """The files of a fleet.

    Attributes:
        files: Their texts, by their path in the directory.
        notes: What is left to do by hand, a sentence each without its final stop.
    """

    files: dict[str, str]
    notes: tuple[str, ...]


def rendered(operations: Operations, directory: Path) -> Rendered:
    """The files as they should be, whatever of them is there already kept where it is not ours.

    A ``railway.json`` that was taken away beside a ``.railway/railway.py`` of ours stays away, and none is put beside a
    ``railway.toml``. One that starts something else than ``jobctl work`` is another service's, and with our health
    check it would never be deployed again.

    Raises:
        InvalidOption: A file cannot be read or cannot take the settings, or a queue's name cannot stand in a command.
    """
    existing = {name: read_text(str(directory / name), DIRECTORY) for name in (_JSON, _TOML, _PY, *_SIBLINGS)}
    successor = existing[_PY]
    if successor is not None:
        existing[_PY] = successor.replace("\r\n", "\n")  # as Git for Windows checks it out
    files: dict[str, str] = {}
    notes: list[str] = []
    succeeded = any(existing[name] is not None for name in (_PY, *_SIBLINGS))
    try:
        worker = worker_of(operations)
    except InvalidValue as error:
        raise InvalidOption(OPTION, error.problem, error.remedy) from None
    try:
        if existing[_JSON] is not None or not succeeded:
            text, said = _railway_json(existing[_JSON], existing[_TOML], worker)
            if text is not None:
                files[_JSON] = text
            notes += [
                *said,
                f"with railway.json alone, set the service's variable PORT to {worker.metrics_port}: "
                "Railway checks the health of that port",
                SUCCESSOR,
            ]
        foreign = next((name for name in (*_SIBLINGS, _PY) if _is_foreign(name, existing[name])), None)
        if foreign is None:
            files[_PY] = railway_py(operations, _kept(operations), existing[_PY])
        else:
            notes += [f"{foreign} is yours and was left alone; it needs {line}" for line in needs(operations)]
    except InvalidValue as error:
        raise InvalidOption(DIRECTORY, error.problem, error.remedy) from None
    return Rendered(files, tuple(notes))


def successor_of(operations: Operations | None, directory: Path) -> SuccessorFacts | None:
    """The ``.railway/`` of a directory, held against the one that is made from ``slo.toml``; None where there is none.

    Args:
        operations: What it is made from; None where that is not known.
        directory: Where it is.

    Raises:
        InvalidOption: It cannot be read.
    """
    texts = {name: read_text(str(directory / name), DIRECTORY) for name in SUCCESSOR_FILES}
    found = {name: text.replace("\r\n", "\n") for name, text in texts.items() if text is not None}
    ours = [text for name, text in found.items() if not _is_foreign(name, text)]
    drift = None
    if ours and operations is not None:
        with suppress(InvalidValue):  # a queue whose name cannot stand in a command: render says so
            drift = _first_difference(ours[0], railway_py(operations, _kept(operations), ours[0]))
    return SuccessorFacts(tuple(found), bool(ours), drift) if found else None


def _first_difference(there: str, wanted: str) -> str:
    """The first line that is there and not wanted, or wanted and not there; empty where there is none."""
    pairs = zip_longest(there.splitlines(), wanted.splitlines(), fillvalue="")
    for number, (line, meant) in enumerate(pairs, 1):
        if line != meant:
            return f"line {number} is {line.strip()!r} and not {meant.strip()!r}"
    return ""


def _railway_json(existing: str | None, toml: str | None, worker: Deploy) -> tuple[str | None, tuple[str, ...]]:
    """The file, None where it is not ours to write; and what is left to do by hand.

    Raises:
        InvalidValue: It cannot take the settings.
    """
    new = rewrite(None, worker, _JSON).text
    needed = json.dumps(json.loads(new)["deploy"])
    if existing is None:
        if toml is None:
            return new, ()
        return None, (f"{_TOML} was left alone, and there is no {_JSON} beside it; its [deploy] needs {needed}",)
    check_rewritable(existing, _JSON)
    command = read_deploy(json.loads(existing)).start_command
    if command is not None and not find_work(command):
        return None, (
            f"{_JSON} starts {command!r} and was left alone; the deploy of a worker's service needs {needed}",
        )
    change = rewrite(existing, worker, _JSON)
    return change.text, change.notes


def _is_foreign(name: str, text: str | None) -> bool:
    return text is not None and (name != _PY or not is_ours(text))


def _kept(operations: Operations) -> tuple[str, ...]:
    """The variables of jobctl's settings that no file of ours gives."""
    given = _SET if operations.fleet.db_pool_size is None else {*_SET, "db_pool_size"}
    return tuple(one.env for one in FIELDS if one.name not in given)

"""Environments for the software that a benchmark compares with, made below ``.tools`` from locked, hashed sets."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parent.parent
TOOLS: Final = REPOSITORY / ".tools"


class CannotInstall(Exception):
    """An environment cannot be made here; the message says why, in one line."""


def python_of(name: str) -> Path:
    """The interpreter of a virtual environment that holds ``requirements/NAME.txt``.

    Raises:
        CannotInstall: It cannot be made.
    """
    lock = REPOSITORY / "requirements" / f"{name}.txt"
    place = TOOLS / name
    python = place / "bin" / "python"
    stamp = _digest(lock) + sys.version
    if not _stamped(place, stamp):
        uv = [sys.executable, "-m", "uv", "--quiet", "--system-certs"]
        _run([*uv, "venv", "--clear", "--python", sys.executable, str(place)])
        _run([*uv, "pip", "install", "--python", str(python), "--require-hashes", "--requirement", str(lock)])
        (place / ".made").write_text(stamp, encoding="utf-8")
    return python


def node_modules_of(project: Path) -> Path:
    """The modules that a Node project's lock names.

    Raises:
        CannotInstall: There is no node or npm here, or the modules cannot be had.
    """
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise CannotInstall(f"there is no {program} on PATH")
    place = TOOLS / project.name
    stamp = _digest(project / "package-lock.json")
    if not _stamped(place, stamp):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(project / name, place)
        _run(["npm", "ci", "--silent"], place)
        (place / ".made").write_text(stamp, encoding="utf-8")
    return place / "node_modules"


def _digest(lock: Path) -> str:
    return hashlib.sha256(lock.read_bytes()).hexdigest()


def _stamped(place: Path, stamp: str) -> bool:
    made = place / ".made"
    return made.exists() and made.read_text(encoding="utf-8") == stamp


def _run(command: Sequence[str], directory: Path = REPOSITORY) -> None:
    done = subprocess.run(
        command,
        cwd=directory,
        env={name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise CannotInstall(f"{command[0]} failed: {said[-1] if said else done.returncode}")

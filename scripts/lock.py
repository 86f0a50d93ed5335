"""The locked requirements: write them from ``pyproject.toml``, or prove that they are what they should be.

``requirements/dev.txt`` holds everything; ``requirements/runtime.txt`` is the part of it that jobctl itself needs, with
the same pins. ``rivals.txt`` and ``rivals-arq.txt`` are what a benchmark compares with, for environments of their own.
Each is one universal set: markers say which line is for which Python and platform.

::

    python scripts/lock.py write [--upgrade]
    python scripts/lock.py check

``check`` installs nothing. It fails when the sets have drifted from ``pyproject.toml``, when a line lacks a hash or
names an address, and when a supported Python on a supported platform would have to build a package from source.
"""

from __future__ import annotations

import argparse
import difflib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parent.parent

#: Each set and the dependency group that it adds to jobctl's own dependencies. The second is held to the first's pins.
SETS: Final = {"dev.txt": "dev", "runtime.txt": "build"}

#: Sets without jobctl's own dependencies, and the dependency group that each of them is.
APART: Final = {"rivals.txt": "rivals", "rivals-arq.txt": "rivals-arq"}

PYTHONS: Final = ("3.11", "3.12", "3.13", "3.14")

#: Where jobctl runs, and the packages that have no wheel there: a C compiler builds them from their hashed source.
PLATFORMS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "x86_64-manylinux_2_28": {},
    "aarch64-manylinux_2_28": dict.fromkeys(PYTHONS, ("hdrhistogram",)),
    "aarch64-apple-darwin": {"3.11": ("gevent",)},
}

_ENTRY: Final = re.compile(
    r"^(?P<name>[a-z0-9-]+)==\S+(?P<marker> ; [^\\\n]+)?(?P<hashes>(?: \\\n    --hash=sha256:\w{64})+)$", re.M
)


class LockError(Exception):
    """The lock is not what it should be; the message says how to mend it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Write or check the locked requirements.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("write").add_argument("--upgrade", action="store_true", help="leave the pins of today behind")
    verbs.add_parser("check")
    given = parser.parse_args(arguments)
    directory = REPOSITORY / "requirements"
    try:
        if given.verb == "write":
            compile_into(directory, upgrade=given.upgrade)
        else:
            check(directory)
    except LockError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def check(directory: Path) -> None:
    """Prove the sets right.

    Raises:
        LockError: They are not.
    """
    for name in (*SETS, *APART):
        check_form(name, (directory / name).read_text(encoding="utf-8"))
    check_drift(directory)
    for platform, without_wheel in PLATFORMS.items():
        for python in PYTHONS:
            for name in ("dev.txt", *APART):
                text = (directory / name).read_text(encoding="utf-8")
                check_wheels(text, python, platform, without_wheel.get(python, ()))
    print(f"locked requirements: current, hashed, wheels for Python {', '.join(PYTHONS)} on {', '.join(PLATFORMS)}")


def check_form(name: str, text: str) -> None:
    """Each entry pins one release by hash, and nothing else stands in the file.

    Raises:
        LockError: Something else does, such as an index or a release without a hash.
    """
    rest = "\n".join(line for line in _ENTRY.sub("", text).splitlines() if line and not line.startswith("#"))
    if rest or "://" in text:
        raise LockError(f"requirements/{name}: not a hashed pin: {rest.splitlines()[0] if rest else 'an address'}")


def check_drift(directory: Path) -> None:
    """The sets are what ``pyproject.toml`` gives today.

    Raises:
        LockError: They differ.
    """
    with tempfile.TemporaryDirectory() as temporary:
        for name in (*SETS, *APART):
            shutil.copy(directory / name, temporary)
        compile_into(Path(temporary))
        for name in (*SETS, *APART):
            locked, current = ((place / name).read_text(encoding="utf-8") for place in (directory, Path(temporary)))
            if locked != current:
                changes = list(difflib.unified_diff(locked.splitlines(), current.splitlines(), n=0, lineterm=""))[2:12]
                raise LockError(
                    "\n".join([f"requirements/{name} has drifted from pyproject.toml; run: make lock", *changes])
                )


def check_wheels(text: str, python: str, platform: str, without_wheel: Sequence[str]) -> None:
    """Everything but the named packages has a wheel, with one of the locked hashes.

    Raises:
        LockError: Something has not.
    """
    wanted = "\n".join(entry[0] for entry in _ENTRY.finditer(text) if entry["name"] not in without_wheel)
    with tempfile.TemporaryDirectory() as temporary:
        (requirements := Path(temporary, "requirements.txt")).write_text(wanted + "\n", encoding="utf-8")
        target = ["--target", temporary, "--python-version", python, "--python-platform", platform]
        exact = [
            "--dry-run",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--require-hashes",
            "--requirement",
            str(requirements),
        ]
        try:
            uv("install", *target, *exact)
        except LockError as error:
            raise LockError(f"not installable from wheels on Python {python}, {platform}:\n{error}") from None


def compile_into(directory: Path, *, upgrade: bool = False) -> None:
    """Resolve all sets into a directory; what is pinned there already stays pinned unless upgraded.

    Raises:
        LockError: ``pyproject.toml`` has no solution.
    """
    everything, *parts = SETS
    for name, group in (SETS | APART).items():
        project = ["pyproject.toml"] if name in SETS else []
        held = ["--constraint", str(directory / everything)] if name in parts else []
        form = ["--universal", "--python-version", PYTHONS[0], "--generate-hashes", "--no-annotate"]
        names = ["--no-emit-index-url", "--custom-compile-command", "make lock", "--output-file", str(directory / name)]
        uv("compile", *project, "--group", group, *held, *form, *names, *(["--upgrade"] if upgrade else []))


def uv(*arguments: str) -> None:
    """Run one of uv's ``pip`` commands in the repository.

    Raises:
        LockError: It failed; holds what it said.
    """
    command = [sys.executable, "-m", "uv", "pip", *arguments, "--system-certs", "--quiet"]
    done = subprocess.run(
        command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise LockError(done.stderr.strip())


if __name__ == "__main__":
    sys.exit(main())

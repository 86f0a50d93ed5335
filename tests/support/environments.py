"""Python environments that hold what somebody declares and nothing else, made of what is installed around the tests."""

from __future__ import annotations

import subprocess
import sysconfig
import venv
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution, distribution
from pathlib import Path

from lock import REPOSITORY
from packaging.requirements import Requirement


def make_environment(directory: Path, requirements: Sequence[str]) -> Path:
    """Make an environment with these requirements, linked instead of copied; gives the directory of its programs."""
    venv.create(directory, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(directory)}))
    for found in needed(requirements):
        link_into(packages, found)
    return directory / "bin"


def needed(requirements: Sequence[str]) -> Iterator[Distribution]:
    """The distributions that an installer would bring here, from those installed around this test."""
    seen: set[str] = set()
    waiting = list(map(Requirement, requirements))
    while waiting:
        requirement = waiting.pop()
        extras = ("", *sorted(requirement.extras))
        key = f"{requirement.name.lower()}{extras}"
        if key in seen or not (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            continue
        seen.add(key)
        yield (found := distribution(requirement.name))
        for inner in map(Requirement, found.requires or []):
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in extras):
                inner.marker = None
                waiting.append(inner)


def link_into(packages: Path, found: Distribution) -> None:
    """Place an installed distribution in another environment without copying it."""
    for file in found.files or ():
        if ".." in file.parts:
            continue
        target = packages / file
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            target.symlink_to(file.locate())


def copy_repository(directory: Path) -> Path:
    """The repository as a checkout would hold it, without what was made in it."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.split("\0"):
        source, target = REPOSITORY / name, directory / name
        if name and source.is_file():  # one that was removed is listed until that is committed
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
            target.chmod(source.stat().st_mode)
    return directory

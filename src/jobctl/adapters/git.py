"""Code of another revision, checked out beside the user's own tree and never in it.

Git is run as a program. A worktree of its own shares the repository's objects and none of its files; hooks are switched
off, for they are the user's and may do anything.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jobctl.errors import InvalidOption, JobctlError

__all__ = ["Revision", "checked_out", "find_revision"]

#: Variables by which git is told of another repository than the one around, as it does for its hooks.
_ELSEWHERE: Final = frozenset(
    {"GIT_COMMON_DIR", "GIT_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_WORK_TREE"}
)
_PATIENCE_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Revision:
    """A commit of the repository around the working directory.

    Attributes:
        name: As it was asked for.
        commit: Its whole hash.
        prefix: The working directory, seen from the repository's root; empty at the root.
    """

    name: str
    commit: str
    prefix: str


def find_revision(name: str) -> Revision | None:
    """The commit that a branch, a tag or a hash stands for; None where there is none, no repository or no git."""
    commit = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    prefix = _git("rev-parse", "--show-prefix")
    if commit is None or prefix is None:
        return None
    return Revision(name, commit.strip(), prefix.strip())


@contextmanager
def checked_out(revision: Revision, place: Path, option: str) -> Iterator[Path]:
    """Check a revision out for as long as the block lasts.

    Args:
        revision: The revision.
        place: A directory that does not exist yet.
        option: What asked for it.

    Yields:
        What stands there for the working directory.

    Raises:
        InvalidOption: It cannot be checked out, or has no such directory.
    """
    made = _git("-c", "core.hooksPath=/dev/null", "worktree", "add", "--detach", "--quiet", str(place), revision.commit)
    try:
        if made is None:
            raise InvalidOption(
                option,
                f"{revision.name!r} cannot be checked out",
                f"see git worktree add --detach DIR {revision.commit[:12]}",
            )
        directory = place / revision.prefix
        if not directory.is_dir():
            raise InvalidOption(
                option, f"{revision.name!r} has no directory {revision.prefix!r}", "run it from one that both have"
            )
        yield directory
    finally:
        _git("worktree", "remove", "--force", str(place))


def _git(*words: str) -> str | None:
    """What git prints; None where it fails or there is none.

    Raises:
        JobctlError: It does not come back.
    """
    env = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    try:
        ended = subprocess.run(
            ["git", *words], env=env, capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
    except OSError:
        return None
    except subprocess.TimeoutExpired:
        raise JobctlError(f"git {words[0]} took longer than {_PATIENCE_S:g} s") from None
    return ended.stdout if ended.returncode == 0 else None

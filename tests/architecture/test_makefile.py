"""The targets that people and CI run, as seen from outside."""

from __future__ import annotations

import os
import subprocess

import pytest
from lock import REPOSITORY


def make(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run make in the repository, unaware of a make or a choice of interpreter around this test."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS", "PYTHON"))}
    environment = inherited if path is None else {**inherited, "PATH": path}
    command = ["/usr/bin/env", "make", "--no-print-directory", *arguments]
    return subprocess.run(
        command, cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def test_bare_make_lists_the_targets_and_does_nothing() -> None:
    done = make()
    listed = [line.split()[1] for line in done.stdout.splitlines()]
    assert (done.returncode, listed) == (
        0,
        ["help", "bench", "test", "check", "proof", "soak", "docs", "lock", "upgrade", "screenshots", "clean"],
    )


@pytest.mark.parametrize("interpreter", ["/bin/false", "python-that-is-not-there"])
def test_an_interpreter_that_does_not_fit_is_named_in_one_line(interpreter: str) -> None:
    done = make("bench", f"PYTHON={interpreter}")
    assert done.returncode == 2
    assert f"PYTHON={interpreter} cannot be used: give a Python 3.11 or newer" in done.stderr.splitlines()[0]

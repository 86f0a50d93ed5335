"""Refusals are looked at in this process: what a start costs is told in test_start_up."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jobctl.cli.main import run


@pytest.fixture
def refused(capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The one line that a command says which cannot start."""

    def run_it(*words: str) -> str:
        with pytest.raises(SystemExit) as ended:
            run(words)
        said = capfd.readouterr()
        assert (ended.value.code, said.out) == (2, "")
        assert len(said.err.splitlines()) == 1
        return said.err

    return run_it

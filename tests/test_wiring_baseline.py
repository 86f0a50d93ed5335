"""What a baseline is: a revision, or a directory that is meant as one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from jobctl.cli.bench_baseline import severest
from jobctl.cli.exit_status import ExitStatus
from jobctl.errors import InvalidOption
from jobctl.wiring.baseline import find_baseline


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a branch ``docs`` and a directory of that name."""
    who = ["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
    for words in (["init", "--quiet"], ["commit", "--quiet", "--allow-empty", "--message", "one"], ["branch", "docs"]):
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True)
    for name in ("docs", "before"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_revision_is_meant_where_a_directory_has_the_same_name(repository: Path) -> None:
    found = find_baseline("docs")

    assert found.directory is None
    assert found.revision is not None


@pytest.mark.parametrize("name", ["./docs", "./before", "before"])
def test_a_directory_is_meant_by_its_path_or_where_no_revision_is(repository: Path, name: str) -> None:
    found = find_baseline(name)

    assert found.revision is None
    assert found.directory == (repository / name).resolve()


@pytest.mark.parametrize("name", ["nowhere", "./nowhere", "/nowhere"])
def test_what_is_neither_is_refused(repository: Path, name: str) -> None:
    with pytest.raises(InvalidOption, match="--baseline"):
        find_baseline(name)


def test_of_several_exit_codes_the_severest_counts() -> None:
    ordered = [
        ExitStatus.INTERRUPTED,
        ExitStatus.BROKEN,
        ExitStatus.REGRESSION,
        ExitStatus.INCONCLUSIVE,
        ExitStatus.PASS,
    ]

    for place, status in enumerate(ordered):
        assert severest(*reversed(ordered[place:])) is status

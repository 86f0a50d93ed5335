"""What a baseline is: a revision, or a directory that is meant as one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from jobctl.errors import InvalidOption
from jobctl.wiring.baseline import code_of, find_baseline


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


@pytest.mark.parametrize("name", ["./docs", "./before"])
def test_a_directory_is_meant_by_its_path(repository: Path, name: str) -> None:
    found = find_baseline(name)

    assert found.revision is None
    assert found.directory == (repository / name).resolve()


@pytest.mark.parametrize("name", ["nowhere", "./nowhere", "/nowhere", "before", "", " "])
def test_what_is_neither_is_refused(repository: Path, name: str) -> None:
    with pytest.raises(InvalidOption, match="--baseline"):
        find_baseline(name)


@pytest.mark.parametrize("where", ["", "src"])
def test_a_directory_that_has_the_code_of_a_job_is_a_baseline(repository: Path, where: str) -> None:
    place = repository / "before" / where
    place.mkdir(exist_ok=True)
    (place / "mine.py").touch()

    with code_of(find_baseline("./before"), {"mine.work", "elsewhere.work"}) as code:
        assert code == (repository / "before").resolve()


@pytest.mark.parametrize("name", ["docs", "./before"])
def test_where_both_sides_would_run_what_is_installed_nothing_is_compared(repository: Path, name: str) -> None:
    with (
        pytest.raises(InvalidOption, match=r"no code of pytest\.main: both sides would run the same"),
        code_of(find_baseline(name), {"pytest.main"}),
    ):
        raise AssertionError("it was accepted")
    worktrees = subprocess.run(["git", "worktree", "list"], cwd=repository, check=True, capture_output=True, text=True)
    assert len(worktrees.stdout.splitlines()) == 1

"""Revisions and worktrees, on repositories of the test's own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from jobctl.adapters.git import checked_out, find_revision
from jobctl.errors import InvalidOption


def git(directory: Path, *words: str) -> str:
    who = ("-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")
    ended = subprocess.run(["git", *who, *words], cwd=directory, check=True, capture_output=True, text=True)
    return ended.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of two commits with changes on top that nobody committed; we stand in it."""
    place = tmp_path / "repository"
    (place / "app").mkdir(parents=True)
    git(place, "init", "--quiet", "--initial-branch", "main")
    for text in ("one", "two"):
        (place / "app" / "code.py").write_text(text)
        git(place, "add", ".")
        git(place, "commit", "--quiet", "--message", text)
    git(place, "tag", "v1", "HEAD~1")
    (place / "app" / "code.py").write_text("three")
    monkeypatch.chdir(place)
    return place


@pytest.mark.parametrize(("name", "text"), [("main", "two"), ("v1", "one"), ("HEAD~1", "one")])
def test_a_revision_stands_beside_the_tree_and_is_gone_afterwards(
    repository: Path, tmp_path: Path, name: str, text: str
) -> None:
    revision = find_revision(name)
    assert revision is not None
    assert len(revision.commit) == 40
    with checked_out(revision, tmp_path / "before", "--baseline") as directory:
        assert (directory / "app" / "code.py").read_text() == text
        assert (repository / "app" / "code.py").read_text() == "three"

    assert not (tmp_path / "before").exists()
    assert git(repository, "status", "--porcelain").strip() == "M app/code.py"
    assert len(git(repository, "worktree", "list").splitlines()) == 1
    assert git(repository, "branch", "--show-current") == "main"


def test_the_same_directory_is_meant_from_below_the_root(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository / "app")
    revision = find_revision("v1")
    assert revision is not None
    with checked_out(revision, tmp_path / "before", "--baseline") as directory:
        assert (directory / "code.py").read_text() == "one"


def test_a_directory_that_was_not_there_yet_is_refused(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "fresh").mkdir()
    monkeypatch.chdir(repository / "fresh")
    revision = find_revision("main")
    assert revision is not None
    with (
        pytest.raises(InvalidOption, match="has no directory 'fresh/'"),
        checked_out(revision, tmp_path / "before", "--baseline"),
    ):
        pass
    assert not (tmp_path / "before").exists()


def test_hooks_of_the_repository_do_not_run(repository: Path, tmp_path: Path) -> None:
    hook = repository / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\n")
    hook.chmod(0o755)
    revision = find_revision("v1")
    assert revision is not None
    with checked_out(revision, tmp_path / "before", "--baseline"):
        assert not (tmp_path / "hooked").exists()


def test_a_word_of_git_is_no_option_for_it(repository: Path) -> None:
    assert find_revision("--all") is None
    assert find_revision("nowhere") is None


def test_outside_of_a_repository_and_without_git_there_is_no_revision(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_revision("main") is None
    monkeypatch.undo()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert find_revision("main") is None

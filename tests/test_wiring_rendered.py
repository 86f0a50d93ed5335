from __future__ import annotations

from pathlib import Path

import pytest

from jobctl.errors import InvalidOption
from jobctl.wiring.rendered import differing, find_slo_file, put, read_operations


def test_the_file_that_is_named_comes_first_then_that_of_monitoring_then_that_of_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidOption, match=r"no monitoring/slo\.toml or slo\.toml; run jobctl monitoring init"):
        find_slo_file(None)

    Path("slo.toml").write_text("")
    assert find_slo_file(None) == "slo.toml"
    Path("monitoring").mkdir()
    Path("monitoring/slo.toml").write_text("")
    assert find_slo_file(None) == "monitoring/slo.toml"
    assert find_slo_file("other.toml", "monitoring") == "other.toml"
    Path("mine").mkdir()
    assert find_slo_file(None, "mine") == "monitoring/slo.toml"
    Path("mine/slo.toml").write_text("")
    assert find_slo_file(None, "mine") == "mine/slo.toml"


def test_only_what_differs_is_written(tmp_path: Path) -> None:
    files = {"a/b.yml": "one\n", "c.yml": "two\n"}

    assert put(tmp_path, files) == ["a/b.yml", "c.yml"]
    before = (tmp_path / "c.yml").stat().st_ino
    assert put(tmp_path, {**files, "a/b.yml": "other\n"}) == ["a/b.yml"]
    assert (tmp_path / "a/b.yml").read_text() == "other\n"
    assert (tmp_path / "c.yml").stat().st_ino == before


@pytest.mark.parametrize("there", [None, "one", "one\r\n", "one\n\n"], ids=["missing", "cut", "breaks", "longer"])
def test_a_file_differs_by_any_byte(tmp_path: Path, there: str | None) -> None:
    if there is not None:
        (tmp_path / "a").write_bytes(there.encode())

    assert differing(tmp_path, {"a": "one\n"}) == ["a"]


def test_comparing_writes_nothing(tmp_path: Path) -> None:
    assert differing(tmp_path / "nowhere", {"a/b": "one\n"}) == ["a/b"]
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_is_refused_with_its_option(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(InvalidOption, match="DIRECTORY"):
        put(tmp_path / "file", {"inside/a": "one\n"})


def test_the_mark_that_some_editors_put_before_a_text_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "slo.toml").write_text('\ufeff[[objective]]\nslo = "p95 wait <= 1s"\n', encoding="utf-8")

    assert len(read_operations(str(tmp_path / "slo.toml")).promises) == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[fleet", "is not TOML"),
        ('[[objective]]\nslo = "p95 wait <= 1s"\n[fleet]\nreplica = 2\n', "replica"),
        ('[[objective]]\nslo = "p95 wait <= 1s"\n[fleet]\nreplicas = 0\n', "[fleet] replicas"),
    ],
)
def test_a_file_that_means_nothing_is_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "slo.toml"
    path.write_text(text)

    with pytest.raises(InvalidOption) as caught:
        read_operations(str(path))

    assert str(path) in str(caught.value)
    assert problem in str(caught.value)

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import yaml
from lock import REPOSITORY

from jobctl.core.operations import Operations, parse_operations
from jobctl.errors import InvalidOption
from jobctl.wiring import monitoring
from jobctl.wiring.monitoring import BY_HAND, begin, rendered


@pytest.fixture(scope="module")
def operations() -> Operations:
    return parse_operations(tomllib.loads((REPOSITORY / "monitoring" / "slo.toml").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def files(operations: Operations) -> dict[str, str]:
    return rendered(operations)


def test_what_is_made_and_what_is_written_by_hand_are_all_there_is(files: dict[str, str]) -> None:
    directory = REPOSITORY / "monitoring"
    there = {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}
    by_hand = {name for name in there if name in BY_HAND or name.startswith("grafana/provisioning/")}

    assert there - {name for name in there if name.startswith("secrets/")} == by_hand | set(files)


def test_the_same_operations_make_the_same_bytes(operations: Operations, files: dict[str, str]) -> None:
    assert rendered(operations) == files


def test_every_yaml_file_says_where_it_comes_from_and_repeats_what_is_the_same(files: dict[str, str]) -> None:
    for name, text in files.items():
        if name.endswith(".yml"):
            assert text.startswith("# Made by jobctl monitoring render from slo.toml.")
            assert not {"&id001", "*id001"} & set(text.split())
            yaml.safe_load(text)


def test_expressions_of_several_lines_stand_as_they_are(files: dict[str, str]) -> None:
    text = files["prometheus/alerts/worker-alerts.yml"]
    expressions = [rule["expr"] for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
    longest = max(expressions, key=lambda one: one.count("\n"))

    assert longest.count("\n") > 3
    assert longest in "\n".join(line.removeprefix(" " * 6) for line in text.splitlines())


def test_a_beginning_copies_what_the_repository_has(tmp_path: Path) -> None:
    written = begin(tmp_path / "watch")

    assert set(written) >= {"slo.toml", "docker-compose.yml", "README.md", "secrets/.gitignore"}
    for name in written:
        assert (tmp_path / "watch" / name).read_bytes() == (REPOSITORY / "monitoring" / name).read_bytes()


def test_a_file_that_is_already_there_as_it_should_be_is_no_obstacle(tmp_path: Path) -> None:
    begin(tmp_path)

    assert begin(tmp_path) == []


def test_nothing_is_written_where_one_file_is_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")

    with pytest.raises(InvalidOption, match=r"README\.md' is there, and is not what ships; move it away"):
        begin(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_the_secrets_are_below_run_where_an_engine_puts_them(files: dict[str, str], operations: Operations) -> None:
    assert f"{monitoring.SECRETS}/smtp_password" in files["alertmanager/alertmanager.yml"]
    assert "/etc/mine/smtp_password" in rendered(operations, secrets="/etc/mine")["alertmanager/alertmanager.yml"]

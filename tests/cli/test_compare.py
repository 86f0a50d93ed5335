"""`jobctl compare` as a command: its exit codes, its one-line refusals, its documents."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from jobctl.cli.main import run
from support.bench_documents import bench_document

STEADY = [[0.5] * 20] * 12
SLOWER = [[0.6] * 20] * 12


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def jobctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """The command, run in a directory of its own."""
    monkeypatch.chdir(tmp_path)

    def run_it(*words: str) -> Ended:
        with pytest.raises(SystemExit) as ended:
            run(["compare", *words])
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    return run_it


def write(directory: Path, **documents: Any) -> None:
    for name, document in documents.items():
        (directory / f"{name}.json").write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("new", "status", "sentence"),
    [
        (STEADY, 0, "No change beyond the floors over 1 round."),
        (SLOWER, 98, "A regression over 1 round, which no repeat has confirmed."),
        ([[0.4] * 20] * 12, 0, "An improvement and no regression over 1 round."),
        ([[0.5] * 2] * 12, 97, "The measurements cannot tell over 1 round."),
    ],
    ids=["the same", "slower", "faster", "too few jobs"],
)
def test_each_finding_has_its_exit_code(
    new: list[list[float]], status: int, sentence: str, tmp_path: Path, jobctl: Callable[..., Ended]
) -> None:
    write(tmp_path, a=bench_document(STEADY), b=bench_document(new))
    ended = jobctl("a.json", "b.json", "--json", "c.json")

    assert (ended.returncode, ended.stderr) == (status, "")
    assert sentence in " ".join(ended.stdout.split())
    document = json.loads((tmp_path / "c.json").read_text())
    schema = json.loads(files("jobctl").joinpath("schemas/compare.json").read_text(encoding="utf-8"))
    assert list(Draft202012Validator(schema).iter_errors(document)) == []
    assert max(map(len, ended.stdout.splitlines())) <= 100


def test_a_second_pair_confirms_or_denies_what_the_first_one_suspects(
    tmp_path: Path, jobctl: Callable[..., Ended]
) -> None:
    good = bench_document(STEADY)
    write(tmp_path, a=good, b=bench_document(SLOWER), c=good, d=bench_document(SLOWER), e=good)

    confirmed = jobctl("a.json", "b.json", "c.json", "d.json")
    denied = jobctl("a.json", "b.json", "c.json", "e.json")
    assert confirmed.returncode == 98
    assert "a repeat found it too" in confirmed.stdout
    assert denied.returncode == 0
    assert "a repeat did not find the regression" in " ".join(denied.stdout.split())


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["a.json"], "in pairs"),
        (["a.json", "b.json", "a.json", "b.json"], "a.json is in two pairs"),
        (["a.json", "missing.json"], "missing.json"),
        (["a.json", "empty.json"], "empty.json"),
        (["a.json", "nan.json"], "nan.json"),
        (["a.json", "plan.json"], "jobctl.plan/1"),
        (["a.json", "list.json"], "no result of a bench"),
        (["a.json", "another.json"], "rate_per_s: 5 and 6"),
        (["a.json", "elsewhere.json"], "name: here and there"),
        (["a.json", "another.json", "--allow-different", "host"], "rate_per_s: 5 and 6"),
        (["a.json", "a.json", "--allow-different", "hosts"], "--allow-different"),
        (["a.json", "a.json", "--relative-floor", "0"], "relative floor"),
        (["a.json", "a.json", "--relative-floor", "5 apples"], "--relative-floor"),
        (["a.json", "a.json", "--absolute-floor", "soon"], "--absolute-floor"),
        (["a.json", "a.json", "--json", "missing/c.json"], "--json"),
        (["a.json", "a.json", "--markdown", "c", "--json", "c"], "--markdown"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    words: list[str], named: str, tmp_path: Path, jobctl: Callable[..., Ended]
) -> None:
    good = bench_document(STEADY)
    write(
        tmp_path,
        a=good,
        another=bench_document(STEADY, config={"rate_per_s": 6.0}),
        elsewhere=bench_document(STEADY, host={"name": "there"}),
        plan={"schema": "jobctl.plan/1"},
        list=[good],
        nan={**good, "blocks": {**good["blocks"], "length_s": float("nan")}},
    )
    (tmp_path / "empty.json").write_text("")
    ended = jobctl(*words)

    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.strip().splitlines()
    assert named in line
    assert ";" in line, "it says the remedy"


def test_a_run_that_broke_its_own_promises_is_named_and_decides_nothing(
    tmp_path: Path, jobctl: Callable[..., Ended]
) -> None:
    good = bench_document(STEADY)
    write(tmp_path, a=good, b={**good, "verdict": "broken", "reasons": ["wait.p95 < 1 s: measured 3 s"]})
    ended = jobctl("a.json", "b.json")

    assert ended.returncode == 0
    assert "- b.json by itself: broken: wait.p95 < 1 s: measured 3 s" in ended.stdout
    assert "a.json by itself" not in ended.stdout


def test_what_may_differ_is_compared_and_said(tmp_path: Path, jobctl: Callable[..., Ended]) -> None:
    other = bench_document(STEADY, config={"rate_per_s": 6.0}, host={"name": "there"})
    write(tmp_path, a=bench_document(STEADY), b=other)
    ended = jobctl("a.json", "b.json", "--allow-different", "config,host")

    assert ended.returncode == 0
    assert "config rate_per_s: 5 and 6" in ended.stdout
    assert "host name: here and there" in ended.stdout


def test_a_wider_floor_lets_a_change_pass(tmp_path: Path, jobctl: Callable[..., Ended]) -> None:
    write(tmp_path, a=bench_document(STEADY), b=bench_document(SLOWER))

    assert jobctl("a.json", "b.json", "--relative-floor", "25%").returncode == 0
    assert jobctl("a.json", "b.json", "--absolute-floor", "150ms").returncode == 0


def test_markdown_and_json_on_standard_output_are_alone_there(tmp_path: Path, jobctl: Callable[..., Ended]) -> None:
    write(tmp_path, a=bench_document(STEADY), b=bench_document(SLOWER))
    as_json, as_markdown = (jobctl("a.json", "b.json", flag, "-") for flag in ("--json", "--markdown"))

    assert json.loads(as_json.stdout)["finding"] == "regression"
    assert as_markdown.stdout.startswith("### ❌ jobctl compare: regression\n")
    assert "| service.mean | 500 ms | 600 ms |" in as_markdown.stdout
    assert "A regression over 1 round" in as_json.stderr

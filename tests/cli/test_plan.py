from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from jobctl.cli.main import run
from jobctl.settings import FIELDS

EXAMPLE = ("--rate", "2.5", "--service-time", "8s", "--concurrency", "25", "--replicas", "1")


@pytest.fixture(autouse=True)
def _clean_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory without a file, an environment without our variables."""
    monkeypatch.chdir(tmp_path)
    for field in FIELDS:
        monkeypatch.delenv(field.env, raising=False)


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run ``jobctl plan``: its exit code, standard output and standard error."""
    with pytest.raises(SystemExit) as ended:
        run(["plan", *arguments])
    said = capsys.readouterr()
    return int(str(ended.value.code)), said.out, said.err


def test_the_worked_example_as_a_screen(capsys: pytest.CaptureFixture[str]) -> None:
    status, shown, complaint = ask(capsys, *EXAMPLE, "--budget", "0")
    assert (status, complaint) == (0, "")
    assert (
        shown
        == """\
1 replica of 25 slots carries 216,000 jobs/day (2.5/s) at a utilisation of 80.0%: \
wait mean 0.335 s, p95 2.29 s, p99 4.86 s.

load         2.5 jobs/s x 8 s = work for 20 of 25 slots
utilisation  80.0%, headroom 20.0% (1.25x); full at 3.125 jobs/s, 270,000 a day
wait         P(wait) 0.2091, mean 0.335 s, p95 2.29 s, p99 4.86 s
1 gone       nothing is left
objective    "p95 wait <= 1 s" would not hold (not asked for: give --slo)
binding      slots: there is no fewer than one replica
relief       more slots a replica, or shorter jobs
needed       3 replicas for "p95 wait <= 1 s", 1 spare among them
at most      about 201,000 jobs/day hold
method       M/M/c: exact for Poisson arrivals and exponential service in a steady state
given        rate 2.5/s, service-time 8 s, concurrency 25
assumed      shape steady (no peak), arrivals poisson, service-scv 1, slo "p95 wait <= 1 s", window the busiest hour, \
spare 1, failure-rate 0

  replicas  slots  utilisation  P(wait)  p50     p95     p99  holds  1 gone
>        1     25        80.0%   0.2091  0 s  2.29 s  4.86 s     no      no
         2     50        40.0%  <0.0001  0 s     0 s     0 s    yes      no
         3     75        26.7%  <0.0001  0 s     0 s     0 s    yes     yes
         4    100        20.0%  <0.0001  0 s     0 s     0 s    yes     yes
"""
    )


def test_simulation_confirms_the_worked_example_and_leaves_its_figures_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, shown, _ = ask(capsys, *EXAMPLE)
    facts = {line[:13].rstrip(): line[13:] for line in shown.splitlines()}
    assert status == 0
    assert facts["wait"] == "P(wait) 0.2091, mean 0.335 s, p95 2.29 s, p99 4.86 s"
    low, high = re.search(r"simulation has p95 in ([\d.]+)\.\.([\d.]+) s;", facts["method"]).groups()  # type: ignore[union-attr]
    assert float(low) < 2.29 < float(high)


def test_the_worked_example_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    status, shown, _ = ask(capsys, *EXAMPLE, "--json", "-")
    document = json.loads(shown)
    Draft202012Validator(json.loads((files("jobctl") / "schemas" / "plan.json").read_text())).validate(document)
    assert status == 0
    wait = document["predicted"]["wait"]
    assert [float(f"{wait[name]:.3g}") for name in ("mean", "p95", "p99")] == [0.335, 2.29, 4.86]
    assert round(wait["p_wait"], 4) == 0.2091


def test_a_file_gets_the_json_and_the_screen_the_text(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, shown, _ = ask(capsys, *EXAMPLE, "--budget", "0", "--json", str(tmp_path / "plan.json"))
    assert status == 0
    assert shown.startswith("1 replica of 25 slots")
    assert json.loads((tmp_path / "plan.json").read_text())["replicas"] == 1


@pytest.mark.parametrize(
    ("arguments", "status", "answer"),
    [
        (
            ["--per-day", "450k", "--service-time", "4.8s"],
            0,
            '3 replicas of 25 slots carry 450,000 jobs/day (5.208/s): "p95 wait <= 1 s" holds, even with 1 gone.',
        ),
        (
            ["--per-day", "450k", "--service-time", "1s", "--spare", "0"],
            0,
            '1 replica of 25 slots carries 450,000 jobs/day (5.208/s): "p95 wait <= 1 s" holds.',
        ),
        (
            ["--per-day", "450k", "--service-time", "8s", "--replicas", "2", "--slo", "p95 wait <= 1s"],
            99,
            "2 replicas of 25 slots break p95 wait <= 1 s (is 1.05 s) at 450,000 jobs/day (5.208/s).",
        ),
        (
            ["--per-day", "450k", "--service-time", "8s", "--replicas", "2", "--slo", "wait.mean < 100ms"],
            99,
            "2 replicas of 25 slots break mean wait <= 100 ms (is 143 ms) at 450,000 jobs/day (5.208/s).",
        ),
        (
            ["--per-day", "450k", "--service-time", "8s", "--replicas", "2", "--slo", "wait.p95 < 2s"],
            0,
            '2 replicas of 25 slots carry 450,000 jobs/day (5.208/s): "p95 wait <= 2 s" holds.',
        ),
        (
            ["--per-day", "450k", "--service-time", "8s", "--replicas", "2", "--slo", "wait.p95 < 2s", "--spare", "1"],
            99,
            "2 replicas of 25 slots carry 450,000 jobs/day (5.208/s), but not with 1 gone.",
        ),
        (
            ["--per-day", "450k", "--service-time", "8s", "--replicas", "1"],
            99,
            "1 replica of 25 slots cannot keep up with 450,000 jobs/day (5.208/s): "
            "the backlog grows by 180,000 jobs a day.",
        ),
        (
            ["--per-day", "450k", "--service-time", "4.8s", "--replicas", "1"],
            99,
            "1 replica of 25 slots cannot keep up with 450,000 jobs/day (5.208/s): every slot is always busy.",
        ),
        (["--rate", "2.5", "--service-time", "8s", "--replicas", "1", "--spare", "1"], 99, None),
        (["--per-day", "1", "--service-time", "1s"], 0, None),
        (["--per-day", "1e9", "--service-time", "60s"], 0, None),
        (["--per-day", "450k", "--service-time", "8s", "--service-scv", "10000"], 0, None),
        (["--per-day", "450k", "--service-time", "8s", "--service-scv", "0", "--slo", "wait.p99.9<1us"], 0, None),
    ],
)
def test_the_answer_comes_first_and_the_exit_code_says_the_same(
    capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, answer: str | None
) -> None:
    code, shown, _ = ask(capsys, *arguments, "--budget", "0")
    assert code == status
    if answer is not None:
        assert shown.splitlines()[0] == answer


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--per-day", "-5", "--service-time", "8s"], "--per-day"),
        (["--per-day", "0", "--service-time", "8s"], "--per-day"),
        (["--per-day", "abc", "--service-time", "8s"], "--per-day"),
        (["--per-day", "nan", "--service-time", "8s"], "--per-day"),
        (["--per-day", "inf", "--service-time", "8s"], "--per-day"),
        (["--per-day", "1e300", "--service-time", "8s"], "--per-day"),
        (["--rate", "1e300", "--service-time", "8s"], "--rate"),
        (["--rate", "nan", "--service-time", "8s"], "--rate"),
        (["--rate", "1", "--service-time", "0"], "--service-time"),
        (["--rate", "1", "--service-time", "10parsecs"], "--service-time"),
        (["--rate", "1", "--service-time", "-8s"], "--service-time"),
        (["--rate", "1"], "--service-time"),
        (["--rate", "1", "--service-time", "8s", "--service-scv", "-1"], "--service-scv"),
        (["--rate", "1", "--service-time", "8s", "--service-scv", "nan"], "--service-scv"),
        (["--rate", "1", "--service-time", "8s", "--service-scv", "1e300"], "--service-scv"),
        (["--rate", "1", "--service-time", "8s", "--concurrency", "0"], "--concurrency"),
        (["--rate", "1", "--service-time", "8s", "--concurrency", "2.5"], "--concurrency"),
        (["--rate", "1", "--service-time", "8s", "--replicas", "-1"], "--replicas"),
        (["--rate", "1", "--service-time", "8s", "--replicas", "0"], "--replicas"),
        (["--rate", "1", "--service-time", "8s", "--replicas", "1000000"], "--replicas"),
        (["--rate", "1", "--service-time", "8s", "--spare", "-1"], "--spare"),
        (["--rate", "1", "--service-time", "8s", "--slo", "nonsense"], "--slo"),
        (["--rate", "1", "--service-time", "8s", "--slo", "p95 weight <= 1s"], "--slo"),
        (["--rate", "1", "--service-time", "8s", "--json", "/nonexistent/x.json"], "--json"),
        (["--rate", "1", "--service-time", "8s", "--json", "."], "--json"),
        (["--rate", "1", "--per-day", "1", "--service-time", "8s"], "--per-day"),
        (["--service-time", "8s"], "--per-day"),
        ([], "--per-day"),
        (["--rate", "1", "--service-time", "8s", "--nonsense"], "--nonsense"),
        (["--rate"], "--rate"),
        (["--rate", "1", "--service-time", "8s", "surprise"], "surprise"),
    ],
    ids=" ".join,
)
def test_bad_input_gets_one_line_that_names_the_option_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], named: str
) -> None:
    status, shown, complaint = ask(capsys, *arguments)
    assert status == 2
    assert len(complaint.splitlines()) == 1
    assert named in complaint
    assert "Traceback" not in shown + complaint


@pytest.mark.parametrize(
    ("word", "remedy"), [("plna", "did you mean 'plan'?"), ("zzz", "bench, report, compare, plan, work")]
)
def test_an_unknown_command_gets_one_line_with_what_there_is(
    capsys: pytest.CaptureFixture[str], word: str, remedy: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        run([word])
    complaint = capsys.readouterr().err
    assert ended.value.code == 2
    assert remedy in complaint
    assert len(complaint.splitlines()) == 1


def test_the_concurrency_comes_from_the_settings_when_no_flag_gives_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOB_CONCURRENCY", "50")
    _, shown, _ = ask(capsys, "--rate", "2.5", "--service-time", "8s", "--budget", "0", "--json", "-")
    assert json.loads(shown)["concurrency"] == 50


def test_without_a_terminal_each_fact_stays_on_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    _, shown, _ = ask(capsys, "--per-day", "450k", "--service-time", "8s", "--service-scv", "2", "--budget", "0")
    labels = [line[:13].rstrip() for line in shown.split("\n\n")[1].splitlines()]
    assert labels[:6] == ["load", "utilisation", "wait", "1 gone", "binding", "relief"]
    assert labels[-3:] == ["method", "given", "assumed"]
    assert "\x1b" not in shown

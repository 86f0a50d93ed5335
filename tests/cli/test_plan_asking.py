"""What ``jobctl plan`` is told, how it refuses what means nothing, and what its exit code says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.main import get_command

from jobctl.apps.plan.request import INPUTS
from jobctl.cli.main import app, run
from jobctl.core.prices import RAILWAY_REPLICAS
from jobctl.settings import FIELDS

ASKED = ("--rate", "2.5", "--service-time", "8s", "--budget", "0")
MOST_FIRST = 12


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without a file, an environment without our variables."""
    monkeypatch.chdir(tmp_path)
    for field in FIELDS:
        monkeypatch.delenv(field.env, raising=False)
    return tmp_path


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run ``jobctl plan``: its exit code, standard output and standard error."""
    with pytest.raises(SystemExit) as ended:
        run(["plan", *arguments])
    said = capsys.readouterr()
    return int(str(ended.value.code)), said.out, said.err


def test_the_first_panel_of_the_help_has_at_most_a_dozen_options(capsys: pytest.CaptureFixture[str]) -> None:
    status, shown, _ = ask(capsys, "--help")
    first = shown[shown.index("\nOptions:") : shown.index("\nArrivals:")]
    options = re.findall(r"^  (-.*?)(?:  |$)", first, re.MULTILINE)
    assert status == 0
    assert len(options) <= MOST_FIRST
    assert {"--per-day", "--service-time", "--slo", "--replicas", "--json"} <= {line.split()[0] for line in options}


def test_the_help_shows_every_input_with_its_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    _, shown, _ = ask(capsys, "--help")
    text = "".join(shown.split())
    described = {told.flag: "".join(f"{told.flag}{told.metavar}{told.meaning}".split()) for told in INPUTS}
    assert [flag for flag, words in described.items() if words not in text] == []
    assert set(re.findall(r"\w+", next(told.meaning for told in INPUTS if told.name == "platform"))) >= {
        name for name in RAILWAY_REPLICAS if RAILWAY_REPLICAS[name] > 2
    }


def test_the_flags_are_the_inputs_and_no_two_are_the_same() -> None:
    flags = [told.flag for told in INPUTS]
    known = {flag for parameter in get_command(app).commands["plan"].params for flag in parameter.opts}  # type: ignore[attr-defined]
    assert len(set(flags)) == len(flags)
    assert set(flags) <= known


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--rate", "2.5", "--service-time", "8s"], 0),
        (["--per-day", "1", "--service-time", "1s"], 0),
        (["--per-day", "1e9", "--service-time", "60s"], 0),
        (["--per-day", "450k", "--service-time", "lognormal:mean=8s,p95=20s"], 0),
        (["--per-day", "450k", "--service-p50", "6s", "--service-p95", "20s", "--peak-factor", "2.5"], 0),
        (["--per-day", "450k", "--job-type", "a 0.5 2s", "--job-type", "b 0.5 constant:9s"], 0),
        (["--rate", "2.5", "--service-time", "8s", "--replicas", "1"], 0),
        (["--rate", "2.5", "--service-time", "8s", "--replicas", "1", "--slo", "p95 wait <= 1s"], 99),
        (["--rate", "2.5", "--service-time", "8s", "--replicas", "1", "--spare", "1"], 99),
        (["--rate", "2.5", "--service-time", "8s", "--replicas", "2", "--slo", "mean sojourn <= 9s"], 0),
        (["--rate", "2.5", "--service-time", "8s", "--replicas", "2", "--slo", "mean sojourn <= 7s"], 99),
        (["--rate", "4", "--service-time", "8s", "--replicas", "1"], 99),
        (["--per-day", "450k", "--service-time", "8s", "--upstream-rpm", "300"], 99),
        (["--per-day", "9M", "--service-time", "8s", "--max-replicas", "6"], 99),
        (["--per-day", "9M", "--service-time", "8s", "--platform", "hobby"], 99),
        (["--per-day", "9M", "--service-time", "8s", "--platform", "pro"], 0),
        (["--audit", "2:450k", "--service-time", "1s"], 0),
        (["--audit", "2:450k,1:450k", "--service-time", "8s"], 99),
    ],
    ids=str,
)
def test_the_exit_code_says_whether_it_holds(
    capsys: pytest.CaptureFixture[str], arguments: list[str], status: int
) -> None:
    code, shown, complaint = ask(capsys, *arguments, "--budget", "0")
    assert (code, complaint) == (status, "")
    assert shown


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("--per-day 0.5", "--per-day"),
        ("--per-day 1.1e9", "--per-day"),
        ("--per-day nan", "--per-day"),
        ("--rate 1e300", "--rate"),
        ("--rate 1 --per-day 5", "--per-day"),
        ("--peak-factor 0.5", "--peak-factor"),
        ("--peak-factor nan", "--peak-factor"),
        ("--shape steady --peak-factor 2", "--peak-factor"),
        ("--shape none.csv", "--shape"),
        ("--shape replay:", "--shape"),
        ("--from none.json", "--from"),
        ("--from redis://127.0.0.1:1/0", "--from"),
        ("--from http://127.0.0.1:1", "--from"),
        ("--slo sometimes", "--slo"),
        ("--spare 1.5", "--spare"),
        ("--replicas 5 --max-replicas 4", "--replicas"),
        ("--arrivals regular", "--arrivals"),
        ("--arrivals renewal:-1", "--arrivals"),
        ("--spike 5000", "--spike"),
        ("--spike 5000@25:00", "--spike"),
        ("--spike 5000@14", "--spike"),
        ("--time-scale 2", "--time-scale"),
        ("--service-rule 1+tokens", "--service-rule"),
        ("--service-scv -1", "--service-scv"),
        ("--service-scv 1e300", "--service-scv"),
        ("--service-time constant:8s --service-scv 2", "--service-scv"),
        ("--service-p50 6s", "--service-p50"),
        ("--job-timeout 0", "--job-timeout"),
        ("--cpu-per-job nan", "--cpu-per-job"),
        ("--memory 300parsecs", "--memory"),
        ("--attempts 0", "--attempts"),
        ("--failure-rate 1.5", "--failure-rate"),
        ("--failed-ratio 0x", "--failed-ratio"),
        ("--failed-ratio 3", "--failed-ratio"),
        ("--failure-rate 0.1 --retry-base 10m", "--retry-base"),
        ("--retry-factor 0.5", "--retry-factor"),
        ("--retry-jitter 2", "--retry-jitter"),
        ("--failed-ratio 3x", "--failed-ratio"),
        ("--retry-base 10s", "--retry-base"),
        ("--retry-cap 10s", "--retry-cap"),
        ("--upstream-rpm 0", "--upstream-rpm"),
        ("--upstream-tpm 5", "--upstream-tpm"),
        ("--upstream-wait lobby", "--upstream-wait"),
        ("--upstream-wait slot", "--upstream-wait"),
        ("--upstream-burst 5", "--upstream-burst"),
        ("--calls-per-job 2", "--calls-per-job"),
        ("--tokens-per-job 500", "--tokens-per-job"),
        ("--upstream-rpm 600 --tokens-per-job 500", "--tokens-per-job"),
        ("--db-tier huge", "--db-tier"),
        ("--db-tier small --db-max-clients 5", "--db-max-clients"),
        ("--db-hold job", "--db-connections-per-replica"),
        ("--db-share 0", "--db-share"),
        ("--window noon", "--window"),
        ("--platform aws", "--platform"),
        ("--budget 2h", "--budget"),
        ("--seed -1", "--seed"),
        ("--dry-run", "--dry-run"),
        ("--write plan.txt", "--write"),
        ("--report plan.pdf", "--report"),
        ("--report /nonexistent/plan.html", "--report"),
        ("--json /nonexistent/plan.json", "--json"),
        ("--json plan.json --write plan.json", "--write"),
        ("--json plan.svg --report ./plan.svg", "--report"),
        ("--claim 33x@135k", "--claim"),
        ("--check-duration 5s", "--check-duration"),
        ("--check --time-scale 1e6", "--time-scale"),
        ("--audit 2", "--audit"),
        ("--audit 2:450k", "--rate"),
    ],
)
def test_bad_input_gets_one_line_that_names_the_option_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: str, named: str
) -> None:
    words = arguments.split()
    usual = {"--rate": "2.5", "--service-time": "8s", "--budget": "0"}
    if "--per-day" in words and "--rate" not in words:
        del usual["--rate"]
    if "--service-p50" in words:
        del usual["--service-time"]
    rest = [word for flag, value in usual.items() if flag not in words for word in (flag, value)]
    status, _, complaint = ask(capsys, *rest, *words)
    assert status == 2
    assert len(complaint.splitlines()) == 1
    assert named in complaint


def test_the_file_answers_alone(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    (place / "jobctl.toml").write_text('[plan]\nrate = 2.5\nservice_time = "8s"\nbudget = 0\nspare = 0\n')
    status, shown, _ = ask(capsys, "--json", "-")
    document = json.loads(shown)
    assert (status, document["replicas"]) == (0, 2)
    sources = {assumed["name"]: assumed["source"] for assumed in document["assumptions"]}
    assert sources["rate"] == sources["spare"] == "file jobctl.toml"
    assert sources["concurrency"] == "default"


def test_the_explanation_follows_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    _, shown, _ = ask(capsys, *ASKED, "--explain")
    assert shown.index("replicas of 25 slots") < shown.index("offered load") < shown.index("Erlang 1917")


@pytest.mark.parametrize("ending", ["html", "svg"])
def test_a_report_is_written(capsys: pytest.CaptureFixture[str], place: Path, ending: str) -> None:
    status, _, _ = ask(capsys, *ASKED, "--report", f"plan.{ending}")
    assert status == 0
    assert "3 replicas of 25 slots" in (place / f"plan.{ending}").read_text(encoding="utf-8")


def test_the_answer_goes_into_a_railway_file_and_is_only_shown_on_a_dry_run(
    capsys: pytest.CaptureFixture[str], place: Path
) -> None:
    _, shown, _ = ask(capsys, *ASKED, "--write", "railway.json", "--dry-run")
    assert '+    "numReplicas": 3' in shown
    assert not (place / "railway.json").exists()
    status, shown, aside = ask(capsys, *ASKED, "--write", "railway.json", "--json", "-")
    assert status == 0
    assert json.loads(shown)["replicas"] == 3
    assert '+    "numReplicas": 3' in aside
    assert json.loads((place / "railway.json").read_text())["deploy"]["numReplicas"] == 3


@pytest.mark.parametrize(
    "content",
    ['{"deploy": "x"}', '{"deploy": []}', "null", "{} // ours", '{"deploy": {"multiRegionConfig": [1]}}', "[" * 50_000],
    ids=["deploy is text", "deploy is a list", "no object", "comment", "regions are a list", "deep"],
)
def test_a_file_that_can_take_no_plan_is_refused_before_one_is_computed_and_nothing_is_shown_or_written(
    capsys: pytest.CaptureFixture[str], place: Path, content: str
) -> None:
    (place / "railway.json").write_text(content)
    status, shown, complaint = ask(capsys, *ASKED, "--json", "plan.json", "--write", "railway.json")
    assert (status, shown) == (2, "")
    assert complaint.startswith("jobctl: --write: railway.json")
    assert len(complaint.splitlines()) == 1
    assert (place / "railway.json").read_text() == content
    assert not (place / "plan.json").exists()


def test_what_is_not_feasible_is_not_written(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    status, _, aside = ask(capsys, *ASKED, "--max-replicas", "1", "--write", "railway.json")
    assert status == 99
    assert aside == "railway.json: not written, for the plan is not feasible\n"
    assert not (place / "railway.json").exists()


def test_where_there_is_nothing_to_check_that_is_said_and_nothing_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    status, shown, _ = ask(capsys, "--rate", "4", "--service-time", "8s", "--replicas", "1", "--budget", "0", "--check")
    assert status == 99
    assert shown.splitlines()[-1].startswith("check: not run: there is no plan to check")


def test_an_audit_has_a_document_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    status, shown, _ = ask(capsys, "--audit", "2:450k", "--service-time", "1s", "--budget", "0", "--json", "-")
    document = json.loads(shown)
    assert (status, document["schema"], document["rows"][0]["kept"]) == (0, "jobctl.audit/1", True)


@pytest.mark.parametrize(
    ("question", "status", "key", "kept"),
    [
        (["--per-day", "450k", "--replicas", "4", "--slo", "wait.p95 < 1s"], 97, "feasible", None),
        (["--audit", "4:450k"], 97, "kept", None),
        (["--audit", "4:450k,1:450k"], 99, "kept", False),
    ],
    ids=["a number", "a row", "beside a row that is broken"],
)
def test_what_could_not_be_told_is_neither_kept_nor_broken(
    capsys: pytest.CaptureFixture[str], question: list[str], status: int, key: str, kept: bool | None
) -> None:
    ended, shown, _ = ask(
        capsys, *question, "--service-time", "8s", "--arrivals", "batch:10", "--budget", "0.01", "--json", "-"
    )
    document = json.loads(shown)
    assert (ended, document[key]) == (status, kept)
    assert document.get("rows", [document])[0]["on_edge"]


@pytest.mark.parametrize(
    "act", [["--explain"], ["--report", "a.html"], ["--write", "railway.json"], ["--check"]], ids=" ".join
)
def test_an_audit_takes_no_act_of_a_single_plan(capsys: pytest.CaptureFixture[str], act: list[str]) -> None:
    status, _, complaint = ask(capsys, "--audit", "2:450k", "--service-time", "1s", *act)
    assert status == 2
    assert complaint.startswith(f"jobctl: {act[0]}")

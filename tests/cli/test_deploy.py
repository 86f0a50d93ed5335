from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from jobctl.cli.main import run
from jobctl.core.operations import Fleet, Operations
from jobctl.wiring.deploy import rendered
from jobctl.wiring.rendered import differing, read_operations

ROOT = Path(__file__).resolve().parents[2]
SLO = '[[objective]]\nslo = "p95 wait <= 1s"\n\n[fleet]\nreplicas = 3\njob_timeout = "2m"\n'


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slo.toml").write_text(SLO)
    return tmp_path


@pytest.fixture
def render(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, list[str], list[str]]]:
    def run_it(*words: str) -> tuple[int, list[str], list[str]]:
        with pytest.raises(SystemExit) as ended:
            run(["deploy", "render", *words])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out.splitlines(), said.err.splitlines()

    return run_it


Render = Callable[..., tuple[int, list[str], list[str]]]


def test_both_files_are_made_once_and_then_are_as_they_should_be(place: Path, render: Render) -> None:
    first = render()
    second = render("--check")

    assert first[:2] == (0, ["railway.json: written", ".railway/railway.py: written"])
    assert second[:2] == (0, ["railway.json: as it should be", ".railway/railway.py: as it should be"])
    assert json.loads((place / "railway.json").read_text())["deploy"] == {
        "startCommand": (
            "jobctl work --queues high,default,low --concurrency 25 --drain-timeout 120s --metrics-port 9100"
        ),
        "numReplicas": 3,
        "healthcheckPath": "/readyz",
        "healthcheckTimeout": 120,
        "restartPolicyType": "ALWAYS",
        "overlapSeconds": 30,
        "drainingSeconds": 130,
    }
    assert first[2][0].startswith("note: with railway.json alone, set the service's variable PORT to 9100: ")
    assert "2026-12-01" in first[2][1]


def test_a_check_writes_nothing_and_fails_when_a_file_is_missing_or_differs(place: Path, render: Render) -> None:
    assert render("--check")[0] == 99
    assert sorted(one.name for one in place.iterdir()) == ["slo.toml"]
    render()
    (place / "slo.toml").write_text(SLO.replace("replicas = 3", "replicas = 4"))
    status, shown, aside = render("--check")

    assert (status, shown) == (99, [])
    assert aside[:2] == [f"{name}: is not what it should be" for name in ("railway.json", ".railway/railway.py")]
    assert '"numReplicas": 3' in (place / "railway.json").read_text()


def test_what_a_railway_json_says_beside_the_fleet_stays(place: Path, render: Render) -> None:
    mine = {
        "build": {"builder": "RAILPACK"},
        "deploy": {"cronSchedule": None, "startCommand": "jobctl work --allow mine"},
    }
    (place / "railway.json").write_text(json.dumps(mine, indent=4))
    render()
    content = json.loads((place / "railway.json").read_text())

    assert content["build"] == {"builder": "RAILPACK"}
    assert content["deploy"]["cronSchedule"] is None
    assert content["deploy"]["startCommand"].endswith(" --metrics-port 9100 --allow mine")
    assert content["deploy"]["drainingSeconds"] == 130
    assert render("--check")[0] == 0


def test_a_railway_json_that_was_taken_away_beside_its_successor_stays_away(place: Path, render: Render) -> None:
    render()
    (place / "railway.json").unlink()

    assert render("--check") == (0, [".railway/railway.py: as it should be"], [])
    assert render()[1] == [".railway/railway.py: as it should be"]
    assert not (place / "railway.json").exists()


@pytest.mark.parametrize("name", ["railway.py", "railway.ts", "railway.go"])
def test_a_successor_that_was_not_made_here_is_left_alone_and_what_it_needs_is_said(
    place: Path, render: Render, name: str
) -> None:
    theirs = place / ".railway" / name
    theirs.parent.mkdir()
    theirs.write_text("// mine\n")
    status, shown, aside = render()

    assert (status, shown) == (0, [])
    assert [one.name for one in theirs.parent.iterdir()] == [name]
    assert theirs.read_text() == "// mine\n"
    assert aside[0].startswith(
        f"note: .railway/{name} is yours and was left alone; it needs worker: start 'jobctl work"
    )
    assert "RAILWAY_DEPLOYMENT_DRAINING_SECONDS=130" in aside[0]
    assert "exporter: start 'jobctl exporter --port 9200'" in aside[1]


def test_a_railway_json_of_another_service_is_left_alone(place: Path, render: Render) -> None:
    theirs = json.dumps({"deploy": {"startCommand": "uvicorn main:app", "healthcheckPath": "/"}})
    (place / "railway.json").write_text(theirs)
    status, shown, aside = render()

    assert (status, shown) == (0, [".railway/railway.py: written"])
    assert (place / "railway.json").read_text() == theirs
    assert aside[0].startswith("note: railway.json starts 'uvicorn main:app' and was left alone; ")
    assert '"drainingSeconds": 130' in aside[0]
    assert render("--check")[0] == 0


def test_no_railway_json_is_put_beside_a_railway_toml(place: Path, render: Render) -> None:
    (place / "railway.toml").write_text('[deploy]\nstartCommand = "jobctl work"\n')
    status, shown, aside = render()

    assert (status, shown) == (0, [".railway/railway.py: written"])
    assert aside[0].startswith("note: railway.toml was left alone, and there is no railway.json beside it; ")
    assert not (place / "railway.json").exists()


def test_a_successor_that_git_for_windows_checked_out_is_ours(place: Path, render: Render) -> None:
    render()
    ours = place / ".railway" / "railway.py"
    ours.write_bytes(ours.read_bytes().replace(b'"jobs"', b'"acme"').replace(b"\n", b"\r\n"))
    (place / "slo.toml").write_text(SLO.replace("replicas = 3", "replicas = 4"))

    assert ".railway/railway.py: written" in render()[1]
    assert b'"acme"' in ours.read_bytes()
    assert b'"JOB_PLANNED_REPLICAS": "4"' in ours.read_bytes()


def test_they_go_where_they_are_told_to_from_a_file_anywhere(place: Path, render: Render) -> None:
    (place / "slo.toml").rename(place / "mine.toml")

    assert render("deep/down", "--slo-file", "mine.toml")[0] == 0
    assert (place / "deep" / "down" / ".railway" / "railway.py").is_file()


@pytest.mark.parametrize(
    ("slo", "json_text", "message"),
    [
        (None, None, "jobctl: --slo-file: is not given, and there is no monitoring/slo.toml or slo.toml; run "),
        (SLO.replace("replicas = 3", "replicas = 0"), None, "jobctl: slo.toml: [fleet] replicas: "),
        (f'{SLO}queues = "a;b"\n', None, "jobctl: --slo-file: [fleet] queues: 'a;b' cannot stand in a start command; "),
        (SLO, "{", "jobctl: DIRECTORY: railway.json is not JSON ("),
        (
            SLO,
            '{"deploy": {"multiRegionConfig": {"a": {"numReplicas": 1}, "b": {"numReplicas": 1}}}}',
            "jobctl: DIRECTORY: railway.json spreads replicas over 2 regions, ",
        ),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    place: Path, refused: Callable[..., str], slo: str | None, json_text: str | None, message: str
) -> None:
    (place / "slo.toml").unlink()
    if slo is not None:
        (place / "slo.toml").write_text(slo)
    if json_text is not None:
        (place / "railway.json").write_text(json_text)

    assert refused("deploy", "render").startswith(message)
    assert not (place / ".railway").exists()


def test_the_settings_that_the_files_give_are_those_that_railway_does_not_keep(tmp_path: Path) -> None:
    """A setting that the file gives may not be kept as well, and one that it does not give has to be."""

    def kept(operations: Operations) -> set[str]:
        text = rendered(operations, tmp_path).files[".railway/railway.py"]
        return set(text.partition("SETTINGS = (\n")[2].partition(")\n")[0].replace('"', "").replace(",", "").split())

    with_pool = Operations(fleet=Fleet(db_pool_size=5))
    assert kept(Operations()) - kept(with_pool) == {"JOB_DB_POOL_SIZE"}
    assert {"OPENROUTER_API_KEY", "SENTRY_DSN", "DATABASE_URL", "JOB_ALLOW", "OPENROUTER_RPM"} <= kept(with_pool)
    given = {
        "REDIS_URL",
        "JOB_PLANNED_REPLICAS",
        "JOB_QUEUES",
        "JOB_CONCURRENCY",
        "JOB_DRAIN_TIMEOUT",
        "JOB_METRICS_PORT",
    }
    assert kept(Operations()) & given == set()


def test_the_files_of_this_repository_are_those_of_its_slo_file() -> None:
    made = rendered(read_operations(str(ROOT / "monitoring" / "slo.toml")), ROOT)

    assert made.files.keys() == {"railway.json", ".railway/railway.py"}
    assert differing(ROOT, made.files) == []

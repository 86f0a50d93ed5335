from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from redis import Redis
from rich.console import Console

from jobctl.apps.doctor.examination import CHECKS, Examination, examine
from jobctl.apps.doctor.set_up import Intent, SetUp
from jobctl.cli.doctor_render import show
from jobctl.cli.main import run
from jobctl.core.facts import RedisFacts, RqFacts, Unreachable
from jobctl.settings import FIELDS
from jobctl.wiring.deploy import rendered
from jobctl.wiring.rendered import read_operations
from support.servers import SocketServer, silent

INTENT = Intent(today=date(2026, 6, 1), versions={"rq": "3.0.0"})
SICK = SetUp(
    replace(INTENT, jobs_per_day=1_000.0),
    redis=RedisFacts("Redis", "7.0.15", (7, 0), "allkeys-lru", 1_000_000, 2_000_000_000),
    rq=RqFacts(),
    sentry=Unreachable("Sentry at sentry.test did not answer within 3 s", "check the DSN's host and the network"),
)
PIPED = """\
ok    Redis / answers: answers
ok    Redis / writes: takes writes
ok    Redis / version: Redis 7.0.15
FAIL  Redis / eviction: allkeys-lru throws jobs away when the memory is full, and tells nobody
      set maxmemory-policy noeviction
"""
SHOWN = """\
✗ Redis             answers · takes writes · Redis 7.0.15 · append-only file on
                    · 0.1% of 2 GB used · room for 1,800 dead jobs of 180 d, 5.5
                    kB each (estimated): 10.9 MB with what is used, maxmemory 2
                    GB
✗   eviction        allkeys-lru throws jobs away when the memory is full, and
                    tells nobody
                    → set maxmemory-policy noeviction
·   not checked     clocks: Redis does not tell its time; let this user run TIME
"""


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory without files, and no setting in the environment."""
    monkeypatch.chdir(tmp_path)
    for field in FIELDS:
        monkeypatch.delenv(field.env, raising=False)


def ended(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        run(["doctor", *words])
    return int(end.value.code or 0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--redis-url: is not given, and there is nothing else to look at"),
        (["--redis-url", "http://x"], "--redis-url"),
        (["--redis-url", "redis://host:0"], "--redis-url"),
        (["--prometheus", "localhost:9090"], "--prometheus: 'localhost:9090' is no HTTP URL"),
        (["--metrics", "http//me:tell@worker"], "is no HTTP URL"),
        (["--database-url", "postgresql://[::1"], "--database-url"),
        (["--metrics", "worker:9100"], "--metrics: 'worker:9100' is no HTTP URL"),
        (["--railway", "nowhere.json"], "--railway: there is no file 'nowhere.json'"),
        (["--slo-file", "nowhere.toml"], "'nowhere.toml' cannot be read"),
        (["--db-tier", "huge"], "--db-tier"),
        (["--error-rate", "150%"], "--error-rate"),
        (["--today", "tomorrow"], "give 2026-11-30"),
        (["--database-url", "nonsense"], "--database-url"),
        (["--json", "nowhere/x.json"], "--json"),
    ],
)
def test_what_means_nothing_is_told_in_one_line(words: list[str], said: str, refused: Callable[..., str]) -> None:
    assert said in refused("doctor", *words)


@pytest.mark.parametrize("content", ['{"deploy": {}}', "{,}", "[1]", "[" * 100_000, '"text"'])
def test_any_railway_json_is_looked_at_without_a_service(content: str, capfd: pytest.CaptureFixture[str]) -> None:
    Path("railway.json").write_text(content)

    assert ended() == 99  # it lets workers drain for no time at all, or is none
    assert "Deployment" in capfd.readouterr().out


def test_a_railway_toml_is_looked_at_as_well(capfd: pytest.CaptureFixture[str]) -> None:
    Path("railway.toml").write_text('# ours\n[deploy]\nstartCommand = "jobctl work"\ndrainingSeconds = "30"\n')
    assert ended() == 99
    told = capfd.readouterr().out
    assert "deploy.drainingSeconds is the text '30'" in told
    assert "Railway reads railway.toml until" in told or "has not read railway.toml" in told

    Path("railway.toml").write_text("deploy = \n")
    assert ended() == 99
    assert "railway.toml cannot be read (invalid value" in capfd.readouterr().out


def test_an_empty_successor_is_none(capfd: pytest.CaptureFixture[str]) -> None:
    Path("railway.json").write_text("{}")
    Path(".railway").mkdir()
    ended("--today", "2026-12-01")
    assert "there is no .railway/" in capfd.readouterr().out

    Path(".railway/railway.ts").write_text("export default {}")
    ended("--today", "2026-12-01")
    assert "there is no .railway/" not in capfd.readouterr().out

    Path(".railway/railway.ts").write_bytes(b"\xff")
    assert ended("--today", "2026-12-01") == 99
    assert "'.railway/railway.ts' cannot be read (it is not UTF-8 text)" in capfd.readouterr().out


def test_a_successor_alone_is_held_against_the_plan(capfd: pytest.CaptureFixture[str]) -> None:
    plan = '[[objective]]\nslo = "p95 wait <= 1s"\n\n[fleet]\nreplicas = {}\n'
    Path("slo.toml").write_text(plan.format(2))
    for name, text in rendered(read_operations("slo.toml"), Path()).files.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)
    Path("railway.json").unlink()

    assert ended("--strict", "--today", "2027-01-01") == 0
    assert ".railway/railway.py is what slo.toml makes of it" in capfd.readouterr().out

    Path("slo.toml").write_text(plan.format(3))
    assert ended() == 99
    assert """"JOB_PLANNED_REPLICAS": "2"}' and not '""" in capfd.readouterr().out

    Path("slo.toml").write_text('[[objective]]\nslo = "p95 wait <= 1s"\n\n[fleet]\nqueues = "prüfung"\n')
    assert ended() == 0  # no name for a command: `deploy render` refuses it
    assert "is not known" in capfd.readouterr().out


def test_a_warning_fails_only_where_it_is_to(redis: Redis, redis_url: str, capfd: pytest.CaptureFixture[str]) -> None:
    Path("railway.json").write_text(
        '{"deploy": {"startCommand": "jobctl work --drain-timeout 3m", "drainingSeconds": 190}}'
    )

    assert ended("--today", "2026-06-01") == 0
    assert ended("--today", "2026-06-01", "--strict") == 99
    assert ended("--today", "2026-12-01") == 99
    assert ended("--redis-url", redis_url) == 99  # nobody works there
    assert "FAIL  Fleet / workers: no worker is alive" in capfd.readouterr().out


def test_systems_that_never_answer_are_waited_for_side_by_side(capfd: pytest.CaptureFixture[str]) -> None:
    with SocketServer(silent) as mute:
        words = [word for number in range(3) for word in ("--metrics", f"{mute.url}{number}")]
        began_s = time.monotonic()
        assert ended("--prometheus", mute.url, *words) == 99
        took_s = time.monotonic() - began_s

    assert "did not answer within 3 s" in capfd.readouterr().out
    assert took_s < 6  # one after the other they would take 12 s


def test_the_document_goes_to_a_file_or_alone_to_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    Path("railway.json").write_text("{}")
    ended("--json", "found.json")
    capfd.readouterr()
    ended("--json", "-")
    printed = capfd.readouterr()

    document = json.loads(printed.out)
    assert document == json.loads(Path("found.json").read_text())
    assert [check["name"] for check in document["checks"]] == [check.name for check in CHECKS]
    assert "FAIL  Deployment / time to stop" in printed.err


def test_a_flag_goes_before_what_is_deployed_and_that_before_the_environment(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("railway.json").write_text('{"deploy": {"startCommand": "jobctl work --drain-timeout 60s"}}')
    monkeypatch.setenv("JOB_DRAIN_TIMEOUT", "40s")
    ended()
    assert "a stop waits 60 s" in capfd.readouterr().out

    ended("--drain-timeout", "50s")
    assert "a stop waits 50 s" in capfd.readouterr().out

    Path("railway.json").write_text("{}")
    ended()
    assert "a stop waits 40 s" in capfd.readouterr().out


def test_in_a_pipe_every_check_is_a_line_and_what_was_not_made_is_told_once() -> None:
    text = shown(examine(SICK), terminal=False)

    assert text.startswith(PIPED)
    assert text.count("no Prometheus is named") == 1
    assert text.splitlines()[-1] == "11 ok, 1 warning, 3 failures, 29 not checked"


def test_on_a_terminal_a_group_is_a_line_and_what_is_to_be_mended_stands_below_it() -> None:
    text = shown(examine(SICK), terminal=True)

    assert "\n".join(line.rstrip() for line in text.splitlines()).startswith(SHOWN)
    assert max(map(len, text.splitlines())) <= 80


def test_on_request_a_terminal_shows_every_check_on_a_line_of_its_own() -> None:
    text = shown(examine(SICK), terminal=True, verbose=True)

    assert "✓   version         Redis 7.0.15" in text


def shown(examination: Examination, *, terminal: bool, verbose: bool = False) -> str:
    """The screen of 80 columns, without colours."""
    console = Console(file=io.StringIO(), width=80, force_terminal=terminal, color_system=None)
    show(examination, console, verbose=verbose)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()

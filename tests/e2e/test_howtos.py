"""The commands of the how-tos, run as they are written, in a fresh directory, on real parts."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from lock import REPOSITORY
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from support.console import Ran, commands, here, run
from support.databases import Postgres
from support.rq_workers import work_off
from support.whole_documents import make_document

#: Comparing two runs of the same code finds something once in twenty times, by design.
_MAY_FIND = {0, 97, 98}


def test_benching_a_job_of_ones_own_goes_as_it_is_written(postgres: Postgres, tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {**here(tmp_path), "DESK_DATABASE_URL": postgres.dsn}
    shown = commands(REPOSITORY / "docs" / "howto" / "bench-your-own-job.md")
    assert sum(one.command.startswith("jobctl") for one in shown) == 5

    for one, ran in zip(shown, run([shorter(one.command) for one in shown], tmp_path, environment, 180), strict=True):
        if not could_not_measure(ran):
            assert ran.status in (_MAY_FIND if one.command.startswith("jobctl compare") else {0}), ran.output
            assert ran.missing(one.lines) == [], ran.output

    assert postgres.rows("SELECT count(*) FROM answers") == [(10,)]


def test_gating_a_pull_request_goes_as_it_is_written(tmp_path: Path) -> None:
    shown = commands(REPOSITORY / "docs" / "howto" / "gate-a-pull-request.md")
    assert [one.lines for one in shown if one.command == "echo $?"] == [("97",), ("2",)]

    for one, ran in zip(shown, run([one.command for one in shown], tmp_path, here(tmp_path), 60), strict=True):
        if not could_not_measure(ran):
            assert ran.missing(one.lines) == [], ran.output
        if one.command == "echo $?":
            assert ran.output.split() == list(one.lines)


def test_the_gates_that_are_shown_are_those_of_the_example() -> None:
    document = (REPOSITORY / "docs" / "howto" / "bench-your-own-job.md").read_text(encoding="utf-8")
    shown = re.search(r"^```toml\n(.+?)^```$", document, re.MULTILINE | re.DOTALL)
    assert shown is not None
    example = (REPOSITORY / "examples" / "support_desk" / "gates.toml").read_text(encoding="utf-8")

    assert example.endswith(f"\n\n{shown[1]}")


def test_the_dead_set_is_seen_to_as_it_is_written(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    shown = commands(REPOSITORY / "docs" / "howto" / "retries-and-the-dead-set.md")
    dead = shown[1].command.split()[-1]
    queue = Queue("default", connection=redis, serializer=JSONSerializer)
    queue.enqueue("json.loads", "{", job_id=dead)
    work_off(redis, "default", serializer=JSONSerializer)
    redis.hset(f"rq:job:{dead}", "ended_at", "2026-01-01T12:00:00.000000Z")

    results = run([one.command for one in shown], tmp_path, {**here(tmp_path), "REDIS_URL": redis_url}, 60)
    assert [ran.status for ran in results] == [0] * 5, [ran.output for ran in results]
    listed, showed, retried, *_ = results
    assert f"{dead}  default  json.loads  2026-01-01 12:00" in listed.output
    assert "JSONDecodeError" in showed.output
    assert "1 job" in retried.output
    assert queue.job_ids == [dead]


def test_a_report_is_told_again_as_it_is_written(tmp_path: Path) -> None:
    shown = commands(REPOSITORY / "docs" / "howto" / "read-a-report.md")
    (tmp_path / "result.json").write_text(json.dumps(make_document()), encoding="utf-8")

    told, written = run([one.command for one in shown], tmp_path, here(tmp_path), 60)
    assert (told.status, written.status) == (0, 0), told.output + written.output
    assert "Verdict: BROKEN" in told.output
    for name in ("report.html", "junit.xml", "comment.md", "figures.csv", "bench.prom"):
        assert (tmp_path / name).stat().st_size > 0


def test_deploying_on_railway_goes_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "monitoring").mkdir()
    shutil.copy(REPOSITORY / "monitoring" / "slo.toml", tmp_path / "monitoring")
    shown = commands(REPOSITORY / "docs" / "howto" / "deploy-on-railway.md")

    results = run([shorter(one.command) for one in shown], tmp_path, here(tmp_path), 60)
    assert [ran.status for ran in results] == [0] * len(shown), [ran.output for ran in results]
    deploy = json.loads((tmp_path / "railway.json").read_text(encoding="utf-8"))["deploy"]
    assert (deploy["numReplicas"], deploy["drainingSeconds"]) == (4, 190)
    assert "4" in (tmp_path / ".railway" / "railway.py").read_text(encoding="utf-8")


def shorter(command: str) -> str:
    """A command with less load, and less simulation where chance decides nothing."""
    command = command.replace("--duration 6s", "--duration 4s")
    return f"{command} --budget 1s" if command.startswith("jobctl plan") else command


def could_not_measure(ran: Ran) -> bool:
    """Whether the machine was too busy to send on time, which is no fault of what is written."""
    return ran.status == 97 and "the generator fell behind" in " ".join(ran.output.split())

from __future__ import annotations

import json
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from jobctl.cli.main import run
from support.rq_workers import work_off


def fail(*args: object, **kwargs: object) -> None:
    raise RuntimeError("on \x1b[31mpurpose")


@pytest.fixture(autouse=True)
def _clean_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REDIS_URL", raising=False)


@pytest.fixture
def dead(redis: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Redis:
    """A Redis with two dead jobs, one of JSON in queue a and one pickled in queue b."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    Queue("a", connection=redis, serializer=JSONSerializer).enqueue(fail, "prompt", x=1, job_id="job-a")
    Queue("b", connection=redis).enqueue(fail, "prompt", job_id="job-b")
    work_off(redis, "a", serializer=JSONSerializer)
    work_off(redis, "b")
    redis.hset("rq:job:job-a", mapping={"jobctl_reason": "5xx", "jobctl_attempts": 4})
    return redis


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run ``jobctl dead``: its exit code and what it said on either stream."""
    with pytest.raises(SystemExit) as ended:
        run(["dead", *arguments])
    said = capsys.readouterr()
    return int(str(ended.value.code)), said.out, said.err


def test_list_names_each_job_with_what_it_died_of(dead: Redis, capsys: pytest.CaptureFixture[str]) -> None:
    status, listed, complaint = ask(capsys, "list")
    rows = [line.split() for line in listed.splitlines()]

    assert (status, complaint) == (0, "")
    assert rows[0] == ["JOB", "QUEUE", "TYPE", "DIED", "(UTC)", "ATTEMPTS", "REASON", "ERROR"]
    assert {tuple(row[:3]) for row in rows[1:]} == {
        ("job-a", "a", f"{__name__}.fail"),
        ("job-b", "b", f"{__name__}.fail"),
    }
    assert {tuple(row[5:8]) for row in rows[1:]} == {("4", "5xx", "RuntimeError:"), ("1", "-", "RuntimeError:")}
    assert "\x1b" not in listed


def test_list_says_when_there_is_more_or_nothing(dead: Redis, capsys: pytest.CaptureFixture[str]) -> None:
    status, listed, remark = ask(capsys, "list", "--limit", "1")
    assert (status, len(listed.splitlines()), remark) == (0, 2, "there are more; give --limit N, now 1\n")

    assert ask(capsys, "list", "--type", "other.*") == (0, "no dead jobs\n", "")


def test_list_and_show_write_json(dead: Redis, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, listed, _ = ask(capsys, "list", "--queue", "a", "--json", "-")
    (job,) = json.loads(listed)["jobs"]
    assert (job["job_id"], job["attempts"], job["reason"]) == ("job-a", 4, "5xx")

    assert ask(capsys, "show", "job-a", "--json", "shown.json") == (0, "", "")
    shown = json.loads((tmp_path / "shown.json").read_text())
    assert (shown["job"], shown["args"], shown["kwargs"]) == (job, ["prompt"], {"x": 1})


def test_show_prints_json_arguments_and_the_traceback(dead: Redis, capsys: pytest.CaptureFixture[str]) -> None:
    status, shown, _ = ask(capsys, "show", "job-a")

    assert status == 0
    assert 'arguments   {"args": ["prompt"], "kwargs": {"x": 1}}' in shown.splitlines()
    assert "Traceback (most recent call last):" in shown.splitlines()
    assert "\x1b" not in shown


def test_show_does_not_open_a_pickle(dead: Redis, capsys: pytest.CaptureFixture[str]) -> None:
    _, shown, _ = ask(capsys, "show", "job-b")
    (arguments,) = [line for line in shown.splitlines() if line.startswith("arguments")]

    assert arguments.startswith("arguments   not shown (pickle, ")


def test_retry_puts_jobs_back_by_id_by_selection_and_all(dead: Redis, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(capsys, "retry", "job-a", "job-a") == (0, "put back 1 job\n", "")
    assert dead.lrange("rq:queue:a", 0, -1) == [b"job-a"]
    assert ask(capsys, "retry", "--queue", "b", "--older-than", "1h") == (0, "put back 0 jobs\n", "")
    assert ask(capsys, "retry", "--all") == (0, "put back 1 job\n", "")
    assert dead.lrange("rq:queue:b", 0, -1) == [b"job-b"]


def test_purge_removes_named_jobs_and_more_only_with_yes(dead: Redis, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--all"], ["--queue", "a"]):
        status, _, complaint = ask(capsys, "purge", *arguments)
        assert (status, complaint.split(":")[1].strip()) == (2, "--yes")
    assert dead.exists("rq:job:job-a", "rq:job:job-b") == 2

    assert ask(capsys, "purge", "job-a") == (0, "removed 1 job\n", "")
    assert ask(capsys, "purge", "--all", "--yes") == (0, "removed 1 job\n", "")
    assert dead.exists("rq:job:job-a", "rq:job:job-b") == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "Missing command; see jobctl dead --help"),
        (["lst"], "no such command 'lst'; did you mean 'list'?"),
        (["show"], "Missing argument 'JOB_ID'; see jobctl dead show --help"),
        (["show", "nobody"], "JOB_ID: no dead job has the id 'nobody'; jobctl dead list shows those there are"),
        (["retry", "job-a", "nobody"], "JOB_ID: no dead job has the id 'nobody'; jobctl dead list shows"),
        (["retry"], "JOB_ID: is missing; give ids, or --queue, --type or --older-than, or --all"),
        (["retry", "--limit", "5"], "JOB_ID: is missing; give ids"),
        (["purge", "--yes"], "JOB_ID: is missing; give ids"),
        (["retry", "job-a", "--all"], "JOB_ID: cannot be combined with a selection; give ids"),
        (["retry", "job-a", "--queue", "a"], "JOB_ID: cannot be combined with a selection; give ids"),
        (["retry", "--all", "--type", "x"], "--all: cannot be combined with a selection; give ids"),
        (["list", "--queue", "c"], "--queue: there is no queue 'c'; known queues: a, b"),
        (["list", "--limit", "0"], "Invalid value for '--limit': 0 is out of range; give a whole number of at least 1"),
        (["list", "--older-than", "7 parsecs"], "Invalid value for '--older-than': '7 parsecs' is not a duration"),
        (["list", "--json", "nowhere/x.json"], "--json: there is no directory 'nowhere'; create it first"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(
    arguments: list[str], complaint: str, dead: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    status, said, complained = ask(capsys, *arguments)

    assert (status, said) == (2, "")
    assert complained.startswith(f"jobctl: {complaint}")
    assert len(complained.splitlines()) == 1
    assert dead.zcard("rq:failed:a") == 1


def test_without_a_redis_it_says_what_to_give(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, complaint = ask(capsys, "list")

    assert status == 2
    assert complaint.startswith("jobctl: --redis-url: is not given; give the URL of the Redis that your workers listen")

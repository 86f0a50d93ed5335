from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from jobctl.cli.main import run
from jobctl.settings import FIELDS

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Runs ``jobctl enqueue`` in an empty directory: its exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    for field in FIELDS:
        monkeypatch.delenv(field.env, raising=False)

    def enqueue(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            run(["enqueue", *words])
        said = capsys.readouterr()
        return int(str(ended.value.code)), said.out, said.err

    return enqueue


def jobs(redis: Redis, queue: str = "default") -> list[tuple[str, object, object]]:
    return [
        (job.func_name, tuple(job.args), job.kwargs)
        for job in Queue(queue, connection=redis, serializer=JSONSerializer).jobs
    ]


def test_a_count_goes_in_at_once_and_is_reported(ask: Ask, redis: Redis, redis_url: str) -> None:
    status, said, complaint = ask("--count", "1203", "--job", "noop", "--redis-url", redis_url)

    assert (status, complaint) == (0, "")
    assert re.fullmatch(r"enqueued 1203 jobs on queue default in \d+\.\d\d s\n", said)
    assert jobs(redis) == [("jobctl.apps.work.tasks.noop", (), {})] * 1203


def test_a_rate_over_a_duration_follows_its_schedule(ask: Ask, redis: Redis, redis_url: str) -> None:
    status, said, _ = ask(
        "--rate", "100", "--duration", "500ms", "--arrivals", "constant", "--queue", "low", "--redis-url", redis_url
    )

    assert status == 0
    assert re.match(r"enqueued 50 jobs on queue low in (0\.[5-9]|1|2)", said)
    assert len(jobs(redis, "low")) == 50


def test_jobs_may_come_in_batches(ask: Ask, redis: Redis, redis_url: str) -> None:
    words = ["--rate", "1000", "--duration", "200ms", "--arrivals", "batch:7", "--job", "noop"]
    status, _, complaint = ask(*words, "--redis-url", redis_url)

    assert (status, complaint) == (0, "")
    assert len(jobs(redis)) > 0
    assert len(jobs(redis)) % 7 == 0


def test_a_volume_per_day_ends_with_its_count(ask: Ask, redis: Redis, redis_url: str) -> None:
    status, said, _ = ask("--per-day", "8.64M", "--count", "20", "--redis-url", redis_url)

    assert status == 0
    assert said.startswith("enqueued 20 jobs on queue default in ")


def test_a_job_of_the_users_own_gets_the_arguments_of_the_file_in_turn(ask: Ask, redis: Redis, redis_url: str) -> None:
    Path("payloads.jsonl").write_text('{"ticket": 1}\n[2, "b"]\n{"args": [3], "kwargs": {"deep": true}}\n')
    words = ["--job", "myapp.tasks.f", "--args-from", "payloads.jsonl", "--job-timeout", "1500ms"]
    status, _, _ = ask("--count", "4", *words, "--redis-url", redis_url)

    assert status == 0
    assert jobs(redis) == [
        ("myapp.tasks.f", (), {"ticket": 1}),
        ("myapp.tasks.f", (2, "b"), {}),
        ("myapp.tasks.f", (3,), {"deep": True}),
        ("myapp.tasks.f", (), {"ticket": 1}),
    ]
    assert {job.timeout for job in Queue("default", connection=redis).jobs} == {2}


def test_the_same_seed_sends_the_same_sleep_jobs_and_never_the_same_ids(ask: Ask, redis: Redis, redis_url: str) -> None:
    words = ["--count", "5", "--job", "sleep", "--service-time", "exponential:1s", "--redis-url", redis_url]
    for seed in ("7", "7", "8"):
        assert ask(*words, "--seed", seed)[0] == 0

    seconds = [args for _, args, _ in jobs(redis)]
    assert seconds[:5] == seconds[5:10] != seconds[10:]
    assert len(set(Queue("default", connection=redis).job_ids)) == 15


def test_redis_may_come_from_the_environment(
    ask: Ask, redis: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)

    assert ask("--count", "1")[0] == 0
    assert len(jobs(redis)) == 1


BAD = [
    ([], "--count"),
    (["--count", "0"], "--count"),
    (["--count", "-5"], "--count"),
    (["--count", "many"], "--count"),
    (["--count", "99999999999"], "--count"),
    (["--count", "5", "--duration", "10s"], "--duration"),
    (["--rate", "5"], "--duration"),
    (["--rate", "nan", "--duration", "10s"], "--rate"),
    (["--rate", "5", "--per-day", "5", "--duration", "1s"], "--rate"),
    (["--per-day", "-5", "--duration", "10s"], "--per-day"),
    (["--rate", "5", "--duration", "0"], "--duration"),
    (["--rate", "5", "--duration", "10parsecs"], "--duration"),
    (["--rate", "450k", "--duration", "8h"], "--duration"),
    (["--count", "5", "--arrivals", "weekly"], "--arrivals"),
    (["--count", "5", "--job", "nope"], "--job"),
    (["--count", "5", "--service-time", "1s"], "--service-time"),
    (["--count", "5", "--job", "sleep", "--service-time", "abc"], "--service-time"),
    (["--count", "5", "--queue", ""], "--queue"),
    (["--count", "5", "--queue", "high,low"], "--queue"),
    (["--count", "5", "--job-timeout", "0"], "--job-timeout"),
    (["--count", "5", "--seed", "-1"], "--seed"),
    (["--count", "5", "--args-from", "nowhere.jsonl"], "--args-from"),
    (["--count", "5", "--unknown"], "--unknown"),
    (["--count", "5", "--redis-url", "http://host"], "--redis-url"),
    (["--count", "5", "--redis-url", "redis://127.0.0.1:1/0"], "--redis-url"),
]


@pytest.mark.parametrize(("words", "named"), BAD, ids=[" ".join(words) or "nothing" for words, _ in BAD])
def test_bad_input_is_one_line_that_names_the_option_and_nothing_goes_in(
    ask: Ask, redis: Redis, redis_url: str, words: list[str], named: str
) -> None:
    where = [] if "--redis-url" in words else ["--redis-url", redis_url]
    status, said, complaint = ask(*words, *where)

    assert (status, said) == (2, "")
    assert len(complaint.splitlines()) == 1
    assert named in complaint
    assert ";" in complaint
    assert not redis.keys("rq:*")


def test_without_a_redis_it_says_that_an_embedded_one_would_be_no_use(ask: Ask) -> None:
    status, said, complaint = ask("--count", "5")

    assert (status, said) == (2, "")
    assert complaint.startswith("jobctl: --redis-url: is not given, and an embedded Redis would end with this command;")


def test_help_promises_no_embedded_server(ask: Ask) -> None:
    status, said, _ = ask("--help")

    assert status == 0
    assert "embedded" not in said
    assert "--service-time" in said
    assert "mock" not in said


@pytest.mark.parametrize("line", ["nonsense", "5", '"text"', '{"args": 1}', '{"kwargs": [1]}', "{'a': 1}"])
def test_a_bad_line_of_arguments_is_named(ask: Ask, redis_url: str, line: str) -> None:
    Path("payloads.jsonl").write_text(f"{json.dumps({'a': 1})}\n\n{line}\n")
    status, _, complaint = ask("--count", "5", "--args-from", "payloads.jsonl", "--redis-url", redis_url)

    assert status == 2
    assert complaint.startswith("jobctl: --args-from: payloads.jsonl line 3 ")


def test_it_leaves_no_thread_and_no_descriptor(ask: Ask, redis: Redis, redis_url: str) -> None:
    ask("--count", "5", "--redis-url", redis_url)
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd")) if Path("/proc").is_dir() else 0
    for _ in range(3):
        ask("--count", "5", "--redis-url", redis_url)

    assert threading.active_count() <= threads
    assert (len(os.listdir("/proc/self/fd")) if descriptors else 0) <= descriptors

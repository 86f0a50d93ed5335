"""Whoever can write to Redis cannot run code in a worker that has an allowlist; and secrets stay where they are."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.results import Result
from rq.serializers import JSONSerializer

from jobctl.adapters.rq_codec import JobSerializer
from jobctl.cli.main import run
from support.benches import environment, started
from support.pickles import Trap, call, planted
from support.waiting import wait_until

TASKS = """
import os
from subprocess import run
from pathlib import Path
Path("imported").touch()

def add(a, b):
    return a + b

def note(job, connection, *rest):
    Path("noted").touch()
"""
UNLISTED = """
from pathlib import Path
Path("unlisted-imported").touch()

def f():
    Path("unlisted-called").touch()
"""
PATIENCE_S = 20.0


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A working directory with a listed and an unlisted module."""
    (tmp_path / "myapp").mkdir()
    (tmp_path / "myapp" / "__init__.py").touch()
    (tmp_path / "myapp" / "tasks.py").write_text(TASKS)
    (tmp_path / "myapp" / "other.py").write_text(UNLISTED)
    return tmp_path


def work(place: Path, redis_url: str, *words: str, allow: str = "myapp.tasks") -> str:
    """Work until the queue is empty; what was said."""
    done = subprocess.run(
        [sys.executable, "-m", "jobctl", "work", "--burst", "--queues", "q", "--allow", allow, *words],
        cwd=place,
        env=environment(place, REDIS_URL=redis_url),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def enqueue(redis: Redis, fields: dict[str, bytes] | None = None, **planted_fields: bytes) -> Job:
    """A job of ``myapp.tasks.add`` whose hash is then changed as somebody with access to Redis could."""
    job = Queue("q", connection=redis).enqueue("myapp.tasks.add", 1, 2)
    changed = {**(fields or {}), **planted_fields}
    if changed:
        redis.hset(job.key, mapping=changed)
    return job


def reason(redis: Redis, job: Job) -> str:
    """Why a job is dead: it is on RQ's books as such, and its result says so."""
    assert redis.hget(job.key, "status") == b"failed"
    assert redis.zscore("rq:failed:q", job.id) is not None
    assert redis.zscore("rq:wip:q", job.id) is None
    result = Result.fetch_latest(job, serializer=JSONSerializer)
    assert result is not None
    assert result.type is Result.Type.FAILED
    return str(result.exc_string)


def test_a_pickle_that_writes_a_file_never_runs_and_its_job_is_dead_with_the_reason(
    place: Path, redis: Redis, redis_url: str
) -> None:
    traps = {where: place / f"trapped-{where}" for where in ("data", "args", "meta", "result")}
    attacked = {where: enqueue(redis, planted(where, trap, "myapp.tasks.add")) for where, trap in traps.items()}
    honest = enqueue(redis)

    work(place, redis_url)

    assert [trap for trap in traps.values() if trap.exists()] == []
    for where, job in attacked.items():
        assert "builtins.exec is not on the allowlist (--allow)" in reason(redis, job), where
    assert honest.get_status() == "finished"
    assert honest.return_value() == 3


def as_json(*call: object) -> bytes:
    return json.dumps([call[0], call[1], list(call[2:]), {}]).encode()


#: Fields of a job's hash, and why the job is dead.
UNLISTED_CALLS: list[tuple[dict[str, bytes], str]] = [
    ({"data": call(function="myapp.other.f")}, "myapp.other.f is not on the allowlist"),
    ({"data": as_json("myapp.other.f", None)}, "myapp.other.f is not on the allowlist"),
    ({"data": as_json("os.system", None, "touch trapped")}, "os.system is not on the allowlist"),
    ({"data": as_json("os.system", 0, "touch trapped")}, "builtins.int.os.system is not on the allowlist"),
    ({"data": as_json("eval", None, "open('trapped', 'w')")}, "eval is not on the allowlist"),
    ({"data": call("touch trapped", function="myapp.tasks.os.system")}, "is a module that another one imports"),
    ({"data": call("touch trapped", function="myapp.tasks.run")}, "subprocess.run is not on the allowlist"),
    ({"success_callback_name": b"myapp.other.f"}, "its callback is refused: myapp.other.f is not on the allowlist"),
    ({"failure_callback_name": b"myapp.other.f"}, "its callback is refused: myapp.other.f is not on the allowlist"),
    ({"stopped_callback_name": b"myapp.tasks.os.system"}, "its callback is refused: myapp.tasks.os is a module"),
    ({"webhooks": b'[{"url": "http://127.0.0.1:9/", "job_status": "finished"}]'}, "its webhook calls a host"),
]


def test_what_is_not_listed_is_neither_imported_nor_called(place: Path, redis: Redis, redis_url: str) -> None:
    attacked = [(enqueue(redis, fields), said) for fields, said in UNLISTED_CALLS]
    honest = enqueue(redis)

    work(place, redis_url)

    for job, said in attacked:
        assert said in reason(redis, job)
    assert not {path.name for path in place.iterdir()} & {"trapped", "unlisted-imported", "unlisted-called"}
    assert honest.return_value() == 3


def test_listed_callbacks_and_jobctls_own_jobs_run(place: Path, redis: Redis, redis_url: str) -> None:
    job = enqueue(redis, success_callback_name=b"myapp.tasks.note")
    own = Queue("q", connection=redis, serializer=JSONSerializer).enqueue("jobctl.apps.work.tasks.sleep", 0.01)

    work(place, redis_url)

    assert (place / "noted").exists()
    assert job.return_value() == 3
    assert own.return_value() == 0.01


def test_rqs_own_command_with_our_worker_obeys_the_list_and_runs_both_encodings(
    place: Path, redis: Redis, redis_url: str
) -> None:
    """It hands every worker its default serializer, which unpickles whatever it is given."""
    trap = place / "trapped"
    attacked = [enqueue(redis, planted(where, trap, "myapp.tasks.add")) for where in ("args", "meta")]
    unlisted = enqueue(redis, {"data": as_json("myapp.other.f", None)})
    pickled = enqueue(redis)
    in_json = Queue("q", connection=redis, serializer=JSONSerializer).enqueue("myapp.tasks.add", 3, 4)
    command = [str(Path(sys.executable).with_name("rq")), "worker", "--worker-class", "jobctl.Worker", "--burst"]

    subprocess.run(
        [*command, "-u", redis_url, "q"],
        cwd=place,
        env=environment(place, JOB_ALLOW="myapp.tasks"),
        capture_output=True,
        timeout=60,
        check=True,
    )

    assert not trap.exists()
    assert not (place / "unlisted-imported").exists()
    for job in attacked:
        assert "builtins.exec is not on the allowlist" in reason(redis, job)
    assert "myapp.other.f is not on the allowlist" in reason(redis, unlisted)
    assert (pickled.return_value(), in_json.return_value()) == (3, 7)


def test_a_trap_in_a_job_that_the_worker_only_looks_after_never_runs(place: Path, redis: Redis, redis_url: str) -> None:
    """One waits for another, one is scheduled, the worker of one died, and one is in a registry for too long."""
    trap = place / "trapped"
    queue = Queue("q", connection=redis)
    first = queue.enqueue("myapp.tasks.add", 1, 2)
    waiting = queue.enqueue("myapp.tasks.add", 3, 4, depends_on=first)
    scheduled, abandoned, overdue = (queue.create_job("myapp.tasks.add", args=(5, 6)) for _ in range(3))
    for job in (scheduled, abandoned, overdue):
        job.save()
    redis.zadd("rq:scheduled:q", {scheduled.id: time.time() - 1})
    redis.zadd("rq:wip:q", {f"{abandoned.id}:execution": time.time() - 1000})
    redis.zadd("rq:deferred:q", {overdue.id: time.time() - 1000})
    for job in (waiting, scheduled, abandoned, overdue):
        redis.hset(job.key, mapping={"meta": pickle.dumps(Trap(trap)), "result": pickle.dumps(Trap(trap))})

    with working(place, redis_url):
        wait_until(lambda: first.get_status() == "finished")
        wait_until(lambda: {redis.hget(job.key, "status") for job in (waiting, scheduled)} == {b"failed"})

    assert not trap.exists()
    assert "builtins.exec is not on the allowlist" in reason(redis, waiting)
    assert "builtins.exec is not on the allowlist" in reason(redis, scheduled)


@contextmanager
def working(place: Path, redis_url: str) -> Iterator[subprocess.Popen[bytes]]:
    with (place / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jobctl", "work", "--queues", "q", "--allow", "myapp.tasks"],
            cwd=place,
            env=environment(place, REDIS_URL=redis_url),
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


# -------------------------------------------------------------------------------------------------------------- secrets

#: None of these is worth anything; each would be a secret where it stands.
PASSWORD, KEY = "correct-horse", "sk-or-v1-battery-staple"


@pytest.fixture
def secret_url(redis: Redis, redis_url: str) -> Iterator[str]:
    """The server, to which a password opens the door too."""
    redis.acl_setuser("joe", enabled=True, passwords=[f"+{PASSWORD}"], categories=["+@all"], keys=["*"], channels=["*"])
    yield redis_url.replace("unix://", f"unix://joe:{PASSWORD}@")
    redis.acl_deluser("joe")


def secrets_in(text: str) -> set[str]:
    return {secret for secret in (PASSWORD, "battery-staple") if secret in text}


def test_a_benchs_secrets_are_in_no_command_line_no_output_and_no_report(place: Path, secret_url: str) -> None:
    load = ("--job", "noop", "--rate", "20", "--duration", "2s", "--warmup", "0s", "--max-schedule-lag", "10s")
    words = (*load, "--json", "r.json")
    command_lines: dict[int, list[str]] = {}
    with started(*words, directory=place, REDIS_URL=secret_url, OPENROUTER_API_KEY=KEY) as bench:
        while bench.process.poll() is None:
            for process in psutil.Process(bench.process.pid).children(recursive=True):
                try:
                    if command_line := process.cmdline():  # a zombie has none any more
                        command_lines[process.pid] = command_line
                except psutil.Error:
                    continue
            time.sleep(0.02)
        status = bench.finish()

    assert status == 0, bench.output
    everything = "\n".join(" ".join(line) for line in command_lines.values())
    assert "locust" in everything
    assert "work --queues" in everything
    assert secrets_in(everything) == set()
    assert secrets_in(bench.output) == set()
    assert secrets_in((place / "r.json").read_text()) == set()


def test_a_workers_secrets_are_in_no_output_however_much_it_says_and_not_in_redis(
    place: Path, secret_url: str, redis: Redis
) -> None:
    enqueue(redis)
    enqueue(redis, planted("data", place / "trapped"))
    Queue("q", connection=redis).enqueue("jobctl.apps.work.tasks.chat_completion", "hello")
    env = environment(place, REDIS_URL=secret_url, OPENROUTER_API_KEY=KEY, OPENROUTER_BASE_URL="http://127.0.0.1:9/v1")

    done = subprocess.run(
        [sys.executable, "-m", "jobctl", "work", "--burst", "--verbose", "--queues", "q", "--attempts", "1"],
        cwd=place,
        env={**env, "JOB_ALLOW": "myapp.tasks"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "listening on q" in done.stdout
    assert secrets_in(done.stdout + done.stderr) == set()
    assert secrets_in("\n".join(dump(redis))) == set()


def dump(redis: Redis) -> Iterator[str]:
    """All that Redis holds, results unpacked."""
    for key in redis.keys("*"):
        match redis.type(key):
            case b"hash":
                yield str(redis.hgetall(key))
            case b"stream":
                job_id = key.decode().rpartition(":")[2]
                for result in Result.all(Job(job_id, connection=redis), serializer=JobSerializer()):
                    yield str(result.exc_string)
            case b"string":
                yield str(redis.get(key))


@pytest.mark.parametrize(
    "words",
    [
        ["config"],
        ["work", "--burst"],
        ["enqueue", "--count", "1", "--job", "noop"],
        ["bench", "--job", "noop", "--rate", "1", "--duration", "1s"],
        ["dead", "list"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize(
    "url",
    [
        f"redis://joe:{PASSWORD}@127.0.0.1:1/0",
        f"redis://127.0.0.1:1/0?password={PASSWORD}",
        f"redis://joe:{PASSWORD}@127.0.0.1:notaport/0",
        f"rediss://joe:{PASSWORD}@127.0.0.1:1/0?ssl_password={PASSWORD}&ssl_keyfile=/nowhere",
    ],
)
def test_no_error_repeats_a_secret_of_a_url_that_does_not_work(
    words: list[str], url: str, place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("REDIS_URL", url)
    monkeypatch.setenv("OPENROUTER_API_KEY", KEY)
    with pytest.raises(SystemExit) as ended:
        run(words)
    said = "".join(capfd.readouterr())

    assert ended.value.code == (0 if words == ["config"] else 2)
    assert "127.0.0.1" in said
    assert secrets_in(said) == set()

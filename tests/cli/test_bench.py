"""What a tired person types: one line that names the option and the remedy, exit 2, nothing left behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from jobctl.cli.main import run


def jobctl(*words: str, cwd: Path | None = None, timeout_s: float = 30.0) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("REDIS_", "JOB_"))}
    return subprocess.run(
        [sys.executable, "-m", "jobctl", *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
        timeout=timeout_s,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--per-day", "-5"], "--per-day"),
        (["--per-day", "abc"], "--per-day"),
        (["--per-day", "nan"], "--per-day"),
        (["--per-day", "inf"], "--per-day"),
        (["--rate", "0"], "--rate"),
        (["--rate", "1", "--per-day", "5"], "--rate"),
        (["--rate", "1", "--scenario", "spike"], "--scenario"),
        (["--shape", "diurnall"], "--shape"),
        (["--shape", "replay:missing.csv"], "--shape"),
        (["--shape", "ramp", "--scenario", "spike"], "--shape"),
        (["--shape", "ramp", "--time-scale", "2"], "--time-scale"),
        (["--peak-factor", "3"], "--peak-factor"),
        (["--job-type", "a 0.5 1s"], "--job-type"),
        (["--duration", "0"], "--duration"),
        (["--duration", "10parsecs"], "--duration"),
        (["--duration", "10s", "--warmup", "10s"], "--warmup"),
        (["--concurrency", "0"], "--concurrency"),
        (["--replicas", "-1"], "--replicas"),
        (["--replicas", "two"], "--replicas"),
        (["--seed", "-1"], "--seed"),
        (["--arrivals", "bursty"], "--arrivals"),
        (["--scenario", "nope"], "--scenario"),
        (["--scenario", ""], "--scenario"),
        (["--queue", ""], "--queue"),
        (["--args-from", ""], "--args-from"),
        (["--job", ""], "--job"),
        (["--scenario", "missing/nope.toml"], "--scenario"),
        (["--job", "no.such.module.f"], "--job"),
        (["--job", "os.path.no_such_function"], "--job"),
        (["--job", "nonsense"], "--job"),
        (["--job", "noop", "--service-time", "1s"], "--service-time"),
        (["--failure-rate", "2", "--job", "sleep"], "--failure-rate"),
        (["--failure-rate", "0.1"], "--failure-rate"),
        (["--attempts", "0"], "--attempts"),
        (["--attempts", "2", "--no-workers"], "--attempts"),
        (["--openrouter-rpm", "-1"], "--openrouter-rpm"),
        (["--args-from", "missing.jsonl"], "--args-from"),
        (["--redis-url", "localhost"], "--redis-url"),
        (["--redis-url", "redis://localhost:99999"], "--redis-url"),
        (["--redis-url", "redis://127.0.0.1:1"], "--redis-url"),
        (["--openrouter-url", "http://127.0.0.1:1", "--rpm", "5"], "--rpm"),
        (["--openrouter-url", "nonsense"], "--openrouter-url"),
        (["--openrouter-url", "http://127.0.0.1:1"], "--openrouter-url"),  # and no key to call it with
        (["--latency", "soon"], "--latency"),
        (["--latency", "1s", "--job", "noop"], "--latency"),
        (["--serve-model", "acme/x", "--job", "noop"], "--serve-model"),
        (["--serve-model", "no id"], "--serve-model"),
        (["--fault", "429=0.5", "--job", "sleep"], "--fault"),
        (["--rpm", "60", "--no-workers", "--queue", "q", "--replicas", "1"], "--rpm"),
        (["--fault", "429"], "--fault"),
        (["--fault", "429=2"], "--fault"),
        (["--fault", "teapot=0.1"], "--fault"),
        (["--chaos", "replica_kiled@5s"], "--chaos"),
        (["--chaos", "replica_killed:3@5s"], "--chaos"),
        (["--chaos", "none", "--chaos", "replica_killed@5s"], "--chaos"),
        (["--chaos", "mock_outage@5s+5s", "--openrouter-url", "http://127.0.0.1:1"], "--chaos"),
        (["--json", "missing/r.json"], "--json"),
        (["--records", "missing/r.csv"], "--records"),
        (["--records", "-"], "--records"),
        (["--records", "r", "--json", "r"], "--records"),
        (["--locustfile", "missing.py"], "--locustfile"),
        (["--html", "missing/r.html"], "--html"),
        (["--junit", "r", "--json", "r"], "--junit"),
        (["--markdown", "-", "--json", "-"], "--markdown"),
        (["--csv", "r", "--openmetrics", "r"], "--openmetrics"),
        (["--csv", "r", "--openmetrics", "./r"], "--openmetrics"),
        (["--records", "r", "--json", "./r"], "--records"),
        (["--gate", "weit.p95 < 1s"], "--gate"),
        (["--gate", "wait.p95 < nan"], "--gate"),
        (["--gate", "wait.p95 < 1s of nobody"], "--gate"),
        (["--gate", "wait.p95 < 1s over 1h"], "--gate"),
        (["--gates", "missing.toml"], "--gates"),
        (["--gates", os.devnull], "--gates"),
        (["--no-such-option"], "--no-such-option"),
        (["surplus"], "surplus"),
    ],
)
def test_bad_input_is_one_line_that_names_the_option(
    words: list[str], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        run(["bench", *words])
    said = capfd.readouterr()

    assert ended.value.code == 2
    assert said.out == ""
    (line,) = said.err.strip().splitlines()
    assert named in line
    assert ";" in line, "it says the remedy"


def test_an_unknown_command_suggests_the_near_one() -> None:
    result = jobctl("bnech")

    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "jobctl: no such command 'bnech'; did you mean 'bench'?\n"


def test_a_payload_file_names_the_broken_line(tmp_path: Path) -> None:
    (tmp_path / "payloads.jsonl").write_text('{"prompt": "hi"}\n{broken\n')
    result = jobctl("bench", "--args-from", "payloads.jsonl", cwd=tmp_path)

    assert result.returncode == 2
    assert "payloads.jsonl line 2" in result.stderr


def test_a_redis_that_never_answers_is_given_up_within_five_seconds(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        result = jobctl("bench", "--redis-url", f"redis://:hunter2@127.0.0.1:{port}", timeout_s=15)

    assert result.returncode == 2
    (line,) = result.stderr.strip().splitlines()
    assert "--redis-url" in line
    assert "hunter2" not in line


def test_nobody_listening_is_said_before_anything_is_sent(redis_url: str) -> None:
    result = jobctl("bench", "--redis-url", redis_url, "--no-workers", "--queue", "nobody-listens")

    assert result.returncode == 2
    assert "nobody-listens" in result.stderr


def test_bad_input_leaves_no_process_and_no_directory(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-m", "jobctl", "bench", "--latency", "soon"], env=environment, stderr=subprocess.DEVNULL
    )
    assert process.wait(30) == 2

    assert list(tmp_path.iterdir()) == []
    assert [
        child for child in psutil.Process().children(recursive=True) if str(tmp_path) in " ".join(child.cmdline())
    ] == []


def test_the_json_of_a_bench_that_cannot_be_written_is_refused_before_the_run(tmp_path: Path) -> None:
    result = jobctl("bench", "--json", str(tmp_path), cwd=tmp_path)

    assert result.returncode == 2
    assert "--json" in result.stderr

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

MOCK = [sys.executable, "-m", "jobctl", "mock"]
CALL = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}


@contextmanager
def running(*options: str) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """A mock and a client of it."""
    command = [*MOCK, "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = next(word for word in process.stdout.readline().split() if word.startswith("http://"))
            with httpx.Client(base_url=url, headers={"Authorization": "Bearer sk-or-v1-x"}, timeout=20) as client:
                yield process, client
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("options", "named", "remedy"),
    [
        (["--port", "99999"], "--port", "at most 65535"),
        (["--port", "-1"], "--port", "at least 0"),
        (["--port", "http"], "--port", "whole number"),
        (["--host", ""], "--host", "127.0.0.1"),
        (["--host", "no such host"], "--host", "127.0.0.1"),
        (["--host", "192.0.2.1"], "--host", "127.0.0.1"),
        (["--latency", "soon"], "--latency", "give lognormal"),
        (["--latency", "lognormal:mean=1s,p95=9s"], "--latency", "times the mean"),
        (["--latency", "constant:-1s"], "--latency", "duration"),
        (["--latency-of", "nobody/none=constant:1s"], "--latency-of", "GET /models"),
        (["--latency-of", "openai/gpt-4o=soon"], "--latency-of", "give lognormal"),
        (["--serve-model", "gpt-4o"], "--serve-model", "AUTHOR/SLUG"),
        (["--serve-model", ""], "--serve-model", "AUTHOR/SLUG"),
        (["--latency", "file:/nowhere/latencies"], "--latency", "path of a text file"),
        (["--fault", "418=0.1"], "--fault", "kinds: 402"),
        (["--fault", "429=2"], "--fault", "0 to 1"),
        (["--fault", "429=0.1", "--fault", "429=0.1"], "--fault", "once"),
        (["--fault", "500=0.6", "--fault", "502=0.6"], "--fault", "lower them"),
        (["--rpm", "0"], "--rpm", "at least 1"),
        (["--tpm", "many"], "--tpm", "whole number"),
        (["--seed", "x"], "--seed", "whole number"),
    ],
)
def test_bad_input_is_one_line_that_names_the_option_and_the_remedy(
    options: list[str], named: str, remedy: str, refused: Callable[..., str]
) -> None:
    said = refused("mock", *options)
    assert named in said
    assert remedy in said


def test_a_taken_port_is_named(refused: Callable[..., str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused("mock", "--port", str(port))
    assert f"--port: 127.0.0.1:{port} cannot be had (address already in use)" in said
    assert "--port 0 picks a free port" in said


def test_an_empty_latency_file_is_refused(tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "latencies").write_text("# nothing yet\n")
    assert "holds no duration" in refused("mock", "--latency", f"file:{tmp_path / 'latencies'}")


def test_latencies_come_from_a_file_and_faults_from_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "latencies").write_text("250ms\n250ms\n")
    with running("--latency", f"file:{tmp_path / 'latencies'}") as (_, client):
        client.get("models")
        began_s = time.monotonic()
        assert client.post("chat/completions", json=CALL).status_code == 200
        assert time.monotonic() - began_s >= 0.245
    with running("--fault", "503=1", "--serve-model", "acme/x", "--latency-of", "acme/x=constant:10ms") as (_, client):
        assert client.post("chat/completions", json={**CALL, "model": "acme/x"}).status_code == 503


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_quickly_and_quietly_even_while_a_call_is_open(number: signal.Signals) -> None:
    body = {**CALL, "stream": True}
    with (
        running("--latency", "constant:60s") as (process, client),
        client.stream("POST", "chat/completions", json=body) as response,
    ):
        next(response.iter_raw())
        process.send_signal(number)
        assert process.wait(timeout=10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""

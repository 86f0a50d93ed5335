"""The programs that scripts/tools.py unpacked, above all the real Prometheus and Alertmanager over rendered files."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from jobctl.adapters.processes import ProcessGroup

TOOLS = Path(__file__).resolve().parents[2] / ".tools" / "bin"
PATIENCE_S = 30.0

Found = TypeVar("Found")
Labels = Mapping[str, str]
Vector = list[tuple[Labels, float]]


def tool(name: str) -> Path:
    """A program that scripts/tools.py unpacked; a missing one fails the test."""
    program = TOOLS / name
    if not program.exists():
        pytest.fail(f"there is no {name}; run `make tools`")
    return program


def promtool(*words: str, status: int = 0) -> str:
    """What promtool says; an exit status other than the expected one fails the test."""
    thrifty = {**os.environ, "GOGC": "800", "GOMAXPROCS": "1"}  # a third of its CPU would be spent on tidying up
    done = subprocess.run(
        [tool("promtool"), *words], env=thrifty, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def free_ports(count: int) -> list[int]:
    """So many ports of this machine that nobody listens on."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in listeners]


def soon(condition: Callable[[], Found], patience_s: float = PATIENCE_S) -> Found:
    """What a condition gives as soon as it gives anything, or at the end."""
    ends_s = time.monotonic() + patience_s
    while not (found := condition()) and time.monotonic() < ends_s:
        time.sleep(0.05)
    return found


def wait_for(condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> None:
    """Wait until a condition holds; it fails the test if it never does."""
    if not soon(condition, patience_s):
        pytest.fail(f"waited {patience_s:g} s in vain for {what}")


class Prometheus:
    """A Prometheus that runs.

    Args:
        client: A client of its API.
    """

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def query(self, expression: str) -> Vector:
        """What an expression gives now.

        Raises:
            AssertionError: It cannot be evaluated; the message says why.
        """
        answer = self._client.get("query", params={"query": expression}).json()
        assert answer["status"] == "success", f"{expression}: {answer.get('error')}"
        result, kind = answer["data"]["result"], answer["data"]["resultType"]
        if kind == "scalar":
            return [({}, float(result[1]))]
        assert kind == "vector", f"{expression} is a {kind}"
        return [(series["metric"], float(series["value"][1])) for series in result]

    def rules(self) -> list[dict[str, Any]]:
        """All rules as they were loaded, and how their last evaluation went."""
        groups = self._client.get("rules").json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def targets(self) -> dict[str, str]:
        """Where it scrapes, and how that goes: ``up``, ``down`` or ``unknown``."""
        found = self._client.get("targets").json()["data"]["activeTargets"]
        return {target["labels"]["instance"]: target["health"] for target in found}


class Alertmanager:
    """An Alertmanager that runs.

    Args:
        client: A client of its API.
    """

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def active(self, alert: str) -> list[dict[str, Any]]:
        """The alerts of this name that it was told of and holds back from nobody."""
        alerts = self._client.get("alerts", params={"active": "true", "inhibited": "false"}).json()
        return [one for one in alerts if one["labels"]["alertname"] == alert]


@contextmanager
def watching(
    files: Mapping[str, str], directory: Path, prometheus_port: int, alertmanager_port: int
) -> Iterator[tuple[Prometheus, Alertmanager]]:
    """Both servers over what was rendered, until the block ends.

    Args:
        files: By their path in ``monitoring/``.
        directory: Where they are put; the secrets are to be below ``secrets`` there.
        prometheus_port: Where Prometheus is to listen.
        alertmanager_port: Where Alertmanager is, as Prometheus' configuration has it.
    """
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text, encoding="utf-8")
    with ProcessGroup() as group:
        start_alertmanager(group, directory / "alertmanager/alertmanager.yml", alertmanager_port)
        start_prometheus(group, directory / "prometheus/prometheus.yml", prometheus_port)
        with (
            httpx.Client(base_url=f"http://127.0.0.1:{prometheus_port}/api/v1", timeout=PATIENCE_S) as asked,
            httpx.Client(base_url=f"http://127.0.0.1:{alertmanager_port}/api/v2", timeout=PATIENCE_S) as told,
        ):
            yield Prometheus(asked), Alertmanager(told)


def start_alertmanager(
    group: ProcessGroup, file: Path, port: int, *, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start an Alertmanager from its configuration, and wait until it is ready."""
    return _start(
        group,
        port,
        [
            str(tool("prometheus-alertmanager")),
            f"--config.file={file}",
            f"--storage.path={file.parent / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ],
        file.with_suffix(".log"),
        env,
    )


def start_prometheus(group: ProcessGroup, file: Path, port: int) -> subprocess.Popen[bytes]:
    """Start a Prometheus from its configuration, and wait until it is ready."""
    return _start(
        group,
        port,
        [
            str(tool("prometheus")),
            f"--config.file={file}",
            f"--storage.tsdb.path={file.parent / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--rules.alert.resend-delay=2s",  # what fires before it knows its Alertmanager would be told a minute later
        ],
        file.with_suffix(".log"),
    )


def _start(
    group: ProcessGroup, port: int, words: list[str], log: Path, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        process = group.spawn(words, cwd=group.directory, env=env, stdout=output, stderr=output)

    def ready() -> bool:
        assert process.poll() is None, log.read_text(errors="replace")[-1000:]
        try:
            return httpx.get(f"http://127.0.0.1:{port}/-/ready").is_success
        except httpx.TransportError:
            return False

    wait_for(ready, words[0])
    return process

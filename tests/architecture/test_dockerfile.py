"""The image is checked as a text: there is no engine here that could build it.

That the steps work was shown by hand, in a directory with what `.dockerignore` lets through.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import PurePosixPath

import pytest
from lock import REPOSITORY
from prometheus_client import CollectorRegistry

from jobctl.adapters.listening import listen
from jobctl.adapters.metrics_server import MetricsServer

TEXT = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
IGNORED = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8")


def instructions() -> Iterator[tuple[str, str]]:
    """Each instruction and what follows it, continued lines joined."""
    lines = [line for line in TEXT.splitlines() if not line.startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if line.strip():
            word, _, rest = line.partition(" ")
            yield word, rest


FINAL = list(instructions())[[word for word, _ in instructions()].index("FROM", 1) :]


def test_every_command_is_in_exec_form_so_that_no_shell_is_process_one() -> None:
    commands = [rest for word, rest in instructions() if word in {"RUN", "ENTRYPOINT", "CMD"}]
    commands += [rest.partition(" CMD ")[2] for word, rest in instructions() if word == "HEALTHCHECK"]

    assert len(commands) == 8
    for command in commands:
        assert all(isinstance(word, str) for word in json.loads(command)), command


def test_the_image_is_jobctl_and_works_unless_it_is_told_otherwise() -> None:
    last = dict(FINAL)

    assert json.loads(last["ENTRYPOINT"]) == ["jobctl"]
    assert json.loads(last["CMD"]) == ["work", "--metrics-port", "9100"]
    assert last["EXPOSE"] == "9100 9200"


def test_whoever_runs_in_it_is_not_root_and_is_a_number() -> None:
    words = [word for word, _ in FINAL]

    assert dict(FINAL)["USER"] == "10001:10001"
    assert "10001" in json.loads(dict(FINAL)["RUN"])
    assert not {"RUN", "COPY", "WORKDIR"} & set(words[words.index("USER") :])


def test_nothing_is_fetched_but_locked_requirements_from_wherever_pip_is_told_to() -> None:
    assert "ADD" not in {word for word, _ in instructions()}
    assert not re.search(r"https?://|--index-url|--trusted-host|curl|wget|apt-get", TEXT)
    installs = [json.loads(rest) for word, rest in instructions() if word == "RUN" and '"pip"' in rest]
    assert [command[3] for command in installs] == ["install", "wheel", "install"]
    assert "--require-hashes" in installs[0]
    assert installs[0][-1] == "requirements/runtime.txt"
    assert {"--no-deps", "--no-build-isolation"} <= set(installs[1])
    assert {"--no-deps", "--no-index"} <= set(installs[2])


def test_the_python_of_the_image_is_one_that_is_tested_and_the_same_twice() -> None:
    bases = [rest for word, rest in instructions() if word == "FROM"]

    assert bases == ["python:3.13 AS build", "python:3.13-slim"]
    classifiers = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["classifiers"]
    assert "Programming Language :: Python :: 3.13" in classifiers


def test_the_image_says_what_it_is() -> None:
    labels = dict(re.findall(r'org\.opencontainers\.image\.([\w.]+)="([^"]+)"', dict(FINAL)["LABEL"]))

    assert labels.keys() == {"title", "description", "licenses", "base.name"}
    assert labels["base.name"].rpartition("/")[2] == FINAL[0][1]


def let_through(path: str) -> bool:
    """Whether a path gets past `.dockerignore`: the last line that fits it, or a directory above it, decides."""
    names = [path, *(str(parent) for parent in PurePosixPath(path).parents if parent.name)]
    verdict = True
    for line in IGNORED.splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!")
        tail = pattern.removeprefix("**/")
        if any(
            fnmatch(name, pattern) or (tail != pattern and fnmatch(name.rpartition("/")[2], tail)) for name in names
        ):
            verdict = line.startswith("!")
    return verdict


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        ".git/config",
        ".venv/bin/python",
        ".tools/bin/redis-server",
        "jobctl.toml",
        "monitoring/secrets/slack_url",
        "monitoring/secrets/redis_password",
        "monitoring/prometheus/prometheus.yml",
        "src/jobctl/core/__pycache__/slo.cpython-313.pyc",
        "tests/adapters/self_signed.pem",
        "a-new-secret",
    ],
)
def test_what_the_image_is_not_made_of_is_not_even_sent_to_the_engine(path: str) -> None:
    assert not let_through(path)


def test_everything_that_is_copied_is_there_and_sent() -> None:
    sources = []
    for word, rest in instructions():
        if word == "COPY" and not rest.startswith("--from="):
            sources += rest.split()[:-1]

    assert sources == [
        "requirements/runtime.txt",
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "src",
        "loadtests",
        "monitoring",
    ]
    for source in sources:
        path = REPOSITORY / source
        assert path.exists(), source
        files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
        assert any(let_through(one.relative_to(REPOSITORY).as_posix()) for one in files), source


def test_everything_that_the_wheel_is_made_of_is_sent() -> None:
    build = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = build["tool"]["hatch"]["build"]["targets"]["wheel"]
    for source in [*wheel["packages"], *wheel["force-include"], build["project"]["readme"]]:
        assert let_through(source), source
    for licence in build["project"]["license-files"]:
        assert let_through(licence), licence


@pytest.mark.parametrize(("reason", "healthy"), [(None, True), ("Redis does not answer", False)], ids=["ready", "not"])
def test_the_health_check_asks_whether_the_process_is_ready(reason: str | None, healthy: bool) -> None:
    check = json.loads(dict(FINAL)["HEALTHCHECK"].partition(" CMD ")[2])
    assert check[0] == "python"
    with listen("127.0.0.1", 0) as listener:
        server = MetricsServer(listener, CollectorRegistry(), lambda: reason)
        elsewhere = {"PORT": str(server.port), "http_proxy": "http://127.0.0.1:9"}
        done = subprocess.run([sys.executable, *check[1:]], env={**os.environ, **elsewhere}, check=False, timeout=20)
        server.close()

    assert (done.returncode == 0) == healthy


def test_the_health_check_fails_when_nothing_listens() -> None:
    check = json.loads(dict(FINAL)["HEALTHCHECK"].partition(" CMD ")[2])
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
    done = subprocess.run(
        [sys.executable, *check[1:]],
        env={**os.environ, "PORT": str(port)},
        capture_output=True,
        check=False,
        timeout=20,
    )

    assert done.returncode == 1

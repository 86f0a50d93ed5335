"""What a command may import: the CPU of a start is paid in imports, and those can be counted."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from jobctl.cli.exit_status import ExitStatus
from jobctl.cli.main import VERBS

#: Each costs 0.05 s to 0.7 s, or loads something that does.
HEAVY = (
    "asyncio",
    "gevent",
    "hdrh",
    "httpx",
    "locust",
    "openrouter",
    "prometheus_client",
    "psutil",
    "psycopg",
    "pydantic",
    "redis",
    "resvg_py",
    "rich",
    "rq",
    "sentry_sdk",
    "setuptools",
    "starlette",
    "uvicorn",
    "uvloop",
)

#: Each with its exit code; all in one process, which imports no less than a process for each.
STARTS = (
    (0, "--help"),
    (0, "--version"),
    (0, "plan --help"),
    (0, "bench --help"),
    (0, "report --help"),
    (0, "work --help"),
    (0, "mock --help"),
    (0, "migrate --help"),
    (2, "migrate --database-url nonsense"),
    (0, "exporter --help"),
    (0, "plan --per-day 450000 --service-time 4.8s --budget 200ms"),
    (0, "plan --rate 2.5 --service-time 8s --replicas 1 --budget 200ms --json -"),
    (2, "plan --per-day -5 --service-time 8s"),
    (2, "no-such-command"),
)
PROBE = """
import sys
from jobctl.cli.main import run
for words in sys.argv[1:]:
    try:
        run(words.split())
    except SystemExit as ended:
        print("\\nENDED", ended.code, *sys.modules)
"""


def test_it_starts_without_importing_what_it_does_not_need(tmp_path: Path) -> None:
    commands = [words for _, words in STARTS]
    ended = subprocess.run(
        [sys.executable, "-c", PROBE, *commands], capture_output=True, text=True, cwd=tmp_path, timeout=60, check=True
    )

    assert re.findall("^  ([a-z]+) ", ended.stdout.partition("ENDED")[0], re.M) == list(VERBS)
    told = [line.split()[1:] for line in ended.stdout.splitlines() if line.startswith("ENDED")]
    asked: set[str] = set()
    for (status, words), (code, *imported) in zip(STARTS, told, strict=True):
        assert code == str(status), words
        assert "typer" in imported
        assert set(imported).isdisjoint(HEAVY), words
        asked.add(words.split()[0])
        assert {verb for verb in VERBS if f"jobctl.cli.{verb}" in imported} == asked.intersection(VERBS), words


def test_a_worker_imports_nothing_that_writes_to_a_terminal() -> None:
    probe = "import sys, jobctl.wiring.limiter as it; it.bind_tasks_from_environment(); print(*sys.modules)"
    env = {**os.environ, "OPENROUTER_API_KEY": "sk-or-v1-test"}
    imported = subprocess.check_output([sys.executable, "-c", probe], env=env, text=True, timeout=60).split()

    assert "httpx" in imported
    assert {"click", "pygments", "rich"}.isdisjoint(imported)


def test_an_interrupt_while_it_still_imports_is_no_traceback(tmp_path: Path) -> None:
    """A module that somebody interrupts halfway through, a dataclass's body being executed as a string."""
    (tmp_path / "typer.py").write_text("import os, signal\nexec('os.kill(os.getpid(), signal.SIGINT)')\n")

    ended = subprocess.run(
        [sys.executable, "-m", "jobctl", "--help"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
        check=False,
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (ExitStatus.INTERRUPTED, "", "")

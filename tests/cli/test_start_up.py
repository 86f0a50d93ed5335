"""What a command may import: the CPU of a start is paid in imports, and those can be counted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from jobctl.cli.exit_status import ExitStatus

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

PROBE = """
import sys
from jobctl.cli.main import run
try:
    run(sys.argv[1:])
except SystemExit as ended:
    print("\\nIMPORTED", *sorted({name.partition(".")[0] for name in sys.modules}))
    raise
"""


def imported(directory: Path, *words: str) -> tuple[int, set[str]]:
    """The exit code of a command in a process of its own, and the top-level modules it loaded."""
    ended = subprocess.run(
        [sys.executable, "-c", PROBE, *words], capture_output=True, text=True, cwd=directory, timeout=60, check=False
    )
    _, _, names = ended.stdout.rpartition("IMPORTED")
    return ended.returncode, set(names.split())


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, ["--help"]),
        (0, ["--version"]),
        (0, ["plan", "--help"]),
        (0, ["bench", "--help"]),
        (0, ["report", "--help"]),
        (0, ["work", "--help"]),
        (0, ["mock", "--help"]),
        (0, ["migrate", "--help"]),
        (2, ["migrate", "--database-url", "nonsense"]),
        (0, ["exporter", "--help"]),
        (0, ["plan", "--per-day", "450000", "--service-time", "4.8s"]),
        (0, ["plan", "--rate", "2.5", "--service-time", "8s", "--replicas", "1", "--json", "-"]),
        (2, ["plan", "--per-day", "-5", "--service-time", "8s"]),
        (2, ["no-such-command"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_it_starts_without_importing_what_it_does_not_need(tmp_path: Path, status: int, words: list[str]) -> None:
    code, names = imported(tmp_path, *words)
    assert code == status
    assert "typer" in names
    assert names.isdisjoint(HEAVY)


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

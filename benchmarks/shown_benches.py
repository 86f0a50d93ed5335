"""The benches of docs/HIGH_LOAD_OPTIMIZATION.md, at the length that it shows.

    python benchmarks/shown_benches.py

Carries out each ``jobctl bench`` of the document as it is written there and prints what came out, in an environment in
which nothing is set. The document shows lines of this, and a test holds it to them. A bench that could not be measured,
because the machine was busy, is run again; it fails if that does not help.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from jobctl.cli.exit_status import ExitStatus
from jobctl.settings import FIELDS

DOCUMENT: Final = Path(__file__).resolve().parent.parent / "docs" / "HIGH_LOAD_OPTIMIZATION.md"
#: How often a bench is run until it could be measured.
TRIES: Final = 5
#: What a bench of the document may come to: kept, or broken where that is what it shows.
MEASURED: Final = {ExitStatus.PASS, ExitStatus.BROKEN}


def main() -> int:
    """Run them; returns the exit code."""
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, load average before: {load}")
    print(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    unset = {field.env for field in FIELDS}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    status = 0
    for command in benches(DOCUMENT.read_text(encoding="utf-8")):
        for _ in range(TRIES):
            result = run(command, environment)
            if result.returncode in MEASURED:
                break
        report = "\n".join(line.rstrip() for line in result.stdout.rstrip().splitlines())
        print(f"\n$ {command}\n{report}", flush=True)
        if result.returncode not in MEASURED:
            print(f"shown_benches: {command}: exit code {result.returncode}", file=sys.stderr)
            status = 1
    return status


def run(command: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A bench, in a fresh directory."""
    words = [sys.executable, "-m", "jobctl", *shlex.split(command)[1:]]
    with tempfile.TemporaryDirectory() as directory:
        return subprocess.run(words, cwd=directory, env=environment, capture_output=True, text=True, check=False)


def benches(document: str) -> list[str]:
    """Each ``jobctl bench`` that a block of commands of the document shows."""
    blocks = re.findall(r"^```console\n.*?^```$", document, re.MULTILINE | re.DOTALL)
    return re.findall(r"^\$ (jobctl bench .+)$", "\n".join(blocks), re.MULTILINE)


if __name__ == "__main__":
    sys.exit(main())

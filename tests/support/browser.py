"""A real browser without a window: opens a page and tells what became of it."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

PROGRAM = Path(__file__).resolve().parents[2] / ".tools" / "bin" / "chromium-headless-shell"


@dataclass(frozen=True)
class Visit:
    """What a page did.

    Attributes:
        dom: The document after it has loaded.
        console: What it wrote to the console: errors, and what its policy refused.
        requests: The addresses that were asked for over a network.
    """

    dom: str
    console: list[str]
    requests: list[str]


def visit(page: Path, directory: Path, *options: str) -> Visit:
    """Open a file; a browser that is missing or fails is an error.

    Args:
        page: What to open.
        directory: For the browser's own files.
        options: More of the command line, such as ``--window-size=390,800``.
    """
    log = directory / "net.json"
    command = [str(PROGRAM), "--no-sandbox", "--disable-gpu", f"--user-data-dir={directory / 'profile'}"]
    done = subprocess.run(
        [*command, f"--log-net-log={log}", "--dump-dom", *options, page.resolve().as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    requests = re.findall(r'"url":("(?:[^"\\]|\\.)*")', log.read_text(encoding="utf-8"))
    return Visit(done.stdout, console, [json.loads(request) for request in requests])

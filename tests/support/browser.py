"""A real browser without a window: opens a page and tells what became of it."""

from __future__ import annotations

import json
import re
import subprocess
import zlib
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

#: Writes into the page how wide it is and which words of the charts that are seen leave their frame or meet.
PROBE = """<script>
addEventListener("load", () => {
  const found = {wide: document.documentElement.scrollWidth, seen: 0, astray: [], charts: 0};
  for (const svg of document.querySelectorAll("svg")) {
    const frame = svg.getBoundingClientRect();
    if (!frame.width) continue;
    found.charts += 1;
    const boxes = [...svg.querySelectorAll("text")].map(word => [word.textContent, word.getBoundingClientRect()]);
    boxes.forEach(([word, box], place) => {
      found.seen += 1;
      const beyond = box.left < frame.left - 0.5 || box.right > frame.right + 0.5 || box.bottom > frame.bottom + 0.5;
      const meets = boxes.slice(place + 1).some(([, other]) =>
        box.left < other.right && other.left < box.right && box.top + 3 < other.bottom && other.top + 3 < box.bottom);
      if (beyond || meets) found.astray.push(word);
    });
  }
  document.title = JSON.stringify(found);
});
</script>"""
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


def measure(page: str, directory: Path, width: int) -> dict[str, Any]:
    """How wide a page is on a screen of that width, and the words of its charts that leave their frame or meet.

    Args:
        page: Its HTML.
        directory: For the browser's own files.
        width: Of the window, pixels.
    """
    (directory / "probed.html").write_text(re.sub(r"<meta http-equiv[^>]*>", PROBE, page), encoding="utf-8")
    seen = visit(directory / "probed.html", directory, f"--window-size={width},900")
    title = re.search(r"<title>(\{.*?\})</title>", seen.dom)
    assert title is not None
    found: dict[str, Any] = json.loads(unescape(title[1]))
    return found


def photograph(page: Path, directory: Path, *, dark: bool = False, size: tuple[int, int] = (1000, 1400)) -> bytes:
    """A PNG of a file in a theme.

    Args:
        page: What to open.
        directory: For the browser's own files and the picture.
        dark: Whether the reader prefers dark colours.
        size: Of the window, pixels.
    """
    target = directory / f"{page.stem}-{'dark' if dark else 'light'}.png"
    options = ["--hide-scrollbars", f"--window-size={size[0]},{size[1]}", f"--screenshot={target}"]
    visit(page, directory, *options, *(["--blink-settings=preferredColorScheme=0"] if dark else []))
    return target.read_bytes()


def corner_of(png: bytes) -> str:
    """The colour of a PNG's first pixel, which no filter of the format changes, as ``#rrggbb``."""
    data, place = b"", 8
    while place < len(png):
        length, kind = int.from_bytes(png[place : place + 4], "big"), png[place + 4 : place + 8]
        if kind == b"IDAT":
            data += png[place + 8 : place + 8 + length]
        place += 12 + length
    return "#" + zlib.decompress(data)[1:4].hex()

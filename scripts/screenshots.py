"""Make the pictures of the README from one real bench: the report on a terminal and the page.

    python3 scripts/screenshots.py

``docs/images/bench.svg`` is what rich prints, ``docs/images/report.png`` what a browser shows of the page. Nothing in
them is drawn by hand, so they show what this version does.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from jobctl.adapters.files import replace_text
from jobctl.apps.report.forms import Form
from jobctl.cli.bench_render import render_report
from jobctl.wiring.report import read_bench_document, write_reports

ROOT: Final = Path(__file__).resolve().parent.parent
IMAGES: Final = ROOT / "docs" / "images"
BROWSER: Final = ROOT / ".tools" / "bin" / "chromium-headless-shell"
#: The run that is shown, seen from the root: long enough for a p99, with something going wrong and a gate that tells.
BENCH: Final = (
    "--rate", "20", "--duration", "40s", "--chaos", "mock_slow@14s+8s", "--gate", "wait.p95 < 250ms",
    "--gate", "sojourn.p99 < 20s",
)  # fmt: skip
_COLUMNS: Final = 100
_SIZE: Final = (780, 2250)
#: A picture that a README may carry.
_MOST_BYTES: Final = 300_000


def main() -> int:
    """Run the bench and make both pictures; returns the exit code."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        result = Path(directory) / "r.json"
        subprocess.run([sys.executable, "-m", "jobctl", "bench", *BENCH, "--json", str(result)], cwd=ROOT, check=False)
        document = read_bench_document(str(result))
        if document["verdict"] == "inconclusive":
            print(
                "screenshots: the run could not be measured, so nothing was written; try a quiet machine",
                file=sys.stderr,
            )
            return 1
        replace_text(str(IMAGES / "bench.svg"), terminal(document), "bench.svg")
        page = Path(directory) / "report.html"
        write_reports(document, {Form.HTML: str(page)}, print, print)
        photograph(page, IMAGES / "report.png", Path(directory) / "profile")
    size = (IMAGES / "report.png").stat().st_size
    if size > _MOST_BYTES:
        print(f"screenshots: report.png has {size:,} bytes, more than {_MOST_BYTES:,}", file=sys.stderr)
        return 1
    return 0


def terminal(document: dict[str, Any]) -> str:
    """The report on a terminal as SVG."""
    console = Console(width=_COLUMNS, record=True, force_terminal=True, color_system="truecolor", file=StringIO())
    render_report(console, document)
    picture = console.export_svg(title=f"jobctl bench {' '.join(BENCH[:4])} ...", unique_id="bench")
    return re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)  # nothing is fetched; the next font will do


def photograph(page: Path, target: Path, profile: Path) -> None:
    """The top of a page as PNG."""
    width, height = _SIZE
    subprocess.run(
        [
            str(BROWSER),
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={profile}",
            f"--window-size={width},{height}",
            f"--screenshot={target}",
            page.as_uri(),
        ],
        capture_output=True,
        timeout=60,
        check=True,
    )


if __name__ == "__main__":
    sys.exit(main())

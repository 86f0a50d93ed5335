"""``python -m jobctl``: a hand-off to the command line."""

from __future__ import annotations

from jobctl.cli.main import run

if __name__ == "__main__":
    run()

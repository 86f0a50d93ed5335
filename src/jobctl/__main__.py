"""``jobctl`` and ``python -m jobctl``: a hand-off to the command line."""

from __future__ import annotations

import sys

__all__ = ["start"]


def start() -> None:
    """Run the command line; an interrupt while its parts are still imported ends it as any later one does."""
    try:
        from jobctl.cli.main import run
    except KeyboardInterrupt:
        exec("pass")  # takes back that CPython ends by SIGINT, as in jobctl.cli.main
        from jobctl.cli.exit_status import ExitStatus

        sys.exit(ExitStatus.INTERRUPTED)
    run()


if __name__ == "__main__":
    start()

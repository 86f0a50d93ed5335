"""What the process exits with, whatever ended the command."""

from __future__ import annotations

import subprocess
import sys

INTERRUPTED_INSIDE_A_STRING = """
from jobctl.cli import main
main.get_group = lambda app: exec("raise KeyboardInterrupt")
main.run(["bench"])
"""


def test_an_interrupt_while_a_dataclass_is_made_exits_like_any_other() -> None:
    ended = subprocess.run([sys.executable, "-c", INTERRUPTED_INSIDE_A_STRING], timeout=60, check=False)
    assert ended.returncode == 105

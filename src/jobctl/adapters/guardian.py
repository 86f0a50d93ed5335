"""The guardian: a tiny process that outlives its parent just long enough to clean up after it.

Started as a plain script (``python -I -S guardian.py PREFIX``) in a process group of its own, so that it needs nothing
of jobctl and is up in some 20 ms. What happens, in order, and why:

1. It ignores INT, TERM and HUP. Ctrl-C does not reach its process group; a signal sent to everything ("kill
   everybody's SIGTERM" of a container's stop) does. The parent decides what such a signal means; the guardian must
   still be there afterwards.
2. It makes the private directory (mode 0700), so that no moment exists in which a directory has no guardian.
3. It forks the *anchor*, which leads a new process group. The parent starts every child straight into that group, so a
   child is guarded before its first instruction, and its own children are too. A child that leaves the group on
   purpose (``setsid``, ``setpgid``) leaves its guard as well. The guardian itself must stay in the parent's session,
   for a process can join only a group of its own session.
4. It prints ``anchor pid<TAB>directory`` and reads its standard input. Nothing is ever written there and only the
   parent holds the other end, so the read ends when the parent closes it, exits, crashes or is killed with -9.
5. Then it kills the whole group (-9: nothing in it holds state that matters any more, and -9 ends a frozen process
   too), removes the directory and ends.

The anchor reads the same pipe. It acts only when the guardian is gone, so killing the guardian does not lift the guard.
Standard library only; Linux and macOS.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from contextlib import suppress

__all__: list[str] = []


def _guard(prefix: str) -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    directory = tempfile.mkdtemp(prefix=os.path.basename(prefix), dir=os.path.dirname(prefix))
    try:
        anchor = _fork_anchor(directory)
        try:
            with suppress(BrokenPipeError):  # the parent is gone already, which the next line notices
                os.write(1, os.fsencode(f"{anchor}\t{directory}\n"))
            _wait_for_the_parents_end()
        finally:
            with suppress(ProcessLookupError, PermissionError):  # macOS: permission denied where only zombies are left
                os.killpg(anchor, signal.SIGKILL)
            os.waitpid(anchor, 0)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _fork_anchor(directory: str) -> int:
    guardian = os.getpid()
    anchor = os.fork()
    if anchor == 0:
        try:
            _hold_the_group(guardian, directory)
        finally:
            os._exit(1)
    os.setpgid(anchor, anchor)  # here, because the group must exist before its number is told
    return anchor


def _hold_the_group(guardian: int, directory: str) -> None:
    os.close(1)
    os.close(2)
    _wait_for_the_parents_end()
    while os.getppid() == guardian:
        time.sleep(0.1)
    shutil.rmtree(directory, ignore_errors=True)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _wait_for_the_parents_end() -> None:
    while os.read(0, 1):
        pass


if __name__ == "__main__":
    _guard(sys.argv[1])

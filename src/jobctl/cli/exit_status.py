"""Exit codes, each with one meaning, shared by every command."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ExitStatus"]


class ExitStatus(IntEnum):
    """What a command's exit code says."""

    #: The promise was kept, or the command did what was asked.
    PASS = 0
    #: jobctl itself failed.
    INTERNAL = 1
    #: Bad input, or a service the run needs did not answer.
    USAGE = 2
    #: The run could not tell: too few samples, or the generator fell behind.
    INCONCLUSIVE = 97
    #: A regression against a baseline.
    REGRESSION = 98
    #: A promise was broken.
    BROKEN = 99
    #: Stopped by Ctrl-C or SIGTERM; the report so far was printed.
    INTERRUPTED = 105

    @classmethod
    def of(cls, verdict: str, *, interrupted: bool = False) -> ExitStatus:
        """What a verdict says, or a regression; that somebody interrupted the run goes before it."""
        if interrupted:
            return cls.INTERRUPTED
        return {
            "kept": cls.PASS,
            "broken": cls.BROKEN,
            "regression": cls.REGRESSION,
            "inconclusive": cls.INCONCLUSIVE,
        }[verdict]

"""Exit codes, each with one meaning, shared by every command."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ExitStatus"]


class ExitStatus(IntEnum):
    """What a command's exit code says."""

    #: The promise was kept, or the command did what was asked.
    PASS = 0
    #: jobctl itself failed; a worker with half its slots stuck, which is to be started again.
    INTERNAL = 1
    #: Bad input, or a service the run needs did not answer: one line says which option and what to do.
    USAGE = 2
    #: It could not be told: too few samples, a generator that fell behind, a plan that is too close for its budget.
    #: "Could not measure" is never a pass.
    INCONCLUSIVE = 97
    #: Slower than a baseline, or failing more, and a repeat confirmed it.
    REGRESSION = 98
    #: A promise was broken: a gate, a lost job, a rising backlog, a plan that no fleet keeps, a file that has drifted.
    BROKEN = 99
    #: Stopped by Ctrl-C or SIGTERM. The report so far was printed if the load had begun and no second signal came.
    INTERRUPTED = 105

    @classmethod
    def of_plan(cls, kept: bool | None) -> ExitStatus:
        """What a plan says, or a table of them: whether it is kept, None where that could not be told."""
        return cls.INCONCLUSIVE if kept is None else cls.PASS if kept else cls.BROKEN

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

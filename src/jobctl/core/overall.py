"""One verdict for a run that was judged by itself and, beside that, against a baseline."""

from __future__ import annotations

__all__ = ["overall", "overall_in_words"]


def overall(verdict: str, finding: str | None) -> str:
    """The part that matters most, as the exit code of the bench has it.

    Args:
        verdict: Of the run by itself: kept, broken or inconclusive.
        finding: Of the comparison; None where there was none.
    """
    if verdict == "broken":
        return verdict
    if finding == "regression":
        return finding
    return "inconclusive" if verdict == "inconclusive" or finding == "cannot tell" else verdict


def overall_in_words(verdict: str, finding: str | None) -> str:
    """The same with both parts named, where there are two."""
    whole = overall(verdict, finding)
    return whole if finding is None else f"{whole} (the run by itself: {verdict}; against the baseline: {finding})"

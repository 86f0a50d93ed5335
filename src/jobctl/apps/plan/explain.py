"""How a plan was computed: each formula that its answer used, with the numbers put in.

A :class:`Step` is one formula. Its numbers are written so that they can be put into a calculator: six digits each,
``x`` multiplies, ``^`` raises, ``C(c, a)`` is Erlang's C formula and ``pool(n, k, h, S)`` the machine repair model. Its
result comes from the same functions of the core that the plan came from, never from the written numbers.

Only formulas that the demand calls for are shown: no retries, no amplification. What the simulation did is a
:class:`Note`: it has no formula.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from jobctl.apps.plan.explain_load import load_steps
from jobctl.apps.plan.explain_queue import queue_steps
from jobctl.apps.plan.steps import SYMBOLS, Note, Step, figure
from jobctl.core.demand import Assumption
from jobctl.core.plans import Plan

__all__ = ["explain", "steps"]

_INDENT: Final = "    "
_NARROWEST: Final = 40


def explain(plan: Plan, assumptions: Sequence[Assumption] = (), width: int | None = None) -> Iterator[str]:
    """The steps as lines of text.

    Args:
        plan: The answer.
        assumptions: Where its figures came from.
        width: Columns to fold to; None leaves every line whole.
    """
    yield from _fold(SYMBOLS, width, "")
    for step in steps(plan, assumptions):
        yield ""
        yield step.name
        if isinstance(step, Note):
            yield from _fold(step.words, width, _INDENT)
            continue
        yield from _fold(step.formula, width, _INDENT)
        numbers = f"= {step.numbers} " if step.numbers else ""
        yield from _fold(f"{numbers}= {figure(step.result)} {step.unit}".rstrip(), width, _INDENT)
        breaks = f". Breaks {step.breaks}." if step.breaks else ""
        yield from _fold(f"source: {step.source}{breaks}", width, _INDENT)


def steps(plan: Plan, assumptions: Sequence[Assumption] = ()) -> Iterator[Step | Note]:
    """Each formula that the answer used, in the order of the computation."""
    yield from load_steps(plan, assumptions)
    yield from queue_steps(plan)


def _fold(words: str, width: int | None, indent: str) -> list[str]:
    if width is None:
        return [indent + words]
    return textwrap.wrap(
        words,
        max(width, _NARROWEST),
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )

"""Which of several origins of a figure counts, and a book of all figures that were settled.

Of two inputs that say the same, such as a rate and a daily volume, the nearer one counts: a flag hides what the file
says; two at the same level contradict each other. What was measured (``--from``) stands for whatever was not said at
its own level or nearer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, TypeVar

from jobctl.apps.plan.request import INPUTS, Level, PlanRequest
from jobctl.core.demand import Assumption
from jobctl.core.evidence import Evidence
from jobctl.errors import InvalidOption, InvalidValue

__all__ = ["NO_EVIDENCE", "Ledger", "chosen", "place", "refuse"]

#: Nothing was measured.
NO_EVIDENCE: Final = Evidence("")
_INPUTS: Final = {told.name: told for told in INPUTS}

T = TypeVar("T")


def _text(value: object) -> str:
    if isinstance(value, int | float):
        return f"{value:,.10g}"
    return str(value)


@dataclass(slots=True)
class Ledger:
    """The figures of one demand, noted as they are settled.

    Attributes:
        request: What was said.
        evidence: What was measured; all None where nothing was.
        noted: Each figure with its origin.
    """

    request: PlanRequest
    evidence: Evidence = NO_EVIDENCE
    noted: list[Assumption] = field(default_factory=list)

    def value(self, name: str, default: T, measured: T | None = None, shown: Callable[[T], str] = _text) -> T:
        """What counts for an input: what was said, else what was measured, else the default; it is noted.

        Args:
            name: The input.
            default: What holds when nobody says anything.
            measured: What the evidence tells.
            shown: How it is written.
        """
        if measured is not None and self.measured_counts(name):
            self.note_measured(name, shown(measured))
            return measured
        said: T | None = getattr(self.request, name)
        settled = default if said is None else said
        self.note(name, shown(settled))
        return settled

    def optional(self, name: str, measured: float | None = None, shown: Callable[[float], str] = _text) -> Any:
        """The same for an input without a default: None, and nothing noted, where nobody knows it."""
        said = getattr(self.request, name)
        if said is None and measured is None:
            return None
        return self.value(name, said, measured, shown)

    def measured_counts(self, *names: str) -> bool:
        """Whether evidence was named nearer than any of these was said."""
        return self.request.level("source") > self.request.level(*names)

    def note(self, name: str, value: str, said_by: str | None = None) -> None:
        """Note a figure that an input says; ``said_by`` is another input from which it follows."""
        source = self.request.sources.get(said_by or name)
        self.noted.append(Assumption(_label(name), value, "default" if source is None else source.text))

    def note_measured(self, name: str, value: str) -> None:
        """Note a figure that the evidence tells."""
        self.noted.append(Assumption(_label(name), value, self.evidence.source))

    def call(self, name: str, make: Callable[..., T], *arguments: Any) -> T:
        """Make a value from an input.

        Raises:
            InvalidOption: It refuses its arguments; the input is named.
        """
        try:
            return make(*arguments)
        except InvalidValue as error:
            raise InvalidOption(place(self.request, name), error.problem, error.remedy) from None


def chosen(request: PlanRequest, *groups: tuple[str, ...]) -> tuple[str, ...] | None:
    """Of groups of inputs that say the same, the one that was said nearest; None where none was.

    Raises:
        InvalidOption: Two were said at the same level.
    """
    levels = [(request.level(*group), group) for group in groups]
    nearest = max(level for level, _ in levels)
    if nearest is Level.DEFAULT:
        return None
    first, *others = (group for level, group in levels if level is nearest)
    for other in others:
        refuse(
            request, _said_of(request, other), f"cannot be combined with {place(request, *first)}", "give one of them"
        )
    return first


def place(request: PlanRequest, *names: str) -> str:
    """Where the first of these that was said was given, as the asker would look for it."""
    name = _said_of(request, names)
    told = _INPUTS[name]
    level = request.level(name)
    if level in (Level.DEFAULT, Level.FLAG):
        return told.flag
    _, _, where = request.sources[name].text.partition(" ")
    return f"{where}: plan.{told.key}" if level is Level.FILE else where


def refuse(request: PlanRequest, name: str, problem: str, remedy: str) -> NoReturn:
    """Refuse what an input says, by the place where it was given."""
    raise InvalidOption(place(request, name), problem, remedy)


def _said_of(request: PlanRequest, names: Sequence[str]) -> str:
    return next((name for name in names if request.said(name)), names[0])


def _label(name: str) -> str:
    return _INPUTS[name].flag.removeprefix("--")

"""The shape of a check and of what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from jobctl.apps.doctor.set_up import SetUp
from jobctl.core.facts import Unreachable

__all__ = ["Check", "Finding", "Group", "Level", "Seen", "answering", "fail", "ok", "on", "unchecked", "warn", "worst"]

Facts = TypeVar("Facts")


class Level(StrEnum):
    """How a check came out."""

    OK = "ok"
    #: It works today, and there is a day on which it will not.
    WARN = "warn"
    #: Jobs are lost, stand still or fail, or nobody would know.
    FAIL = "fail"
    UNCHECKED = "not checked"


class Group(StrEnum):
    """What a check is about; the groups are shown in this order."""

    REDIS = "Redis"
    RQ = "RQ"
    FLEET = "Fleet"
    DATABASE = "Database"
    OPENROUTER = "OpenRouter"
    OBSERVABILITY = "Observability"
    DEPLOYMENT = "Deployment"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    Attributes:
        level: How it came out.
        detail: What was found; of a check that was not made, why.
        remedy: What to do; of a check that was not made, how to have it made. Empty when all is well.
    """

    level: Level
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One question about a set-up.

    Attributes:
        name: Its stable name, as JSON and the reference have it.
        group: What it is about.
        title: The same for a person, two or three words.
        judge: Answers it.
    """

    name: str
    group: Group
    title: str
    judge: Callable[[SetUp], Finding]


#: How a check comes by the facts that it needs.
Seen = Callable[[SetUp], Facts | Unreachable | None]


def ok(detail: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, detail)


def warn(detail: str, remedy: str) -> Finding:
    """Something to mend one day."""
    return Finding(Level.WARN, detail, remedy)


def fail(detail: str, remedy: str) -> Finding:
    """Something to mend now."""
    return Finding(Level.FAIL, detail, remedy)


def unchecked(why: str, how: str) -> Finding:
    """Nobody looked."""
    return Finding(Level.UNCHECKED, why, how)


def on(
    seen: Seen[Facts], name: str, missing: Finding, judge: Callable[[SetUp, Facts], Finding]
) -> Callable[[SetUp], Finding]:
    """A check that needs the facts of a system, and is not made without them.

    Args:
        seen: The facts.
        name: The system.
        missing: What to say when nobody said where it is.
        judge: Answers the question from the facts.
    """

    def judged(set_up: SetUp) -> Finding:
        facts = seen(set_up)
        if facts is None:
            return missing
        if isinstance(facts, Unreachable):
            return unchecked(f"{name} does not answer", "mend that first")
        return judge(set_up, facts)

    return judged


def answering(seen: Seen[Facts], missing: Finding, tell: Callable[[Facts], str]) -> Callable[[SetUp], Finding]:
    """A check whether a system answers at all.

    Args:
        seen: Its facts.
        missing: What to say when nobody said where it is.
        tell: What to say of one that answers.
    """

    def judged(set_up: SetUp) -> Finding:
        facts = seen(set_up)
        if facts is None:
            return missing
        if isinstance(facts, Unreachable):
            return fail(facts.problem, facts.remedy)
        return ok(tell(facts))

    return judged


def worst(levels: Iterable[Level]) -> Level:
    """The level of several together: what failed goes before what is only not well, and that before the rest."""
    order = (Level.FAIL, Level.WARN, Level.OK)
    there = set(levels)
    return next((level for level in order if level in there), Level.UNCHECKED)

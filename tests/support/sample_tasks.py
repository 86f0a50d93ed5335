"""Jobs of somebody who uses jobctl, with the imports and the habits that such modules have."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache, partial, wraps
from pathlib import PurePosixPath as Folder
from subprocess import run

__all__ = ["Folder", "Urgency", "Visit", "decorated", "os", "remembered", "run", "send", "shorter", "touch", "visits"]


class Base:
    """What tasks of some library inherit from."""

    def inherited(self) -> str:
        return type(self).__name__


class Urgency(Enum):
    LOW = 1
    HIGH = 2


@dataclass
class Visit(Base):
    """A value that is passed to jobs, whose methods may be jobs themselves."""

    name: str
    urgency: Urgency = Urgency.LOW
    shell = staticmethod(os.system)

    def greet(self, word: str) -> str:
        return f"{word} {self.name}"

    @property
    def loud(self) -> str:
        return self.name.upper()

    @staticmethod
    def twice(number: int) -> int:
        return 2 * number

    @classmethod
    def named(cls, name: str) -> Visit:
        return cls(name)


def send(number: int) -> int:
    return number + 1


def touch(path: str) -> None:
    """Write a file: what attacks try to."""
    with open(path, "w"):
        pass


def decorate(function):  # type: ignore[no-untyped-def]
    @wraps(function)
    def wrapper(*args: object) -> object:
        return function(*args)

    return wrapper


@decorate
def decorated(number: int) -> int:
    return number


@lru_cache
def remembered(number: int) -> int:
    return number


shorter = partial(send, 1)
visits = Visit("everybody")

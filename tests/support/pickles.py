"""Pickles that do harm when they are read: each writes a file if it runs. And the opcodes to build more of them."""

from __future__ import annotations

import pickle
import zlib
from pathlib import Path

STOP = pickle.STOP


class Trap:
    """Writes a file when it is unpickled, wherever it hides.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return exec, (f"open({str(self.path)!r}, 'w').close()",)


def call(
    *args: object, function: object = "support.sample_tasks.send", instance: object = None, **kwargs: object
) -> bytes:
    """The ``data`` of a job as RQ pickles it."""
    return zlib.compress(pickle.dumps((function, instance, args, kwargs), pickle.HIGHEST_PROTOCOL))


def planted(place: str, path: Path, function: str = "support.sample_tasks.send") -> dict[str, bytes]:
    """The field of a job's hash that has a trap in one place.

    Args:
        place: ``data``, ``args``, ``meta`` or ``result``.
        path: The file that the trap writes.
        function: What the job calls, where the trap is among its arguments.
    """
    trap = pickle.dumps(Trap(path))
    match place:
        case "data":
            return {"data": zlib.compress(trap)}
        case "args":
            return {"data": call(Trap(path), function=function)}
        case "meta" | "result":
            return {place: trap}
        case _:
            raise ValueError(place)


def text(value: str) -> bytes:
    """Push a text."""
    raw = value.encode()
    return pickle.SHORT_BINUNICODE + bytes([len(raw)]) + raw


def named(module: str, name: str) -> bytes:
    """Push a global."""
    return text(module) + text(name) + pickle.STACK_GLOBAL


def calling(function: bytes, argument: str) -> bytes:
    """Push what a function returns for one text."""
    return function + text(argument) + pickle.TUPLE1 + pickle.REDUCE


def whole(*parts: bytes) -> bytes:
    """A pickle of these opcodes."""
    return pickle.PROTO + b"\x04" + b"".join(parts) + STOP

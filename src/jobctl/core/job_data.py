"""What can be told of a job's data without unpickling it.

RQ keeps a call as ``[function, instance, args, kwargs]``, as JSON or as a pickle, mostly deflated. JSON is shown whole.
Of a pickle only the function's name is read, from its first opcodes, which is safe: they are listed, not carried out.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["Encoding", "JobData", "inflate", "job_type", "read_job_data", "read_value"]

#: What a job's data may grow to when it is inflated, bytes; a few KB of zlib can hold gigabytes of zeros.
_LARGEST: Final = 16 << 20
#: How much of it holds the function's name.
_HEAD: Final = 4096
#: Opcodes that may precede the first element of a pickled tuple, and those that are a text.
_BEFORE: Final = frozenset({"PROTO", "FRAME", "MARK"})
_TEXTS: Final = frozenset({"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"})

#: ``json``, ``pickle`` or ``unreadable``.
Encoding = str


@dataclass(frozen=True, slots=True)
class JobData:
    """A job's data, as far as it can be told.

    Attributes:
        encoding: ``json``, ``pickle`` or ``unreadable``.
        job_type: Dotted path of its function; empty when it cannot be told.
        args: Positional arguments; None unless it is JSON.
        kwargs: Keyword arguments likewise.
        size: Bytes, inflated; the limit when it is longer.
    """

    encoding: Encoding
    job_type: str
    args: list[Any] | None
    kwargs: dict[str, Any] | None
    size: int


def inflate(data: bytes, limit: int = _LARGEST) -> bytes:
    """The first bytes of what may be deflated; RQ writes either."""
    try:
        return zlib.decompressobj().decompress(data, limit)
    except zlib.error:
        return data[:limit]


def job_type(data: bytes) -> str:
    """The dotted path of a job's function; empty when it cannot be told."""
    head = inflate(data, _HEAD)
    return _named_in_json(head) if head.startswith(b"[") else _named_in_pickle(head)


def _named_in_json(head: bytes) -> str:
    text = head.decode(errors="replace")[1:].lstrip()
    try:
        name, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return ""
    return name if isinstance(name, str) else ""


def _named_in_pickle(head: bytes) -> str:
    from pickletools import genops  # rarely needed, and heavy

    try:
        for opcode, argument, _ in genops(head):
            if opcode.name in _TEXTS:
                return str(argument)
            if opcode.name not in _BEFORE:
                break
    except Exception:  # anything may be wrong with it
        return ""
    return ""


def read_job_data(data: bytes) -> JobData:
    """A job's ``data`` field, as far as it can be told."""
    inflated = inflate(data)
    named = job_type(data)
    call = read_value(inflated)
    if isinstance(call, list) and len(call) == 4 and isinstance(call[2], list) and isinstance(call[3], dict):
        return JobData("json", named, call[2], call[3], len(inflated))
    # From protocol 2 on a pickle begins with 0x80, and every one ends with a full stop, as no JSON does.
    pickled = inflated[:1] == b"\x80" or inflated[-1:] == b"."
    return JobData("pickle" if pickled else "unreadable", named, None, None, len(inflated))


def read_value(data: bytes) -> Any:
    """A value if it is JSON; None otherwise."""
    try:
        return json.loads(data, parse_constant=str)  # NaN and infinity, which JSON proper does not know
    except (ValueError, RecursionError):
        return None

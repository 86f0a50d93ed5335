"""A stream as bytes: server-sent events, each with the share of the answer's time at which it is due."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from jobctl.apps.mock import answers
from jobctl.apps.mock.answers import Call

__all__ = ["DONE", "PROCESSING", "content_events", "event"]

#: The comment that says that the call is still alive.
PROCESSING: Final = b": OPENROUTER PROCESSING\n\n"
DONE: Final = b"data: [DONE]\n\n"
#: A stream has at most this many content events, however long the answer.
_MOST_PIECES: Final = 40


def event(document: Mapping[str, Any]) -> bytes:
    """One event."""
    return b"data: " + json.dumps(document, separators=(",", ":")).encode() + b"\n\n"


def content_events(call: Call) -> Iterator[tuple[float, bytes]]:
    """The events of the answer itself, evenly spread over 0..1: share 0 is the first token, 1 the last.

    The opening event, still without content, goes out with the first of them.
    """
    events = [event(piece) for piece in answers.pieces(call, _MOST_PIECES)]
    last = len(events) - 1
    for position, part in enumerate(events):
        first = event(answers.opening(call)) if position == 0 else b""
        yield position / last if last else 0.0, first + part

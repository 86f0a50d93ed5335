"""A stream as bytes: server-sent events, written together where they are due close to each other.

Streams are most of the mock's work, so what is the same in all content events of a call is encoded once, and a write,
which costs more than anything else here, carries every event that is due within the next moments.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

from jobctl.apps.mock import answers, responses
from jobctl.apps.mock.answers import Call
from jobctl.apps.mock.errors import ApiError

__all__ = ["DONE", "PROCESSING", "Write", "breaking", "closing", "event", "writes"]

#: The comment that says that the call is still alive.
PROCESSING: Final = b": OPENROUTER PROCESSING\n\n"
DONE: Final = b"data: [DONE]\n\n"
#: A stream has at most this many content events, however long the answer.
_MOST_PIECES: Final = 40
#: Stands for a piece of the answer while the rest of its event is encoded; it cannot occur there otherwise.
_GAP: Final = "\0"
_ENCODED_GAP: Final = json.dumps(_GAP).encode()


class Write(NamedTuple):
    """Some events that leave together.

    Attributes:
        due_share: The share of the time between the first token and the last at which they leave.
        sent_share: The share of the answer that is out afterwards.
        data: The events.
    """

    due_share: float
    sent_share: float
    data: bytes


def event(document: Mapping[str, Any]) -> bytes:
    """One event."""
    return b"data: " + json.dumps(document, separators=(",", ":")).encode() + b"\n\n"


def writes(call: Call, together: float) -> Iterator[Write]:
    """The answer itself, its content events evenly spread over the shares 0..1: the first token at 0, the last at 1.

    The opening event, still without content, goes out with the first of them, and so does the start of a tool call.

    Args:
        call: The call.
        together: Events leave with an earlier one that is due at most this share before them; 0 to send each alone.
    """
    encode, pieces = _encoder(call), _pieces(call)
    last = max(len(pieces) - 1, 1)
    opening = answers.opening(call) if call.echo is None else responses.opening(call)
    batch, due_share = [event(document) for document in opening], 0.0
    for position, piece in enumerate(pieces):
        share = position / last
        if share - due_share > together:
            yield Write(due_share, (position - 1) / last, b"".join(batch))
            batch, due_share = [], share
        batch += encode(piece, position)
    yield Write(due_share, (len(pieces) - 1) / last, b"".join(batch))


def closing(call: Call, metadata: Mapping[str, Any] | None) -> bytes:
    """The end of a stream that went well.

    Args:
        call: The call.
        metadata: The router's report, if it was asked for.
    """
    if call.echo is None:
        return b"".join(map(event, answers.closing(call, metadata))) + DONE
    return b"".join(map(event, responses.closing(call, metadata, len(_pieces(call))))) + DONE


def breaking(call: Call, error: ApiError) -> bytes:
    """The end of a stream that breaks off; the real API sends no [DONE] after it, as far as is known."""
    if call.echo is None:
        return event(answers.error_chunk(call, error))
    return event(responses.error_chunk(call, error, len(_pieces(call))))


def _encoder(call: Call) -> Callable[[str, int], Sequence[bytes]]:
    """What makes an event of a piece and its position."""
    if call.echo is not None:
        return lambda piece, position: (event(responses.piece(call, piece, position)),)
    before, after = event(answers.piece(call, _GAP)).split(_ENCODED_GAP)
    return lambda piece, position: (before, json.dumps(piece).encode(), after)


def _pieces(call: Call) -> Sequence[str]:
    return _split(answers.whole(call), min(_MOST_PIECES, call.completion_tokens))


def _split(text: str, most: int) -> list[str]:
    """A text in at most so many pieces of about the same length; one piece at least."""
    count = max(1, min(most, len(text)))
    edges = [len(text) * position // count for position in range(count + 1)]
    return [text[first:beyond] for first, beyond in pairwise(edges)]

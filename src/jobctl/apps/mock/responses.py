"""Answers of ``/responses``, a chat in OpenAI's newer form: one item, which is a message or the call of a function.

A stream tells first that the response is there, then its item growing, then both complete; events are numbered. What
breaks off ends as a response that failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jobctl.apps.mock.answers import Call
from jobctl.apps.mock.errors import ApiError

__all__ = ["answer", "closing", "error_chunk", "opening", "piece"]


def answer(call: Call, error: ApiError | None = None, metadata: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The response when it has ended.

    Args:
        call: The call.
        error: What broke it off; the response has then failed.
        metadata: The router's report, if it was asked for.
    """
    if error is not None:
        return {**_response(call, "failed"), "error": {"code": "server_error", "message": error.message}}
    cut_short = call.finish_reason == "length"
    status = "incomplete" if cut_short else "completed"
    ended = {
        **_response(call, status),
        "completed_at": None if cut_short else call.created,
        "incomplete_details": {"reason": "max_output_tokens"} if cut_short else None,
        "output": [_item(call, status)],
        "usage": _usage(call),
    }
    return ended if metadata is None else {**ended, "openrouter_metadata": metadata}


def opening(call: Call) -> Iterator[dict[str, Any]]:
    """The first events: a response, its item, and for a message the part that will hold the text."""
    begun = _response(call, "in_progress")
    documents: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": _item(call, "in_progress")},
        {"type": "response.content_part.added", **_place(call), "part": _part("")},
    ]
    return _numbered(documents[: _opened(call)], 0)


def piece(call: Call, text: str, position: int) -> dict[str, Any]:
    """An event that carries a piece of the text or of the function's arguments.

    Args:
        call: The call.
        text: The piece.
        position: How many came before it.
    """
    document = {"sequence_number": _opened(call) + position, **_place(call), "delta": text}
    if call.tool is not None:
        return {"type": "response.function_call_arguments.delta", **document}
    return {"type": "response.output_text.delta", **document, "logprobs": []}


def closing(call: Call, metadata: Mapping[str, Any] | None, pieces: int) -> Iterator[dict[str, Any]]:
    """The end of a stream that went well.

    Args:
        call: The call.
        metadata: The router's report, if it was asked for.
        pieces: How many carried the text or the arguments.
    """
    if call.tool is not None:
        called = {"name": call.tool, "arguments": call.arguments}
        done = [{"type": "response.function_call_arguments.done", **_place(call), **called}]
    else:
        done = [
            {"type": "response.output_text.done", **_place(call), "text": call.content, "logprobs": []},
            {"type": "response.content_part.done", **_place(call), "part": _part(call.content)},
        ]
    ended = answer(call, metadata=metadata)
    done += [
        {"type": "response.output_item.done", "output_index": 0, "item": ended["output"][0]},
        {"type": f"response.{ended['status']}", "response": ended},
    ]
    return _numbered(done, _opened(call) + pieces)


def error_chunk(call: Call, error: ApiError, pieces: int) -> dict[str, Any]:
    """The event by which a stream breaks off.

    Args:
        call: The call.
        error: What broke it off.
        pieces: How many pieces there may have been before.
    """
    number = _opened(call) + pieces
    return {"type": "response.failed", "sequence_number": number, "response": answer(call, error)}


def _numbered(documents: Iterable[dict[str, Any]], first: int) -> Iterator[dict[str, Any]]:
    return ({**document, "sequence_number": number} for number, document in enumerate(documents, first))


def _opened(call: Call) -> int:
    """How many events open a stream: the call of a function has no parts."""
    return 4 if call.tool is None else 3


def _response(call: Call, status: str) -> dict[str, Any]:
    """A response without its outcome."""
    return {
        "id": call.id,
        "object": "response",
        "created_at": call.created,
        "completed_at": None,
        "status": status,
        "model": call.model.id,
        "output": [],
        "error": None,
        "incomplete_details": None,
        **(call.echo or {}),
    }


def _item(call: Call, status: str) -> dict[str, Any]:
    """The only item: empty while it is in progress."""
    done = status != "in_progress"
    item = {"id": _item_id(call), "status": status}
    if call.tool is not None:
        arguments = call.arguments if done else ""
        called = {"call_id": f"call_{call.id[-20:]}", "name": call.tool, "arguments": arguments}
        return {"type": "function_call", **item, **called}
    return {"type": "message", **item, "role": "assistant", "content": [_part(call.content)] if done else []}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _place(call: Call) -> dict[str, Any]:
    """Where in a response a piece belongs."""
    part = {"content_index": 0} if call.tool is None else {}
    return {"item_id": _item_id(call), "output_index": 0, **part}


def _item_id(call: Call) -> str:
    return f"{'msg' if call.tool is None else 'fc'}_{call.id[-20:]}"


def _usage(call: Call) -> dict[str, Any]:
    """The usage in the words of this form."""
    usage = call.usage()
    costs = usage["cost_details"]
    return {
        "input_tokens": usage["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage["total_tokens"],
        "cost": usage["cost"],
        "is_byok": False,
        "cost_details": {
            "upstream_inference_cost": costs["upstream_inference_cost"],
            "upstream_inference_input_cost": costs["upstream_inference_prompt_cost"],
            "upstream_inference_output_cost": costs["upstream_inference_completions_cost"],
        },
    }

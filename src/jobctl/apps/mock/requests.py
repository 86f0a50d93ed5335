"""A chat request, read as OpenRouter reads it: unknown keys are ignored, what cannot be served is an error answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jobctl.apps.mock.answers import count_tokens
from jobctl.apps.mock.catalog import MAX_COMPLETION_TOKENS, Model, find, is_known
from jobctl.apps.mock.errors import ApiError, invalid, no_endpoints, unknown_model

__all__ = ["Candidate", "ChatRequest", "read_chat", "read_completion"]

_ROLES: Final = frozenset({"system", "developer", "user", "assistant", "tool"})
_NO_INPUT: Final = 'Input required: specify "prompt" or "messages"'
#: Tokens that the format of a message adds to its text.
_PER_MESSAGE: Final = 4
_MOST_STOPS: Final = 4
_MOST_METADATA: Final = 16
_LONGEST_SESSION_ID: Final = 256
#: Sampling parameters and the bounds within which OpenRouter takes them.
_BOUNDS: Final[Mapping[str, tuple[float, float]]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "min_p": (0, 1),
    "top_a": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
    "repetition_penalty": (0, 2),
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that can serve a call.

    Attributes:
        model: The model.
        requested: Its id as the caller wrote it.
    """

    model: Model
    requested: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a call asks for.

    Attributes:
        candidates: Who can serve it, in the caller's order; at least one.
        prompt: All text of the input.
        prompt_tokens: Its tokens.
        max_tokens: The most tokens the answer may have.
        stream: Whether the answer is streamed.
        wants_json: Whether it must be a JSON object.
        tool: The function the answer must call; None for text.
        schema: The JSON schema of that object, or of the function's arguments; None when none was given.
    """

    candidates: Sequence[Candidate]
    prompt: str
    prompt_tokens: int
    max_tokens: int
    stream: bool
    wants_json: bool
    tool: str | None
    schema: Any


def read_chat(body: Any) -> ChatRequest:
    """Read the body of ``POST /chat/completions``.

    Raises:
        ApiError: It cannot be served; the answer to send.
    """
    fields = _object(body)
    messages = fields.get("messages")
    if not isinstance(messages, list) or not messages:
        raise invalid(_NO_INPUT)
    texts = [_message(position, message) for position, message in enumerate(messages)]
    return _request(fields, "\n".join(texts), _PER_MESSAGE * len(texts))


def read_completion(body: Any) -> ChatRequest:
    """Read the body of the legacy ``POST /completions``.

    Raises:
        ApiError: It cannot be served; the answer to send.
    """
    fields = _object(body)
    prompt = fields.get("prompt")
    texts = [text for text in (prompt if isinstance(prompt, list) else [prompt]) if isinstance(text, str) and text]
    if not texts:
        raise invalid(_NO_INPUT)
    return _request(fields, "\n".join(texts), 0)


def _request(fields: Mapping[str, Any], prompt: str, extra_tokens: int) -> ChatRequest:
    _check_parameters(fields)
    prompt_tokens = count_tokens(prompt) + extra_tokens
    form = fields.get("response_format")
    kind = form.get("type") if isinstance(form, dict) else None
    tool, parameters = _tool(fields)
    return ChatRequest(
        candidates=_candidates(fields, prompt_tokens),
        prompt=prompt,
        prompt_tokens=prompt_tokens,
        max_tokens=_max_tokens(fields),
        stream=fields.get("stream") is True,
        wants_json=kind in ("json_object", "json_schema"),
        tool=tool,
        schema=_member(_member(form, "json_schema"), "schema") if tool is None else parameters,
    )


def _object(body: Any) -> Mapping[str, Any]:
    if not isinstance(body, dict):
        raise invalid("Invalid JSON body")
    return body


def _message(position: int, message: Any) -> str:
    """The text of one message."""
    role = message.get("role") if isinstance(message, dict) else None
    if not isinstance(role, str) or role not in _ROLES:
        raise invalid(f"messages.{position}.role: expected one of {', '.join(sorted(_ROLES))}")
    match message.get("content"):
        case None:
            return ""
        case str(text):
            return text
        case list(parts):
            return "".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))
        case _:
            raise invalid(f"messages.{position}.content: expected a string or an array of parts")


def _candidates(fields: Mapping[str, Any], prompt_tokens: int) -> Sequence[Candidate]:
    """Those of ``model``, then ``models`` in order, that can serve; the last one's error if none can."""
    several = fields.get("models")
    wanted = [fields.get("model"), *(several if isinstance(several, list) else [])]
    names = [name for name in wanted if isinstance(name, str) and name]
    if not names:
        raise invalid("No models provided")
    candidates: list[Candidate] = []
    refusal: ApiError | None = None
    for name in names:
        try:
            candidates.append(Candidate(_serving(name, prompt_tokens), name))
        except ApiError as error:
            refusal = error
    if refusal is not None and not candidates:
        raise refusal
    return candidates


def _serving(name: str, prompt_tokens: int) -> Model:
    model = find(name)
    if model is None:
        raise no_endpoints(name) if is_known(name) else unknown_model(name)
    if prompt_tokens > model.context_length:
        raise ApiError(
            400,
            f"This endpoint's maximum context length is {model.context_length} tokens. However, you requested about "
            f"{prompt_tokens} tokens of text input.",
            {"error_type": "context_length_exceeded", "provider_name": None},
        )
    return model


def _check_parameters(fields: Mapping[str, Any]) -> None:
    """Refuse what lies outside the documented bounds; null stands for absent."""
    for name, (low, high) in _BOUNDS.items():
        value = fields.get(name)
        if value is not None and not (_is_number(value) and low <= value <= high):
            raise invalid(f"{name}: expected a number from {low} to {high}")
    stops = fields.get("stop")
    if isinstance(stops, list) and len(stops) > _MOST_STOPS:
        raise invalid(f"stop: expected at most {_MOST_STOPS} sequences")
    metadata = fields.get("metadata")
    if isinstance(metadata, dict) and len(metadata) > _MOST_METADATA:
        raise invalid(f"metadata: expected at most {_MOST_METADATA} pairs")
    session_id = fields.get("session_id")
    if isinstance(session_id, str) and len(session_id) > _LONGEST_SESSION_ID:
        raise invalid(f"session_id: expected at most {_LONGEST_SESSION_ID} characters")
    if not isinstance(fields.get("stream") or False, bool):
        raise invalid("stream: expected true or false")


def _max_tokens(fields: Mapping[str, Any]) -> int:
    """``max_completion_tokens`` or its old name, as far as a model can go."""
    for name in ("max_completion_tokens", "max_tokens"):
        value = fields.get(name)
        if value is None:
            continue
        if not _is_number(value) or value != int(value) or value < 1:
            raise invalid(f"{name}: expected a whole number of at least 1")
        return min(int(value), MAX_COMPLETION_TOKENS)
    return MAX_COMPLETION_TOKENS


def _is_number(value: Any) -> bool:
    """Whether a JSON value is a finite number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")


def _tool(fields: Mapping[str, Any]) -> tuple[str | None, Any]:
    """Name and parameters of the function that must be called: the named one, or the first if some call is required."""
    tools, choice = fields.get("tools"), fields.get("tool_choice")
    functions = [_member(tool, "function") for tool in tools] if isinstance(tools, list) else []
    if isinstance(choice, dict):
        wanted = _member(_member(choice, "function"), "name")
        known = (function for function in functions if _member(function, "name") == wanted)
        return (wanted, _member(next(known, None), "parameters")) if isinstance(wanted, str) else (None, None)
    if choice == "required" and functions and isinstance(name := _member(functions[0], "name"), str):
        return name, _member(functions[0], "parameters")
    return None, None


def _member(value: Any, name: str) -> Any:
    """A member of a JSON object; None where there is no such member or no object."""
    return value.get(name) if isinstance(value, dict) else None

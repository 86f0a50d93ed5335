"""A chat request, read as OpenRouter reads it: unknown keys are ignored, what cannot be served is an error answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from jobctl.apps.mock.answers import count_tokens
from jobctl.apps.mock.catalog import Model, find
from jobctl.apps.mock.errors import ApiError

__all__ = ["ChatRequest", "read_chat", "read_completion"]

_ROLES: Final = frozenset({"system", "developer", "user", "assistant", "tool"})
#: Tokens that the format of a message adds to its text.
_PER_MESSAGE: Final = 4
_INVALID: Final = {"error_type": "invalid_request"}


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a call asks for.

    Attributes:
        model: The model that serves it: the first of the candidates that exists.
        requested: That model as the caller wrote it.
        prompt: All text of the input.
        prompt_tokens: Its tokens.
        max_tokens: The most tokens the answer may have; None for no bound.
        stream: Whether the answer is streamed.
        wants_json: Whether it must be a JSON object.
        tool: The function the answer must call; None for text.
    """

    model: Model
    requested: str
    prompt: str
    prompt_tokens: int
    max_tokens: int | None
    stream: bool
    wants_json: bool
    tool: str | None


def read_chat(body: Any) -> ChatRequest:
    """Read the body of ``POST /chat/completions``.

    Raises:
        ApiError: It cannot be served; the answer to send.
    """
    fields = _object(body)
    messages = fields.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ApiError(400, 'Input required: specify "prompt" or "messages"', _INVALID)
    texts = [_message(message) for message in messages]
    return _request(fields, "\n".join(texts), _PER_MESSAGE * len(texts))


def read_completion(body: Any) -> ChatRequest:
    """Read the body of the legacy ``POST /completions``.

    Raises:
        ApiError: It cannot be served; the answer to send.
    """
    fields = _object(body)
    prompt = fields.get("prompt")
    if not isinstance(prompt, str) or not prompt:
        raise ApiError(400, 'Input required: specify "prompt" or "messages"', _INVALID)
    return _request(fields, prompt, 0)


def _request(fields: Mapping[str, Any], prompt: str, extra_tokens: int) -> ChatRequest:
    model, requested = _model(fields)
    prompt_tokens = count_tokens(prompt) + extra_tokens
    max_tokens = _max_tokens(fields)
    if prompt_tokens > model.context_length:
        raise ApiError(
            400,
            f"This endpoint's maximum context length is {model.context_length} tokens. However, you requested about "
            f"{prompt_tokens} tokens of text input.",
            {"error_type": "context_length_exceeded", "provider_name": None},
        )
    form = fields.get("response_format")
    return ChatRequest(
        model=model,
        requested=requested,
        prompt=prompt,
        prompt_tokens=prompt_tokens,
        max_tokens=max_tokens,
        stream=fields.get("stream") is True,
        wants_json=isinstance(form, Mapping) and form.get("type") in {"json_object", "json_schema"},
        tool=_tool(fields),
    )


def _object(body: Any) -> Mapping[str, Any]:
    if not isinstance(body, dict):
        raise ApiError(400, "Invalid JSON body", _INVALID)
    return body


def _message(message: Any) -> str:
    """The text of one message."""
    if not isinstance(message, dict) or message.get("role") not in _ROLES:
        raise ApiError(
            400, "Invalid input: messages need a role of system, developer, user, assistant or tool", _INVALID
        )
    content = message.get("content")
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return "" if content is None else str(content)


def _model(fields: Mapping[str, Any]) -> tuple[Model, str]:
    """The first candidate that can serve: ``model``, then ``models`` in order; the last one's error if none can."""
    several = fields.get("models")
    candidates = [fields.get("model"), *(several if isinstance(several, list) else [])]
    names = [name for name in candidates if isinstance(name, str) and name]
    if not names:
        raise ApiError(400, "No models provided", _INVALID)
    for name in names:
        model = find(name)
        if model is not None:
            return model, name
    raise ApiError(400, f"{names[-1]} is not a valid model ID", _INVALID)


def _max_tokens(fields: Mapping[str, Any]) -> int | None:
    value = fields.get("max_completion_tokens", fields.get("max_tokens"))
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ApiError(400, "max_tokens: expected a whole number of at least 1", _INVALID)
    return value


def _tool(fields: Mapping[str, Any]) -> str | None:
    """The function that must be called: the named one, or the first when some call is required."""
    tools, choice = fields.get("tools"), fields.get("tool_choice")
    if isinstance(choice, Mapping) and isinstance(choice.get("function"), Mapping):
        return str(choice["function"].get("name"))
    if choice == "required" and isinstance(tools, list) and tools:
        return str(tools[0].get("function", {}).get("name"))
    return None

"""What a call asks for, as OpenRouter reads it: unknown keys are ignored, what cannot be served is an error answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from jobctl.apps.mock.answers import count_tokens
from jobctl.apps.mock.catalog import CATALOG, EMBEDDINGS, MAX_COMPLETION_TOKENS, TEXT, Catalog, Model
from jobctl.apps.mock.embeddings import Vectors
from jobctl.apps.mock.errors import ApiError, invalid, no_endpoints, unknown_model, wrong_endpoint

__all__ = ["Candidate", "ChatRequest", "Reader", "read_chat", "read_completion", "read_embeddings", "read_responses"]

_ROLES: Final = frozenset({"system", "developer", "user", "assistant", "tool"})
_NO_INPUT: Final = 'Input required: specify "prompt" or "messages"'
#: Tokens that the format of a message adds to its text.
_PER_MESSAGE: Final = 4
_MOST_STOPS: Final = 4
_MOST_METADATA: Final = 16
_LONGEST_SESSION_ID: Final = 256
_MOST_INPUTS: Final = 2048
_FORMATS: Final = ("text", "json_object", "json_schema", "grammar", "python")
#: What an answer of ``/responses`` repeats of its call, with what stands where the call said nothing.
_REPEATED: Final[Mapping[str, Any]] = {
    "instructions": None,
    "metadata": None,
    "parallel_tool_calls": True,
    "temperature": None,
    "top_p": None,
    "presence_penalty": None,
    "frequency_penalty": None,
    "max_output_tokens": None,
    "tool_choice": "auto",
    "tools": (),
}
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
        vectors: The embeddings that are wanted in place of an answer.
        echo: What an answer of ``/responses`` repeats of the call; None on other routes.
    """

    candidates: Sequence[Candidate]
    prompt: str
    prompt_tokens: int
    max_tokens: int
    stream: bool
    wants_json: bool
    tool: str | None
    schema: Any
    vectors: Vectors | None = None
    echo: Mapping[str, Any] | None = None


#: Reads a body by the models that are served.
Reader = Callable[[Any, Catalog], ChatRequest]


def read_chat(body: Any, catalog: Catalog = CATALOG) -> ChatRequest:
    """Read the body of ``POST /chat/completions``.

    Args:
        body: The body.
        catalog: The models that are served.

    Raises:
        ApiError: It cannot be served; the answer to send.
    """
    fields = _object(body)
    messages = fields.get("messages")
    if not isinstance(messages, list) or not messages:
        raise invalid(_NO_INPUT)
    texts = [_message(f"messages.{position}", message) for position, message in enumerate(messages)]
    return _request(fields, "\n".join(texts), _PER_MESSAGE * len(texts), catalog)


def read_completion(body: Any, catalog: Catalog = CATALOG) -> ChatRequest:
    """Read the body of the legacy ``POST /completions``.

    Args:
        body: The body.
        catalog: The models that are served.

    Raises:
        ApiError: It cannot be served; the answer to send.
    """
    fields = _object(body)
    prompt = fields.get("prompt")
    texts = [text for text in (prompt if isinstance(prompt, list) else [prompt]) if isinstance(text, str) and text]
    if not texts:
        raise invalid(_NO_INPUT)
    return _request(fields, "\n".join(texts), 0, catalog)


def read_embeddings(body: Any, catalog: Catalog = CATALOG) -> ChatRequest:
    """Read the body of ``POST /embeddings``.

    Args:
        body: The body.
        catalog: The models that are served.

    Raises:
        ApiError: It cannot be served; the answer to send.
    """
    fields = _object(body)
    given = fields.get("input")
    if not isinstance(given, list) or all(map(_is_number, given)):
        given = [given]  # a text, or the tokens of one
    inputs = [_input(item) for item in given]
    if len(inputs) > _MOST_INPUTS:
        raise invalid(f"input: expected at most {_MOST_INPUTS} texts")
    form = fields.get("encoding_format")
    if form not in (None, "float", "base64"):
        raise invalid("encoding_format: expected float or base64")
    candidates = _candidates(fields, max(tokens for _, tokens in inputs), catalog, EMBEDDINGS)
    most = candidates[0].model.dimensions
    dimensions = fields.get("dimensions")
    if dimensions is not None and not (_is_number(dimensions) and dimensions in range(1, most + 1)):
        raise invalid(f"dimensions: expected a whole number from 1 to {most}")
    texts = [text for text, _ in inputs]
    return ChatRequest(
        candidates=candidates,
        prompt="\n".join(texts),
        prompt_tokens=sum(tokens for _, tokens in inputs),
        max_tokens=1,
        stream=False,
        wants_json=False,
        tool=None,
        schema=None,
        vectors=Vectors(texts, None if dimensions is None else int(dimensions), form == "base64"),
    )


def read_responses(body: Any, catalog: Catalog = CATALOG) -> ChatRequest:
    """Read the body of ``POST /responses``, a chat in OpenAI's newer form.

    Args:
        body: The body.
        catalog: The models that are served.

    Raises:
        ApiError: It cannot be served; the answer to send.
    """
    fields = _object(body)
    items, instructions = fields.get("input"), fields.get("instructions")
    if not (isinstance(items, str | list) and items):
        raise invalid("input: expected a text or an array of items")
    texts = [items] if isinstance(items, str) else [_item(f"input.{place}", item) for place, item in enumerate(items)]
    if isinstance(instructions, str):
        texts = [instructions, *texts]
    tools, choice, form = fields.get("tools"), fields.get("tool_choice"), _member(fields.get("text"), "format")
    as_chat = {
        **fields,
        "max_tokens": fields.get("max_output_tokens"),
        "tools": [{"function": tool} for tool in tools] if isinstance(tools, list) else tools,
        "tool_choice": {"function": choice} if isinstance(choice, dict) else choice,
        "response_format": None if form is None else {"type": _member(form, "type"), "json_schema": form},
    }
    asked = _request(as_chat, "\n".join(texts), _PER_MESSAGE * len(texts), catalog)
    given = {name: value for name in _REPEATED if (value := fields.get(name)) is not None}
    return replace(asked, echo={**_REPEATED, **given})


def _item(place: str, item: Any) -> str:
    """The text of one item: of a message, of a function's call or of its output."""
    if isinstance(item, dict) and item.get("type", "message") != "message":
        return str(item.get("arguments") or item.get("output") or "")
    return _message(place, item)


def _input(value: Any) -> tuple[str, int]:
    """A text to embed, and its tokens: a string, a list of tokens, or an object whose content is in parts."""
    if isinstance(value, list) and value and all(map(_is_number, value)):
        return str(value), len(value)
    parts = _member(value, "content")
    text = _joined(parts) if isinstance(parts, list) else value
    if not isinstance(text, str) or not (text or parts):
        raise invalid("input: expected a text, tokens, or a list of either; none of them empty")
    return text, count_tokens(text)


def _request(fields: Mapping[str, Any], prompt: str, extra_tokens: int, catalog: Catalog) -> ChatRequest:
    _check_parameters(fields)
    prompt_tokens = count_tokens(prompt) + extra_tokens
    form = fields.get("response_format")
    kind = form.get("type") if isinstance(form, dict) else None
    tool, parameters = _tool(fields)
    return ChatRequest(
        candidates=_candidates(fields, prompt_tokens, catalog, TEXT),
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


def _message(place: str, message: Any) -> str:
    """The text of one message."""
    role = message.get("role") if isinstance(message, dict) else None
    if not isinstance(role, str) or role not in _ROLES:
        raise invalid(f"{place}.role: expected one of {', '.join(sorted(_ROLES))}")
    match message.get("content"):
        case None if role == "assistant":  # which called tools
            return ""
        case str(text):
            return text
        case list(parts):
            return _joined(parts)
        case _:
            raise invalid(f"{place}.content: expected a string or an array of parts")


def _joined(parts: Sequence[Any]) -> str:
    return "".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))


def _candidates(fields: Mapping[str, Any], prompt_tokens: int, catalog: Catalog, output: str) -> Sequence[Candidate]:
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
            candidates.append(Candidate(_serving(name, prompt_tokens, catalog, output), name))
        except ApiError as error:
            refusal = error
    if refusal is not None and not candidates:
        raise refusal
    return candidates


def _serving(name: str, prompt_tokens: int, catalog: Catalog, output: str) -> Model:
    model = catalog.find(name)
    if model is None:
        raise no_endpoints(name) if catalog.is_known(name) else unknown_model(name)
    if output not in model.outputs:
        raise wrong_endpoint(name)
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
    if not isinstance(fields.get("tools"), list | None):
        raise invalid("tools: expected an array")
    form = fields.get("response_format")
    if form is not None and _member(form, "type") not in _FORMATS:
        raise invalid(f"response_format.type: expected one of {', '.join(_FORMATS)}")


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
    functions = [_member(tool, "function") for tool in tools or ()]
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

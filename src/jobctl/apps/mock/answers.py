"""OpenRouter's answers, document by document.

Keys that the official SDKs require are always there; keys whose null they reject are left out instead.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import accumulate
from typing import Any, Final

from jobctl.apps.mock.catalog import MAX_COMPLETION_TOKENS, Model
from jobctl.apps.mock.embeddings import Vectors
from jobctl.apps.mock.errors import ApiError
from jobctl.apps.mock.samples import sample

__all__ = [
    "Call",
    "Ledger",
    "Outcome",
    "answer",
    "closing",
    "count_tokens",
    "embeddings",
    "endpoints",
    "error_chunk",
    "models_page",
    "opening",
    "piece",
    "providers",
    "router_metadata",
    "whole",
]

#: Characters per token, the usual rule of thumb for English.
_CHARACTERS_PER_TOKEN: Final = 4
_WORDS: Final = ("The", " mock", " answers", " with", " words", " of", " one", " token", " each", ".")
_SENTENCE: Final = "".join(_WORDS)
#: Where word number n of the sentence begins.
_WORD_STARTS: Final = tuple(accumulate(map(len, _WORDS), initial=0))
#: The providers' own words for the end of an answer, where they differ from OpenRouter's.
_NATIVE: Final[Mapping[str, Mapping[str, str]]] = {
    "Google": {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP"},
    "Anthropic": {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"},
}

#: Keys of /generation that must be there and mean nothing for a mock.
_NULL_IN_GENERATION: Final = (
    "app_id",
    "cache_discount",
    "external_user",
    "http_referer",
    "moderation_latency",
    "num_fetches",
    "num_input_audio_prompt",
    "num_media_completion",
    "num_media_prompt",
    "num_search_results",
    "preset_id",
    "provider_responses",
    "router",
    "service_tier",
    "upstream_id",
    "user_agent",
    "web_search_engine",
    "workspace_id",
)


@dataclass(frozen=True, slots=True)
class Call:
    """One call that is being answered.

    Attributes:
        id: Its generation id.
        created: When it arrived, unix seconds.
        model: The model that serves it.
        requested: The model as the caller wrote it.
        prompt_tokens: Tokens of the input.
        completion_tokens: Tokens of the answer.
        finish_reason: Why the answer ends.
        wants_json: Whether the caller asked for a JSON object.
        tool: Name of the function the answer must call; None for text.
        schema: The schema of that JSON object, or of the function's arguments; None for any.
        legacy: Whether it was asked by ``/completions``, whose answers are plain text.
        attempt: Which of the caller's models serves it, from 1.
        vectors: The embeddings that are wanted in place of an answer.
        echo: What the answer repeats, if it was asked by ``/responses``, which has answers of its own.
    """

    id: str
    created: int
    model: Model
    requested: str
    prompt_tokens: int
    completion_tokens: int
    finish_reason: str
    wants_json: bool
    tool: str | None
    schema: Any = None
    legacy: bool = False
    attempt: int = 1
    vectors: Vectors | None = None
    echo: Mapping[str, Any] | None = None

    @property
    def content(self) -> str:
        """The answer's text: a word for each token, or JSON where it was asked for."""
        whole, rest = divmod(self.completion_tokens, len(_WORDS))
        words = _SENTENCE * whole + _SENTENCE[: _WORD_STARTS[rest]]
        if not self.wants_json:
            return words
        return json.dumps({"answer": words} if self.schema is None else sample(self.schema, words))

    @property
    def arguments(self) -> str:
        """The arguments of the function call, as JSON."""
        return json.dumps({} if self.schema is None else sample(self.schema, "mock"))

    @property
    def costs(self) -> tuple[float, float]:
        """USD for prompt and for completion, by the catalogue's prices."""
        prompt = Decimal(self.model.prompt_price) * self.prompt_tokens
        return float(prompt), float(Decimal(self.model.completion_price) * self.completion_tokens)

    @property
    def native_finish_reason(self) -> str:
        """The provider's own word for the end."""
        return _NATIVE.get(self.model.provider, {}).get(self.finish_reason, self.finish_reason)

    def usage(self) -> dict[str, Any]:
        """The usage object, always sent in full."""
        prompt_cost, completion_cost = self.costs
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "cost": prompt_cost + completion_cost,
            "is_byok": False,
            "prompt_tokens_details": {
                "cached_tokens": 0,
                "cache_write_tokens": 0,
                "audio_tokens": 0,
                "video_tokens": 0,
            },
            "cost_details": {
                "upstream_inference_cost": prompt_cost + completion_cost,
                "upstream_inference_prompt_cost": prompt_cost,
                "upstream_inference_completions_cost": completion_cost,
            },
            "completion_tokens_details": {"reasoning_tokens": 0, "image_tokens": 0, "audio_tokens": 0},
        }


def count_tokens(text: str) -> int:
    """Tokens of a text, by the rule of thumb."""
    return math.ceil(len(text) / _CHARACTERS_PER_TOKEN)


def answer(call: Call, error: ApiError | None = None, metadata: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The answer of a call that is not streamed.

    Args:
        call: The call.
        error: What broke it off; the answer is then partial and carries the error in its choice.
        metadata: The router's report, if it was asked for.
    """
    content = call.content if error is None else call.content[: len(call.content) // 2]
    if call.legacy:
        choice: dict[str, Any] = {"index": 0, "text": content}
    else:
        choice = {"index": 0, "message": _message(call, content, error)}
    choice |= _ending(call, call.finish_reason if error is None else "error")
    if error is not None:
        choice["error"] = error.to_document()["error"]
    return {
        "id": call.id,
        "object": "text_completion" if call.legacy else "chat.completion",
        "created": call.created,
        "model": call.model.id,
        "provider": call.model.provider,
        "system_fingerprint": None,
        "service_tier": None,
        "choices": [choice],
        "usage": call.usage(),
        **({} if metadata is None else {"openrouter_metadata": metadata}),
    }


def embeddings(call: Call, vectors: Vectors) -> dict[str, Any]:
    """The answer of ``POST /embeddings``, whose usage has no part for an answer."""
    usage = call.usage()
    del usage["completion_tokens"], usage["prompt_tokens_details"], usage["completion_tokens_details"]
    return {
        "object": "list",
        "data": vectors.to_documents(call.model.dimensions),
        "model": call.model.id,
        "usage": usage,
        "provider": call.model.provider,
        "id": call.id,
    }


def opening(call: Call) -> Iterator[dict[str, Any]]:
    """The first events of a stream: one that has no content yet, then the start of the tool call, if it makes one."""
    yield _chunk(call, {"role": "assistant", "content": ""})
    if _calls_tool(call):
        function = {"name": call.tool, "arguments": ""}
        begin = {"index": 0, "id": _tool_call_id(call), "type": "function", "function": function}
        yield _chunk(call, {"role": "assistant", "content": None, "tool_calls": [begin]})


def piece(call: Call, text: str) -> dict[str, Any]:
    """An event that carries a piece of the answer: of its text, or of the tool call's arguments."""
    if not _calls_tool(call):
        return _chunk(call, {"role": "assistant", "content": text})
    more = {"index": 0, "function": {"arguments": text}}
    return _chunk(call, {"role": "assistant", "content": None, "tool_calls": [more]})


def whole(call: Call) -> str:
    """What the pieces of a stream add up to."""
    return call.arguments if _calls_tool(call) else call.content


def closing(call: Call, metadata: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
    """The end of a stream: the finish reason, then once more with the usage, as newer captures show it.

    Args:
        call: The call.
        metadata: The router's report, if it was asked for.
    """
    yield _chunk(call, {"role": "assistant", "content": ""}, call.finish_reason)
    final = _chunk(call, {"role": "assistant", "content": ""}, call.finish_reason)
    yield {**final, "usage": call.usage(), **({} if metadata is None else {"openrouter_metadata": metadata})}


def error_chunk(call: Call, error: ApiError) -> dict[str, Any]:
    """The event by which a stream breaks off; its metadata must have an error_type, or SDKs reject it."""
    return {**_chunk(call, {"content": ""}, "error"), "error": error.to_document()["error"]}


def _calls_tool(call: Call) -> bool:
    return call.tool is not None and not call.legacy


def _chunk(call: Call, delta: Mapping[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    """One event. Its usage, system_fingerprint and error are left out rather than null."""
    body = {"text": delta["content"]} if call.legacy else {"delta": delta}
    return {
        "id": call.id,
        "object": "text_completion" if call.legacy else "chat.completion.chunk",
        "created": call.created,
        "model": call.model.id,
        "provider": call.model.provider,
        "choices": [{"index": 0, **body, **_ending(call, finish_reason)}],
    }


def _message(call: Call, content: str, error: ApiError | None) -> dict[str, Any]:
    """The assistant's message; keys whose null clients reject are there only when they say something."""
    message = {"role": "assistant", "content": content, "refusal": None, "reasoning": None}
    if call.tool is None or error is not None:
        return message
    function = {"name": call.tool, "arguments": call.arguments}
    tool_call = {"index": 0, "id": _tool_call_id(call), "type": "function", "function": function}
    return {**message, "content": None, "tool_calls": [tool_call]}


def _ending(call: Call, finish_reason: str | None) -> dict[str, Any]:
    native = call.native_finish_reason if finish_reason == call.finish_reason else finish_reason
    return {"finish_reason": finish_reason, "native_finish_reason": native, "logprobs": None}


def _tool_call_id(call: Call) -> str:
    return f"call_{call.id[-20:]}"


def router_metadata(call: Call) -> dict[str, Any]:
    """What ``X-OpenRouter-Metadata: enabled`` adds."""
    author, _, slug = call.requested.partition("/")
    strategy = slug if author == "openrouter" else "alias" if author.startswith("~") else "direct"
    return {
        "requested": call.requested,
        "strategy": "fallback" if call.attempt > 1 else strategy,
        "region": None,
        "summary": f"{call.model.id} served by {call.model.provider}",
        "attempt": call.attempt,
        "is_byok": False,
        "endpoints": {
            "total": 1,
            "available": [{"model": call.model.id, "provider": call.model.provider, "selected": True}],
        },
    }


def models_page(models: Sequence[Model], offset: int, limit: int | None, link: str) -> dict[str, Any]:
    """A page of ``GET /models``.

    Args:
        models: The whole list.
        offset: How many of them to skip.
        limit: How many to show; None for all.
        link: Where the next page is, if there is one.
    """
    beyond = len(models) if limit is None else offset + limit
    return {
        "data": [model.to_document() for model in models[offset:beyond]],
        "total_count": len(models),
        "links": {"next": link if beyond < len(models) else None},
    }


def providers(models: Sequence[Model]) -> dict[str, Any]:
    """``GET /providers``: those of some models."""
    names = {model.provider_slug: model.provider for model in models}
    unknown = dict.fromkeys(("privacy_policy_url", "terms_of_service_url", "status_page_url", "headquarters"))
    return {"data": [{"name": name, "slug": slug, **unknown, "datacenters": None} for slug, name in names.items()]}


def endpoints(model: Model) -> dict[str, Any]:
    """``GET /models/{author}/{slug}/endpoints``: one provider, with its latency (ms) and throughput (tokens/s)."""
    document = model.to_document()
    endpoint = {
        "name": f"{model.provider} | {model.id}",
        "model_id": model.id,
        "model_name": model.name,
        "context_length": model.context_length,
        "pricing": {**document["pricing"], "discount": 0},
        "provider_name": model.provider,
        "tag": model.provider_slug,
        "quantization": "unknown",
        "max_completion_tokens": MAX_COMPLETION_TOKENS,
        "max_prompt_tokens": None,
        "supported_parameters": document["supported_parameters"],
        "status": 0,
        "uptime_last_30m": 100.0,
        "uptime_last_5m": 100.0,
        "uptime_last_1d": 100.0,
        "supports_implicit_caching": False,
        "supports_diarization": False,
        "supports_tool_choice": {"none": True, "auto": True, "required": True, "function": True},
        "native_tools": {},
        "service_tier": None,
        "latency_last_30m": {"p50": 700.0, "p75": 980.0, "p90": 1330.0, "p99": 4000.0},
        "throughput_last_30m": {"p50": 83.0, "p75": 102.0, "p90": 122.0, "p99": 167.0},
    }
    return {
        "data": {
            "id": model.id,
            "name": model.name,
            "created": model.created,
            "description": document["description"],
            "architecture": document["architecture"],
            "endpoints": [endpoint],
        }
    }


@dataclass(slots=True)
class Ledger:
    """What a key has spent since the mock started."""

    usage_usd: float = 0.0

    def key(self, label: str, free_requests: Mapping[str, int]) -> dict[str, Any]:
        """``GET /key``.

        Args:
            label: The key, shortened.
            free_requests: The account's day of free models: limit, used, remaining.
        """
        usage, no_usage = self.usage_usd, 0.0
        return {
            "data": {
                "label": label,
                "limit": None,
                "limit_remaining": None,
                "limit_reset": None,
                "include_byok_in_limit": False,
                **{f"usage{period}": usage for period in ("", "_daily", "_weekly", "_monthly")},
                **{f"byok_usage{period}": no_usage for period in ("", "_daily", "_weekly", "_monthly")},
                "is_free_tier": False,
                "is_management_key": False,
                "is_provisioning_key": False,
                "rate_limit": {
                    "requests": -1,
                    "interval": "10s",
                    "note": "This field is deprecated and safe to ignore.",
                },
                "creator_user_id": None,
                "organization_id": None,
                "workspace_id": None,
                "allowed_data_regions": ["global"],
                "budgets": [],
                "effective_budget": None,
                "free_model_daily_requests": dict(free_requests),
                "expires_at": None,
            }
        }

    def credits(self, total_usd: float) -> dict[str, Any]:
        """``GET /credits``."""
        return {"data": {"total_credits": total_usd, "total_usage": self.usage_usd}}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call went, for ``GET /generation``.

    Attributes:
        call: The call.
        first_token_s: From its arrival to the first token.
        total_s: From its arrival to the end.
        streamed: Whether it was streamed.
        cancelled: Whether the caller hung up.
        failed: Whether it broke off with an error.
        billed_share: The share of the answer that was billed, in 0..1.
        made_vectors: Whether it was for embeddings.
    """

    call: Call
    first_token_s: float
    total_s: float
    streamed: bool
    cancelled: bool
    failed: bool
    billed_share: float
    made_vectors: bool

    @property
    def cost_usd(self) -> float:
        """What it cost: nothing when it failed, else the prompt and the billed share of the answer."""
        prompt, completion = self.call.costs
        return 0.0 if self.failed else prompt + completion * self.billed_share

    def to_document(self) -> dict[str, Any]:
        """The answer: every key the SDKs require; times in milliseconds, as the API has them."""
        call, cost = self.call, self.cost_usd
        tokens = round(call.completion_tokens * self.billed_share)
        return {
            "data": {
                **dict.fromkeys(_NULL_IN_GENERATION),
                "id": call.id,
                "model": call.model.id,
                "created_at": datetime.fromtimestamp(call.created, UTC).isoformat().replace("+00:00", "Z"),
                "data_region": "global",
                "is_byok": False,
                "origin": "",
                "total_cost": cost,
                "usage": cost,
                "upstream_inference_cost": cost,
                "api_type": "embeddings" if self.made_vectors else "completions",
                "provider_name": call.model.provider,
                "streamed": self.streamed,
                "cancelled": self.cancelled,
                "finish_reason": "error" if self.failed else call.finish_reason,
                "native_finish_reason": "error" if self.failed else call.native_finish_reason,
                "latency": round(self.first_token_s * 1000, 3),
                "generation_time": round((self.total_s - self.first_token_s) * 1000, 3),
                "tokens_prompt": call.prompt_tokens,
                "tokens_completion": tokens,
                "native_tokens_prompt": call.prompt_tokens,
                "native_tokens_completion": tokens,
                "native_tokens_completion_images": 0,
                "native_tokens_reasoning": 0,
                "native_tokens_cached": 0,
            }
        }

"""OpenRouter's answers, document by document.

Keys that the official SDKs require are always there; keys whose null they reject are left out instead.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from jobctl.apps.mock.catalog import MODELS, Model
from jobctl.apps.mock.errors import ApiError

__all__ = [
    "Call",
    "Ledger",
    "chat_answer",
    "chunks",
    "count_tokens",
    "endpoints",
    "generation",
    "models_page",
    "router_metadata",
]

#: Characters per token, the usual rule of thumb for English.
_CHARACTERS_PER_TOKEN: Final = 4
#: A stream has at most this many content events, however long the answer.
_MOST_CHUNKS: Final = 40
_WORDS: Final = ("The", " mock", " answers", " with", " words", " of", " one", " token", " each", ".")


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

    @property
    def content(self) -> str:
        """The answer's text: a word for each token, or a JSON object where one was asked for."""
        words = "".join(_WORDS[position % len(_WORDS)] for position in range(self.completion_tokens))
        return json.dumps({"answer": words}) if self.wants_json else words

    @property
    def costs(self) -> tuple[float, float]:
        """USD for prompt and for completion, by the catalogue's prices."""
        prompt = Decimal(self.model.prompt_price) * self.prompt_tokens
        return float(prompt), float(Decimal(self.model.completion_price) * self.completion_tokens)

    @property
    def native_finish_reason(self) -> str:
        """The provider's own word for the end."""
        return {"Google": "STOP", "Anthropic": "end_turn"}.get(self.model.provider, self.finish_reason)

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


def chat_answer(call: Call, error: ApiError | None = None) -> dict[str, Any]:
    """The answer of a call that is not streamed; with an error, the partial answer that carries it."""
    message: dict[str, Any] = {"role": "assistant", "content": call.content, "refusal": None, "reasoning": None}
    if call.tool is not None:
        message["content"] = None
        message["tool_calls"] = [_tool_call(call)]
    choice: dict[str, Any] = {
        "index": 0,
        "logprobs": None,
        "finish_reason": call.finish_reason,
        "native_finish_reason": call.native_finish_reason,
        "message": message,
    }
    if error is not None:
        message["content"] = call.content[: len(call.content) // 2]
        choice |= {"finish_reason": "error", "error": error.to_document()["error"]}
    return {
        "id": call.id,
        "object": "chat.completion",
        "created": call.created,
        "model": call.model.id,
        "provider": call.model.provider,
        "system_fingerprint": None,
        "service_tier": None,
        "choices": [choice],
        "usage": call.usage(),
    }


def text_answer(call: Call) -> dict[str, Any]:
    """The answer of the legacy ``/completions``."""
    answer = chat_answer(call)
    choice = {
        "index": 0,
        "text": call.content,
        "logprobs": None,
        "finish_reason": call.finish_reason,
        "native_finish_reason": call.native_finish_reason,
    }
    return {**answer, "object": "text_completion", "choices": [choice]}


def chunks(call: Call) -> Iterator[tuple[float, dict[str, Any]]]:
    """The content events of a stream, each with the share of the answer that it completes, in 0..1."""
    if call.tool is not None:
        yield (
            0.0,
            _chunk(call, {"role": "assistant", "content": None, "tool_calls": [{"index": 0, **_tool_call(call)}]}),
        )
        return
    content = call.content
    count = max(1, min(_MOST_CHUNKS, call.completion_tokens))
    edges = [len(content) * position // count for position in range(count + 1)]
    for position, (first, beyond) in enumerate(zip(edges, edges[1:], strict=False)):
        share = position / (count - 1) if count > 1 else 0.0
        yield share, _chunk(call, {"role": "assistant", "content": content[first:beyond]})


def last_chunks(call: Call, metadata: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
    """The end of a stream: the finish reason, then once more with the usage, as newer captures show it."""
    yield _chunk(call, {"role": "assistant", "content": ""}, call.finish_reason)
    final = _chunk(call, {"role": "assistant", "content": ""}, call.finish_reason)
    yield {**final, "usage": call.usage(), **({} if metadata is None else {"openrouter_metadata": metadata})}


def error_chunk(call: Call, error: ApiError) -> dict[str, Any]:
    """The event by which a stream breaks off: HTTP stays 200, the code is an integer, the metadata has an error_type."""
    chunk = _chunk(call, {"content": ""}, "error")
    return {**chunk, "error": error.to_document()["error"]}


def _chunk(call: Call, delta: Mapping[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    choice = {
        "index": 0,
        "delta": dict(delta),
        "finish_reason": finish_reason,
        "native_finish_reason": None if finish_reason is None else call.native_finish_reason,
        "logprobs": None,
    }
    return {
        "id": call.id,
        "object": "chat.completion.chunk",
        "created": call.created,
        "model": call.model.id,
        "provider": call.model.provider,
        "choices": [choice],
    }


def _tool_call(call: Call) -> dict[str, Any]:
    return {"id": f"call_{call.id[-20:]}", "type": "function", "function": {"name": call.tool, "arguments": "{}"}}


def router_metadata(call: Call) -> dict[str, Any]:
    """What ``X-OpenRouter-Metadata: enabled`` adds."""
    return {
        "requested": call.requested,
        "strategy": "direct",
        "region": None,
        "summary": f"{call.model.id} served by {call.model.provider}",
        "attempt": 1,
        "is_byok": False,
        "endpoints": {
            "total": 1,
            "available": [{"model": call.model.id, "provider": call.model.provider, "selected": True}],
        },
    }


def models_page(offset: int, limit: int | None) -> dict[str, Any]:
    """A page of ``GET /models``; without a limit, the whole list."""
    beyond = len(MODELS) if limit is None else offset + limit
    rest = f"/api/v1/models?offset={beyond}&limit={limit}" if beyond < len(MODELS) else None
    return {
        "data": [model.to_document() for model in MODELS[offset:beyond]],
        "total_count": len(MODELS),
        "links": {"next": rest},
    }


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
        "tag": model.provider.lower().replace(".", ""),
        "quantization": "unknown",
        "max_completion_tokens": 16384,
        "max_prompt_tokens": None,
        "supported_parameters": document["supported_parameters"],
        "status": 0,
        "uptime_last_30m": 100.0,
        "uptime_last_5m": 100.0,
        "uptime_last_1d": 100.0,
        "supports_implicit_caching": False,
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
    """What a key has spent."""

    usage_usd: float = 0.0
    requests: int = 0

    def charge(self, call: Call) -> None:
        """Bill a call that was answered."""
        self.usage_usd += sum(call.costs)
        self.requests += 1

    def key(self, label: str) -> dict[str, Any]:
        """``GET /key``."""
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
                "free_model_daily_requests": {"limit": 1000, "used": 0, "remaining": 1000},
                "expires_at": None,
            }
        }

    def credits(self, total_usd: float) -> dict[str, Any]:
        """``GET /credits``."""
        return {"data": {"total_credits": total_usd, "total_usage": self.usage_usd}}


def generation(call: Call, *, first_token_s: float, total_s: float, streamed: bool, cancelled: bool) -> dict[str, Any]:
    """``GET /generation``: every key the SDKs require; times in milliseconds, as the API has them."""
    prompt_cost, completion_cost = call.costs
    nullable = (
        "app_id cache_discount external_user http_referer moderation_latency num_fetches num_input_audio_prompt "
        "num_media_completion num_media_prompt num_search_results preset_id provider_responses router service_tier "
        "upstream_id user_agent web_search_engine workspace_id"
    )
    return {
        "data": {
            **dict.fromkeys(nullable.split()),
            "id": call.id,
            "model": call.model.id,
            "created_at": datetime.fromtimestamp(call.created, UTC).isoformat().replace("+00:00", "Z"),
            "data_region": "global",
            "is_byok": False,
            "origin": "",
            "total_cost": prompt_cost + completion_cost,
            "usage": prompt_cost + completion_cost,
            "upstream_inference_cost": prompt_cost + completion_cost,
            "api_type": "completions",
            "provider_name": call.model.provider,
            "streamed": streamed,
            "cancelled": cancelled,
            "finish_reason": call.finish_reason,
            "native_finish_reason": call.native_finish_reason,
            "latency": round(first_token_s * 1000),
            "generation_time": round((total_s - first_token_s) * 1000),
            "tokens_prompt": call.prompt_tokens,
            "tokens_completion": call.completion_tokens,
            "native_tokens_prompt": call.prompt_tokens,
            "native_tokens_completion": call.completion_tokens,
            "native_tokens_completion_images": 0,
            "native_tokens_reasoning": 0,
            "native_tokens_cached": 0,
        }
    }

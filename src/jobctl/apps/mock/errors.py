"""OpenRouter's error answers: status, headers and envelope, kind by kind.

The envelope is ``{"error": {"code", "message", "metadata"?}, "user_id"?}``; its code is an integer, the HTTP status.
Shapes follow the OpenAPI types of the official SDKs (1.3) and captured answers of 2025 and 2026.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jobctl.apps.mock.behaviour import Fault
from jobctl.apps.mock.catalog import Model
from jobctl.apps.mock.limits import Admission

__all__ = ["ApiError", "fault_error", "invalid", "no_endpoints", "rate_limited", "unknown_model", "wrong_endpoint"]

_USER: Final = "user_2mockmockmockmockmockmockmoc"
#: Seconds that overloaded upstreams ask callers to wait, unless the call names another figure.
_RETRY_AFTER_S: Final = 1
#: The same for the in-flight budget, as reported by users.
_BUDGET_RETRY_AFTER_S: Final = 120
_DOCS_URL: Final = "https://openrouter.ai/docs/api-reference/errors"


@dataclass(eq=False)
class ApiError(Exception):
    """An error answer.

    Attributes:
        code: HTTP status and error code.
        message: For people.
        metadata: More about it; None to leave the key out.
        headers: Response headers beside the media type.
        availability: What is wrong with a model, for programs; None to leave the key out.
    """

    code: int
    message: str
    metadata: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    availability: Mapping[str, Any] | None = None

    def to_document(self) -> dict[str, Any]:
        """The answer's body."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.metadata is not None:
            error["metadata"] = dict(self.metadata)
        if self.availability is not None:
            error["availability"] = dict(self.availability)
        return {"error": error, "user_id": _USER}


def invalid(message: str) -> ApiError:
    """The 400 of a request that cannot be understood."""
    return ApiError(400, message, {"error_type": "invalid_request"})


def unknown_model(name: str) -> ApiError:
    """The 400 of a model id that names nothing here; the hint is for whoever runs the mock."""
    hint = f"jobctl mock serves it with --serve-model {name}"
    return _unavailable(400, f"{name} is not a valid model ID", "model_not_found", name, {"remedy_hint": hint})


def wrong_endpoint(name: str) -> ApiError:
    """The 400 of a model that makes no text where that is wanted, or no embeddings."""
    return _unavailable(400, f"Model {name} does not exist", "wrong_endpoint", name)


def no_endpoints(name: str) -> ApiError:
    """The 404 of a known model that nobody serves in this variant."""
    return _unavailable(404, f"No endpoints found for {name}.", "no_endpoints", name)


def _unavailable(status: int, message: str, code: str, name: str, more: Mapping[str, Any] | None = None) -> ApiError:
    metadata = {"error_type": "not_found" if status == 404 else "invalid_request", **(more or {})}
    availability = {"code": code, "retryable": False, "requested_models": [name], "docs_url": _DOCS_URL}
    return ApiError(status, message, metadata, availability=availability)


def rate_limited(refused: Admission, now_s: float) -> ApiError:
    """The platform's own 429, with its limit headers mirrored in the body as strings.

    Args:
        refused: What the limit said.
        now_s: Seconds since the epoch.
    """
    headers = {
        "X-RateLimit-Limit": str(refused.limit),
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(math.ceil((now_s + refused.retry_after_s) * 1000)),
    }
    daily = refused.name.startswith("free-models-per-day")
    metadata = {
        "headers": headers,
        "error_type": "rate_limit_exceeded",
        "limit_source": "openrouter_free_tier_daily" if daily else "openrouter_shared_capacity",
        "remedy_hint": "Wait until the limit resets.",
        "provider_name": None,
    }
    return ApiError(
        429,
        f"Rate limit exceeded: {refused.name}.",
        metadata,
        {**headers, "Retry-After": str(max(1, math.ceil(refused.retry_after_s)))},
    )


def fault_error(fault: Fault, model: Model, prompt: str, retry_after: str | None) -> ApiError:
    """The error answer of a fault.

    Args:
        fault: One of the faults that are an error status.
        model: The model that was asked.
        prompt: Its input, quoted by moderation.
        retry_after: Retry-After to send where the real API may; None for the usual figure.
    """
    match fault:
        case Fault.PAYMENT | Fault.BUDGET | Fault.FORBIDDEN:
            return _account_error(fault, retry_after)
        case Fault.MODERATION:
            return _moderation_error(model, prompt)
        case Fault.TIMEOUT:
            return ApiError(408, "Request timed out", {"error_type": "timeout"})
        case Fault.INTERNAL:
            return ApiError(500, "Internal Server Error", {"error_type": "server"})
        case _:
            return _upstream_error(fault, model, retry_after or str(_RETRY_AFTER_S))


def _account_error(fault: Fault, retry_after: str | None) -> ApiError:
    """What is wrong with the caller's account."""
    if fault is Fault.PAYMENT:
        return ApiError(
            402,
            "Insufficient credits. Add more using https://openrouter.ai/settings/credits",
            {"error_type": "payment_required", "limit_source": "openrouter_credits"},
        )
    if fault is Fault.BUDGET:
        return ApiError(
            402,
            "Too many requests in flight for the remaining balance. Please retry shortly.",
            {
                "error_type": "payment_required",
                "reason": "in_flight_budget_exhausted",
                "limit_source": "openrouter_in_flight_budget",
            },
            {"Retry-After": retry_after or str(_BUDGET_RETRY_AFTER_S)},
        )
    return ApiError(
        403,
        "Key limit exceeded (total limit). Manage it using https://openrouter.ai/settings/keys",
        {
            "error_type": "permission_denied",
            "limit_source": "openrouter_key_limit",
            "scope": "key",
            "limit_usd": 10.0,
            "spend_usd": 10.0,
            "resets_at": None,
        },
    )


def _moderation_error(model: Model, prompt: str) -> ApiError:
    return ApiError(
        403,
        f"{model.id} requires moderation. Your input was flagged for: violence",
        {
            "error_type": "permission_denied",
            "reasons": ["violence"],
            "flagged_input": prompt[:100],
            "provider_name": model.provider,
            "model_slug": model.id,
        },
    )


def _upstream_error(fault: Fault, model: Model, retry_after: str) -> ApiError:
    """What a provider answered; Retry-After where the real API may send it."""
    metadata: dict[str, Any] = {"provider_name": model.provider, "is_byok": False, "previous_errors": []}
    headers = {"Retry-After": retry_after}
    match fault:
        case Fault.RATE_LIMIT:
            raw = f"{model.id} is temporarily rate-limited upstream. Please retry shortly."
            metadata |= {
                "raw": raw,
                "error_type": "rate_limit_exceeded",
                "limit_source": "upstream_provider_shared_pool",
            }
        case Fault.UNAVAILABLE:
            metadata |= {"raw": "The provider is overloaded", "error_type": "provider_overloaded"}
        case _:
            metadata |= {"raw": "upstream connect error", "error_type": "provider_unavailable"}
            headers = {}
    code = 502 if fault not in {Fault.RATE_LIMIT, Fault.UNAVAILABLE} else int(fault)
    return ApiError(code, "Provider returned error", metadata, headers)

"""OpenRouter's error answers: status, headers and envelope, kind by kind.

The envelope is ``{"error": {"code", "message", "metadata"?}, "user_id"?}`` with an integer code equal to the HTTP status.
Shapes follow the OpenAPI types of the official SDKs (1.3) and captured answers of 2025 and 2026.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jobctl.apps.mock.behaviour import Fault
from jobctl.apps.mock.catalog import Model

__all__ = ["ApiError", "fault_error", "rate_limited"]

_USER: Final = "user_2mockmockmockmockmockmockmoc"
#: Seconds that overloaded upstreams ask callers to wait, unless the call names another figure.
_RETRY_AFTER_S: Final = 1
#: The same for the in-flight budget, as reported by users.
_BUDGET_RETRY_AFTER_S: Final = 120


@dataclass(eq=False)
class ApiError(Exception):
    """An error answer.

    Attributes:
        code: HTTP status and error code.
        message: For people.
        metadata: More about it; None to leave the key out.
        headers: Response headers beside the media type.
    """

    code: int
    message: str
    metadata: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def to_document(self) -> dict[str, Any]:
        """The answer's body."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.metadata is not None:
            error["metadata"] = dict(self.metadata)
        return {"error": error, "user_id": _USER}


def rate_limited(limit: int, retry_after_s: float, now_s: float) -> ApiError:
    """The platform's own 429, with its limit headers mirrored in the body as strings.

    Args:
        limit: Requests or tokens a minute.
        retry_after_s: Seconds until there is room.
        now_s: Seconds since the epoch.
    """
    headers = {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(math.ceil((now_s + retry_after_s) * 1000)),
    }
    metadata = {
        "headers": headers,
        "error_type": "rate_limit_exceeded",
        "limit_source": "openrouter_shared_capacity",
        "remedy_hint": "Slow down, or raise the limit of the mock.",
        "provider_name": None,
    }
    return ApiError(
        429,
        f"Rate limit exceeded: limited to {limit} per minute. Please retry later.",
        metadata,
        {**headers, "Retry-After": str(max(1, math.ceil(retry_after_s)))},
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
        case Fault.PAYMENT:
            return ApiError(
                402,
                "Insufficient credits. Add more using https://openrouter.ai/settings/credits",
                {"error_type": "payment_required", "limit_source": "openrouter_credits"},
            )
        case Fault.BUDGET:
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
        case Fault.FORBIDDEN:
            return ApiError(
                403,
                "Key limit exceeded (total limit). Manage it using https://openrouter.ai/settings/keys",
                {"error_type": "permission_denied", "limit_source": "openrouter_key_limit", "scope": "key"},
            )
        case Fault.MODERATION:
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
        case Fault.TIMEOUT:
            return ApiError(408, "Request timed out", {"error_type": "timeout"})
        case Fault.RATE_LIMIT:
            return _upstream(
                429,
                model,
                "rate_limit_exceeded",
                f"{model.id} is temporarily rate-limited upstream. Please retry shortly.",
                retry_after or str(_RETRY_AFTER_S),
            )
        case Fault.INTERNAL:
            return ApiError(500, "Internal Server Error", {"error_type": "server"})
        case Fault.BAD_GATEWAY:
            return _upstream(502, model, "provider_unavailable", "upstream connect error", None)
        case _:
            return _upstream(
                503, model, "provider_overloaded", "The provider is overloaded", retry_after or str(_RETRY_AFTER_S)
            )


def _upstream(code: int, model: Model, error_type: str, raw: str, retry_after: str | None) -> ApiError:
    metadata: dict[str, Any] = {
        "raw": raw,
        "provider_name": model.provider,
        "is_byok": False,
        "error_type": error_type,
        "previous_errors": [],
    }
    if code == 429:
        metadata["limit_source"] = "upstream_provider_shared_pool"
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return ApiError(code, "Provider returned error", metadata, headers)

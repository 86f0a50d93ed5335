"""What an OpenRouter account has left: ``GET /key`` and ``GET /credits``, asked on a thread of one's own.

Both need no more than the key that jobs call with, but ``/credits`` is documented for management keys: others get a 403
there, and the figure is then unknown. A figure that could not be renewed for three periods is forgotten.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx

from jobctl.ports import Readings

__all__ = ["OpenRouterAccount", "credit_usd", "remaining_usd"]

_PERIODS_KEPT: Final = 3


class OpenRouterAccount:
    """The account behind a key.

    Args:
        base_url: Up to and with ``/api/v1``.
        api_key: The bearer token.
        period_s: How often it is asked at most, seconds.
        timeout_s: How long each part of an answer may take, seconds.
        now_s: Monotonic time, seconds.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        period_s: float = 60.0,
        timeout_s: float = 10.0,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._base_url = base_url
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._period_s = period_s
        self._timeout_s = timeout_s
        self._now_s = now_s
        self._asked_s: float | None = None
        self._values: dict[str, tuple[float, float]] = {}

    def ask_when_due(self) -> None:
        """Ask, unless it was done less than a period ago; an account that does not answer leaves things as they are."""
        now_s = self._now_s()
        if self._asked_s is not None and now_s - self._asked_s < self._period_s:
            return
        self._asked_s = now_s
        for path, metric, read in _FIGURES:
            try:
                response = httpx.get(f"{self._base_url}/{path}", headers=self._headers, timeout=self._timeout_s)
                value = read(response.raise_for_status().json()["data"])
            except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError):
                continue
            self._values.pop(metric, None)
            if value is not None:
                self._values[metric] = (value, now_s)

    def readings(self) -> Readings:
        """The figures that are known.

        Raises:
            ServiceUnavailable: Never: what is not known is left out.
        """
        oldest_s = self._now_s() - _PERIODS_KEPT * self._period_s
        return {metric: [((), value)] for metric, (value, at_s) in list(self._values.items()) if at_s >= oldest_s}


def remaining_usd(data: Mapping[str, Any]) -> float | None:
    """What the limit of a key leaves, by the data of ``/key``; None where it has no limit."""
    return None if data["limit_remaining"] is None else float(data["limit_remaining"])


def credit_usd(data: Mapping[str, Any]) -> float:
    """Credits bought less credits used, by the data of ``/credits``."""
    return float(data["total_credits"]) - float(data["total_usage"])


_FIGURES: Final[tuple[tuple[str, str, Callable[[Mapping[str, Any]], float | None]], ...]] = (
    ("key", "openrouter_key_remaining_usd", remaining_usd),
    ("credits", "openrouter_credit_usd", credit_usd),
)

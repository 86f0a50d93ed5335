"""When to try again, and after how long: a decision, without a clock or a sleep.

Back-off is exponential with full jitter: uniform in [0, min(cap, base 2^(n-1))] before attempt n + 1 (Brooker,
"Exponential Backoff And Jitter", AWS Architecture Blog, 2015). What the upstream asks for by Retry-After is obeyed
exactly: never earlier, and not at all when it lies beyond the deadline.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

__all__ = ["RetryPolicy", "backoff_s", "retry_after_s"]

#: Doublings beyond this many change nothing but could overflow.
_MOST_DOUBLINGS: Final = 64


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How persistent a caller is.

    Attributes:
        attempts: Tries in all, the first included.
        base_s: Upper bound of the first back-off, seconds.
        cap_s: Upper bound of any back-off, seconds.
    """

    attempts: int = 3
    base_s: float = 0.5
    cap_s: float = 8.0


def backoff_s(policy: RetryPolicy, attempt: int, rng: random.Random) -> float:
    """Seconds to wait after attempt number ``attempt`` (from 1) failed."""
    return rng.uniform(0, min(policy.cap_s, policy.base_s * 2.0 ** min(attempt - 1, _MOST_DOUBLINGS)))


def retry_after_s(
    policy: RetryPolicy,
    *,
    attempt: int,
    retryable: bool,
    asked_s: float | None,
    remaining_s: float,
    rng: random.Random,
) -> float | None:
    """Decide on another attempt.

    Args:
        policy: How persistent to be.
        attempt: The attempt that failed, from 1.
        retryable: Whether its error may heal.
        asked_s: Seconds the upstream asked to wait; None when it did not.
        remaining_s: Seconds until the deadline.
        rng: Source of the jitter.

    Returns:
        Seconds to wait before the next attempt; None to give up.
    """
    if not retryable or attempt >= policy.attempts:
        return None
    wait_s = backoff_s(policy, attempt, rng) if asked_s is None else asked_s
    return wait_s if wait_s < remaining_s else None

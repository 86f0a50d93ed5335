"""The synthetic jobs: what `jobctl bench` and `jobctl enqueue` put into queues.

RQ imports a job's function by its path and calls it, so there is nobody to hand it a client. The wiring binds one here
at boot: the package's one sanctioned process-wide state. A worker that jobctl did not boot (`rq worker`) binds itself
with the first call.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from threading import Lock
from typing import Any, Final

from jobctl.core.workload import DEFAULT_MODEL

__all__ = ["bind", "chat_completion", "noop", "sleep"]

Chat = Callable[..., Mapping[str, Any]]

_chat: Chat | None = None
_binding: Final = Lock()


def _the_first() -> int:
    """Which attempt it is in a worker that does not tell."""
    return 1


_attempt: Callable[[], int] = _the_first


def bind(chat: Chat, attempt: Callable[[], int] = _the_first) -> None:
    """Set, for this process, what :func:`chat_completion` calls and how a job learns which attempt it is, from 1."""
    global _chat, _attempt
    _chat, _attempt = chat, attempt


def chat_completion(prompt: str, model: str = DEFAULT_MODEL, max_tokens: int | None = None) -> dict[str, Any]:
    """One OpenRouter call.

    Args:
        prompt: The user's message.
        model: ``author/slug``.
        max_tokens: The longest answer, in tokens; None for no bound.

    Returns:
        The answer: id, model, content, finish_reason, token counts, cost in USD, latency in seconds and attempts.

    Raises:
        UpstreamError: No attempt gave an answer.
        Postponed: The limiter, or the upstream, wants the job to come later.
    """
    chat = _chat or _bound_from_environment()
    return dict(chat(messages=[{"role": "user", "content": prompt}], model=model, max_tokens=max_tokens))


def _bound_from_environment() -> Chat:
    """What the wiring binds in a worker that jobctl did not boot; once, however many threads begin together."""
    with _binding:
        if _chat is None:
            # The floors forbid a task to import the wiring, and nobody else is there who could call it.
            import_module("jobctl.wiring").bind_tasks_from_environment()
    assert _chat is not None
    return _chat


def sleep(seconds: float, failing: Sequence[float] = ()) -> float:
    """Hold a slot for so long.

    Args:
        seconds: How long, when it succeeds.
        failing: How long each of its first attempts holds the slot before it fails; empty for a job that never does.

    Returns:
        The seconds.

    Raises:
        RuntimeError: This attempt is to fail.
    """
    attempt = _attempt()
    if attempt <= len(failing):
        time.sleep(failing[attempt - 1])
        raise RuntimeError("this attempt was meant to fail")
    time.sleep(seconds)
    return seconds


def noop() -> None:
    """Do nothing."""

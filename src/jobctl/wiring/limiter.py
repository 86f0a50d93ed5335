"""The fleet's limiter, the gates of queues that declare their model, and what the synthetic jobs call."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache
from logging import getLogger
from typing import TYPE_CHECKING, Any, Final

from jobctl.errors import InvalidOption, InvalidValue, Postponed

if TYPE_CHECKING:
    from redis import Redis

    from jobctl.adapters.model_gate import ModelGate
    from jobctl.adapters.sparing_log import SparingLog
    from jobctl.ports import Limiter, LimiterObserver, UpstreamObserver
    from jobctl.settings import Settings

__all__ = ["bind_tasks", "bind_tasks_from_environment", "make_gates", "make_limiter"]

#: How long a job waits for its worker to be given a key, seconds.
_NO_KEY_S: Final = 30.0


def make_limiter(settings: Settings, connection: Redis) -> Limiter | None:
    """The limiter that all replicas share on this Redis; None without an API key or a queue that declares its model.

    Pauses, the retry budget and the breaker work without a configured limit as well.

    Args:
        settings: The key, the limits, and what holds while Redis does not answer.
        connection: A client of the Redis; the limiter opens connections of its own like it.
    """
    if settings.openrouter_api_key is None and not settings.queue_models:
        for name in ("openrouter_rpm", "openrouter_tpm"):
            if getattr(settings, name) is not None:
                raise InvalidOption(
                    settings.origins[name].name,
                    "limits calls of jobctl's client or of a queue's jobs, and there are none",
                    "set OPENROUTER_API_KEY, or declare the queue with --queue-model QUEUE=MODEL",
                )
        return None
    from jobctl.adapters.memory import MemoryLimiter
    from jobctl.adapters.redis_limiter import RedisLimiter, fingerprint

    local = MemoryLimiter(settings.limits, clock=time.time) if settings.limiter_failure == "open" else None
    return RedisLimiter(connection, fingerprint(settings.openrouter_api_key or ""), settings.limits, local=local)


def make_gates(settings: Settings, limiter: Limiter | None) -> dict[str, ModelGate]:
    """By the name of the queue, the gates of those that declare their model."""
    if limiter is None or not settings.queue_models:
        return {}
    from jobctl.adapters.model_gate import ModelGate

    origin = settings.origins["queue_models"]
    stranger = next((queue for queue in settings.queue_models if queue not in settings.queues), None)
    if stranger is not None and origin.level == "flag":  # the environment may be that of several services
        raise InvalidOption(
            origin.name, f"{stranger!r} is none of the worker's queues", f"name one of {settings.queues}"
        )
    return {queue: ModelGate(limiter, model) for queue, model in settings.queue_models.items()}


def bind_tasks(
    settings: Settings,
    limiter: Limiter | None = None,
    *,
    observers: Sequence[UpstreamObserver] = (),
    limiter_observer: LimiterObserver | None = None,
) -> None:
    """Hand the synthetic jobs what they call: RQ imports them by path, so this is done once for the process.

    The client is imported when a key is configured, and then at once: the first jobs should not wait for it.

    Args:
        settings: The key, the URL and the deadline of a call.
        limiter: Asked before each call; without one the client tries again by itself, in the job's slot.
        observers: Told how each call ended.
        limiter_observer: Told what the limiter costs.

    Raises:
        InvalidOption: The key or the URL means nothing.
    """
    from jobctl.adapters.permits import current_attempt
    from jobctl.apps.work import tasks

    key = settings.openrouter_api_key
    if key is None:
        tasks.bind(_no_key, current_attempt)
        return
    _import_httpx()
    from jobctl.adapters.openrouter import OpenRouterClient

    client = OpenRouterClient(
        settings.openrouter_url,
        key,
        timeout_s=settings.call_timeout_s,
        limiter=limiter,
        observers=observers,
        limiter_observer=limiter_observer,
    )
    tasks.bind(client.chat, current_attempt)


def _import_httpx() -> None:
    """Import httpx without its command line: rich, pygments and click would cost each worker 4 MB and 40 ms of CPU.

    httpx itself goes without where that cannot be imported.
    """
    import sys
    from importlib import import_module

    if "httpx" not in sys.modules:
        sys.modules["httpx._main"] = None  # type: ignore[assignment]  # to import it is an ImportError
        import_module("httpx")
        del sys.modules["httpx._main"]


def _no_key(**call: object) -> dict[str, Any]:
    """A call without a key. That is no fault of the job: where it can be put off it is, and not lost.

    Raises:
        Postponed: The job runs in a worker that can put it off.
        InvalidOption: It does not.
    """
    from jobctl.adapters.permits import permitted

    missing = InvalidOption("OPENROUTER_API_KEY", "is not set", "set it to your OpenRouter key, sk-or-...")
    if permitted.get() is None:
        raise missing
    _complaints().error("jobs that call OpenRouter are put off: %s", missing)
    raise Postponed(_NO_KEY_S, "no_key")


@cache
def _complaints() -> SparingLog:
    from jobctl.adapters.sparing_log import SparingLog

    return SparingLog(getLogger("jobctl.openrouter"), "%d more jobs that call OpenRouter were put off", most=1)


def bind_tasks_from_environment() -> None:
    """Bind the synthetic jobs in a worker that jobctl did not boot.

    Such a worker knows nothing of postponed jobs, so its calls wait in their slot. Where ``REDIS_URL`` is set they
    share the fleet's limits.

    Raises:
        InvalidOption: A setting means nothing.
    """
    from jobctl import settings

    merged = settings.load({})
    bind_tasks(merged, _limiter_of(merged))


def _limiter_of(settings: Settings) -> Limiter | None:
    if settings.redis_url is None:
        return None
    from redis import Redis

    try:
        return make_limiter(settings, Redis.from_url(settings.redis_url))
    except ValueError as error:
        if isinstance(error, InvalidValue):
            raise
        raise InvalidOption("REDIS_URL", "is not a Redis URL", "give redis://host:6379/0") from None

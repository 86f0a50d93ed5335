"""A limiter that a fleet shares, on Redis: one script decides and books in one step, by the server's clock.

``lua/limiter.lua`` holds the rules; ``core.limiting`` tells what they are for. State is kept for each model under a
fingerprint of the API key, never the key itself, and is forgotten an hour after its last use.

When Redis does not answer within about a second, one of two things happens, as configured: *open*, calls go ahead as
far as a limiter of this process alone lets them; or *closed*, they are put off. For the next second nobody asks again,
so a dead Redis costs a slot its patience once and not with each call.
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
import time
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, Final

from redis import BlockingConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from jobctl.adapters.redis_script import ServerScript
from jobctl.core.limiting import Decision, Denial, Grant, Limit, Limits, Permits, Report, ScopeStatus, Tuning
from jobctl.ports import Limiter

__all__ = ["RedisLimiter", "fingerprint"]

_PREFIX: Final = "jobctl:limiter"
#: Connections of one process: a step takes well below a millisecond.
_CONNECTIONS: Final = 8
#: How long a free connection, a new one and an answer are waited for, seconds; about one in all.
_POOL_S, _CONNECT_S, _ANSWER_S = 0.25, 0.25, 0.5
#: How long a Redis that did not answer is left alone, seconds.
_LEFT_ALONE_S: Final = 1.0
_log = logging.getLogger(__name__)


def fingerprint(api_key: str) -> str:
    """What stands for a key in Redis: it tells keys apart and does not give them away."""
    return hashlib.sha256(f"jobctl limiter {api_key}".encode()).hexdigest()[:16]


class RedisLimiter:
    """The :class:`~jobctl.ports.Limiter` on Redis.

    Args:
        connection: Any client of the server; connections of its own are opened like its.
        account: What the limits belong to: the :func:`fingerprint` of an API key.
        limits: Of each model.
        tuning: The constants of the rules.
        local: Decides while Redis does not answer; None to put every call off meanwhile.
        rng: Source of the jitter of those delays.
        clock: Time in place of the server's, for tests of the rules.
    """

    def __init__(
        self,
        connection: Redis,
        account: str,
        limits: Limits,
        tuning: Tuning | None = None,
        *,
        local: Limiter | None = None,
        rng: random.Random | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._redis = _impatient(connection)
        self._script = ServerScript(self._redis, "limiter")
        self._account = account
        self._limits = limits
        self._tuning = tuning or Tuning()
        self._local = local
        self._rng = rng or random.Random()
        self._clock = clock
        self._rules: dict[Limit, str] = {}
        self._lock = Lock()
        self._silent_until_s = 0.0
        self._silent = False

    def acquire(
        self,
        model: str,
        *,
        calls: int = 1,
        tokens: float | None = None,
        retry: bool = False,
        permits: str | None = None,
    ) -> Grant:
        """As :meth:`Limiter.acquire`."""
        wish: dict[str, Any] = {"calls": calls, "retry": retry}
        if tokens is not None:
            wish["tokens"] = tokens
        if permits is None:
            wish |= {"walk_in": True, "kind": ""}
        else:
            kept = Permits.parse(permits, model)
            wish |= {"kind": kept.kind, "value": kept.value}
        answer = self._run("acquire", model, wish)
        if answer is not None:
            return _decision(answer).to_grant(model)
        if self._local is not None:
            return self._local.acquire(model, calls=calls, tokens=tokens, retry=retry, permits=permits)
        return Grant(0, self._rng.uniform(1, 2) * _LEFT_ALONE_S, Denial.UNAVAILABLE, permits or "")

    def release(self, model: str, calls: int, tokens: float = 0.0) -> None:
        """As :meth:`Limiter.release`."""
        if self._run("release", model, {"calls": calls, "tokens": tokens}) is None and self._local is not None:
            self._local.release(model, calls, tokens)

    def report(self, model: str, report: Report) -> Grant:
        """As :meth:`Limiter.report`."""
        told: dict[str, Any] = {"outcome": report.outcome, "latency": report.latency_s, "tokens": report.tokens}
        if report.wait_s is not None:
            told["wait"] = report.wait_s
        if report.used is not None:
            told["used"] = report.used
        answer = self._run("report", model, told)
        if answer is not None:
            return _decision(answer).to_grant(model)
        if self._local is not None:
            return self._local.report(model, report)
        wait_s = report.wait_s or 0.0
        return Grant(0, wait_s + self._rng.uniform(1, 2) * _LEFT_ALONE_S, Denial.UNAVAILABLE)

    def status(self) -> Sequence[ScopeStatus]:
        """As :meth:`Limiter.status`; empty while Redis does not answer."""
        models = sorted(name.decode() for name in self._run("models", "", {}) or [])
        answers = [(model, self._run("status", model, {})) for model in models]
        return [_status(model, answer) for model, answer in answers if answer is not None]

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()
        self._redis.connection_pool.disconnect()

    def _run(self, what: str, model: str, told: dict[str, Any]) -> Any:
        """One step of the script; None while Redis does not answer."""
        if time.monotonic() < self._silent_until_s:
            return None
        now = "" if self._clock is None else f"{self._clock():.17g}"
        keys = [f"{_PREFIX}:{{{self._account}}}:{model}", f"{_PREFIX}:{{{self._account}}}"]
        try:
            answer = self._script([what, self._rule(model), json.dumps(told), model, now], keys=keys)
        except RedisError as error:
            self._fell_silent(error)
            return None
        if self._silent:
            self._answers_again()
        return answer

    def _rule(self, model: str) -> str:
        """The limit and the tuning, as the script reads them."""
        limit = self._limits.of(model)
        rule = self._rules.get(limit)
        if rule is None:
            rule = self._rules[limit] = _rule(limit, self._tuning)
        return rule

    def _fell_silent(self, error: RedisError) -> None:
        self._silent_until_s = time.monotonic() + _LEFT_ALONE_S
        with self._lock:
            was_silent, self._silent = self._silent, True
        if not was_silent:
            what = "are put off" if self._local is None else "are limited in this process alone"
            _log.warning(
                "The limiter's Redis does not answer (%s); calls %s until it does.", type(error).__name__, what
            )

    def _answers_again(self) -> None:
        with self._lock:
            was_silent, self._silent = self._silent, False
        if was_silent:
            _log.warning("The limiter's Redis answers again.")


def _impatient(connection: Redis) -> Redis:
    """A client of the same server that waits for nothing longer than a slot may be held."""
    pool = connection.connection_pool
    options = {
        **pool.connection_kwargs,
        "socket_timeout": _ANSWER_S,
        "socket_connect_timeout": _CONNECT_S,
        "retry": Retry(NoBackoff(), 0),
        "decode_responses": False,
        "health_check_interval": 0,
    }
    options |= {"max_connections": _CONNECTIONS, "timeout": _POOL_S, "connection_class": pool.connection_class}
    own = BlockingConnectionPool(**options)  # type: ignore[no-untyped-call]
    return Redis(connection_pool=own)


def _rule(limit: Limit, tuning: Tuning) -> str:
    rule = {
        "rpm": limit.rpm,
        "tpm": limit.tpm,
        "burst": limit.burst,
        "spread": tuning.spread_s,
        "tolerance": tuning.tolerance_s,
        "pause": tuning.pause_s,
        "longest_pause": tuning.longest_pause_s,
        "longest_backoff": tuning.longest_backoff_s,
        "judged_calls": tuning.judged_calls,
        "judged": tuning.judged_s,
        "judged_longest": tuning.judged_longest_s,
        "judged_share": tuning.judged_share,
        "decrease": tuning.decrease,
        "recover": tuning.recover_s,
        "recover_calls": tuning.recover_calls,
        "seen": tuning.seen_s,
        "together": tuning.together,
        "spread_rate": tuning.spread_per_s,
        "first_tokens": tuning.first_tokens,
        "lowest_rate": tuning.lowest_rate_per_s,
        "retry_share": tuning.retry_share,
        "retry_trickle": tuning.retry_trickle_per_s,
        "retry_reserve": tuning.retry_reserve,
        "breaker_window": tuning.breaker_window_s,
        "breaker_calls": tuning.breaker_calls,
        "breaker_share": tuning.breaker_share,
        "open": tuning.open_s,
        "probes": tuning.probes,
        "spacing": tuning.spacing,
        "ttl": tuning.ttl_s,
    }
    return json.dumps({name: value for name, value in rule.items() if value is not None})


def _decision(answer: list[Any]) -> Decision:
    granted, delay_s, reason, kind, value, tokens = answer
    return Decision(int(granted), float(delay_s), reason.decode(), kind.decode(), float(value), float(tokens))


def _status(model: str, answer: list[Any]) -> ScopeStatus:
    rate, headroom, line_s, paused_s, breaker_open, factor, budget = answer
    return ScopeStatus(
        model=model,
        rate_per_s=float(rate) if rate else None,
        headroom=float(headroom),
        line_s=float(line_s),
        paused_s=float(paused_s),
        breaker_open=bool(breaker_open),
        factor=float(factor),
        retry_budget=float(budget),
    )

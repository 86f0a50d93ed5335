"""Cases for the alerts on OpenRouter, the database and Redis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from jobctl.apps.monitoring.rule_cases import FIRST, Case, Firing, both, case, counted, exporter, number, worker
from jobctl.core.operations import Operations

__all__ = ["service_cases"]

_MODEL: Final = "openai/gpt-4o-mini"


def service_cases(operations: Operations) -> Iterator[Case]:
    """All of them."""
    yield from _rate_limited(operations)
    yield from _breaker()
    yield from _money("JobctlOpenRouterCreditLow", "jobctl_openrouter_credit_usd", operations.thresholds.credit_usd)
    yield from _money(
        "JobctlOpenRouterKeyLimitLow", "jobctl_openrouter_key_remaining_usd", operations.thresholds.key_usd
    )
    yield from _pool()
    yield from _redis_down()
    yield from _redis_memory(operations)
    yield from _redis_safety()


def _answered(status: str, per_minute: float, model: str = _MODEL, after: int = 0) -> Mapping[str, str]:
    """Calls of a model that end so, evenly, after some minutes without any."""
    values = counted((after, 0), (60, per_minute)) if after else counted((60, per_minute))
    return worker("jobctl_upstream_responses_total", values, f'status="{status}",model="{model}"')


def _rate_limited(operations: Operations) -> Iterator[Case]:
    alert, share = "JobctlRateLimited", operations.thresholds.rate_limited

    def refused(wanted: float, per_minute: float = 1000) -> Mapping[str, str]:
        return {**_answered("200", (1 - wanted) * per_minute), **_answered("429", wanted * per_minute)}

    more, another = min(1.05 * share, (share + 1) / 2) or 0.05, _answered("200", 5000, model="another")
    told = Firing({"model": _MODEL}, (f"{100 * more:.4g}%", _MODEL))
    yield case(alert, "many answers of one model are refusals", refused(more), another, minutes=15, tells=told)
    yield case(alert, "fewer are than may", refused(0.9 * share), another, minutes=15)
    every = Firing({"model": _MODEL}, ("100%", _MODEL))
    yield case(alert, "every answer is, and there are ten", refused(1.0, per_minute=1.05), minutes=16, tells=every)
    yield case(alert, "every answer is, and there are nine", refused(1.0, per_minute=0.9), minutes=20)
    yield case(alert, "they have been for some minutes", refused(more), another, minutes=4)
    yield case(alert, "none was ever", _answered("200", 1000), minutes=15)


def _breaker() -> Iterator[Case]:
    alert, metric, model = "JobctlBreakerOpen", "jobctl_breaker_open", f'model="{_MODEL}"'
    another = exporter(metric, "0x60", 'model="another"')
    told = Firing({"model": _MODEL}, (_MODEL,))
    yield case(alert, "a breaker stays open", exporter(metric, "0x4 1x60", model), another, minutes=10, tells=told)
    yield case(alert, "no breaker is open", exporter(metric, "0x60", model), another, minutes=10)
    yield case(alert, "a breaker has been open for a minute", exporter(metric, "0x8 1x60", model), another, minutes=10)
    well = exporter(metric, "0x60", model)
    for status in ("503", "timeout", "disconnected"):
        most = {**_answered("200", 2), **_answered(status, 3), **_answered("200", 50, model="another")}
        yield case(alert, f"no breaker opens, and three calls in five end with {status}", well, most, minutes=12,
                   tells=told)  # fmt: skip
    half = {**_answered("200", 3), **_answered("503", 3)}
    yield case(alert, "half of the calls fail", well, half, minutes=12)
    yield case(alert, "most are refused", well, _answered("200", 2), _answered("429", 50), minutes=12)
    yield case(alert, "every call fails, one in a minute", well, _answered("503", 1), minutes=20, tells=told)
    yield case(alert, "every call fails, and there are nine in a quarter of an hour", well, _answered("503", 0.63),
               minutes=20)  # fmt: skip
    yield case(alert, "most calls failed until some minutes ago", well, _answered("200", 5, after=11),
               worker("jobctl_upstream_responses_total", f"{counted((12, 50))} 600x40",
                      f'status="503",model="{_MODEL}"'), minutes=18)  # fmt: skip
    yield case(alert, "most calls have failed for a minute", well, _answered("503", 50, after=9), minutes=10)


def _money(alert: str, metric: str, bound: float) -> Iterator[Case]:
    told = Firing(says=(f"{bound - 0.25:.2f}",))
    yield case(alert, "it falls below the bound", exporter(metric, f"{bound + 1:g}x4 {number(bound - 0.25)}x60"),
               minutes=11, tells=told)  # fmt: skip
    yield case(alert, "it has just fallen below it", exporter(metric, f"{bound + 1:g}x8 {number(bound - 0.25)}x60"),
               minutes=11)  # fmt: skip
    yield case(alert, "it stays at the bound", exporter(metric, f"{bound:g}x60"), minutes=11)
    yield case(alert, "it is not known", exporter("jobctl_redis_up", "1x60"), minutes=11)


def _pool() -> Iterator[Case]:
    alert, used, most = "JobctlDatabasePoolSaturated", "jobctl_db_pool_in_use", "jobctl_db_pool_max"
    told = Firing({"instance": FIRST}, (FIRST, "100%"))
    first = worker(used, "0x10 5x60")
    yield case(alert, "a worker uses every connection", both(most, "5x60"), both(used, "3x60"), first, minutes=27,
               tells=told)  # fmt: skip
    yield case(alert, "it uses most of them", both(most, "5x60"), both(used, "4x60"), minutes=15)
    yield case(alert, "it does so for a moment", both(most, "5x60"), both(used, "2x10 5x2 2x40"), minutes=15)
    yield case(alert, "it has just begun to", both(most, "5x60"), both(used, "5x60"), minutes=4)
    yield case(alert, "there is no database", both(most, "0x60"), both(used, "0x60"), minutes=15)


def _redis_down() -> Iterator[Case]:
    alert, metric = "JobctlRedisDown", "jobctl_redis_up"
    yield case(alert, "it answers nobody", both(metric, "1x4 0x60"), exporter(metric, "1x4 0x60"), minutes=10,
               tells=Firing())  # fmt: skip
    yield case(alert, "it answers a worker", both(metric, "1x60"), exporter(metric, "1x4 0x60"), minutes=10)
    yield case(alert, "it has just gone away", both(metric, "1x9 0x60"), minutes=10)
    full = {
        **exporter("jobctl_redis_memory_bytes", "900x4 995x60"),
        **exporter("jobctl_redis_maxmemory_bytes", "1000x60"),
    }
    evicts = "jobctl_redis_noeviction"
    yield case(alert, "it answers, and its memory is full", both(metric, "1x60"), full, exporter(evicts, "1x60"),
               minutes=10, tells=Firing())  # fmt: skip
    yield case(alert, "its memory is full, and it drops what is old", both(metric, "1x60"), full,
               exporter(evicts, "0x60"), minutes=10)  # fmt: skip
    yield case(alert, "its memory is nearly full", both(metric, "1x60"), full,
               exporter("jobctl_redis_memory_bytes", "985x60"), minutes=10)  # fmt: skip


def _redis_memory(operations: Operations) -> Iterator[Case]:
    alert, bound = "JobctlRedisMemoryHigh", operations.thresholds.redis_memory
    used, most = "jobctl_redis_memory_bytes", exporter("jobctl_redis_maxmemory_bytes", "1000000x60")
    more = (bound + 1) / 2
    told = Firing(says=(f"{100 * more:.4g}%",))
    yield case(
        alert, "it uses more than it should", exporter(used, f"{more * 1e6:.0f}x60"), most, minutes=15, tells=told
    )
    yield case(alert, "it uses a little less", exporter(used, f"{0.99 * bound * 1e6:.0f}x60"), most, minutes=15)
    yield case(
        alert,
        "it has just begun to",
        exporter(used, f"{0.99 * bound * 1e6:.0f}x8 {more * 1e6:.0f}x60"),
        most,
        minutes=15,
    )
    yield case(alert, "it has no limit", exporter(used, "1000000x60"), minutes=15)


def _redis_safety() -> Iterator[Case]:
    alert, kept, aof = "JobctlRedisNotPersistent", "jobctl_redis_persistence_ok", "jobctl_redis_aof_enabled"
    good, bad = "1x60", "1x4 0x60"
    yield case(alert, "a write to disk failed", exporter(kept, bad), exporter(aof, good), minutes=11, tells=Firing())
    yield case(alert, "it writes no file", exporter(kept, good), exporter(aof, bad), minutes=11, tells=Firing())
    yield case(alert, "a write has just failed", exporter(kept, "1x8 0x60"), exporter(aof, good), minutes=11)
    yield case(alert, "it keeps what it is told", exporter(kept, good), exporter(aof, good), minutes=11)

    alert, refuses = "JobctlRedisEvicts", "jobctl_redis_noeviction"
    yield case(alert, "it may drop keys", exporter(refuses, bad), minutes=11, tells=Firing())
    yield case(alert, "somebody has just changed its policy", exporter(refuses, "1x8 0x60"), minutes=11)
    yield case(alert, "it refuses writes instead", exporter(refuses, good), minutes=11)
    yield case(alert, "its policy is not known", exporter(kept, good), minutes=11)

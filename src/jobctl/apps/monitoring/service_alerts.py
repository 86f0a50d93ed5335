"""Alerts on what the workers need: OpenRouter, the database, Redis.

What is not there is not watched: without a key there is no credit, without a database no pool, without a ``maxmemory``
no share of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from jobctl.apps.monitoring.times import Times
from jobctl.core.operations import Operations
from jobctl.core.rules import Alert, Urgency

__all__ = ["service_alerts"]

#: Answers of a kind before their share says something.
_FEWEST: Final = 10
#: Over how long the share of failed calls is taken, and over how long they are counted, seconds: while every answer is
#: a 503 hardly a call a minute is made.
_FAILING_S, _FAILED_S = 300.0, 900.0
#: Above this share of its ``maxmemory`` Redis refuses writes; it may hold a little more or less than all of it.
_MEMORY_FULL: Final = 0.99
#: From this share of the connections on, a pool is used up.
_POOL_FULL: Final = 0.9


def service_alerts(operations: Operations, times: Times) -> Iterator[Alert]:
    """All of them."""
    yield from _openrouter(operations, times)
    yield _database(times)
    yield from _redis(operations, times)


def _openrouter(operations: Operations, times: Times) -> Iterator[Alert]:
    thresholds = operations.thresholds
    span = times.window(600)
    refused = f'jobctl_upstream_responses_total{{status="429"}}[{span}]'
    yield Alert(
        "JobctlRateLimited",
        f"sum by (model) (rate({refused}))\n"
        f"  / sum by (model) (rate(jobctl_upstream_responses_total[{span}]))\n"
        f"  > {thresholds.rate_limited:.10g}\n"
        f"and sum by (model) (increase({refused})) >= {_FEWEST}",
        300,
        Urgency.TICKET,
        "{{ $value | humanizePercentage }} of the answers of {{ $labels.model }} are a 429",
        "The workers ask for more than OpenRouter allows. Tell them its limit: `--openrouter-rpm`, `--openrouter-tpm`.",
    )
    yield Alert(
        "JobctlBreakerOpen",
        f"max by (model) ({times.last('jobctl_breaker_open')}) == 1\nor\n{_failing(times)}",
        120,
        Urgency.PAGE,
        "Most calls of {{ $labels.model }} fail",
        "While its breaker is open calls are stopped, and jobs are put off and lose no attempt; else they are tried "
        "again as often as they may be. Look at OpenRouter's status, and use another model if it lasts.",
    )
    yield Alert(
        "JobctlOpenRouterCreditLow",
        f"min({times.last('jobctl_openrouter_credit_usd')}) < {thresholds.credit_usd:.10g}",
        300,
        Urgency.TICKET,
        'OpenRouter\'s credit is down to {{ $value | printf "%.2f" }} USD',
        "At 0 every call is refused with a 402. Buy credit.",
    )
    yield Alert(
        "JobctlOpenRouterKeyLimitLow",
        f"min({times.last('jobctl_openrouter_key_remaining_usd')}) < {thresholds.key_usd:.10g}",
        300,
        Urgency.TICKET,
        'OpenRouter\'s key may spend {{ $value | printf "%.2f" }} USD more',
        "At 0 every call is refused with a 403, whatever credit there is. Raise the limit of the key.",
    )


def _failing(times: Times) -> str:
    """Models of whose calls most fail, though no breaker opens: a 503 asks for patience, and few calls open none."""
    span, longer = times.window(_FAILING_S), times.window(_FAILED_S)
    failed = 'jobctl_upstream_responses_total{status=~"5..|timeout|disconnected"}'
    return (
        f"sum by (model) (rate({failed}[{span}]))\n"
        f"  / sum by (model) (rate(jobctl_upstream_responses_total[{span}]))\n"
        f"  > 0.5\n"
        f"and sum by (model) (increase({failed}[{longer}])) >= {_FEWEST}"
    )


def _database(times: Times) -> Alert:
    span = times.window(600)
    return Alert(
        "JobctlDatabasePoolSaturated",
        f"max by (instance) (avg_over_time(jobctl_db_pool_in_use[{span}]) / (jobctl_db_pool_max > 0)) > {_POOL_FULL}",
        300,
        Urgency.TICKET,
        "Worker {{ $labels.instance }} uses {{ $value | humanizePercentage }} of its database connections",
        "Jobs wait for one with their slot. Raise `--db-pool-size` as far as the database's clients allow, for twice "
        "the replicas: a deploy runs both generations.",
    )


def _redis(operations: Operations, times: Times) -> Iterator[Alert]:
    used = f"max({times.last('jobctl_redis_memory_bytes')}) / max({times.last('jobctl_redis_maxmemory_bytes')})"
    evicts = f"min({times.last('jobctl_redis_noeviction')}) == 0"
    yield Alert(
        "JobctlRedisDown",
        f"max(jobctl_redis_up) == 0\nor (\n  {used} > {_MEMORY_FULL}\n  unless {evicts}\n)",
        60,
        Urgency.PAGE,
        "Redis answers nobody, or refuses whatever needs memory",
        "No job begins and none is lost: what ended is booked when it is back. If it does not answer, bring it back "
        "with its data; if its memory is full, give it more, and purge dead jobs.",
    )
    yield Alert(
        "JobctlRedisMemoryHigh",
        f"{used} > {operations.thresholds.redis_memory:.10g}",
        600,
        Urgency.TICKET,
        "Redis uses {{ $value | humanizePercentage }} of its maxmemory",
        "At 100% it refuses new jobs. Purge dead jobs that nobody needs, work off the backlog, or give it more memory.",
    )
    yield Alert(
        "JobctlRedisNotPersistent",
        f"min({times.last('jobctl_redis_persistence_ok')}) == 0\nor min({times.last('jobctl_redis_aof_enabled')}) == 0",
        300,
        Urgency.TICKET,
        "Redis does not keep jobs on disk",
        "A restart of it loses jobs. Turn its append-only file on, or make room on its disk if a write failed.",
    )
    yield Alert(
        "JobctlRedisEvicts",
        evicts,
        300,
        Urgency.PAGE,
        "Redis may drop jobs when its memory is full",
        "Its maxmemory-policy is not noeviction. Set it, before its memory is full.",
    )

"""What a fleet costs on a platform that bills the CPU and the memory that it uses, by the minute.

Model: a minute costs (cores in use) x (price of a vCPU) + (memory of all replicas) x (price of a GB). A month has 30
days, a GB is 10^9 bytes. CPU is used by attempts, so it follows the volume; memory is held by replicas, so it follows
their number. Egress, volumes, builds and the subscription are not counted.

CPU seconds of an attempt are those of the worker's process over the attempts that it ran, as ``jobctl bench`` measures
them: what a worker uses between jobs is in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from jobctl.core.demand import Machine
from jobctl.core.plans import Limits
from jobctl.core.units import SECONDS_PER_DAY, parse_not_negative
from jobctl.errors import InvalidOption, InvalidValue

__all__ = ["DAYS_PER_MONTH", "RAILWAY", "RAILWAY_REPLICAS", "Cost", "Prices", "cost_of", "fleet_cost", "parse_prices"]

#: Days of the month that a cost is given for.
DAYS_PER_MONTH: Final = 30
_BYTES_PER_GB: Final = 1e9
_PRICE_KEYS: Final = ("vcpu_minute_usd", "gb_minute_usd", "source")


@dataclass(frozen=True, slots=True)
class Prices:
    """What a platform asks for usage.

    Attributes:
        vcpu_minute_usd: One core for one minute, US dollars.
        gb_minute_usd: 10^9 bytes of memory for one minute, US dollars.
        source: Who says so, and when.
    """

    vcpu_minute_usd: float
    gb_minute_usd: float
    source: str


#: Railway's, from the page of its plans as it stood on that day.
RAILWAY: Final = Prices(0.000463, 0.000231, "docs.railway.com/pricing/plans, 2026-08-21")
#: The most replicas of one service on each of Railway's plans; the same page and day.
RAILWAY_REPLICAS: Final[Mapping[str, int]] = {"free": 1, "trial": 2, "hobby": 6, "pro": 42, "enterprise": 50}


@dataclass(frozen=True, slots=True)
class Cost:
    """What a fleet costs.

    Attributes:
        per_month_usd: For 30 days, US dollars.
        per_million_jobs_usd: For each million jobs at this volume, US dollars.
        prices: What it was computed from.
    """

    per_month_usd: float
    per_million_jobs_usd: float
    prices: Prices


def cost_of(
    replicas: int,
    *,
    cores: float | None,
    memory_bytes: float | None,
    jobs_per_day: float,
    prices: Prices = RAILWAY,
) -> Cost | None:
    """The cost of so many replicas.

    Args:
        replicas: How many run.
        cores: Cores that all of them together use on average.
        memory_bytes: Memory of one replica.
        jobs_per_day: New jobs a day.
        prices: What is asked.

    Returns:
        None where the cores or the memory are not known.
    """
    if cores is None or memory_bytes is None:
        return None
    memory_gb = replicas * memory_bytes / _BYTES_PER_GB
    per_minute_usd = cores * prices.vcpu_minute_usd + memory_gb * prices.gb_minute_usd
    per_day_usd = per_minute_usd * SECONDS_PER_DAY / 60
    return Cost(per_day_usd * DAYS_PER_MONTH, per_day_usd / jobs_per_day * 1e6, prices)


def fleet_cost(replicas: int, machine: Machine, limits: Limits, prices: Prices = RAILWAY) -> Cost | None:
    """The cost of so many replicas under a demand, retries counted: cores = new jobs/s x attempts x CPU s of each.

    Args:
        replicas: How many run.
        machine: What one attempt and one replica use.
        limits: What follows from the demand.
        prices: What is asked.

    Returns:
        None where the CPU of an attempt or the memory of a replica is not known.
    """
    cpu_s = machine.cpu_per_job_s
    cores = None if cpu_s is None else limits.arrival_rate_per_s * limits.attempts_per_job * cpu_s
    jobs_per_day = limits.arrival_rate_per_s * SECONDS_PER_DAY
    return cost_of(replicas, cores=cores, memory_bytes=machine.memory_bytes, jobs_per_day=jobs_per_day, prices=prices)


def parse_prices(table: Mapping[str, Any], place: str) -> Prices:
    """Read somebody's own prices from a decoded table; a price that is left out is Railway's.

    Args:
        table: Its keys: ``vcpu_minute_usd``, ``gb_minute_usd`` and ``source``.
        place: Where it stands, such as ``jobctl.toml: plan.prices``.

    Raises:
        InvalidOption: A key is unknown, or a price is no number of at least 0; the key is named.
    """
    for key in table:
        if key not in _PRICE_KEYS:
            raise InvalidOption(place, f"unknown key {key!r}", f"known keys: {', '.join(_PRICE_KEYS)}")
    vcpu_usd = _price(table, "vcpu_minute_usd", RAILWAY.vcpu_minute_usd, place)
    gb_usd = _price(table, "gb_minute_usd", RAILWAY.gb_minute_usd, place)
    return Prices(vcpu_usd, gb_usd, str(table.get("source", place)))


def _price(table: Mapping[str, Any], key: str, default: float, place: str) -> float:
    if key not in table:
        return default
    try:
        return parse_not_negative(str(table[key]))
    except InvalidValue as error:
        raise InvalidOption(f"{place}.{key}", error.problem, error.remedy) from None

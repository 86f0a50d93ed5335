"""Demands of every kind, at random: each number of a family gives one, and nobody chose it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from jobctl.core.arrivals import CONSTANT, POISSON, ArrivalKind, Arrivals
from jobctl.core.capacity import limits_of
from jobctl.core.demand import Database, Hold, Retries, Upstream
from jobctl.core.profiles import Spike, steady_profile
from jobctl.core.service import Gamma
from jobctl.core.slo import Objective, Window
from support.brute_force import Case, steady
from support.independent import Process, Rules, batches, daily, erlang, law, renewal, with_burst
from support.plans import make_demand

HOUR_S: Final = 3600.0
#: Arrivals of a kind as the planner is told of them, and as they are drawn.
KINDS: Final[dict[str, tuple[Arrivals, Callable[[float], Process]]]] = {
    "poisson": (POISSON, lambda rate: renewal(rate, 1.0)),
    "constant": (CONSTANT, lambda rate: renewal(rate, 0.0)),
    "renewal:0.25": (Arrivals(ArrivalKind.RENEWAL, 0.25), lambda rate: renewal(rate, 0.25)),
    "renewal:4": (Arrivals(ArrivalKind.RENEWAL, 4.0), lambda rate: renewal(rate, 4.0)),
    "batch:10": (Arrivals(ArrivalKind.BATCH, 10), lambda rate: batches(rate, 10)),
    "batch:50": (Arrivals(ArrivalKind.BATCH, 50), lambda rate: batches(rate, 50)),
}


def any_of(family: str, number: int) -> Case:
    """One case of a family."""
    return FAMILIES[family](number)


def _steady(number: int, kind: str = "poisson", scv: float | None = None) -> Case:
    chance = random.Random(f"{kind}:{scv}:{number}")
    mean_s, load = 10 ** chance.uniform(-1, 1.3), 10 ** chance.uniform(0.5, 1.7)
    rate, scv = load / mean_s, chance.choice([0, 0.25, 0.5, 1, 2]) if scv is None else scv
    arrivals, process = KINDS[kind]
    demand = make_demand(rate, mean_s, scv, arrivals=arrivals, **_fleet(chance, mean_s, 25))
    return Case(f"{kind} {number}", demand, process(rate), law(mean_s, scv), steady(rate, arrivals.scv + scv), 60)


def _erlang_service(number: int) -> Case:
    chance = random.Random(f"erlang:{number}")
    mean_s, load, phases = 10 ** chance.uniform(-1, 1.3), 10 ** chance.uniform(0.5, 1.7), chance.choice([2, 4])
    rate = load / mean_s
    demand = make_demand(rate, mean_s, **_fleet(chance, mean_s, 25))
    kinds = tuple(replace(kind, service=Gamma(mean_s, 1 / phases)) for kind in demand.job_types)
    demand = replace(demand, job_types=kinds)
    span = steady(rate, 1 + 1 / phases)
    return Case(f"erlang {number}", demand, renewal(rate, 1.0), erlang(mean_s, phases), span, 60)


def _day(number: int) -> Case:
    chance = random.Random(f"day:{number}")
    load, rate = 10 ** chance.uniform(0.7, 1.5), chance.uniform(0.3, 2.0)
    mean_s, scv, peak_factor = load / rate, chance.choice([0, 0.5, 1, 2, 4]), chance.choice([1.5, 2, 3, 4])
    window = chance.choice([Window.BUSIEST_HOUR, Window.BUSIEST_HOUR, Window.WHOLE_DAY])
    fleet = _fleet(chance, mean_s, 10)
    demand = make_demand(rate, mean_s, scv, peak_factor=peak_factor, window=window, **fleet)
    return Case(
        f"day {number}",
        demand,
        daily(rate, peak_factor),
        law(mean_s, scv),
        _hours_of(window, 11.5 * HOUR_S),
        100 if window is Window.BUSIEST_HOUR else 24,
    )


def _burst(number: int) -> Case:
    chance = random.Random(f"burst:{number}")
    load, rate = 10 ** chance.uniform(0.7, 1.4), chance.uniform(0.3, 2.0)
    mean_s, scv, jobs = load / rate, chance.choice([0, 1, 4]), chance.choice([300, 2000, 10_000])
    at_s = chance.choice([9.0, 13.5]) * HOUR_S
    window = chance.choice([Window.BUSIEST_HOUR, Window.WHOLE_DAY])
    profile = steady_profile(rate).with_spikes((Spike(jobs, at_s),))
    fleet = _fleet(chance, mean_s * jobs / load / 20, 25)
    demand = make_demand(rate, mean_s, scv, profile=profile, window=window, **fleet)
    process = with_burst(renewal(rate, 1.0), jobs, at_s)
    span = _hours_of(window, profile.busiest(HOUR_S))
    return Case(f"burst {number}", demand, process, law(mean_s, scv), span, 24)


def _retries(number: int) -> Case:
    chance = random.Random(f"retries:{number}")
    mean_s, load, scv = 10 ** chance.uniform(-0.5, 1.2), 10 ** chance.uniform(0.5, 1.2), chance.choice([0, 1, 4])
    rate = load / mean_s
    given: dict[str, Any] = {
        "attempts": chance.choice([2, 3, 5]),
        "failure_rate": chance.choice([0.05, 0.1, 0.3]),
        "failed_ratio": chance.choice([0.1, 1, 3, 3]),
        "base_s": chance.choice([0.5, 2, 30]),
        "jitter": chance.choice([0, 1]),
    }
    timeout_s = chance.choice([None, None, 2.5 * mean_s])
    demand = make_demand(
        rate, mean_s, scv, retries=Retries(**given), job_timeout_s=timeout_s, **_fleet(chance, mean_s, 8)
    )
    rules = Rules(**given) if timeout_s is None else Rules(**given, timeout_s=timeout_s)
    span = steady(rate, 1 + limits_of(demand).slot_scv)
    return Case(f"retries {number}", demand, renewal(rate, 1.0), law(mean_s, scv), span, 30, rules)


def _upstream(number: int) -> Case:
    chance = random.Random(f"upstream:{number}")
    mean_s, load, scv = 10 ** chance.uniform(-0.5, 1.2), 10 ** chance.uniform(0.5, 1.3), chance.choice([0, 1, 4])
    rate, busy, burst = load / mean_s, chance.uniform(0.5, 0.95), chance.choice([0, 0, 5, 30])
    calls_per_s = rate / busy
    demand = make_demand(
        rate, mean_s, scv, upstream=Upstream(rpm=60 * calls_per_s, burst=burst), **_fleet(chance, mean_s, 8)
    )
    span = steady(rate, 1 + scv)
    rules = Rules(calls_per_s=calls_per_s, burst=burst)
    return Case(
        f"upstream {number}", demand, renewal(rate, 1.0), law(mean_s, scv), lambda u: span(max(u, busy)), 30, rules
    )


def _connections(number: int) -> Case:
    """Each attempt wants a connection for a share of its time, and the pool of a replica is seldom short of one."""
    chance = random.Random(f"connections:{number}")
    mean_s, load = 10 ** chance.uniform(-0.3, 1), 10 ** chance.uniform(0.9, 1.5)
    rate, pool = load / mean_s, chance.choice([2, 3, 5])
    fleet = _fleet(chance, mean_s, 25)
    fleet["concurrency"] = chance.choice([8, 10, 25])
    share = chance.uniform(0.2, 0.8) * pool / fleet["concurrency"]
    database = Database(max_clients=100_000, connections_per_replica=pool, hold=Hold.SHARE, share=share)
    demand = make_demand(rate, mean_s, 1.0, database=database, **fleet)
    rules = Rules(pool=pool, held_share=share)
    return Case(f"connections {number}", demand, renewal(rate, 1.0), law(mean_s, 1.0), steady(rate, 2), 20, rules)


FAMILIES: Final[dict[str, Callable[[int], Case]]] = {
    **{kind: (lambda number, kind=kind: _steady(number, kind)) for kind in KINDS},  # type: ignore[misc]
    "heavy": lambda number: _steady(number, scv=4),
    "erlang": _erlang_service,
    "day": _day,
    "burst": _burst,
    "retries": _retries,
    "upstream": _upstream,
    "connections": _connections,
}


def _fleet(chance: random.Random, scale_s: float, most_slots: int) -> dict[str, Any]:
    """Slots of a replica, and an objective of about the scale of a service time."""
    slots = [size for size in (1, 2, 3, 5, 8, 10, 25) if size <= most_slots]
    quantile = chance.choice([None, 0.5, 0.9, 0.95, 0.95, 0.99])
    objective = Objective("wait", quantile, scale_s * 10 ** chance.uniform(-1.3, 0.5))
    return {"concurrency": chance.choice(slots), "promises": (objective,), "spare": chance.choice([0, 1])}


def _hours_of(window: Window, busiest_s: float) -> Callable[[float], tuple[float, float, float]]:
    """Half a day before the day, or some hours before the busiest one, more where its backlog reaches back."""
    if window is Window.WHOLE_DAY:
        return lambda utilisation: (-12 * HOUR_S, 0.0, 24 * HOUR_S)
    return lambda utilisation: (
        busiest_s - (5 if utilisation < 0.97 else 14) * HOUR_S,
        busiest_s,
        busiest_s + HOUR_S,
    )

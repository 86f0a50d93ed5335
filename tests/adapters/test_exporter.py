"""The fleet's gauges of several processes, each a collector with a connection of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis
from rq import Queue

from jobctl.adapters import embedded_redis
from jobctl.adapters.exporter import FleetExporter, LimiterState
from jobctl.adapters.openrouter_account import OpenRouterAccount
from jobctl.adapters.processes import ProcessGroup
from jobctl.adapters.redis_connection import connect
from jobctl.adapters.redis_election import Election
from jobctl.adapters.redis_limiter import RedisLimiter
from jobctl.adapters.rq_fleet import RqFleet
from jobctl.core.limiting import Limit, Limits
from jobctl.core.metrics import EXPORTER, FLEET
from jobctl.core.service import Constant
from jobctl.errors import ServiceUnavailable
from jobctl.ports import Readings
from support.running_mock import KEY, running

Make = Callable[..., FleetExporter]


@pytest.fixture
def make(redis_url: str, redis: Redis) -> Iterator[Make]:
    """Makes candidates, and closes them."""
    made: list[FleetExporter] = []

    def make_one(*, rank: int = 1, url: str = redis_url, ttl_s: float = 5.0, **more: object) -> FleetExporter:
        connection = connect(url, answer_s=1.0)
        sources = [RqFleet(connection, time.time), *more.pop("sources", [])]  # type: ignore[misc]
        fleet = FleetExporter(
            Election(connection, "jobctl:exporter", rank=rank, ttl_s=ttl_s),
            sources,
            **{"renew_s": 0.05, "kept_s": 0.0, **more},  # type: ignore[arg-type]
        )
        made.append(fleet)
        return fleet

    yield make_one
    for fleet in made:
        fleet.close()


def scrape(fleet: FleetExporter) -> dict[str, dict[tuple[str, ...], float]]:
    """Metric, without the prefix -> labels' values -> value, as Prometheus reads them."""
    registry = CollectorRegistry()
    registry.register(fleet)
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        metric.removeprefix("jobctl_"): {tuple(sample.labels.values()): sample.value for sample in family.samples}
        for family in families
        for metric in [f"{family.name}_total" if family.type == "counter" else family.name]
    }


def test_every_metric_of_the_catalogue_is_exposed_with_its_kind(make: Make) -> None:
    families = {family.name: family for family in make().collect()}

    for metric in (*FLEET, *EXPORTER):
        family = families[metric.full_name.removesuffix("_total")]
        assert (family.type, family.documentation) == (metric.kind.value, metric.meaning)


def test_one_of_many_exposes_the_fleet(make: Make, redis: Redis) -> None:
    Queue("high", connection=redis).enqueue("operator.add", 1, 1)
    scrapes = [scrape(fleet) for fleet in [make() for _ in range(4)]]

    assert sorted(found["exporter_elected"][()] for found in scrapes) == [0, 0, 0, 1]
    assert sum(found["queue_depth"].get(("high",), 0) for found in scrapes) == 1
    assert all(found["redis_up"] == {(): 1} for found in scrapes)


def test_another_one_follows_when_the_elected_one_ends(make: Make) -> None:
    first = make()
    assert scrape(first)["exporter_elected"][()] == 1
    second = make()
    first.close()

    assert scrape(second)["exporter_elected"][()] == 1


def test_between_scrapes_the_elected_one_stays_elected(make: Make) -> None:
    first = make(ttl_s=0.3)
    scrape(first)
    second = make(ttl_s=0.3)
    time.sleep(0.7)

    assert (scrape(second)["exporter_elected"][()], scrape(first)["exporter_elected"][()]) == (0, 1)


def test_a_dedicated_exporter_takes_over_and_the_worker_falls_silent(make: Make, redis: Redis) -> None:
    Queue("high", connection=redis).enqueue("operator.add", 1, 1)
    worker = make(rank=1)
    assert scrape(worker)["queue_depth"]

    exporter = make(rank=2)

    assert scrape(exporter)["queue_depth"] == {("high",): 1}
    assert scrape(worker)["queue_depth"] == {}


def test_planned_replicas_are_shown_when_somebody_said_how_many(make: Make) -> None:
    assert scrape(make(planned_replicas=3))["planned_replicas"] == {(): 3}


def test_nobody_said_how_many(make: Make) -> None:
    assert scrape(make())["planned_replicas"] == {}


class Source:
    """A source that shows what a limiter would, or that it is away."""

    away = False

    def readings(self) -> Readings:
        if self.away:
            raise ServiceUnavailable("limiter", "does not answer", "wait")
        return {"limiter_headroom": [(("m",), 0.25)], "breaker_open": [(("m",), 1.0)]}


def test_further_sources_are_shown_and_one_that_is_away_hides_no_other(make: Make) -> None:
    source = Source()
    fleet = make(sources=[source])
    found = scrape(fleet)
    assert (found["limiter_headroom"], found["breaker_open"]) == ({("m",): 0.25}, {("m",): 1.0})

    source.away = True

    found = scrape(fleet)
    assert (found["limiter_headroom"], found["workers"]) == ({}, {(): 0})


def test_the_limiters_state_is_shown_for_each_model_that_was_called(make: Make, redis: Redis) -> None:
    limits = Limits(default=Limit(rpm=60.0))
    limiter = RedisLimiter(redis, "an account", limits)
    found = scrape(make(sources=[LimiterState(limiter)]))
    assert (found["limiter_headroom"], found["breaker_open"]) == ({}, {})

    for _ in range(40):
        limiter.acquire("openai/gpt")

    fleet = make(rank=2, sources=[LimiterState(limiter)])
    found = scrape(fleet)
    limiter.close()
    assert set(found["limiter_headroom"]) == {("openai/gpt",)}
    assert found["limiter_headroom"]["openai/gpt",] < 0.5
    assert found["breaker_open"] == {("openai/gpt",): 0}


def test_what_was_read_is_kept_for_a_moment(make: Make, redis: Redis) -> None:
    fleet = make(kept_s=60.0)
    scrape(fleet)
    Queue("high", connection=redis).enqueue("operator.add", 1, 1)

    assert scrape(fleet)["queue_depth"] == {}


def test_while_redis_is_away_the_gauges_are_absent_and_come_back_with_it(make: Make) -> None:
    with ProcessGroup() as group:
        server = embedded_redis.start(group)
        fleet = make(url=server.url)
        assert (scrape(fleet)["redis_up"], scrape(fleet)["workers"], fleet.unready()) == ({(): 1}, {(): 0}, None)

        server.process.kill()
        server.process.wait()

        found = scrape(fleet)
        assert (found["redis_up"], found["exporter_elected"], found["workers"]) == ({(): 0}, {(): 0}, {})
        assert fleet.unready() == "Redis does not answer"

        embedded_redis.start(group)  # at the same place, as the group has one directory

        assert (scrape(fleet)["redis_up"], scrape(fleet)["workers"]) == ({(): 1}, {(): 0})


def test_the_elected_one_asks_for_the_credit_and_the_others_do_not(make: Make) -> None:
    with running(Constant(0.0), {}) as mock, mock.client() as client:
        account = OpenRouterAccount(mock.url, KEY)
        elected = make(account=account)
        silent = OpenRouterAccount(mock.url, KEY)
        make(account=silent)
        deadline_s = time.monotonic() + 5
        while not scrape(elected)["openrouter_credit_usd"] and time.monotonic() < deadline_s:
            time.sleep(0.02)
        credits = client.get("credits").json()["data"]

    assert scrape(elected)["openrouter_credit_usd"] == {(): credits["total_credits"] - credits["total_usage"]}
    assert silent.readings() == {}

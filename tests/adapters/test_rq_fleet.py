"""The fleet as RQ itself left it in Redis."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue, SimpleWorker
from rq.job import Job
from rq.registry import FailedJobRegistry, ScheduledJobRegistry
from rq.scheduler import RQScheduler

from jobctl.adapters import embedded_redis
from jobctl.adapters.processes import ProcessGroup
from jobctl.adapters.redis_connection import connect
from jobctl.adapters.rq_desk import PULSES_KEY
from jobctl.adapters.rq_fleet import ENQUEUED_KEY, RqFleet
from jobctl.errors import ServiceUnavailable
from support.waiting import wait_until
from support.workers import working

Value = Callable[..., float | None]


@pytest.fixture
def fleet(redis: Redis) -> RqFleet:
    return RqFleet(redis, time.time)


def value(fleet: RqFleet, metric: str, *labels: str) -> float | None:
    return dict(fleet.readings().get(metric, ())).get(labels)


def test_an_empty_redis_has_no_queue_and_no_worker(fleet: RqFleet) -> None:
    readings = fleet.readings()

    assert readings["queue_depth"] == []
    assert readings["workers"] == [((), 0.0)]
    assert readings["redis_memory_bytes"][0][1] > 100_000


def test_depth_and_age_are_those_of_the_queue_and_its_next_job(redis: Redis) -> None:
    queue = Queue("high", connection=redis)
    first = queue.enqueue("operator.add", 1, 1)
    for _ in range(2):
        queue.enqueue("operator.add", 1, 1)
    Queue("low", connection=redis).enqueue("operator.add", 1, 1)
    redis.delete("rq:queue:low")
    assert first.enqueued_at is not None
    fleet = RqFleet(redis, lambda: first.enqueued_at.timestamp() + 90.0)  # type: ignore[union-attr]

    assert value(fleet, "queue_depth", "high") == 3
    assert value(fleet, "queue_oldest_age_seconds", "high") == pytest.approx(90.0, abs=1e-3)
    assert (value(fleet, "queue_depth", "low"), value(fleet, "queue_oldest_age_seconds", "low")) == (0, 0)


@pytest.mark.parametrize("enqueued", [None, b"", b"yesterday", b"\xff"])
def test_the_age_of_a_job_that_does_not_say_when_it_came_is_unknown(
    redis: Redis, fleet: RqFleet, enqueued: bytes | None
) -> None:
    job = Queue("high", connection=redis).enqueue("operator.add", 1, 1)
    if enqueued is None:
        redis.delete(job.key)
    else:
        redis.hset(job.key, "enqueued_at", enqueued)

    assert value(fleet, "queue_depth", "high") == 1
    assert value(fleet, "queue_oldest_age_seconds", "high") is None


def test_scheduled_and_dead_jobs_are_counted_without_those_that_expired(redis: Redis, fleet: RqFleet) -> None:
    queue = Queue("high", connection=redis)
    queue.enqueue("operator.add", 1, 1)
    redis.zadd(ScheduledJobRegistry(queue=queue).key, {"later": time.time() + 60, "due": time.time() - 60})
    dead = FailedJobRegistry(queue=queue)
    dead.add(Job.create("operator.add", id="kept", connection=redis), ttl=60)
    dead.add(Job.create("operator.add", id="for-ever", connection=redis), ttl=-1)
    redis.zadd(dead.key, {"expired": time.time() - 60})

    assert value(fleet, "scheduled_jobs", "high") == 2
    assert value(fleet, "dead_jobs", "high") == 2
    assert redis.zcard(dead.key) == 3  # looking has not cleaned up


def test_the_scheduler_is_up_while_it_holds_the_queues_lock(redis: Redis, fleet: RqFleet) -> None:
    Queue("high", connection=redis).enqueue("operator.add", 1, 1)
    assert value(fleet, "scheduler_up", "high") == 0

    RQScheduler(["high"], connection=redis).acquire_locks()

    assert value(fleet, "scheduler_up", "high") == 1


def test_rqs_own_workers_are_those_whose_heartbeat_has_not_lapsed(redis: Redis, fleet: RqFleet) -> None:
    names = ["one", "two", "gone"]
    workers = {name: SimpleWorker(["high"], name=name, connection=redis) for name in names}
    for worker in workers.values():
        worker.register_birth()
    assert value(fleet, "workers") == 3

    redis.delete(workers["gone"].key)  # as it lapses

    assert value(fleet, "workers") == 2


def test_a_worker_of_ours_that_was_killed_is_gone_as_soon_as_it_fell_silent(redis: Redis, fleet: RqFleet) -> None:
    with working(redis, "high", recover_after_s=60.0) as worker:
        wait_until(lambda: redis.hexists(worker.key, "jobctl_clock"))
        assert value(fleet, "workers") == 1

        ends_s = redis.zscore(PULSES_KEY, worker.name)
        redis.zadd(PULSES_KEY, {worker.name: time.time() - 1})  # as if it had been silent for long
        assert value(fleet, "workers") == 0

        redis.zadd(PULSES_KEY, {worker.name: ends_s})
        assert value(fleet, "workers") == 1

        redis.zrem(PULSES_KEY, worker.name)  # as another one does that takes it over
        assert value(fleet, "workers") == 0


def test_enqueued_jobs_are_those_that_somebody_counted(redis: Redis, fleet: RqFleet) -> None:
    assert fleet.readings()["jobs_enqueued_total"] == []

    redis.hincrby(ENQUEUED_KEY, "high", 500)

    assert value(fleet, "jobs_enqueued_total", "high") == 500


def test_a_planted_pickle_is_not_even_read(redis: Redis, fleet: RqFleet) -> None:
    job = Queue("high", connection=redis).enqueue("operator.add", 1, 1)
    redis.hset(job.key, mapping={"data": b"\x80\x04cos\nsystem\n", "meta": b"\x80\x04cos\nsystem\n"})

    assert value(fleet, "queue_oldest_age_seconds", "high") is not None


def test_only_so_many_queues_are_read(redis: Redis, fleet: RqFleet) -> None:
    redis.sadd("rq:queues", *[f"rq:queue:{number:03}" for number in range(300)])

    assert len(fleet.readings()["queue_depth"]) == 200


def test_redis_tells_its_limit_its_policy_and_its_persistence() -> None:
    names = ("redis_maxmemory_bytes", "redis_noeviction", "redis_aof_enabled", "redis_persistence_ok")
    with ProcessGroup() as group, connect(embedded_redis.start(group).url) as redis:
        fleet = RqFleet(redis, time.time)
        assert [value(fleet, name) for name in names] == [None, 1, 0, 1]

        redis.config_set("maxmemory", 50_000_000)
        redis.config_set("maxmemory-policy", "allkeys-lru")
        redis.config_set("appendonly", "yes")
        assert [value(fleet, name) for name in names] == [50_000_000, 0, 1, 1]

        (Path(redis.config_get("dir")["dir"]) / "dump.rdb").mkdir()  # where a snapshot is to be put
        redis.bgsave(schedule=True)
        wait_until(lambda: redis.info("persistence")["rdb_last_bgsave_status"] == "err")
        assert [value(fleet, name) for name in names] == [50_000_000, 0, 1, 0]


def test_a_user_who_may_not_ask_for_the_memory_gets_the_rest(redis: Redis, redis_url: str) -> None:
    redis.acl_setuser(
        "scraper", enabled=True, passwords=["+secret"], keys=["*"], categories=["+@all"], commands=["-info"]
    )
    socket = redis_url.removeprefix("unix://")
    with Redis(unix_socket_path=socket, username="scraper", password="secret", protocol=2) as connection:
        readings = RqFleet(connection, time.time).readings()
    redis.acl_deluser("scraper")

    assert not [name for name in readings if name.startswith("redis_")]
    assert readings["workers"] == [((), 0.0)]


def test_a_redis_that_is_gone_is_unavailable() -> None:
    with ProcessGroup() as group:
        server = embedded_redis.start(group)
        fleet = RqFleet(connect(server.url, answer_s=1.0), time.time)
        server.process.kill()
        server.process.wait()
        with pytest.raises(ServiceUnavailable):
            fleet.readings()


def test_reading_costs_the_same_whether_there_is_one_job_or_twenty_thousand(redis: Redis, fleet: RqFleet) -> None:
    queue = Queue("high", connection=redis)
    first = queue.enqueue("operator.add", 1, 1)
    fleet.readings()
    of_one = cost(redis, fleet)

    for of_jobs in range(20):
        ids = [f"job-{of_jobs}-{number}" for number in range(1000)]
        redis.rpush(queue.key, *ids)
        for registry in ("finished", "failed", "scheduled", "deferred", "wip"):
            redis.zadd(f"rq:{registry}:high", dict.fromkeys(ids, time.time() + 600))

    commands, sent = cost(redis, fleet)
    assert commands == of_one[0]
    assert abs(sent - of_one[1]) < 200
    assert (value(fleet, "queue_depth", "high"), value(fleet, "dead_jobs", "high")) == (20_001, 20_000)
    assert redis.lindex(queue.key, 0) == first.id.encode()


def cost(redis: Redis, fleet: RqFleet) -> tuple[dict[str, int], int]:
    """The commands that one reading takes, and the bytes that Redis answers."""

    def now() -> tuple[Counter[str], int]:
        stats, commands = redis.info("stats"), redis.info("commandstats")
        return Counter({name: of["calls"] for name, of in commands.items()}), stats["total_net_output_bytes"]

    before, sent_before = now()
    fleet.readings()
    after, sent = now()
    return dict(after - before), sent - sent_before


def test_reading_costs_seven_commands_for_each_queue(redis: Redis, fleet: RqFleet) -> None:
    for number in range(20):
        Queue(f"q{number}", connection=redis).enqueue("operator.add", 1, 1)
    before = redis.info("stats")["total_commands_processed"]

    fleet.readings()

    # seven at first, six and the age for each queue, and the INFO of this test
    assert redis.info("stats")["total_commands_processed"] - before == 7 + 20 * 7 + 1
